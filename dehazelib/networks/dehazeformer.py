"""DehazeFormer-T: a Swin-like transformer with a revised layer norm and reflect-padded shifted windows."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.networks.gunet import SelectiveFusion, Up, scaled_normal
from dehazelib.networks.layers import padded

WINDOW = 8  # pixels
STAGES = (  # channels, heads of attention, ratio of the MLPs, blocks, and how many of the last blocks use attention
    (24, 2, 2, 4, 0),
    (48, 4, 4, 4, 2),
    (96, 6, 4, 4, 4),
    (48, 1, 2, 2, 0),
    (24, 1, 2, 2, 0),
)


class RescaleNorm(nn.Module):
    """Returns x normalised over each image's channels and pixels, and the branch output's scale and shift.

    x: (B, C, H, W) -> normalised (B, C, H, W), scale and shift (B, C, 1, 1), linear in deviation and mean.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale, self.shift = nn.Conv2d(1, channels, 1), nn.Conv2d(1, channels, 1)
        for conv, bias in ((self.scale, 1.0), (self.shift, 0.0)):
            nn.init.trunc_normal_(conv.weight, std=0.02)
            nn.init.constant_(conv.bias, bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
        deviation = torch.sqrt(((x - mean) ** 2).mean((1, 2, 3), keepdim=True) + 1e-5)
        normalised = (x - mean) / deviation * self.weight + self.bias
        return normalised, self.scale(deviation), self.shift(mean)


def relative_positions() -> Tensor:
    """Returns the signed logarithmic offsets between the pixels of a window: (64, 64, 2)."""
    axis = torch.arange(WINDOW, dtype=torch.float32)
    pixels = torch.cartesian_prod(axis, axis)  # (64, 2): row, column
    offset = pixels[:, None] - pixels[None]
    return offset.sign() * torch.log1p(offset.abs())


class WindowAttention(nn.Module):
    """Returns multi-head attention within 8 x 8 windows, (B, C, H, W).

    queries_keys: (B, 2C, H, W), values: (B, C, H, W). Shifted windows start half a window outside the image,
    which is reflect-padded rather than rolled.
    """

    def __init__(self, channels: int, heads: int, shifted: bool):
        super().__init__()
        self.heads, self.scale, self.shift = heads, (channels // heads) ** -0.5, WINDOW // 2 if shifted else 0
        self.register_buffer("positions", relative_positions(), persistent=False)
        self.position_bias = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, heads))

    def forward(self, queries_keys: Tensor, values: Tensor) -> Tensor:
        height, width = values.shape[-2:]
        top = self.shift
        right, bottom = -(width + top) % WINDOW, -(height + top) % WINDOW
        x = F.pad(torch.cat([queries_keys, values], 1), (top, right, top, bottom), mode="reflect")
        batch, channels, rows, columns = x.shape
        grid = (rows // WINDOW, columns // WINDOW)
        x = x.view(batch, 3, self.heads, -1, grid[0], WINDOW, grid[1], WINDOW)
        q, k, v = x.permute(1, 0, 4, 6, 2, 5, 7, 3).flatten(5, 6)  # (B, rows, columns, heads, 64, C / heads)
        bias = self.position_bias(self.positions).permute(2, 0, 1)  # (heads, 64, 64)
        y = (q * self.scale @ k.transpose(-2, -1) + bias).softmax(-1) @ v
        y = y.unflatten(4, (WINDOW, WINDOW)).permute(0, 3, 6, 1, 4, 2, 5)  # heads and C / heads first
        y = y.reshape(batch, channels // 3, rows, columns)
        return y[..., top : top + height, top : top + width]


class Block(nn.Module):
    """Mixing by a 5 x 5 depthwise convolution (and window attention), then an MLP; each with a skip."""

    def __init__(self, channels: int, heads: int, ratio: int, depth: int, attention: bool, shifted: bool):
        super().__init__()
        self.norm = RescaleNorm(channels) if attention else None
        self.values, self.projection = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.conv = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, padding_mode="reflect")
        self.queries_keys = nn.Conv2d(channels, 2 * channels, 1) if attention else None
        self.attention = WindowAttention(channels, heads, shifted) if attention else None
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, ratio * channels, 1), nn.ReLU(), nn.Conv2d(ratio * channels, channels, 1)
        )
        for conv in (self.values, self.projection, self.conv, self.mlp[0], self.mlp[2]):
            scaled_normal(conv, (8 * depth) ** -0.25)
        if attention:
            scaled_normal(self.queries_keys, 1.0)

    def mix(self, x: Tensor) -> Tensor:
        if self.attention is None:
            return self.projection(self.conv(self.values(x)))
        x, scale, shift = self.norm(x)
        values = self.values(x)
        mixed = self.conv(values) + self.attention(self.queries_keys(x), values)
        return self.projection(mixed) * scale + shift

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(x)
        return x + self.mlp(x)


class DehazeFormer(nn.Module):
    """Returns the dehazed image, (B, 3, H, W), trained towards [0, 1] but not clamped.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W >= 32; mapped to [-1, 1] inside.
    Source: Song et al., "Vision Transformers for Single Image Dehazing", IEEE TIP 2023; repository IDKiro/DehazeFormer.
    """

    def __init__(self):
        super().__init__()
        depth = sum(blocks for *_, blocks, _ in STAGES)

        def stage(channels: int, heads: int, ratio: int, blocks: int, attentive: int) -> nn.Sequential:
            first = blocks - attentive  # the first block with attention
            return nn.Sequential(*[
                Block(channels, heads, ratio, depth, attention=i >= first, shifted=i % 2 == 1) for i in range(blocks)
            ])

        self.first = nn.Conv2d(3, 24, 3, padding=1, padding_mode="reflect")
        self.stages = nn.ModuleList(stage(*sizes) for sizes in STAGES)
        self.down1, self.down2 = nn.Conv2d(24, 48, 2, stride=2), nn.Conv2d(48, 96, 2, stride=2)
        self.skip1, self.skip2 = nn.Conv2d(24, 24, 1), nn.Conv2d(48, 48, 1)
        self.up2, self.up1 = Up(96, 48), Up(48, 24)
        self.fusion2, self.fusion1 = SelectiveFusion(48), SelectiveFusion(24)
        self.last = nn.Conv2d(24, 4, 3, padding=1, padding_mode="reflect")

    def forward(self, hazy: Tensor) -> Tensor:
        return (self.dehaze(2 * hazy - 1) + 1) / 2

    @padded(4)
    def dehaze(self, x: Tensor) -> Tensor:
        """Returns the dehazed image in [-1, 1]. x: (B, 3, H, W) in [-1, 1]."""
        fine = self.stages[0](self.first(x))  # (B, 24, H, W)
        middle = self.stages[1](self.down1(fine))  # (B, 48, H/2, W/2)
        up = self.up2(self.stages[2](self.down2(middle)))  # through (B, 96, H/4, W/4)
        up = self.up1(self.stages[3](self.fusion2(up, self.skip2(middle)) + up))
        factor, offset = self.last(self.stages[4](self.fusion1(up, self.skip1(fine)) + up)).split((1, 3), 1)
        return factor * x - offset + x  # soft reconstruction
