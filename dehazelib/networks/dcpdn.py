"""DCPDN: transmission by a densely connected pyramid, airlight by a U-Net, the clear image from both."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.cycle_dehaze import PatchDiscriminator, normal_weights
from dehazelib.networks.layers import conv, pad_to

AIRLIGHT_SIDE = 512  # pixels: the authors' training size, and a multiple of the U-Net's 2 ** 8
POOLS = (32, 16, 8, 4)  # pixels
ADVERSARIAL, GRADIENT = 0.35, 2.0  # weights of the loss terms


def norm_relu_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, kernel, bias=False))


class DenseLayer(nn.Module):
    """Returns x with `growth` new channels appended, (B, C + growth, H, W)."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        wide = 4 * growth
        self.body = nn.Sequential(norm_relu_conv(inputs, wide, 1), norm_relu_conv(wide, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


def dense_block(inputs: int, layers: int) -> nn.Sequential:
    """Returns a block of DenseNet-121 and its transition: half the channels, half the size."""
    outputs = inputs + 32 * layers
    body = [DenseLayer(inputs + 32 * i, 32) for i in range(layers)]
    return nn.Sequential(*body, norm_relu_conv(outputs, outputs // 2, 1), nn.AvgPool2d(2))


def up_block(inputs: int, growth: int, outputs: int) -> nn.Sequential:
    """Returns one decoder step: a dense layer, a 1 x 1 transposed convolution, nearest-neighbour doubling."""
    wider = inputs + growth
    return nn.Sequential(
        DenseLayer(inputs, growth), nn.BatchNorm2d(wider), nn.ReLU(),
        nn.ConvTranspose2d(wider, outputs, 1, bias=False), nn.Upsample(scale_factor=2),
    )


class PyramidHead(nn.Module):
    """Returns a (B, 3, H, W) map in [-1, 1] from (B, 20, H, W) features and their averages at four scales."""

    def __init__(self):
        super().__init__()
        self.squeeze = nn.ModuleList(conv(20, 1, 1) for _ in POOLS)
        self.last = conv(20 + len(POOLS), 3)

    def forward(self, x: Tensor) -> Tensor:
        averages = [
            F.interpolate(F.leaky_relu(squeeze(F.avg_pool2d(x, pool)), 0.2), x.shape[-2:])
            for squeeze, pool in zip(self.squeeze, POOLS)
        ]
        return torch.tanh(self.last(torch.cat([*averages, x], 1)))


class Transmission(nn.Module):
    """Returns the transmission, one map per colour, (B, 3, H, W) in [-1, 1]; H and W multiples of 32."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            conv(3, 64, 7, stride=2, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.down = nn.ModuleList([dense_block(64, 6), dense_block(128, 12), dense_block(256, 24)])
        self.up = nn.ModuleList([
            up_block(512, 256, 128), up_block(384, 256, 128), up_block(256, 128, 64), up_block(64, 64, 32),
            up_block(32, 32, 16),
        ])
        self.join = conv(16 + 3, 20)
        self.head = PyramidHead()

    def forward(self, hazy: Tensor) -> Tensor:
        x1 = self.down[0](self.stem(hazy))  # (B, 128, H/8, W/8)
        x2 = self.down[1](x1)  # (B, 256, H/16, W/16)
        x = self.up[0](self.down[2](x2))  # (B, 512, H/32, W/32) -> (B, 128, H/16, W/16)
        x = self.up[1](torch.cat([x, x2], 1))
        x = self.up[2](torch.cat([x, x1], 1))
        x = self.up[4](self.up[3](x))  # (B, 16, H, W)
        return self.head(F.leaky_relu(self.join(torch.cat([x, hazy], 1)), 0.2))


class UNet(nn.Module):
    """Returns (B, outputs, H, W) from an image, H and W multiples of 256: pix2pix's eight levels."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        widths = [width * m for m in (1, 2, 4, 8, 8, 8, 8, 8)]
        self.first = nn.Conv2d(3, width, 4, 2, 1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o))
            for i, o in zip(widths, widths[1:])
        )
        self.up = nn.ModuleList(self.step(widths, level, outputs) for level in range(7, -1, -1))

    @staticmethod
    def step(widths: list[int], level: int, outputs: int) -> nn.Sequential:
        inputs = widths[level] * (1 if level == 7 else 2)  # all but the deepest take a skip as well
        last = widths[level - 1] if level else outputs
        layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, last, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(last)] if 0 < level < 7 else []
        layers += [nn.Dropout2d(0.5)] if level >= 5 else []
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.first(x)]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = self.up[0](skips.pop())
        for up in self.up[1:]:
            x = up(torch.cat([x, skips.pop()], 1))
        return x


class DCPDN(nn.Module):
    """Returns the dehazed image, (B, 3, H, W) in [-1, 1] (final tanh), trained towards [0, 1].

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32. The airlight's U-Net sees it resized to 512 x 512.
    `unused`: what the authors' code builds but never runs, 54 of the 67 million parameters that the table counts.
    The encoder starts from random weights, not from ImageNet's as published, and evaluation is deterministic.
    Source: Zhang and Patel, "Densely Connected Pyramid Dehazing Network", CVPR 2018; repository
    hezhangsprinter/DCPDN.
    """

    def __init__(self):
        super().__init__()
        self.transmission, self.airlight = Transmission(), UNet(8, 3)
        self.refine = nn.Sequential(
            conv(6, 20), nn.LeakyReLU(0.2),
            conv(20, 20), nn.LeakyReLU(0.2),
        )
        self.head = PyramidHead()
        self.unused = nn.ModuleList(
            [UNet(64, 20), PyramidHead(), nn.Conv2d(24, 3, 3, bias=False), nn.BatchNorm2d(20)])
        normal_weights(self)

    def decompose(self, hazy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (dehazed (B, 3, H, W), transmission (B, 3, H, W), airlight (B, 3, 1, 1))."""
        height, width = hazy.shape[-2:]
        x = pad_to(hazy, 32)
        transmission = self.transmission(x)
        whole = F.interpolate(hazy, (AIRLIGHT_SIDE, AIRLIGHT_SIDE), mode="bilinear")
        airlight = F.leaky_relu(self.airlight(whole), 0.2).mean((2, 3), keepdim=True)
        airlight = F.leaky_relu(airlight, 0.2)
        rough = (x - airlight) / (transmission.abs() + 1e-10) + airlight
        dehazed = self.head(self.refine(torch.cat([rough, x], 1)))
        return dehazed[..., :height, :width], transmission[..., :height, :width], airlight

    def forward(self, hazy: Tensor) -> Tensor:
        return self.decompose(hazy)[0]


def scattering_truth(hazy: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the transmission (B, 1, H, W) in [0, 1] and the grey airlight (B, 1, 1, 1) that explain a pair.

    Haze scales every pixel's chroma (colour minus its mean) by t, whatever a: this gives a first t; then a by least
    squares over the image; then t again per pixel. Exact for a grey airlight, wherever the image has colour at all.
    hazy, clear: (B, 3, H, W) in [0, 1].
    """
    grey_hazy, grey_clear = hazy.mean(1, keepdim=True), clear.mean(1, keepdim=True)
    chroma = clear - grey_clear
    weight = chroma.square().sum(1, keepdim=True)  # (B, 1, H, W)
    t = ((hazy - grey_hazy) * chroma).sum(1, keepdim=True) / weight.clamp_min(1e-12)
    above = (weight * (1 - t) * (grey_hazy - t * grey_clear)).mean((2, 3), keepdim=True)
    below = (weight * (1 - t).square()).mean((2, 3), keepdim=True)
    airlight = (above + 1e-9) / (below + 1e-9)
    contrast = clear - airlight
    power = contrast.square().sum(1, keepdim=True).clamp_min(1e-6)
    t = ((hazy - airlight) * contrast).sum(1, keepdim=True) / power
    return t.clamp(0, 1), airlight.clamp(0, 1)


def edges(image: Tensor) -> tuple[Tensor, Tensor]:
    return image.diff(dim=-1).abs(), image.diff(dim=-2).abs()


class DCPDNObjective(Objective):
    """L1 of the dehazed image, the airlight, the transmission and its edges, + 0.35 x joint adversarial loss.

    Group 0: the network; group 1: the discriminator of (transmission, image). The true transmission and
    airlight, which the authors load with their data, are recovered from each pair (see scattering_truth).
    Left out: the VGG-16 edge features (weight 0.8), the pool of 50 earlier images, training in stages.
    Source: Zhang and Patel, CVPR 2018, equations (4) to (9); weights from hezhangsprinter/DCPDN, train.py.
    """

    def __init__(self, network: DCPDN):
        super().__init__(network)
        self.discriminator = PatchDiscriminator(channels=6, norm="batch")

    def groups(self) -> list[list[nn.Parameter]]:
        return [list(self.network.parameters()), list(self.discriminator.parameters())]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        with torch.set_grad_enabled(group == 0):
            dehazed, transmission, airlight = self.network.decompose(inputs)
        true_transmission, true_airlight = scattering_truth(inputs, target)
        true_transmission = true_transmission.expand_as(transmission)
        fake = self.discriminator(torch.cat([transmission, dehazed], 1))
        if group == 1:
            real = self.discriminator(torch.cat([true_transmission, target], 1))
            return bce(real, 1.0) + bce(fake, 0.0)
        loss = F.l1_loss(dehazed, target) + F.l1_loss(airlight, true_airlight.expand_as(airlight))
        loss = loss + F.l1_loss(transmission, true_transmission)
        for edge, true_edge in zip(edges(transmission), edges(true_transmission)):
            loss = loss + GRADIENT * F.l1_loss(edge, true_edge)
        return loss + ADVERSARIAL * bce(fake, 1.0)


def bce(scores: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))
