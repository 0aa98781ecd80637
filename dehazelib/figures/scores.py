"""The study's pictures, from NumPy arrays and tables alone. Functions return a figure; `save` writes it."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from dehazelib.figures.style import (
    GREY,
    NAMES,
    WIDTH,
    legend,
    looks,
    name_line,
    name_of,
    name_points,
    one_test_set,
    require,
    subplots,
    whiskers,
)
from dehazelib.figures.style import style as style  # the diagrams' too
from dehazelib.report.columns import DIFFERENCE, VALIDATION
from dehazelib.report.statistics import mean_interval
from dehazelib.report.tables_extra import SAME_BUDGET

GAINS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of an error overlay
INTERVAL = "95 % interval (Student's t) over"
VERDICTS = {  # on a difference -> colour, marker
    "better": ("C2", "^"), "worse": ("C3", "v"), "equivalent": ("C0", "o"), "one seed": ("C7", "D"),
    "undecided": (GREY, "s"),
}


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


def image_grid(rows: list[tuple[str, list[np.ndarray]]], titles: list[str] | None = None,
               captions: list[list[str]] | None = None, title: str = "") -> Figure:
    """Returns a table of images.

    rows: (label at the left, images) from top to bottom, every row with as many images. An image is (H, W, 3)
      in [0, 1], or a map (H, W) of finite values, coloured from its smallest (dark) to its largest (bright).
    titles: above the columns. captions: captions[row][column], under an image, for example "21.3 dB".
    title: above all.
    Raises ValueError for ragged rows, titles or captions, and for images that are not as described.
    """
    columns = len(rows[0][1]) if rows else 0
    if not columns or any(len(images) != columns for _, images in rows):
        raise ValueError(f"image_grid needs rows of equally many images, not {[len(r[1]) for r in rows]}.")
    if titles is not None and len(titles) != columns:
        raise ValueError(f"image_grid has {columns} columns but {len(titles)} titles.")
    if captions is not None and [len(row) for row in captions] != [columns] * len(rows):
        raise ValueError(f"image_grid needs {columns} captions in each of {len(rows)} rows.")
    aspects = [max(image.shape[0] / image.shape[1] for image in images) for _, images in rows]
    height = sum((WIDTH - 0.4) / columns * aspect + 0.08 for aspect in aspects)
    height += 0.2 * sum(any(row) for row in captions or [])
    height += (0.3 if titles else 0) + (0.3 if title else 0)
    fig, axes = subplots(len(rows), columns, height, squeeze=False, gridspec_kw={"height_ratios": aspects})
    fig.suptitle(title or None, size=12)
    for r, (label, images) in enumerate(rows):
        for c, image in enumerate(images):
            _show(axes[r, c], image, f"Row {r}, column {c}")
            axes[r, c].set_xlabel(captions[r][c] if captions else "")
        axes[r, 0].set_ylabel(label)
    for ax, name in zip(axes[0], titles or []):
        ax.set_title(name)
    return fig


def dehazed(rows: list[tuple[str, list[np.ndarray]]], captions: list[list[str]], label: str, seed: int,
            psnr: pd.Series) -> Figure:
    """Returns Figs 8 and 9: what a run makes of some images, titled with their scenes and haze levels.

    rows, captions: of evaluation.panel; the last captions are the images' names, <scene>_<level>. label, seed: of the
      run. psnr: its scores in dB, one per image of the test set, whose mean stands above.
    """
    *captions, names = captions
    titles = ["scene {}, level {}".format(*name.rsplit("_", 1)) if "_" in name else name for name in names]
    title = f"{name_of(label)}, seed {seed}: mean {psnr.mean():.2f} dB over {len(psnr)} test images"
    return image_grid(rows, titles, [*captions, [""] * len(names)], title)


def dataset(examples: list[dict], depth_unit: str = "m", title: str = "") -> Figure:
    """Returns Fig. 5, how hazy images are made: clear, depth, transmission, then one column per hazy image.

    examples: dicts with "clear" (H, W, 3), "depth" (H, W) in depth_unit, "transmission" (H, W) of the first
      hazy image, and "hazy": a list of (image (H, W, 3), airlight A, scattering coefficient beta). A "name"
      stands at the left. title: above all. Raises ValueError naming what an example lacks.
    """
    keys = ("clear", "depth", "transmission", "hazy")
    for i, example in enumerate(examples):
        if missing := [key for key in keys if key not in example]:
            raise ValueError(f"dataset: example {i} lacks {', '.join(missing)}.")
    rows, captions = [], []
    for example in examples:
        clear, depth, transmission, hazy = (example[key] for key in keys)
        rows.append((example.get("name", ""), [clear, depth, transmission, *(image for image, _, _ in hazy)]))
        captions.append(["", f"{depth.min():.1f} to {depth.max():.1f} {depth_unit}",
                         f"{transmission.min():.2f} to {transmission.max():.2f} (β = {hazy[0][2]:.2f})",
                         *(f"A = {airlight:.2f}, β = {beta:.2f}" for _, airlight, beta in hazy)])
    titles = ["clear", "depth", "transmission", *["hazy"] * max((len(row[1]) - 3 for row in rows), default=0)]
    return image_grid(rows, titles, captions, title)


def error_overlay(low: np.ndarray, output: np.ndarray, target: np.ndarray, title: str) -> Figure:
    """Returns Figs 6 and 7: input, output, ground truth and error over the grey ground truth, then all four
    enlarged where the error is largest. The title ends with the PSNR in dB. Sizes are height x width in pixels.

    low: (h, w, 3); output, target: (H, W, 3); all in [0, 1]. The error is the mean over colours of
    |output - target|, in levels of 1/255. Raises ValueError when output and target differ in shape.
    """
    if output.shape != target.shape:
        raise ValueError(f"error_overlay: output {output.shape} and target {target.shape} must be alike.")
    error = 255 * np.abs(output - target).mean(2)  # (H, W)
    squared = np.square(np.subtract(output, target, dtype=np.float64)).mean()
    psnr = -10 * np.log10(squared) if squared else np.inf
    gain = max(g for g in GAINS if g == 1 or np.quantile(error, 0.99) * g <= 255)
    scale = ScalarMappable(Normalize(0, 255 / gain), "inferno")
    weight = np.clip(4 * error * gain / 255, 0, 1)[..., None]  # small errors let the ground truth show
    overlay = weight * scale.to_rgba(error)[..., :3] + (1 - weight) * 0.7 * target.mean(2, keepdims=True)
    y, x, height, width = _worst(error)
    fig, axes = subplots(2, 4, (WIDTH - 1.2) / 2 * target.shape[0] / target.shape[1] + 0.95)
    names = ("input", "super-resolved", "ground truth", f"|error| × {gain}")
    for (whole, zoom), image, name in zip(axes.T, (low, output, target, overlay), names):
        k = image.shape[0] / target.shape[0]
        part = (slice(int(y * k), int((y + height) * k)), slice(int(x * k), int((x + width) * k)))
        _show(whole, image, name)
        whole.set(title=f"{name}\n{image.shape[0]}×{image.shape[1]}")
        frame = (x * k - 0.5, y * k - 0.5), width * k, height * k
        whole.add_patch(Rectangle(*frame, fill=False, ec="#ff3b30", lw=1.5))
        _show(zoom, image[part], name)
        zoom.set_xlabel(f"{height * k:.0f}×{width * k:.0f}")
    axes[1, 0].set_ylabel("largest error")
    fig.colorbar(scale, ax=axes[:, 3], extend="max", shrink=0.8, label="|error| (levels of 255)")
    fig.suptitle(f"{title}: {psnr:.2f} dB" if np.isfinite(psnr) else f"{title}: ∞ dB", size=12)
    return fig


def scores_by_label(scores: pd.DataFrame, reference: str = "student") -> Figure:
    """Returns every seed's mean PSNR with the labels' means and 95 % intervals over seeds, best label on top.

    scores: one row per image of one test set: label, seed, image, psnr_rgb. Only labels scored on as many images as
      the reference are drawn (all that have the most usual number, if it has no row). The label "hazy" becomes a line.
      A label whose mean is infinite (exact output) has no point: its name says so.
    """
    require(scores, ["label", "seed", "image", "psnr_rgb"], "scores_by_label")
    one_test_set(scores, "scores_by_label")
    images = scores.groupby("label")["image"].nunique()
    count = images.get(reference, images.mode().iloc[0])
    seeds_of = scores[scores.label.map(images) == count].groupby(["label", "seed"])["psnr_rgb"].mean()
    means = seeds_of.groupby("label").mean().sort_values(kind="stable")
    hazy, means = means.get("hazy"), means.drop("hazy", errors="ignore")
    most = max(len(seeds_of[label]) for label in means.index)
    fig, ax = subplots(1, 1, 1.4 + 0.36 * len(means))
    names = []
    for row, label in enumerate(means.index):
        values = seeds_of[label].to_numpy()
        names.append(name_of(label) + {most: "", 1: " (one run)"}.get(len(values), f" ({len(values)} seeds)"))
        if np.isfinite(values).all():
            ax.plot(values, [row] * len(values), "o", color="C0", alpha=0.4, ms=5)
            _interval(ax, *mean_interval(values), row)
        else:
            names[-1] += " (∞ dB)"
    ax.set(yticks=range(len(means)), yticklabels=names, ylim=(-0.6, len(means) - 0.4))
    ax.set_xlabel(f"mean PSNR over {count} test images (dB)")
    handles = [Line2D([], [], marker="o", ls="", color="C0", alpha=0.4, label="one seed"),
               Line2D([], [], marker="D", color="C0", label=f"mean and {INTERVAL} {most} seeds")]
    if hazy is not None:
        handles.append(ax.axvline(hazy, color=GREY, ls="--", lw=1.4, label=f"hazy input {hazy:.2f} dB"))
    legend(fig, handles)
    return fig


def gains(table: pd.DataFrame, printed: float) -> Figure:
    """Returns what each framework gains over the student trained alone, in dB with its 95 % interval, in the table's
    order, on the test set and below it on validation scenes, beside the gain that the paper prints.

    table: rows with label, difference, difference_low, difference_high (dB, the limits NaN if there are none), verdict,
      validation_difference, validation_low and validation_high, such as tables.table("table_controls", rows) gives;
      rows without a difference are left out.
    """
    require(table, ["label", *DIFFERENCE, "verdict", *VALIDATION], "gains")
    table = table.dropna(subset=["difference"]).iloc[::-1].reset_index(drop=True)  # the first one on top
    require(table, DIFFERENCE, "gains")
    fig, ax = subplots(1, 1, 1.5 + 0.36 * len(table))
    ax.axvline(0, color=GREY, lw=1)
    handles = [ax.axvline(printed, color="C1", ls="--", lw=1.8, label=f"the paper's {printed:+g} dB")]
    named = table.verdict.where(table.verdict.isin(VERDICTS), "undecided")
    for verdict, (colour, marker) in VERDICTS.items():
        rows = table[named == verdict]
        ax.errorbar(rows.difference, rows.index, xerr=whiskers(rows, *DIFFERENCE), fmt=marker, color=colour, lw=1.8)
        if len(rows):
            handles.append(Line2D([], [], marker=marker, color=colour, label=verdict))
    held_out = table.dropna(subset=[VALIDATION[0]])
    if len(held_out):
        style = {"fmt": "o", "mfc": "white", "ms": 4, "color": GREY, "lw": 1}
        ax.errorbar(held_out[VALIDATION[0]], held_out.index - 0.3, xerr=whiskers(held_out, *VALIDATION), **style)
        handles.append(Line2D([], [], marker="o", mfc="white", ms=4, color=GREY, lw=1, label="on validation scenes"))
    ax.set(yticks=table.index, yticklabels=map(name_of, table.label), ylim=(-0.7, len(table) - 0.4))
    ax.set_xlabel("PSNR less that of the student alone (dB)")
    legend(fig, handles, "whiskers: 95 % interval over seeds and scenes; of one seed, over scenes", columns=5)
    return fig


def haze_levels(table: pd.DataFrame) -> Figure:
    """Returns PSNR against haze level, one line per label in the band of its 95 % interval over seeds.

    table: rows with label, level, beta (scattering coefficient), psnr_rgb, psnr_low, psnr_high (dB), seeds, images,
      such as tables.table("table_levels", rows) gives; rows without a PSNR are left out.
    """
    columns = ["label", "level", "beta", "psnr_rgb", "psnr_low", "psnr_high", "seeds", "images"]
    require(table, columns, "haze_levels")
    table = table.dropna(subset=["psnr_rgb"]).astype({"level": float}).sort_values(["label", "level"])
    require(table, ["psnr_rgb"], "haze_levels")
    fig, ax = subplots(1, 1, 4.6)
    styles = looks(table.label)
    for label, rows in table.groupby("label"):
        ax.plot(rows.level, rows.psnr_rgb, ms=6, lw=1.8, **styles[label])
        ax.fill_between(rows.level, rows.psnr_low, rows.psnr_high, color=styles[label]["color"], alpha=0.15, lw=1)
    ticks = table.drop_duplicates("level").sort_values("level")
    for level, images in zip(ticks.level, ticks.images):
        ax.annotate(f"{images} images", (level, 0.02), xycoords=("data", "axes fraction"), size=9, ha="center")
    ax.set(xlabel="haze level j of <scene>_<j>, and its scattering coefficient β", ylabel=NAMES["psnr_rgb"])
    ax.set_xticks(ticks.level, [f"{level:.0f}\nβ {beta:g}" for level, beta in zip(ticks.level, ticks.beta)])
    ax.set_ylim(bottom=ax.get_ylim()[0] - 0.07 * np.ptp(ax.get_ylim()))
    handles = sorted(ax.get_legend_handles_labels()[0], key=lambda line: -np.mean(line.get_ydata()))
    most = table.seeds.max()
    legend(fig, handles, f"band: {INTERVAL} {most} seeds" if most > 1 else "one run each", columns=4)
    return fig


def pareto(table5: pd.DataFrame, cost: str = "parameters") -> Figure:
    """Returns PSNR against a cost: as published (hollow), and as measured (filled, 95 % intervals).

    table5: rows of one test set: model, key, parameters, psnr_published, psnr_rgb, psnr_low, psnr_high (dB),
      and parameters_published where published counts differ. A row without a PSNR is left out of that panel;
      one without cost (0 or empty), like the hazy input, becomes a line. No measured row with a cost: no such panel.
    cost: "parameters", or "gflops" if the table has that column.
    """
    columns = ["model", "key", cost, "psnr_published", "psnr_rgb", "psnr_low", "psnr_high"]
    require(table5, columns, "pareto")
    one_test_set(table5[table5["psnr_rgb"].notna()], "pareto")
    size = f"{cost}_published" if f"{cost}_published" in table5 else cost
    panels = [(size, "psnr_published", "published (RESIDE SOTS-indoor)")]
    if (table5[cost].astype(float).gt(0) & np.isfinite(table5.psnr_rgb.astype(float))).any():
        panels.append((cost, "psnr_rgb", "this study, at one equal budget"))
    else:
        panels[0] = (*panels[0][:2], f"{panels[0][2]}; none measured here at one equal budget")
    fig, axes = subplots(1, len(panels), 5.4, squeeze=False)
    points = [_pareto_panel(ax, table5, *panel) for ax, panel in zip(axes[0], panels)]
    handles = [Line2D([], [], ls="", marker=marker, color=colour, mfc="white", mew=1.6, label=label)
               for marker, colour, label in (("D", "C1", "the paper's own"), ("o", "C0", "other networks"))]
    note = f"hollow: published; filled: measured, whiskers: {INTERVAL} seeds; none: one seed, or hidden by the mark"
    legend(fig, handles, note if len(panels) > 1 else "")
    for ax, (sized, x, y, reach) in zip(axes[0], points):
        names = sized["model"].str.removesuffix(SAME_BUDGET)  # the panel's title says so
        name_points(fig, ax, names, sized[x], sized[y], reach)
    return fig


def _pareto_panel(ax: Axes, table5: pd.DataFrame, size: str, psnr: str, title: str) -> tuple:
    """Draws the points and lines; returns what their names need: rows, columns of x and y, whiskers."""
    table5 = table5.astype({size: float, psnr: float})
    table5 = table5.assign(ours=table5.model.str.startswith("Ours")).sort_values("ours", ascending=False, kind="stable")
    rows, measured = table5[np.isfinite(table5[psnr])], psnr == "psnr_rgb"
    sized, unsized = rows[rows[size] > 0], rows[~(rows[size] > 0)]  # ours first: the first name gets the best place
    reach = whiskers(sized, psnr, "psnr_low", "psnr_high") if measured else np.zeros((2, len(sized)))
    ours = sized.ours.to_numpy()
    for part, marker, colour in ((~ours, "o", "C0"), (ours, "D", "C1")):
        ax.errorbar(sized[size][part], sized[psnr][part], reach[:, part], fmt=marker, color=colour, ms=7, mew=1.6,
                    mfc=colour if measured else "white", capsize=3 * measured)
    ax.set(xscale="log", xlabel=NAMES.get(size, "parameters"), ylabel="PSNR (dB)", title=title)
    ax.margins(0.16, 0.1)
    for name, value in unsized[["model", psnr]].itertuples(index=False):
        ax.axhline(value, color=GREY, ls="--", lw=1)
        name_line(ax, name.replace(" ", "\n"), value)
    return sized, size, psnr, reach


def _show(ax: Axes, image: np.ndarray, where: str) -> None:
    if not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3) or not np.isfinite(image).all():
        raise ValueError(f"{where}: an image is (H, W, 3) or (H, W) and finite, not {image.shape}.")
    if image.ndim == 3 and not 0 <= image.min() <= image.max() <= 1:
        raise ValueError(f"{where}: clamp the image to [0, 1]; now {image.min():.3g} to {image.max():.3g}.")
    ax.imshow(image, cmap="viridis", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def _worst(error: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height and width of the window, a fifth of each side, with the largest mean error."""
    height, width = (max(8, side // 5) for side in error.shape)
    means = uniform_filter(error, (height, width), mode="constant")
    top, left = height // 2, width // 2
    inside = means[top : error.shape[0] - (height - top) + 1, left : error.shape[1] - (width - left) + 1]
    y, x = np.unravel_index(inside.argmax(), inside.shape)
    return int(y), int(x), height, width


def _interval(ax: Axes, mean: float, low: float, high: float, row: int) -> None:
    ax.plot(mean, row, "D", color="C0", ms=6)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [row, row], "-", color="C0", lw=1.8)
