"""DRN (CVPR 2020): super-resolution in a U of residual channel attention, trained with the way back down."""

from itertools import pairwise
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.student import ChannelAttention, conv

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
    first = nn.Conv2d(inputs, hidden, 3, 2, padding=1, bias=False)
    return nn.Sequential(first, nn.LeakyReLU(0.2), nn.Conv2d(hidden, outputs, 3, padding=1, bias=False))


def double(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Returns residual channel attention, then a sub-pixel enlargement by two."""
    body = [AttentionBlock(inputs) for _ in range(blocks)]
    return nn.Sequential(*body, conv(inputs, 4 * inputs), nn.PixelShuffle(2), conv(inputs, outputs, 1))


class DRN(nn.Module):
    """Returns the image enlarged `scale` times, (B, 3, scale * h, scale * w), not clamped.

    low: (B, 3, h, w) in [0, 1]; enlarged bicubically first. Grey levels 0 to 255 and mean shift are inside.
    scale: a power of 2. DRN-S x4 is blocks=30, features=16 (4,804,065 parameters); DRN-S x8 scale=8,
    features=8; DRN-L x4 blocks=40, features=20. Raises ValueError for a scale that is no power of 2 above 1.
    Source: Guo et al., "Closed-loop Matters: Dual Regression Networks for Single Image Super-Resolution",
    CVPR 2020; github.com/guoyongcs/DRN.
    """

    # Crop is of the high-resolution image. The rate falls as a cosine to 1e-7 over 1000 epochs of 1000 steps.
    RECIPE = {
        "optimizer": "adam", "lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 0.0, "batch": 32, "crop": 384,
        "loss": "objective", "source": "github.com/guoyongcs/DRN, option.py and trainer.py",
    }

    def __init__(self, scale: int = 4, blocks: int = 30, features: int = 16):
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f"DRN enlarges by 2, 4, 8, ..., not by {scale}.")
        self.scale, phases = scale, int(log2(scale))
        widths = [features * 2**level for level in range(phases + 1)]  # 16, 32, 64 from full resolution down
        seen = [widths[-1], *widths[:0:-1]]  # 64, 64, 32: what each tail sees, from low to full resolution
        self.subtract_mean, self.add_mean = MeanShift(-1), MeanShift(1)
        self.head = conv(3, features)
        self.down = nn.ModuleList(halve(wide, wide, wider) for wide, wider in pairwise(widths))
        self.up = nn.ModuleList(double(w, skip, blocks) for w, skip in zip(seen, widths[-2::-1]))
        self.tails = nn.ModuleList(conv(w, 3) for w in seen)

    def scales(self, low: Tensor) -> list[Tensor]:
        """Returns the image at 1, 2, 4, ... scale times the size of low, each (B, 3, H, W) in [0, 1]."""
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
    high-resolution image reduced bicubically with anti-aliasing. The authors give the network and each dual
    network an Adam of its own with the same settings on this one loss, which is one Adam over all: one group.
    Errors are in [0, 1]; the released code's are in grey levels, the same to Adam.
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
