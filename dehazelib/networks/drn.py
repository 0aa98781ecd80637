"""DRN (CVPR 2020): super-resolution in a U of residual channel attention, trained with the way back down."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.layers import conv
from dehazelib.networks.student import ChannelAttention

SCALE = 4
MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, RGB in [0, 1]


class MeanShift(nn.Conv2d):
    """Returns the image plus (sign=1) or minus (sign=-1) 255 x MEAN.

    It is a 1 x 1 convolution that starts as this shift; as released, its 12 numbers are trained too.
    """

    def __init__(self, sign: int):
        super().__init__(3, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.bias.copy_(sign * 255 * torch.tensor(MEAN))


class AttentionBlock(nn.Module):
    """Returns x plus two convolutions weighted by channel attention (RCAB); (B, C, H, W) -> same."""

    def __init__(self, channels: int):
        super().__init__()
        attention = ChannelAttention(channels, channels // 16)
        self.body = nn.Sequential(conv(channels, channels), nn.ReLU(), conv(channels, channels), attention)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def halve(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Returns two convolutions without bias that halve the size."""
    first = conv(inputs, hidden, stride=2, bias=False)
    return nn.Sequential(first, nn.LeakyReLU(0.2), conv(hidden, outputs, bias=False))


def double(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Returns residual channel attention, then a sub-pixel enlargement by two."""
    body = [AttentionBlock(inputs) for _ in range(blocks)]
    return nn.Sequential(*body, conv(inputs, 4 * inputs), nn.PixelShuffle(2), conv(inputs, outputs, 1))


class DRN(nn.Module):
    """Returns the image enlarged four times, (B, 3, 4h, 4w), not clamped.

    low: (B, 3, h, w) in [0, 1]; enlarged bicubically first. Grey levels 0 to 255 and mean shift are inside.
    blocks: at each of the two enlargements. DRN-S has 30, 4,804,065 parameters.
    Source: Guo et al., "Closed-loop Matters: Dual Regression Networks for Single Image Super-Resolution",
    CVPR 2020; github.com/guoyongcs/DRN.
    """

    def __init__(self, blocks: int = 30):
        super().__init__()
        self.scale = SCALE
        widths = (16, 32, 64)  # from full resolution down
        seen = (64, 64, 32)  # what each tail sees, from low to full resolution
        self.subtract_mean, self.add_mean = MeanShift(-1), MeanShift(1)
        self.head = conv(3, 16)
        self.down = nn.ModuleList(halve(wide, wide, wider) for wide, wider in pairwise(widths))
        self.up = nn.ModuleList(double(w, skip, blocks) for w, skip in zip(seen, (32, 16)))
        self.tails = nn.ModuleList(conv(w, 3) for w in seen)

    def scales(self, low: Tensor) -> list[Tensor]:
        """Returns the image at 1, 2 and 4 times the size of low, each (B, 3, H, W) in [0, 1]."""
        enlarged = F.interpolate(255 * low, scale_factor=self.scale, mode="bicubic", align_corners=False)
        x, skips = self.head(self.subtract_mean(enlarged)), []
        for down in self.down:
            skips.append(x)
            x = down(x)
        images = [self.add_mean(self.tails[0](x))]
        for up, skip, tail in zip(self.up, reversed(skips), self.tails[1:]):
            x = torch.cat((up(x), skip), 1)
            images.append(self.add_mean(tail(x)))
        return [image / 255 for image in images]

    def forward(self, low: Tensor) -> Tensor:
        return self.scales(low)[-1]


class DRNObjective(Objective):
    """Returns the mean absolute error at every scale, plus `dual_weight` times that of the way back down.

    Each dual network maps one scale's image to the next smaller one. Targets of the scales between are the
    high-resolution image reduced bicubically with anti-aliasing. Errors are in [0, 1], the same to Adam as grey levels.
    Source: github.com/guoyongcs/DRN, trainer.py.
    """

    def __init__(self, network: DRN, dual_weight: float = 0.1):
        super().__init__(network)
        self.dual_weight = dual_weight
        self.duals = nn.ModuleList(halve(3, 16, 3) for _ in network.up)

    def groups(self) -> list[list[nn.Parameter]]:
        return [[*super().groups()[0], *self.duals.parameters()]]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        images = self.network.scales(inputs)
        sizes = [image.shape[-2:] for image in images[1:-1]]
        between = [F.interpolate(target, size=size, mode="bicubic", antialias=True) for size in sizes]
        targets = [inputs, *between, target]
        primal = sum(F.l1_loss(image, wanted) for image, wanted in zip(images, targets))
        reduced = [network(image) for network, image in zip(self.duals, images[1:])]
        dual = sum(F.l1_loss(image, wanted) for image, wanted in zip(reduced, targets))
        return primal + self.dual_weight * dual
