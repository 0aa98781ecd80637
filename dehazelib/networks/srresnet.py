"""SRResNet x4: sixteen residual blocks at low resolution, then two sub-pixel enlargements."""

from math import sqrt

import torch
from torch import Tensor, nn

from dehazelib.networks import layers

WIDTH = 64


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return layers.conv(inputs, outputs, kernel, bias=False)


def norm() -> nn.Module:
    return nn.InstanceNorm2d(WIDTH, affine=True)


def block() -> nn.Sequential:
    return nn.Sequential(conv(WIDTH, WIDTH), norm(), nn.LeakyReLU(0.2), conv(WIDTH, WIDTH), norm())


def enlarge() -> list[nn.Module]:
    """Returns layers that double height and width."""
    return [conv(WIDTH, 4 * WIDTH), nn.PixelShuffle(2), nn.LeakyReLU(0.2)]


class SRResNet(nn.Module):
    """Returns the image enlarged four times: (B, 3, h, w) in [0, 1] -> (B, 3, 4h, 4w), not clamped.

    The best-known PyTorch port (instance normalisation, LeakyReLU, no biases); the published network has batch
    normalisation and PReLU. The table's 1.5 M fits both.
    Source: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR
    2017; github.com/twtygqyy/pytorch-SRResNet.
    """

    def __init__(self, blocks: int = 16):
        super().__init__()
        self.scale = 4
        self.head = nn.Sequential(conv(3, WIDTH, 9), nn.LeakyReLU(0.2))
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.middle = nn.Sequential(conv(WIDTH, WIDTH), norm())
        self.tail = nn.Sequential(*enlarge(), *enlarge(), conv(WIDTH, 3, 9))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # N(0, 2 / (k k outputs)), as in the port
                nn.init.normal_(layer.weight, 0.0, sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels)))

    def forward(self, low: Tensor) -> Tensor:
        first = self.head(low)  # (B, 64, h, w)
        x = first
        for residual in self.blocks:
            x = torch.add(residual(x), x)
        return self.tail(self.middle(x) + first)
