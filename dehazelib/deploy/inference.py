"""A trained network on images of any size: in one piece, or in strips that give the same result."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.networks.student import OuterBlock, Student

SHIPPED = paths.WEIGHTS / "sots.safetensors"  # the study's student
DEFAULT = "photo"  # of the sets of weights that come along
FLOAT32_PIXELS = 4_000_000  # of one image; the student's feature maps of larger ones are kept in float16
WHOLE_PIXELS = {"cpu": 200_000, "cuda": 4_000_000}  # of an image that runs in one piece; larger ones run in strips
STRIP_PIXELS = {"cpu": 40_000, "cuda": 1_000_000}  # of one strip: on a CPU its maps stay in the cache
STRIP_ROWS = 32  # at least: two more rows on either side are computed twice
KEPT_MB = 256  # of freed memory, by a process that dehazes photographs: a strip's; else it is asked for again each time
LEVELS = {torch.uint8: 255, torch.uint16: 65535}


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
    height, width = images.shape[2:]
    device, dtype = _home(network, here)
    images = images.to(device)
    kind = _kind(device)
    small = height * width <= WHOLE_PIXELS[kind] and averages is None
    if small or not isinstance(network, Student):
        hazy = _unit(images, dtype)
        return _finished(network(hazy), hazy, strength, images.dtype).to(here)
    exact = height * width <= FLOAT32_PIXELS or dtype.itemsize == 2
    kept = dtype if exact else torch.float16
    return by_strips(network, images, strip_rows(width, kind), kept, strength, averages, tick).to(here)


def strip_rows(width: int, device: str = "cpu") -> int:
    """Returns how many rows of an image of this width make a strip."""
    return max(STRIP_ROWS, STRIP_PIXELS[device] // width)


@torch.no_grad()
def by_strips(student: Student, image: Tensor, rows: int, kept: torch.dtype = torch.float32, strength: float = 1.0,
              averages: Callable[[Tensor], Tensor] | None = None, tick: Callable[[int, int], None] | None = None
              ) -> Tensor:
    """Returns what `run` does for a student, computed layer by layer in strips of `rows`.

    Each strip is read with the rows around it that its convolutions see, and the averages of channel attention are
    taken over the whole image, so there are no seams: with kept = float32 the result is that of student(image) up to
    rounding, with float16 within 1/255 of it. At most four whole feature maps of 16 channels are held at a time, as
    `kept`: 256 bytes per pixel in float32, 128 in float16.
    averages: given each of those averages (B, C, 1, 1), in the order of the layers, returns what to use instead.
    Raises FloatingPointError where features are not finite, for example beyond 65,504 in float16.
    """
    device, dtype = _home(student, image.device)
    height = image.shape[2]
    layers = 2 + sum(2 * len(group.body) - 1 for group in student.groups)
    strips = _Strips(rows, dtype, averages, tick, total=layers * -(-height // rows))
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    shape = (len(image), student.head.out_channels, *image.shape[2:])

    def normalised(hazy: Tensor) -> Tensor:
        return (hazy - student.mean) / student.std

    def output(hazy: Tensor, *features: Tensor) -> Tensor:
        fused = reduce(add, (w * f for w, f in zip(weights, features)))
        dehazed = student.tail(student.pixel_attention(fused)) + normalised(hazy)
        return _finished(dehazed, hazy, strength, image.dtype)

    feature = torch.empty(shape, dtype=kept, device=device, memory_format=layout)
    strips.layer(lambda hazy: student.head(normalised(hazy)), [image], feature, halo=1)
    features, means = [], []
    for group in student.groups:
        feature, mean = _group(group, feature, strips)
        features.append(feature)
        means.append(mean)
    weights = student.fusion.mlp(torch.cat(means, 1)).chunk(len(features), 1)
    result = torch.empty_like(image)
    strips.layer(output, [image, *features], result, halo=2)
    return result


def _group(group: OuterBlock, start: Tensor, strips: "_Strips") -> tuple[Tensor, Tensor]:
    """Returns an outer block's output for the feature map `start`, and the output's mean (B, C, 1, 1)."""
    *blocks, last = group.body
    source, x, y = start, torch.empty_like(start), torch.empty_like(start)
    for block in blocks:
        mean = strips.averaged(lambda x: block.conv2(torch.relu(block.conv1(x)).add_(x)), [source], y, halo=2)
        weights = block.channel_attention.mlp(mean)
        strips.layer(lambda x, y: block.pixel_attention(y * weights).add_(x), [source, y], x)
        source = x
    return y, strips.averaged(lambda x, start: last(x).add_(start), [x, start], y, halo=1)


@dataclass
class _Strips:
    """Layers of one image, computed strip by strip."""

    rows: int
    dtype: torch.dtype  # of the computation
    averages: Callable[[Tensor], Tensor] | None
    tick: Callable[[int, int], None] | None
    total: int  # strips, of all layers
    done: int = 0

    def layer(self, function: Callable, maps: list[Tensor], output: Tensor, halo: int = 0,
              total: Tensor | None = None) -> None:
        """Writes function(*maps) into `output`, and adds its sum over all pixels to `total`, (B, C, 1, 1).

        halo: how many rows above and below a pixel the function's convolutions see. Without any, output may be one of
        maps.
        """
        for top in range(0, output.shape[2], self.rows):
            first = max(top - halo, 0)
            read = [_unit(x[:, :, first:top + self.rows + halo], self.dtype) for x in maps]
            output[:, :, top:top + self.rows] = function(*read)[:, :, top - first:top - first + self.rows]
            if total is not None:  # of what is stored: float16 may overflow
                total += output[:, :, top:top + self.rows].to(total.dtype).sum((2, 3), keepdim=True)
            self.done += 1
            if self.tick:
                self.tick(self.done, self.total)

    def averaged(self, function: Callable, maps: list[Tensor], output: Tensor, halo: int) -> Tensor:
        """As `layer`; returns the output's mean over all pixels, (B, C, 1, 1)."""
        exact = torch.promote_types(self.dtype, torch.float32)
        total = torch.zeros(*output.shape[:2], 1, 1, device=output.device, dtype=exact)
        self.layer(function, maps, output, halo, total)
        mean = (total / output[0, 0].numel()).to(self.dtype)
        if not mean.isfinite().all():
            raise FloatingPointError(f"The network's features are not finite in {output.dtype}: check its weights, "
                                     "or give a smaller image.")
        return self.averages(mean) if self.averages else mean


def _home(network: Callable, here: torch.device) -> tuple[torch.device, torch.dtype]:
    """Returns where a network computes, and in what precision."""
    parameters = network.parameters() if isinstance(network, nn.Module) else []
    for parameter in parameters:
        return parameter.device, parameter.dtype
    return here, torch.float32


def _kind(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else "cuda"


def _unit(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the pixels, uint8, uint16 or floats, as floats in [0, 1]; feature maps as they are."""
    if pixels.dtype not in LEVELS:
        return pixels.to(dtype)
    return (pixels.float() / LEVELS[pixels.dtype]).to(dtype)


def _finished(dehazed: Tensor, hazy: Tensor, strength: float, dtype: torch.dtype) -> Tensor:
    """Returns a network's output for `hazy` as it is handed out: clamped, blended, and in the type of the image."""
    if not dehazed.isfinite().all():
        raise FloatingPointError("The network's output is not finite: check its weights.")
    dehazed = dehazed.clamp(0, 1)
    if strength < 1:
        dehazed = hazy.lerp(dehazed, strength)
    if dtype not in LEVELS:
        return dehazed.to(dtype)
    return (dehazed.float() * LEVELS[dtype]).round().to(dtype)
