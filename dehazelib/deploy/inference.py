"""A trained network: its weights, and images through it."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.deploy.strips import by_strips, finished, unit
from dehazelib.networks.student import Student

SHIPPED = paths.WEIGHTS / "sots.safetensors"  # the study's student
DEFAULT = "photo"  # of the sets of weights that come along
FLOAT32_PIXELS = 4_000_000  # of one image; the student's feature maps of larger ones are kept in float16
STRIP_PIXELS = {"cpu": 40_000, "cuda": 4_000_000}  # of one strip: on a CPU most of its maps stay in the cache
STRIP_ROWS = 8  # at least
KEPT_MB = 256  # of freed memory, by a process that dehazes photographs: a strip's; else it is asked for again each time


# ------------------------------------------------------------------------------------------------ weights and device


def shipped() -> dict[str, Path]:
    """Returns the sets of weights that come along, by name."""
    return {file.stem: file for file in sorted(paths.WEIGHTS.glob("*.safetensors"))}


def load(weights: Path | str | None = None, network: str = "student") -> nn.Module:
    """Returns a network with its weights, in evaluation mode.

    weights: the name of a set that comes along (by default `DEFAULT`) or a .safetensors file.
    Raises FileNotFoundError if there is no such file; DataError naming the first tensor that does not fit or is not
    finite.
    """
    known = shipped()
    name = str(weights or DEFAULT)
    path = known.get(name, Path(name).expanduser())
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights. Give --weights FILE, such as a run's weights.safetensors, "
                                f"or one of those that come along: {', '.join(known) or 'none'}.")
    model = networks.build(network)
    try:
        given = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file ({error}).") from None
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in given.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise DataError(f"{path} does not hold a {network}: {key} is {found.get(key, 'absent')}, "
                            f"the network has {wanted.get(key, 'no such tensor')}.")
        if not given[key].isfinite().all():
            raise DataError(f"{path}: {key} holds values that are not finite: its training diverged.")
    model.load_state_dict(given)
    return model.eval()


def chosen_device(name: str = "auto") -> str:
    """Returns the device that is named, cpu or cuda; auto: a CUDA GPU if there is one, else the CPU.

    Raises ValueError if cuda is named and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("There is no CUDA GPU here that this torch can use: choose cpu or auto.")
    if name != "auto":
        return name
    return "cuda" if available else "cpu"


# ------------------------------------------------------------------------------------------------------- the network


@torch.no_grad()
def run(network: Callable, images: Tensor, strength: float = 1.0, averages: Callable[[Tensor], Tensor] | None = None,
        tick: Callable[[int, int], None] | None = None) -> Tensor:
    """Returns the dehazed images, of the same type, on the same device.

    network: computes where its parameters are, and in their precision. images: (B, 3, H, W), uint8, uint16 or floats
    in [0, 1]. strength: 0 returns the images, 1 the network's output, between them a blend. averages: see
    `by_strips`; other networks than a student have none. tick: called with the strips done so far and their number.
    Raises FloatingPointError where the network's output is not finite.
    """
    here = images.device
    device, dtype = _home(network, here)
    images = images.to(device)
    if not isinstance(network, Student):
        hazy = unit(images, dtype)
        return finished(network(hazy), hazy, strength, images.dtype).to(here)
    height, width = images.shape[2:]
    exact = height * width <= FLOAT32_PIXELS or dtype.itemsize == 2
    kept = dtype if exact else torch.float16
    rows = max(STRIP_ROWS, STRIP_PIXELS["cpu" if device.type == "cpu" else "cuda"] // width)
    return by_strips(network, images, rows, kept, strength, averages, tick).to(here)


def _home(network: Callable, here: torch.device) -> tuple[torch.device, torch.dtype]:
    """Returns where a network computes, and in what precision."""
    parameters = network.parameters() if isinstance(network, nn.Module) else []
    for parameter in parameters:
        return parameter.device, parameter.dtype
    return here, torch.float32
