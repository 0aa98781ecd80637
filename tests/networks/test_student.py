"""The student: equations (4) to (6), residuals and features."""

import math

import torch
from torch import nn

from dehazelib.networks.student import MEAN, STD, ChannelAttention, InnerBlock, OuterBlock, PixelAttention, Student

X = torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]])  # two channels of 1 x 2 pixels


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
