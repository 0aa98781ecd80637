"""SSID: semi-supervised image dehazing, an encoder-decoder whose two sides share their residual blocks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.networks.cycle_dehaze import PatchDiscriminator, ResidualBlock, normal_weights
from dehazelib.networks.layers import conv, padded
from dehazelib.networks.physics import dark_channel

MSE, DARK_CHANNEL, TOTAL_VARIATION, PENALTY = 1000.0, 1e-4, 1e-4, 10.0  # weights of the loss terms
PATCH = 7  # of the dark channel, pixels


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels, nn.Identity) for _ in range(count)])


class SSID(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), clamped to [0, 1] as published.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32; mapped to [-1, 1] and reflect-padded to a multiple of
    4 inside.
    width: channels of the first layer, 64 in the publication.
    Source: Li et al., "Semi-Supervised Image Dehazing", IEEE TIP 2020; repository Prevalenter/semi-dehazing,
    generator "EDskipconn" with --learn_residual.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.first = conv(3, width, 7)
        self.fine = residual_blocks(width, 3)  # run twice, before going down and after coming up
        self.down1 = conv(width, 2 * width, stride=2)
        self.middle = residual_blocks(2 * width, 3)  # run twice
        self.down2 = conv(2 * width, 4 * width, stride=2)
        self.coarse = residual_blocks(4 * width, 6)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.last = conv(width, 3, 7)
        normal_weights(self)

    @padded(4)
    def forward(self, hazy: Tensor) -> Tensor:
        x = 2 * hazy - 1
        fine = self.fine(F.leaky_relu(self.first(x), 0.2))  # (B, 64, H, W)
        middle = self.middle(F.leaky_relu(self.down1(fine), 0.2))  # (B, 128, H/2, W/2)
        coarse = self.coarse(F.leaky_relu(self.down2(middle), 0.2))  # (B, 256, H/4, W/4)
        middle = torch.relu(self.up2(coarse)) + middle
        fine = torch.relu(self.up1(self.middle(middle))) + fine
        residual = torch.tanh(self.last(self.fine(fine)))
        return ((x + residual).clamp(-1, 1) + 1) / 2


def total_variation(image: Tensor) -> Tensor:
    """Returns the sum of absolute differences between neighbouring pixels."""
    return image.diff(dim=-1).abs().sum() + image.diff(dim=-2).abs().sum()


class SSIDObjective(Objective):
    """Wasserstein GAN + 1000 x MSE + 1e-4 x (dark channel + total variation), both summed over the batch's
    pixels.

    Group 0: the network; group 1: the critic, with gradient penalty, one step per batch (the authors took five). There
    are no photographs with real haze in a batch: the two unsupervised terms act on its dehazed images, with constant
    weights. The VGG-19 perceptual term (weight 10) is left out.
    Source: Li et al., IEEE TIP 2020; weights from Prevalenter/semi-dehazing, run_id_1.sh.
    """

    def __init__(self, network: SSID):
        super().__init__(network)
        self.critic = PatchDiscriminator()

    def groups(self) -> list[list[nn.Parameter]]:
        return [list(self.network.parameters()), list(self.critic.parameters())]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        with torch.set_grad_enabled(group == 0):
            dehazed = self.network(inputs)
        fake, real = 2 * dehazed - 1, 2 * target - 1
        if group == 1:
            return self.critic(fake).mean() - self.critic(real).mean() + PENALTY * self.penalty(real, fake)
        supervised = MSE * F.mse_loss(fake, real) - self.critic(fake).mean()
        prior = DARK_CHANNEL * dark_channel(dehazed, PATCH).sum() + TOTAL_VARIATION * total_variation(fake)
        return supervised + prior

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """Returns the mean of (|gradient of the critic| - 1)^2, with a norm per pixel, as released."""
        mixed = torch.lerp(fake, real, torch.rand((), device=real.device)).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
        return ((gradient.norm(dim=1) - 1) ** 2).mean()
