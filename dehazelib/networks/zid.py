"""ZID: zero-shot image dehazing. Three untrained networks are fitted to each hazy image."""

import copy
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks.physics import airlight_from_dark_channel, guided_filter

MULTIPLE, SMALLEST = 32, 64  # pixels: what five halvings and reflection padding need
WIDTHS, SKIPS = (8, 16, 32, 64, 128), (0, 0, 0, 4, 4)  # per scale of the hourglass
LATENT = 100
LEARNING_RATE = 1e-3
RADIUS, EPSILON, LEAST_TRANSMISSION = 50, 1e-4, 0.1


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


class Scale(nn.Module):
    """One scale of the hourglass and all below it: (B, inputs, H, W) -> (B, WIDTHS[level], H, W)."""

    def __init__(self, inputs: int, level: int = 0):
        super().__init__()
        width, skip, deepest = WIDTHS[level], SKIPS[level], level == len(WIDTHS) - 1
        below = width if deepest else WIDTHS[level + 1]
        self.down = nn.Sequential(conv_norm(inputs, width, 3, 2), conv_norm(width, width, 3))
        self.deeper = nn.Identity() if deepest else Scale(width, level + 1)
        self.skip = conv_norm(inputs, skip, 1) if skip else None
        self.norm = nn.BatchNorm2d(skip + below)
        self.up = nn.Sequential(conv_norm(skip + below, width, 3), conv_norm(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.deeper(self.down(x))  # (B, below, H/2, W/2)
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        return self.up(self.norm(y if self.skip is None else torch.cat([self.skip(x), y], 1)))


class Hourglass(nn.Sequential):
    """Returns a map in (0, 1), (B, outputs, H, W), of a (B, 3, H, W) image; see fit_pads for H and W."""

    def __init__(self, outputs: int):
        super().__init__(Scale(3), nn.Conv2d(WIDTHS[0], outputs, 1), nn.Sigmoid())


class AirlightVAE(nn.Module):
    """Returns an airlight map in (0, 1), (1, 3, H, W), and the divergence of its latent code from N(0, 1).

    size: (H, W) of the images, multiples of 16; three linear layers have a size that depends on it. `unused`:
    four stages that the authors' class builds but never runs, counted in the paper's table.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.shape = (128, size[0] // 16, size[1] // 16)
        flat = self.shape[0] * self.shape[1] * self.shape[2]
        encoder = zip((3, 16, 32, 64), (16, 32, 64, 128))
        stages = [
            nn.Sequential(nn.Conv2d(i, o, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)) for i, o in encoder
        ]
        self.encoder = nn.Sequential(*stages, nn.Flatten())
        self.mean, self.log_variance = nn.Linear(flat, LATENT), nn.Linear(flat, LATENT)
        self.latent = nn.Linear(LATENT, flat)
        double = nn.Upsample(scale_factor=2, mode="bilinear")
        layers = [layer for i, o in ((128, 64), (64, 32), (32, 16)) for layer in (double, *self.stage(i, o))]
        self.decoder = nn.Sequential(*layers, double, nn.Conv2d(16, 3, 5, padding=2), nn.Sigmoid())
        self.unused = nn.ModuleList(self.stage(i, o) for i, o in ((128, 64), (64, 32), (32, 16), (16, 3)))

    @staticmethod
    def stage(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 5, padding=2), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, hazy: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(hazy)  # (1, 128 * H/16 * W/16)
        mean, log_variance = self.mean(code), self.log_variance(code)  # (1, 100)
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum()
        code = self.latent(mean + (0.5 * log_variance).exp() * noise)
        return self.decoder(code.unflatten(1, self.shape)), divergence


class Decomposition(nn.Module):
    """Returns clear image (1, 3, H, W), transmission (1, 1, H, W) and airlight (1, 3, H, W), all in (0, 1),
    and the divergence of the airlight's code. size: (H, W) of the hazy images; see fit_pads.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.clear, self.transmission, self.airlight = Hourglass(3), Hourglass(1), AirlightVAE(size)

    def forward(self, hazy: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.clear(hazy), self.transmission(hazy), *self.airlight(hazy, noise)


def fit_pads(height: int, width: int) -> list[int]:
    """Returns (left, right, top, bottom) for F.pad that make both sides multiples of 32 and at least 64.

    Published: a centre crop to the multiple of 32 below (negative values). Only sides under 64 grow, by
    reflection.
    """
    extra = [max(SMALLEST, side // MULTIPLE * MULTIPLE) - side for side in (width, height)]
    return [part for e in extra for part in (-(-e // 2), e // 2)]


def roughness(image: Tensor) -> Tensor:
    """Returns the mean squared difference between the grey image and its 5 x 5 box blur."""
    grey = image.mean(1, keepdim=True)
    return F.mse_loss(grey[..., 2:-2, 2:-2], F.avg_pool2d(grey, 5, 1))


def untrained(size: tuple[int, int], seed: int) -> Decomposition:
    """Returns the three networks for images of `size`, with the weights of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Decomposition(size)


def energy(hazy: Tensor, clear: Tensor, transmission: Tensor, airlight: Tensor, prior: Tensor) -> Tensor:
    """Returns what one image's networks minimise, without the divergence; the constant -0.05 is left out."""
    explained = transmission * clear + (1 - transmission) * airlight
    loss = F.mse_loss(explained, hazy) + clear.amin(1).square().mean()  # dark channel of single pixels
    loss = loss + 0.005 * roughness(transmission) + 0.1 * roughness(airlight)
    return loss + F.mse_loss(airlight, prior.expand_as(airlight))


def recover(hazy: Tensor, transmission: Tensor, airlight: Tensor) -> Tensor:
    """Returns the clear image in [0, 1], the transmission refined by a guided filter and kept above 0.1."""
    grey = hazy.mean(1, keepdim=True)
    refined = guided_filter(grey, transmission, RADIUS, EPSILON).clamp(LEAST_TRANSMISSION, 1)
    return ((hazy - airlight) / refined + airlight).clamp(0, 1)


class ZID(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), clamped to [0, 1]. Each call *fits* networks to each image.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32. The networks see the centre crop to multiples of 32,
      as published (448x608 of 460x620); transmission and airlight are extended to the rim by replication.
    steps: updates per image, 500 as published; the last one's result is returned. For the published scores see
      OracleStoppedZID.
    seed: of the initial weights and of the airlight's noise, the same for every image.
    size: (H, W) of images that start from `decomposition`, which is never changed; others start from networks of
      their own, as the airlight network depends on the size.
    Raises ValueError if steps < 1.
    Source: Li et al., "Zero-Shot Image Dehazing", IEEE TIP 2020; repository XLearning-SCU/2020-TIP-ZID. Two
    things differ: the guided filter's guide is grey, and the airlight prior is one pixel's colour.
    """

    def __init__(self, steps: int = 500, seed: int = 0, size: tuple[int, int] = (460, 620)):
        super().__init__()
        if steps < 1:
            raise ValueError(f"ZID needs at least one step per image, not {steps}.")
        left, right, top, bottom = fit_pads(*size)
        self.steps, self.seed, self.size = steps, seed, (size[0] + top + bottom, size[1] + left + right)
        self.decomposition = untrained(self.size, seed)

    def forward(self, hazy: Tensor) -> Tensor:
        results = []
        for image in hazy.split(1):
            _, transmission, airlight = deque(self.fit(image), maxlen=1)[0]  # only the last step counts
            results.append(recover(image, transmission, airlight))
        return torch.cat(results)

    def table_graph(self, hazy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns one forward pass of the three networks, whose cost stands for the method's per step.

        The table prints no GFLOPs for ZID; one image takes `steps` such passes, each with its backward pass.
        hazy: (1, 3, H, W) in [0, 1].
        """
        x = F.pad(hazy, fit_pads(*hazy.shape[-2:]), mode="reflect")
        return self.start(x)(x, torch.zeros(1, LATENT, device=x.device))

    def start(self, hazy: Tensor) -> Decomposition:
        """Returns the unfitted networks for one fitted-size image, free to be changed; quicker channels last."""
        if hazy.shape[-2:] == self.size:
            networks = copy.deepcopy(self.decomposition).requires_grad_().train()
        else:
            networks = untrained(tuple(hazy.shape[-2:]), self.seed).to(hazy.device)
        return networks.to(memory_format=torch.channels_last)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self, hazy: Tensor) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Yields (loss, transmission (1, 1, H, W), airlight (1, 3, H, W)) of each step, before its update.

        hazy: (1, 3, H, W) in [0, 1]. Also works inside torch.no_grad and torch.inference_mode.
        """
        pads = fit_pads(*hazy.shape[-2:])
        x = F.pad(hazy.detach().clone(), pads, mode="reflect")  # (1, 3, multiple of 32, multiple of 32)
        x = x.contiguous(memory_format=torch.channels_last)
        prior = airlight_from_dark_channel(x, patch=15, top=0.0001)  # (1, 3, 1, 1)
        networks = self.start(x)
        fused = x.device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(networks.parameters(), lr=LEARNING_RATE, fused=fused)
        generator = torch.Generator(x.device).manual_seed(self.seed)
        for _ in range(self.steps):
            noise = torch.randn(1, LATENT, generator=generator, device=x.device)
            clear, transmission, airlight, divergence = networks(x, noise)
            loss = divergence + energy(x, clear, transmission, airlight, prior)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            maps = (F.pad(m.detach(), [-p for p in pads], mode="replicate") for m in (transmission, airlight))
            yield loss.item(), *maps


class OracleStoppedZID(ZID):
    """ZID scored as its authors score paired data: the best step *as judged by the ground truth*, which is an upper
    bound and not a dehazing method.

    forward(hazy, clear), both (B, 3, H, W) in [0, 1], returns (B, 3, H, W) in [0, 1]; it looks at the ground truth
    every LOOK steps, and at the last one.
    """

    needs_ground_truth = True
    LOOK = 5

    def forward(self, hazy: Tensor, clear: Tensor) -> Tensor:
        results = []
        for image, truth in zip(hazy.split(1), clear.split(1)):
            tried = (recover(image, t, a) for i, (_, t, a) in enumerate(self.fit(image))
                     if i % self.LOOK == 0 or i == self.steps - 1)
            results.append(min(tried, key=lambda dehazed: F.mse_loss(dehazed, truth).item()))  # highest PSNR
        return torch.cat(results)
