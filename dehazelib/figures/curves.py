"""Figures of training, from curves.csv and runs.csv: learning curves, the affinity term, PSNR against budget."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter
from scipy import stats

from dehazelib.experiments.spec import of_row
from dehazelib.figures.style import (
    AXES,
    GREY,
    INK,
    OURS,
    define,
    drawable,
    legend,
    looks,
    name_line,
    name_of,
    one_test_set,
    subplots,
)

PSNR = "validation_psnr_rgb"
TASKS = {"native": "restoring 460×620 (Tables 1 and 3)", "upsampled": "reaching 920×1240 (Tables 2 and 4)"}
BICUBIC = {"bicubic": "bicubic", "bicubic_x4": "bicubic ×4"}


def learning_curves(curves: pd.DataFrame, y: str = PSNR, x: str = "images") -> Figure:
    """Returns one line per label, the mean over seeds, in a band from the lowest seed to the highest.

    curves: rows with label, seed and the columns named by `x` and `y`; rows without a `y` are left out. Where there is
      a column stage (1, 2, ...), as `stages` gives, a thin line marks where each later stage begins.
    """
    curves = drawable(curves, x, y)
    fig, ax = subplots(1, 1, 4.2)
    styles = looks(curves.label)
    _lines(ax, curves, x, y, styles)
    ax.set(xlabel=AXES.get(x, x), ylabel=AXES.get(y, y))
    if x == "pixels":
        ax.xaxis.set_major_formatter(EngFormatter())
    if "stage" in curves:
        _mark_stages(ax, curves, x)
    legend(fig, [Line2D([], [], **look) for look in styles.values()], define(curves.label) + _band(curves))
    return fig


def compared_curves(curves: pd.DataFrame, reference: str = "student", y: str = PSNR) -> Figure:
    """Returns a panel per label with its learning curve over that of the reference, both in bands over seeds.

    curves: as for learning_curves, with rows of the label `reference`; without them each label stands alone.
    """
    curves = drawable(curves, "images", y)
    styles = looks(curves.label)
    others = [label for label in styles if label != reference]
    fig, panels = _panels(others or [reference], AXES.get(y, y))
    for label, ax in panels.items():
        _lines(ax, curves, "images", y, {one: look for one, look in styles.items() if one in (reference, label)})
    handles = [Line2D([], [], **styles[reference])] if reference in styles else []
    legend(fig, handles, define(curves.label) + _band(curves))
    return fig


def gradient_share(curves: pd.DataFrame, target: float | None = None) -> Figure:
    """Returns the affinity term's share ||w g_FA|| / (||g|| + ||w g_FA||) of the gradient norms, log scale, a panel
    per label: the median over seeds in a band from the lowest to the highest.

    curves: rows with label, seed, images, affinity_share; empty and zero shares have no place on it.
    target: the share that adaptive runs hold, drawn as a dotted line; None draws none.
    """
    curves = drawable(curves[curves.affinity_share > 0], "affinity_share")
    styles = looks(curves.label)
    fig, panels = _panels(list(styles), "share of the gradient")
    for label, ax in panels.items():
        _lines(ax, curves, "images", "affinity_share", {label: styles[label]}, estimator="median")
        ax.set_yscale("log")
        if target is not None:
            ax.axhline(target, color=GREY, ls=":", lw=1.6, zorder=1)
    dots = Line2D([], [], color=GREY, ls=":", lw=1.6, label=f"target of the adaptive weight: {target}")
    legend(fig, [] if target is None else [dots],
           f"{define(curves.label)}share of the affinity term in the gradient norms; {_band(curves, 'median')}")
    return fig


def teacher_curves(curves: pd.DataFrame, scores: pd.DataFrame, controls: pd.DataFrame | None = None) -> Figure:
    """Returns the learning curves of the super-resolution networks on the validation scenes and, in a narrow panel
    beside each, what the finished networks and bicubic interpolation score on the test scenes.

    curves: as for learning_curves, labels <network>-<task>, task native or upsampled.
    scores: rows of one test set: label, seed, psnr_rgb; the controls are labelled bicubic-<task>, bicubic_x4-<task>.
    controls: the same controls on the validation scenes, label and psnr_rgb; lines beside the curves.
    """
    one_test_set(scores)
    curves = drawable(curves, "images", PSNR)
    curves[["network", "task"]] = curves.label.str.rsplit("-", n=1, expand=True)
    tasks = [task for task in TASKS if task in set(curves.task)]
    networks = looks(curves.network)
    fig, axes = subplots(1, 2 * len(tasks), 4.8, squeeze=False, width_ratios=[3.4, 1] * len(tasks))
    for task, ax, beside in zip(tasks, axes[0, ::2], axes[0, 1::2]):
        rows = curves[curves.task == task]
        _lines(ax, rows.assign(label=rows.network), "images", PSNR, networks)
        ax.set(title=f"{TASKS[task]}\nvalidation scenes", xlabel=AXES["images"], ylabel=AXES["psnr_rgb"])
        _mark_scores(beside, scores, task, networks)
        beside.sharey(ax)
        beside.set(title="test\nscenes", xticks=[], xlim=(-1, 1))
        beside.tick_params(labelleft=False)
        if controls is not None:
            _mark_bicubic(ax, controls, task)
    handles = [Line2D([], [], ms=5, lw=1.8, **look) for look in networks.values()]
    handles.append(Line2D([], [], color=GREY, ls="--", lw=1.2, label="bicubic interpolation"))
    legend(fig, handles, f"{_band(curves)}; beside: means of the finished networks", columns=5)
    return fig


def stages(curves: pd.DataFrame, runs: pd.DataFrame, last: str) -> pd.DataFrame:
    """Returns the learning curve of a run trained in stages, each started from the one before: the rows of curves.csv
    of all of them, with images, steps and minutes counted on, label `last`, and two more columns: stage, from 1, and
    pixels, the training pixels so far (images at their reduced size). No rows if there is no such run.

    curves, runs: of a study. last: label of the last stage, such as "longest-student".
    """
    runs = runs.drop_duplicates("run").set_index("run")
    chain = list(runs.index[runs.label == last][:1])
    while chain and runs.start[chain[0]] in runs.index:
        chain.insert(0, runs.start[chain[0]])
    parts, before = [], {"images": 0, "step": 0, "minutes": 0.0, "pixels": 0.0}
    for stage, run in enumerate(chain, 1):
        part = curves[curves.run == run].sort_values("step")
        part = part.assign(pixels=part.images * of_row(runs.loc[run]).pixels, label=last, stage=stage)
        part = part.assign(**{name: part[name] + so_far for name, so_far in before.items()})
        before = {name: part[name].max() for name in before}
        parts.append(part)
    return pd.concat(parts) if parts else curves.iloc[:0].assign(pixels=0.0, stage=0)


def scaling(curve: pd.DataFrame, printed: dict[str, float], printed_pixels: float, y: str = "test_psnr_rgb") -> Figure:
    """Returns PSNR against training pixels, log scale: a run's validations, a line fitted to the ends of its stages,
    where the learning rate has decayed, and that line's 95 % prediction interval up to the budget of the paper.

    curve: rows with stage, pixels and `y` (dB), as `stages` gives; at least three stages.
    printed: name -> PSNR that the paper prints. printed_pixels: the pixels its networks were trained on.
    Raises ValueError with fewer stages: a line through two points has no interval.
    """
    curve = drawable(curve, "pixels", y).sort_values("pixels")
    ends = curve.groupby("stage").tail(1)
    if len(ends) < 3:
        raise ValueError(f"scaling fits a line through the ends of at least three stages, not of {len(ends)}.")
    fig, ax = subplots(1, 1, 4.8)
    reach = np.geomspace(ends.pixels.min(), printed_pixels, 200)
    middle, low, high = log_fit(ends.pixels, ends[y], reach)
    inside = reach <= ends.pixels.max()
    ax.plot(reach[inside], middle[inside], color="C0", lw=2, label="log-linear fit to the ends of the stages")
    ax.plot(reach[~inside], middle[~inside], color="C0", lw=1.6, ls=(0, (4, 3)), label="extrapolation, not measured")
    ax.fill_between(reach, low, high, color="C0", alpha=0.13, lw=0, label="its 95 % prediction interval")
    ax.plot(curve.pixels, curve[y], ".", color="#9aa0a8", ms=6, label="during a stage")
    ax.plot(ends.pixels, ends[y], "o", color=INK, ms=7, label="end of a stage: student alone, measured")
    for name, value in printed.items():
        ax.plot(printed_pixels, value, "D", color=OURS, mfc="white", mew=1.8, ms=8)
        ax.annotate(f"{name}:\n{value:.2f} dB", (printed_pixels, value), (12, 0), va="center", size=9, color=OURS,
                    textcoords="offset points")
    at = [float(values[0]) for values in log_fit(ends.pixels, ends[y], np.array([printed_pixels]))]
    ax.set(xscale="log", xlabel=AXES["pixels"], ylabel=AXES.get(y, y))
    times = printed_pixels / ends.pixels.max()
    ax.set_title(f"log-linear extrapolation, {times:,.0f}-fold, to the paper's {printed_pixels / 1e9:,.0f} gigapixels: "
                 f"{at[0]:.1f} dB [{at[1]:.1f}, {at[2]:.1f}]")
    ax.set_xlim(right=10 * printed_pixels)  # room for names
    ax.axvspan(ends.pixels.max(), ax.get_xlim()[1], color="#f3f4f6", zorder=0)
    marks = Line2D([], [], ls="", marker="D", color=OURS, mfc="white", mew=1.8, ms=8, label="printed in the paper")
    legend(fig, [*ax.get_legend_handles_labels()[0], marks])
    return fig


def log_fit(x: pd.Series, y: pd.Series, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the line y = a + b log2(x) at given places with its 95 % prediction limits (Student's t).

    >>> log_fit(pd.Series([1, 2, 4]), pd.Series([10, 11, 12]), np.array([8.0]))[0].round(6)
    array([13.])
    """
    x, new = np.log2(x.to_numpy(float)), np.log2(at)
    line = stats.linregress(x, y.to_numpy(float))
    middle = line.intercept + line.slope * new
    residual = np.sqrt(((y - line.intercept - line.slope * x) ** 2).sum() / (len(x) - 2))
    spread = np.sqrt(1 + 1 / len(x) + (new - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, len(x) - 2) * residual * spread
    return middle, middle - half, middle + half


def _lines(ax: Axes, rows: pd.DataFrame, x: str, y: str, styles: dict[str, dict], estimator: str = "mean") -> None:
    """Draws a line per label in a band from the lowest seed to the highest. styles: as `looks` returns."""
    xlabel, ylabel = ax.get_xlabel(), ax.get_ylabel()
    for label, look in styles.items():
        part = rows[rows.label == label]
        sns.lineplot(part, x=x, y=y, estimator=estimator, errorbar=("pi", 100), err_kws={"alpha": 0.15, "lw": 0},
                     ms=5.5, mew=0.4, lw=1.8, ax=ax, legend=False, **look)
    ax.set(xlabel=xlabel, ylabel=ylabel)  # seaborn writes the columns' names


def _band(curves: pd.DataFrame, middle: str = "mean") -> str:
    """Returns what lines and bands show."""
    counts = curves.groupby("label").seed.nunique()
    if counts.max() == 1:
        return "one seed each"
    seeds = f"{counts.max()} seeds" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()} seeds"
    return f"line: {middle} of {seeds}; band: from the lowest seed to the highest"


def _panels(labels: list[str], ylabel: str) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure with one panel per label, at most four in a row, on the same axes."""
    columns = min(4, len(labels))
    rows = -(-len(labels) // columns)
    fig, axes = subplots(rows, columns, 1.1 + 2.2 * rows, squeeze=False, sharex=True, sharey=True)
    panels = dict(zip(labels, axes.flat))
    for ax in axes.flat[len(labels):]:
        ax.remove()
    for label, ax in panels.items():
        ax.set_title(name_of(label).removeprefix("module with ").replace(", ", "\n"), size=9)
    for ax in list(panels.values())[-columns:]:  # the lowest of each column
        ax.set_xlabel(AXES["images"])
        ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    return fig, panels


def _mark_stages(ax: Axes, curves: pd.DataFrame, x: str) -> None:
    """Draws a thin line where each later stage begins, with its number above."""
    ends = curves.groupby("stage")[x].max()
    for end, stage in zip(ends, ends.index[1:]):
        ax.axvline(end, color=GREY, lw=0.7, zorder=1)
        ax.annotate(f"{stage:.0f}", (end, 1), (2, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                    size=8, color=GREY)
    ax.annotate("stage", (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", size=8, color=GREY)


def _mark_scores(ax: Axes, scores: pd.DataFrame, task: str, networks: dict[str, dict]) -> None:
    """Draws the finished networks' mean test scores, spread a little sideways, and the bicubic lines."""
    means = scores.groupby("label").psnr_rgb.mean()  # every seed has the same images
    for i, (network, look) in enumerate(networks.items()):
        value = means.get(f"{network}-{task}", np.nan)
        if np.isfinite(value):
            ax.plot(0.6 * (-1 + 2 * i / max(1, len(networks) - 1)), value, ms=6, **look | {"ls": ""})
    _mark_bicubic(ax, means.rename("psnr_rgb").reset_index(), task)


def _mark_bicubic(ax: Axes, controls: pd.DataFrame, task: str) -> None:
    """Draws the scores of bicubic interpolation as named lines."""
    means = controls.groupby("label").psnr_rgb.mean()
    for control, name in BICUBIC.items():
        value = means.get(f"{control}-{task}", np.nan)
        if np.isfinite(value):
            ax.axhline(value, color=GREY, ls="--", lw=1.2, zorder=1)
            name_line(ax, f"{name}\n{value:.1f} dB", value)
