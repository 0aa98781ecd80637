"""DehazeNet: transmission of a 16 x 16 patch (Tables 5 and 9, 0.00831 M parameters, 4.588 GFLOPs)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.distillation.objectives import Objective
from dehazelib.haze import add_haze, remove_haze
from dehazelib.networks.physics import guided_filter, luminance

PATCH = 16
NORMALISATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # the PyTorch port
    "centred": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),  # the authors' MATLAB code
}


def symmetric_pad(x: Tensor, before: int, after: int) -> Tensor:
    """Returns x mirrored at its borders, edge pixels included, in height and width."""
    for dim in (-2, -1):
        size = x.shape[dim]
        start, end = x.narrow(dim, 0, before), x.narrow(dim, size - after, after)
        x = torch.cat([start.flip(dim), x, end.flip(dim)], dim)
    return x


class PatchTransmission(Objective):
    """MSE of the transmission of 16 x 16 patches, as the authors trained DehazeNet.

    Every patch of the clear images gets haze of its own: one t, uniform in (0, 1), and airlight 1. The hazy
    images of the batch are not used. Source: Cai et al., TIP 2016; patches on a grid as in the PyTorch port's
    create_dataset.py.
    """

    def forward(self, group: int, hazy: Tensor, clear: Tensor) -> Tensor:
        grid = clear.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # (B, 3, h, w, 16, 16)
        patches = grid.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, PATCH, PATCH)
        transmission = torch.rand(len(patches), 1, 1, 1, device=clear.device)
        estimate = self.network.table_graph(add_haze(patches, transmission, 1.0))
        return F.mse_loss(estimate, transmission)


class DehazeNet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), unclamped; `table_graph` returns what the tables measured.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W of 32 or more.
    normalisation: "imagenet" (the port the tables measured) or "centred" (the authors').
    minimum_transmission: smaller t are raised to it; the authors divide by t as it is, though it can be 0.
    The last layer starts at t = 0.5; as the authors draw it, t starts beside 0, below which the clamp passes no
    gradient (50 of 200 seeds never learn). Raises ValueError for another normalisation.
    Source: Cai et al., "DehazeNet: An End-to-End System for Single Image Haze Removal", TIP 2016; patch
    network and training of github.com/thuBingo/DehazeNet_Pytorch, whole images as in
    github.com/caibolun/DehazeNet.
    """

    def __init__(self, normalisation: str = "imagenet", minimum_transmission: float = 0.1):
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"DehazeNet has no normalisation {normalisation!r}: use {' or '.join(NORMALISATIONS)}.")
        mean, std = torch.tensor(NORMALISATIONS[normalisation]).view(2, 1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.features = nn.Conv2d(3, 16, 5)
        self.scales = nn.ModuleList(nn.Conv2d(4, 16, kernel) for kernel in (3, 5, 7))
        self.regression = nn.Conv2d(48, 1, 6)
        self.minimum_transmission = minimum_transmission
        nn.init.normal_(self.regression.weight, 0.0, 0.001)
        nn.init.constant_(self.regression.bias, 0.5)

    def transmission(self, hazy: Tensor) -> Tensor:
        """Returns t in [0, 1] of every pixel, (B, 1, H, W); each layer mirrors its input at the borders."""
        x = maxout(self.features(symmetric_pad((hazy - self.mean) / self.std, 2, 2)))  # (B, 4, H, W)
        x = torch.cat([conv(symmetric_pad(x, i, i)) for i, conv in enumerate(self.scales, 1)], 1)
        x = F.max_pool2d(x, 7, stride=1, padding=3)  # (B, 48, H, W)
        return self.regression(symmetric_pad(x, 2, 3)).clamp(0, 1)

    def table_graph(self, hazy: Tensor) -> Tensor:
        """Returns t in [0, 1] of every whole 16 x 16 window, (B, 1, H - 15, W - 15).

        The patch network without padding is what Tables 5 and 9 measured at 460x620. It dehazes nothing.
        """
        x = maxout(self.features((hazy - self.mean) / self.std))  # (B, 4, H - 4, W - 4)
        x = torch.cat([conv(F.pad(x, [i] * 4)) for i, conv in enumerate(self.scales, 1)], 1)
        x = F.max_pool2d(x, 7, stride=1)  # (B, 48, H - 10, W - 10)
        return self.regression(x).clamp(0, 1)

    def forward(self, hazy: Tensor) -> Tensor:
        transmission = self.transmission(hazy)
        airlight = airlight_from_transmission(hazy, transmission)
        refined = guided_filter(luminance(hazy), transmission, radius=50, eps=1e-3)
        return remove_haze(hazy, refined, airlight, self.minimum_transmission)


def maxout(x: Tensor) -> Tensor:
    """Returns the maximum of each four consecutive channels, (B, 4, H, W) of (B, 16, H, W)."""
    return x.unflatten(1, (4, 4)).amax(2)


def airlight_from_transmission(hazy: Tensor, transmission: Tensor, lowest: float = 0.01) -> Tensor:
    """Returns the airlight, (B, 3, 1, 1), a constant for gradients.

    It is the mean colour of the brightest pixels among the fraction `lowest` with the smallest transmission.
    Source: the authors' run_cnn.m.
    """
    hazy, transmission = hazy.detach(), transmission.detach().flatten(1)  # (B, N)
    threshold = transmission.kthvalue(max(1, round(lowest * transmission.shape[1])), 1, keepdim=True).values
    grey = luminance(hazy).flatten(1).masked_fill(transmission > threshold, -1.0)
    brightest = (grey == grey.amax(1, keepdim=True)).unsqueeze(1)  # (B, 1, N)
    return ((hazy.flatten(2) * brightest).sum(2) / brightest.sum(2))[..., None, None]
