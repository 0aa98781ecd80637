"""Training scenes that live on the device: windows, flips and haze are made there, a batch at a time."""

import sys
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from dehazelib import haze
from dehazelib.data.pairs import SampleParameters, turned
from dehazelib.data.stream import Stream
from dehazelib.profiling import memory
from dehazelib.resampling import super_resolution_pair

SHARE = 0.5  # of a GPU's free memory that the scenes may take


def fits(stream: Stream, device: torch.device) -> bool:
    """Returns whether the stream's scenes are decoded arrays, and on a GPU whether they fit beside the training; says
    so where they do not."""
    sets = [pairs.frames for pairs in stream.reduced.values()]
    if None in sets or stream.spec.haze != "reside" or device.type not in ("cpu", "cuda"):
        return False
    if device.type == "cpu":
        return True  # mapped where they lie
    need = sum(frames.images.nbytes + frames.depths.nbytes for frames in sets) / 1e6
    free = memory.available_mb(str(device))
    if need > SHARE * free:
        print(f"{stream.pairs.name}: the scenes take {need:.0f} MB, more than {SHARE:.0%} of the {free:.0f} MB free on "
              f"{device}: they are loaded batch by batch, ahead of time with workers > 0.", file=sys.stderr, flush=True)
    return need <= SHARE * free


class Resident:
    """The batches of a stream, made on the device: the same samples as stream[k], k = 0, 1, ...

    Clear images stay 8-bit and depths 16-bit; all random choices come from the stream, so a batch costs the CPU a few
    microseconds and the bus a few numbers. Raises ValueError if the stream's scenes are not decoded arrays.
    """

    def __init__(self, stream: Stream, device: torch.device | str = "cpu"):
        self.stream, self.device = stream, torch.device(device)
        self.images, self.depths = {}, {}
        for factor, pairs in stream.reduced.items():
            if pairs.frames is None:
                raise ValueError(f"{stream.pairs.name} is read from files: only decoded scenes can live on the device.")
            bits = pairs.frames.depths.view(np.int16)  # of uint16
            self.images[factor] = torch.from_numpy(pairs.frames.images).to(self.device)  # (n, H, W, 3) uint8
            self.depths[factor] = torch.from_numpy(bits).to(self.device)  # (n, H, W)

    def batch(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Returns (input, target) of the samples with these numbers, all of one step, each (B, 3, H, W) in [0, 1]."""
        factor = self.stream.factor(numbers[0])
        samples = [self.stream.sample_parameters(k) for k in numbers]
        where = self._where(factor, samples)
        clear = self.images[factor][where].permute(0, 3, 1, 2).float() / 255  # (B, 3, H, W)
        if self.stream.spec.task == "super_resolution":
            return super_resolution_pair(_turned(clear, samples), self.stream.spec.target, self.stream.scale)
        depth = (self.depths[factor][where].int() & 0xFFFF).float()[:, None] / 65535  # (B, 1, H, W)
        airlight, beta = self._column([s.airlight for s in samples]), self._column([s.beta for s in samples])
        hazy = haze.hazy_8_bit(clear, depth, airlight, beta)
        return _turned(hazy, samples), _turned(clear, samples)

    def batches(self, steps: Iterable[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batch of each step, given as its sample numbers."""
        for numbers in steps:
            yield self.batch(numbers)

    def _where(self, factor: int, samples: list[SampleParameters]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns indices into (n, H, W) that broadcast to (B, h, w); flipped windows count columns backwards."""
        height, width = self.images[factor].shape[1:3]
        pairs = self.stream.reduced[factor]
        scenes = np.array([pairs.frames.rows[pairs.pairs[s.index].scene] for s in samples])
        rows = np.stack([np.arange(height)[s.window[0]] for s in samples])
        columns = np.stack([np.arange(width)[s.window[1]] for s in samples])
        flipped = np.array([s.flip for s in samples])
        columns[flipped] = columns[flipped, ::-1]
        return self._to(scenes[:, None, None]), self._to(rows[:, :, None]), self._to(columns[:, None, :])

    def _column(self, values: list[float]) -> Tensor:
        return self._to(np.array(values, dtype=np.float32)).view(-1, 1, 1, 1)

    def _to(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def _turned(images: Tensor, samples: list[SampleParameters]) -> Tensor:
    if not any(s.turns for s in samples):
        return images
    return torch.stack([turned(image, s.turns) for image, s in zip(images, samples)])
