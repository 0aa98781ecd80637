"""The notebooks as files: structure, parameters, papermill from anywhere."""

import ast
import os
import statistics
import subprocess
import sys

import nbformat
import pytest
import yaml

from dehazelib import paths
from dehazelib.experiments import settings as profiles

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def parameters(path) -> dict:
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assignments = ast.parse(cell.source).body
    assert all(isinstance(node, ast.Assign) and len(node.targets) == 1 for node in assignments)
    for line in cell.source.splitlines():
        assert "=" not in line.partition("#")[2], f"papermill's inspector loses this line: {line}"
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}


def test_there_are_six_in_order():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"0{i}_" for i in range(1, 7)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_sources_are_stripped_and_valid(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(path))
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_code_cells_are_short_and_plain(path):
    cells = code_cells(path)
    lengths = [len(cell.source.splitlines()) for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    assert statistics.median(lengths) <= 8 and max(lengths) <= 30
    for cell in cells:
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(node, (ast.ClassDef, ast.Try)) for node in nodes)
        assert "chdir" not in cell.source and "!pip" not in cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_parameters_are_the_smoke_settings(path):
    defaults = profiles.Settings()
    for name, value in parameters(path).items():
        assert value == getattr(defaults, name) and type(value) is type(getattr(defaults, name)), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_opens_with_what_it_reproduces_reads_writes_and_takes(path):
    first = nbformat.read(path, 4).cells[0].source
    assert first.startswith("# ") and all(word in first for word in ("**Reads**", "**Writes**", "**Takes**"))


def test_profiles_hold_only_differences_from_the_defaults():
    defaults = profiles.Settings()
    for file in paths.PROFILES.glob("*.yaml"):
        for name, value in yaml.safe_load(file.read_text()).items():
            assert name == "profile" or value != getattr(defaults, name), f"{file.name}: {name} is the default"


@pytest.mark.parametrize("arguments, message", [
    (["-p", "sed", "1"], "Unknown parameter 'sed'"), (["-p", "test_pairs", "many"], "must be int, not 'many'"),
])
def test_papermill_from_another_folder_stops_on_a_wrong_parameter(tmp_path, arguments, message):
    command = [sys.executable, "-m", "papermill", str(NOTEBOOKS[0]), "out.ipynb", "-k", "python3", "--no-progress-bar"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"DEHAZE_RESULTS": str(tmp_path / "results")})
    assert done.returncode != 0 and message in done.stderr


def test_papermill_runs_a_profile_from_another_folder(tmp_path):
    profile = paths.PROFILES / "demo.yaml"
    command = [sys.executable, "-m", "papermill", str(NOTEBOOKS[0]), "out.ipynb", "-k", "python3", "--no-progress-bar",
               "-f", str(profile), "-p", "seed", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True,
                   env=os.environ | {"DEHAZE_RESULTS": str(tmp_path / "results")})
    assert (tmp_path / "out.ipynb").exists() and (tmp_path / "results/demo/figures/fig5.png").stat().st_size > 10_000
