"""FFA-Net (AAAI 2020): feature fusion attention. The paper's student is this network at a quarter width."""

import torch
from torch import Tensor, nn

from dehazelib.networks.student import MEAN, STD, ChannelAttention, PixelAttention, conv


class Block(nn.Module):
    """Returns x refined by two convolutions, channel attention and pixel attention; (B, C, H, W) -> same."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        self.channel_attention = ChannelAttention(channels, channels // 8)
        self.pixel_attention = PixelAttention(channels, channels // 8)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv1(x)) + x
        y = self.pixel_attention(self.channel_attention(self.conv2(y)))
        y += x  # in place, as released: the profiler behind Table 9 leaves in-place additions out
        return y


class Group(nn.Module):
    """Returns x refined by several blocks and one convolution, inside one skip connection."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        self.body = nn.Sequential(*[Block(channels) for _ in range(blocks)], conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y += x
        return y


class FFANet(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. It is normalised inside, and the output is the body's plus
    the *normalised* input, so the network also learns to undo the normalisation.
    blocks: per group; 12 is what the paper's tables measure (2,870,812 parameters), 19 the published network.
    Source: Qin et al., "FFA-Net: Feature Fusion Attention Network for Single Image Dehazing", AAAI 2020;
    github.com/zhilin007/FFA-Net.
    """

    # L1 alone is the released default; 0.04 x a VGG-16 term is optional there and left out here.
    # Rate: cosine to zero over 500,000 steps (ITS); flips and rotations.
    RECIPE = {
        "optimizer": "adam", "lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 0.0, "batch": 2, "crop": 240,
        "loss": "l1", "source": "github.com/zhilin007/FFA-Net, README and net/main.py",
    }

    def __init__(self, blocks: int = 12, channels: int = 64, groups: int = 3):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, channels)
        self.groups = nn.ModuleList(Group(channels, blocks) for _ in range(groups))
        self.fusion = ChannelAttention(groups * channels, channels // 16)
        self.pixel_attention = PixelAttention(channels, channels // 8)
        self.tail = nn.Sequential(conv(channels, channels), conv(channels, 3))

    def fuse(self, features: list[Tensor]) -> Tensor:
        """Returns the sum of the groups' features, each channel weighted by attention over all of them."""
        weights = self.fusion.weights(torch.cat(features, 1)).chunk(len(features), 1)  # each (B, C, 1, 1)
        fused = weights[0] * features[0]
        for weight, feature in zip(weights[1:], features[1:]):
            fused = fused + weight * feature
        return fused  # (B, C, H, W)

    def forward(self, hazy: Tensor) -> Tensor:
        x = (hazy - self.mean) / self.std
        feature, features = self.head(x), []
        for group in self.groups:
            feature = group(feature)
            features.append(feature)
        return self.tail(self.pixel_attention(self.fuse(features))) + x
