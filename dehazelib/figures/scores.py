"""Figures of scores: every run's PSNR, what the affinity module gains, haze levels, PSNR against cost."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dehazelib.figures.style import (
    AXES,
    GREY,
    INK,
    OTHERS,
    OURS,
    define,
    drawable,
    legend,
    looks,
    name_line,
    name_of,
    name_points,
    one_test_set,
    subplots,
    t_interval,
    whiskers,
)

INTERVAL = "95 % interval (Student's t) over seeds"
WHISKERS = "whiskers: 95 % interval over seeds and rooms; the difference of two single runs has none"
MARGIN = 0.1  # dB, the largest difference of no practical importance
TEST = ("difference", "difference_low", "difference_high")
VALIDATION = ("validation_difference", "validation_low", "validation_high")


def scores_by_label(scores: pd.DataFrame, reference: str = "student") -> Figure:
    """Returns every seed's mean PSNR with the labels' means and 95 % intervals over seeds, best label on top.

    scores: one row per image of one test set: label, seed, image, psnr_rgb. Only labels scored on as many images as
      the reference are drawn (as the most, without it). The label "hazy" becomes a line. A label whose mean is
      infinite (exact output) has no point: its name says so.
    """
    one_test_set(drawable(scores.replace(np.inf, 1e9), "psnr_rgb"))
    images = scores.groupby("label").image.nunique()
    count = images.get(reference, images.max())
    alike = scores[scores.label.map(images) == count]
    per_seed = alike.groupby(["label", "seed"], as_index=False).psnr_rgb.mean()
    means = per_seed.groupby("label").psnr_rgb.mean().sort_values(ascending=False, kind="stable")
    hazy, means = means.get("hazy"), means.drop("hazy", errors="ignore")
    seeds = per_seed.label.value_counts()
    most = seeds[means.index].max()

    def row(label: str) -> str:
        if np.isinf(means[label]):
            return f"{name_of(label)} (∞ dB)"
        if seeds[label] < most:
            return f"{name_of(label)} (n = {seeds[label]})"
        return name_of(label)

    per_seed = per_seed[per_seed.label != "hazy"].replace(np.inf, np.nan)
    per_seed = per_seed.assign(row=per_seed.label.map(row), ours=per_seed.label.str.match("student|framework"))
    fig, ax = subplots(1, 1, 1.3 + 0.25 * len(means))
    drawing = {"data": per_seed, "x": "psnr_rgb", "y": "row", "order": [row(label) for label in means.index],
               "hue": "ours", "palette": {True: OURS, False: OTHERS}, "legend": False, "ax": ax}
    sns.stripplot(**drawing, jitter=False, alpha=0.35, size=5)
    sns.pointplot(**drawing, errorbar=t_interval, linestyle="none", marker="D", markersize=4.5, err_kws={"lw": 1.6})
    ax.set(xlabel=f"mean PSNR over {count} test images (dB)", ylabel="", ylim=(len(means) - 0.4, -0.6))
    ax.grid(True, axis="y", lw=0.5)
    handles = [Line2D([], [], marker="D", color=OURS, ms=5, label="the paper's student, alone or with the module"),
               Line2D([], [], marker="D", color=OTHERS, ms=5, label="other networks")]
    if hazy is not None:
        handles.append(ax.axvline(hazy, color=GREY, ls="--", lw=1.4, label=f"hazy input {hazy:.2f} dB"))
    note = f"diamond: mean and {INTERVAL} ({most} unless n is given); dots: single seeds"
    legend(fig, handles, define(means.index) + note)
    return fig


def gains(table: pd.DataFrame, printed: float) -> Figure:
    """Returns what the affinity module gains over the student alone, in dB with 95 % intervals, in the table's order,
    on the test set and, below each, on the validation scenes. Where there are rows of both variants, those as
    described in the paper have a panel and a scale of their own.

    table: rows with label and the columns TEST and VALIDATION (dB, limits empty if there are none); rows without a
      difference are left out. printed: the gain that the paper prints.
    """
    table = drawable(table, "difference")
    described = table.label.str.contains("as_described")
    panels = [("as released: final outputs compared", table[~described]),
              ("as described: intermediate features compared", table[described])]
    panels = [(title, rows.iloc[::-1].reset_index(drop=True)) for title, rows in panels if len(rows)]
    heights = [len(rows) + 1.2 for _, rows in panels]
    fig, axes = subplots(len(panels), 1, 1.4 + 0.36 * sum(heights), squeeze=False, height_ratios=heights)
    for ax, (title, rows) in zip(axes.flat, panels):
        ax.axvline(0, color=INK, lw=1)
        ax.axvspan(-MARGIN, MARGIN, color="#d9dde3", alpha=0.55, lw=0)
        _gain_marks(ax, rows, TEST, 0.12, marker="o", ms=6, lw=2)
        _gain_marks(ax, rows.dropna(subset=[VALIDATION[0]]), VALIDATION, -0.2, marker="o", ms=4, lw=1, mfc="white")
        names = [name_of(label).removeprefix("module with ") for label in rows.label]
        names = [name.removeprefix("module as released, ").removeprefix("module as described, ") for name in names]
        ax.set(yticks=rows.index, yticklabels=names, ylim=(-0.7, len(rows) - 0.4))
        ax.set_title(title, loc="left")
        ax.grid(False, axis="y")
        _mark_printed(ax, printed)
    axes.flat[-1].set_xlabel("PSNR minus that of the student alone (dB)")
    colours = [Line2D([], [], marker="o", color=colour, label=text) for colour, text in (
        ("C2", "interval above 0"), ("C3", "interval below 0"), (GREY, "interval includes 0, or one seed"))]
    hollow = Line2D([], [], marker="o", mfc="white", ms=4, lw=1, color=GREY, label="the same on validation scenes")
    band = Line2D([], [], color="#d9dde3", lw=8, label=f"± {MARGIN} dB: of no practical importance")
    legend(fig, [*colours, hollow, band], define(table.label) + WHISKERS)
    return fig


def gain_by_budget(table: pd.DataFrame, printed: float, printed_pixels: float) -> Figure:
    """Returns the module's gain over the student alone against the training budget in pixels, log scale, beside the
    gain that the paper prints for its own budget.

    table: a row per comparison: label, pixels (that one run was trained on), and the columns TEST in dB.
    printed, printed_pixels: the paper's gain in dB and its budget.
    """
    table = drawable(table, "difference", "pixels")
    fig, ax = subplots(1, 1, 4)
    ax.axhline(0, color=INK, lw=1)
    for label, look in looks(table.label).items():
        rows = table[table.label == label]
        ax.errorbar(rows.pixels, rows.difference, whiskers(rows, *TEST), capsize=3, lw=1.8, ms=7, **look | {"ls": ""})
    ax.plot(printed_pixels, printed, "D", color=OURS, mfc="white", mew=1.6, ms=8, label="printed in the paper")
    ax.annotate(f"{printed:+.2f} dB", (printed_pixels, printed), (-10, 0), textcoords="offset points", ha="right",
                va="center")
    ax.set(xscale="log", xlabel=AXES["pixels"], ylabel="gain over the student alone (dB)")
    ax.margins(0.1, 0.15)
    legend(fig, ax.get_legend_handles_labels()[0], define(table.label) + WHISKERS)
    return fig


def haze_levels(table: pd.DataFrame) -> Figure:
    """Returns PSNR against haze level, one line per label in the band of its 95 % interval over seeds.

    table: rows with label, level, beta (scattering coefficient), psnr_rgb, psnr_low, psnr_high (dB), seeds, images;
      rows without a PSNR are left out.
    """
    table = drawable(table, "psnr_rgb", "level").sort_values("level")
    fig, ax = subplots(1, 1, 4.6)
    best_first = table.groupby("label").psnr_rgb.mean().sort_values(ascending=False).index
    styles = looks(table.label)
    for label in best_first:
        rows = table[table.label == label]
        ax.plot(rows.level, rows.psnr_rgb, ms=6, lw=1.8, **styles[label])
        band = rows[["psnr_low", "psnr_high"]].astype(float)
        ax.fill_between(rows.level, band.psnr_low, band.psnr_high, color=styles[label]["color"], alpha=0.15, lw=0)
    ticks = table.drop_duplicates("level")
    fewest, most = table.images.min(), table.images.max()
    images = f"{most:.0f}" if fewest == most else f"{fewest:.0f} to {most:.0f}"
    ax.set(xlabel=f"haze level and its scattering coefficient β ({images} images per level)", ylabel=AXES["psnr_rgb"])
    ax.set_xticks(ticks.level, [f"{level:.0f}\nβ = {beta:g}" for level, beta in zip(ticks.level, ticks.beta)])
    note = f"band: {INTERVAL}" if table.seeds.max() > 1 else "one run each"
    legend(fig, ax.get_legend_handles_labels()[0], define(table.label) + note, columns=4)
    return fig


def pareto(table5: pd.DataFrame, cost: str = "parameters") -> Figure:
    """Returns PSNR against a cost: as published (hollow), and as measured here (filled, 95 % intervals).

    table5: rows of one test set: model, parameters, psnr_published, psnr_rgb, psnr_low, psnr_high (dB), and
      parameters_published where published counts differ. A row without a PSNR is left out of that panel; one without
      cost (0 or empty), like the hazy input, becomes a line. No measured row with a cost: no such panel.
    cost: "parameters", or "gflops" if the table has that column.
    """
    one_test_set(table5[table5.psnr_rgb.notna()])
    size = f"{cost}_published" if f"{cost}_published" in table5 else cost
    panels = [("published, on RESIDE SOTS-indoor", size, "psnr_published")]
    if (table5[cost].astype(float).gt(0) & table5.psnr_rgb.notna()).any():
        panels.append(("trained here, on equally many images", cost, "psnr_rgb"))
    fig, axes = subplots(1, len(panels), 5.6, squeeze=False)
    points = [_pareto_panel(ax, table5, *panel) for ax, panel in zip(axes[0], panels)]
    note = f"hollow: published; filled: measured with {INTERVAL}, where there are several"
    legend(fig, network_kinds(), note if len(panels) > 1 else "")
    for ax, (rows, *panel) in zip(axes[0], points):
        name_networks(ax, rows.assign(model=rows.model.str.partition(", budget of")[0]), *panel)  # as the title says
    return fig


def network_kinds() -> list[Line2D]:
    """Returns the legend's marks of the paper's own networks and of all others."""
    return [Line2D([], [], ls="", marker=marker, color=colour, mfc="white", mew=1.6, ms=7, label=text)
            for marker, colour, text in (("D", OURS, "the paper's own"), ("o", OTHERS, "other networks"))]


def network_points(ax: Axes, rows: pd.DataFrame, x: str, y: str, hollow: bool) -> None:
    """Draws networks as points, the paper's own apart; measured ones (not hollow) with their intervals."""
    ours = rows.model.str.startswith("Ours")
    for part, colour, marker in ((rows[~ours], OTHERS, "o"), (rows[ours], OURS, "D")):
        if hollow:
            ax.plot(part[x], part[y], marker, color=colour, mfc="white", mew=1.6, ms=7)
        else:
            reach = whiskers(part, y, "psnr_low", "psnr_high")
            ax.errorbar(part[x], part[y], reach, fmt=marker, color=colour, ms=6.5, lw=1.4, capsize=2.5)


def name_networks(ax: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    """Names the points that network_points has drawn, the paper's own first: they get the best places."""
    rows = rows.sort_values("model", key=lambda model: ~model.str.startswith("Ours"), kind="stable")
    bars = []
    if y == "psnr_rgb":
        limits = rows.dropna(subset=["psnr_low", "psnr_high"])
        bars = [([at, at], [low, high]) for at, low, high in zip(limits[x], limits.psnr_low, limits.psnr_high)]
    name_points(ax, rows.model, rows[x], rows[y], bars)


def _pareto_panel(ax: Axes, table5: pd.DataFrame, title: str, size: str, psnr: str) -> tuple:
    """Draws the points and lines of a panel; returns the points' rows and the columns of x and y."""
    rows = drawable(table5, psnr).astype({size: float})
    sized, unsized = rows[rows[size] > 0], rows[~(rows[size] > 0)]
    network_points(ax, sized, size, psnr, hollow=psnr == "psnr_published")
    ax.set(xscale="log", xlabel=AXES.get(size, AXES["parameters"]), ylabel="PSNR (dB)", title=title)
    ax.margins(0.14, 0.1)
    for name, value in zip(unsized.model, unsized[psnr]):
        ax.axhline(value, color=GREY, ls="--", lw=1)
        name_line(ax, name.replace(" ", "\n"), value)
    return sized, size, psnr


def _gain_marks(ax: Axes, rows: pd.DataFrame, columns: tuple[str, str, str], rise: float, **look) -> None:
    """Draws differences with their intervals, coloured by whether the interval excludes 0."""
    value, low, high = columns
    for row, differ in zip(rows.index, rows.to_dict("records")):
        reach = whiskers(pd.DataFrame([differ]), *columns)
        colour = "C2" if differ[low] > 0 else "C3" if differ[high] < 0 else GREY
        ax.errorbar(differ[value], row + rise, xerr=reach, color=colour, **look)


def _mark_printed(ax: Axes, printed: float) -> None:
    """Draws the printed gain, or says where it lies if that is far beyond the axis."""
    low, high = ax.get_xlim()
    text = f"the paper's {printed:+.2f} dB"
    if printed - high > high - low:
        ax.set_title(f"{text} is off the scale →", loc="right", color=OURS, weight="bold")
        return
    ax.axvline(printed, color=OURS, ls="--", lw=1.8)
    ax.set_title(text, loc="right", color=OURS, weight="bold")
