"""Cycle-Dehaze: a CycleGAN for unpaired dehazing."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.layers import conv, pad_to, padded

BLOCKS = 6  # of the generator
REAL = 0.9  # the least-squares label of a real image
CYCLE = 10.0  # weight of both cycle losses


def normal_weights(network: nn.Module) -> None:
    """Initialises as pix2pix does: convolutions N(0, 0.02) with zero bias, scales of norms N(1, 0.02)."""
    for layer in network.modules():
        if getattr(layer, "weight", None) is None:
            continue
        convolution = isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
        nn.init.normal_(layer.weight, 0.0 if convolution else 1.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class PatchDiscriminator(nn.Module):
    """Returns one realness score (logit) per 70 x 70 patch: (B, C, H, W) in [-1, 1] -> (B, 1, ~H/8, ~W/8).

    norm: "instance" (plain, convolutions with bias) or "batch" (convolutions without bias). H and W >= 32.
    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.
    """

    def __init__(self, channels: int = 3, norm: str = "instance"):
        super().__init__()
        bias = norm == "instance"
        layers = [nn.Conv2d(channels, 64, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
        for i, stride in enumerate((2, 2, 1)):
            inputs, outputs = 64 * 2**i, 128 * 2**i
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride, 1, bias=bias),
                nn.InstanceNorm2d(outputs) if norm == "instance" else nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
            ]
        self.score = nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 1, bias=bias))
        normal_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        return self.score(image)


class ResidualBlock(nn.Module):
    """Two reflect-padded convolutions, each normalised, inside one skip connection."""

    def __init__(self, channels: int, norm: type[nn.Module] = nn.InstanceNorm2d):
        super().__init__()
        self.conv1, self.conv2 = (conv(channels, channels, padding_mode="reflect") for _ in range(2))
        self.norm1, self.norm2 = norm(channels), norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return x + self.norm2(self.conv2(y))


class Generator(nn.Sequential):
    """Returns an image in [-1, 1] from one in [-1, 1], both (B, 3, H, W) with H and W multiples of 4."""

    def __init__(self, width: int):
        def stage(convolution: nn.Module) -> list[nn.Module]:
            return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()]

        wider, widest = 2 * width, 4 * width
        super().__init__(
            *stage(conv(3, width, 7, padding_mode="reflect")),
            *stage(conv(width, wider, stride=2)),
            *stage(conv(wider, widest, stride=2)),  # (B, 256, H/4, W/4)
            *[ResidualBlock(widest) for _ in range(BLOCKS)],
            *stage(nn.ConvTranspose2d(widest, wider, 3, 2, 1, output_padding=1)),
            *stage(nn.ConvTranspose2d(wider, width, 3, 2, 1, output_padding=1)),
            conv(width, 3, 7, padding_mode="reflect"),
            nn.Tanh(),
        )
        self.width = width
        normal_weights(self)


class CycleDehaze(nn.Module):
    """Returns the dehazed image, (B, 3, H, W) in [0, 1].

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32; reflect-padded to a multiple of 4 inside.
    It is what the paper's table measured: plain CycleGAN's 6-block generator *and* its discriminator of clear images,
    which dehazing never runs. The published network has 9 blocks and affine norms, sees images resized to 256 x 256,
    and regains their size and details through a Laplacian pyramid.
    width: channels of the generator's first layer.
    Source: Engin et al., "Cycle-Dehaze", CVPRW 2018, and its repository engindeniz/Cycle-Dehaze.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.generator = Generator(width)
        self.discriminator = PatchDiscriminator()

    @padded(4)
    def forward(self, hazy: Tensor) -> Tensor:
        return (self.generator((hazy - 0.5) / 0.5) + 1) / 2

    def table_graph(self, hazy: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the table's GFLOPs measured: the dehazed image and the discriminator's scores of it.

        hazy: (B, 3, H, W) in [0, 1], H and W multiples of 4.
        """
        dehazed = self.generator((hazy - 0.5) / 0.5)
        return (dehazed + 1) / 2, self.discriminator(dehazed)


class CycleDehazeObjective(Objective):
    """Least-squares GAN + cycle consistency, for the network and a second generator that adds haze.

    Group 0: both generators; group 1: both discriminators. The clear images of a batch are rolled by one, so that no
    hazy image meets its own. Left out: the VGG-16 perceptual term (weight 0.5e-5) and the pool of 50 earlier images.
    Source: Engin et al., CVPRW 2018, equations (1) to (4), labels and weights from its repository.
    """

    def __init__(self, network: CycleDehaze):
        super().__init__(network)
        self.add_haze = Generator(network.generator.width)
        self.hazy_score = PatchDiscriminator()

    def groups(self) -> list[list[nn.Parameter]]:
        generators = [*self.network.generator.parameters(), *self.add_haze.parameters()]
        return [generators, [*self.network.discriminator.parameters(), *self.hazy_score.parameters()]]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        # (B, 3, H, W) in [-1, 1], unpaired
        hazy, clear = (2 * pad_to(images, 4) - 1 for images in (inputs, target.roll(1, 0)))
        if group == 0:
            return self.generator_loss(hazy, clear)
        with torch.no_grad():
            fake_clear, fake_hazy = self.network.generator(hazy), self.add_haze(clear)
        pairs = ((self.network.discriminator, clear, fake_clear), (self.hazy_score, hazy, fake_hazy))
        return sum(((D(real) - REAL) ** 2).mean() + (D(fake) ** 2).mean() for D, real, fake in pairs) / 2

    def generator_loss(self, hazy: Tensor, clear: Tensor) -> Tensor:
        fake_clear, fake_hazy = self.network.generator(hazy), self.add_haze(clear)
        scores = self.network.discriminator(fake_clear), self.hazy_score(fake_hazy)
        cycle = F.l1_loss(self.add_haze(fake_clear), hazy)
        cycle = cycle + F.l1_loss(self.network.generator(fake_hazy), clear)
        return sum(((score - REAL) ** 2).mean() for score in scores) + CYCLE * cycle
