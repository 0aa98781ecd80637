"""Nothing that is read can run as code, fill the memory or write itself into a page."""

import ast

import pandas as pd
import pytest

from dehazelib import paths
from dehazelib.report.readable import readable

SOURCES = sorted((paths.ROOT / "dehazelib").rglob("*.py"))
NEVER = {"eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "os.system",
         "yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load", "marshal.loads", "shelve.open", "os.popen",
         "pd.read_pickle", "zipfile.ZipFile", "tarfile.open"}


def calls(source):
    """Yields (name, call) of each call in a file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call) -> dict:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(paths.ROOT)))
def test_nothing_that_is_read_is_run(source):
    for name, call in calls(source):
        where, options = f"{source}:{call.lineno}", keywords(call)
        assert name not in NEVER, f"{where} calls {name}"
        assert name != "torch.load" or options.get("weights_only") == "True", f"{where} runs what it loads"
        assert "allow_pickle" not in options or options["allow_pickle"] == "False", f"{where} takes pickles"
        assert "shell" not in options, f"{where} hands a line to a shell"
        assert name != "Image.open" or "formats" in options, f"{where} opens whatever Pillow knows, PostScript too"


def test_the_names_that_are_looked_for_are_found(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text("import pickle\npickle.load(open('x'))\nnetwork.eval()\n")
    assert [name in NEVER for name, _ in calls(source)] == [True, False, False]


def test_names_in_notebooks_and_pages_are_text():
    from markupsafe import escape

    from dehazelib.report.language import ENVIRONMENT

    name = "<script>alert(1)</script>"
    shown = readable(pd.DataFrame({"label": [name], "psnr_rgb": [1.0]}), {"run": "label"}, name).to_html()
    assert "<script>" not in shown and str(escape(name)) in shown
    page = ENVIRONMENT.overlay(autoescape=True).from_string("{{ name }}").render(name=name)
    assert page == escape(name)
