"""FSRCNN and the paper's teachers built from it: one branch per colour, with cheaper variants (section 3.1)."""

import torch
from torch import Tensor, nn

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

    def forward(self, low: Tensor, return_features: bool = False):
        """With return_features: (high, [first, expanded]), both features (B, 56, H, W)."""
        first = self.extract(low)
        expanded = self.shrink_map_expand(first)
        high = self.deconvolution(expanded)
        return (high, [first, expanded]) if return_features else high


class MultiChannelFSRCNN(nn.Module):
    """Returns the image enlarged by one single-channel FSRCNN per colour. Equations (2) and (3).

    low: (B, 3, H, W) in [0, 1]. convolution="dsc" is the paper's teacher DSC-MC-FSRCNN (26,451 parameters).
    """

    def __init__(self, scale: int = 2, convolution: str = "plain", activation: str = "prelu"):
        super().__init__()
        self.branches = nn.ModuleDict({c: FSRCNN(scale, 1, convolution, activation) for c in "rgb"})
        self.scale = scale

    def forward(self, low: Tensor, return_features: bool = False):
        """With return_features: (high, [first, expanded]), both features (B, 3 * 56, H, W)."""
        results = [branch(low[:, i : i + 1], True) for i, branch in enumerate(self.branches.values())]
        high = torch.cat([r[0] for r in results], 1)  # (B, 3, scale * H, scale * W)
        features = [torch.cat([r[1][k] for r in results], 1) for k in range(2)]
        return (high, features) if return_features else high
