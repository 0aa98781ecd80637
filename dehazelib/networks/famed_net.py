"""FAMED-Net: K at three scales from point-wise convolutions and max-pooling (Table 5, 0.018 M parameters)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.layers import conv
from dehazelib.networks.physics import recover_from_k

WIDTH, SHRINKS = 32, (1, 2, 4)


def resize(image: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=True)


def shrink(image: Tensor, factor: int) -> Tensor:
    """Returns the image at 1 / factor of its size: side (N - 1) // factor + 1, corners aligned."""
    return image if factor == 1 else resize(image, [(n - 1) // factor + 1 for n in image.shape[2:]])


def pointwise(inputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, WIDTH, 1), nn.BatchNorm2d(WIDTH), nn.ReLU())


def spread(x: Tensor, kernel: int) -> Tensor:
    return F.max_pool2d(x, kernel, stride=1, padding=kernel // 2)


class Encoder(nn.Module):
    """Returns K of one scale, (B, 3, H, W), at least 0, from densely connected layers."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = pointwise(3), pointwise(WIDTH)
        self.conv3, self.conv4 = pointwise(2 * WIDTH), pointwise(2 * WIDTH)
        self.conv5 = conv(4 * WIDTH, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        x1 = self.conv1(image)  # (B, 32, H, W), as all the others
        x2 = spread(self.conv2(x1), 3)
        x3 = spread(self.conv3(torch.cat([x1, x2], 1)), 5)
        x4 = spread(self.conv4(torch.cat([x2, x3], 1)), 7)
        return torch.relu(self.conv5(torch.cat([x1, x2, x3, x4], 1)))


class FAMEDNet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), at least 0 (final ReLU).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. 17,991 parameters.
    Weights are drawn by Xavier's rule as by the authors, but each scale's K starts near 1 and the fusion as their
    mean, so that no colour starts at K = 0, where a ReLU would keep it. The authors estimate K at a longest side of
    360 pixels and refine it by a guided filter; here K has the image's size.
    Source: Zhang, Tao, "FAMED-Net: A Fast and Accurate Multi-Scale End-to-End Dehazing Network", TIP 2020;
    layers of the deployed network in github.com/chaimi2013/FAMED-Net.
    """

    def __init__(self):
        super().__init__()
        self.encoders = nn.ModuleList(Encoder() for _ in SHRINKS)
        self.fusion = conv(3 * len(SHRINKS), 3, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.fusion.weight.copy_(torch.eye(3).repeat(1, len(SHRINKS))[..., None, None] / len(SHRINKS))
        for encoder in self.encoders:
            nn.init.ones_(encoder.conv5.bias)

    def scales(self, hazy: Tensor) -> list[Tensor]:
        """Returns K at full, half and quarter size."""
        return [encoder(shrink(hazy, factor)) for encoder, factor in zip(self.encoders, SHRINKS, strict=True)]

    def fuse(self, scales: list[Tensor]) -> Tensor:
        """Returns K, (B, 3, H, W), at least 0."""
        size = scales[0].shape[2:]
        return torch.relu(self.fusion(torch.cat([scales[0]] + [resize(k, size) for k in scales[1:]], 1)))

    def forward(self, hazy: Tensor) -> Tensor:
        return recover_from_k(hazy, self.fuse(self.scales(hazy)))


class DeepSupervision(Objective):
    """MSE of the fused image plus that of each scale's own image against the clear image at that size.

    The deployed network still holds the reconstruction at each scale; that the four terms weigh the same is
    our choice, as no training file is public. Source: Zhang, Tao, TIP 2020.
    """

    def forward(self, group: int, hazy: Tensor, clear: Tensor) -> Tensor:
        scales = self.network.scales(hazy)
        loss = F.mse_loss(recover_from_k(hazy, self.network.fuse(scales)), clear)
        for k, factor in zip(scales, SHRINKS, strict=True):
            loss = loss + F.mse_loss(recover_from_k(shrink(hazy, factor), k), shrink(clear, factor))
        return loss
