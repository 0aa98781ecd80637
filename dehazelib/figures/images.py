"""Pictures of images: the paper's Figs 5 to 9, and grids of images with captions."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from dehazelib.figures.style import WIDTH, name_of, subplots

GAINS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of an error overlay


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
