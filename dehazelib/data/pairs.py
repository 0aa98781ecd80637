"""Hazy and clear images of one split, whatever the source: parameters of a sample are drawn first, then applied."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dehazelib import haze


@dataclass(frozen=True)
class Pair:
    """One hazy image and the clear scene behind it. With neither file nor airlight, haze is drawn afresh each time."""

    name: str  # "1400_3"
    scene: int  # where the source keeps the clear image
    file: str = ""  # hazy image to read
    airlight: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True)
class SampleParameters:
    """Everything random about one sample."""

    index: int  # of the pair
    window: tuple[slice, slice]
    airlight: float
    beta: float
    flip: bool = False
    turns: int = 0  # right angles


@dataclass(frozen=True, eq=False)
class Frames:
    """Decoded scenes of one size in two arrays, which may be mapped files or move to a GPU (data/resident.py)."""

    images: np.ndarray  # (n, H, W, 3) uint8, clear
    depths: np.ndarray  # (n, H, W) uint16, depth over its own maximum x 65535
    rows: dict[int, int]  # scene -> row of the arrays

    def clear(self, scene: int) -> np.ndarray:
        return self.images[self.rows[scene]]

    def depth(self, scene: int) -> np.ndarray:
        return self.depths[self.rows[scene]] / np.float32(65535)

    @functools.lru_cache(4)  # the runs of a study share them, and mixed scales need several
    def reduced(self, factor: int) -> "Frames":
        """Returns the scenes averaged over factor x factor pixels."""
        images, depths = (np.stack([_averaged(one, factor) for one in array]) for array in (self.images, self.depths))
        return Frames(images, depths, self.rows)


class Pairs:
    """Hazy and clear images of one split. Images are float32 RGB (3, H, W) in [0, 1].

    clear(scene) and depth(scene) return uint8 (H, W, 3) and the depth over its own maximum, (H, W); hazy(file) reads an
    existing hazy image, uint8 (H, W, 3). Haze made here is rounded to 8 bits, as an image file would hold it. frames
    holds the scenes decoded, where clear and depth come from arrays. size: (H, W) of all images, where it is known.
    """

    def __init__(self, name: str, pairs: list[Pair], clear: Callable, depth: Callable | None = None,
                 hazy: Callable | None = None, frames: Frames | None = None, size: tuple[int, int] | None = None):
        self.name, self.pairs = name, pairs
        self.clear, self.depth, self.hazy, self.frames = clear, depth, hazy, frames
        self.size = frames.images.shape[1:3] if frames else size

    @classmethod
    def of_frames(cls, name: str, pairs: list[Pair], frames: Frames) -> "Pairs":
        return cls(name, pairs, frames.clear, frames.depth, frames=frames)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns (hazy, clear), whole images. Raises ValueError where the haze is drawn afresh each time."""
        return self.apply(self.sample_parameters(index))

    def sample_parameters(self, index: int, rng: np.random.Generator | None = None, crop: int = 0) -> SampleParameters:
        """Returns the parameters for one pair: a random square window if crop > 0, and haze where it is drawn afresh.

        Raises ValueError if rng is missing but needed, or the image is smaller than the window.
        """
        pair = self.pairs[index]
        window = slice(None), slice(None)
        if crop:
            size = self.size or self.clear(pair.scene).shape[:2]
            window = _random_window(size, crop, rng, pair.name)
        airlight, beta = pair.airlight, pair.beta
        if not (pair.file or beta):
            if rng is None:
                raise ValueError(f"{self.name}: the haze of {pair.name} is drawn at random: pass a random generator.")
            airlight, beta = haze.draw_haze(rng)
        return SampleParameters(index, window, airlight, beta)

    def apply(self, parameters: SampleParameters) -> tuple[Tensor, Tensor]:
        """Returns (hazy, clear) of one sample."""
        pair = self.pairs[parameters.index]
        clear = _tensor(self.clear(pair.scene)[parameters.window])
        if pair.file:
            hazy = _tensor(self.hazy(pair.file)[parameters.window])
        else:
            depth = np.ascontiguousarray(self.depth(pair.scene)[parameters.window], dtype=np.float32)
            hazy = haze.hazy_8_bit(clear, torch.from_numpy(depth), parameters.airlight, parameters.beta)
        if parameters.flip:
            hazy, clear = hazy.flip(-1), clear.flip(-1)
        return turned(hazy, parameters.turns), turned(clear, parameters.turns)

    def select(self, pairs: list[Pair]) -> "Pairs":
        """Returns the set with these pairs."""
        return Pairs(self.name, pairs, self.clear, self.depth, self.hazy, self.frames, self.size)

    def subset(self, count: int) -> "Pairs":
        """Returns at most `count` pairs, evenly spread over the set (0: all)."""
        if not count or count >= len(self):
            return self
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int)
        return self.select([self.pairs[i] for i in chosen])

    def scenes(self) -> "Pairs":
        """Returns one pair per scene: the clear images, for super-resolution. Named after the scenes."""
        first = {pair.scene: pair for pair in reversed(self.pairs)}
        return self.select([dataclasses.replace(first[s], name=first[s].name.split("_")[0]) for s in sorted(first)])

    def reduced(self, factor: int) -> "Pairs":
        """Returns the set with all images and depths averaged over factor x factor pixels; 1 changes nothing."""
        if factor == 1:
            return self
        if self.frames:
            return Pairs.of_frames(self.name, self.pairs, self.frames.reduced(factor))
        size = tuple(side // factor for side in self.size) if self.size else None
        clear, depth, hazy = (_averaging(read, factor) for read in (self.clear, self.depth, self.hazy))
        return Pairs(self.name, self.pairs, clear, depth, hazy, size=size)


def turned(images: Tensor, turns: int) -> Tensor:
    """Returns images (..., H, W) turned by so many right angles on a canvas of the same size.

    Square images turn without loss. Others do not fit: the canvas is not enlarged and what it lacks stays black, as in
    the authors' code (augment="released"), so that half of their augmented images carry black bars.
    """
    if not turns:
        return images
    rotated = torch.rot90(images, turns, (-2, -1))
    if rotated.shape == images.shape:
        return rotated
    height, width = images.shape[-2:]
    side, canvas = min(height, width), torch.zeros_like(images)
    top, left = (height - side) // 2, (width - side) // 2
    canvas[..., top : top + side, left : left + side] = rotated[..., left : left + side, top : top + side]
    return canvas


def _averaging(read: Callable | None, factor: int) -> Callable | None:
    """Returns a reader of the same images averaged over factor x factor pixels, which can be pickled."""
    return functools.partial(_read_averaged, read, factor) if read else None


def _read_averaged(read: Callable, factor: int, key) -> np.ndarray:
    return _averaged(read(key), factor)


def _averaged(image: np.ndarray, factor: int) -> np.ndarray:
    """Returns (H, W) or (H, W, C) averaged over factor x factor pixels, in its own type, without incomplete cells."""
    height, width = (side // factor for side in image.shape[:2])
    if 0 in (height, width):
        raise ValueError(f"Images of {image.shape[0]}x{image.shape[1]} pixels have no {factor}x{factor} to be averaged "
                         "over: use a smaller reduce.")
    whole = image[:height * factor, :width * factor]
    total = np.zeros((height, width, *image.shape[2:]), np.float32)
    for row in range(factor):  # a strided sum at a time: ten times as fast as numpy's mean over two axes
        for column in range(factor):
            total += whole[row::factor, column::factor]
    mean = total / np.float32(factor**2)
    return mean.round().astype(image.dtype) if image.dtype.kind == "u" else mean


def _random_window(size: tuple[int, int], crop: int, rng: np.random.Generator | None,
                   name: str) -> tuple[slice, slice]:
    wanted = f"Cannot cut a {crop}-pixel window from {name} of {size[0]}x{size[1]}"
    if rng is None:
        raise ValueError(f"{wanted}: pass a random generator.")
    if min(size) < crop:
        raise ValueError(f"{wanted}: use a smaller crop.")
    top, left = (int(rng.integers(side - crop + 1)) for side in size)
    return slice(top, top + crop), slice(left, left + crop)


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
