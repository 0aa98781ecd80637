"""PFDN: physics-based feature dehazing, as in its only public code (Table 5, 11.278 M parameters)."""

import torch
from torch import Tensor, nn

from dehazelib.networks.layers import conv, padded


class FeatureDehazingUnit(nn.Module):
    """Returns x * a + b, a and b per channel from the average of x: the scattering model on features."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False), nn.ReLU(),
            nn.Linear(channels // reduction, 2 * channels, bias=False), nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.mlp(x.mean((2, 3)))[..., None, None].chunk(2, 1)  # (B, C, 1, 1) each
        return x * a + b


class DehazingBlock(nn.Module):
    """Two convolutions and a feature dehazing unit inside one skip connection."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)
        self.unit = FeatureDehazingUnit(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(self.conv2(torch.relu(self.conv1(x)))) + x


class PFDN(nn.Module):
    """Returns the dehazed image, (B, 3, H, W) in [0, 1] (final tanh).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W of 32 or more. 11,268,611 parameters where the table prints 11.278 M.
    The publication has two branches for airlight and transmission; the port, the only public code, merges them.
    Source: Dong, Pan, "Physics-Based Feature Dehazing Networks", ECCV 2020; layers and training of
    github.com/IDKiro/gUNet.
    """

    def __init__(self, blocks: int = 9):
        super().__init__()
        self.encoder = nn.Sequential(
            conv(3, 64), nn.ReLU(),
            conv(64, 128, stride=2), nn.ReLU(),
            conv(128, 256, stride=2), nn.ReLU(),
        )
        self.blocks = nn.Sequential(*[DehazingBlock(256) for _ in range(blocks)])
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(256, 128, 2, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 2, stride=2), nn.ReLU(),
            conv(64, 3), nn.Tanh(),
        )

    def forward(self, hazy: Tensor) -> Tensor:
        return self.dehaze(hazy * 2 - 1) / 2 + 0.5

    @padded(16)
    def dehaze(self, x: Tensor) -> Tensor:
        """Returns the dehazed image in [-1, 1]. x: (B, 3, H, W) in [-1, 1]."""
        return self.decoder(self.blocks(self.encoder(x)))  # through (B, 256, H / 4, W / 4)
