"""GridDehazeNet (ICCV 2019): a grid of three scales and six columns with learned fusion of neighbours."""

import torch
from torch import Tensor, nn

from dehazelib.networks.layers import conv

ROWS, COLUMNS, WIDTH = 3, 6, 16  # scales, stages, channels at full resolution (doubled per row)


class ResidualDense(nn.Module):
    """Returns x plus a 1 x 1 mixture of x and four densely connected convolutions; (B, C, H, W) -> same."""

    def __init__(self, channels: int, layers: int = 4, growth: int = 16):
        super().__init__()
        self.dense = nn.ModuleList(conv(channels + i * growth, growth) for i in range(layers))
        self.mix = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for layer in self.dense:
            features = torch.cat((features, torch.relu(layer(features))), 1)
        return self.mix(features) + x


class Down(nn.Sequential):
    """Returns features one row down: (B, C, H, W) -> (B, 2C, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, channels: int):
        super().__init__(conv(channels, channels, stride=2), nn.ReLU(), conv(channels, 2 * channels), nn.ReLU())


class Up(nn.Module):
    """Returns features one row up: (B, C, h, w) -> (B, C / 2, *size)."""

    def __init__(self, channels: int):
        super().__init__()
        self.deconvolution = nn.ConvTranspose2d(channels, channels, 3, 2, padding=1)
        self.conv = conv(channels, channels // 2)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        return torch.relu(self.conv(torch.relu(self.deconvolution(x, output_size=size))))


class GridDehazeNet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), never negative (the published network ends in a ReLU).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W; mapped to [-1, 1] inside.
    The first half of the columns passes features down the rows, the second half up; where a left and a
    vertical neighbour meet, learned coefficients weigh them. The tables print 0.956 M, those without the coefficients.
    Source: Liu et al., "GridDehazeNet: Attention-Based Multi-Scale Network for Image Dehazing", ICCV 2019;
    github.com/proteus1991/GridDehazeNet.
    """

    def __init__(self):
        super().__init__()
        widths = [WIDTH * 2**row for row in range(ROWS)]  # 16, 32, 64
        half = COLUMNS // 2
        self.head, self.tail = conv(3, WIDTH), conv(WIDTH, 3)
        self.first, self.last = ResidualDense(WIDTH), ResidualDense(WIDTH)
        self.across = nn.ModuleList(
            nn.ModuleList(ResidualDense(width) for _ in range(COLUMNS - 1)) for width in widths
        )
        self.down = nn.ModuleList(nn.ModuleList(Down(width) for _ in range(half)) for width in widths[:-1])
        self.up = nn.ModuleList(nn.ModuleList(Up(width) for _ in range(half)) for width in widths[1:])
        self.coefficients = nn.Parameter(torch.ones(ROWS, COLUMNS, 2, widths[-1]))  # of (left, vertical)

    def node(self, row: int, column: int, nodes: dict) -> Tensor:
        """Returns the features of one grid node from its left and vertical neighbours, whichever exist."""
        half, terms = COLUMNS // 2, []
        if column > 0:
            terms.append(self.across[row][column - 1](nodes[row, column - 1]))
        if column < half and row > 0:
            terms.append(self.down[row - 1][column](nodes[row - 1, column]))
        if column >= half and row < ROWS - 1:
            terms.append(self.up[row][column - half](nodes[row + 1, column], terms[0].shape[-2:]))
        if len(terms) == 1:
            return terms[0]
        left, vertical = terms  # both (B, C, H, W)
        a, b = self.coefficients[row, column, :, : left.shape[1], None, None]  # each (C, 1, 1)
        return a * left + b * vertical

    def forward(self, hazy: Tensor) -> Tensor:
        nodes = {(0, 0): self.first(self.head((hazy - 0.5) / 0.5))}
        for column in range(COLUMNS):
            rows = range(ROWS) if column < COLUMNS // 2 else reversed(range(ROWS))
            for row in rows:
                if (row, column) != (0, 0):
                    nodes[row, column] = self.node(row, column, nodes)
        return torch.relu(self.tail(self.last(nodes[0, COLUMNS - 1])))
