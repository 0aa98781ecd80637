"""Published weights land in the right places, and nothing else passes for them."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat
from torch import Tensor, nn

from dehazelib.data.images import DataError
from dehazelib.data.reside import SOTS
from dehazelib.haze import remove_haze
from dehazelib.metrics import psnr_rgb
from dehazelib.networks import build, official
from dehazelib.networks.caffemodel import read_caffe
from dehazelib.networks.official import load_official
from image_folders import open_pairs


def published(case: str, network: nn.Module) -> dict[str, Tensor]:
    """Returns a network's tensors by their published names, which the golden data pin."""
    rules = yaml.safe_load(official.NAMES.read_text(encoding="utf-8")).get(case, {})
    return {name: tensor.detach().clone() for name, tensor in official.wanted(network, rules).items()}


def scrambled(case: str) -> nn.Module:
    """Returns a network in its published form whose every tensor is random."""
    torch.manual_seed(0)
    name, _, kind = case.partition(" ")
    network = build(name, **official.PUBLISHED[name, kind][1]).eval()
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_floating_point() and name not in ("mean", "std"):
            tensor.data += 0.02 * (torch.rand_like(tensor) - 0.5)
    return network


# -------------------------------------------------------------------------------------------- the writers


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray) -> bytes:
    dimensions = b"".join(varint(n) for n in array.shape)
    return message(7, message(1, dimensions)) + message(5, array.astype("<f4").tobytes())


def layer(name: str, kind: str, arrays: list[np.ndarray]) -> bytes:
    return message(100, message(1, name.encode()) + message(2, kind.encode())
                   + b"".join(message(7, blob(array)) for array in arrays))


def caffemodel(tensors: dict[str, Tensor]) -> bytes:
    arrays = {name: x.numpy() for name, x in tensors.items()}
    content = message(1, b"network") + layer("relu1", "ReLU", [])
    for name in dict.fromkeys(key.rpartition(".")[0] for key in arrays):
        if f"{name}.running_mean" in arrays:
            total = [arrays[f"{name}.running_{x}"] * np.float32(8) for x in ("mean", "var")]
            content += layer(name, "BatchNorm", [*total, np.array([8.0])])
        else:
            content += layer(name, "Convolution", [arrays[f"{name}.weight"], arrays[f"{name}.bias"]])
    return content


def write_dehazenet_mat(path: Path, tensors: dict[str, Tensor]) -> Path:
    variables = {}
    for name, x in tensors.items():
        title, _, role = name.rpartition(".")
        if role == "weight":  # (inputs, k k column by column, outputs)
            flat = [[k.flatten(order="F") for k in kernels] for kernels in x.numpy()]
            array = np.stack(flat, -1)
            variables[f"weights_{title}"] = array[..., 0] if title == "ip" else array
        else:
            variables[f"biases_{title}"] = x.numpy()[:, None]
    savemat(path, variables)
    return path


def write_mscnn(folder: Path, tensors: dict[str, Tensor]) -> Path:
    folder.mkdir()
    for part, file in (("coarse", "MSCNNDehazing_CL.mat"), ("fine", "MSCNNDehazing_FL.mat")):
        layers = np.empty((1, 15), object)
        for i in range(15):
            layers[0, i] = {"type": "relu"}
            if f"{part}.{i}.weight" in tensors:
                filters = tensors[f"{part}.{i}.weight"].permute(2, 3, 1, 0).numpy()
                layers[0, i] = {"filters": filters[..., 0] if i == 14 else filters,
                                "biases": tensors[f"{part}.{i}.bias"].numpy()[None]}
        savemat(folder / file, {"net": {"layers": layers}})
    return folder


def write(case: str, folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Writes the tensors in the form in which this network was published, and returns where."""
    path = folder / "weights.pth"
    parallel = {f"module.{name}": x for name, x in tensors.items()}
    if case == "mscnn folder":
        return write_mscnn(folder / "mscnn", tensors)
    if case == "dehazenet mat":
        return write_dehazenet_mat(path.with_suffix(".mat"), tensors)
    if case.endswith("caffemodel"):
        if case.startswith("gfn"):  # MATLAB's Caffe exchanges height and width
            tensors = {name: x.mT if x.dim() == 4 else x for name, x in tensors.items()}
        path.with_suffix(".caffemodel").write_bytes(caffemodel(tensors))
        return path.with_suffix(".caffemodel")
    contents = {"ffa_net torch": {"step": 1, "max_psnr": np.mean([36.0]), "losses": [0.1], "model": parallel},
                "gunet_t torch": {"cur_epoch": 3, "state_dict": parallel}, "griddehazenet torch": parallel}
    torch.save(contents.get(case, tensors), path, _use_new_zipfile_serialization=case != "aod_net torch")
    return path


# ---------------------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("case", [f"{name} {kind}" for name, kind in official.PUBLISHED])
@torch.no_grad()
def test_weights_in_the_published_layout_give_back_the_same_network(case, tmp_path):
    network = scrambled(case)
    loaded = load_official(case.split()[0], write(case, tmp_path, published(case, network)))
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(loaded.state_dict()[name], tensor, msg=lambda text: name + text)
    hazy = torch.rand(1, 3, 40, 48)
    assert not loaded.training
    torch.testing.assert_close(loaded(hazy), network(hazy))


def change(tensors: dict, name: str, value: Tensor | None) -> dict:
    return {k: v for k, v in {**tensors, name: value}.items() if v is not None}


@pytest.mark.parametrize("name, value, message", [
    ("e_conv3.weight", None, r"the tensor e_conv3.weight should be \(3, 6, 5, 5\), it is absent"),
    ("e_conv3.bias", torch.ones(4), r"the tensor e_conv3.bias should be \(3,\), it is \(4,\)"),
    ("e_conv6.weight", torch.ones(2, 1), r"the tensor e_conv6.weight should be absent, it is \(2, 1\)"),
    ("e_conv1.bias", torch.full((3,), torch.nan), "the tensor e_conv1.bias has values that are not finite"),
])
def test_a_file_that_does_not_fit_names_the_first_tensor(name, value, message, tmp_path):
    tensors = change(published("aod_net torch", build("aod_net")), name, value)
    with pytest.raises(DataError, match=f"weights.pth holds no published aod_net: {message}"):
        load_official("aod_net", write("aod_net torch", tmp_path, tensors))


def test_the_weights_of_another_network_are_refused(tmp_path):
    ld_net = write("ld_net torch", tmp_path, published("ld_net torch", build("ld_net")))
    with pytest.raises(DataError, match="no published gcanet: the tensor conv1.weight should be"):
        load_official("gcanet", ld_net)


def test_numpy_numbers_in_an_old_checkpoint_are_harmless(tmp_path):
    path = tmp_path / "weights.pth"
    weights = published("aod_net torch", build("aod_net"))
    torch.save({"psnr": np.mean([36.0]), "state_dict": weights}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))  # as NumPy 1 wrote them
    assert load_official("aod_net", path).conv3.weight.equal(weights["e_conv3.weight"])


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(zipped, tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "weights.pth"
    torch.save({"e_conv1.weight": Malicious()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="refused, it asks to run posix.mkdir; only tensors are ever loaded"):
        load_official("aod_net", path)
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(DataError, match="refused|damaged"), pytest.warns(UserWarning, match="protocol 4"):
        load_official("aod_net", path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("case", ["aod_net torch", "ld_net torch", "aod_net caffemodel", "dehazenet mat"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(case, kept, tmp_path):
    path = write(case, tmp_path, published(case, scrambled(case)))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="weights.* (damaged|refused|not a|should be)"):
        load_official(case.split()[0], path)


@pytest.mark.parametrize("ending", ["pth", "caffemodel", "mat"])
def test_a_web_page_saved_as_weights_is_refused(ending, tmp_path):
    path = tmp_path / f"weights.{ending}"
    path.write_text("<!DOCTYPE html><title>Quota exceeded</title>" * 20)
    name = "dehazenet" if ending == "mat" else "aod_net"
    with pytest.raises(DataError, match="weights.*(damaged|refused|not a).*[Ff]etch the published"):
        load_official(name, path)


def test_unknown_names_kinds_and_paths_say_what_there_is(tmp_path):
    with pytest.raises(ValueError, match="No published weights of 'student' are known, only of aod_net"):
        load_official("student", tmp_path)
    with pytest.raises(FileNotFoundError, match="absent.pth: no such file"):
        load_official("gcanet", tmp_path / "absent.pth")
    with pytest.raises(DataError, match="gcanet are published as a PyTorch file, not as a .mat file"):
        load_official("gcanet", write_dehazenet_mat(tmp_path / "x.mat", {"conv1.bias": torch.ones(2)}))
    with pytest.raises(FileNotFoundError, match="MSCNNDehazing_CL.mat: no such file"):
        load_official("mscnn", tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match="holds a list, expected a dictionary of tensors"):
        load_official("gcanet", tmp_path / "list.pth")


def test_both_generations_of_caffe_models_are_read_alike(tmp_path):
    values = np.arange(24, dtype="<f4").reshape(1, 2, 3, 4)
    sides = b"".join(varint(i << 3) + varint(n) for i, n in enumerate(values.shape, 1))
    unpacked = b"".join(varint(5 << 3 | 5) + struct.pack("<f", x) for x in values.ravel())
    old = message(2, message(4, b"conv1") + varint(5 << 3) + varint(4) + message(6, sides + unpacked))
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(layer("conv1", "Convolution", [values]))
    for file in ("old", "new"):
        np.testing.assert_array_equal(read_caffe(tmp_path / file)["conv1.weight"], values)


@pytest.mark.parametrize("content, reason", [
    (layer("conv1", "Convolution", [np.ones(3)])[:-1], "not a whole Caffe model"),
    (layer("relu1", "ReLU", []), "no layer has weights"),
    (message(100, message(1, b"conv1") + message(7, message(7, message(1, varint(5)))
                                                 + message(5, np.ones(4, "<f4").tobytes()))),
     r"a blob of shape \(5,\) holds 4 values")])
def test_a_damaged_caffe_model_is_refused(tmp_path, content, reason):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_caffe(tmp_path / "x")


DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
OFFICIAL = Path(os.environ.get("DEHAZE_OFFICIAL", "absent"))


@pytest.mark.skipif(not DATA.is_dir(), reason="no data")
@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="no official weights")
@pytest.mark.parametrize("name, file, decibels", [
    ("aod_net", "dehazer.pth", 19.41), ("aod_net", "AOD_Net.caffemodel", 19.49),
    ("ld_net", "trained_LDNet.pth", 18.77), ("gcanet", "wacv_gcanet_dehaze.pth", 25.77),
    ("famed_net", "FAMED-Net.caffemodel", 26.01), ("dehazenet", "dehaze.mat", 17.91),
])
@torch.no_grad()
def test_the_real_files_score_as_known_on_one_sots_pair(name, file, decibels):
    sots = open_pairs(DATA, SOTS)
    hazy, clear = (torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255
                   for x in (sots.hazy("1400_3"), sots.clear(1400)))
    network = load_official(name, OFFICIAL / file)
    if name == "dehazenet":  # the known figure is without guided filter, at airlight 1
        dehazed = remove_haze(hazy, network.transmission(hazy), 1.0, 0.1)
    else:
        dehazed = network(hazy)
    assert psnr_rgb(dehazed, clear).item() == pytest.approx(decibels, abs=0.01)
