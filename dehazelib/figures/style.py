"""What the figures share: theme, names and colours of the runs, labels of points, saving."""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from scipy import stats

from dehazelib.networks import CATALOGUE

WIDTH = 9.5  # inches, what a notebook shows without shrinking
INK, GREY, PALE = "#2b2f36", "#6b7280", "#e6e8ec"
OURS, OTHERS = "C1", "C0"  # colours of the paper's own networks and of all others
AXES = {  # column -> name of its axis
    "gflops": "GFLOPs at 460×620 (2 × multiply-adds)",
    "images": "training images seen",
    "parameters": "parameters",
    "pixels": "training pixels",
    "psnr_rgb": "PSNR (dB)",
    "step": "training steps",
    "test_psnr_rgb": "test PSNR (dB)",
    "validation_psnr_rgb": "validation PSNR (dB)",
}
DEFINITIONS = "as released: as in the authors' code; as described: as in the paper's text"
RUNS = {  # label -> name, colour, marker, line
    "student": ("student alone", INK, "o", "-"),
    "framework-as_released": ("module as released", "C0", "s", "-"),
    "framework-as_described": ("module as described", "C3", "D", "-"),
    "framework-as_released-adaptive": ("module as released, adaptive weight", "C9", "s", "--"),
    "framework-as_described-adaptive": ("module as described, adaptive weight", "C1", "D", "--"),
    "framework-bilinear_teacher": ("module with bilinear teacher, adaptive weight", "C2", "^", "-."),
    "framework-untrained_teacher": ("module with randomly initialised teacher, adaptive weight", "C4", "v", "-."),
    "framework-black_teacher": ("module with zero teacher, adaptive weight", "C7", "X", ":"),
    "longest-student": ("long schedule, student alone", INK, "P", "-"),
    "longest-framework": ("long schedule, module as released", "C0", "X", "--"),
    "onward-student": ("long schedule, student continued", "C7", "d", "-"),
    "dark_channel_prior": ("dark channel prior", "C5", "P", ":"),
    "hazy": ("hazy input", GREY, ".", "--"),
    "hazy-all_pairs": ("hazy input", GREY, ".", "--"),
}
CHANGES = {  # end of a label -> what it adds to the name
    "lr": "low-resolution teacher",
    "w0.50": "weight 0.50",
    "w0.75": "weight 0.75",
    "l1": "L1 distance",
    "kl": "KL divergence",
    "affinity": "with the affinity module",
}
COLOURS, MARKERS, LINES = ("C0", "C3", "C2", "C4", "C1", "C9", "C5", "C7"), "osD^vPX*", ("-", "--", "-.", ":")


def theme() -> None:
    """Sets the study's theme: white, light grid, a palette that colour-blind readers can tell apart."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font="DejaVu Sans", rc={
        "font.size": 10, "axes.titlesize": 10.5, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9,
        "legend.fontsize": 9, "grid.color": PALE, "grid.linewidth": 0.8, "axes.edgecolor": "#9aa0a8",
        "axes.linewidth": 0.9, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    })


def subplots(rows: int, columns: int, height: float, **options):
    """Returns figure and axes in the study's theme. height: of the figure, in inches."""
    theme()
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **options)


def save(fig: Figure, path: Path) -> Path:
    """Returns the path of the PNG written: 150 dpi, the same bytes each time. Closes the figure.

    path: must end in .png; its folder is made. The file appears by atomic rename.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"Figures are saved as PNG, not {path.name!r}: give a name ending in .png.")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".writing")
    fig.savefig(scratch, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    os.replace(scratch, path)
    plt.close(fig)
    return path


def drawable(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Returns the rows with a finite number in all these columns, as floats. Raises ValueError if there are none."""
    table = table.astype(dict.fromkeys(columns, float))
    rows = table[np.isfinite(table[list(columns)]).all(axis=1)]
    if rows.empty:
        raise ValueError(f"Nothing to draw: none of {len(table)} rows has a number in {' and '.join(columns)}.")
    return rows


def one_test_set(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table. Raises ValueError if its rows are of several test sets."""
    if "test_set" in table and table.test_set.nunique() > 1:
        raise ValueError(f"A figure shows one test set, not {', '.join(table.test_set.unique())}: select one.")
    return table


def name_of(label: str) -> str:
    """Returns what figures call a run: ours by what was done, other networks as the catalogue titles them.

    >>> name_of("framework-as_released-w0.50"), name_of("mc_fsrcnn"), name_of("unheard_of")
    ('module as released, weight 0.50', 'MC-FSRCNN', 'unheard_of')
    """
    if label in RUNS:
        return RUNS[label][0]
    base, _, change = label.rpartition("-")
    if change in CHANGES:
        return f"{name_of(base)}, {CHANGES[change]}"
    if label in CATALOGUE:
        return CATALOGUE[label].title.partition(" (")[0]
    return label


def looks(labels: Iterable[str]) -> dict[str, dict]:
    """Returns label -> colour, marker, line and name, as ax.plot takes them; ours first, alike in every figure."""
    labels = list(dict.fromkeys(labels))
    found = {label: look for label, look in RUNS.items() if label in labels}
    others = [label for label in labels if label not in RUNS]
    for i, label in enumerate(others):
        found[label] = (name_of(label), COLOURS[i % 8], MARKERS[i % 8], LINES[i % 4])
    return {label: {"label": name, "color": colour, "marker": marker, "ls": line}
            for label, (name, colour, marker, line) in found.items()}


def define(labels: Iterable[str]) -> str:
    """Returns what "as released" and "as described" mean, for a legend's note, if the names of labels use them."""
    names = " ".join(map(name_of, labels))
    return f"{DEFINITIONS}\n" if "as released" in names or "as described" in names else ""


def legend(fig: Figure, handles: list, note: str = "", columns: int = 3) -> None:
    """Puts a legend under the axes, below a note that says, for example, what the bands are."""
    box = fig.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles) or 1), frameon=False,
                     title=note or None, title_fontsize=9)
    box.get_title().set_multialignment("center")


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % Student-t interval of the mean; NaN for fewer than two values."""
    if len(values) < 2:
        return np.nan, np.nan
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def whiskers(rows: pd.DataFrame, y: str, low: str, high: str) -> np.ndarray:
    """Returns the distances (2, n) from the values down and up to their limits; no limit gives no whisker."""
    y, low, high = (rows[column].to_numpy(float) for column in (y, low, high))
    return np.nan_to_num(np.stack([y - low, high - y]))


def name_line(ax: Axes, name: str, y: float) -> None:
    """Writes a name beside the right end of a horizontal line, outside the axes."""
    ax.annotate(name, (1, y), (4, 0), size=8, va="center", color=GREY, xycoords=("axes fraction", "data"),
                textcoords="offset points")


def name_points(ax: Axes, names: Iterable[str], xs: Iterable[float], ys: Iterable[float], lines: Iterable = ()) -> None:
    """Writes each name beside its point, where it covers nothing, with a thin line to it where it stands apart.

    Call it when the axes are finished: what moves them later moves names onto other things. Names take the free place
    nearest to their points, those that come first before others. lines: pairs (xs, ys) to keep clear, such as whiskers.
    """
    ax.figure.draw_without_rendering()
    points = ax.transData.transform(np.column_stack([xs, ys]))  # pixels, as all boxes here
    taken = [Bbox([point - 8, point + 8]) for point in points]
    for line in lines:
        corners = ax.transData.transform(np.column_stack(line))
        taken += [Bbox([np.minimum(*ends) - 3, np.maximum(*ends) + 3]) for ends in pairwise(corners)]
    taken += [text.get_window_extent() for text in ax.texts]
    waiting = [ax.annotate(name, (x, y), (0, 0), textcoords="offset points", va="center", size=8.5,
                           path_effects=[withStroke(linewidth=3, foreground="white")])  # grid lines pass behind it
               for name, x, y in zip(names, xs, ys)]
    for note in waiting:
        note.set_in_layout(False)
    for rise in range(0, 110, 9):
        waiting = [note for note in waiting if not _place(note, rise, taken)]


def _place(note: Annotation, rise: int, taken: list[Bbox]) -> bool:
    """Moves a note to a free place beside its point and so far above or below it; returns whether there was one."""
    ax = note.axes
    for dx, dy, side in ((9, rise, "left"), (-9, rise, "right"), (9, -rise, "left"), (-9, -rise, "right")):
        note.set(position=(dx, dy), ha=side)
        box = note.get_window_extent()
        inside = np.all([ax.bbox.min <= box.min, box.max <= ax.bbox.max])
        if inside and not any(box.overlaps(other) for other in taken):
            break
    else:
        return False
    taken.append(box)
    if rise > 9:
        corner = box.x0 if dx > 0 else box.x1, box.y0 if dy > 0 else box.y1
        line = np.vstack([note.xy, ax.transData.inverted().transform(corner)])
        ax.add_line(Line2D(*line.T, color="#9aa0a8", lw=0.8, zorder=1))
    return True
