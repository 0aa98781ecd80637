"""What the tests of networks share."""

import pytest
import torch
from torch.nn import functional as F

from dehazelib.haze import add_haze


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def pair():
    """A function that makes a hazy and a clear batch, (B, 3, H, W): smooth scenes, transmission falling from left to
    right, airlight 0.9."""

    def make(batch: int = 2, height: int = 48, width: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
        clear = F.interpolate(torch.rand(batch, 3, 6, 6), (height, width), mode="bicubic").clamp(0, 1)
        transmission = torch.linspace(0.9, 0.3, width).view(1, 1, 1, width)
        return add_haze(clear, transmission, 0.9), clear

    return make
