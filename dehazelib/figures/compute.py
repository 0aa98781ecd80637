"""Figures about time and memory, from tables alone: latency, roofline, affinity loss."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from dehazelib.figures.scores import INTERVAL, name_networks, network_kinds, network_points
from dehazelib.figures.style import GREY, INK, drawable, legend, name_points, subplots
from dehazelib.profiling import timing

FRAMEWORK = ("framework-equal_budget", "framework-as_released")  # whichever has the baselines' budget is "ours"
PASSES = {"layer": "one forward pass of the student", "training": "one training step of the framework"}
LEAST_SHARE = 0.01  # of the time, for an operation to be drawn in the roofline
DISTANCES = {"l2_norm": ("L2", "C0"), "l1": ("L1", "C1"), "kl": ("KL", "C2")}
SIZES = {115 * 155: "460×620\npooled 4×4", 460 * 620: "460×620\nnot pooled"}  # pixels -> name


def latency_psnr(table5: pd.DataFrame, table9: pd.DataFrame) -> Figure:
    """Returns PSNR against latency: as published (hollow) and, in a panel per machine, as measured (filled).

    table5, table9: as report.tables gives them; a network without a PSNR or a latency is left out. "Ours" is the
      student as deployed, trained in the framework on as many images as the baselines.
    Raises ValueError if no network has both numbers anywhere.
    """
    published = table9.drop_duplicates("key")[["model", "key", "inference_ms_published"]]
    published = published.merge(table5[["key", "psnr_published"]], on="key").dropna()
    published = published.set_axis(["model", "key", "latency_ms", "psnr_rgb"], axis=1)
    published = published.assign(psnr_low=np.nan, psnr_high=np.nan)
    measured = table9[table9.form == "deployed"].dropna(subset=["latency_ms"])
    measured = measured.merge(_equal_budget(table5)[["key", "psnr_rgb", "psnr_low", "psnr_high"]], on="key")
    panels = [("published, on an RTX 3080 Ti", published)] if len(published) else []
    panels += list(measured.groupby("machine", sort=False))
    if not panels:
        raise ValueError("latency_psnr: no network has both a latency in table9 and a PSNR in table5.")
    fig, axes = subplots(len(panels), 1, 0.4 + 4.2 * len(panels), squeeze=False)
    for ax, (title, rows) in zip(axes.flat, panels):
        network_points(ax, rows, "latency_ms", "psnr_rgb", hollow=rows is published)
        ax.set(xscale="log", xlabel="latency (ms per image of 460×620)", ylabel="PSNR (dB)", title=title)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.margins(0.1, 0.12)
    note = f"hollow: published; filled: measured with {INTERVAL}, where there are several"
    legend(fig, network_kinds(), note if len(measured) else "")
    for ax, (_, rows) in zip(axes.flat, panels):
        name_networks(ax, rows, "latency_ms", "psnr_rgb")
    return fig


def roofline(rows: pd.DataFrame, kind: str = "layer") -> Figure:
    """Returns attained GFLOP/s against arithmetic intensity of a pass's operations, under the roof of each machine.

    rows: of bench.roofline and bench.training: kind (layer, training, probe), name, gflop, mb, ms, one per repeat, of
      one or more machines (device, processor, gpu), and commit. kind: layer, a forward pass of the student; training,
      a whole step of the framework. The roof is the fastest repeat of each microbenchmark (probe), an operation the
      median of its repeats; the area of a point grows with its share of the time. Operations below LEAST_SHARE of it
      are left out, as are machines that lack probes or this kind.
    Raises ValueError if there are none left.
    """
    machine = rows.gpu.where(rows.device != "cpu", rows.processor)
    panels = [(name, table) for name, table in rows.groupby(machine, sort=False) if {"probe", kind} <= set(table.kind)]
    if not panels:
        raise ValueError(f"roofline: no machine has rows of both kinds, probe and {kind}.")
    fig, axes = subplots(len(panels), 1, 0.4 + 4.8 * len(panels), squeeze=False)
    points = [_roofline_panel(ax, table, name, kind) for ax, (name, table) in zip(axes.flat, panels)]
    handles = [Line2D([], [], ls="", marker="o", color="C0", alpha=0.65, ms=_area(share) ** 0.5, label=f"{share:.0%}")
               for share in (0.01, 0.1, 0.4)]
    handles.append(Line2D([], [], ls="", marker="D", color=INK, mfc="white", mew=1.4, label="microbenchmark"))
    legend(fig, handles, "% and area of a dot: share of the time, all operations of one name together", columns=4)
    for ax, (names, x, y, *lines) in zip(axes.flat, points):
        name_points(ax, names, x, y, lines)
    return fig


def affinity_memory(rows: pd.DataFrame) -> Figure:
    """Returns the affinity loss's extra memory against the number of pixels N, ours (filled) and N × N (hollow).

    rows: of bench.affinity.memories, of one machine and channel count: distance, pixels, method, extra_mb (MB). The
      broken line is computed: N × N grows with the square of N beyond its largest measured point. Where a method
      needed no measurable memory, a triangle at the lower edge says so.
    Raises ValueError if no method needed any.
    """
    rows = drawable(rows, "extra_mb").sort_values("pixels")
    positive = drawable(rows.assign(extra_mb=rows.extra_mb.where(rows.extra_mb > 0)), "extra_mb")
    fig, ax = subplots(1, 1, 4.6)
    for distance, (name, colour) in DISTANCES.items():
        of_distance = positive[positive.distance == distance]
        for method, part in of_distance.groupby("method"):
            label = f"{name}, {method.replace(' x ', ' × ')}"
            if method == "N x N":
                ax.plot(part.pixels, part.extra_mb, "s-", color=colour, mfc="white", mew=1.5, ms=6.5, lw=1, label=label)
                largest = part.iloc[-1]
                reach = np.geomspace(largest.pixels, rows.pixels.max())
                ax.plot(reach, largest.extra_mb * (reach / largest.pixels) ** 2, "--", color=colour, lw=1.1, zorder=1)
            else:
                line = "^:" if method == "fused" else "o-"
                ax.plot(part.pixels, part.extra_mb, line, color=colour, ms=6.5, lw=1.8, label=label)
    none = rows[rows.extra_mb <= 0]
    if len(none):
        colours = [DISTANCES[distance][1] for distance in none.distance]
        lowest = np.full(len(none), positive.extra_mb.min() / 2)
        ax.scatter(none.pixels, lowest, marker="v", color=colours, s=45, label="nothing measurable")
    ax.plot([], [], "--", color=GREY, lw=1.1, label="N × N, computed")
    ax.set(xscale="log", yscale="log", xlabel="pixels N after pooling", ylabel="extra memory (MB), batch of 2")
    for pixels, name in SIZES.items():
        if rows.pixels.min() <= pixels <= rows.pixels.max():
            ax.axvline(pixels, color=GREY, ls=":", lw=1, zorder=1)
            ax.annotate(name, (pixels, 0.02), (-4, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                        ha="right", va="bottom", size=8.5, color=GREY)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig


def affinity_accuracy(rows: pd.DataFrame) -> Figure:
    """Returns the relative error of the affinity loss against how close student and teacher are, a line per method.

    rows: of bench.affinity.accuracy: apart, method, relative_error, seed; the line is the median over seeds, the band
      reaches from the lowest to the highest. Above the line at 1 a value has no correct digit.
    """
    rows = drawable(rows, "apart", "relative_error").assign(method=rows.method.str.replace(" x ", " × "))
    fig, ax = subplots(1, 1, 4.4)
    sns.lineplot(rows, x="apart", y="relative_error", hue="method", style="method", markers=["s", "D", "o"],
                 dashes=False, estimator="median", errorbar=("pi", 100), err_kws={"alpha": 0.15, "lw": 0}, ms=6, ax=ax)
    ax.axhline(1, color=GREY, ls="--", lw=1.2, label="no correct digit")
    ax.set(xscale="log", yscale="log", ylabel="relative error",
           xlabel="distance between student and teacher features (closer to the right)")
    ax.invert_xaxis()
    handles = ax.get_legend_handles_labels()[0]
    ax.get_legend().remove()
    note = f"line: median of {rows.seed.nunique()} seeds; band: from the lowest seed to the highest"
    legend(fig, handles, note, columns=4)
    return fig


def _equal_budget(table5: pd.DataFrame) -> pd.DataFrame:
    """Returns the networks of table5 with a PSNR that were trained on as many images as most, or need no training; the
    framework at that budget has the key of ours in Table 9. Without any other network trained there are none."""
    measured = table5.dropna(subset=["psnr_rgb"]).drop_duplicates("label")  # the main test set comes first
    budgets = measured.training_images[~measured.label.str.match("student|framework")].dropna()
    if budgets.empty:
        return measured.iloc[:0]
    equal = measured[measured.training_images.isna() | measured.training_images.eq(budgets.mode()[0])]
    ours = next((label for label in FRAMEWORK if label in set(equal.label)), "")
    return equal.assign(key=equal.key.mask(equal.label == ours, "full_framework")).drop_duplicates("key")


def _roofline_panel(ax: Axes, rows: pd.DataFrame, machine: str, kind: str) -> tuple:
    """Draws roof, probes and operations; returns the names, x and y of the operations, and lines to keep clear."""
    bandwidth, peaks, probed = timing.roof(rows[rows.kind == "probe"])
    table = rows[rows.kind == kind].groupby("name")[["gflop", "mb", "ms"]].median()
    table["share"] = table.ms / table.ms.sum()
    table = table[table.share >= LEAST_SHARE].sort_values("share", ascending=False)
    intensity, attained = table.gflop / table.mb * 1e3, table.gflop / table.ms * 1e3
    ridge = peaks.max() / bandwidth  # FLOP per byte where memory stops being the limit
    reach = np.geomspace(min(intensity.min(), ridge / 10) / 3, max(intensity.max(), probed.max(), ridge) * 3, 200)
    roof = np.minimum(reach * bandwidth, peaks.max())
    ax.fill_between(reach, roof, roof.max() * 3, color="#f3f4f6", lw=0, zorder=0)
    ax.plot(reach, roof, color=INK, lw=1.8)
    ax.scatter(intensity, attained, s=_area(table.share), color="C0", alpha=0.65, edgecolor="white", zorder=3)
    ax.plot(probed, peaks, "D", color=INK, mfc="white", mew=1.4, ms=6)
    ax.set(xscale="log", yscale="log", xlim=(reach[0], reach[-1]), ylim=(attained.min() / 3, peaks.max() * 3),
           xlabel="arithmetic intensity (FLOP per byte)", ylabel="attained GFLOP/s")
    commit = ", ".join(rows[rows.kind == kind].commit.unique())
    ax.set_title(f"{PASSES[kind]}: {machine} (commit {commit})")
    note = {"textcoords": "offset points", "size": 8.5, "color": INK}
    ax.annotate(f"memory: {bandwidth:,.0f} GB/s", (ridge / 6, peaks.max() / 6), (-10, 6), ha="right", **note)
    for i, name in enumerate(peaks.sort_values(ascending=False).index):
        ax.annotate(f"{name}: {peaks[name]:,.0f} GFLOP/s", (0.995, 0.985 - 0.055 * i), xycoords="axes fraction",
                    ha="right", va="top", **note | {"textcoords": None})
    names = [f"{name}: {share:.0%}" for name, share in table.share.items()]
    marks = [([x, x], [y, y]) for x, y in zip(probed, peaks)]
    return names, intensity, attained, (reach, roof), *marks


def _area(share):
    """Returns the area, in square points, of an operation's dot."""
    return 30 + 300 * share
