"""The notebooks as files: structure, parameters, papermill from anywhere."""

import ast
import os
import statistics
import subprocess
import sys

import nbformat
import pytest

from dehazelib import Study, paths
from dehazelib.study import PARAMETERS

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def assigned(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)}


def test_there_are_six_in_order():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"0{i}_" for i in range(1, 7)]


@every_notebook
def test_sources_are_valid(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@every_notebook
def test_code_cells_are_short_and_plain(path):
    cells = code_cells(path)
    lengths = [len(cell.source.splitlines()) for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    assert statistics.median(lengths) <= 8 and max(lengths) <= 30
    for cell in cells:
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(node, (ast.ClassDef, ast.Try)) for node in nodes)
        assert "chdir" not in cell.source and "!pip" not in cell.source


@every_notebook
def test_four_parameters_have_the_same_defaults_everywhere_and_none_is_assigned_again(path):
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
    assert values == {"profile": "smoke", "data": None, "seed": None, "overrides": {}}
    for line in cell.source.splitlines():
        assert "=" not in line.partition("#")[2], f"papermill's inspector loses this line: {line}"
    others = [other.source for other in code_cells(path) if other.id != cell.id]
    assert not any(assigned(source) & set(PARAMETERS) for source in others)


@every_notebook
def test_each_opens_with_what_it_reproduces_reads_writes_and_takes(path):
    first = nbformat.read(path, 4).cells[0].source
    assert first.startswith("# ") and all(word in first for word in ("**Reads**", "**Writes**", "**Takes**"))


def papermill(folder, *arguments):
    command = [sys.executable, "-m", "papermill", str(NOTEBOOKS[0]), "out.ipynb", "-k", "python3", "--no-progress-bar"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"DEHAZE_RESULTS": str(folder / "results")})


@pytest.mark.slow
@pytest.mark.parametrize("arguments, message", [
    (["-p", "sed", "1"], "Unknown parameter 'sed': use one of profile, data, seed, overrides."),
    (["-p", "student_steps", "5"], "student_steps is a setting: give it as papermill -y 'overrides: {student_steps:"),
    (["-p", "seed", "many"], "seed must be a whole number, not 'many'"),
    (["-y", "overrides: {student_stepz: 5}"], "Unknown setting 'student_stepz': did you mean student_steps?"),
    (["-y", "overrides: {search: {mine: {lr: 1e-3}}}"], "lr must be a number, and this is text: write 0.001"),
])
def test_papermill_from_another_folder_stops_on_a_wrong_parameter(tmp_path, arguments, message):
    done = papermill(tmp_path, *arguments)
    assert done.returncode != 0 and message in done.stderr and "settings.py" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_papermill_runs_a_profile_from_another_folder(tmp_path):
    done = papermill(tmp_path, "-p", "profile", "demo", "-p", "seed", "1", "-y", "overrides: {test_pairs: 2}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.ipynb").exists() and (tmp_path / "results/demo/figures/fig5.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_settings_cell_runs_again_after_all_others_and_with_another_profile(tmp_path):
    notebook = nbformat.read(NOTEBOOKS[0], 4)
    first = [cell for cell in notebook.cells if cell.cell_type == "code"][:2]
    again = [nbformat.v4.new_code_cell(cell.source) for cell in first]
    other = [nbformat.v4.new_code_cell(cell.source.replace('"smoke"', '"demo"')) for cell in first]
    shown = nbformat.v4.new_code_cell("print('now', study.settings.name)")
    notebook.cells += [*again, *other, shown]
    nbformat.write(notebook, tmp_path / "again.ipynb")
    command = [sys.executable, "-m", "papermill", "again.ipynb", "out.ipynb", "-k", "python3", "--no-progress-bar"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True,
                   env=os.environ | {"DEHAZE_RESULTS": str(tmp_path / "results")})
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].text == "now demo\n"


def test_outside_a_notebook_nothing_of_papermill_is_looked_for():
    assert Study.open().settings.profile == "smoke"
