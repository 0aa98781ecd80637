"""What weights do to photographs: measures with known values, for networks whose output is known."""

import numpy as np
import pytest
import torch
from torch import nn

from dehazelib.data.sources import open_data
from dehazelib.evaluation.photographs import PATCH, flat_noise, table


class Darker(nn.Module):
    """Takes a tenth of the range away."""

    def forward(self, images):
        return images - 0.1


@pytest.fixture(scope="module")
def held_out():
    return open_data("rooms").validation.subset(2)


def measured(network, held_out):
    rows = table({"one": network}, held_out, [], [held_out])
    return dict(zip(rows.measure, rows["mean"]))


def test_a_network_that_changes_nothing_leaves_clear_and_black_alone(held_out):
    found = measured(nn.Identity(), held_out)
    assert found["black_level"] == 0 and found["clear_psnr"] > 100
    assert found["camera_psnr"] == found["camera_input_psnr"]


def test_a_network_that_darkens_is_found_out(held_out):
    found = measured(Darker(), held_out)
    assert 20 <= found["clear_psnr"] < 25  # 20 dB but for values that were below 0.1


def test_noise_is_told_in_flat_patches_alone():
    rng = np.random.default_rng(0)
    flat = torch.full((1, 3, 8 * PATCH, 8 * PATCH), 0.5)
    flat[..., : 4 * PATCH] += torch.from_numpy(rng.uniform(-0.4, 0.4, (8 * PATCH, 4 * PATCH))).float()  # a busy half
    noise = torch.from_numpy(rng.normal(0, 0.01, flat.shape[2:])).float()
    once, twice = flat + noise, flat + 2 * noise
    assert flat_noise(twice, once) / flat_noise(once, once) == pytest.approx(2, rel=0.01)
    assert flat_noise(once, once) == pytest.approx(0.01, rel=0.1)
