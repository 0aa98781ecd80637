"""The physics that several networks share, and the dark channel prior, which is nothing else."""


import torch
from torch.nn import functional as F

from dehazelib.haze import add_haze
from dehazelib.networks import physics
from dehazelib.networks.dark_channel_prior import DarkChannelPrior


def test_k_is_one_over_t_for_airlight_one():
    clear, t = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8) * 0.9 + 0.1
    recovered = physics.recover_from_k(add_haze(clear, t, 1.0), 1 / t)
    torch.testing.assert_close(recovered, clear, atol=1e-5, rtol=1e-4)


def test_dark_channel_is_the_minimum_over_colours_and_patch():
    image = torch.rand(2, 3, 20, 24)
    dark = physics.dark_channel(image, 5)
    assert dark.shape == (2, 1, 20, 24)
    assert dark[1, 0, 10, 10] == image[1, :, 8:13, 8:13].min()
    assert dark[0, 0, 0, 23] == image[0, :, :3, 21:].min()


def test_airlight_is_the_colour_of_the_thickest_haze_of_each_image():
    image = torch.rand(2, 3, 64, 64) * 0.5
    colours = torch.tensor([[0.8, 0.9, 0.95], [0.9, 0.7, 0.8]])
    image[..., 20:44, 8:32] = colours[..., None, None]
    assert torch.equal(physics.airlight_from_dark_channel(image, 15).flatten(1), colours)


def test_box_mean_averages_what_lies_inside_the_image():
    image = torch.rand(1, 2, 12, 15)
    means = physics.box_mean(image, 4)
    torch.testing.assert_close(means[0, :, 6, 7], image[0, :, 2:11, 3:12].mean((1, 2)))
    torch.testing.assert_close(means[0, :, 0, 14], image[0, :, :5, 10:].mean((1, 2)))
    torch.testing.assert_close(physics.box_mean(image, 50)[0, :, 3, 3], image[0].mean((1, 2)))


def test_guided_filter_keeps_what_is_linear_in_the_guide_and_smooths_the_rest(pair):
    guide, noise = pair(1, 64, 64)[1][:, :1], torch.rand(1, 3, 64, 64)
    linear = torch.cat([2 * guide - 1, 0.5 * guide], 1)
    torch.testing.assert_close(physics.guided_filter(guide, linear, 8, 1e-9), linear, atol=5e-3, rtol=0)
    assert physics.guided_filter(guide, noise, 8, 1e-2).std() < 0.3 * noise.std()


def psnr(image, target):
    return -10 * torch.log10(F.mse_loss(image.clamp(0, 1), target))


def test_dark_channel_prior_removes_synthetic_haze():
    clear = torch.rand(1, 3, 16, 16).pow(3).repeat_interleave(8, 2).repeat_interleave(8, 3)  # dark colours
    clear[..., :16, :16] = 1.0
    t = torch.full((1, 1, 128, 128), 0.4)
    hazy = add_haze(clear, t, 1.0)
    assert psnr(DarkChannelPrior()(hazy), clear) > psnr(hazy, clear) + 5
