"""How the super-resolution tasks make their small and large images; pure functions on (B, C, H, W) tensors."""

from torch import Tensor
from torch.nn import functional as F


def reduced(image: Tensor, factor: int = 2) -> Tensor:
    """Returns the image at 1/factor of its size: bicubic with antialiasing, clamped to [0, 1].

    This is the usual low-resolution input of real super-resolution; the paper does not say which filter it used.
    """
    size = (image.shape[-2] // factor, image.shape[-1] // factor)
    return F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def doubled(image: Tensor) -> Tensor:
    """Returns the image at twice its size by bilinear interpolation: the released code's 920 x 1240 "HR" target."""
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


def super_resolution_pair(clear: Tensor, target: str, scale: int = 2) -> tuple[Tensor, Tensor]:
    """Returns (low, high) for one of the paper's two tasks.

    "native" (Tables 1 and 3): the image reduced by `scale` -> the image, a real super-resolution task.
    "upsampled" (Tables 2 and 4): the image -> its bilinear enlargement, as the released code makes it; at scale 4 the
    input is the image reduced by 2.
    """
    height, width = (side - side % scale for side in clear.shape[-2:])
    clear = clear[..., :height, :width]
    if target == "native":
        return reduced(clear, scale), clear
    if target == "upsampled":
        return (clear if scale == 2 else reduced(clear, scale // 2)), doubled(clear)
    raise ValueError(f"No super-resolution target {target!r}: use native or upsampled.")
