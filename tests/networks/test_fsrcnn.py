"""Teachers and what stands in their place: equations (2) and (3), features, means over cells; interpolation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dehazelib.metrics import psnr_rgb
from dehazelib.networks.fsrcnn import FSRCNN, MultiChannelFSRCNN, Separable
from dehazelib.networks.interpolation import Black, Interpolation
from dehazelib.resampling import super_resolution_pair

TEACHERS = [
    {"convolution": "plain"}, {"activation": "relu"}, {"convolution": "dsc"}, {"convolution": "dscbn"},
]


@pytest.mark.parametrize("options", TEACHERS)
@torch.no_grad()
def test_a_teacher_s_colours_are_independent(options):
    teacher, low = MultiChannelFSRCNN(**options).eval(), torch.rand(1, 3, 16, 20)
    before = teacher(low)
    for colour in range(3):
        changed = low.clone()
        changed[:, colour] += 1
        different = (teacher(changed) != before).flatten(2).any(2)[0]
        assert different.tolist() == [c == colour for c in range(3)]


@pytest.mark.parametrize("network, channels", [(FSRCNN(2), 56), (FSRCNN(4), 56)] + [
    (MultiChannelFSRCNN(**options), 3 * 56) for options in TEACHERS])
@torch.no_grad()
def test_a_teacher_s_features_are_its_first_and_its_expanded_maps(network, channels):
    low = torch.rand(2, 3, 16, 20)
    high, features = network.eval()(low, return_features=True)
    assert torch.equal(high, network(low))
    assert high.shape == (2, 3, 16 * network.scale, 20 * network.scale)
    assert [feature.shape for feature in features] == [(2, channels, 16, 20)] * 2
    if isinstance(network, FSRCNN):
        torch.testing.assert_close(network.extract(low), features[0])
        torch.testing.assert_close(network.deconvolution(features[1]), high)


@pytest.mark.parametrize("network", [FSRCNN(2), FSRCNN(4), Interpolation(2, "bicubic"), Black(2)] + [
    MultiChannelFSRCNN(**options) for options in TEACHERS])
@pytest.mark.parametrize("cell, size", [(4, (16, 20)), (4, (33, 47)), (2, (9, 10)), (1, (5, 4)), (5, (22, 19))])
@torch.no_grad()
def test_a_teacher_averages_over_cells_what_it_would_give_without_them(network, cell, size):
    network, low = network.double().eval(), torch.rand(2, 3, *size, dtype=torch.float64)
    for name, parameter in network.named_parameters():
        if "deconvolution" in name:
            nn.init.normal_(parameter)
    high, features = network(low, return_features=True)
    averaged, averaged_features = network(low, return_features=True, cell=cell)
    assert torch.equal(averaged, network(low, cell=cell))
    assert averaged.shape == (2, 3, size[0] // cell, size[1] // cell)
    torch.testing.assert_close(averaged, F.avg_pool2d(high, network.scale * cell), rtol=1e-12, atol=1e-12)
    assert len(averaged_features) == len(features)
    for one, other in zip(averaged_features, features):
        torch.testing.assert_close(one, F.avg_pool2d(other, cell), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_means_over_cells_are_not_rounded_to_half_precision():
    teacher, low = MultiChannelFSRCNN().eval(), torch.rand(1, 3, 16, 20)
    with torch.autocast("cpu", torch.bfloat16):
        assert teacher(low).dtype == torch.bfloat16
        high, features = teacher(low, return_features=True, cell=4)
    assert high.dtype == torch.float32 and {x.dtype for x in features} == {torch.float32}


@torch.no_grad()
def test_a_separable_convolution_filters_each_channel_before_it_mixes_them():
    layer, x = Separable(2, 3, 3), torch.rand(1, 2, 6, 7)
    depthwise, pointwise = layer
    kernels = zip(x.split(1, 1), depthwise.weight.split(1), depthwise.bias.split(1))
    filtered = torch.cat([F.conv2d(channel, *kernel, padding=1) for channel, *kernel in kernels], 1)
    mixed = torch.einsum("oc,bchw->bohw", pointwise.weight[..., 0, 0], filtered)
    torch.testing.assert_close(layer(x), mixed + pointwise.bias.view(3, 1, 1))


@pytest.mark.parametrize("options", [{"convolution": "separable"}, {"activation": "gelu"}])
def test_an_unknown_form_of_fsrcnn_is_refused_with_the_known_ones(options):
    with pytest.raises(ValueError, match="use plain, dsc or dscbn with prelu or relu"):
        MultiChannelFSRCNN(**options)


def test_bilinear_interpolation_is_perfect_on_the_upsampled_task_only():
    clear, bilinear = torch.rand(1, 3, 32, 40), Interpolation(2, "bilinear")
    low, high = super_resolution_pair(clear, "upsampled")
    assert torch.equal(bilinear(low), high) and psnr_rgb(bilinear(low), high).isinf()
    assert psnr_rgb(Interpolation(2, "bicubic")(low), high).isfinite()
    low, high = super_resolution_pair(clear, "native")
    assert torch.equal(high, clear) and psnr_rgb(bilinear(low), high).isfinite()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_interpolation_keeps_a_constant_image_and_has_no_features(mode):
    high, features = Interpolation(4, mode)(torch.full((1, 3, 8, 9), 0.25), return_features=True)
    torch.testing.assert_close(high, torch.full((1, 3, 32, 36), 0.25))
    assert features == []
