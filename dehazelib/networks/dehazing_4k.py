"""4K-Dehazing: affine colour transforms predicted at 256 x 256, sliced from a bilateral grid at full size."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks.layers import conv

GRID, COEFFICIENTS = 16, 12  # bilateral grid of 16 x 16 x 16 cells, each a 3 x 4 affine colour matrix
GRID_SIDE, DETAIL_SIDE = 256, 320  # what the two U-Nets see


def double_conv(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        conv(inputs, middle), nn.BatchNorm2d(middle), nn.ReLU(),
        conv(middle, outputs), nn.BatchNorm2d(outputs), nn.ReLU(),
    )


class UNet(nn.Module):
    """Returns a (B, 3, H, W) map in [0, 1] from a (B, 3, H, W) image, H and W multiples of 16."""

    def __init__(self, width: int):
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.down = nn.ModuleList(double_conv(i, o, o) for i, o in zip([3, *widths[:-1]], widths))
        outputs = [4 * width, 2 * width, width, width]
        self.up = nn.ModuleList(
            double_conv(skip + below, (skip + below) // 2, out)
            for skip, below, out in zip(widths[-2::-1], [widths[-1], *outputs[:-1]], outputs)
        )
        self.head = conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.down[0](x)]
        for down in self.down[1:]:
            features.append(down(F.max_pool2d(features[-1], 2)))
        x = features.pop()  # (B, 8 * width, H/16, W/16)
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = up(torch.cat([features.pop(), x], 1))
        return torch.sigmoid(self.head(x))


def guide() -> nn.Sequential:
    """Returns one colour's guide network: (B, 1, H, W) -> depth in the grid, (B, 1, H, W) in [-1, 1]."""
    return nn.Sequential(
        conv(1, 16), nn.BatchNorm2d(16), nn.PReLU(),
        conv(16, 16), nn.BatchNorm2d(16), nn.PReLU(),
        conv(16, 1, 1), nn.Tanh(),
    )


def slice_grid(grid: Tensor, depth: Tensor) -> Tensor:
    """Returns the grid read at every pixel's position and depth, trilinearly: (B, 12, H, W).

    grid: (B, 12, 16, 16, 16) over depth, rows, columns. depth: (B, 1, H, W) in [-1, 1].
    """
    batch, _, height, width = depth.shape
    axes = [torch.linspace(0, 1, side, device=depth.device, dtype=depth.dtype) for side in (height, width)]
    y, x = torch.meshgrid(*axes, indexing="ij")
    plane = 2 * torch.stack([x, y], -1).expand(batch, -1, -1, -1) - 1  # (B, H, W, 2) in [-1, 1]
    place = torch.cat([plane, depth.permute(0, 2, 3, 1)], -1)  # (B, H, W, 3)
    return F.grid_sample(grid, place[:, None], align_corners=True)[:, :, 0]


def apply_affine(coefficients: Tensor, image: Tensor) -> Tensor:
    """Returns M x + b per pixel, (B, 3, H, W); [M b] are the (B, 12, H, W) coefficients as 3 x 4 matrices."""
    matrix = coefficients.unflatten(1, (3, 4))  # (B, 3, 4, H, W)
    return (matrix[:, :, :3] * image[:, None]).sum(2) + matrix[:, :, 3]


class Dehazing4K(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32. Both U-Nets, of `width` channels at first, see the whole image
    resized, so that crops of an image are not dehazed like the image. A PReLU that is never used is counted.
    Source: Zheng et al., "Ultra-High-Definition Image Dehazing via Multi-Guided Bilateral Learning", CVPR
    2021; repository zzr-idam/4KDehazing.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.grid_network, self.detail_network = UNet(width), UNet(width)
        self.guides = nn.ModuleList(guide() for _ in "rgb")
        self.mixes = nn.ModuleList(conv(3, 3, 1) for _ in "rgb")
        self.fusion = nn.Sequential(conv(9, 16), nn.PReLU(), conv(16, 3, 1), nn.PReLU())
        self.refinement = nn.Sequential(conv(3, 8), nn.PReLU(), conv(8, 3), nn.PReLU())
        self.activation = nn.PReLU()  # shared by the mixes and the output
        self.unused = nn.PReLU()

    def forward(self, hazy: Tensor) -> Tensor:
        small = F.interpolate(hazy, (GRID_SIDE, GRID_SIDE), mode="bicubic", align_corners=True)
        cells = F.adaptive_avg_pool2d(self.grid_network(small), (64, 256))  # (B, 3, 64, 256)
        grid = cells.reshape(-1, COEFFICIENTS, GRID, GRID, GRID)
        detail = F.interpolate(hazy, (DETAIL_SIDE, DETAIL_SIDE), mode="bicubic", align_corners=True)
        detail = self.detail_network(detail)
        detail = F.interpolate(detail, hazy.shape[-2:], mode="bicubic", align_corners=True)
        views = []
        for i, (guide_of, mix) in enumerate(zip(self.guides, self.mixes)):
            coefficients = slice_grid(grid, guide_of(hazy[:, i : i + 1]))  # (B, 12, H, W)
            views.append(apply_affine(coefficients, self.activation(mix(detail))))
        m = self.fusion(torch.cat(views, 1))  # (B, 9, H, W) -> (B, 3, H, W)
        return self.activation(self.refinement(m) * hazy - m + 1)
