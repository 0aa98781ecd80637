"""The dark channel prior: the classical method as a control without parameters."""

from torch import Tensor, nn

from dehazelib.haze import remove_haze
from dehazelib.networks.physics import airlight_from_dark_channel, dark_channel, guided_filter, luminance


class DarkChannelPrior(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), unclamped. Nothing to train.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. patch: window of the dark channel, odd, pixels.
    haze_removed: fraction of the haze to take away. minimum_transmission: smaller t are raised to it. radius
    (pixels), eps: of the guided filter.
    Source: He, Sun, Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009 (omega = 0.95, t0 =
    0.1, 15 x 15, brightest 0.1 %); the guided filter of TPAMI 2013 in place of soft matting.
    """

    def __init__(self, patch: int = 15, haze_removed: float = 0.95, minimum_transmission: float = 0.1,
                 radius: int = 60, eps: float = 1e-3):
        super().__init__()
        self.patch, self.haze_removed, self.minimum_transmission = patch, haze_removed, minimum_transmission
        self.radius, self.eps = radius, eps

    def transmission(self, hazy: Tensor, airlight: Tensor) -> Tensor:
        """Returns t = 1 - omega * dark channel of I / A, refined along the edges of I, (B, 1, H, W)."""
        coarse = 1 - self.haze_removed * dark_channel(hazy / airlight.clamp(min=1e-3), self.patch)
        return guided_filter(luminance(hazy), coarse, self.radius, self.eps)

    def forward(self, hazy: Tensor) -> Tensor:
        airlight = airlight_from_dark_channel(hazy, self.patch)
        return remove_haze(hazy, self.transmission(hazy, airlight), airlight, self.minimum_transmission)
