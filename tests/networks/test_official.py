"""Published weights land in the right places, and nothing else passes for them."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import Tensor, nn

from dehazelib.data.images import DataError
from dehazelib.data.reside import SOTS, open_pairs
from dehazelib.haze import remove_haze
from dehazelib.metrics import psnr_rgb
from dehazelib.networks import build
from dehazelib.networks.caffemodel import read_caffe
from dehazelib.networks.official import load_official, supported

# ------------------------------------------------------- the published layers, in the order of ours


def ffa_group(g: int) -> list[str]:
    block = ("conv1", "conv2", "calayer.ca.0", "calayer.ca.2", "palayer.pa.0", "palayer.pa.2")
    return [f"g{g}.gp.{b}.{layer}" for b in range(19) for layer in block] + [f"g{g}.gp.19"]


def grid_dense(name: str) -> list[str]:
    return [f"{name}.residual_dense_layers.{i}.conv" for i in range(4)] + [f"{name}.conv_1x1"]


def gunet_stage(i: int, depth: int) -> list[str]:
    layers = ("norm", "conv.Wv.0", "conv.Wv.1", "conv.Wg.0", "conv.proj")
    return [f"layers.{i}.blocks.{b}.{layer}" for b in range(depth) for layer in layers]


def former_stage(i: int, plain: int, attentive: int) -> list[str]:
    layers = ("attn.V", "attn.proj", "attn.conv", "mlp.mlp.0", "mlp.mlp.2")
    attention = ("norm1", "norm1.meta1", "norm1.meta2", *layers[:3],
                 "attn.QK", "attn.attn", "attn.attn.meta.0", "attn.attn.meta.2", *layers[3:])
    kinds = [layers] * plain + [attention] * attentive
    return [f"layer{i}.blocks.{b}.{layer}" for b, kind in enumerate(kinds) for layer in kind]


def gfn_scale(s: int) -> list[str]:
    stages = [f"s{s}_{stage}conv{i}" for stage in ("e1", "e2", "e3", "d1", "d2") for i in (1, 2, 3)]
    return [*stages, f"s{s}_d3conv1", f"s{s}_d3conv2", f"s{s}_d3conv3"]


def counted(name: str, numbers: range | tuple, rest: str = "") -> list[str]:
    return [f"{name}{i}{rest}" for i in numbers]


LAYERS = {
    "aod_net": counted("e_conv", range(1, 6)),
    "aod_net caffe": counted("conv", range(1, 6)),
    "ld_net": counted("e_conv_layer", range(1, 9)),
    "gcanet": [
        "conv1", "norm1", "conv2", "norm2", "conv3", "norm3",
        *[f"res{r}.{x}{i}" for r in range(1, 7) for i in (1, 2) for x in ("pre_conv", "conv", "norm")],
        "res7.conv1", "res7.norm1", "res7.conv2", "res7.norm2", "gate",
        "deconv3", "norm4", "deconv2", "norm5", "deconv1"],
    "dehazenet": counted("conv", range(1, 6)),
    "dehazenet mat": ["conv1", "conv3x3", "conv5x5", "conv7x7", "ip"],
    "ffa_net": ["pre.0", *ffa_group(1), *ffa_group(2), *ffa_group(3), "ca.1", "ca.3", "palayer.pa.0",
                "palayer.pa.2", "post.0", "post.1"],
    "griddehazenet": [
        "", "conv_in", "conv_out", *grid_dense("rdb_in"), *grid_dense("rdb_out"),
        *[x for row in range(3) for i in range(5) for x in grid_dense(f"rdb_module.{row}_{i}")],
        *[f"downsample_module.{row}_{i}.conv{j}" for row in (0, 1) for i in (0, 1, 2) for j in (1, 2)],
        *[f"upsample_module.{row}_{i}.{x}" for row in (0, 1) for i in (3, 4, 5) for x in ("deconv", "conv")]],
    "gunet_t": [
        "inconv.proj", *gunet_stage(0, 2), *gunet_stage(1, 2), *gunet_stage(2, 2),
        *counted("downs.", range(3), ".proj"), *gunet_stage(3, 4), *counted("ups.", range(3), ".proj.0"),
        *counted("skips.", range(3)),
        *[f"fusions.{i}.mlp.{j}" for i in range(3) for j in (1, 3)],
        *gunet_stage(6, 2), *gunet_stage(5, 2), *gunet_stage(4, 2), "outconv.proj.0"],
    "dehazeformer_t": [
        "patch_embed.proj", *former_stage(1, 4, 0), *former_stage(2, 2, 2), *former_stage(3, 0, 4),
        *former_stage(4, 2, 0), *former_stage(5, 2, 0), "patch_merge1.proj", "patch_merge2.proj",
        "skip1", "skip2", "patch_split1.proj.0", "patch_split2.proj.0",
        "fusion1.mlp.0", "fusion1.mlp.2", "fusion2.mlp.0", "fusion2.mlp.2", "patch_unembed.proj.0"],
    "mscnn": ["coarse.0", "coarse.5", "coarse.10", "coarse.14", "fine.0", "fine.5", "fine.10", "fine.14"],
    "famed_net": [
        *[f"{x}{s}" for s in ("", "-ds2", "-ds4") for i in range(1, 5) for x in (f"conv{i}", f"bn_conv{i}")],
        "conv5-fusion-all"],
    "gfn": [*gfn_scale(1), *gfn_scale(2), *gfn_scale(3), "s2_up1", "s3_up2"],
}
for position, suffix in ((8, ""), (17, "-ds2"), (26, "-ds4")):
    LAYERS["famed_net"].insert(position, f"conv5{suffix}")
OPTIONS = {"dehazenet mat": {"normalisation": "centred"}, "ffa_net": {"inner_blocks": 19},
           "mscnn": {"form": "official"}}
RENAMED = {"kernel": "weight", "coefficients": "coefficient", "positions": "relative_positions"}  # tensors
# Tensors in the real file or in the authors' own network, how many of them, and the shape of some.
FACTS = {
    "aod_net": (10, {"e_conv4.weight": (3, 6, 7, 7)}),
    "ld_net": (16, {"e_conv_layer8.weight": (3, 56, 3, 3)}),
    "gcanet": (75, {"res4.pre_conv2.weight": (1, 1, 7, 7), "gate.weight": (3, 192, 3, 3)}),
    "dehazenet": (10, {"conv4.weight": (16, 4, 7, 7), "conv5.weight": (1, 48, 6, 6)}),
    "ffa_net": (704, {"g3.gp.19.weight": (64, 64, 3, 3), "ca.1.weight": (4, 192, 1, 1)}),
    "griddehazenet": (223, {"coefficient": (3, 6, 2, 64), "upsample_module.1_3.conv.weight": (32, 64, 3, 3)}),
    "gunet_t": (236, {"layers.3.blocks.3.conv.Wv.1.bias": (192,), "fusions.2.mlp.1.weight": (12, 96, 1, 1)}),
    "dehazeformer_t": (258, {"layer2.blocks.2.attn.attn.relative_positions": (64, 64, 2)}),
}


def published(case: str, network: nn.Module) -> dict[str, Tensor]:
    """Returns a network's tensors by their published names. The layers of both stand in the same order."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    tensors = {k: v.detach().clone() for k, v in tensors.items() if k not in ("mean", "std")}
    owners = {name.rpartition(".")[0] for name in tensors}
    modules = [name for name, _ in network.named_modules() if name in owners]
    result = {}
    for module, layer in zip(modules, LAYERS[case], strict=True):
        for name, tensor in tensors.items():
            if name.rpartition(".")[0] == module:
                leaf = name.rpartition(".")[2]
                result[f"{layer}.{RENAMED.get(leaf, leaf)}".lstrip(".")] = tensor
    return result


def scrambled(case: str) -> nn.Module:
    """Returns a network in its published form whose every tensor is random."""
    torch.manual_seed(0)
    network = build(case.split()[0], **OPTIONS.get(case, {})).eval()
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
        weights = [arrays[f"{name}.weight"], arrays[f"{name}.bias"]]
        if f"{name}.running_mean" in arrays:
            total = [arrays[f"{name}.running_{x}"] * np.float32(8) for x in ("mean", "var")]
            content += layer(name, "BatchNorm", [*total, np.array([8.0])])
            content += layer(name.replace("bn_", "scale_"), "Scale", weights)
        else:
            content += layer(name, "Convolution", weights)
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
    if case == "mscnn":
        return write_mscnn(folder / "mscnn", tensors)
    if case == "dehazenet mat":
        return write_dehazenet_mat(path.with_suffix(".mat"), tensors)
    if case in ("aod_net caffe", "famed_net", "gfn"):
        if case == "gfn":  # MATLAB's Caffe exchanges height and width
            tensors = {name: x.mT if x.dim() == 4 else x for name, x in tensors.items()}
        path.with_suffix(".caffemodel").write_bytes(caffemodel(tensors))
        return path.with_suffix(".caffemodel")
    if case == "ffa_net":
        torch.save({"step": 1, "max_psnr": np.mean([36.0]), "losses": [0.1], "model": parallel}, path)
    elif case in ("gunet_t", "dehazeformer_t"):
        torch.save({"cur_epoch": 3, "state_dict": parallel}, path)
    elif case == "griddehazenet":
        path = folder / "indoor_haze_best_3_6"
        torch.save(parallel, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=case == "ld_net")
    return path


# ---------------------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("case", LAYERS)
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


@pytest.mark.parametrize("case", FACTS)
def test_the_layout_of_these_tests_is_that_of_the_real_files(case):
    count, shapes = FACTS[case]
    tensors = published(case, scrambled(case))
    assert len(tensors) == count
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes


def test_every_supported_network_has_its_layout_tested():
    assert set(supported()) == {case.split()[0] for case in LAYERS}


def change(tensors: dict, name: str, value: Tensor | None) -> dict:
    return {k: v for k, v in {**tensors, name: value}.items() if v is not None}


@pytest.mark.parametrize("name, value, message", [
    ("e_conv3.weight", None, r"the tensor e_conv3.weight should be \(3, 6, 5, 5\), it is absent"),
    ("e_conv3.bias", torch.ones(4), r"the tensor e_conv3.bias should be \(3,\), it is \(4,\)"),
    ("e_conv6.weight", torch.ones(2, 1), r"the tensor e_conv6.weight should be absent, it is \(2, 1\)"),
    ("e_conv1.bias", torch.full((3,), torch.nan), "the tensor e_conv1.bias has values that are not finite"),
])
def test_a_file_that_does_not_fit_names_the_first_tensor(name, value, message, tmp_path):
    tensors = change(published("aod_net", build("aod_net")), name, value)
    with pytest.raises(DataError, match=f"weights.pth holds no published aod_net: {message}"):
        load_official("aod_net", write("aod_net", tmp_path, tensors))


def test_the_weights_of_another_network_are_refused(tmp_path):
    ld_net = write("ld_net", tmp_path, published("ld_net", build("ld_net")))
    with pytest.raises(DataError, match="no published gcanet: the tensor conv1.weight should be"):
        load_official("gcanet", ld_net)


def test_numpy_numbers_in_an_old_checkpoint_are_harmless(tmp_path):
    path = tmp_path / "weights.pth"
    weights = published("aod_net", build("aod_net"))
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


@pytest.mark.parametrize("case", ["aod_net", "ld_net", "aod_net caffe", "dehazenet mat"])
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
