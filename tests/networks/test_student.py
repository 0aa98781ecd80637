"""The student and its teachers: equations (2) to (6), residuals, colours, features; interpolation."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dehazelib.metrics import psnr_rgb
from dehazelib.networks.fsrcnn import FSRCNN, MultiChannelFSRCNN, Separable
from dehazelib.networks.interpolation import Black, Interpolation
from dehazelib.networks.student import MEAN, STD, ChannelAttention, InnerBlock, OuterBlock, PixelAttention, Student
from dehazelib.resampling import super_resolution_pair

X = torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]])  # two channels of 1 x 2 pixels
TEACHERS = [
    {"convolution": "plain"}, {"activation": "relu"}, {"convolution": "dsc"}, {"convolution": "dscbn"},
]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def set_mlp(attention: nn.Module, hidden: list, hidden_bias: float, output: list, output_bias: float) -> None:
    """Gives an attention with one hidden unit the weights of a hand calculation."""
    first, _, last, _ = attention.mlp
    with torch.no_grad():
        first.weight.copy_(torch.tensor(hidden).view(1, -1, 1, 1))
        first.bias.fill_(hidden_bias)
        last.weight.copy_(torch.tensor(output).view(-1, 1, 1, 1))
        last.bias.fill_(output_bias)


def zero(*layers: nn.Module) -> None:
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def normalised(hazy: torch.Tensor) -> torch.Tensor:
    return (hazy - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@torch.no_grad()
def test_channel_attention_is_equations_4_and_5():
    attention = ChannelAttention(2, 1)
    set_mlp(attention, [1.0, -0.25], 0.5, [2.0, -1.0], 0.1)
    hidden = max(0, 1.0 * 2 - 0.25 * 4 + 0.5)  # the channels' averages are 2 and 4
    weights = sigmoid(2 * hidden + 0.1), sigmoid(-hidden + 0.1)
    expected = torch.tensor([[[[w * x for x in channel[0]]] for w, channel in zip(weights, X[0].tolist())]])
    torch.testing.assert_close(attention.weights(X).flatten(), torch.tensor(weights))  # (4)
    torch.testing.assert_close(attention(X), expected)  # (5)


@torch.no_grad()
def test_channel_attention_has_a_relu_between_its_two_layers():
    attention = ChannelAttention(2, 1)
    set_mlp(attention, [-1.0, -1.0], 0.0, [2.0, -1.0], 0.1)  # the hidden unit is at -6
    torch.testing.assert_close(attention(X), sigmoid(0.1) * X)


@torch.no_grad()
def test_pixel_attention_is_equation_6():
    attention = PixelAttention(2, 1)
    set_mlp(attention, [1.0, -0.4], -0.25, [2.0], -0.3)
    hidden = [max(0, a - 0.4 * b - 0.25) for a, b in ((1, 2), (3, 6))]  # 0, then 0.35
    weights = torch.tensor([sigmoid(2 * h - 0.3) for h in hidden])
    torch.testing.assert_close(attention(X), X * weights)  # one weight per pixel, for both channels


@torch.no_grad()
def test_an_inner_block_is_two_convolutions_and_two_attentions_with_local_skips():
    block, x = InnerBlock(8), torch.randn(1, 8, 6, 7)
    y = block.conv2(torch.relu(block.conv1(x)) + x)
    y = y * block.channel_attention.weights(y)
    torch.testing.assert_close(block(x), y * block.pixel_attention.mlp(y) + x)


@torch.no_grad()
def test_blocks_whose_last_convolution_is_zero_pass_their_input_on():
    x = torch.randn(1, 8, 6, 7)
    inner, outer = InnerBlock(8), OuterBlock(8, inner_blocks=2)
    zero(inner.conv2, outer.body[-1])
    assert torch.equal(inner(x), x) and torch.equal(outer(x), x)


@torch.no_grad()
def test_blocks_leave_their_input_as_it_was():
    x = torch.randn(1, 8, 6, 7)
    kept = x.clone()
    InnerBlock(8)(x), OuterBlock(8, inner_blocks=2)(x)
    assert torch.equal(x, kept)


@torch.no_grad()
def test_the_student_adds_to_the_normalised_input():
    student, hazy = Student(), torch.rand(2, 3, 32, 40)
    zero(student.tail)
    torch.testing.assert_close(student(hazy), normalised(hazy))
    student.tail[-1].bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(student(hazy), normalised(hazy) + torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))


@torch.no_grad()
def test_the_student_s_fusion_weights_each_group_per_channel():
    student, hazy = Student(), torch.rand(1, 3, 32, 32)
    dehazed, groups = student(hazy, return_features=True)
    weights = student.fusion.weights(torch.cat(groups, 1)).chunk(3, 1)
    fused = sum(w * group for w, group in zip(weights, groups))
    torch.testing.assert_close(student.tail(student.pixel_attention(fused)) + normalised(hazy), dehazed)


@torch.no_grad()
def test_the_student_s_features_are_its_three_groups_one_after_the_other():
    student, hazy = Student(), torch.rand(2, 3, 32, 40)
    dehazed, features = student(hazy, return_features=True)
    assert torch.equal(dehazed, student(hazy))
    assert [feature.shape for feature in features] == [(2, 16, 32, 40)] * 3
    feature = student.head(normalised(hazy))
    for group, expected in zip(student.groups, features):
        feature = group(feature)
        torch.testing.assert_close(feature, expected)


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


@pytest.mark.parametrize("options", TEACHERS)
@torch.no_grad()
def test_a_teacher_is_one_fsrcnn_per_colour_with_its_own_weights(options):
    teacher, low = MultiChannelFSRCNN(**options).eval(), torch.rand(1, 3, 16, 20)
    alone = [branch(low[:, i : i + 1]) for i, branch in enumerate(teacher.branches.values())]
    assert torch.equal(teacher(low), torch.cat(alone, 1))
    grey = teacher(low[:, :1].expand(-1, 3, -1, -1))
    assert not torch.equal(grey[:, 0], grey[:, 1]) and not torch.equal(grey[:, 1], grey[:, 2])


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


@torch.no_grad()
def test_dscbn_normalises_the_first_and_each_depthwise_and_pointwise_convolution():
    branch, x = FSRCNN(2, 1, "dscbn"), torch.rand(4, 1, 16, 16)
    norms = [layer for layer in branch.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 * (1 + 4 + 1)  # shrink, four mappings, expand
    outputs = []
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    branch.train()(x)
    assert len(outputs) == len(norms)
    for output in outputs:
        assert output.mean((0, 2, 3)).abs().max() < 1e-4


@torch.no_grad()
def test_dscbn_uses_running_statistics_only_when_evaluated():
    teacher, low = MultiChannelFSRCNN(convolution="dscbn"), torch.rand(2, 3, 16, 16)
    fresh = teacher.eval()(low)
    assert torch.equal(teacher(low), fresh)
    trained = teacher.train()(low)
    assert not torch.allclose(trained, fresh, rtol=1e-3, atol=0)
    assert not torch.equal(teacher.eval()(low), fresh)  # training moved the statistics


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
