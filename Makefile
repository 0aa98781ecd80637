# make study    set up and run the whole study; PROFILE=smoke|demo|cpu|budget|paper DATA='/folder with RESIDE or NYU'
# make test     set up, check the style, run the fast tests and every notebook in its smallest size
# make lab      set up and open JupyterLab on the notebooks

PROFILE ?= demo
DATA ?=
PYTHON ?= python3
BIN := .venv/bin
# why: see dehazelib/__init__.py
export GOMP_SPINCOUNT ?= 1000

# two workers with one thread each end sooner than one with two
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: study test test-slow lab

study: .venv/installed
	$(BIN)/dehazelib study --profile '$(PROFILE)' $(if $(DATA),--data '$(subst ','\'',$(DATA))')

test: .venv/installed
	$(BIN)/ruff check --quiet --no-cache
	$(PYTEST) -m "not slow"
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && DEHAZE_RESULTS="$$scratch" \
		$(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -x -p no:cacheprovider notebooks/0*.ipynb

test-slow: .venv/installed
	$(PYTEST) -m slow

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

.venv/installed: pyproject.toml requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
