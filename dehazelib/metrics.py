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
    offsets = torch.arange(11, dtype=x.dtype, device=x.device) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(3, 1, 11)

    def blurred(z: Tensor) -> Tensor:  # separable: columns, then rows
        z = F.conv2d(z, window.unsqueeze(-1), padding=(5, 0), groups=3)
        return F.conv2d(z, window.unsqueeze(-2), padding=(0, 5), groups=3)

    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    ssim = ssim / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return ssim.mean((1, 2, 3)).double()


def ssim_uniform7_rgb(image: Tensor, reference: Tensor) -> Tensor:
    """Returns scikit-image's default structural similarity, (B,): 7 x 7 uniform window, borders left out."""
    pairs = zip(image.clamp(0, 1).cpu().numpy(), reference.cpu().numpy())
    return torch.tensor([structural_similarity(x, y, channel_axis=0, data_range=1.0) for x, y in pairs]).double()
