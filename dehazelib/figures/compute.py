"""Figures about time and memory, from tables alone: latency, roofline, affinity loss. Save them with figures.save."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from dehazelib.figures.style import GREY, legend, name_points, require, subplots, whiskers
from dehazelib.report import speed

DISTANCES = {"l2_norm": "L2", "l1": "L1", "kl": "KL"}
OURS = ("framework-equal_budget", "framework-as_released")  # in Table 5; whichever has the baselines' budget
PSNR = ["psnr_rgb", "psnr_low", "psnr_high"]
PASSES = {"layer": "the student's", "training": "a training step's"}
LEAST_SHARE = 0.005  # of a pass, for a layer to be drawn in the roofline


def latency_psnr(table5: pd.DataFrame, table9: pd.DataFrame) -> Figure:
    """Returns PSNR against latency: as published (hollow) and, in a panel per machine, as measured (filled).

    table5, table9: as tables.table gives them; a network without a PSNR or a latency is left out. "Ours" is the
      student as deployed, trained in the framework on as many images as the baselines.
    Raises ValueError if no network has both numbers anywhere.
    """
    require(table5, ["key", "label", "psnr_published", "training_images", *PSNR], "latency_psnr")
    require(table9, ["model", "key", "form", "inference_ms_published", "latency_ms", "machine"], "latency_psnr")
    equal = _equal_budget(table5)
    measured = table9[table9.form == "deployed"].merge(equal[["key", *PSNR]], on="key")
    measured = measured.dropna(subset=["latency_ms", "psnr_rgb"])
    theirs = table9.drop_duplicates("key").rename(columns={"latency_ms": "", "inference_ms_published": "latency_ms"})
    theirs = theirs.merge(table5[["key", "psnr_published"]], on="key").dropna(subset=["latency_ms", "psnr_published"])
    theirs = theirs.assign(psnr_rgb=theirs.psnr_published, psnr_low=np.nan, psnr_high=np.nan)
    panels = [("published, RTX 3080 Ti", theirs)] * (len(theirs) > 0) + list(measured.groupby("machine", sort=False))
    if not panels:
        raise ValueError("latency_psnr: no network has both a latency in table9 and a PSNR in table5.")
    if measured.empty:
        panels = [(f"{panels[0][0]}; none measured here at one equal budget", theirs)]
    fig, axes = subplots(len(panels), 1, 0.4 + 4.4 * len(panels), squeeze=False)
    points = [_latency_panel(ax, rows, name, hollow=rows is theirs) for ax, (name, rows) in zip(axes.flat, panels)]
    handles = [Line2D([], [], ls="", marker=marker, color=colour, mfc="white", mew=1.6, ms=7, label=label)
               for marker, colour, label in (("D", "C1", "the paper's own"), ("o", "C0", "other networks"))]
    note = ("hollow: published; filled: measured, whiskers: 95 % interval (Student's t) over seeds; "
            "none: one seed, or hidden by the mark")
    legend(fig, handles, "" if measured.empty else note)
    for ax, rows in zip(axes.flat, points):
        reach = whiskers(rows, "psnr_rgb", "psnr_low", "psnr_high")
        name_points(fig, ax, rows.model, rows.latency_ms, rows.psnr_rgb, reach)
    return fig


def roofline(rows: pd.DataFrame, kind: str = "layer") -> Figure:
    """Returns attained GFLOP/s against arithmetic intensity of a pass's operations, under the roof of each machine.

    rows: of bench.roofline and bench.training: kind (layer, training, probe), name, gflop, mb, ms, one per repeat, of
      one or more machines (device, processor, gpu). kind: layer, the student's pass; training, a whole step of the
      framework. The roof is the fastest repeat of the probes, an operation the median of its repeats; the area of a
      point grows with its share of the time, and operations below half a per cent of it are left out, as are machines
      that lack probes or this kind. A title names the commit of its operations, since machines may differ in it.
    Raises ValueError if there are none left.
    """
    require(rows, ["kind", "name", "device", "processor", "gpu", "gflop", "mb", "ms", "commit"], "roofline")
    rows = rows.fillna({"gpu": ""})
    machine = [rows[column] for column in ("device", "processor", "gpu")]
    has = [(rows.kind == wanted).groupby(machine).transform("any") for wanted in ("probe", kind)]
    rows = rows[has[0] & has[1] & rows.kind.isin(["probe", kind])]
    if rows.empty:
        raise ValueError(f"roofline: no machine has rows of both kinds, probe and {kind}.")
    machine = rows.processor.where(rows.device == "cpu", rows.gpu)
    panels = list(rows.groupby(machine, sort=False))
    fig, axes = subplots(len(panels), 1, 0.4 + 5.2 * len(panels), squeeze=False)
    points = [_roofline_panel(ax, table, name, kind) for ax, (name, table) in zip(axes.flat, panels)]
    handles = [Line2D([], [], ls="", marker="o", color="C0", alpha=0.65, ms=_area(part) ** 0.5, label=f"{part:.0%}")
               for part in (0.01, 0.1, 0.4)]
    handles.append(Line2D([], [], ls="", marker="D", color="#333333", mfc="white", mew=1.4, label="probe of the roof"))
    legend(fig, handles, "% and area of a dot: share of the time of one pass, all of one name together", columns=4)
    for ax, (names, x, y, roof) in zip(axes.flat, points):
        name_points(fig, ax, names, x, y, np.zeros((2, len(names))), roof)
    return fig


def affinity_memory(rows: pd.DataFrame) -> Figure:
    """Returns the affinity loss's extra memory against the number of pixels N, ours (filled) and N x N (hollow).

    rows: of bench.affinity.memories, of one machine and channel count: distance, pixels, method, extra_mb (MB). The
      broken line is computed: N x N grows with the square of N beyond its largest measured point. Where a method
      needed no measurable memory, a triangle at the lower edge says so.
    Raises ValueError if no method needed any.
    """
    require(rows, ["distance", "pixels", "method", "extra_mb"], "affinity_memory")
    rows = rows.dropna(subset=["extra_mb"]).sort_values("pixels")
    positive = rows[rows.extra_mb > 0]
    if positive.empty:
        raise ValueError("affinity_memory: no row has a positive extra_mb to show.")
    fig, ax = subplots(1, 1, 4.8)
    ax.set(xscale="log", yscale="log", xlabel="pixels N after pooling", ylabel="extra memory (MB), batch of 2")
    for i, (distance, name) in enumerate(DISTANCES.items()):
        of_distance = positive[positive.distance == distance]
        for method in sorted(of_distance.method.unique(), key=lambda method: method == "N x N"):
            part, literal = of_distance[of_distance.method == method], method == "N x N"
            ax.plot(part.pixels, part.extra_mb, {"N x N": "s-", "fused": "^:"}.get(method, "o-"), color=f"C{i}", ms=7,
                    mew=1.6, lw=1 if literal else 1.8, mfc="white" if literal else f"C{i}", label=f"{name}, {method}")
            if literal:
                reach = np.geomspace(part.pixels.iloc[-1], rows.pixels.max())
                computed = part.extra_mb.iloc[-1] * (reach / part.pixels.iloc[-1]) ** 2
                ax.plot(reach, computed, "--", color=f"C{i}", lw=1.2, zorder=1)
    ax.plot([], [], "--", color=GREY, lw=1.2, label="N x N, computed")
    if len(none := rows[rows.extra_mb <= 0]):
        at = np.full(len(none), positive.extra_mb.min() / 2)
        colours = [f"C{list(DISTANCES).index(distance)}" for distance in none.distance]
        ax.scatter(none.pixels, at, marker="v", color=colours, s=50, label="nothing measurable")
    _mark_sizes(ax, rows.pixels)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig


def affinity_accuracy(rows: pd.DataFrame) -> Figure:
    """Returns the relative error of the affinity loss against how close student and teacher are, a line per method.

    rows: of bench.affinity.accuracy: apart, method, relative_error, one per seed; the line is the median over seeds,
      the band reaches from the lowest to the highest. Above the line at 1 a value has no correct digit.
    """
    require(rows, ["apart", "method", "relative_error"], "affinity_accuracy")
    fig, ax = subplots(1, 1, 4.6)
    for (method, part), marker in zip(rows.groupby("method", sort=False), "sDo"):
        error = part.groupby("apart").relative_error.agg(["median", "min", "max", "size"])
        ax.plot(error.index, error["median"], f"{marker}-", ms=6, label=method)
        ax.fill_between(error.index, error["min"], error["max"], alpha=0.2, lw=0)
    ax.axhline(1, color=GREY, ls="--", lw=1.2, label="no correct digit")
    ax.set(xscale="log", yscale="log", ylabel="relative error",
           xlabel="distance between student and teacher features (reversed axis: closer to the right)")
    ax.invert_xaxis()
    note = f"line: median of {error['size'].max()} seeds; band: from the lowest seed to the highest"
    legend(fig, ax.get_legend_handles_labels()[0], note, columns=4)
    return fig


def _equal_budget(table5: pd.DataFrame) -> pd.DataFrame:
    """Returns the networks of table5 with a PSNR that were trained on as many images as most, or need no training; the
    framework at that budget has the key of ours in Table 9. Without any other network trained there are none."""
    measured = table5.dropna(subset=["psnr_rgb"]).drop_duplicates("label")  # the main test set comes first
    others = measured[~measured.label.str.startswith(("student", "framework"))]
    if others.training_images.dropna().empty:
        return measured.iloc[:0]
    budget = others.training_images.dropna().astype(float).mode().iloc[0]
    equal = measured[measured.training_images.isna() | measured.training_images.eq(budget).fillna(False)]
    ours = next((label for label in OURS if label in set(equal.label)), None)
    return equal.assign(key=equal.key.mask(equal.label == ours, "full_framework")).drop_duplicates("key")


def _latency_panel(ax: Axes, table: pd.DataFrame, title: str, hollow: bool) -> pd.DataFrame:
    """Draws the points; returns their rows, ours first: the first name gets the best place."""
    table = table[np.isfinite(table.psnr_rgb)].astype({"latency_ms": float, "psnr_rgb": float})
    ours = table.model.str.startswith("Ours")
    for part, colour, marker in ((table[~ours], "C0", "o"), (table[ours], "C1", "D")):
        ax.errorbar(part.latency_ms, part.psnr_rgb, whiskers(part, "psnr_rgb", "psnr_low", "psnr_high"), fmt=marker,
                    color=colour, mfc="white" if hollow else colour, mew=1.6, ms=7, capsize=0 if hollow else 3)
    ax.set(xscale="log", xlabel="latency (ms per image of 460x620)", ylabel="PSNR (dB)", title=title)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.margins(0.16, 0.1)
    return pd.concat([table[ours], table[~ours]])


def _roofline_panel(ax: Axes, rows: pd.DataFrame, machine: str, kind: str) -> tuple:
    """Draws roof, probes and operations; returns what their names need: names, x, y, and what to keep free."""
    bandwidth, peaks, probed = speed.roof(rows[rows.kind == "probe"])
    table = rows[rows.kind == kind].groupby("name")[["gflop", "mb", "ms"]].median()
    share = table.ms / table.ms.sum()
    table, share = table[share >= LEAST_SHARE], share[share >= LEAST_SHARE]
    intensity, attained = table.gflop / table.mb * 1e3, table.gflop / table.ms * 1e3
    ridge = peaks.max() / bandwidth  # FLOP per byte where memory stops being the limit
    reach = np.geomspace(min(intensity.min(), ridge / 10) / 2, max(intensity.max(), probed.max(), ridge) * 2, 200)
    roof = np.column_stack([reach, np.minimum(reach * bandwidth, peaks.max())])
    ax.plot(*roof.T, color="#333333", lw=1.8)
    ax.annotate(f"memory: {bandwidth:,.0f} GB/s", (ridge / 3, peaks.max() / 3), (-8, 0), ha="right", size=9,
                textcoords="offset points")
    ax.scatter(intensity, attained, s=_area(share), color="C0", alpha=0.65, edgecolor="white", zorder=3)
    ax.plot(probed, peaks, "D", color="#333333", mfc="white", mew=1.4, ms=6)
    commit = ", ".join(rows[rows.kind == kind].commit.unique())
    ax.set(xscale="log", yscale="log", title=f"{machine}: where {PASSES[kind]} time goes (commit {commit})",
           xlabel="arithmetic intensity (FLOP per byte)", ylabel="attained GFLOP/s")
    ax.margins(0.08, 0.12)
    for name, rise, side in zip(peaks.sort_values().index, (-24, 9), ("top", "bottom")):
        ax.annotate(f"{name}: {peaks[name]:,.0f} GFLOP/s", (probed[name], peaks[name]), (0, rise), va=side, size=9,
                    ha="center", textcoords="offset points")
    marks = [np.column_stack([probed, peaks * factor]) for factor in (0.85, 1, 1.18)]
    return [f" {name}: {part:.0%} " for name, part in share.items()], intensity, attained, np.vstack([roof, *marks])


def _area(share):
    """Returns the area, in square points, of a layer's dot."""
    return 30 + 300 * share


def _mark_sizes(ax: Axes, pixels: pd.Series) -> None:
    for n, name in ((115 * 155, "460x620\npooled by 4"), (460 * 620, "460x620\nnot pooled")):
        if pixels.min() <= n <= pixels.max():
            ax.axvline(n, color=GREY, ls=":", lw=1)
            ax.annotate(name, (n, 0.02), (-4, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                        ha="right", va="bottom", size=9)
