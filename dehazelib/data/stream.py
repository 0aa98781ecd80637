"""The training samples of a run, as a sequence in which sample k depends on the seed and k alone.

So a run can be resumed at any step, split over processes or loaded by any number of workers, and sees the same images.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dehazelib.data.pairs import Pairs
from dehazelib.resampling import super_resolution_pair
from dehazelib.spec import Spec


class Stream(Dataset):
    """Sample k of a run: (input, target), each (3, H, W) in [0, 1]. Every epoch visits all pairs in a fresh order."""

    def __init__(self, spec: Spec, pairs: Pairs, scale: int = 2):
        if spec.task == "super_resolution":
            pairs = pairs.scenes()
        if spec.train_scenes:
            keep = set(sorted({pair.scene for pair in pairs.pairs})[: spec.train_scenes])
            pairs = Pairs(pairs.name, [p for p in pairs.pairs if p.scene in keep], pairs.clear, pairs.depth, pairs.hazy)
        self.spec, self.pairs, self.scale = spec, pairs, scale

    def __len__(self) -> int:
        return self.spec.steps * self.spec.batch

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(k, len(self.pairs))
        index = int(np.random.default_rng((self.spec.seed, 0, epoch)).permutation(len(self.pairs))[place])
        rng = np.random.default_rng((self.spec.seed, 1, k))
        hazy, clear = self.pairs.draw(index, rng, self.spec.crop)
        hazy, clear = augmented(torch.stack([hazy, clear]), self.spec.augment, rng)
        if self.spec.task == "dehazing":
            return hazy, clear
        low, high = super_resolution_pair(clear[None], self.spec.target, self.scale)
        return low[0], high[0]


class Shard(Sampler):
    """The sample numbers that one of `world` processes works on, from step `start`: its part of every batch."""

    def __init__(self, spec: Spec, start: int, rank: int = 0, world: int = 1):
        if spec.batch % world:
            raise ValueError(f"A batch of {spec.batch} cannot be split evenly over {world} processes.")
        self.spec, self.start, self.rank, self.world = spec, start, rank, world

    def __len__(self) -> int:
        return (self.spec.steps - self.start) * self.spec.batch // self.world

    def __iter__(self) -> Iterator[int]:
        share = self.spec.batch // self.world
        for step in range(self.start, self.spec.steps):
            first = step * self.spec.batch + self.rank * share
            yield from range(first, first + share)


def augmented(images: Tensor, how: str, rng: np.random.Generator) -> Tensor:
    """Returns the images (..., H, W), all changed alike: none, flip (left-right), flip_rotate or released.

    "released" turns by a random multiple of 90 degrees without enlarging the canvas, as the authors' code does, so that
    half of the non-square images carry black bars. "flip_rotate" is for square crops and leaves no bars.
    """
    if how == "none":
        return images
    height, width = images.shape[-2:]
    if how == "flip_rotate" and height != width:
        raise ValueError("flip_rotate needs square crops: set crop, or use augment=flip or released.")
    if rng.random() < 0.5:
        images = images.flip(-1)
    if how == "flip":
        return images
    turned = torch.rot90(images, int(rng.integers(4)), (-2, -1))
    if turned.shape == images.shape:
        return turned
    canvas = torch.zeros_like(images)
    rows, columns = min(height, width), min(height, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    top_turned, left_turned = (width - rows) // 2, (height - columns) // 2
    canvas[..., top : top + rows, left : left + columns] = turned[
        ..., top_turned : top_turned + rows, left_turned : left_turned + columns
    ]
    return canvas
