"""PSNR and SSIM against hand calculations and independent implementations."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.metrics import structural_similarity
from torch.nn import functional as F

from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb

METRICS = (psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb)
SSIMS = (ssim_gauss11_rgb, ssim_uniform7_rgb)


@pytest.fixture
def images():
    """Two images that resemble each other, (2, 3, 32, 40), and the same with noise."""
    generator = torch.Generator().manual_seed(0)
    clear = F.interpolate(torch.rand(2, 3, 8, 10, generator=generator), scale_factor=4, mode="bilinear")
    noise = torch.randn(clear.shape, generator=generator) * torch.tensor([0.05, 0.2]).view(2, 1, 1, 1)
    return (clear + noise).clamp(0, 1), clear


def explicit_ssim(x: np.ndarray, y: np.ndarray, blur, unbiased: float = 1.0) -> np.ndarray:
    """The map of Wang et al.'s equation (13) for one channel, in float64; `blur` takes local means."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = (unbiased * (blur(z * z) - m * m) for z, m in ((x, mean_x), (y, mean_y)))
    covariance = unbiased * (blur(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    return luminance * (2 * covariance + 9e-4) / (var_x + var_y + 9e-4)


@pytest.mark.parametrize("error, decibels", [(0.1, 20.0), (0.01, 40.0), (0.5, 6.0206)])
def test_psnr_of_a_uniform_error_is_minus_twenty_log_of_it(error, decibels):
    reference = torch.full((1, 3, 4, 4), 0.3)
    assert psnr_rgb(reference + error, reference).item() == pytest.approx(decibels, abs=1e-3)


def test_psnr_averages_the_squared_error_over_colours_and_pixels():
    reference = torch.zeros(1, 3, 2, 2)
    image = reference.clone()
    image[0, 1, 0, 0] = 0.6
    assert psnr_rgb(image, reference).item() == pytest.approx(-10 * math.log10(0.36 / 12), abs=1e-5)


def test_psnr_does_not_round_to_eight_bits():
    reference = torch.full((1, 3, 4, 4), 0.5)  # a quarter of a grey level would vanish
    expected = 20 * math.log10(4 * 255)
    assert psnr_rgb(reference + 0.25 / 255, reference).item() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_outputs_outside_the_range_count_as_clamped(metric, images):
    beyond = images[0] + torch.where(images[1] > 0.5, 0.6, -0.6)
    assert beyond.min() < 0 and beyond.max() > 1
    assert torch.equal(metric(beyond, images[1]), metric(beyond.clamp(0, 1), images[1]))


@pytest.mark.parametrize("metric", METRICS)
def test_each_image_of_a_batch_has_its_own_score(metric, images):
    image, reference = images
    scores = metric(image, reference)
    alone = torch.cat([metric(image[i : i + 1], reference[i : i + 1]) for i in range(2)])
    assert scores.shape == (2,) and scores.dtype == torch.float64
    torch.testing.assert_close(scores, alone)
    assert scores[0] > scores[1]  # the second image has more noise


def test_gaussian_ssim_is_scikit_image_s_where_no_window_crosses_the_border(images):
    image, reference = (F.pad(x, (10, 10, 10, 10)) for x in images)  # black: padding of any kind adds black
    for x, y, ours in zip(image.numpy(), reference.numpy(), ssim_gauss11_rgb(image, reference)):
        _, theirs = structural_similarity(x, y, channel_axis=0, data_range=1, gaussian_weights=True,
                                          sigma=1.5, use_sample_covariance=False, full=True)
        assert ours.item() == pytest.approx(theirs.mean(), abs=2e-6)


def test_gaussian_ssim_pads_with_zeros(images):
    def blur(z, mode="constant"):
        return gaussian_filter(z, sigma=1.5, radius=5, mode=mode)  # (H, W), 11 x 11

    for x, y, ours in zip(*(x.numpy() for x in images), ssim_gauss11_rgb(*images)):
        zeros, mirrored = (np.mean([explicit_ssim(*pair, lambda z: blur(z, mode)) for pair in zip(x, y)])
                           for mode in ("constant", "reflect"))
        assert ours.item() == pytest.approx(zeros, abs=2e-6)
        assert abs(zeros - mirrored) > 1e-4  # the borders do make a difference here


def test_uniform_ssim_is_seven_by_seven_unbiased_and_without_borders(images):
    for x, y, ours in zip(*(x.numpy() for x in images), ssim_uniform7_rgb(*images)):
        maps = np.stack([explicit_ssim(*pair, lambda z: uniform_filter(z, 7), 49 / 48) for pair in zip(x, y)])
        assert ours.item() == pytest.approx(maps[:, 3:-3, 3:-3].mean(), abs=2e-6)
