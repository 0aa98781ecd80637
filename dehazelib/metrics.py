"""Image quality, with the convention in the name. Images are (B, 3, H, W) in [0, 1]; scores are one per image, (B,)."""

import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F


def psnr_rgb(image: Tensor, reference: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio in dB over all pixels and colours, (B,); infinite for equal images.

    The image is clamped to [0, 1] but not rounded to 8 bits. Source: the authors' evaluation.
    """
    error = (image.clamp(0, 1).double() - reference.double()).square().mean((1, 2, 3))
    return -10 * torch.log10(error)


def ssim_gauss11_rgb(image: Tensor, reference: Tensor) -> Tensor:
    """Returns the structural similarity, (B,): 11 x 11 Gaussian window (sigma 1.5), zero padded, mean over colours.

    Source: Wang et al., "Image Quality Assessment", IEEE TIP 2004, as the authors evaluate it (full resolution).
    """
    x, y = image.clamp(0, 1), reference
    means = gaussian_mean(torch.cat([x, y, x * x, y * y, x * y], 1))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = means.chunk(5, 1)
    var_x, var_y, covariance = mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    ssim = ssim / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return ssim.mean((1, 2, 3)).double()


def gaussian_mean(images: Tensor) -> Tensor:
    """Returns the mean of each channel over an 11 x 11 Gaussian window (sigma 1.5), zero padded; (B, C, H, W).

    Separable: first along columns, then along rows. Many channels at once are much faster than a few at a time.
    """
    channels = images.shape[1]
    offsets = torch.arange(11, dtype=images.dtype, device=images.device) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(channels, 1, 11)
    columns = F.conv2d(images, window.unsqueeze(-1), padding=(5, 0), groups=channels)
    return F.conv2d(columns, window.unsqueeze(-2), padding=(0, 5), groups=channels)


def ssim_uniform7_rgb(image: Tensor, reference: Tensor) -> Tensor:
    """Returns scikit-image's default structural similarity, (B,): 7 x 7 uniform window, borders left out."""
    pairs = zip(image.clamp(0, 1).cpu().numpy(), reference.cpu().numpy())
    return torch.tensor([structural_similarity(x, y, channel_axis=0, data_range=1.0) for x, y in pairs]).double()
