"""The paper's student: a deep, narrow dehazing network of 96,007 parameters (section 3.2, Fig. 3).

FFA-Net is the same network with four times the channels and twice the blocks.
"""

from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from dehazelib.networks.layers import conv

MEAN = (0.64, 0.60, 0.58)  # of hazy RGB images, as released
STD = (0.14, 0.15, 0.152)


class ChannelAttention(nn.Module):
    """Returns x weighted per channel by MLP(global average of x). Equations (4) and (5)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.mlp = nn.Sequential(conv(channels, hidden, 1), nn.ReLU(), conv(hidden, channels, 1), nn.Sigmoid())

    def weights(self, x: Tensor) -> Tensor:
        return self.mlp(x.mean((2, 3), keepdim=True))  # (B, C, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class PixelAttention(nn.Module):
    """Returns x weighted per pixel by MLP(x). Equation (6)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.mlp = nn.Sequential(conv(channels, hidden, 1), nn.ReLU(), conv(hidden, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mlp(x)


class InnerBlock(nn.Module):
    """Two convolutions, channel attention and pixel attention with local skips."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        self.channel_attention = ChannelAttention(channels, channels // 8)
        self.pixel_attention = PixelAttention(channels, channels // 8)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv1(x)) + x
        y = self.pixel_attention(self.channel_attention(self.conv2(y)))
        y += x  # in place: saves memory, and the paper's profiler does not count it
        return y


class OuterBlock(nn.Module):
    """Inner blocks and a convolution inside one skip connection."""

    def __init__(self, channels: int, inner_blocks: int):
        super().__init__()
        self.body = nn.Sequential(*[InnerBlock(channels) for _ in range(inner_blocks)], conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y += x
        return y


class Student(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. It is normalised inside; as in the released code the
    output is (body + *normalised* input), so the network also learns to undo the normalisation.
    channels=64, inner_blocks=12 is FFA-Net as the paper's tables measure it (2,870,812 parameters), inner_blocks=19 as
    published.
    Source: section 3.2, equations (4) to (6); the fusion's hidden width of 1 from the released code. FFA-Net: Qin et
    al., "FFA-Net: Feature Fusion Attention Network for Single Image Dehazing", AAAI 2020; github.com/zhilin007/FFA-Net.
    """

    def __init__(self, channels: int = 16, groups: int = 3, inner_blocks: int = 6):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, channels)
        self.groups = nn.ModuleList(OuterBlock(channels, inner_blocks) for _ in range(groups))
        self.fusion = ChannelAttention(groups * channels, channels // 16)
        self.pixel_attention = PixelAttention(channels, channels // 8)
        self.tail = nn.Sequential(conv(channels, channels), conv(channels, 3))

    def forward(self, hazy: Tensor, return_features: bool = False):
        """With return_features: (dehazed, [group 1, group 2, group 3]), each group (B, channels, H, W)."""
        x = (hazy - self.mean) / self.std
        feature, features = self.head(x), []
        for group in self.groups:
            feature = group(feature)
            features.append(feature)
        weights = self.fusion.weights(torch.cat(features, 1)).chunk(len(features), 1)
        fused = reduce(add, (w * f for w, f in zip(weights, features)))  # (B, channels, H, W)
        dehazed = self.tail(self.pixel_attention(fused)) + x
        return (dehazed, features) if return_features else dehazed
