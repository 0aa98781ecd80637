"""What the figures share: theme, names and looks of their rows, legends, names beside points."""

import functools
from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from dehazelib.report.rows import published
from dehazelib.report.tables_extra import FURTHER

WIDTH = 9.5  # inches, what a notebook shows without shrinking
GREY = "#555555"  # of reference lines
NAMES = {  # of columns, on axes
    "gflops": "GFLOPs at 460x620 (2 x multiply-adds)",
    "images": "training images seen",
    "step": "training steps",
    "validation_psnr_rgb": "validation PSNR (dB)",
    "test_psnr_rgb": "test PSNR (dB)",
    "psnr_rgb": "PSNR (dB)",
    "loss": "training loss",
    "affinity_share": "affinity term's share\nof the gradient norms",
}
OURS = {  # label -> name in figures, colour, marker, line
    "student": ("student alone", "#333333", "o", "-"),
    "framework-as_released": ("module as released", "C0", "s", "-"),
    "framework-as_described": ("module as described", "C3", "D", "-"),
    "framework-as_released-adaptive": ("module as released, adaptive weight", "C9", "s", "--"),
    "framework-as_described-adaptive": ("module as described, adaptive weight", "C1", "D", "--"),
    "framework-bilinear_teacher": ("module, bilinear teacher, adaptive", "C2", "^", "-."),
    "framework-untrained_teacher": ("module, untrained teacher, adaptive", "C4", "v", "-."),
    "framework-black_teacher": ("module, black teacher, adaptive", "C7", "*", ":"),
    "longest-student": ("longest run, student alone", "#333333", "P", "-"),
    "longest-framework": ("longest run, module as released", "C0", "X", "--"),
    "onward-student": ("longest run, student gone on alone", "#888888", "d", "-"),
    "dark_channel_prior": ("dark channel prior", "C5", "P", ":"),
    "hazy": ("hazy input", "#777777", ".", "--"),
    "hazy-all_pairs": ("hazy input", "#777777", ".", "--"),
}
CHANGES = {"lr": "LR teacher", "w0.50": "weight 0.50", "w0.75": "weight 0.75", "l1": "L1", "kl": "KL",
           "affinity": "with module"}  # end of a label -> what it adds to the name
COLOURS, MARKERS, LINES = ("C0", "C3", "C2", "C4", "C1", "C9", "C5", "C7"), "osD^vPX*", ("-", "--", "-.", ":")


def style() -> None:
    """Sets the study's theme: white, light grid, a palette that colour-blind readers can tell apart."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font="DejaVu Sans", rc={
        "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10, "xtick.labelsize": 9,
        "ytick.labelsize": 9, "legend.fontsize": 9, "grid.color": "#e6e8ec", "axes.edgecolor": "#9aa0a8",
    })


def subplots(rows: int, columns: int, height: float, **options):
    """Returns figure and axes in the study's theme. height: of the figure, in inches."""
    style()
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **options)


def require(table: pd.DataFrame, columns: list[str], what: str) -> None:
    """Raises ValueError, for the figure called `what`, naming the columns that a table lacks, or if it has no row."""
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{what} needs the column {', '.join(map(repr, missing))}; "
                         f"the table has: {', '.join(map(str, table.columns)) or 'none'}.")
    if table.empty:
        raise ValueError(f"{what}: the table has no rows to draw.")


def one_test_set(table: pd.DataFrame, what: str) -> None:
    """Raises ValueError if the rows are of several test sets."""
    if "test_set" in table and table["test_set"].nunique() > 1:
        names = ", ".join(table["test_set"].unique())
        raise ValueError(f"{what} draws one test set, not {names}: select one.")


def name_of(label: str) -> str:
    """Returns what figures call a run: ours by what was done, other networks as the tables print them.

    >>> name_of("framework-as_released-w0.50"), name_of("mc_fsrcnn"), name_of("unheard_of")
    ('module as released, weight 0.50', 'MC-FSRCNN', 'unheard_of')
    """
    base, _, change = label.rpartition("-")
    if label in OURS:
        return OURS[label][0]
    return f"{name_of(base)}, {CHANGES[change]}" if change in CHANGES else _printed().get(label, label)


@functools.cache
def _printed() -> dict[str, str]:
    return FURTHER | {row.key: row.model for number in (5, 3, 1) for row in published(f"table{number}").itertuples()}


def looks(labels: Iterable[str]) -> dict[str, dict]:
    """Returns colour, marker, line and name of each label, for ax.plot, ours first; they look alike in every figure."""
    labels = list(dict.fromkeys(labels))
    others = [label for label in labels if label not in OURS]
    looks = {label: look for label, (_, *look) in OURS.items() if label in labels}
    looks |= {label: (COLOURS[i % 8], MARKERS[i % 8], LINES[i % 4]) for i, label in enumerate(others)}
    return {label: {"color": colour, "marker": marker, "ls": line, "label": name_of(label)}
            for label, (colour, marker, line) in looks.items()}


def seeds(rows: pd.DataFrame) -> str:
    """Returns how many seeds the labels have: "5 seeds", "1 to 5 seeds" or "one seed each"."""
    counts = rows.groupby("label").seed.nunique()
    low, high = counts.min(), counts.max()
    return "one seed each" if high == 1 else f"{high} seeds" if low == high else f"{low} to {high} seeds"


def legend(fig: Figure, handles: list, note: str = "", columns: int = 3) -> None:
    """Puts a legend under the axes; the note, which says for example what the bands are, stands over it."""
    fig.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles) or 1), frameon=False,
               title=note or None, title_fontsize=9)


def whiskers(rows: pd.DataFrame, y: str, low: str, high: str) -> np.ndarray:
    """Distances (2, n) from the values down and up to their limits; no limits (one seed) give no whisker."""
    y, low, high = (rows[column].to_numpy(float) for column in (y, low, high))
    return np.nan_to_num(np.stack([y - low, high - y]))


def name_line(ax: Axes, name: str, y: float) -> None:
    """Writes a name beside the right end of a horizontal line, outside the axes."""
    ax.annotate(name, (1, y), (4, 0), size=8, va="center", xycoords=("axes fraction", "data"),
                textcoords="offset points")


def name_points(fig: Figure, ax: Axes, names: pd.Series, xs: pd.Series, ys: pd.Series, reach: np.ndarray,
                line: np.ndarray = np.empty((0, 2))) -> None:
    """Writes each name at the first place beside its point that is free of points, whiskers and names, with a thin
    line to the point if it stands apart. Call it last: what moves the axes later moves the names onto other things.

    reach: of the points' whiskers, down and up (2, n), as `whiskers` returns. line: more points to keep free, (n, 2).
    """
    fig.draw_without_rendering()
    renderer, inside = fig.canvas.get_renderer(), ax.get_window_extent()
    lows, highs = (ax.transData.transform(np.column_stack([xs, y])) for y in (ys - reach[0], ys + reach[1]))
    taken = [(a[0] - 7, a[1] - 7, b[0] + 7, b[1] + 7) for a, b in zip(lows, highs)]  # left, bottom, right, top
    taken += [(x, y, x, y) for x, y in ax.transData.transform(line)]
    taken += [tuple(note.get_window_extent(renderer).extents) for note in ax.texts]
    places = [(dx, dy, side) for rise in range(0, 100, 9)
              for dy in (rise, -rise) for dx, side in ((8, "left"), (-8, "right"))]
    for name, x, y in zip(names, xs, ys):
        note = ax.annotate(name, (x, y), (0, 0), textcoords="offset points", va="center", size=9,
                           path_effects=[withStroke(linewidth=3, foreground="white")])  # lines pass behind it
        note.set_in_layout(False)
        for dx, dy, side in places:
            note.set(position=(dx, dy), ha=side)
            box = note.get_window_extent(renderer)
            free = all(box.x0 > b[2] or box.x1 < b[0] or box.y0 > b[3] or box.y1 < b[1] for b in taken)
            if free and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1:
                break
        taken.append((box.x0, box.y0, box.x1, box.y1))
        if abs(dy) > 9:
            near = box.x0 if dx > 0 else box.x1, box.y0 if dy > 0 else box.y1
            ends = np.vstack([(x, y), ax.transData.inverted().transform(near)])
            ax.add_artist(Line2D(*ends.T, color="#9aa0a8", lw=0.8, zorder=1))
