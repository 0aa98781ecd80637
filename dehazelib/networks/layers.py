"""Layers that several networks share: a convolution that keeps the size, and padding for networks that halve it."""

import functools
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, **options) -> nn.Conv2d:
    """Returns a convolution that keeps height and width at stride 1. kernel: odd. options: more of nn.Conv2d's."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, **options)


def pad_to(images: Tensor, multiple: int) -> Tensor:
    """Returns (B, C, H, W) images, reflected at their right and lower edges up to the next multiples of `multiple`.

    H and W must be larger than what is added.
    """
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="reflect")


def padded(multiple: int) -> Callable:
    """Makes a method from image to image, both (B, C, H, W), take any size: it sees images padded as in `pad_to`, and
    its result is cut back to their size. As a decorator it leaves the names of the parameters alone."""

    def decorate(method: Callable) -> Callable:
        @functools.wraps(method)
        def wrapper(self, images: Tensor) -> Tensor:
            height, width = images.shape[-2:]
            return method(self, pad_to(images, multiple))[..., :height, :width]

        return wrapper

    return decorate
