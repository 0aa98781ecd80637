"""GCANet (WACV 2019): smoothed dilated convolutions and a gate over three depths, predicting a residual."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks.layers import padded

WIDTH = 64
DILATIONS = (2, 2, 2, 4, 4, 4, 1)  # of the residual blocks; 1 is a plain block
GATED = (4, 7)  # the gate sees the features after this many blocks, besides the encoder's


def edge_map(image: Tensor) -> Tensor:
    """Returns a quarter of the absolute differences to the four neighbours, channels averaged; (B, 1, H, W).

    image: (B, C, H, W). A neighbour outside the image counts as equal.
    """
    vertical = F.pad(image.diff(dim=2).abs(), (0, 0, 1, 1))  # (B, C, H + 1, W)
    horizontal = F.pad(image.diff(dim=3).abs(), (1, 1, 0, 0))  # (B, C, H, W + 1)
    four = vertical[:, :, :-1] + vertical[:, :, 1:] + horizontal[..., :-1] + horizontal[..., 1:]
    return four.mean(1, keepdim=True) / 4


class Smoothing(nn.Module):
    """Returns x, each channel filtered by one shared (2d - 1) x (2d - 1) kernel, the identity at first."""

    def __init__(self, dilation: int):
        super().__init__()
        kernel = torch.zeros(1, 1, 2 * dilation - 1, 2 * dilation - 1)
        kernel[..., dilation - 1, dilation - 1] = 1
        self.kernel = nn.Parameter(kernel)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, -1, -1, -1).contiguous()
        return F.conv2d(x, kernel, padding=self.kernel.shape[-1] // 2, groups=channels)


def normalised(inputs: int, outputs: int, stride: int = 1, dilation: int = 1, bias: bool = False) -> list:
    """Returns a 3 x 3 convolution and its affine instance normalisation."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=bias)
    return [convolution, nn.InstanceNorm2d(outputs, affine=True)]


class Residual(nn.Module):
    """Returns ReLU(x + body(x)); dilated convolutions are smoothed first, against grid patterns."""

    def __init__(self, dilation: int):
        super().__init__()

        def smoothed_conv() -> list:
            smoothing = [Smoothing(dilation)] if dilation > 1 else []
            return smoothing + normalised(WIDTH, WIDTH, dilation=dilation)

        self.body = nn.Sequential(*smoothed_conv(), nn.ReLU(), *smoothed_conv())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class GCANet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 4 (the authors resize to multiples of 4). It works in grey levels:
    a learning rate far below the authors' 0.01 moves it little.
    Source: Chen et al., "Gated Context Aggregation Network for Image Dehazing and Deraining", WACV 2019;
    github.com/cddlyf/GCANet.
    """

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            *normalised(4, WIDTH), nn.ReLU(),
            *normalised(WIDTH, WIDTH), nn.ReLU(),
            *normalised(WIDTH, WIDTH, stride=2), nn.ReLU(),
        )
        self.blocks = nn.ModuleList(Residual(dilation) for dilation in DILATIONS)
        self.gate = nn.Conv2d((1 + len(GATED)) * WIDTH, 1 + len(GATED), 3, padding=1)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH, 4, 2, padding=1),
            nn.InstanceNorm2d(WIDTH, affine=True), nn.ReLU(),
            *normalised(WIDTH, WIDTH, bias=True), nn.ReLU(),
            nn.Conv2d(WIDTH, 3, 1),
        )

    def residual(self, x: Tensor) -> Tensor:
        """Returns clear - hazy in grey levels, (B, 3, H, W). x: (B, 4, H, W) in [-128, 127], sides even."""
        y = self.encoder(x)  # (B, 64, H / 2, W / 2)
        depths = [y]
        for count, block in enumerate(self.blocks, 1):
            y = block(y)
            if count in GATED:
                depths.append(y)
        gates = self.gate(torch.cat(depths, 1))  # (B, 3, H / 2, W / 2), one map per depth, no activation
        first, second, third = (depth * gates[:, [i]] for i, depth in enumerate(depths))
        return self.decoder(first + second + third)

    def table_graph(self, hazy: Tensor) -> Tensor:
        """Returns what Table 9 counts: the network on some four-channel input, and its residual's addition.

        Neither the edge map nor the change of unit is part of it. hazy: (B, 3, H, W), H and W even.
        """
        return hazy + self.residual(torch.cat((hazy, hazy[:, :1]), 1))

    @padded(4)
    def forward(self, hazy: Tensor) -> Tensor:
        return hazy + self.residual(255 * torch.cat((hazy, edge_map(hazy)), 1) - 128) / 255
