"""gUNet-T: a plain U-Net with gated convolutional blocks, a strong modern reference at 0.84 M parameters."""

import math

import torch
from torch import Tensor, nn

from dehazelib.networks.layers import padded

WIDTHS = (24, 48, 96)  # of the stages; 192 in the middle one
DEPTH = 2  # blocks per stage; twice as many in the middle one


def scaled_normal(conv: nn.Conv2d, gain: float) -> None:
    """Initialises a convolution: truncated normal, Xavier's deviation times `gain`, zero bias."""
    inputs, outputs = nn.init._calculate_fan_in_and_fan_out(conv.weight)
    nn.init.trunc_normal_(conv.weight, std=gain * math.sqrt(2 / (inputs + outputs)))
    nn.init.zeros_(conv.bias)


class GatedBlock(nn.Module):
    """Returns x + projection(value * gate) of the normalised x, (B, C, H, W); depth: all blocks' number."""

    def __init__(self, channels: int, depth: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.value = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, padding_mode="reflect"),
        )
        self.gate, self.projection = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        for conv in (*self.value, self.gate, self.projection):
            scaled_normal(conv, (8 * depth) ** -0.25)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.projection(self.value(y) * torch.sigmoid(self.gate(y)))


class SelectiveFusion(nn.Module):
    """Returns a sum of two (B, C, H, W) tensors, weighted per channel by a softmax over the two."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // 8, 4)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        average = (x + skip).mean((2, 3), keepdim=True)
        weights = self.mlp(average).unflatten(1, (2, -1)).softmax(1)  # (B, 2, C, 1, 1)
        return x * weights[:, 0] + skip * weights[:, 1]


class Up(nn.Sequential):
    """Returns (B, outputs, 2H, 2W) from (B, inputs, H, W)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))


class GUNet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32; mapped to [-1, 1] inside.
    Source: Song et al., "Rethinking Performance Gains in Image Dehazing Networks", 2022; repository IDKiro/gUNet.
    """

    def __init__(self):
        super().__init__()

        def stage(channels: int, count: int = DEPTH) -> nn.Sequential:
            return nn.Sequential(*[GatedBlock(channels, 8 * DEPTH) for _ in range(count)])

        self.first = nn.Conv2d(3, 24, 3, padding=1, padding_mode="reflect")
        self.encoder = nn.ModuleList(stage(w) for w in WIDTHS)
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in WIDTHS)
        self.middle = stage(192, 2 * DEPTH)
        self.up = nn.ModuleList(Up(2 * w, w) for w in WIDTHS)
        self.skip = nn.ModuleList(nn.Conv2d(w, w, 1) for w in WIDTHS)
        self.fusion = nn.ModuleList(SelectiveFusion(w) for w in WIDTHS)
        self.decoder = nn.ModuleList(stage(w) for w in WIDTHS)
        self.last = nn.Conv2d(24, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, hazy: Tensor) -> Tensor:
        return (self.dehaze(2 * hazy - 1) + 1) / 2

    @padded(8)
    def dehaze(self, x: Tensor) -> Tensor:
        """Returns the dehazed image in [-1, 1]. x: (B, 3, H, W) in [-1, 1]."""
        feature, skips = self.first(x), []
        for encode, skip, down in zip(self.encoder, self.skip, self.down):
            feature = encode(feature)
            skips.append(skip(feature))
            feature = down(feature)
        feature = self.middle(feature)  # (B, 192, H/8, W/8)
        for i in (2, 1, 0):
            feature = self.decoder[i](self.fusion[i](self.up[i](feature), skips[i]))
        return self.last(feature) + x
