"""The study's pictures, from NumPy arrays and tables alone. Functions return a figure; `save` writes it."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from dehazelib.statistics import mean_interval

WIDTH = 9.5  # inches, what a notebook shows without shrinking
GAINS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of an error overlay
NAMES = {
    "gflops": "GFLOPs at 460x620 (2 x multiply-adds)",
    "images": "training images seen",
    "validation_psnr_rgb": "validation PSNR (dB)",
    "test_psnr_rgb": "test PSNR (dB)",
    "psnr_rgb": "PSNR (dB)",
    "loss": "training loss",
    "affinity_share": "affinity term's share of the gradient norms",
}


def style() -> None:
    """Sets the study's theme: white, light grid, a palette that colour-blind readers can tell apart."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font="DejaVu Sans", rc={
        "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10, "xtick.labelsize": 9,
        "ytick.labelsize": 9, "legend.fontsize": 9, "grid.color": "#e6e8ec", "axes.edgecolor": "#9aa0a8",
    })


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
               captions: list[list[str]] | None = None) -> Figure:
    """Returns a table of images.

    rows: (label at the left, images) from top to bottom, every row with as many images. An image is (H, W, 3)
      in [0, 1], or a map (H, W) of finite values, coloured from its smallest (dark) to its largest (bright).
    titles: above the columns. captions: captions[row][column], under an image, for example "21.3 dB".
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
    height = sum((WIDTH - 0.4) / columns * aspect + (0.28 if captions else 0.08) for aspect in aspects)
    fig, axes = _subplots(len(rows), columns, height + (0.3 if titles else 0), squeeze=False,
                          gridspec_kw={"height_ratios": aspects})
    for r, (label, images) in enumerate(rows):
        for c, image in enumerate(images):
            _show(axes[r, c], image, f"Row {r}, column {c}")
            axes[r, c].set_xlabel(captions[r][c] if captions else "")
        axes[r, 0].set_ylabel(label)
    for ax, title in zip(axes[0], titles or []):
        ax.set_title(title)
    return fig


def dataset(examples: list[dict], depth_unit: str = "m") -> Figure:
    """Returns Fig. 5, how hazy images are made: clear, depth, transmission, then one column per hazy image.

    examples: dicts with "clear" (H, W, 3), "depth" (H, W) in depth_unit, "transmission" (H, W) of the first
      hazy image, and "hazy": a list of (image (H, W, 3), airlight A, scattering coefficient beta). A "name"
      stands at the left. Raises ValueError naming what an example lacks.
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
    return image_grid(rows, titles, captions)


def error_overlay(low: np.ndarray, output: np.ndarray, target: np.ndarray, title: str) -> Figure:
    """Returns Figs 6 and 7: input, output, ground truth and error over the grey ground truth, then all four
    enlarged where the error is largest. The title ends with the PSNR in dB.

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
    fig, axes = _subplots(2, 4, (WIDTH - 1.2) / 2 * target.shape[0] / target.shape[1] + 1.4)
    names = ("input", "super-resolved", "ground truth", f"|error| × {gain}")
    for (whole, zoom), image, name in zip(axes.T, (low, output, target, overlay), names):
        k = image.shape[0] / target.shape[0]
        part = (slice(int(y * k), int((y + height) * k)), slice(int(x * k), int((x + width) * k)))
        _show(whole, image, name)
        whole.set(title=f"{name}\n{image.shape[0]}×{image.shape[1]}")
        frame = (x * k - 0.5, y * k - 0.5), width * k, height * k
        whole.add_patch(Rectangle(*frame, fill=False, ec="#ff3b30", lw=1.5))
        _show(zoom, image[part], name)
        zoom.set_xlabel(f"{width * k:.0f}×{height * k:.0f} px")
    axes[1, 0].set_ylabel("largest error")
    fig.colorbar(scale, ax=axes[:, 3], extend="max", shrink=0.8, label="|error| (levels of 255)")
    fig.suptitle(f"{title}: {psnr:.2f} dB" if np.isfinite(psnr) else f"{title}: ∞ dB", size=12)
    return fig


def learning_curves(curves: pd.DataFrame, y: str = "validation_psnr_rgb") -> Figure:
    """Returns one line per label, the mean over seeds, in a band from the worst seed to the best.

    curves: rows with label, seed, images and the column named by `y`; rows without a `y` are left out.
    """
    return _curves(curves, y, "learning_curves")


def gradient_share(curves: pd.DataFrame, target: float | None = None) -> Figure:
    """Returns the affinity term's share ||w g_FA|| / (||g|| + ||w g_FA||) of the gradient norms, log scale.

    curves: rows with label, seed, images, affinity_share; empty and zero shares have no place on it.
    target: the share that adaptive runs hold, drawn as a dotted line; None draws none.
    """
    _require(curves, ["affinity_share"], "gradient_share")
    fig = _curves(curves[curves["affinity_share"] > 0], "affinity_share", "gradient_share")
    fig.axes[0].set_yscale("log")
    if target is not None:
        fig.axes[0].axhline(target, color="#555555", ls=":", lw=1.8)
        _name_line(fig.axes[0], f"adaptive target {target:g}", target)
    return fig


def scores_by_label(scores: pd.DataFrame) -> Figure:
    """Returns every seed's mean PSNR with the labels' means and 95 % intervals over seeds, best label on top.

    scores: one row per image of one test set: label, seed, image, psnr_rgb. The label "hazy" becomes a line.
      A label whose mean is infinite (exact output) has no point: its name says so.
    """
    _require(scores, ["label", "seed", "image", "psnr_rgb"], "scores_by_label")
    _one_test_set(scores, "scores_by_label")
    seeds = scores.groupby(["label", "seed"])["psnr_rgb"].mean()
    means = seeds.groupby("label").mean().sort_values(kind="stable")
    hazy, means = means.get("hazy"), means.drop("hazy", errors="ignore")
    fig, ax = _subplots(1, 1, 1.4 + 0.36 * len(means))
    for row, label in enumerate(means.index):
        values = seeds[label].to_numpy()
        if np.isfinite(values).all():
            ax.plot(values, [row] * len(values), "o", color="C0", alpha=0.4, ms=5)
            _interval(ax, *mean_interval(values), row)
    names = [label if np.isfinite(mean) else f"{label} (∞ dB)" for label, mean in means.items()]
    ax.set(yticks=range(len(means)), yticklabels=names, ylim=(-0.6, len(means) - 0.4))
    ax.set_xlabel("mean test PSNR (dB)")
    handles = [plt.Line2D([], [], marker="o", ls="", color="C0", alpha=0.4, label="one seed"),
               plt.Line2D([], [], marker="D", color="C0", label="mean and 95 % interval")]
    if hazy is not None:
        handles.append(ax.axvline(hazy, color="#555555", ls="--", lw=1.4, label=f"hazy input {hazy:.2f} dB"))
    fig.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return fig


def haze_levels(table: pd.DataFrame) -> Figure:
    """Returns PSNR against haze level, one line per label in the band of its 95 % interval over seeds.

    table: rows with label, level, beta (scattering coefficient), psnr_rgb, psnr_low, psnr_high (dB), such as
      tables.build(folder, "table_levels") gives; rows without a PSNR are left out.
    """
    _require(table, ["label", "level", "beta", "psnr_rgb", "psnr_low", "psnr_high"], "haze_levels")
    table = table.dropna(subset=["psnr_rgb"]).astype({"level": float}).sort_values(["label", "level"])
    _require(table, ["psnr_rgb"], "haze_levels")
    fig, ax = _subplots(1, 1, 4.4)
    for label, rows in table.groupby("label"):
        (line,) = ax.plot(rows.level, rows.psnr_rgb, "--" if label == "hazy" else "-", marker="o", ms=5, label=label)
        ax.fill_between(rows.level, rows.psnr_low, rows.psnr_high, color=line.get_color(), alpha=0.2, lw=0)
    ticks = table.drop_duplicates("level").sort_values("level")
    ax.set(xlabel="haze level j of <scene>_<j>, and its scattering coefficient β", ylabel=NAMES["psnr_rgb"])
    ax.set_xticks(ticks.level, [f"{level:.0f}\nβ {beta:g}" for level, beta in zip(ticks.level, ticks.beta)])
    ax.legend()
    _legend_outside(fig, ax)
    return fig


def pareto(table5: pd.DataFrame, cost: str = "parameters") -> Figure:
    """Returns PSNR against a cost: as published (hollow), and as measured (filled, 95 % intervals).

    table5: rows of one test set: model, key, parameters, psnr_published, psnr_rgb, psnr_low, psnr_high (dB),
      and parameters_published where published counts differ. A row without a PSNR is left out of that panel;
      one without cost (0 or empty), like the hazy input, becomes a line.
    cost: "parameters", or "gflops" if the table has that column.
    """
    columns = ["model", "key", cost, "psnr_published", "psnr_rgb", "psnr_low", "psnr_high"]
    _require(table5, columns, "pareto")
    _one_test_set(table5[table5["psnr_rgb"].notna()], "pareto")
    fig, axes = _subplots(1, 2, 5.2)
    size = f"{cost}_published" if f"{cost}_published" in table5 else cost
    _pareto_panel(fig, axes[0], table5, size, "psnr_published", title="published (RESIDE SOTS-indoor)")
    _pareto_panel(fig, axes[1], table5, cost, "psnr_rgb", title="this study")
    return fig


def _pareto_panel(fig: Figure, ax: Axes, table5: pd.DataFrame, size: str, psnr: str, title: str) -> None:
    table5 = table5.astype({size: float, psnr: float})
    rows, measured = table5[np.isfinite(table5[psnr])], psnr == "psnr_rgb"
    sized, unsized = rows[rows[size] > 0], rows[~(rows[size] > 0)]
    limits = _limits(sized, psnr, "psnr_low", "psnr_high") if measured else np.zeros((2, len(sized)))
    face = "C0" if measured else "white"
    ax.errorbar(sized[size], sized[psnr], limits, fmt="o", mfc=face, mew=1.6, capsize=3 * measured)
    ax.set(xscale="log", xlabel=NAMES.get(size, "parameters"), ylabel="PSNR (dB)", title=title)
    ax.margins(0.16, 0.1)
    for name, value in unsized[["model", psnr]].itertuples(index=False):
        ax.axhline(value, color="#555555", ls="--", lw=1)
        _name_line(ax, name, value)
    _name_points(fig, ax, sized["model"], sized[size], sized[psnr], limits)


def bars(table: pd.DataFrame, x: str, y: str, low: str | None = None, high: str | None = None,
         published: str | None = None, label: str = "") -> Figure:
    """Returns an ablation: a value with its interval bar per row, beside the paper's numbers on an own axis.

    x: column of names; y: column of measured values; low, high: columns of the interval's limits; published:
      column of the paper's values, which rest on other data; label: the values' name and unit.
    The axes need not start at zero, so values are points, not areas; each carries its number. Rows without a
    number are left out. Raises ValueError for one limit without the other.
    """
    _require(table, [name for name in (x, y, low, high, published) if name], "bars")
    if (low is None) != (high is None):
        raise ValueError("bars needs both limits of the interval, low and high, or neither.")
    panels = [(y, "this study", "C0")] + ([(published, "published", "white")] if published else [])
    fig, axes = _subplots(1, len(panels), 1.3 + 0.4 * len(table), squeeze=False, sharey=True)
    for ax, (column, title, face) in zip(axes[0], panels):
        values = table[column].to_numpy(float)
        shown = np.isfinite(values)
        values, places = values[shown], np.arange(len(table))[shown]
        errors = _limits(table[shown], column, low, high) if low and column == y else None
        ax.errorbar(values, places, xerr=errors, fmt="o", ms=8, mfc=face, mec="C0", mew=1.6, capsize=4)
        for at in zip(values, places):
            ax.annotate(f"{at[0]:.2f}", at, (0, 8), textcoords="offset points", ha="center", size=9)
        ax.set(title=title, xlabel=label or NAMES.get(y, y), ylim=(len(table) - 0.5, -0.7))
        ax.margins(x=0.15)
        ax.locator_params(axis="x", nbins=5)
    axes[0, 0].set(yticks=range(len(table)), yticklabels=table[x].astype(str))
    return fig


def _subplots(rows: int, columns: int, height: float, **options):
    style()
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **options)


def _require(table: pd.DataFrame, columns: list[str], what: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{what} needs the column {', '.join(map(repr, missing))}; "
                         f"the table has: {', '.join(map(str, table.columns)) or 'none'}.")
    if table.empty:
        raise ValueError(f"{what}: the table has no rows to draw.")


def _one_test_set(table: pd.DataFrame, what: str) -> None:
    if "test_set" in table and table["test_set"].nunique() > 1:
        names = ", ".join(table["test_set"].unique())
        raise ValueError(f"{what} draws one test set, not {names}: select one.")


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


def _curves(curves: pd.DataFrame, y: str, what: str) -> Figure:
    _require(curves, ["label", "seed", "images", y], what)
    curves = curves.dropna(subset=[y])
    _require(curves, [y], what)
    fig, ax = _subplots(1, 1, 4.4)
    sns.lineplot(curves, x="images", y=y, hue="label", errorbar=("pi", 100), marker="o", ms=5, ax=ax)
    ax.set(xlabel=NAMES["images"], ylabel=NAMES.get(y, y))
    _legend_outside(fig, ax)
    return fig


def _legend_outside(fig: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    ax.get_legend().remove()
    fig.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)


def _interval(ax: Axes, mean: float, low: float, high: float, row: int) -> None:
    ax.plot(mean, row, "D", color="C0", ms=6)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [row, row], "-", color="C0", lw=1.8)


def _limits(rows: pd.DataFrame, y: str, low: str, high: str) -> np.ndarray:
    """Distances (2, n) from the values down and up to their limits; no limits (one seed) give no whisker."""
    y, low, high = (rows[column].to_numpy(float) for column in (y, low, high))
    return np.nan_to_num(np.stack([y - low, high - y]))


def _name_line(ax: Axes, name: str, y: float) -> None:
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    ax.annotate(name, (0.02, y), (0, 3), size=9, **where)


def _name_points(fig: Figure, ax: Axes, names: pd.Series, xs: pd.Series, ys: pd.Series, limits: np.ndarray):
    """Writes each name at the first place beside its point that is free of points, whiskers and names."""
    fig.draw_without_rendering()
    renderer, inside = fig.canvas.get_renderer(), ax.get_window_extent()
    low, high = (ax.transData.transform(np.column_stack([xs, y])) for y in (ys - limits[0], ys + limits[1]))
    taken = [(a[0] - 5, a[1] - 5, b[0] + 5, b[1] + 5) for a, b in zip(low, high)]  # left, bottom, right, top
    places = [(dx, dy, side) for rise in (0, 9, 18, 27, 36, 45)
              for dy in (rise, -rise) for dx, side in ((7, "left"), (-7, "right"))]
    for name, x, y in zip(names, xs, ys):
        note = ax.annotate(name, (x, y), (0, 0), textcoords="offset points", va="center", size=9)
        note.set_in_layout(False)
        for dx, dy, side in places:
            note.set(position=(dx, dy), ha=side)
            box = note.get_window_extent(renderer)
            free = all(box.x0 > b[2] or box.x1 < b[0] or box.y0 > b[3] or box.y1 < b[1] for b in taken)
            if free and inside.x0 <= box.x0 and box.x1 <= inside.x1:
                break
        taken.append((box.x0, box.y0, box.x1, box.y1))
