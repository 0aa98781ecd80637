"""Physics shared by several networks: dark channel, airlight, guided filter, recovery from K."""

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def recover_from_k(hazy: Tensor, k: Tensor) -> Tensor:
    """Returns the clear image J = max(K I - K + 1, 0), (B, 3, H, W).

    hazy: (B, 3, H, W) in [0, 1]. k: (B, 3, H, W), at least 0, 1 where there is no haze.
    Source: Li et al., "AOD-Net: All-in-One Dehazing Network", ICCV 2017, with b = 1.
    """
    return torch.relu(k * hazy - k + 1)


def luminance(image: Tensor) -> Tensor:
    """Returns the grey image, (B, 1, H, W), of an RGB image (B, 3, H, W)."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def minimum_filter(image: Tensor, patch: int) -> Tensor:
    """Returns the minimum of each channel over a patch x patch window within the image, (B, C, H, W); patch: odd."""
    return -F.max_pool2d(-image, patch, stride=1, padding=patch // 2)


def dark_channel(image: Tensor, patch: int = 15) -> Tensor:
    """Returns the minimum over colours and over a patch x patch window, (B, 1, H, W). image: (B, 3, H, W).

    Source: He, Sun, Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009.
    """
    return minimum_filter(image.amin(1, keepdim=True), patch)


def airlight_from_dark_channel(image: Tensor, patch: int = 15, top: float = 0.001) -> Tensor:
    """Returns the airlight A, (B, 3, 1, 1), a constant for gradients.

    image: (B, 3, H, W) in [0, 1]. Among the fraction `top` of pixels with the brightest dark channel, A is
    the colour of the one whose mean over RGB is highest. Source: He, Sun, Tang, CVPR 2009.
    """
    image = image.detach()
    dark = dark_channel(image, patch).flatten(1)  # (B, N)
    kept = max(1, round(top * dark.shape[1]))
    threshold = dark.topk(kept).values[:, -1:]  # (B, 1)
    intensity = image.mean(1).flatten(1).masked_fill(dark < threshold, -torch.inf)
    brightest = intensity.argmax(1).view(-1, 1, 1).expand(-1, 3, 1)  # (B, 3, 1)
    return image.flatten(2).gather(2, brightest).unsqueeze(-1)


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Returns the mean over a (2 radius + 1)^2 window, (B, C, H, W); at borders over its inner part."""
    size = 2 * radius + 1
    rows = F.avg_pool2d(image, (size, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), 1, (0, radius), count_include_pad=False)


def guided_filter(guide: Tensor, source: Tensor, radius: int, eps: float) -> Tensor:
    """Returns source smoothed along the edges of guide, the shape of source.

    guide: (B, 1, H, W). source: (B, C, H, W). radius: pixels. eps: in squared units of guide, below it an
    edge is noise.
    Source: He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, equations (5), (6) and (8).
    """
    mean_guide, mean_source = box_mean(guide, radius), box_mean(source, radius)
    covariance = box_mean(guide * source, radius) - mean_guide * mean_source
    variance = box_mean(guide * guide, radius) - mean_guide * mean_guide
    slope = covariance / (variance + eps)  # (B, C, H, W)
    offset = mean_source - slope * mean_guide
    return box_mean(slope, radius) * guide + box_mean(offset, radius)
