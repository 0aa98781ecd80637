"""Photographs with real haze, which have no ground truth: statistics of each before and after dehazing.

None of them measures fidelity. They say whether a photograph changes as it would with less haze; noise, ringing and
exaggerated contrast move most of them the same way.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
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
from dehazelib.evaluation.cached import cached_rows, of_runs
from dehazelib.evaluation.scores import array
from dehazelib.networks.physics import dark_channel

FILE = "real_hazy.csv"
COLUMNS = ["image", "height", "width", "statistic", "before", "after", "sha256"]
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
    image = read_photo(photo).image().convert("RGB")
    scale = (pixels / (image.width * image.height)) ** 0.5
    if scale < 1:
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


class View:
    """An image (3, H, W) in [0, 1], rounded to 8 bits as a file would hold it, in the forms that statistics need."""

    def __init__(self, image: Tensor):
        self.rgb = (array(image) * 255).round()  # (H, W, 3), 0 ... 255
        self.grey = rgb2gray(self.rgb / 255)  # (H, W), 0 ... 1
        self.gradient = sobel(self.grey)  # (H, W)


def mean_dark_channel(view: View) -> float:
    """Returns the mean over 15 x 15 windows of the darkest colour. Source: He, Sun, Tang, CVPR 2009."""
    return dark_channel(torch.from_numpy(view.rgb / 255).permute(2, 0, 1)[None]).mean().item()


def colourfulness(view: View) -> float:
    """Returns M = sigma + 0.3 mu of the opponent colours, 0 to 255 scale.

    Source: Hasler and Suesstrunk, "Measuring Colourfulness in Natural Images", SPIE 2003.
    """
    red, green, blue = view.rgb.transpose(2, 0, 1)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    return np.hypot(*opponents.std((1, 2))) + 0.3 * np.hypot(*opponents.mean((1, 2)))


@dataclass(frozen=True)
class Statistic:
    """less_haze: where it goes when haze goes, "lower" or "higher". what: it is. value: of one image."""

    less_haze: str
    what: str
    value: Callable[[View], float]


# rms_contrast: Peli, "Contrast in complex images", JOSA A 1990. entropy: Shannon 1948.
# visible_edges: after Hautiere et al., "Blind Contrast Enhancement Assessment by Gradient Ratioing at Visible Edges",
# Image Analysis and Stereology 2008, who take edges of 5 % local contrast instead and report the relative change of
# their number. clipped: like their sigma, per colour.
STATISTICS = {
    "dark_channel": Statistic("lower", "mean dark channel, 15 x 15", mean_dark_channel),
    "rms_contrast": Statistic("higher", "standard deviation of luminance", lambda view: view.grey.std()),
    "gradient": Statistic("higher", "mean gradient magnitude of luminance", lambda view: view.gradient.mean()),
    "visible_edges": Statistic("higher", "share of pixels with a gradient above 5 % of the range",
                               lambda view: (view.gradient > EDGE).mean()),
    "colourfulness": Statistic("higher", "Hasler and Suesstrunk's M, 0 to 255 scale", colourfulness),
    "saturation": Statistic("higher", "mean saturation of HSV", lambda view: rgb2hsv(view.rgb / 255)[..., 1].mean()),
    "entropy": Statistic("higher", "entropy of luminance, bits",
                         lambda view: shannon_entropy((view.grey * 255).round().astype(np.uint8))),
    "clipped": Statistic("lower", "share of pixels with a colour at 0 or 255",
                         lambda view: ((view.rgb == 0) | (view.rgb == 255)).any(2).mean()),
}


def statistics(image: Tensor) -> dict[str, float]:
    """Returns the STATISTICS of an image (3, H, W) in [0, 1]."""
    view = View(image)
    return {name: float(statistic.value(view)) for name, statistic in STATISTICS.items()}


def content(photo: Path) -> str:
    """Returns the SHA-256 sum of a file: what its rows are known by, so that a replaced photograph is measured anew."""
    return hashlib.sha256(photo.read_bytes()).hexdigest()


def compare(network: nn.Module, photos: list[Path]) -> pd.DataFrame:
    """Returns one row per photograph and statistic: image, height, width (as dehazed), statistic, before, after and the
    file's sha256."""
    rows = []
    for photo in photos:
        hazy, digest = read(photo), content(photo)
        before, after = statistics(hazy), statistics(dehaze(hazy, network))
        rows += [(photo.name, *hazy.shape[1:], name, before[name], after[name], digest) for name in before]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure(runs: list, photos: list[Path], folder: Path,
            device: torch.device | str = "cpu") -> pd.DataFrame:
    """Returns the rows of all these runs, with run, label and seed, after writing <folder>/real_hazy.csv.

    Each run's folder keeps its own rows, so that only new photographs are dehazed, on `device`. Without photographs
    there is no row, and nothing is written. folder: of the study.
    """
    if not photos:
        return pd.DataFrame()
    wanted = {(photo.name, content(photo)): photo for photo in photos}

    def rows_of(run) -> pd.DataFrame:
        return cached_rows(run.folder / FILE, ["image", "sha256"], wanted, "statistic", STATISTICS,
                           lambda missing: compare(run.network().to(device), missing))

    return of_runs(runs, rows_of, folder / FILE)


def panel(network: nn.Module, photos: list[Path]) -> list[tuple[str, list]]:
    """Returns rows for figures.image_grid: photographs, then dehazed. They belong to others: keep the figure local."""
    images = [read(photo) for photo in photos]
    return [("photograph", [array(image) for image in images]),
            ("dehazed", [array(dehaze(image, network)) for image in images])]
