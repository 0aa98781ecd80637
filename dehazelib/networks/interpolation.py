"""Interpolation as a control: what super-resolution must beat, and what the 920x1240 target is made of."""

from torch import Tensor, nn
from torch.nn import functional as F


class Interpolation(nn.Module):
    """Returns the image enlarged `scale` times by "bilinear" or "bicubic" interpolation; no parameters.

    low: (B, 3, H, W) in [0, 1]. Bilinear at scale 2 is exactly the operator with which the released code makes its
    "high-resolution" target, so it reproduces that target without error.
    """

    def __init__(self, scale: int = 2, mode: str = "bilinear"):
        super().__init__()
        self.scale, self.mode = scale, mode

    def forward(self, low: Tensor, return_features: bool = False):
        """With return_features: (high, []): an interpolation has no intermediate features."""
        high = F.interpolate(low, scale_factor=self.scale, mode=self.mode, align_corners=False)
        return (high, []) if return_features else high
