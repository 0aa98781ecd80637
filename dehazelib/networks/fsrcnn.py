"""FSRCNN and the paper's teachers built from it: one branch per colour, with cheaper variants (section 3.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, SHRUNK, MAPPINGS = 56, 12, 4  # d, s, m of the FSRCNN publication


class Separable(nn.Sequential):
    """Depthwise k x k, then pointwise 1 x 1, both with bias; optionally each followed by batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, batch_norm: bool = False):
        depthwise = nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs)
        pointwise = nn.Conv2d(inputs, outputs, 1)
        if batch_norm:
            super().__init__(depthwise, nn.BatchNorm2d(inputs), pointwise, nn.BatchNorm2d(outputs))
        else:
            super().__init__(depthwise, pointwise)


class FSRCNN(nn.Module):
    """Returns the image enlarged `scale` times: (B, C, H, W) in [0, 1] -> (B, C, scale * H, scale * W).

    convolution: "plain", "dsc" (depthwise separable) or "dscbn" (with batch norm); activation: "prelu" or "relu".
    Source: Dong et al., "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016;
    layer sizes, initialisation and the separable 1 x 1 layers as in the paper's released code.
    """

    def __init__(self, scale: int = 2, channels: int = 3, convolution: str = "plain", activation: str = "prelu"):
        super().__init__()
        if convolution not in ("plain", "dsc", "dscbn") or activation not in ("prelu", "relu"):
            raise ValueError(f"FSRCNN has no convolution={convolution!r} with activation={activation!r}: "
                             "use plain, dsc or dscbn with prelu or relu.")

        def act(width: int) -> nn.Module:
            return nn.PReLU(width) if activation == "prelu" else nn.ReLU()

        def conv(inputs: int, outputs: int, kernel: int) -> nn.Module:
            if convolution == "plain":
                return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            return Separable(inputs, outputs, kernel, batch_norm=convolution == "dscbn")

        first = [nn.Conv2d(channels, WIDTH, 5, padding=2)]
        if convolution == "dscbn":
            first.append(nn.BatchNorm2d(WIDTH))
        self.extract = nn.Sequential(*first, act(WIDTH))
        middle = [conv(WIDTH, SHRUNK, 1), act(SHRUNK)]
        for _ in range(MAPPINGS):
            middle += [conv(SHRUNK, SHRUNK, 3), act(SHRUNK)]
        self.shrink_map_expand = nn.Sequential(*middle, conv(SHRUNK, WIDTH, 1), act(WIDTH))
        self.deconvolution = nn.ConvTranspose2d(
            WIDTH, channels, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        nn.init.normal_(self.deconvolution.weight, 0.0, 0.001)
        nn.init.zeros_(self.deconvolution.bias)
        self.scale = scale

    def forward(self, low: Tensor, return_features: bool = False, cell: int = 0):
        """With return_features: (high, [first, expanded]), both features (B, 56, H, W).

        cell: if given, all of it is averaged over cell x cell pixels of `low`: (B, ..., H // cell, W // cell).
        """
        first = self.extract(low)
        expanded = self.shrink_map_expand(first)
        high = averaged_deconvolution(self.deconvolution, expanded, cell) if cell else self.deconvolution(expanded)
        if not return_features:
            return high
        return high, [F.avg_pool2d(precise(x), cell) if cell else x for x in (first, expanded)]


class MultiChannelFSRCNN(nn.Module):
    """Returns the image enlarged by one single-channel FSRCNN per colour. Equations (2) and (3).

    low: (B, 3, H, W) in [0, 1]. convolution="dsc" is the paper's teacher DSC-MC-FSRCNN (26,451 parameters).
    """

    def __init__(self, scale: int = 2, convolution: str = "plain", activation: str = "prelu"):
        super().__init__()
        self.branches = nn.ModuleDict({c: FSRCNN(scale, 1, convolution, activation) for c in "rgb"})
        self.scale = scale

    def forward(self, low: Tensor, return_features: bool = False, cell: int = 0):
        """With return_features: (high, [first, expanded]), both features (B, 3 * 56, H, W). cell: see FSRCNN."""
        colours = [branch(low[:, i : i + 1], return_features, cell) for i, branch in enumerate(self.branches.values())]
        if not return_features:
            return torch.cat(colours, 1)
        high = torch.cat([colour for colour, _ in colours], 1)
        return high, [torch.cat(maps, 1) for maps in zip(*(features for _, features in colours))]


def averaged_deconvolution(layer: nn.ConvTranspose2d, features: Tensor, cell: int) -> Tensor:
    """Returns the layer's result averaged over cell x cell pixels of its input: (B, C, H, W) -> (B, D, H // cell,
    W // cell), in float32 or the input's higher precision.

    Both steps are linear, so one convolution does both: it takes as many steps as there are cells, and the enlarged
    image is never formed. The stride must divide the padding, as it does in an FSRCNN.
    """
    stride, padding = layer.stride[0], layer.padding[0]
    side = stride * cell  # of a cell in the enlarged image
    means = F.avg_pool2d(F.pad(layer.weight, [side - 1] * 4), side, 1)  # of every window of that size on the kernel
    kernel = means[..., stride - 1 :: stride, stride - 1 :: stride].flip(2, 3).transpose(0, 1)
    with torch.autocast(features.device.type, enabled=False):  # one rounding of a mean would weigh more than of many
        return F.conv2d(precise(features), kernel, layer.bias, cell, padding // stride)


def precise(features: Tensor) -> Tensor:
    """Returns half precision as float32, in which means are taken; others as they are."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
