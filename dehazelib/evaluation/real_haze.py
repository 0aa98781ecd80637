"""Photographs with real haze, which have no ground truth: statistics of each before and after dehazing.

None of them measures fidelity. They say whether a photograph changes as it would with less haze; noise, ringing and
exaggerated contrast move most of them the same way.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.color import rgb2gray, rgb2hsv
from skimage.filters import sobel
from skimage.measure import shannon_entropy
from torch import Tensor, nn

from dehazelib.data.images import list_images
from dehazelib.deploy.photos import dehaze, read_photo
from dehazelib.evaluation.scores import array
from dehazelib.files import write_csv
from dehazelib.networks.physics import dark_channel
from dehazelib.training.runs import Run

FILE = "real_hazy.csv"
FOLDER = "real-hazy"  # of the data folder
PIXELS = 2_000_000  # larger photographs are reduced first: less memory, details as large as in training images
EDGE = 0.05  # of the range: the gradient of a visible edge


def photographs(data: Path | str) -> list[Path]:
    """Returns the photographs in <data>/real-hazy, sorted; none if there is no such folder."""
    folder = Path(data) / FOLDER
    return list_images(folder) if folder.is_dir() else []


def read(photo: Path, pixels: int = PIXELS) -> Tensor:
    """Returns a photograph upright, float32 RGB (3, H, W) in [0, 1], reduced (Lanczos) to at most `pixels` pixels.

    Raises FileNotFoundError if it is absent, DataError if it cannot be read as an 8-bit image.
    """
    image = read_photo(photo)
    scale = (pixels / (image.width * image.height)) ** 0.5
    if scale < 1:
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def statistics(image: Tensor) -> dict[str, float]:
    """Returns the statistics of an image (3, H, W) in [0, 1], rounded to 8 bits first, as a file would hold it.

    dark_channel: mean over 15 x 15 windows of the darkest colour; He, Sun, Tang, CVPR 2009.
    rms_contrast: standard deviation of luminance; Peli, "Contrast in complex images", JOSA A 1990.
    gradient: mean Sobel magnitude of luminance. visible_edges: share of pixels where it exceeds 5 % of the range; after
      Hautiere et al., "Blind Contrast Enhancement Assessment by Gradient Ratioing at Visible Edges", Image Analysis and
      Stereology 2008, who take edges of 5 % local contrast instead and report the relative change of their number.
    colourfulness: M = sigma + 0.3 mu of the opponent colours, 0 to 255 scale; Hasler and Suesstrunk, "Measuring
      Colourfulness in Natural Images", SPIE 2003.
    saturation: mean S of HSV. entropy: of 8-bit luminance, bits; Shannon 1948.
    clipped: share of pixels with a colour at 0 or 255; like sigma of Hautiere et al. 2008, per colour.
    """
    rgb = (array(image) * 255).round()  # (H, W, 3), 0 ... 255
    grey = rgb2gray(rgb / 255)  # (H, W)
    gradient = sobel(grey)
    red, green, blue = rgb.transpose(2, 0, 1)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    return {
        "dark_channel": dark_channel(torch.from_numpy(rgb / 255).permute(2, 0, 1)[None]).mean().item(),
        "rms_contrast": float(grey.std()),
        "gradient": float(gradient.mean()),
        "visible_edges": float((gradient > EDGE).mean()),
        "colourfulness": float(np.hypot(*opponents.std((1, 2))) + 0.3 * np.hypot(*opponents.mean((1, 2)))),
        "saturation": float(rgb2hsv(rgb / 255)[..., 1].mean()),
        "entropy": float(shannon_entropy((grey * 255).round().astype(np.uint8))),
        "clipped": float(((rgb == 0) | (rgb == 255)).any(2).mean()),
    }


def compare(network: nn.Module, photos: list[Path]) -> pd.DataFrame:
    """Returns one row per photograph and statistic: image, height, width (as dehazed), statistic, before, after."""
    rows = []
    for photo in photos:
        hazy = read(photo)
        before, after = statistics(hazy), statistics(dehaze(hazy, network))
        rows += [(photo.name, *hazy.shape[1:], name, before[name], after[name]) for name in before]
    return pd.DataFrame(rows, columns=["image", "height", "width", "statistic", "before", "after"])


def measure(runs: list[Run], photos: list[Path], folder: Path, device: torch.device | str = "cpu") -> pd.DataFrame:
    """Returns the rows of all these runs, with run, label and seed, after writing <folder>/real_hazy.csv.

    Each run's folder keeps its own rows, so that only new photographs are dehazed, on `device`. Without photographs
    there is no row, and nothing is written. folder: of the study.
    """
    if not photos:
        return pd.DataFrame()
    tables = []
    for one in runs:
        names = pd.DataFrame([{"run": one.spec.id, "label": one.spec.label, "seed": one.spec.seed}])
        tables.append(names.merge(_of_run(one, photos, device), how="cross"))
    table = pd.concat(tables)
    write_csv(table, folder / FILE)
    return table


def _of_run(one: Run, photos: list[Path], device: torch.device | str) -> pd.DataFrame:
    file = one.folder / FILE
    known = [pd.read_csv(file, dtype={"image": str})] if file.exists() else []
    have = {name for rows in known for name in rows.image}
    if missing := [photo for photo in photos if photo.name not in have]:
        known.append(compare(one.network().to(device), missing))
        write_csv(pd.concat(known), file)
    rows = pd.concat(known)
    return rows[rows.image.isin([photo.name for photo in photos])]


def panel(network: nn.Module, photos: list[Path]) -> list[tuple[str, list]]:
    """Returns rows for figures.image_grid: photographs, then dehazed. They belong to others: keep the figure local."""
    images = [read(photo) for photo in photos]
    return [("photograph", [array(image) for image in images]),
            ("dehazed", [array(dehaze(image, network)) for image in images])]
