"""MSBDN-DFF (CVPR 2020): a boosted U-Net whose every level is corrected by all earlier ones."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks import layers

WIDTHS = (16, 32, 64, 128, 256)  # channels at 1, 1/2, 1/4, 1/8 and 1/16 of the size


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return layers.conv(inputs, outputs, kernel, stride, padding_mode="reflect")


class Residual(nn.Module):
    """Returns x plus a tenth of two convolutions; (B, C, H, W) -> same."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.activation(self.conv1(x))) * 0.1 + x


def residuals(channels: int, count: int = 3) -> nn.Sequential:
    return nn.Sequential(*[Residual(channels) for _ in range(count)])


def enlarge(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), nn.PReLU())


def reduce(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, padding=1), nn.PReLU())


class DenseFusion(nn.Module):
    """Returns x corrected by back-projection against every stored feature, the most distant first.

    widths: channels of this level and then of each stored level, from the nearest to the most distant.
    x: (B, widths[0], H, W); stored: one feature per other width, oldest (most distant) first.
    Wider levels are smaller.
    """

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        outward, inward = (enlarge, reduce) if widths[1] < widths[0] else (reduce, enlarge)
        self.outward = nn.ModuleList(outward(near, far) for near, far in pairwise(widths))
        self.inward = nn.ModuleList(inward(far, near) for near, far in pairwise(widths))

    def forward(self, x: Tensor, stored: list[Tensor]) -> Tensor:
        for distance, feature in zip(range(len(stored), 0, -1), stored):
            error = x
            for step in range(distance):
                error = self.outward[step](error)
            error = error - feature  # at the stored feature's size and width
            for step in reversed(range(distance)):
                error = self.inward[step](error)
            x = x + error
        return x


class MSBDN(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32. At each decoder level the "strengthen, operate, subtract"
    boosting adds the skip to the enlarged feature, refines, and subtracts the enlarged feature again.
    Source: Dong et al., "Multi-Scale Boosted Dehazing Network with Dense Feature Fusion", CVPR 2020;
    github.com/BookerDeWitt/MSBDN-DFF, networks/MSBDN-DFF-v1-1.py.
    """

    def __init__(self, bottleneck_blocks: int = 18):
        super().__init__()
        self.head, self.tail = conv(3, WIDTHS[0], 11), conv(WIDTHS[0], 3)
        self.encoder = nn.ModuleList(residuals(width) for width in WIDTHS[:-1])
        self.down = nn.ModuleList(conv(wide, wider, 3, 2) for wide, wider in pairwise(WIDTHS))
        self.encoder_fusion = nn.ModuleList(DenseFusion(WIDTHS[level::-1]) for level in range(1, len(WIDTHS)))
        self.bottleneck = residuals(WIDTHS[-1], bottleneck_blocks)
        self.up = nn.ModuleList(nn.ConvTranspose2d(wider, wide, 3, 2) for wide, wider in pairwise(WIDTHS))
        self.decoder = nn.ModuleList(residuals(width) for width in WIDTHS[:-1])
        self.decoder_fusion = nn.ModuleList(DenseFusion(WIDTHS[level:]) for level in range(len(WIDTHS) - 1))

    def encode(self, hazy: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the deepest feature, (B, 256, H / 16, W / 16), and the skips of the four levels above."""
        x = self.head(hazy)
        stored, skips = [x], []
        for refine, down, fusion in zip(self.encoder, self.down, self.encoder_fusion):
            skips.append(refine(x) + x)
            x = fusion(down(skips[-1]), stored)
            stored.append(x)
        return x, skips

    def decode(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Returns the decoded feature, (B, 16, H, W), from the deepest feature and the skips."""
        boosted = x * 2
        x = self.bottleneck(boosted) + boosted - x
        stored = [x]
        for level in reversed(range(len(skips))):
            skip = skips[level]
            enlarged = self.up[level](x)  # one row and column too large
            enlarged = F.interpolate(enlarged, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            boosted = enlarged + skip
            x = self.decoder[level](boosted) + boosted - enlarged
            x = self.decoder_fusion[level](x, stored)
            stored.append(x)
        return x

    @layers.padded(16)
    def forward(self, hazy: Tensor) -> Tensor:
        return self.tail(self.decode(*self.encode(hazy)))
