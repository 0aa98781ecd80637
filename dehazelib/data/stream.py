"""The training samples of a run, as a sequence in which sample k depends on the seed and k alone.

So a run can be resumed at any step, split over processes or loaded by any number of workers, and sees the same images.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dehazelib.data import camera
from dehazelib.data.pairs import Pairs, SampleParameters
from dehazelib.resampling import super_resolution_pair


class Sampling(Protocol):
    """What decides the samples of a run: these options of its specification, experiments.spec.Spec."""

    task: str
    target: str
    haze: str
    train_scenes: int
    seed: int
    steps: int
    crop: int
    augment: str
    cycle: list[tuple[int, int]]

    def images(self, steps: int) -> int:
        """Returns how many images the first so many steps see."""


class Stream(Dataset):
    """Sample k of a run: (input, target), each (3, H, W) in [0, 1]. Every epoch visits all pairs in a fresh order."""

    def __init__(self, spec: Sampling, pairs: Pairs, scale: int = 2):
        if spec.augment == "flip_rotate" and not spec.crop:
            raise ValueError("flip_rotate needs square crops: set crop, or use augment=flip or released.")
        if spec.haze == "camera":
            camera.require_depths(pairs)
        if spec.task == "super_resolution":
            pairs = pairs.scenes()
        if spec.train_scenes:
            first = sorted({pair.scene for pair in pairs.pairs})[: spec.train_scenes]
            pairs = pairs.select([pair for pair in pairs.pairs if pair.scene in first])
        self.spec, self.pairs, self.scale = spec, pairs, scale
        self.reduced = {factor: pairs.reduced(factor) for factor, _ in spec.cycle}
        self.factors = [factor for factor, size in spec.cycle for _ in range(size)]  # of the samples of one cycle

    def __len__(self) -> int:
        return self.spec.images(self.spec.steps)

    def factor(self, k: int) -> int:
        """Returns over how many pixels each way the images of sample k are averaged."""
        return self.factors[k % len(self.factors)]

    def sample_parameters(self, k: int) -> SampleParameters:
        """Returns everything random about sample k."""
        epoch, place = divmod(k, len(self.pairs))
        rng = np.random.default_rng((self.spec.seed, 1, k))
        index = int(_order(self.spec.seed, epoch, len(self.pairs))[place])
        parameters = self.reduced[self.factor(k)].sample_parameters(index, rng, self.spec.crop)
        flip = self.spec.augment != "none" and rng.random() < 0.5
        turns = int(rng.integers(4)) if self.spec.augment in ("flip_rotate", "released") else 0
        return dataclasses.replace(parameters, flip=flip, turns=turns)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        if self.spec.haze == "camera":
            return self._photograph(k)
        hazy, clear = self.reduced[self.factor(k)].apply(self.sample_parameters(k))
        if self.spec.task == "dehazing":
            return hazy, clear
        low, high = super_resolution_pair(clear[None], self.spec.target, self.scale)
        return low[0], high[0]

    def _photograph(self, k: int) -> tuple[Tensor, Tensor]:
        sample, pairs = self.sample_parameters(k), self.reduced[self.factor(k)]
        scene = pairs.pairs[sample.index].scene
        parameters = camera.draw(np.random.default_rng((self.spec.seed, 2, k)))
        clear, depth = pairs.clear(scene)[sample.window], pairs.depth(scene)[sample.window]
        hazy, clear = camera.photograph(clear, depth, parameters)
        if sample.flip:
            return hazy.flip(-1), clear.flip(-1)
        return hazy, clear


@functools.lru_cache(4)  # neighbouring samples share their epoch's order
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


class Shard(Sampler):
    """The sample numbers that one of `world` processes works on from step `start`: of every step a list, its part."""

    def __init__(self, spec: Sampling, start: int, rank: int = 0, world: int = 1):
        if uneven := [size for _, size in spec.cycle if size % world]:
            raise ValueError(f"A batch of {uneven[0]} cannot be split evenly over {world} processes.")
        self.spec, self.start, self.rank, self.world = spec, start, rank, world

    def __len__(self) -> int:
        return self.spec.steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.spec.steps):
            first, end = self.spec.images(step), self.spec.images(step + 1)
            share = (end - first) // self.world
            yield list(range(first + self.rank * share, first + (self.rank + 1) * share))
