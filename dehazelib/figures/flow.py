"""A small canvas for block diagrams: rows of boxes that share out their width, arrows, skip connections, notes.

One unit is one inch. Boxes are as wide as their text; the rest of a row is shared out between them as arrows.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, FancyBboxPatch

from dehazelib.figures.style import GREY, INK, theme

BLUE, AMBER, GREEN, ROSE, NEUTRAL = "#0173b2", "#de8f05", "#029e73", "#b5446e", "#8a8f98"
PLANES = {"r": "#c8443c", "g": "#3f9142", "b": "#3b6fc4"}  # of an image
TEXT = 9.2  # points
LINE, LETTER, MARGIN = 0.19, 0.08, 0.2  # inches: between two lines of text, width of a letter, around a text
DEPTH = 0.06  # inches by which each colour plane of an image stands out


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


class Item(NamedTuple):
    """What a box shows. kind: "box", "image" (three colour planes) or "sum" (a small circle)."""

    lines: Sequence[str]
    colour: str = NEUTRAL
    kind: str = "box"

    @property
    def width(self) -> float:
        if self.kind == "sum":
            return 0.28
        planes = 2 * DEPTH if self.kind == "image" else 0
        return LETTER * max(map(len, self.lines)) + MARGIN + planes


def image(*lines: str) -> Item:
    """Returns an image of three colour planes."""
    return Item(lines, PLANES["r"], "image")


SUM = Item(["+"], INK, "sum")


class Canvas:
    """An empty drawing of a size in inches, origin at the lower left; `fig` is the figure."""

    def __init__(self, width: float, height: float):
        theme()
        self.width = width
        self.fig = plt.figure(figsize=(width, height))
        self.ax = self.fig.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.ax.axis("off")

    def row(self, y: float, items: Sequence[Item], height: float = 0.85, left: float = 0.3,
            right: float = None) -> list[Box]:
        """Returns the boxes of a row, spread evenly from `left` to `right` (default: the whole width), with arrows from
        each to the next."""
        right = self.width - 0.3 if right is None else right
        gap = (right - left - sum(item.width for item in items)) / max(1, len(items) - 1)
        boxes = []
        for item in items:
            boxes.append(self.box(left + item.width / 2, y, item, height))
            left += item.width + gap
        for one, other in pairwise(boxes):
            self.arrow(one.right, other.left)
        return boxes

    def box(self, x: float, y: float, item: Item, height: float = 0.85, width: float = None) -> Box:
        """Returns the box drawn around a point, as wide as its text unless a width is given. The first line is bold."""
        width = width or item.width
        if item.kind == "sum":
            self.ax.add_patch(Circle((x, y), width / 2, fc="white", ec=INK, lw=1.4, zorder=2))
            height = width
        elif item.kind == "image":
            for shift, plane in ((DEPTH, PLANES["b"]), (0, PLANES["g"]), (-DEPTH, PLANES["r"])):
                self._rectangle(x + shift, y + shift, width - 2 * DEPTH, height - 2 * DEPTH, plane, 0.05)
        else:
            self._rectangle(x, y, width, height, item.colour, 0.09)
        middle = x - DEPTH if item.kind == "image" else x
        for i, line in enumerate(item.lines):
            self.note(middle, y + ((len(item.lines) - 1) / 2 - i) * LINE, line, bold=i == 0)
        return Box(x, y, width, height)

    def panel(self, bottom: float, height: float, title: str) -> None:
        """Draws a pale background over the whole width, with a title at its upper left."""
        patch = FancyBboxPatch((0.1, bottom), self.width - 0.2, height, boxstyle="round,pad=0,rounding_size=0.12",
                               fc="#f6f7f9", ec="#dfe2e8", zorder=0)
        self.ax.add_patch(patch)
        self.note(0.28, bottom + height - 0.22, title, ha="left", bold=True)

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """Draws an arrow along straight pieces through all points."""
        style = "--" if dashed else "-"
        for start, end in pairwise(points[:-1]):
            self.ax.plot(*zip(start, end), color=INK, lw=1.2, ls=style, zorder=1, solid_capstyle="round")
        head = {"arrowstyle": "-|>", "mutation_scale": 11, "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", points[-1], points[-2], zorder=1, arrowprops=head | {"color": INK, "lw": 1.2, "ls": style})

    def skip(self, start: Box, end: Box, y: float) -> None:
        """Draws a skip connection from the lower side of one box to that of another, at height y."""
        self.arrow(start.bottom, (start.x, y), (end.x, y), end.bottom)

    def note(self, x: float, y: float, text: str, ha: str = "center", bold: bool = False, colour: str = INK) -> None:
        """Writes a line of text, centred in height."""
        weight = "bold" if bold else "normal"
        self.ax.text(x, y, text, ha=ha, va="center", size=TEXT, color=colour, weight=weight, zorder=3)

    def table(self, y: float, columns: Sequence[float], rows: Sequence[Sequence[str]]) -> None:
        """Writes rows of text from height y downwards, the first one as a bold head; columns: left edges."""
        for line, cells in enumerate(rows):
            for x, cell in zip(columns, cells):
                self.note(x, y - 0.3 * line, cell, ha="left", bold=line == 0)
        for line in (0.5, len(rows) - 0.5):
            self.ax.plot((columns[0] - 0.05, self.width - 0.3), [y - 0.3 * line] * 2, color=GREY, lw=1)

    def _rectangle(self, x: float, y: float, width: float, height: float, colour: str, radius: float) -> None:
        shape = f"round,pad=0,rounding_size={radius}"
        for style in ({"fc": "white", "ec": "none"}, {"fc": colour, "ec": "none", "alpha": 0.14},
                      {"fc": "none", "ec": colour, "lw": 1.4}):
            corner = x - width / 2, y - height / 2
            self.ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=shape, zorder=2, **style))
