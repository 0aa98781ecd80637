"""The paper's Figs 1 to 4, drawn from the modules themselves: every shape and count is measured on them.

Shapes come from one forward pass of a copy on PyTorch's "meta" device, which computes sizes but no numbers.
"""

from copy import deepcopy
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import nn

from dehazelib.distillation.affinity import pooled
from dehazelib.distillation.framework import POOL
from dehazelib.figures.flow import AMBER, BLUE, GREEN, PLANES, ROSE, SUM, Box, Canvas, Item, image

SIZE = (460, 620)  # height and width of RESIDE's indoor images
GRID = (int(SIZE[0] * POOL), int(SIZE[1] * POOL))  # after pooling
WIDTH = 10.8  # inches


class Trace(NamedTuple):
    """What one forward pass of a network on an image of SIZE shows."""

    shapes: dict[str, torch.Size]  # (1, C, H, W) of every submodule's output, by name
    output: torch.Tensor
    features: list[torch.Tensor]


def trace(network: nn.Module) -> Trace:
    """Returns what one 3 x SIZE image becomes: output, intermediate features and submodules' shapes."""
    ghost, shapes = deepcopy(network).to("meta").eval(), {}

    def record(name: str):
        return lambda _, __, output: shapes.update({name: output.shape} if torch.is_tensor(output) else {})

    for name, part in ghost.named_modules():
        part.register_forward_hook(record(name))
    with torch.no_grad():
        output, features = ghost(torch.empty(1, 3, *SIZE, device="meta"), return_features=True)
    return Trace(shapes, output, features)


def count(*modules: nn.Module) -> int:
    """Returns the number of parameters, frozen ones included."""
    return sum(p.numel() for module in modules for p in module.parameters())


def figure1(teacher: nn.Module, student: nn.Module) -> Figure:
    """Returns Fig. 1, the framework: a frozen teacher guides the student through the affinity module.

    teacher: a super-resolution network, student: a dehazing network; both answer to return_features=True.
    """
    dehazed, guide = trace(student).output, trace(teacher).output
    pixels, size = _affinity_pixels(dehazed, guide), _shape((1, 3, *SIZE))
    canvas = Canvas(WIDTH, 5.6)
    right = WIDTH - 0.75  # beside it runs the line of the target
    top = canvas.row(4.8, [
        image("hazy image", size),
        Item(["student (trained)", f"{count(student):,} parameters"], BLUE),
        image("dehazed image", _shape(dehazed.shape)),
        Item(["reconstruction loss", "mean squared error"], ROSE),
    ], right=right)
    bottom = [
        canvas.box(top[0].x, 1.35, image("clear image", size), width=top[0].width),
        canvas.box(top[1].x, 1.35, Item(["teacher (frozen)", f"{count(teacher):,} parameters"], AMBER)),
        canvas.box(top[2].x, 1.35, image("super-resolved", _shape(guide.shape)), width=top[2].width),
    ]
    canvas.arrow(bottom[0].right, bottom[1].left)
    canvas.arrow(bottom[1].right, bottom[2].left)
    module = canvas.box((top[1].x + top[2].x) / 2, 3.05, Item([
        "feature affinity module", f"both pooled to {GRID[0]}×{GRID[1]}", f"{pixels:,}² pixel affinities each"],
        GREEN), height=0.95, width=top[2].right[0] - top[1].left[0])
    total = canvas.box(top[3].x, 3.05, Item(["training loss", r"$L = L_{rec} + w_{FA}\,L_{FA}$"], ROSE),
                       width=top[3].width)
    for column, dashed, text in ((1, True, "intermediate\nfeatures"), (2, False, "final\nimages")):
        x = top[column].x
        canvas.arrow(top[column].bottom, (x, module.top[1]), dashed=dashed)
        canvas.arrow(bottom[column].top, (x, module.bottom[1]), dashed=dashed)
        for y in (3.95, 2.2):
            canvas.note(x + 0.12, y, text, ha="left")
    canvas.arrow(module.right, total.left)
    canvas.note((module.right[0] + total.left[0]) / 2, module.y + 0.16, "$L_{FA}$")
    canvas.arrow(top[3].bottom, total.top)
    canvas.note(top[3].x + 0.3, 3.95, "$L_{rec}$")
    edge = right + 0.4
    canvas.arrow(bottom[0].bottom, (bottom[0].x, 0.62), (edge, 0.62), (edge, top[3].y), top[3].right)
    canvas.note(edge - 0.1, 0.77, "target of the reconstruction", ha="right")
    canvas.note(0.3, 3.05, "solid: as in the\nreleased code\n\ndashed: as described\nin the paper", ha="left")
    canvas.note(WIDTH / 2, 0.28, f"{count(student, teacher):,} parameters during training; the student's "
                f"{count(student):,} are trained, and at test time it runs alone", bold=True)
    return canvas.fig


def figure2(teacher: nn.Module) -> Figure:
    """Returns Fig. 2, the teacher: one FSRCNN per colour, stage by stage.

    teacher: a MultiChannelFSRCNN. Raises ValueError for a network without colour branches.
    """
    if not hasattr(teacher, "branches"):
        raise ValueError(f"figure2 draws colour branches, which {type(teacher).__name__} lacks: "
                         "pass a MultiChannelFSRCNN.")
    seen = trace(teacher)
    canvas = Canvas(WIDTH, 4.6)
    ends = image("clear image", _shape((1, 3, *SIZE))), image("output", _shape(seen.output.shape))
    low = canvas.box(0.85, 2.05, ends[0], height=2.3)
    high = canvas.box(WIDTH - 0.9, 2.05, ends[1], height=2.3)
    for lane, (key, branch) in enumerate(teacher.branches.items()):
        y, prefix = 2.85 - 0.8 * lane, f"branches.{key}."
        shapes = {name.removeprefix(prefix): shape for name, shape in seen.shapes.items() if name.startswith(prefix)}
        stages = _stages(branch, shapes)
        items = [Item([f"{parameters:,}".center(7)], PLANES[key]) for *_, parameters in stages]
        boxes = canvas.row(y, items, height=0.5, left=2.1, right=WIDTH - 2.1)
        canvas.arrow((low.right[0], y), boxes[0].left)
        canvas.arrow(boxes[-1].right, (high.left[0], y))
        canvas.note(boxes[0].left[0] - 0.28, y + 0.14, key.upper(), bold=True, colour=PLANES[key])
    for box, (name, *lines, _) in zip(boxes, stages):  # alike in all branches
        for i, line in enumerate((name, *lines)):
            canvas.note(box.x, 4.3 - 0.2 * i, line, bold=i == 0)
    branches = " + ".join(f"{count(branch):,}" for branch in teacher.branches.values())
    canvas.note(WIDTH / 2, 0.55, "above: layer, activation and output of each stage, alike in the three branches; "
                "in the boxes: parameters, with biases and slopes")
    canvas.note(WIDTH / 2, 0.25, f"{count(teacher):,} parameters = {branches}", bold=True)
    return canvas.fig


def figure3(student: nn.Module) -> Figure:
    """Returns Fig. 3, the student: the whole network, one of its outer groups and one of its inner blocks.

    student: a Student. Raises ValueError for a network without groups of inner blocks.
    """
    if not hasattr(student, "groups"):
        raise ValueError(f"figure3 draws groups of inner blocks, which {type(student).__name__} lacks: "
                         "pass a Student.")
    canvas = Canvas(WIDTH, 6.7)
    _whole_student(canvas, student, trace(student))
    group, inner = student.groups[0], student.groups[0].body[0]
    _outer_group(canvas, group, len(student.groups))
    _inner_block(canvas, inner)
    return canvas.fig


def figure4(student: nn.Module, teacher: nn.Module) -> Figure:
    """Returns Fig. 4, the affinity module: both variants, and the memory their N x N matrices would take.

    student, teacher: networks whose return_features=True yields as many features as the framework compares.
    Raises ValueError when their features do not pair up. Source: equations (7) to (12).
    """
    hazy, clear = trace(student), trace(teacher)
    if len(hazy.features) != len(clear.features) + 1:
        raise ValueError(f"figure4 pairs the student's {len(hazy.features)} features with the teacher's "
                         f"{len(clear.features)} and its output: pass a Student and a MultiChannelFSRCNN.")
    canvas = Canvas(WIDTH, 5.35)
    upper = _affinity_lane(canvas, 4.75, "student output", hazy.output, BLUE)
    lower = _affinity_lane(canvas, 3.35, "teacher output", clear.output, AMBER)
    distance = canvas.box(WIDTH - 1.1, 4.05, Item(["distance $L_{FA}$", "L2, L1 or KL"], ROSE), width=1.5)
    canvas.arrow(upper.right, (distance.x, upper.y), distance.top)
    canvas.arrow(lower.right, (distance.x, lower.y), distance.bottom)
    pairs = {"outputs (as in the released code)": (hazy.output, clear.output)}
    for depth, pair in enumerate(zip(hazy.features, [*clear.features, clear.output]), 1):
        pairs[f"depth {depth} (as described in the paper)"] = pair
    memory = [8 * _affinity_pixels(*pair) ** 2 / 1e9 for pair in pairs.values()]  # GB of two matrices
    rows = [("features compared", "student", "teacher", "N", "two N×N matrices", "L2 without them")]
    for (name, (ours, theirs)), size in zip(pairs.items(), memory):
        widest = max(ours.shape[1], theirs.shape[1])
        rows.append((name, _shape(ours.shape), _shape(theirs.shape), f"{_affinity_pixels(ours, theirs):,}",
                     f"{size:.2f} GB", f"{widest}×{widest} products"))
    columns = (0.3, 3.35, 4.75, 6.25, 7.15, 8.75)
    canvas.table(2.3, columns, rows)
    last = 2.3 - 0.3 * len(rows) - 0.05
    canvas.note(columns[0], last, "all depths together", ha="left", bold=True)
    canvas.note(columns[4], last, f"{sum(memory[1:]):.2f} GB", ha="left", bold=True)
    canvas.note(columns[0], last - 0.35, "Memory per image in float32; the gradient needs more on top.", ha="left")
    return canvas.fig


def _whole_student(canvas: Canvas, student: nn.Module, seen: Trace) -> None:
    """Draws the upper panel of Fig. 3."""
    inner = len(student.groups[0].body) - 1
    canvas.panel(4.3, 2.3, f"Student: {count(student):,} parameters (by box), {_shape(seen.output.shape)} in and out, "
                           f"{_shape(seen.features[0].shape)} between")
    groups = [Item([f"group {i}", f"{inner} inner", "+ conv", f"{count(group):,}"], BLUE)
              for i, group in enumerate(student.groups, 1)]
    boxes = canvas.row(5.25, [
        image("hazy", "image"),
        Item(["normalise", "mean, std"]),
        Item([_conv(student.head), f"{count(student.head):,}"], BLUE),
        *groups,
        Item(["fusion", _widths(student.fusion), f"{count(student.fusion):,}"], GREEN),
        Item(["pixel att.", _widths(student.pixel_attention), f"{count(student.pixel_attention):,}"], GREEN),
        Item(["tail", f"{len(student.tail)} conv", f"{count(student.tail):,}"], BLUE),
        SUM,
        image("dehazed", "image"),
    ], height=0.92)
    fusion = boxes[3 + len(groups)]
    for box in boxes[3 : 2 + len(groups)]:
        canvas.arrow(box.top, (box.x, 5.98), (fusion.x, 5.98), fusion.top)
    canvas.note(boxes[3].x - 0.1, 5.98, "group outputs", ha="right")
    canvas.skip(boxes[1], boxes[-2], 4.52)
    canvas.note((boxes[1].x + boxes[-1].x) / 2, 4.64, "global skip connection")


def _outer_group(canvas: Canvas, group: nn.Module, groups: int) -> None:
    """Draws the middle panel of Fig. 3."""
    *inner, convolution = group.body
    canvas.panel(2.3, 1.75, f"One of {groups} outer groups: {count(group):,} parameters")
    items = [Item(["inner block 1", f"{count(inner[0]):,}"], BLUE)]
    if len(inner) > 2:
        items.append(Item(["···"]))
    if len(inner) > 1:
        items.append(Item([f"inner block {len(inner)}", f"{count(inner[-1]):,}"], BLUE))
    items.append(Item([_conv(convolution), f"{count(convolution):,}"], BLUE))
    boxes = canvas.row(3.05, [Item(["x"]), *items, SUM, Item(["y"])], height=0.7, left=0.6, right=WIDTH - 0.6)
    canvas.skip(boxes[0], boxes[-2], 2.48)


def _inner_block(canvas: Canvas, inner: nn.Module) -> None:
    """Draws the lower panel of Fig. 3."""
    channel, pixel = inner.channel_attention, inner.pixel_attention
    canvas.panel(0.1, 1.95, f"One inner block: {count(inner):,} parameters")
    boxes = canvas.row(1.02, [
        Item(["x"]),
        Item([_conv(inner.conv1), "ReLU", f"{count(inner.conv1):,}"], BLUE),
        SUM,
        Item([_conv(inner.conv2), f"{count(inner.conv2):,}"], BLUE),
        Item(["channel attention", _widths(channel), f"{count(channel):,}"], GREEN),
        Item(["pixel attention", _widths(pixel), f"{count(pixel):,}"], GREEN),
        SUM,
        Item(["y"]),
    ], height=0.78, left=0.6, right=WIDTH - 0.6)
    canvas.skip(boxes[0], boxes[2], 0.44)
    canvas.skip(boxes[0], boxes[-2], 0.26)


def _affinity_lane(canvas: Canvas, y: float, name: str, feature: torch.Tensor, colour: str) -> Box:
    """Draws what becomes of one feature; returns the last box."""
    pixels, factor = _affinity_pixels(feature), feature.shape[2] // GRID[0]
    return canvas.row(y, [
        Item([name, _shape(feature.shape)], colour),
        Item(["average pooling", f"{factor}×{factor} → {GRID[0]}×{GRID[1]}"], GREEN),
        Item(["flatten to X", f"{feature.shape[1]}×{pixels:,}"], GREEN),
        Item(["affinities $X^T X$", f"{pixels:,}×{pixels:,}", f"{4 * pixels**2 / 1e9:.2f} GB in float32"], GREEN),
    ], right=WIDTH - 2.5)[-1]


def _stages(branch: nn.Module, shapes: dict[str, torch.Size]) -> list[tuple[str, str, str, str, int]]:
    """Returns name, layer, activation, output shape and parameters of the five stages of one FSRCNN."""
    middle = list(branch.shrink_map_expand)
    pairs = [middle[i : i + 2] for i in range(0, len(middle), 2)]  # layer and activation
    outputs = [shapes[f"shrink_map_expand.{i}"] for i in range(0, len(middle), 2)]
    mappings = [layer for pair in pairs[1:-1] for layer in pair]
    parts = [
        ("extraction", list(branch.extract), shapes["extract"]),
        ("shrinking", pairs[0], outputs[0]),
        (f"mapping ×{len(pairs) - 2}", mappings, outputs[-2]),
        ("expanding", pairs[-1], outputs[-1]),
        ("deconvolution", [branch.deconvolution], shapes["deconvolution"]),
    ]
    return [(name, _conv(layers[0], channels=True), _activation(layers), _shape(shape), count(*layers))
            for name, layers, shape in parts]


def _activation(layers: list[nn.Module]) -> str:
    """Returns what follows the convolution of a stage, or the stride of a transposed one."""
    if len(layers) == 1:
        return f"stride {layers[0].stride[0]}"
    name = type(layers[-1]).__name__
    normalised = any(isinstance(part, nn.BatchNorm2d) for layer in layers for part in layer.modules())
    return f"BN, {name}" if normalised else name


def _conv(layer: nn.Module, channels: bool = False) -> str:
    """Returns kind and kernel of a plain, transposed or depthwise separable convolution, and its channels if asked."""
    parts = [part for part in layer.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d))]
    kind = "conv"
    if len(parts) > 1:
        kind = "DSC"
    elif isinstance(parts[0], nn.ConvTranspose2d):
        kind = "deconv"
    text = f"{kind} {'×'.join(map(str, parts[0].kernel_size))}"
    return f"{text}, {parts[0].in_channels}→{parts[-1].out_channels}" if channels else text


def _widths(attention: nn.Module) -> str:
    """Returns the channels through an attention's two layers, such as 16→2→1."""
    first, second = (layer for layer in attention.mlp if isinstance(layer, nn.Conv2d))
    return f"{first.in_channels}→{first.out_channels}→{second.out_channels}"


def _affinity_pixels(*features: torch.Tensor) -> int:
    """Returns N, the number of pixels that the affinity module is left with after pooling."""
    (pixels,) = {pooled(feature, GRID).shape[-1] for feature in features}
    return pixels


def _shape(shape) -> str:
    return "×".join(map(str, shape[1:]))
