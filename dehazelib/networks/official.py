"""Published weights: files of the authors, or of a well-known port, mapped onto the catalogue's networks."""

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from scipy.io import loadmat, whosmat
from torch import Tensor, nn

from dehazelib.data.images import DataError
from dehazelib.networks import build
from dehazelib.networks.caffemodel import read_caffe

# FFA-Net's checkpoints also hold NumPy numbers, which are harmless, under NumPy's old or new names.
NUMPY_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS = [(NUMPY_SCALAR, f"numpy.{module}.multiarray.scalar") for module in ("core", "_core")]
HARMLESS += [np.dtype, type(np.dtype("f4")), type(np.dtype("f8"))]
NAMES = Path(__file__).with_name("official_names.yaml")
MSCNN_FILES = {"coarse": "MSCNNDehazing_CL.mat", "fine": "MSCNNDehazing_FL.mat"}
LARGEST = 20_000_000  # numbers, or bytes, of a .mat file
KINDS = {"torch": "a PyTorch file", "caffemodel": "a .caffemodel file", "mat": "a .mat file",
         "folder": f"a folder with {' and '.join(MSCNN_FILES.values())}"}


def load_official(name: str, path: Path | str) -> nn.Module:
    """Returns a network of the catalogue with published weights, in evaluation mode.

    It has the published form, not always the one the paper's tables measured: FFA-Net has 3 x 19 blocks, MSCNN is the
    authors' and not the port, DehazeNet's own weights see a centred image.
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
    read, options = PUBLISHED[name, kind]
    network = build(name, **options)
    rules = yaml.safe_load(NAMES.read_text(encoding="utf-8")).get(f"{name} {kind}", {})
    fill(network, tensors(read, path), rules, f"{path} holds no published {name}")
    return network.eval()


def supported() -> tuple[str, ...]:
    """Returns the names of the networks whose published weights can be loaded."""
    return tuple(dict.fromkeys(name for name, _ in PUBLISHED))


def theirs(ours: str, rules: dict[str, str]) -> str:
    """Returns their name of our tensor by the rules of official_names.yaml, empty if their file does not hold it.

    >>> theirs("blocks.0.conv.weight", {r"^blocks\\.(\\d)": "res{0}"})
    'res1.conv.weight'
    """
    for pattern, replacement in rules.items():
        found = re.search(pattern, ours)
        if found and "{" in replacement:
            replacement = replacement.format(*(int(number) + 1 for number in found.groups()))
        ours = re.sub(pattern, replacement, ours)
    return ours


def wanted(network: nn.Module, rules: dict[str, str]) -> dict[str, Tensor]:
    """Returns the network's tensors by their names."""
    ours = [*network.named_parameters(), *network.named_buffers()]
    return {theirs(name, rules): tensor for name, tensor in ours if theirs(name, rules)}


@torch.no_grad()
def fill(network: nn.Module, given: dict[str, Tensor], rules: dict[str, str], complaint: str) -> None:
    """Copies tensors into a network.

    given: by their names. rules: see `theirs`.
    Raises DataError, beginning with `complaint`, at the first tensor that is wrong.
    """
    ours = wanted(network, rules)
    for name in [*ours, *given]:
        found, expected = (tuple(x[name].shape) if name in x else "absent" for x in (given, ours))
        if found != expected:
            raise DataError(f"{complaint}: the tensor {name} should be {expected}, it is {found}.")
        if not given[name].isfinite().all():
            raise DataError(f"{complaint}: the tensor {name} has values that are not finite.")
    for name, tensor in ours.items():
        tensor.copy_(given[name])


# -------------------------------------------------------------------------------------------------- readers


def tensors(read: Callable[[Path], dict[str, Tensor]], path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file by their names. Raises DataError if it cannot be read."""
    try:
        return read(path)
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


def read_caffe_of_matlab(path: Path) -> dict[str, Tensor]:
    """Returns the same, each kernel's height and width exchanged: MATLAB's Caffe sees images transposed."""
    return {name: x.mT.contiguous() if x.dim() == 4 else x for name, x in read_caffe(path).items()}


def read_mat(path: Path) -> dict:
    """Returns the variables of a .mat file. Raises DataError where they are larger than any published weights."""
    numbers = sum(math.prod(shape) for _, shape, _ in whosmat(path))
    if numbers > LARGEST or path.stat().st_size > LARGEST:
        raise DataError(f"{path}: refused, it holds {numbers:,} numbers; fetch the published file again.")
    return loadmat(path)


def read_dehazenet_mat(path: Path) -> dict[str, Tensor]:
    """Returns LAYER.weight and LAYER.bias of weights_LAYER, (inputs, k k, outputs), and biases_LAYER."""
    result = {}
    for name, array in read_mat(path).items():
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
        for i, cell in enumerate(read_mat(folder / file)["net"]["layers"][0, 0].ravel()):
            layer = cell[0, 0]
            if "filters" in layer.dtype.names:
                filters = layer["filters"]  # (k, k, inputs, outputs); MATLAB drops a last side of 1
                filters = filters[..., None] if filters.ndim == 3 else filters
                result[f"{part}.{i}.weight"] = torch.from_numpy(filters.transpose(3, 2, 0, 1).copy())
                result[f"{part}.{i}.bias"] = torch.from_numpy(layer["biases"].ravel())
    return result


PUBLISHED = {  # network, kind of file -> reader, our network's options
    ("aod_net", "torch"): (read_torch, {}),
    ("aod_net", "caffemodel"): (read_caffe, {}),
    ("ld_net", "torch"): (read_torch, {}),
    ("gcanet", "torch"): (read_torch, {}),
    ("dehazenet", "torch"): (read_torch, {}),
    ("dehazenet", "mat"): (read_dehazenet_mat, {"normalisation": "centred"}),
    ("ffa_net", "torch"): (read_torch, {"inner_blocks": 19}),
    ("griddehazenet", "torch"): (read_torch, {}),
    ("gunet_t", "torch"): (read_torch, {}),
    ("dehazeformer_t", "torch"): (read_torch, {}),
    ("mscnn", "folder"): (read_mscnn_mat, {"form": "official"}),
    ("famed_net", "caffemodel"): (read_caffe, {}),
    ("gfn", "caffemodel"): (read_caffe_of_matlab, {}),
}
