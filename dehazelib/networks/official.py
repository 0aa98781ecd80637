"""Published weights: files of the authors, or of a well-known port, mapped onto the catalogue's networks."""

import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor, nn

from dehazelib.data.images import DataError
from dehazelib.networks import build
from dehazelib.networks.caffemodel import read_caffemodel

# FFA-Net's checkpoints also hold NumPy numbers, which are harmless, under NumPy's old or new names.
NUMPY_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS = [(NUMPY_SCALAR, f"numpy.{module}.multiarray.scalar") for module in ("core", "_core")]
HARMLESS += [np.dtype, type(np.dtype("f4")), type(np.dtype("f8"))]
MSCNN_FILES = {"coarse": "MSCNNDehazing_CL.mat", "fine": "MSCNNDehazing_FL.mat"}
KINDS = {"torch": "a PyTorch file", "caffemodel": "a .caffemodel file", "mat": "a .mat file",
         "folder": f"a folder with {' and '.join(MSCNN_FILES.values())}"}


def load_official(name: str, path: Path | str) -> nn.Module:
    """Returns a network of the catalogue with published weights, in evaluation mode.

    It has the published form, not always the one the paper's tables measured: FFA-Net has 3 x 19 blocks,
    MSCNN and GFN are the authors' and not the port's, DehazeNet's own weights see a centred image.
    name: one of `supported()`. path: the published file: PyTorch's (any ending), .mat or .caffemodel; for
    mscnn the folder that holds its two .mat files. No code in a file is ever run.
    Raises ValueError for a network without published weights known here; FileNotFoundError if the file is
    absent; DataError if it cannot be read or does not hold this network, naming the first misfit.
    Source: the repositories named in each network's own file.
    """
    path = Path(path)
    if name not in supported():
        raise ValueError(f"No published weights of {name!r} are known, only of {', '.join(supported())}.")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file. Give the published weights of {name}.")
    endings = {".caffemodel": "caffemodel", ".mat": "mat"}
    kind = "folder" if path.is_dir() else endings.get(path.suffix.lower(), "torch")
    if (name, kind) not in PUBLISHED:
        published = " or ".join(KINDS[known] for network, known in PUBLISHED if network == name)
        raise DataError(f"{path}: the weights of {name} are published as {published}, not as {KINDS[kind]}.")
    published = PUBLISHED[name, kind]
    network = build(name, **published.options)
    fill(network, tensors(published, path), published.names, f"{path} holds no published {name}")
    return network.eval()


def supported() -> tuple[str, ...]:
    """Returns the names of the networks whose published weights can be loaded."""
    return tuple(dict.fromkeys(name for name, _ in PUBLISHED))


@dataclass(frozen=True)
class Published:
    """A published file: its reader, their names of our modules or tensors, and our network's options.

    Of the entries of `names` that begin a tensor's name the longest holds; without one it is not in the file.
    """

    read: Callable[[Path], dict[str, Tensor]]
    names: dict[str, str]
    options: dict = field(default_factory=dict)


def theirs(ours: str, names: dict[str, str]) -> str | None:
    """Returns their name of our tensor, or None if their file does not hold it.

    >>> theirs("conv1.weight", {"conv1": "e_conv1"})
    'e_conv1.weight'
    """
    parts = ours.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        if prefix in names:
            return ".".join([names[prefix], *parts[count:]])
    return None


@torch.no_grad()
def fill(network: nn.Module, given: dict[str, Tensor], names: dict[str, str], complaint: str) -> None:
    """Copies tensors into a network.

    given: by their names. names: theirs of ours, see Published.
    Raises DataError, beginning with `complaint`, at the first tensor that is wrong.
    """
    ours = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    wanted = {theirs(name, names): tensor for name, tensor in ours.items() if theirs(name, names)}
    for name in [*wanted, *given]:
        found, expected = (tuple(x[name].shape) if name in x else "absent" for x in (given, wanted))
        if found != expected:
            raise DataError(f"{complaint}: the tensor {name} should be {expected}, it is {found}.")
        if not given[name].isfinite().all():
            raise DataError(f"{complaint}: the tensor {name} has values that are not finite.")
    for name, tensor in wanted.items():
        tensor.copy_(given[name])


# -------------------------------------------------------------------------------------------------- readers


def tensors(published: Published, path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file by their names. Raises DataError if it cannot be read."""
    try:
        return published.read(path)
    except (DataError, FileNotFoundError):
        raise
    except Exception as error:  # on a damaged file the readers fail in any way they like
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:100]
        raise DataError(f"{path}: damaged, or another kind of file than its name says ({reason}); fetch the "
                        "published file again.") from None


def read_torch(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a state dictionary, alone or in a checkpoint, without DataParallel's prefix."""
    try:
        with torch.serialization.safe_globals(HARMLESS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks to run {code[1]}" if code else "it is no plain PyTorch checkpoint"
        raise DataError(f"{path}: refused, {reason}; only tensors are ever loaded. Fetch the published file "
                        "again.") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(wrapper), dict):
            checkpoint = checkpoint[wrapper]
    if not isinstance(checkpoint, dict):
        raise DataError(f"{path}: holds a {type(checkpoint).__name__}, expected a dictionary of tensors.")
    return {str(k).removeprefix("module."): v for k, v in checkpoint.items() if isinstance(v, Tensor)}


def read_caffe(path: Path) -> dict[str, Tensor]:
    """Returns LAYER.weight and LAYER.bias, or LAYER.running_mean and LAYER.running_var of a BatchNorm layer.

    Caffe keeps running sums; their weight is the third blob, by which the first two are divided.
    """
    result = {}
    for layer in read_caffemodel(path):
        blobs, roles = [torch.from_numpy(blob) for blob in layer.blobs], ("weight", "bias")
        if layer.type == "BatchNorm":
            *sums, weight = blobs
            blobs, roles = [total / weight for total in sums], ("running_mean", "running_var")
        for role, blob in zip(roles, blobs, strict=True):
            result[f"{layer.name}.{role}"] = blob
    return result


def read_caffe_of_matlab(path: Path) -> dict[str, Tensor]:
    """Returns the same, each kernel's height and width exchanged: MATLAB's Caffe sees images transposed."""
    return {name: x.mT.contiguous() if x.dim() == 4 else x for name, x in read_caffe(path).items()}


def read_dehazenet_mat(path: Path) -> dict[str, Tensor]:
    """Returns LAYER.weight and LAYER.bias of weights_LAYER, (inputs, k k, outputs), and biases_LAYER."""
    result = {}
    for name, array in loadmat(path).items():
        role, _, layer = name.partition("_")
        if role == "weights":
            inputs, area, *_ = array.shape
            kernels = array.reshape(inputs, area, -1).transpose(2, 0, 1)  # (outputs, inputs, k k), by columns
            side = math.isqrt(area)
            kernels = kernels.reshape(-1, inputs, side, side)  # (outputs, inputs, column, row)
            result[f"{layer}.weight"] = torch.from_numpy(kernels.swapaxes(2, 3).copy())
        elif role == "biases":
            result[f"{layer}.bias"] = torch.from_numpy(array.ravel())
    return result


def read_mscnn_mat(folder: Path) -> dict[str, Tensor]:
    """Returns PART.LAYER.weight and PART.LAYER.bias, LAYER counted in MatConvNet's list."""
    result = {}
    for part, file in MSCNN_FILES.items():
        if not (folder / file).exists():
            raise FileNotFoundError(f"{folder / file}: no such file. Give {KINDS['folder']}.")
        for i, cell in enumerate(loadmat(folder / file)["net"]["layers"][0, 0].ravel()):
            layer = cell[0, 0]
            if "filters" in layer.dtype.names:
                filters = layer["filters"]  # (k, k, inputs, outputs); MATLAB drops a last side of 1
                filters = filters[..., None] if filters.ndim == 3 else filters
                result[f"{part}.{i}.weight"] = torch.from_numpy(filters.transpose(3, 2, 0, 1).copy())
                result[f"{part}.{i}.bias"] = torch.from_numpy(layer["biases"].ravel())
    return result


# --------------------------------------------------------------------------------- their names of our modules


def numbered(ours: str, theirs: str, count: int) -> dict[str, str]:
    return {f"{ours}{i}": f"{theirs}{i}" for i in range(1, count + 1)}


def gcanet() -> dict[str, str]:
    names = {"gate": "gate", "decoder.0": "deconv3", "decoder.1": "norm4", "decoder.3": "deconv2",
             "decoder.4": "norm5", "decoder.6": "deconv1"}
    for i in range(3):
        names |= {f"encoder.{3 * i}": f"conv{i + 1}", f"encoder.{3 * i + 1}": f"norm{i + 1}"}
    for block in range(7):
        layers = ("pre_conv", "conv", "norm") if block < 6 else ("conv", "norm")  # the last is not dilated
        for half in range(2):
            for i, layer in enumerate(layers, half * (len(layers) + 1)):
                names[f"blocks.{block}.body.{i}"] = f"res{block + 1}.{layer}{half + 1}"
                if layer == "pre_conv":
                    names[f"blocks.{block}.body.{i}.kernel"] = f"res{block + 1}.{layer}{half + 1}.weight"
    return names


def ffa_net(blocks: int) -> dict[str, str]:
    names = {"head": "pre.0", "tail": "post", "fusion.mlp.0": "ca.1", "fusion.mlp.2": "ca.3",
             "pixel_attention.mlp": "palayer.pa"}
    for group in range(3):
        names[f"groups.{group}.body"] = f"g{group + 1}.gp"
        for block in range(blocks):
            ours, theirs = f"groups.{group}.body.{block}", f"g{group + 1}.gp.{block}"
            names[f"{ours}.channel_attention.mlp"] = f"{theirs}.calayer.ca"
            names[f"{ours}.pixel_attention.mlp"] = f"{theirs}.palayer.pa"
    return names


def griddehazenet() -> dict[str, str]:
    names = {"coefficients": "coefficient", "head": "conv_in", "tail": "conv_out"}
    dense = {"first": "rdb_in", "last": "rdb_out"}
    dense |= {f"across.{row}.{i}": f"rdb_module.{row}_{i}" for row in range(3) for i in range(5)}
    for ours, theirs in dense.items():
        names[f"{ours}.mix"] = f"{theirs}.conv_1x1"
        names |= {f"{ours}.dense.{i}": f"{theirs}.residual_dense_layers.{i}.conv" for i in range(4)}
    for row in range(2):
        for i in range(3):
            names[f"down.{row}.{i}.0"] = f"downsample_module.{row}_{i}.conv1"
            names[f"down.{row}.{i}.2"] = f"downsample_module.{row}_{i}.conv2"
            names[f"up.{row}.{i}.deconvolution"] = f"upsample_module.{row}_{i + 3}.deconv"
            names[f"up.{row}.{i}.conv"] = f"upsample_module.{row}_{i + 3}.conv"
    return names


def gunet(depth: int) -> dict[str, str]:
    names = {"first": "inconv.proj", "last": "outconv.proj.0"}
    within = {"norm": "norm", "value": "conv.Wv", "gate": "conv.Wg.0", "projection": "conv.proj"}
    stages = {"middle": 3} | {f"encoder.{i}": i for i in range(3)} | {f"decoder.{i}": 6 - i for i in range(3)}
    for ours, theirs in stages.items():
        for i in range(depth if ours != "middle" else 2 * depth):
            names |= {f"{ours}.{i}.{a}": f"layers.{theirs}.blocks.{i}.{b}" for a, b in within.items()}
    for i in range(3):
        names |= {f"down.{i}": f"downs.{i}.proj", f"up.{i}.0": f"ups.{i}.proj.0", f"skip.{i}": f"skips.{i}",
                  f"fusion.{i}.mlp.0": f"fusions.{i}.mlp.1", f"fusion.{i}.mlp.2": f"fusions.{i}.mlp.3"}
    return names


def dehazeformer(depths: tuple[int, ...]) -> dict[str, str]:
    names = {"first": "patch_embed.proj", "last": "patch_unembed.proj.0", "skip1": "skip1", "skip2": "skip2",
             "down1": "patch_merge1.proj", "down2": "patch_merge2.proj", "up2.0": "patch_split1.proj.0",
             "up1.0": "patch_split2.proj.0", "fusion2": "fusion1", "fusion1": "fusion2"}
    within = {"norm": "norm1", "norm.scale": "norm1.meta1", "norm.shift": "norm1.meta2", "values": "attn.V",
              "projection": "attn.proj", "conv": "attn.conv", "queries_keys": "attn.QK", "mlp": "mlp.mlp",
              "attention.position_bias": "attn.attn.meta",
              "attention.positions": "attn.attn.relative_positions"}
    for stage, depth in enumerate(depths):
        for i in range(depth):
            block = f"layer{stage + 1}.blocks.{i}"
            names |= {f"stages.{stage}.{i}.{ours}": f"{block}.{theirs}" for ours, theirs in within.items()}
    return names


def famed_net() -> dict[str, str]:
    names = {"fusion": "conv5-fusion-all"}
    for scale, suffix in enumerate(("", "-ds2", "-ds4")):
        names[f"encoders.{scale}.conv5"] = f"conv5{suffix}"
        for i in range(1, 5):
            ours, theirs = f"encoders.{scale}.conv{i}", f"conv{i}{suffix}"
            names[f"{ours}.0"] = theirs
            for role in ("weight", "bias"):
                names[f"{ours}.1.{role}"] = f"scale_{theirs}.{role}"
            for role in ("running_mean", "running_var"):
                names[f"{ours}.1.{role}"] = f"bn_{theirs}.{role}"
    return names


def gfn() -> dict[str, str]:
    names = {"enlarge.0.0": "s2_up1", "enlarge.1.0": "s3_up2"}
    for scale, ours in enumerate(("coarse", "middle", "fine"), 1):
        for i, stage in enumerate(("e1", "e2", "e3", "d1", "d2", "d3")):
            names |= {f"{ours}.stages.{i}.{2 * j}": f"s{scale}_{stage}conv{j + 1}" for j in range(3)}
        names[f"{ours}.gates.0"] = f"s{scale}_d3conv3"
    return names


DEHAZENET_PORT = {"features": "conv1", "scales.0": "conv2", "scales.1": "conv3", "scales.2": "conv4",
                  "regression": "conv5"}
DEHAZENET_MAT = {"features": "conv1", "scales.0": "conv3x3", "scales.1": "conv5x5", "scales.2": "conv7x7",
                 "regression": "ip"}
MSCNN = {"coarse": "coarse", "fine_first": "fine.0", "fine.0": "fine.5", "fine.5": "fine.10",
         "fine.9": "fine.14"}
PUBLISHED = {
    ("aod_net", "torch"): Published(read_torch, numbered("conv", "e_conv", 5)),
    ("aod_net", "caffemodel"): Published(read_caffe, numbered("conv", "conv", 5)),
    ("ld_net", "torch"): Published(read_torch, numbered("conv", "e_conv_layer", 8)),
    ("gcanet", "torch"): Published(read_torch, gcanet()),
    ("dehazenet", "torch"): Published(read_torch, DEHAZENET_PORT),
    ("dehazenet", "mat"): Published(read_dehazenet_mat, DEHAZENET_MAT, {"normalisation": "centred"}),
    ("ffa_net", "torch"): Published(read_torch, ffa_net(19), {"blocks": 19}),
    ("griddehazenet", "torch"): Published(read_torch, griddehazenet()),
    ("gunet_t", "torch"): Published(read_torch, gunet(2)),
    ("dehazeformer_t", "torch"): Published(read_torch, dehazeformer((4, 4, 4, 2, 2))),
    ("mscnn", "folder"): Published(read_mscnn_mat, MSCNN, {"form": "official"}),
    ("famed_net", "caffemodel"): Published(read_caffe, famed_net()),
    ("gfn", "caffemodel"): Published(read_caffe_of_matlab, gfn(), {"form": "official"}),
}
