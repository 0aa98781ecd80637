# make study    set up and run the whole study; PROFILE=smoke|demo|cpu|budget|paper DATA=/folder-with-RESIDE-or-NYU
# make test     set up, check the style, run all tests and every notebook with its defaults
# make lab      set up and open JupyterLab on the notebooks

PROFILE ?= demo
DATA ?=
PYTHON ?= python3
BIN := .venv/bin
# why: see dehazelib/__init__.py
export GOMP_SPINCOUNT ?= 1000
WORKFLOW = $(BIN)/snakemake --cores all --rerun-triggers mtime --rerun-incomplete --nolock --quiet progress rules \
	--config 'profile=$(PROFILE)' $(if $(DATA),'data=$(subst ','\'',$(DATA))')

.PHONY: study test lab

study: .venv/installed
	$(WORKFLOW)

test: .venv/installed
	$(BIN)/ruff check --quiet --no-cache
	$(BIN)/python -m pytest
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && DEHAZE_RESULTS="$$scratch" \
		$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 -x -p no:cacheprovider notebooks

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

.venv/installed: pyproject.toml requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
