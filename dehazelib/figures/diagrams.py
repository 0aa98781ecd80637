"""The paper's Figs 1 to 4, drawn from the modules themselves: every shape and count is measured on them.

Shapes come from one forward pass of a copy on PyTorch's "meta" device, which computes sizes but no numbers.
One unit of the drawing is one inch.
"""

from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from torch import nn

from dehazelib.distillation.affinity import pooled
from dehazelib.distillation.framework import POOL
from dehazelib.figures import scores as figures

SIZE = (460, 620)  # height and width of RESIDE's indoor images
INK, GREY, STUDENT, TEACHER, AFFINITY, LOSS = "#222222", "#8a8f98", "#0173b2", "#de8f05", "#029e73", "#b5446e"
COLOURS = {"r": "#c8443c", "g": "#3f9142", "b": "#3b6fc4"}
LINE, DEPTH = 0.19, 0.12  # distance between two lines of text; how far an image's planes stand out


class Box(NamedTuple):
    """A rectangle by its centre and size; arrows start and end at the middles of its sides."""

    x: float
    y: float
    width: float
    height: float

    left = property(lambda self: (self.x - self.width / 2, self.y))
    right = property(lambda self: (self.x + self.width / 2, self.y))
    top = property(lambda self: (self.x, self.y + self.height / 2))
    bottom = property(lambda self: (self.x, self.y - self.height / 2))


class Measured(NamedTuple):
    """What one forward pass of a network on an image of SIZE shows."""

    shapes: dict[str, torch.Size]  # (1, C, H, W) of every submodule's output, by name
    output: torch.Tensor
    features: list[torch.Tensor]


def measured(network: nn.Module) -> Measured:
    """Returns what one 3 x SIZE image becomes: output, intermediate features and submodules' shapes."""
    ghost, shapes = deepcopy(network).to("meta").eval(), {}

    def record(name: str):
        return lambda _, __, output: shapes.update({name: output.shape} if torch.is_tensor(output) else {})

    for name, part in ghost.named_modules():
        part.register_forward_hook(record(name))
    with torch.no_grad():
        output, features = ghost(torch.empty(1, 3, *SIZE, device="meta"), return_features=True)
    return Measured(shapes, output, features)


def count(*modules: nn.Module) -> int:
    """Returns the number of parameters, frozen ones included."""
    return sum(p.numel() for module in modules for p in module.parameters())


def figure1(teacher: nn.Module, student: nn.Module) -> Figure:
    """Returns Fig. 1, the framework: a frozen teacher guides the student through the affinity module.

    teacher: a super-resolution network, student: a dehazing network; both answer to return_features=True.
    """
    dehazed, guide = measured(student).output, measured(teacher).output
    pixels, image = _affinity_pixels(dehazed, guide), (1, 3, *SIZE)
    fig, ax = _canvas(9.85, 5.3)
    top = _row(ax, 0.25, 4.45, 0.5, [
        (1.55, ["hazy image", _shape(image)], "image"),
        (2.1, ["student (trained)", f"{count(student):,} parameters"], STUDENT),
        (1.55, ["dehazed image", _shape(dehazed.shape)], "image"),
        (1.75, ["reconstruction loss", "MSE"], LOSS),
    ])
    bottom = _row(ax, 0.25, 1.15, 0.5, [
        (1.55, ["clear image", _shape(image)], "image"),
        (2.1, ["teacher (frozen)", f"{count(teacher):,} parameters"], TEACHER),
        (1.55, ["super-resolved", _shape(guide.shape)], "image"),
    ])
    between = (top[1].x + top[2].x) / 2
    module = _box(ax, between, 2.8, 3.3, 1.0, [
        "feature affinity module", f"both pooled to {_grid()[0]}×{_grid()[1]}",
        f"{pixels:,}² pixel affinities each"], AFFINITY)
    total = _box(ax, top[3].x, 2.8, 1.95, 1.0, ["training loss", r"$L = L_{rec} + w_{FA}\,L_{FA}$"], LOSS)
    for x, edge, upper in ((top[2].x, top[2].bottom[1], True), (bottom[2].x, bottom[2].top[1], False)):
        _arrow(ax, (x, edge), (x, module.top[1] if upper else module.bottom[1]))
    _arrow(ax, top[1].bottom, (top[1].x, module.top[1]), dashed=True)
    _arrow(ax, bottom[1].top, (bottom[1].x, module.bottom[1]), dashed=True)
    _arrow(ax, module.right, total.left)
    _note(ax, (module.right[0] + total.left[0]) / 2, 2.8 + 0.14, "$L_{FA}$")
    _arrow(ax, top[3].bottom, total.top)
    _note(ax, top[3].x + 0.28, (top[3].bottom[1] + total.top[1]) / 2, "$L_{rec}$")
    edge = top[3].right[0] + 0.42
    _arrow(ax, bottom[0].bottom, (bottom[0].x, 0.45), (edge, 0.45), (edge, 4.45), top[3].right)
    _note(ax, 6.9, 0.6, "the clear image is the reconstruction's target")
    legend = "solid: final images", "(as released)", "dashed: intermediate features", "(as described)"
    for line, text in enumerate(legend):
        _note(ax, 0.25, 2.8 + (1.5 - line) * LINE, text, ha="left")
    _note(ax, 4.9, 0.17, f"Training graph {count(student, teacher):,} parameters; only the student's "
                        f"{count(student):,} are trained, and at test time it runs alone.", bold=True)
    return fig


def figure2(teacher: nn.Module) -> Figure:
    """Returns Fig. 2, the teacher: one FSRCNN per colour, stage by stage.

    teacher: a MultiChannelFSRCNN. Raises ValueError for a network without colour branches.
    """
    if not hasattr(teacher, "branches"):
        raise ValueError(f"figure2 draws colour branches, which {type(teacher).__name__} lacks: "
                         "pass a MultiChannelFSRCNN.")
    seen = measured(teacher)
    fig, ax = _canvas(10.8, 4.75)
    low = _box(ax, 0.62, 2.7, 0.95, 3.6, ["clear image", _shape((1, 3, *SIZE))], "image")
    high = _box(ax, 10.02, 2.7, 1.05, 3.6, ["output", _shape(seen.output.shape)], "image")
    for lane, (key, branch) in enumerate(teacher.branches.items()):
        y, prefix = 3.95 - 1.25 * lane, f"branches.{key}."
        shapes = {name.removeprefix(prefix): shape for name, shape in seen.shapes.items() if prefix in name}
        stages = [(1.36, lines, COLOURS[key]) for lines in _stages(branch, shapes)]
        boxes = _row(ax, 1.72, y, 0.18, stages, height=1.1)
        _arrow(ax, (low.right[0], y), boxes[0].left)
        _arrow(ax, boxes[-1].right, (high.left[0], y))
        _note(ax, boxes[0].left[0] - 0.24, y + 0.14, key.upper(), bold=True)
    branches = " + ".join(f"{count(branch):,}" for branch in teacher.branches.values())
    _note(ax, 5.4, 0.55, "In each box: convolution, activation, parameters (biases and slopes too), output.")
    _note(ax, 5.4, 0.25, f"{count(teacher):,} parameters = {branches}", bold=True)
    return fig


def figure3(student: nn.Module) -> Figure:
    """Returns Fig. 3, the student: the whole network, one of its outer groups and one of its inner blocks.

    student: a Student. Raises ValueError for a network without groups of inner blocks.
    """
    if not hasattr(student, "groups"):
        raise ValueError(f"figure3 draws groups of inner blocks, which {type(student).__name__} lacks: "
                         "pass a Student.")
    fig, ax = _canvas(10.6, 6.9)
    _whole_student(ax, student, measured(student))
    group, inner = student.groups[0], student.groups[0].body[0]
    blocks = len(group.body) - 1
    _panel(ax, 2.35, 1.75, f"One of {len(student.groups)} outer groups: {count(group):,} parameters")
    boxes = _row(ax, 0.5, 3.08, 0.56, [
        (0.42, ["x"], GREY),
        (1.55, ["inner block 1", f"{count(inner):,}"], STUDENT),
        *[(0.42, ["···"], GREY)][: blocks > 2],
        *[(1.55, [f"inner block {blocks}", f"{count(inner):,}"], STUDENT)][: blocks > 1],
        (1.55, [_conv(group.body[-1]), f"{count(group.body[-1]):,}"], STUDENT),
        (0.28, ["+"], "sum"),
        (0.42, ["y"], GREY),
    ], height=0.72)
    _skip(ax, boxes[0], boxes[-2], 2.52)
    _panel(ax, 0.15, 2.0, f"One inner block: {count(inner):,} parameters")
    channel, pixel = inner.channel_attention, inner.pixel_attention
    boxes = _row(ax, 0.5, 1.08, 0.4, [
        (0.42, ["x"], GREY),
        (1.15, [_conv(inner.conv1), "ReLU", f"{count(inner.conv1):,}"], STUDENT),
        (0.28, ["+"], "sum"),
        (1.15, [_conv(inner.conv2), f"{count(inner.conv2):,}"], STUDENT),
        (1.6, ["channel attention", _widths(channel), f"{count(channel):,}"], AFFINITY),
        (1.45, ["pixel attention", _widths(pixel), f"{count(pixel):,}"], AFFINITY),
        (0.28, ["+"], "sum"),
        (0.42, ["y"], GREY),
    ], height=0.8)
    _skip(ax, boxes[0], boxes[2], 0.5)
    _skip(ax, boxes[0], boxes[-2], 0.34)
    return fig


def figure4(student: nn.Module, teacher: nn.Module) -> Figure:
    """Returns Fig. 4, the affinity module: both readings, and the memory their N x N matrices would take.

    student, teacher: networks whose return_features=True yields as many features as the framework compares.
    Raises ValueError when their features do not pair up. Source: equations (7) to (12).
    """
    hazy, clear = measured(student), measured(teacher)
    if len(hazy.features) != len(clear.features) + 1:
        raise ValueError(f"figure4 pairs the student's {len(hazy.features)} features with the teacher's "
                         f"{len(clear.features)} and its output: pass a Student and a MultiChannelFSRCNN.")
    scales = list(zip(hazy.features, [*clear.features, clear.output]))
    fig, ax = _canvas(10.6, 5.9)
    ends = [_affinity_lane(ax, y, *lane) for y, lane in (
        (5.2, ("student output", hazy.output, STUDENT)), (3.6, ("teacher output", clear.output, TEACHER)))]
    distance = _box(ax, 9.6, (5.2 + 3.6) / 2, 1.6, 0.85, ["distance $L_{FA}$", "L2, L1", "or KL divergence"], LOSS)
    _arrow(ax, ends[0].right, (distance.x, 5.2), distance.top)
    _arrow(ax, ends[1].right, (distance.x, 3.6), distance.bottom)
    rows = [("outputs (released code)", hazy.output, clear.output)]
    rows += [(f"intermediate, depth {i} (paper's text)", *pair) for i, pair in enumerate(scales, 1)]
    _affinity_table(ax, 2.6, rows)
    return fig


def _affinity_lane(ax: Axes, y: float, name: str, feature: torch.Tensor, colour: str) -> Box:
    channels, height, _ = feature.shape[1:]
    factor, pixels = height // _grid()[0], _affinity_pixels(feature)
    boxes = _row(ax, 0.2, y, 0.32, [
        (1.6, [name, _shape(feature.shape)], colour),
        (1.6, ["average pooling", f"{factor}×{factor} → {_grid()[0]}×{_grid()[1]}"], AFFINITY),
        (1.6, ["flatten to X", f"{channels}×{pixels:,}"], AFFINITY),
        (1.9, ["affinities $X^T X$", f"{pixels:,}×{pixels:,}", _memory(pixels)], AFFINITY),
    ], height=0.95)
    return boxes[-1]


def _affinity_table(ax: Axes, y: float, rows: list[tuple[str, torch.Tensor, torch.Tensor]]) -> None:
    columns = (0.25, 3.3, 4.85, 6.5, 7.5, 9.2)
    heads = ("features compared", "student", "teacher", "N", "two N×N matrices", "L2 without them")
    for x, head in zip(columns, heads):
        _note(ax, x, y, head, ha="left", bold=True)
    ax.plot((0.2, 10.4), (y - 0.17,) * 2, color=INK, lw=1)
    total = 0
    for line, (name, student, teacher) in enumerate(rows, 1):
        pixels, widest = _affinity_pixels(student, teacher), max(student.shape[1], teacher.shape[1])
        total += (line > 1) * pixels**2
        cells = (name, _shape(student.shape), _shape(teacher.shape), f"{pixels:,}",
                 f"{8 * pixels**2 / 1e9:.2f} GB", f"{widest}×{widest} products")
        for x, cell in zip(columns, cells):
            _note(ax, x, y - 0.08 - 0.3 * line, cell, ha="left")
    bottom = y - 0.08 - 0.3 * len(rows)
    ax.plot((0.2, 10.4), (bottom - 0.2,) * 2, color=INK, lw=1)
    _note(ax, 0.25, bottom - 0.42, "all intermediate depths together", ha="left", bold=True)
    _note(ax, columns[4], bottom - 0.42, f"{8 * total / 1e9:.2f} GB", ha="left", bold=True)
    _note(ax, 0.25, bottom - 0.75, "Memory per image in float32; the gradient needs more on top.", ha="left")


def _whole_student(ax: Axes, student: nn.Module, seen: Measured) -> None:
    blocks = len(student.groups[0].body) - 1
    shapes = f"{_shape(seen.output.shape)} in and out, {_shape(seen.features[0].shape)} between"
    _panel(ax, 4.35, 2.4, f"The whole student: {count(student):,} parameters (by box), {shapes}")
    groups = [(0.9, [f"group {i}", f"{blocks} inner", "+ conv", f"{count(g):,}"], STUDENT)
              for i, g in enumerate(student.groups, 1)]
    attention = student.pixel_attention
    boxes = _row(ax, 0.22, 5.35, 0.15, [
        (0.56, ["hazy", "image"], "image"),
        (0.86, ["normalise", "mean, std"], GREY),
        (0.8, [_conv(student.head), f"{count(student.head):,}"], STUDENT),
        *groups,
        (0.92, ["fusion", _widths(student.fusion), f"{count(student.fusion):,}"], AFFINITY),
        (0.84, ["pixel att.", _widths(attention), f"{count(attention):,}"], AFFINITY),
        (0.68, ["tail", f"{len(student.tail)} conv", f"{count(student.tail):,}"], STUDENT),
        (0.28, ["+"], "sum"),
        (0.78, ["dehazed", "image"], "image"),
    ], height=0.92)
    fusion = boxes[3 + len(groups)]
    for box in boxes[3 : 2 + len(groups)]:
        _arrow(ax, box.top, (box.x, 6.12), (fusion.x, 6.12), fusion.top)
    _note(ax, boxes[3].x - 0.1, 6.12, "group outputs", ha="right")
    _skip(ax, boxes[1], boxes[-2], 4.62)
    _note(ax, (boxes[1].x + boxes[-1].x) / 2, 4.74, "global skip")


def _stages(branch: nn.Module, shapes: dict[str, torch.Size]):
    """Yields the lines of text for the five stages of one FSRCNN."""
    middle = list(branch.shrink_map_expand)
    pairs = [(middle[i : i + 2], shapes[f"shrink_map_expand.{i}"]) for i in range(0, len(middle), 2)]
    stages = [("extraction", [list(branch.extract)], shapes["extract"]),
              ("shrinking", [pairs[0][0]], pairs[0][1]),
              (f"mapping ×{len(pairs) - 2}", [layers for layers, _ in pairs[1:-1]], pairs[-2][1]),
              ("expanding", [pairs[-1][0]], pairs[-1][1]),
              ("deconvolution", [[branch.deconvolution]], shapes["deconvolution"])]
    for name, repeated, shape in stages:
        first, *rest = repeated[0]
        activation = type(rest[-1]).__name__ if rest else f"stride {first.stride[0]}"
        if any(isinstance(part, nn.BatchNorm2d) for layer in repeated[0] for part in layer.modules()):
            activation = f"BN, {activation}"
        size = count(*(layer for layers in repeated for layer in layers))
        yield [name, _conv(first, wide=True), activation, f"{size:,}", _shape(shape)]


def _conv(layer: nn.Module, wide: bool = False) -> str:
    """Kind and kernel of a plain, transposed or depthwise separable convolution; with channels if `wide`."""
    parts = [part for part in layer.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d))]
    kind = "DSC" if len(parts) > 1 else "deconv" if isinstance(parts[0], nn.ConvTranspose2d) else "conv"
    kernel = "×".join(map(str, parts[0].kernel_size))
    channels = f", {parts[0].in_channels}→{parts[-1].out_channels}" if wide else ""
    return f"{kind} {kernel}{channels}"


def _widths(attention: nn.Module) -> str:
    layers = [layer for layer in attention.mlp if isinstance(layer, nn.Conv2d)]
    return "→".join(map(str, [layers[0].in_channels, *(layer.out_channels for layer in layers)]))


def _grid() -> tuple[int, int]:
    return int(SIZE[0] * POOL), int(SIZE[1] * POOL)


def _affinity_pixels(*features: torch.Tensor) -> int:
    """N, the number of pixels the affinity module is left with after pooling."""
    (pixels,) = {pooled(feature, _grid()).shape[-1] for feature in features}
    return pixels


def _memory(pixels: int) -> str:
    return f"{4 * pixels**2 / 1e9:.2f} GB in float32"


def _shape(shape) -> str:
    return "×".join(map(str, shape[1:]))


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figures.style()
    fig = plt.figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def _row(ax: Axes, left: float, y: float, gap: float, items: list[tuple], height: float = 0.85) -> list[Box]:
    """Boxes from left to right, joined by arrows. items: (width, lines of text, colour)."""
    boxes = []
    for width, lines, colour in items:
        tall = width if colour == "sum" else height
        boxes.append(_box(ax, left + width / 2, y, width, tall, lines, colour))
        left += width + gap + (DEPTH if colour == "image" else 0)
    for one, other in pairwise(boxes):
        _arrow(ax, one.right, other.left)
    return boxes


def _box(ax: Axes, x: float, y: float, width: float, height: float, lines: list[str], colour: str) -> Box:
    """A rounded box, an image of three colour planes (colour "image") or a sum (colour "sum")."""
    edge = GREY if colour == "image" else colour
    planes = list(COLOURS.values())[::-1] if colour == "image" and len(lines) > 1 else []
    for depth, plane in zip((DEPTH, DEPTH / 2, 0), planes):
        _patch(ax, x + depth, y + depth, width, height, plane)
    if colour == "sum":
        ax.add_patch(Circle((x, y), width / 2, fc="white", ec=INK, lw=1.4, zorder=2))
    elif not planes:
        _patch(ax, x, y, width, height, edge, radius=0.09)
    for i, line in enumerate(lines):
        _note(ax, x, y + ((len(lines) - 1) / 2 - i) * LINE, line, bold=i == 0)
    return Box(x, y, width, height)


def _patch(ax: Axes, x: float, y: float, width: float, height: float, colour: str, radius: float = 0.05):
    opaque, edge = dict(fc="white", ec="none"), dict(fc="none", ec=colour)
    tint = dict(fc=colour, ec="none", alpha=0.14)
    for style in (opaque, tint, edge):
        _rounded(ax, x - width / 2, y - height / 2, width, height, radius, lw=1.4, zorder=2, **style)


def _panel(ax: Axes, bottom: float, height: float, title: str) -> None:
    _rounded(ax, 0.1, bottom, ax.get_xlim()[1] - 0.2, height, 0.12, fc="#f6f7f9", ec="#dfe2e8", zorder=0)
    _note(ax, 0.25, bottom + height - 0.2, title, ha="left", bold=True)


def _rounded(ax: Axes, left: float, bottom: float, width: float, height: float, radius: float, **style):
    shape = f"round,pad=0,rounding_size={radius}"
    ax.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle=shape, **style))


def _skip(ax: Axes, start: Box, end: Box, y: float) -> None:
    _arrow(ax, start.bottom, (start.x, y), (end.x, y), end.bottom)


def _arrow(ax: Axes, *points: tuple[float, float], dashed: bool = False) -> None:
    """An arrow along straight pieces through all points."""
    near = tuple(0.03 * before + 0.97 * end for before, end in zip(points[-2], points[-1]))
    ax.plot(*zip(*points[:-1], near), color=INK, lw=1.2, linestyle=(0, (4, 3)) if dashed else "-", zorder=1)
    head = dict(arrowstyle="-|>", mutation_scale=11, shrinkA=0, shrinkB=0, color=INK, lw=1.2)
    ax.annotate("", points[-1], near, zorder=1, arrowprops=head)


def _note(ax: Axes, x: float, y: float, text: str, ha: str = "center", bold: bool = False) -> None:
    weight = "bold" if bold else "normal"
    ax.text(x, y, text, ha=ha, va="center", size=9.2, color=INK, weight=weight, zorder=3)
