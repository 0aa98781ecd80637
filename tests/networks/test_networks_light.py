"""The light networks: what makes each of them a working dehazer; the physics that they share."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from dehazelib.haze import add_haze
from dehazelib.networks import physics
from dehazelib.networks.dark_channel_prior import DarkChannelPrior
from dehazelib.networks.dehazenet import DehazeNet, PatchTransmission
from dehazelib.networks.famed_net import DeepSupervision, FAMEDNet, shrink
from dehazelib.networks.k_networks import LSIDFCNN, AODNet, LDNet
from dehazelib.networks.mscnn import MSCNN


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pair(batch: int = 2, height: int = 48, width: int = 48):
    """A hazy and a clear batch: smooth scenes, transmission falling from left to right, airlight 0.9."""
    clear = F.interpolate(torch.rand(batch, 3, 6, 6), (height, width), mode="bicubic").clamp(0, 1)
    transmission = torch.linspace(0.9, 0.3, width).view(1, 1, 1, width)
    return add_haze(clear, transmission, 0.9), clear


def test_dehazenet_table_graph_gives_445x605_transmissions():
    with torch.device("meta"):
        assert DehazeNet().table_graph(torch.rand(1, 3, 460, 620)).shape == (1, 1, 445, 605)


@pytest.mark.parametrize("builder", [AODNet, LDNet, LSIDFCNN, FAMEDNet])
@torch.no_grad()
def test_no_colour_starts_dead(builder):
    hazy, _ = pair()
    for number in range(8):
        torch.manual_seed(number)
        network = builder().eval()
        k = network.fuse(network.scales(hazy)) if builder is FAMEDNet else network.k(hazy)
        assert (k.amax((0, 2, 3)) > 0).all()


@torch.no_grad()
def test_k_networks_join_the_maps_that_their_publications_say():
    hazy, _ = pair(1)
    aod, light, dense = AODNet(), LDNet(), LSIDFCNN()

    def run(layer, *maps):
        return torch.relu(layer(torch.cat(maps, 1)))

    x1 = run(aod.conv1, hazy)
    x2 = run(aod.conv2, x1)
    x3 = run(aod.conv3, x1, x2)
    x4 = run(aod.conv4, x2, x3)
    assert torch.equal(aod.k(hazy), run(aod.conv5, x1, x2, x3, x4))
    x1 = run(light.conv1, hazy)
    x2 = run(light.conv2, x1)
    x4 = run(light.conv4, x1, run(light.conv3, x2))
    x5 = run(light.conv5, x4)
    x7 = run(light.conv7, x4, run(light.conv6, x5))
    assert torch.equal(light.k(hazy), run(light.conv8, x2, x5, x7))
    maps = [run(dense.layers[0], hazy)]
    for layer in dense.layers[1:]:
        maps.append(run(layer, *maps))
    assert torch.equal(dense.k(hazy), maps[-1])


@pytest.mark.parametrize("wrong", [partial(MSCNN, "matlab"), partial(DehazeNet, "minmax")])
def test_an_unknown_option_is_refused_with_the_choices(wrong):
    with pytest.raises(ValueError, match="use"):
        wrong()


def test_dehazenet_sees_the_same_inside_an_image_as_in_patches():
    network, (hazy, _) = DehazeNet(), pair()
    nn.init.normal_(network.regression.weight, 0, 0.05)  # spread t over its range
    whole, patches = network.transmission(hazy), network.table_graph(hazy)
    whole = whole[..., 7:-8, 7:-8]  # patch (y, x) belongs to pixel (y + 7, x + 7)
    inside = slice(5, -5)
    assert patches.std() > 0.01
    torch.testing.assert_close(whole[..., inside, inside], patches[..., inside, inside])


def test_dehazenet_undoes_haze_of_a_known_transmission(monkeypatch):
    clear = torch.rand(1, 3, 64, 64) * 0.8
    clear[..., :8, :8] = 1.0  # where the airlight is found: t = 0.2 there, 0.5 elsewhere
    t = torch.full((1, 1, 64, 64), 0.5)
    t[..., :8, :8] = 0.2
    network = DehazeNet()
    monkeypatch.setattr(network, "transmission", lambda hazy: t)
    monkeypatch.setattr("dehazelib.networks.dehazenet.guided_filter", lambda guide, source, **_: source)
    torch.testing.assert_close(network(add_haze(clear, t, 1.0)), clear)


def test_patch_transmission_trains_on_clear_images_alone():
    objective, (hazy, clear) = PatchTransmission(DehazeNet()), pair()
    losses = []
    for image in (hazy, torch.zeros_like(hazy)):
        torch.manual_seed(1)
        losses.append(objective(0, image, clear))
    assert losses[0] == losses[1] > 0


def test_mscnn_port_divides_by_its_transmission():
    network, (hazy, _) = MSCNN(), pair()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)  # both sigmoids give 1/2
    torch.testing.assert_close(network(hazy), 2 * hazy - 1)


@pytest.mark.parametrize("form", ["port", "official"])
def test_mscnn_fine_network_reads_the_coarse_map(form):
    network, image = MSCNN(form), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network.transmission(image)
        network.coarse[-2].bias += 3
        assert (network.transmission(image) - before).abs().max() > 1e-4


def test_famed_net_scales_are_a_half_and_a_quarter_with_aligned_corners():
    image = torch.rand(1, 3, 33, 46)
    for factor, size in ((1, (33, 46)), (2, (17, 23)), (4, (9, 12))):
        small = shrink(image, factor)
        assert small.shape[2:] == size
        assert torch.equal(small[..., 0, 0], image[..., 0, 0])


def test_deep_supervision_reaches_every_scale_even_without_the_fusion():
    network, (hazy, clear) = FAMEDNet().train(), pair()
    nn.init.zeros_(network.fusion.weight)
    DeepSupervision(network)(0, hazy, clear).backward()
    assert all(encoder.conv1[0].weight.grad.abs().max() > 0 for encoder in network.encoders)


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
    with pytest.raises(ValueError, match="odd"):
        physics.dark_channel(image, 4)


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


def test_guided_filter_keeps_what_is_linear_in_the_guide_and_smooths_the_rest():
    guide, noise = pair(1, 64, 64)[1][:, :1], torch.rand(1, 3, 64, 64)
    linear = torch.cat([2 * guide - 1, 0.5 * guide], 1)
    torch.testing.assert_close(physics.guided_filter(guide, linear, 8, 1e-9), linear, atol=5e-3, rtol=0)
    assert physics.guided_filter(guide, noise, 8, 1e-2).std() < 0.3 * noise.std()
    with pytest.raises(ValueError, match="one channel"):
        physics.guided_filter(noise, guide, 8, 1e-3)


def psnr(image, target):
    return -10 * torch.log10(F.mse_loss(image.clamp(0, 1), target))


def test_dark_channel_prior_removes_synthetic_haze():
    clear = torch.rand(1, 3, 16, 16).pow(3).repeat_interleave(8, 2).repeat_interleave(8, 3)  # dark colours
    clear[..., :16, :16] = 1.0
    t = torch.full((1, 1, 128, 128), 0.4)
    hazy = add_haze(clear, t, 1.0)
    assert psnr(DarkChannelPrior()(hazy), clear) > psnr(hazy, clear) + 5


def test_dark_channel_prior_improves_a_sots_image():
    folder = Path(os.environ.get("DEHAZE_DATA", "")) / "SOTS" / "indoor"
    if not os.environ.get("DEHAZE_DATA") or not folder.is_dir():
        pytest.skip("no data")

    def read(pattern: str) -> torch.Tensor:
        image = Image.open(next(folder.glob(pattern))).convert("RGB")
        left, top = (image.width - 620) // 2, (image.height - 460) // 2
        pixels = np.asarray(image.crop((left, top, left + 620, top + 460)), dtype=np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1)[None]

    hazy, clear = read("hazy/1400_3.*"), read("gt/1400.*")
    assert psnr(hazy, clear) == pytest.approx(12.81, abs=0.01)
    assert psnr(DarkChannelPrior()(hazy), clear) > 18
