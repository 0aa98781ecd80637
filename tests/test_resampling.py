"""How the two super-resolution tasks make their small and large images."""

import numpy as np
import pytest
import torch
from PIL import Image

from dehazelib.resampling import doubled, reduced, super_resolution_pair


@pytest.fixture
def image():
    return torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("factor", [2, 4])
def test_reduced_is_pillow_s_bicubic_filter(factor):
    pixels = np.random.default_rng(0).integers(60, 200, (32, 40, 3), dtype=np.uint8)  # no overshoot
    small = Image.fromarray(pixels).resize((40 // factor, 32 // factor), Image.Resampling.BICUBIC)
    ours = reduced(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255, factor)[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours.numpy() * 255, np.array(small), atol=1.01)  # Pillow rounds twice


def test_reduced_smooths_what_the_small_image_cannot_hold():
    stripes = torch.tensor([0.0, 1.0]).repeat(20).expand(1, 3, 32, 40)  # finer than the small image's pixels
    middle = reduced(stripes)[..., 2:-2]
    torch.testing.assert_close(middle, torch.full_like(middle, 0.5), atol=0.02, rtol=0)


def test_reduced_stays_within_the_range():
    step = (torch.arange(40) >= 21).float().expand(1, 3, 32, 40)  # bicubic overshoots beside an edge
    small = reduced(step)
    assert small.min() == 0 and small.max() == 1


def test_doubled_weighs_neighbours_three_to_one():
    row = torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)
    assert doubled(row)[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize("scale, low, high", [(2, (16, 20), (32, 40)), (4, (8, 10), (32, 40))])
def test_the_native_task_restores_the_image_itself(image, scale, low, high):
    small, target = super_resolution_pair(image, "native", scale)
    assert small.shape[-2:] == low and target.shape[-2:] == high and torch.equal(target, image)
    assert torch.equal(small, reduced(image, scale))


@pytest.mark.parametrize("scale, low", [(2, (32, 40)), (4, (16, 20))])
def test_the_upsampled_task_s_target_is_the_bilinear_enlargement(image, scale, low):
    small, target = super_resolution_pair(image, "upsampled", scale)
    assert small.shape[-2:] == low and torch.equal(target, doubled(image))
    assert scale != 2 or torch.equal(small, image)


@pytest.mark.parametrize("target", ["native", "upsampled"])
@pytest.mark.parametrize("scale", [2, 4])
def test_odd_sizes_lose_the_pixels_that_no_small_pixel_covers(target, scale):
    small, large = super_resolution_pair(torch.rand(1, 3, 35, 43), target, scale)
    assert large.shape[-2:] == (scale * small.shape[-2], scale * small.shape[-1])


def test_an_unknown_target_is_named(image):
    with pytest.raises(ValueError, match="target 'doubled': use native or upsampled"):
        super_resolution_pair(image, "doubled")
