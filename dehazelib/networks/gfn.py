"""GFN (CVPR 2018): three derived images, blended by learned gates at three scales from coarse to fine."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.layers import conv, padded

WIDTH = 32
SLOPE = 0.1  # of every LeakyReLU
GAMMA = 2.5
MARGIN = 0.001 / 255  # keeps the gain of a black channel finite


def white_balanced(image: Tensor, margin: float = MARGIN) -> Tensor:
    """Returns the grey-world balanced image, at most 1: each channel scaled to the mean of all channels.

    image: (B, 3, H, W) in [0, 1].
    """
    channel = image.mean((2, 3), keepdim=True)  # (B, 3, 1, 1)
    return (image * (channel.mean(1, keepdim=True) / (channel + margin))).clamp(max=1)


def contrast_enhanced(image: Tensor) -> Tensor:
    """Returns 2 (0.5 + m) (image - m) with m the mean of the whole image, not clamped; (B, 3, H, W)."""
    mean = image.mean((1, 2, 3), keepdim=True)
    return 2 * (0.5 + mean) * (image - mean)


def stage(*layers: nn.Module) -> nn.Sequential:
    """Returns the layers, each followed by LeakyReLU."""
    return nn.Sequential(*[module for layer in layers for module in (layer, nn.LeakyReLU(SLOPE))])


def deconv() -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1)


class Gates(nn.Module):
    """Returns three gates, (B, 3, H, W), from six stages all seen by the last layer; x: (B, C, H, W)."""

    def __init__(self, inputs: int, kernel: int, dilation: int, widest: int = WIDTH):
        super().__init__()

        def same(dilation: int = 1) -> nn.Conv2d:
            return conv(WIDTH, WIDTH, dilation=dilation)

        self.stages = nn.ModuleList((
            stage(conv(inputs, WIDTH, kernel, dilation=dilation), same(dilation), same(dilation)),
            stage(conv(WIDTH, widest, dilation=dilation), conv(widest, WIDTH), same()),
            stage(same(), same(), same()),
            stage(deconv(), same(), same()),
            stage(deconv(), same(), same()),
            stage(deconv(), same()),
        ))
        self.gates = stage(conv(len(self.stages) * WIDTH, 3))

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for layers in self.stages:
            x = layers(x)
            features.append(x)
        return self.gates(torch.cat(features, 1))


class GFN(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 8 (the authors resize to multiples of 8).
    White-balanced, contrast-enhanced and gamma-corrected versions are summed, each times its gate.
    The released Caffe network: 517,295 parameters, where the table prints 0.514 M. The authors' white balance rounds
    to 8 bits first.
    Source: Ren et al., "Gated Fusion Network for Single Image Dehazing", CVPR 2018; github.com/rwenqi/GFN-dehazing.
    """

    def __init__(self):
        super().__init__()
        self.coarse = Gates(12, kernel=3, dilation=1, widest=2 * WIDTH)
        self.middle = Gates(12 + 3, kernel=5, dilation=2)
        self.fine = Gates(12 + 3, kernel=7, dilation=3)
        self.enlarge = nn.ModuleList(stage(nn.ConvTranspose2d(3, 3, 4, 2, padding=1)) for _ in range(2))

    def inputs(self, hazy: Tensor) -> Tensor:
        """Returns hazy, white-balanced, contrast-enhanced and gamma-corrected images, (B, 12, H, W)."""
        derived = white_balanced(hazy), contrast_enhanced(hazy), hazy**GAMMA
        return torch.cat((hazy, *derived), 1)

    def scales(self, hazy: Tensor) -> list[Tensor]:
        """Returns the dehazed images at 1/4, 1/2 and full size, each (B, 3, h, w); H and W multiples of 4."""
        full, results = self.inputs(hazy), []
        for level, network in enumerate((self.coarse, self.middle, self.fine)):
            size = 4 >> level
            x = F.max_pool2d(full, size) if size > 1 else full  # (B, 12, h, w)
            seen = torch.cat((self.enlarge[level - 1](results[-1]), x), 1) if results else x
            gates = network(seen)  # (B, 3, h, w): one map per derived image
            balanced, enhanced, corrected = x[:, 3:6], x[:, 6:9], x[:, 9:12]
            results.append(gates[:, [0]] * balanced + gates[:, [1]] * enhanced + gates[:, [2]] * corrected)
        return results

    @padded(8)
    def forward(self, hazy: Tensor) -> Tensor:
        return self.scales(hazy)[-1]


class GFNObjective(Objective):
    """Returns the mean squared error summed over the three scales; the clear image is averaged down to each.

    Images whose sides are multiples of 4. The publication adds a weak adversarial term; its discriminator is
    not in the released files, and it is left out here. Source: Ren et al., CVPR 2018, the multi-scale loss.
    """

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        if inputs.shape[-2] % 4 or inputs.shape[-1] % 4:
            size = tuple(inputs.shape[-2:])
            raise ValueError(f"GFN trains on crops whose sides are multiples of 4, not {size}: crop them so.")
        dehazed = self.network.scales(inputs)
        return sum(F.mse_loss(image, F.adaptive_avg_pool2d(target, image.shape[-2:])) for image in dehazed)
