"""The dark channel prior: the classical method as a control without parameters."""

from torch import Tensor, nn

from dehazelib.haze import remove_haze
from dehazelib.networks.physics import airlight_from_dark_channel, dark_channel, guided_filter, luminance

PATCH, HAZE_REMOVED, MINIMUM_TRANSMISSION = 15, 0.95, 0.1  # window in pixels, omega, t0
RADIUS, EPSILON = 60, 1e-3  # of the guided filter


class DarkChannelPrior(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), unclamped. Nothing to train.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W.
    Source: He, Sun, Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009 (omega = 0.95, t0 =
    0.1, 15 x 15, brightest 0.1 %); the guided filter of TPAMI 2013 in place of soft matting.
    """

    def forward(self, hazy: Tensor) -> Tensor:
        airlight = airlight_from_dark_channel(hazy, PATCH)
        coarse = 1 - HAZE_REMOVED * dark_channel(hazy / airlight.clamp(min=1e-3), PATCH)  # (B, 1, H, W)
        refined = guided_filter(luminance(hazy), coarse, RADIUS, EPSILON)
        return remove_haze(hazy, refined, airlight, MINIMUM_TRANSMISSION)
