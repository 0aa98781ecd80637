"""The student on an image of any size: in strips that stay in the cache, with the result of the whole image."""

from collections.abc import Callable
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks.student import InnerBlock, PixelAttention, Student

LEVELS = {torch.uint8: 255, torch.uint16: 65535}
Stage = Callable[[int, int], None]  # computes the rows from the first to before the last


@torch.no_grad()
def by_strips(student: Student, images: Tensor, rows: int, kept: torch.dtype = torch.float32, strength: float = 1.0,
              averages: Callable[[Tensor], Tensor] | None = None, tick: Callable[[int, int], None] | None = None
              ) -> Tensor:
    """Returns what `inference.run` does for a student, computed image by image in strips of `rows`.

    One sweep over the image does all that lies between two averages of channel attention: the end of one block and the
    beginning of the next, which lags a row behind. An average is known before the map that it is of, from sums of what
    that is made from. Averages are of the whole image, so there are no seams: with kept = float32 the result is that of
    student(image) up to rounding, with float16 within 1/255 of it. At most four whole feature maps of 16 channels are
    held at a time, as `kept`: 256 bytes per pixel in float32, 128 in float16.
    averages: given each of those averages (1, C, 1, 1), in the order of the layers, returns what to use instead.
    Raises FloatingPointError where features are not finite, for example beyond 65,504 in float16.
    """
    results = torch.empty_like(images)
    for image, result in zip(images.split(1), results.split(1)):
        _Strips(student, image, rows, kept, averages, tick).dehaze(result, strength)
    return results


class _Map:
    """A feature map (1, C, H, W), with a row of zeros above and below for the convolutions."""

    def __init__(self, shape: tuple, kept: torch.dtype, computed: torch.dtype, device: torch.device):
        batch, channels, height, width = shape
        self.padded = torch.empty(batch, channels, height + 2, width, dtype=kept, device=device,
                                  memory_format=torch.channels_last)
        self.padded[:, :, ::height + 1] = 0
        self.pixels = self.padded[:, :, 1:-1]
        self.computed, self.exact = computed, torch.promote_types(computed, torch.float32)
        self.total = torch.zeros(batch, channels, 1, 1, dtype=self.exact, device=device)  # of all pixels

    def rows(self, first: int, last: int) -> Tensor:
        """Returns the rows from the first to before the last, in the precision of the computation."""
        return self.pixels[:, :, first:last].to(self.computed)

    def seen(self, first: int, last: int) -> Tensor:
        """Returns what 3 x 3 kernels see for these rows: one more on either side."""
        return self.padded[:, :, first:last + 2].to(self.computed)

    def write(self, first: int, last: int, function: Callable, *given: Tensor) -> Tensor:
        """Writes function(*given) to these rows, and returns it."""
        stored = self.pixels[:, :, first:last]
        if stored.dtype == self.computed:
            return function(*given, out=stored)
        made = function(*given)
        stored.copy_(made)
        return made

    def write_sum(self, first: int, last: int, one: Tensor, other: Tensor) -> None:
        """Writes one + other to these rows, and counts them in the total."""
        made = self.write(first, last, torch.add, one, other)
        if first == 0:
            self.total.zero_()
        self.total += made.sum((2, 3), keepdim=True, dtype=self.exact)

    def mean(self) -> Tensor:
        """Returns the mean over all pixels, (1, C, 1, 1)."""
        return (self.total / self.pixels[0, 0].numel()).to(self.computed)

    def mean_after(self, conv: nn.Conv2d) -> Tensor:
        """Returns the mean over all pixels of conv(map).

        Each weight of a kernel meets the whole map but for the row and the column that it does not reach.
        """
        pixels = self.pixels[0]
        rows, columns = (_ends(pixels, side).to(self.exact) for side in (1, 2))  # (C, W, 3), (C, H, 3)
        corners = _ends(rows, 1)  # (C, 3, 3): taken away twice
        met = self.total.view(-1, 1, 1) - rows.sum(1)[:, :, None] - columns.sum(1)[:, None] + corners
        mean = torch.einsum("oikl,ikl->o", conv.weight.to(self.exact), met) / pixels[0].numel()
        return (mean + conv.bias).view(1, -1, 1, 1).to(self.computed)


def _ends(pixels: Tensor, side: int) -> Tensor:
    """Returns what the three taps of a kernel do not reach along a side: its last pixels, none, its first."""
    first, last = pixels.select(side, 0), pixels.select(side, -1)
    return torch.stack([last, torch.zeros_like(first), first], -1)


class _Strips:
    """One image on its way through the student."""

    def __init__(self, student: Student, image: Tensor, rows: int, kept: torch.dtype, averages: Callable | None,
                 tick: Callable | None):
        self.student, self.image, self.step = student, image, rows
        self.kept, self.averages, self.tick = kept, averages, tick
        self.height = image.shape[2]
        self.done = 0
        self.total = (2 + sum(len(group.body) - 1 for group in student.groups)) * -(-self.height // rows)

    def dehaze(self, result: Tensor, strength: float) -> None:
        student = self.student
        feature, y = self.map(), self.map()
        self.sweep(self.head(feature), self.first(student.groups[0].body[0], feature, y))
        x, features, means = self.map(), [], []
        for index, group in enumerate(student.groups):
            *blocks, last = group.body
            source = feature
            for block, following in zip(blocks, blocks[1:]):
                self.sweep(self.second(block, source, y, x), self.first(following, x, y))
                source = x
            stages = [self.second(blocks[-1], source, y, x), self.skip(last, x, feature, y)]
            feature = y
            if index + 1 < len(student.groups):
                y = self.map()
                stages.append(self.first(student.groups[index + 1].body[0], feature, y))
            self.sweep(*stages)
            features.append(feature)
            means.append(self.averaged(feature.mean()))
        weights = student.fusion.mlp(torch.cat(means, 1)).chunk(len(features), 1)
        before, after = student.tail
        self.sweep(self.fused(weights, features, x), self.conv(before, x, y), self.output(after, y, result, strength))

    def map(self) -> _Map:
        dtype = self.student.head.weight.dtype
        shape = (1, self.student.head.out_channels, *self.image.shape[2:])
        return _Map(shape, self.kept, dtype, self.image.device)

    def sweep(self, *stages: Stage) -> None:
        """Goes over the image once. Each stage lags a row behind the one before, whose output it sees, and may write to
        the map that that one reads: those rows are done with."""
        for top in range(0, self.height, self.step):
            bottom = min(top + self.step, self.height)
            for lag, stage in enumerate(stages):
                first = max(top - lag, 0)
                last = bottom if bottom == self.height else bottom - lag
                if first < last:
                    stage(first, last)
            self.done += 1
            if self.tick:
                self.tick(self.done, self.total)

    # ------------------------------------------------------------------------------------------------------- stages

    def head(self, target: _Map) -> Stage:
        def stage(first: int, last: int) -> None:
            above = min(first, 1)
            hazy = unit(self.image[:, :, first - above:last + 1], target.computed)
            made = self.student.head(self.normalised(hazy))
            target.pixels[:, :, first:last] = made[:, :, above:above + last - first]

        return stage

    def normalised(self, hazy: Tensor) -> Tensor:
        return (hazy - self.student.mean) / self.student.std

    def first(self, block: InnerBlock, x: _Map, y: _Map) -> Stage:
        """Writes what the block's second convolution sees."""

        def stage(first: int, last: int) -> None:
            seen = x.seen(first, last)
            y.write_sum(first, last, convolved(block.conv1, seen).relu_(), seen[:, :, 1:-1])

        return stage

    def second(self, block: InnerBlock, source: _Map, y: _Map, target: _Map) -> Stage:
        """Writes the block's output: the second convolution weighted per channel, then per pixel, plus the input."""
        mean = self.averaged(y.mean_after(block.conv2))
        weights = block.channel_attention.mlp(mean).view(-1)
        kernel, bias = block.conv2.weight * weights.view(-1, 1, 1, 1), block.conv2.bias * weights

        def stage(first: int, last: int) -> None:
            made = F.conv2d(y.seen(first, last), kernel, bias, padding=(0, 1))
            weights = gate(block.pixel_attention, made)
            target.write(first, last, torch.addcmul, source.rows(first, last), made, weights)

        return stage

    def skip(self, conv: nn.Conv2d, x: _Map, start: _Map, target: _Map) -> Stage:
        def stage(first: int, last: int) -> None:
            target.write_sum(first, last, convolved(conv, x.seen(first, last)), start.rows(first, last))

        return stage

    def fused(self, weights: list[Tensor], features: list[_Map], target: _Map) -> Stage:
        def stage(first: int, last: int) -> None:
            fused = reduce(add, (w * f.rows(first, last) for w, f in zip(weights, features)))
            target.pixels[:, :, first:last] = fused * gate(self.student.pixel_attention, fused)

        return stage

    def conv(self, conv: nn.Conv2d, source: _Map, target: _Map) -> Stage:
        def stage(first: int, last: int) -> None:
            target.pixels[:, :, first:last] = convolved(conv, source.seen(first, last))

        return stage

    def output(self, conv: nn.Conv2d, source: _Map, result: Tensor, strength: float) -> Stage:
        def stage(first: int, last: int) -> None:
            hazy = unit(self.image[:, :, first:last], source.computed)
            dehazed = convolved(conv, source.seen(first, last)) + self.normalised(hazy)
            result[:, :, first:last] = finished(dehazed, hazy, strength, self.image.dtype)

        return stage

    def averaged(self, mean: Tensor) -> Tensor:
        """Returns what to use for a mean over the image."""
        if not mean.isfinite().all():
            raise FloatingPointError(f"The network's features are not finite in {self.kept}: check its weights, "
                                     "or give a smaller image.")
        return self.averages(mean) if self.averages else mean


def convolved(conv: nn.Conv2d, rows: Tensor) -> Tensor:
    """Returns conv of rows that come with those above and below."""
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1))


def gate(attention: PixelAttention, x: Tensor) -> Tensor:
    """Returns the weights (1, 1, H, W) of pixel attention; as products of matrices they take a third of the time."""
    first, _, second, _ = attention.mlp
    pixels = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).t()  # (C, H W)
    hidden = torch.addmm(first.bias[:, None], first.weight[:, :, 0, 0], pixels).relu_()
    return torch.addmv(second.bias, hidden.t(), second.weight.view(-1)).sigmoid_().view(1, 1, *x.shape[2:])


def unit(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the pixels, uint8, uint16 or floats, as floats in [0, 1]."""
    if pixels.dtype not in LEVELS:
        return pixels.to(dtype)
    return (pixels.float() / LEVELS[pixels.dtype]).to(dtype)


def finished(dehazed: Tensor, hazy: Tensor, strength: float, dtype: torch.dtype) -> Tensor:
    """Returns a network's output for `hazy` as it is handed out: clamped, blended, and in the type of the image."""
    if not dehazed.isfinite().all():
        raise FloatingPointError("The network's output is not finite: check its weights.")
    dehazed = dehazed.clamp(0, 1)
    if strength < 1:
        dehazed = hazy.lerp(dehazed, strength)
    if dtype not in LEVELS:
        return dehazed.to(dtype)
    return (dehazed.float() * LEVELS[dtype]).round().to(dtype)
