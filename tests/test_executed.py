"""Executed copies of notebooks are small, and hold nothing that changes each time."""

import base64
import io
import json

import nbformat
import numpy as np
import pytest
from PIL import Image

from dehazelib import executed


def notebook(folder, image: np.ndarray):
    """Writes an executed notebook that shows an image, and returns its file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    shown = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(file.getvalue()).decode()})
    cell = nbformat.v4.new_code_cell("1", outputs=[shown], metadata={"execution": {"iopub.execute_input": "today"}})
    made = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"input_path": "/home/someone"}})
    folder.mkdir(exist_ok=True, parents=True)
    (folder.parent / "figures").mkdir(exist_ok=True)
    (folder.parent / "figures" / "before_after.png").write_bytes(file.getvalue())
    nbformat.write(made, folder / "01_data.ipynb")
    return folder / "01_data.ipynb"


def test_a_photograph_becomes_a_small_jpeg_and_times_and_folders_go(tmp_path):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 20, (900, 1600, 3))
    source = notebook(tmp_path / "study" / "notebooks", (ramp[None, :, None] * 0.9 + noise).astype(np.uint8))
    copy, picture, before_after = executed.copy_all(tmp_path / "study" / "notebooks", tmp_path / "copies")
    text = copy.read_text()
    (cell,) = json.loads(text)["cells"]
    (kind,) = cell["outputs"][0]["data"]
    image = Image.open(io.BytesIO(base64.b64decode(cell["outputs"][0]["data"][kind])))
    assert kind == "image/jpeg" and image.size == (1000, 562)
    assert copy.stat().st_size < source.stat().st_size / 5
    assert (picture.name, Image.open(picture).size) == ("01_data.jpg", (260, 146))
    assert (before_after.name, Image.open(before_after).size) == ("before_after.jpg", (1000, 563))
    assert "today" not in text and "someone" not in text


def test_copies_that_are_too_large_are_not_written(tmp_path, monkeypatch):
    notebook(tmp_path / "study" / "notebooks", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(executed, "MOST_MB", 1e-6)
    with pytest.raises(ValueError, match="01_data.ipynb 0.0"):
        executed.copy_all(tmp_path / "study" / "notebooks", tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_a_study_without_notebooks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="dehazelib study"):
        executed.copy_all(tmp_path, tmp_path / "copies")
