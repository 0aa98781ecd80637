"""The student as an ONNX file: same images as torch at any size, one small file, nothing half-written."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from dehazelib import networks, paths
from dehazelib.data.sources import open_data
from dehazelib.deploy import onnx as exporting
from dehazelib.deploy.onnx import export
from dehazelib.metrics import psnr_rgb


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return networks.build("student").eval()


@pytest.fixture(scope="module")
def file(student, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "new folder" / "student.onnx"
    export(student, path)
    return path


@pytest.fixture
def traced(file, monkeypatch):
    """Spares a test the exporter: the graph is the one made for `file`."""
    monkeypatch.setattr(exporting, "_graph", lambda student: onnx.load(file))


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def hazy(*shape):
    """Returns a random image (batch, 3, height, width) in the range of hazy ones."""
    return 0.5 + 0.3 * torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(1, 3, 64, 80), (1, 3, 37, 101), (2, 3, 48, 33), (1, 3, 1, 1), (1, 3, 7, 300)])
def test_it_agrees_with_torch_at_every_size(student, file, shape):
    image = hazy(*shape)
    with torch.no_grad():
        expected = student(image).clamp(0, 1).numpy()
    (dehazed,) = session(file).run(["dehazed"], {"hazy": image.numpy()})
    assert dehazed.shape == shape and np.abs(dehazed - expected).max() < 1e-4


def test_its_output_is_clamped(student, file):
    image = torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)])
    with torch.no_grad():
        raw = student(image)
    (dehazed,) = session(file).run(None, {"hazy": image.numpy()})
    assert raw.min() < 0 and raw.max() > 1 and dehazed.min() == 0 and dehazed.max() == 1


def test_it_is_one_small_file_that_names_no_place_on_this_machine(file):
    assert [path.name for path in file.parent.iterdir()] == ["student.onnx"]
    content = file.read_bytes()
    assert len(content) < 0.5e6
    assert str(paths.ROOT).encode() not in content and b"site-packages" not in content


@pytest.mark.slow
def test_in_eight_bits_it_is_smaller_and_close(student, file, traced, tmp_path):
    export(student, tmp_path / "int8.onnx", int8=True)
    assert [path.name for path in tmp_path.iterdir()] == ["int8.onnx"]
    assert (tmp_path / "int8.onnx").stat().st_size < 0.75 * file.stat().st_size
    image = open_data("rooms").tests["rooms"][0][0][None]
    exact, eight = (torch.from_numpy(session(path).run(None, {"hazy": image.numpy()})[0])
                    for path in (file, tmp_path / "int8.onnx"))
    assert not torch.equal(exact, eight) and psnr_rgb(eight, exact).item() > 35


def test_a_failure_leaves_the_earlier_file_and_nothing_else(student, traced, tmp_path, monkeypatch):
    target = tmp_path / "student.onnx"
    export(student, target)
    before = target.read_bytes()

    def full_disk(model, path):
        path.write_bytes(b"half a file")
        raise OSError("no space left")

    monkeypatch.setattr(onnx, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        export(student, target)
    assert target.read_bytes() == before and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["student", "student.pt"])
def test_another_suffix_is_refused(student, tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: the name of an ONNX file ends in .onnx"):
        export(student, tmp_path / name)
    assert not list(tmp_path.iterdir())
