"""Controls in a teacher's place: interpolation, which super-resolution must beat and which makes the 920x1240 target,
and a black image, which teaches nothing."""

from torch import Tensor, nn
from torch.nn import functional as F


class Interpolation(nn.Module):
    """Returns the image, (B, 3, H, W), enlarged `scale` times by "bilinear" or "bicubic" interpolation; no parameters.

    Bilinear at scale 2 is how the released code makes its "high-resolution" target, which it so reproduces exactly.
    """

    def __init__(self, scale: int = 2, mode: str = "bilinear"):
        super().__init__()
        self.scale, self.mode = scale, mode

    def forward(self, low: Tensor, return_features: bool = False, cell: int = 0):
        """With return_features: (high, []): an interpolation has no intermediate features.

        cell: if given, the result is averaged over cell x cell pixels of `low`: (B, 3, H // cell, W // cell).
        """
        high = F.interpolate(low, scale_factor=self.scale, mode=self.mode, align_corners=False)
        if cell:
            high = F.avg_pool2d(high, self.scale * cell)
        return (high, []) if return_features else high


class Black(nn.Module):
    """Returns a black image, `scale` times as large: in a teacher's place its affinities are 0. No parameters."""

    def __init__(self, scale: int = 2):
        super().__init__()
        self.scale = scale

    def forward(self, low: Tensor, return_features: bool = False, cell: int = 0):
        """With return_features: (black, []): there are no intermediate features. cell: see Interpolation."""
        size = [side // cell if cell else self.scale * side for side in low.shape[2:]]
        black = low.new_zeros(*low.shape[:2], *size)
        return (black, []) if return_features else black
