"""Figures of what happens during training, from curves.csv: learning curves, the affinity term's share."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dehazelib.figures.style import (
    GREY,
    NAMES,
    legend,
    looks,
    name_line,
    name_of,
    one_test_set,
    require,
    seeds,
    subplots,
)

TASKS = {"native": "restoring 460x620 (Tables 1 and 3)", "upsampled": "reaching 920x1240 (Tables 2 and 4)"}
PSNR = "validation_psnr_rgb"
MANY = 30  # validations that leave no room for markers


def learning_curves(curves: pd.DataFrame, y: str = PSNR, x: str = "images") -> Figure:
    """Returns one line per label, the mean over seeds, in a band from the lowest seed to the highest.

    curves: rows with label, seed and the columns named by `x` and `y`; rows without a `y` are left out. Where there is
      a column phase (1, 2, ...), a thin vertical line marks where each later phase begins.
    """
    curves = _rows(curves, x, y, "learning_curves")
    fig, ax = subplots(1, 1, 4.4)
    for label, look in looks(curves.label).items():
        _line(ax, curves[curves.label == label], x, y, look)
    ax.set(xlabel=NAMES.get(x, x), ylabel=NAMES.get(y, y))
    if "phase" in curves:
        _mark_phases(ax, curves, x)
    legend(fig, ax.get_legend_handles_labels()[0], _what(curves))
    return fig


def compared_curves(curves: pd.DataFrame, reference: str = "student", y: str = PSNR) -> Figure:
    """Returns a panel per label with its learning curve over that of the reference, both in bands over seeds.

    curves: as for learning_curves, with rows of the label `reference`; without them each label stands alone.
    """
    curves = _rows(curves, "images", y, "compared_curves")
    others = [label for label in looks(curves.label) if label != reference]
    fig, panels = _panels(others or [reference], y)
    for label, ax in panels.items():
        for one, look in looks(curves.label[curves.label.isin([reference, label])]).items():
            wide = {"lw": 3, "ms": 7} if one == reference else {}  # it shows under a line that hides it
            _line(ax, curves[curves.label == one], "images", y, look | wide)
    handles = [line for line in next(iter(panels.values())).lines if line.get_label() == name_of(reference)]
    legend(fig, handles, "coloured: what the panel is titled; " * bool(handles and others) + _what(curves))
    return fig


def gradient_share(curves: pd.DataFrame, target: float | None = None) -> Figure:
    """Returns the affinity term's share ||w g_FA|| / (||g|| + ||w g_FA||) of the gradient norms, log scale, a panel
    per label: the median over seeds in a band from the lowest to the highest.

    curves: rows with label, seed, images, affinity_share; empty and zero shares have no place on it.
    target: the share that adaptive runs hold, drawn as a dotted line; None draws none.
    """
    require(curves, ["label", "seed", "images", "affinity_share"], "gradient_share")
    curves = _rows(curves[curves["affinity_share"] > 0], "images", "affinity_share", "gradient_share")
    fig, panels = _panels(list(looks(curves.label)), "affinity_share")
    for label, ax in panels.items():
        _line(ax, curves[curves.label == label], "images", "affinity_share", looks([label])[label], middle="median")
        ax.set_yscale("log")
        if target is not None:
            ax.axhline(target, color=GREY, ls=":", lw=1.6, zorder=1)
    dots = Line2D([], [], color=GREY, ls=":", lw=1.6, label=f"adaptive target {target or 0:g}")
    legend(fig, [] if target is None else [dots], _what(curves, "median"))
    return fig


def teacher_curves(curves: pd.DataFrame, scores: pd.DataFrame | None = None) -> Figure:
    """Returns the learning curves of the super-resolution networks, a panel per task.

    curves: as for learning_curves, labels <network>-<task>, task native or upsampled.
    scores: rows of one test set with label, seed, psnr_rgb: the finished networks' means become hollow points at the
      right, bicubic resizing a line; these are of the test scenes, the curves of the validation scenes.
    """
    curves = _rows(curves, "images", PSNR, "teacher_curves")
    curves[["network", "task"]] = curves.label.str.rsplit("-", n=1, expand=True)
    tasks = [task for task in TASKS if task in set(curves.task)]
    fig, axes = subplots(1, len(tasks), 5, squeeze=False)
    styles = looks(curves.network)
    for ax, task in zip(axes[0], tasks):
        of_task = curves[curves.task == task]
        for network, rows in of_task.groupby("network", sort=False):
            _line(ax, rows, "images", PSNR, styles[network])
        if scores is not None:
            _mark_test_scores(ax, scores, task, styles, 1.05 * of_task.images.max())
        ax.set(title=TASKS[task], xlabel=NAMES["images"], ylabel=NAMES[PSNR] if ax is axes[0, 0] else "")
        ax.margins(y=0.08)
    handles = [Line2D([], [], ms=5, lw=1.8, **look) for look in styles.values()]
    if scores is not None:
        handles.append(Line2D([], [], marker="o", mfc="white", mec=GREY, ls="", label="finished, on the test scenes"))
        handles.append(Line2D([], [], color=GREY, ls="--", lw=1.2, label="bicubic, on the test scenes"))
    legend(fig, handles, _what(curves), columns=4)
    return fig


def _rows(curves: pd.DataFrame, x: str, y: str, what: str) -> pd.DataFrame:
    require(curves, ["label", "seed", x, y], what)
    curves = curves.dropna(subset=[y])
    require(curves, [y], what)
    return curves


def _what(curves: pd.DataFrame, middle: str = "mean") -> str:
    count = seeds(curves)
    band = f"line: {middle} of {count}; band: from the lowest seed to the highest"
    return count if count == "one seed each" else band


def _line(ax: Axes, rows: pd.DataFrame, x: str, y: str, look: dict, middle: str = "mean") -> None:
    values = rows.groupby(x)[y].agg([middle, "min", "max"])
    ax.plot(values.index, values[middle], **{"ms": 5, "lw": 1.8} | look, markevery=1 if len(values) <= MANY else [])
    if rows.seed.nunique() > 1:
        ax.fill_between(values.index, values["min"], values["max"], color=look["color"], alpha=0.2, lw=0)


def _panels(labels: list[str], y: str) -> tuple[Figure, dict[str, Axes]]:
    """One panel per label, at most three in a row, on the same axes."""
    columns = min(3, len(labels))
    rows = -(-len(labels) // columns)
    fig, axes = subplots(rows, columns, 1 + 2.3 * rows, squeeze=False, sharex=True, sharey=True)
    for ax, label in zip(axes.flat, labels):
        ax.set_title(name_of(label), size=10)
    for ax in axes.flat[len(labels):]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel(NAMES.get(y, y))
    for column in range(columns):
        lowest = axes[(len(labels) - 1 - column) // columns, column]
        lowest.set_xlabel(NAMES["images"])
        lowest.tick_params(labelbottom=True)
    return fig, dict(zip(labels, axes.flat))


def _mark_phases(ax: Axes, curves: pd.DataFrame, x: str) -> None:
    ends = curves.groupby(["phase", "label"])[x].max().groupby("phase").max()  # where a phase ends, the next begins
    for at, phase in zip(ends, ends.index[1:]):
        ax.axvline(at, color=GREY, lw=0.8, zorder=1)
        ax.annotate(f"phase {phase:.0f}", (at, 1), (0, 14 if phase % 2 else 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", size=9, ha="center")


def _mark_test_scores(ax: Axes, scores: pd.DataFrame, task: str, styles: dict[str, dict], at: float) -> None:
    one_test_set(scores, "teacher_curves")
    means = scores.groupby("label").psnr_rgb.mean()  # every seed has the same images
    for network, look in styles.items():
        value = means.get(f"{network}-{task}", np.nan)
        if np.isfinite(value):
            ax.plot(at, value, marker=look["marker"], mec=look["color"], mfc="white", mew=1.4, ms=6, ls="")
    for name, control in (("Bicubic", "bicubic"), ("Bicubic 4x", "bicubic_x4")):
        value = means.get(f"{control}-{task}", np.nan)
        if np.isfinite(value):
            ax.axhline(value, color=GREY, ls="--", lw=1.2, zorder=1)
            name_line(ax, f"{name}\n{value:.1f} dB", value)
