"""Figures about time and memory, from tables alone: latency, roofline, affinity loss. Save them with figures.save."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dehazelib.figures import _limits, _name_points, _require, _subplots

DISTANCES = {"l2_norm": "L2", "l1": "L1", "kl": "KL"}
EQUAL = {"full_framework": "framework-equal_budget"}  # key of Table 9 -> label of Table 5 at the baselines' budget
PSNR = ["psnr_rgb", "psnr_low", "psnr_high"]
LEAST_SHARE = 0.005  # of a pass, for a layer to be drawn in the roofline


def latency_psnr(table5: pd.DataFrame, table9: pd.DataFrame) -> Figure:
    """Returns PSNR against latency: as published (hollow) and, in a panel per machine, as measured (filled).

    table5, table9: as tables.build gives them; a network without a PSNR or a latency is left out. "Ours" is the
      student as deployed, trained in the framework at the baselines' budget.
    Raises ValueError if no network has both numbers anywhere.
    """
    _require(table5, ["key", "label", "psnr_published", *PSNR], "latency_psnr")
    _require(table9, ["model", "key", "form", "inference_ms_published", "latency_ms", "machine"], "latency_psnr")
    measured = table9[table9.form == "deployed"].assign(label=lambda t: t.key.replace(EQUAL))
    measured = measured.merge(table5.drop_duplicates("label")[["label", *PSNR]], on="label")
    measured = measured.dropna(subset=["latency_ms", "psnr_rgb"])
    theirs = table9.drop_duplicates("key").rename(columns={"latency_ms": "", "inference_ms_published": "latency_ms"})
    theirs = theirs.merge(table5[["key", "psnr_published"]], on="key").dropna(subset=["latency_ms", "psnr_published"])
    theirs = theirs.assign(psnr_rgb=theirs.psnr_published, psnr_low=np.nan, psnr_high=np.nan)
    panels = [("published, RTX 3080 Ti", theirs)] * (len(theirs) > 0) + list(measured.groupby("machine", sort=False))
    if not panels:
        raise ValueError("latency_psnr: no network has both a latency in table9 and a PSNR in table5.")
    fig, axes = _subplots(len(panels), 1, 4.6 * len(panels), squeeze=False)
    for ax, (title, table) in zip(axes.flat, panels):
        _latency_panel(fig, ax, table, title, hollow=table is theirs)
    return fig


def roofline(rows: pd.DataFrame) -> Figure:
    """Returns attained GFLOP/s against arithmetic intensity of the student's layers, under the roof of each machine.

    rows: of bench.roofline: kind (layer, probe), name, gflop, mb, ms, one per repeat, of one or more machines (device,
      processor, gpu). The roof is the fastest repeat of the probes, a layer the median of its repeats; the area of a
      point is its share of the time, and layers below half a per cent of it are left out.
    """
    _require(rows, ["kind", "name", "device", "processor", "gpu", "gflop", "mb", "ms"], "roofline")
    rows = rows.fillna({"gpu": ""})
    machine = rows.processor.where(rows.device == "cpu", rows.gpu)
    panels = list(rows.groupby(machine, sort=False))
    fig, axes = _subplots(len(panels), 1, 5.2 * len(panels), squeeze=False)
    for ax, (name, table) in zip(axes.flat, panels):
        _roofline_panel(fig, ax, table, name)
    return fig


def affinity_memory(rows: pd.DataFrame) -> Figure:
    """Returns the affinity loss's extra memory against the number of pixels N, ours (filled) and N x N (hollow).

    rows: of bench.affinity.memories, of one machine and channel count: distance, pixels, method, extra_mb (MB). The
      broken line is computed: N x N grows with the square of N from its largest measured point. Where a method needed
      no measurable memory, the axis is linear from zero to the smallest positive value.
    Raises ValueError if no method needed any.
    """
    _require(rows, ["distance", "pixels", "method", "extra_mb"], "affinity_memory")
    rows = rows.dropna(subset=["extra_mb"]).sort_values("pixels")
    positive = rows.loc[rows.extra_mb > 0, "extra_mb"]
    if positive.empty:
        raise ValueError("affinity_memory: no row has a positive extra_mb to show.")
    fig, ax = _subplots(1, 1, 4.8)
    for i, (distance, name) in enumerate(DISTANCES.items()):
        for method, part in rows[rows.distance == distance].groupby("method", sort=False):
            literal = method == "N x N"
            ax.plot(part.pixels, part.extra_mb, "s" if literal else "o-", color=f"C{i}", ms=7, lw=1.8,
                    mfc="white" if literal else f"C{i}", mew=1.6, label=f"{name}, {method}")
            if literal:
                reach = np.geomspace(rows.pixels.min(), rows.pixels.max())
                computed = part.extra_mb.iloc[-1] * (reach / part.pixels.iloc[-1]) ** 2
                ax.plot(reach, computed, "--", color=f"C{i}", lw=1.2)
    ax.set(xscale="log", xlabel="pixels N after pooling", ylabel="extra memory (MB), batch of 2")
    ax.set_yscale("log") if len(positive) == len(rows) else ax.set_yscale("symlog", linthresh=positive.min())
    _mark_sizes(ax, rows.pixels)
    ax.plot([], [], "--", color="#555555", lw=1.2, label="N x N, computed")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig


def affinity_accuracy(rows: pd.DataFrame) -> Figure:
    """Returns the relative error of the affinity loss against how close student and teacher are, a line per method.

    rows: of bench.affinity.accuracy: apart, method, relative_error, one per seed; the band reaches from the best seed
      to the worst. Above the line at 1 a value has no correct digit.
    """
    _require(rows, ["apart", "method", "relative_error"], "affinity_accuracy")
    fig, ax = _subplots(1, 1, 4.4)
    for (method, part), marker in zip(rows.groupby("method", sort=False), "sDo"):
        error = part.groupby("apart").relative_error.agg(["median", "min", "max"])
        ax.plot(error.index, error["median"], f"{marker}-", ms=6, label=method)
        ax.fill_between(error.index, error["min"], error["max"], alpha=0.2, lw=0)
    ax.axhline(1, color="#555555", ls="--", lw=1.2, label="no correct digit")
    ax.set(xscale="log", yscale="log", xlabel="distance between student and teacher features", ylabel="relative error")
    ax.invert_xaxis()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return fig


def _latency_panel(fig: Figure, ax: Axes, table: pd.DataFrame, title: str, hollow: bool) -> None:
    table = table[np.isfinite(table.psnr_rgb)].astype({"latency_ms": float, "psnr_rgb": float})
    ours = table.model.str.startswith("Ours")
    for part, colour, marker in ((table[~ours], "C0", "o"), (table[ours], "C1", "D")):
        ax.errorbar(part.latency_ms, part.psnr_rgb, _limits(part, "psnr_rgb", "psnr_low", "psnr_high"), fmt=marker,
                    color=colour, mfc="white" if hollow else colour, mew=1.6, ms=7, capsize=0 if hollow else 3)
    ax.set(xscale="log", xlabel="latency (ms per image of 460x620)", ylabel="PSNR (dB)", title=title)
    ax.margins(0.16, 0.1)
    table = pd.concat([table[ours], table[~ours]])  # the first name gets the best place
    limits = _limits(table, "psnr_rgb", "psnr_low", "psnr_high")
    _name_points(fig, ax, table.model, table.latency_ms, table.psnr_rgb, limits)


def _roofline_panel(fig: Figure, ax: Axes, rows: pd.DataFrame, machine: str) -> None:
    probes, layers = (rows[rows.kind == kind].groupby("name") for kind in ("probe", "layer"))
    fastest = probes[["gflop", "mb", "ms"]].min()
    peaks = (fastest.gflop / fastest.ms * 1e3).drop("memory")  # GFLOP/s
    bandwidth = fastest.mb["memory"] / fastest.ms["memory"]  # GB/s
    table = layers[["gflop", "mb", "ms"]].median()
    share = table.ms / table.ms.sum()
    table, share = table[share >= LEAST_SHARE], share[share >= LEAST_SHARE]
    intensity, attained = table.gflop / table.mb * 1e3, table.gflop / table.ms * 1e3
    ridge = peaks.max() / bandwidth  # FLOP per byte where memory stops being the limit
    reach = np.geomspace(min(intensity.min(), ridge / 10) / 2, max(intensity.max() * 4, ridge * 2), 200)
    ax.plot(reach, np.minimum(reach * bandwidth, peaks.max()), color="#333333", lw=1.8)
    note = {"textcoords": "offset points", "size": 9}
    ax.annotate(f"memory: {bandwidth:,.0f} GB/s", (ridge / 3, peaks.max() / 3), (-8, 0), ha="right", **note)
    for (name, peak), side in zip(peaks.sort_values().items(), ("top", "bottom")):
        ax.axhline(peak, color="#333333", ls=":", lw=1)
        lift = 3 if side == "bottom" else -3
        ax.annotate(f"{name}: {peak:,.0f} GFLOP/s", (reach[0], peak), (0, lift), va=side, **note)
    ax.scatter(intensity, attained, s=30 + 300 * share, color="C0", alpha=0.65, edgecolor="white", zorder=3)
    ax.set(xscale="log", yscale="log", title=f"{machine}: where the student's time goes",
           xlabel="arithmetic intensity (FLOP per byte)", ylabel="attained GFLOP/s")
    ax.margins(0.08, 0.12)
    names = pd.Series([f" {name}: {part:.0%} " for name, part in share.items()])
    _name_points(fig, ax, names, intensity, attained, np.zeros((2, len(names))))


def _mark_sizes(ax: Axes, pixels: pd.Series) -> None:
    for n, name in ((115 * 155, "460x620\npooled by 4"), (460 * 620, "460x620\nnot pooled")):
        if pixels.min() <= n <= pixels.max():
            ax.axvline(n, color="#555555", ls=":", lw=1)
            ax.annotate(name, (n, 0.02), (-4, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                        ha="right", va="bottom", size=9)
