"""A trained student on photographs of any size."""

import os
from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image
from PIL.Image import Transpose
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dehazelib import networks, paths
from dehazelib.data.images import DataError, deep
from dehazelib.networks.student import OuterBlock, Student

SHIPPED = paths.WEIGHTS / "student.safetensors"
FLOAT32_PIXELS = 4_000_000  # of one image; the student's feature maps of larger ones are kept in float16
WHOLE_PIXELS = {"cpu": 200_000, "cuda": 4_000_000}  # of an image that runs in one piece; larger ones run in strips
STRIP_PIXELS = {"cpu": 40_000, "cuda": 1_000_000}  # of one strip: on a CPU its maps stay in the cache
KEPT_MB = 256  # of freed memory, by a process that dehazes photographs: a strip's; else it is asked for again each time
TURNS = {  # EXIF orientation -> what puts the image upright
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}
STRIP_ROWS = 32  # at least: two more rows on either side are computed twice


def load(path: Path | str | None = None, network: str = "student") -> nn.Module:
    """Returns a network with the weights of a .safetensors file, in evaluation mode; by default the shipped student.

    Raises FileNotFoundError if the file is absent, DataError naming the first tensor that does not fit.
    """
    path = Path(path) if path else SHIPPED
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights. Give --weights FILE, such as a run's weights.safetensors.")
    model = networks.build(network)
    try:
        given = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file ({error}).") from None
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in given.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise DataError(f"{path} does not hold a {network}: {name} is {found.get(name, 'absent')}, "
                            f"the network has {wanted.get(name, 'no such tensor')}.")
    model.load_state_dict(given)
    return model.eval()


def chosen_device(name: str = "auto") -> str:
    """Returns the device that is named, cpu or cuda; auto: a CUDA GPU if there is one, else the CPU.

    Raises ValueError if cuda is named and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("There is no CUDA GPU here that this torch can use: choose cpu or auto.")
    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def dehaze(image, weights: Path | str | Callable | None = None):
    """Returns the dehazed image, of the same type, size and number format as `image`, on the same device.

    image: a PIL image (the result is RGB), a NumPy array uint8 (H, W, 3), or a tensor of floats (3, H, W) or
    (B, 3, H, W) in [0, 1]; RGB. weights: a student's .safetensors file, by default the shipped one, or a network as
    `load` returns it, which runs on the device that it is on; one from a file runs where the image is. Raises TypeError
    or ValueError for another image, and what `load` raises.

    Above 200,000 pixels on a CPU (4,000,000 on a GPU) the student runs in strips, see by_strips; up to 4,000,000 pixels
    with feature maps in float32, above in float16. Other networks run in one piece.
    """
    network = weights if callable(weights) else load(weights)
    if isinstance(image, Image.Image):
        if deep(image):
            raise ValueError(f"The image has more than 8 bits a channel (mode {image.mode}): convert it to 8 bits.")
        return Image.fromarray(dehaze(np.array(image.convert("RGB")), network))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"An image as an array must be uint8 (height, width, 3), not {image.dtype} {image.shape}.")
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)
        return _forward(network, pixels[None])[0].permute(1, 2, 0).contiguous().numpy()
    if not isinstance(image, Tensor):
        raise TypeError(f"An image must be a PIL image, a NumPy array or a tensor, not {type(image).__name__}.")
    shape = tuple(image.shape)
    if not image.is_floating_point() or len(shape) not in (3, 4) or shape[-3] != 3 or not image.numel():
        raise ValueError(f"An image as a tensor must be of floats (3, height, width) or (batch, 3, height, width), "
                         f"not {image.dtype} {shape}.")
    low, high = image.min().item(), image.max().item()
    if not (low >= -0.001 and high <= 1.001):  # also refuses NaN
        raise ValueError(f"An image as a tensor must lie in [0, 1]; this one has values from {low:.4g} to {high:.4g}.")
    if weights is not network:
        network.to(image.device)
    return _forward(network, image.reshape(-1, *shape[-3:])).reshape(shape)


def read_photo(photo: Path) -> Image.Image:
    """Returns a photograph upright, in RGB, with its colour profile in `info` if that is one of RGB.

    Transparency is left out; of an animation the first image is taken. Raises FileNotFoundError, or DataError for what
    is no 8-bit image.
    """
    try:
        with Image.open(photo) as opened:
            too_deep, coloured = deep(opened), opened.mode in ("RGB", "RGBA", "P")
            image = None if too_deep else _upright(opened)
    except FileNotFoundError:
        raise FileNotFoundError(f"{photo}: no such file.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{photo}: has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; reduce it first.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{photo}: cannot be read as an image ({error}).") from None
    if image is None:
        raise DataError(f"{photo}: has more than 8 bits a channel; convert it to 8 bits.")
    if not coloured:
        image.info.pop("icc_profile", None)  # of CMYK or grey: it does not describe RGB
    return image


def _upright(photo: Image.Image) -> Image.Image:
    """Returns the image in RGB, turned as its EXIF data say."""
    try:
        orientation = photo.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever a parser of damaged data runs into: the picture itself may be sound
        orientation = 1
    image = photo.convert("RGB")
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def dehaze_file(network: Callable, photo: Path, target: Path) -> None:
    """Dehazes a photograph into a PNG file with the same colour profile; the file appears whole or not at all.

    Raises DataError for a bad image.
    """
    image = read_photo(photo)
    result = dehaze(image, network)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".writing")
    try:
        result.save(scratch, format="PNG", icc_profile=image.info.get("icc_profile"))
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def strip_rows(width: int, device: str = "cpu") -> int:
    """Returns how many rows of an image of this width make a strip."""
    return max(STRIP_ROWS, STRIP_PIXELS["cpu" if device == "cpu" else "cuda"] // width)


@torch.no_grad()
def by_strips(student: Student, image: Tensor, rows: int, kept: torch.dtype = torch.float32) -> Tensor:
    """Returns the student's output for the whole image, clamped to [0, 1], computed layer by layer in strips of `rows`.

    Each strip is read with the rows around it that its convolutions see, and the averages of channel attention are
    taken over the whole image, so there are no seams: with kept = float32 the result is that of student(image) up to
    rounding, with float16 within 1/255 of it. Computes in float32; at most four whole feature maps of 16 channels are
    held at a time, as `kept`: 256 bytes per pixel in float32, 128 in float16.
    image: (B, 3, H, W), uint8 or floats in [0, 1]; the result has its type. Raises FloatingPointError where features
    are not finite, for example beyond 65,504 in float16.
    """
    def normalised(hazy: Tensor) -> Tensor:
        return (hazy - student.mean) / student.std

    def output(hazy: Tensor, *features: Tensor) -> Tensor:
        fused = reduce(add, (w * f for w, f in zip(weights, features)))
        return _as(student.tail(student.pixel_attention(fused)) + normalised(hazy), image.dtype)

    layout = torch.channels_last if image.device.type == "cpu" else torch.contiguous_format
    shape = (len(image), student.head.out_channels, *image.shape[2:])
    feature = torch.empty(shape, dtype=kept, device=image.device, memory_format=layout)
    _layer(lambda hazy: student.head(normalised(hazy)), [image], feature, rows, halo=1)
    features, means = [], []
    for group in student.groups:
        feature, mean = _group(group, feature, rows)
        features.append(feature)
        means.append(mean)
    weights = student.fusion.mlp(torch.cat(means, 1)).chunk(len(features), 1)
    result = torch.empty_like(image)
    _layer(output, [image, *features], result, rows, halo=2)
    return result


def _group(group: OuterBlock, start: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Returns an outer block's output for the feature map `start`, and the output's mean (B, C, 1, 1)."""
    *blocks, last = group.body
    source, x, y = start, torch.empty_like(start), torch.empty_like(start)
    for block in blocks:
        mean = _layer(lambda x: block.conv2(torch.relu(block.conv1(x)).add_(x)), [source], y, rows, halo=2)
        weights = block.channel_attention.mlp(mean)
        _layer(lambda x, y: block.pixel_attention(y * weights).add_(x), [source, y], x, rows, averaged=False)
        source = x
    return y, _layer(lambda x, start: last(x).add_(start), [x, start], y, rows, halo=1)


def _layer(function: Callable, maps: list[Tensor], output: Tensor, rows: int, halo: int = 0,
           averaged: bool = True) -> Tensor | None:
    """Writes function(*maps) into `output`, strip by strip, and returns its mean over all pixels, (B, C, 1, 1).

    halo: how many rows above and below a pixel the function's convolutions see. Without any, output may be one of maps.
    averaged: False returns None, and leaves what is not finite to be found in the next layer.
    """
    height, width = output.shape[2:]
    total = torch.zeros(*output.shape[:2], 1, 1, device=output.device)
    for top in range(0, height, rows):
        first = max(top - halo, 0)
        strip = function(*(_unit(x[:, :, first:top + rows + halo]) for x in maps))[:, :, top - first:top - first + rows]
        output[:, :, top:top + rows] = strip
        if averaged:  # as stored: float16 may overflow
            total += output[:, :, top:top + rows].float().sum((2, 3), keepdim=True)
    if not averaged:
        return None
    mean = total / (height * width)
    if not mean.isfinite().all():
        raise FloatingPointError(f"The network's features are not finite in {output.dtype}: check its weights, "
                                 "or give a smaller image.")
    return mean


@torch.no_grad()
def _forward(network: Callable, images: Tensor) -> Tensor:
    """Returns the network's output for (B, 3, H, W), uint8 or floats, clamped, of the same type and on the same device.

    It is computed where the network's parameters are.
    """
    here, (height, width) = images.device, images.shape[2:]
    if isinstance(network, nn.Module):
        images = images.to(next((p.device for p in network.parameters()), here))
    device = images.device.type
    if not isinstance(network, Student) or height * width <= WHOLE_PIXELS["cpu" if device == "cpu" else "cuda"]:
        return _as(network(_unit(images)), images.dtype).to(here)
    kept = torch.float32 if height * width <= FLOAT32_PIXELS else torch.float16
    return by_strips(network, images, strip_rows(width, device), kept).to(here)


def _unit(pixels: Tensor) -> Tensor:
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()


def _as(image: Tensor, dtype: torch.dtype) -> Tensor:
    image = image.clamp(0, 1)
    return (image * 255).round().to(dtype) if dtype == torch.uint8 else image.to(dtype)
