"""MSCNN: a coarse and a fine network for the transmission (Table 5, 0.00801 M parameters)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.haze import remove_haze
from dehazelib.networks.layers import conv, pad_to
from dehazelib.networks.physics import guided_filter, luminance, minimum_filter

FORMS = ("port", "official")
MULTIPLE = 32  # sides are padded to it in the port
SMALLEST = 1e-6  # transmission divided by in the port, which has no floor of its own


def finish(official: bool) -> list[nn.Module]:
    """What follows each convolution; the normalisation sums over 5 channels with alpha 2e-5 each."""
    pooling = [nn.MaxPool2d(2), nn.Upsample(scale_factor=2)]
    if not official:
        return pooling
    return [nn.ReLU(), *pooling, nn.LocalResponseNorm(5, alpha=5 * 2e-5, beta=0.75, k=1.0)]


def stage(inputs: int, outputs: int, kernel: int, official: bool) -> list[nn.Module]:
    return [conv(inputs, outputs, kernel), *finish(official)]


def last_stages(inputs: int, width: int, kernel: int, official: bool) -> list[nn.Module]:
    """A stage of 10 maps without normalisation, then their weighted sum as transmission in (0, 1)."""
    layers = stage(inputs, width, kernel, official)
    return [*(layers[:-1] if official else layers), conv(width, 1, 1), nn.Sigmoid()]


def resize(image: Tensor, like: Tensor) -> Tensor:
    if image.shape[2:] == like.shape[2:]:
        return image
    return F.interpolate(image, like.shape[2:], mode="bicubic", antialias=True)


class MSCNN(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), unclamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W of 32 or more.
    form="port" (8,014 parameters, as in Table 5): no ReLU, no normalisation, airlight 1, sides padded to a multiple of
    32. form="official" (8,435 parameters, as in the authors' weights): ReLU and local response normalisation, input
    divided by the estimated airlight, transmission refined by a guided filter and limited to [0.1, 0.9]; the coarse
    map takes the place of the fine network's sixth. Both are trained on the dehazed image, not on the transmission as
    by the authors. gamma: exponent of the official form's transmission, 0.8 to 1.5, more for denser haze. Raises
    ValueError for an unknown form.
    Source: Ren et al., "Single Image Dehazing via Multi-Scale Convolutional Neural Networks", ECCV 2016; port
    and its training: github.com/IDKiro/gUNet; official: github.com/rwenqi/Multi-scale-CNN-Dehazing.
    """

    def __init__(self, form: str = "port", gamma: float = 1.0):
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"No form {form!r} of MSCNN: use {' or '.join(FORMS)}.")
        official = form == "official"
        self.official, self.gamma = official, gamma
        self.coarse = nn.Sequential(
            *stage(3, 5, 11, official), *stage(5, 5, 9, official), *last_stages(5, 10, 7, official))
        self.fine_first = conv(3, 6 if official else 4, 7)
        self.fine_finish = nn.Sequential(*finish(official))
        self.fine = nn.Sequential(
            *stage(6 if official else 5, 5, 5, official), *last_stages(5, 10, 3, official))

    def transmission(self, image: Tensor) -> Tensor:
        """Returns the fine network's transmission in (0, 1), (B, 1, H, W). image: as prepared by the form."""
        coarse = resize(self.coarse(image), image)  # (B, 1, H, W)
        first = self.fine_first(image)
        if self.official:
            first = self.fine_finish(torch.cat([first[:, :5], coarse], 1))  # (B, 6, H, W)
        else:
            first = torch.cat([coarse, self.fine_finish(first)], 1)  # (B, 5, H, W)
        return resize(self.fine(first), image)

    def forward(self, hazy: Tensor) -> Tensor:
        return self.forward_official(hazy) if self.official else self.forward_port(hazy)

    def forward_port(self, hazy: Tensor) -> Tensor:
        height, width = hazy.shape[-2:]
        transmission = self.transmission(pad_to(hazy, MULTIPLE))[..., :height, :width]
        return remove_haze(hazy, transmission, 1.0, floor=SMALLEST)

    def forward_official(self, hazy: Tensor) -> Tensor:
        airlight = minimum_filter(hazy, 15).amax((2, 3), keepdim=True).clamp(min=SMALLEST)  # (B, 3, 1, 1)
        transmission = self.refine(hazy, self.transmission(hazy / airlight), airlight)
        return remove_haze(hazy, transmission.clamp(0.1, 0.9) ** self.gamma, airlight, floor=SMALLEST)

    def refine(self, hazy: Tensor, transmission: Tensor, airlight: Tensor, weight: float = 0.1) -> Tensor:
        """Returns t smoothed as 1 / t, and drawn to 1 where the image differs from the airlight."""
        grey = luminance(hazy)
        contrast = (grey - luminance(airlight)) ** 2  # (B, 1, H, W)
        inverse = (contrast + weight / transmission) / (contrast + weight)
        radius = min(hazy.shape[-2:]) // 8
        return 1 / guided_filter(grey, inverse, radius, eps=0.04)
