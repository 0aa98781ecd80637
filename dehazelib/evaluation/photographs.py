"""Whether a set of weights can be trusted with photographs: what it does to clear, black, noisy and hazy ones."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from dehazelib import provenance
from dehazelib.data.camera import Photographs
from dehazelib.data.pairs import Pairs
from dehazelib.data.sources import Data
from dehazelib.deploy.inference import run
from dehazelib.evaluation.real_haze import photographs, read
from dehazelib.evaluation.scores import array
from dehazelib.files import write_csv
from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb

PATCH = 16  # pixels: side of the patches that noise is looked for in
FLAT = 0.1  # share of an image's patches, those that vary least, that count as flat
SIZE = (480, 640)  # of the black image
COLUMNS = ["weights", "measure", "images", "mean", "worst"]
FILE = "photographs.csv"


def write(sets: dict[str, nn.Module], data: Data, folder: Path) -> pd.DataFrame:
    """Returns the rows of `table`, as written to FILE in a study's folder with where they come from."""
    rows = table(sets, data.validation, photographs(data.where), data.tests.values())
    facts = provenance.environment()
    write_csv(rows.assign(manifest=data.manifest, torch=facts["torch"], commit=facts["commit"]), folder / FILE)
    return rows


def table(sets: dict[str, nn.Module], held_out: Pairs, photos: list[Path], tests: Iterable[Pairs]) -> pd.DataFrame:
    """Returns a row (COLUMNS) for each set of weights and measure: the mean and the worst over the images.

    clear_psnr: dB between a clear picture and what comes out of it; camera_psnr, camera_input_psnr: dB to the truth
    after and before, of haze as a camera sees it (both on held-out training scenes); black_level: of 255, the brightest
    that becomes of black; noise_ratio: of noise in flat patches after and before, zero_share, zero_input_share: of
    channel values at 0 (all three on photographs with real haze); psnr and ssim of each test set.
    """
    rows = []
    for weights, network in sets.items():
        measured = pd.DataFrame(_measured(network, held_out, photos, tests), columns=["measure", "value", "higher"])
        for measure, found in measured.groupby("measure", sort=False):
            worst = found.value.min() if found.higher.all() else found.value.max()
            rows.append((weights, measure, len(found), found.value.mean(), worst))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(network: nn.Module, held_out: Pairs, photos: list[Path],
              tests: Iterable[Pairs]) -> Iterator[tuple[str, float, bool]]:
    """Yields (measure, value of one image, whether higher is better)."""
    black = run(network, torch.zeros(1, 3, *SIZE))
    yield "black_level", black.max().item() * 255, False
    hazy_scenes = Photographs(held_out)
    for index, pair in enumerate(held_out.pairs):
        clear = torch.from_numpy(held_out.clear(pair.scene)).permute(2, 0, 1)[None].float() / 255
        yield "clear_psnr", psnr_rgb(run(network, clear), clear).item(), True
        hazy, truth = (image[None] for image in hazy_scenes[index])
        if not torch.equal(hazy, truth):
            yield "camera_input_psnr", psnr_rgb(hazy, truth).item(), True
            yield "camera_psnr", psnr_rgb(run(network, hazy), truth).item(), True
    for photo in photos:
        before = read(photo)[None]
        after = run(network, before)
        yield "noise_ratio", flat_noise(after, before) / flat_noise(before, before), False
        yield "zero_input_share", (before == 0).float().mean().item(), False
        yield "zero_share", (after < 0.5 / 255).float().mean().item(), False
    for pairs in tests:
        for hazy, truth in (pairs[index] for index in range(len(pairs))):
            output = run(network, hazy[None])
            yield f"{pairs.name}_psnr", psnr_rgb(output, truth[None]).item(), True
            yield f"{pairs.name}_ssim", ssim_gauss11_rgb(output, truth[None]).item(), True


def flat_noise(image: Tensor, where: Tensor) -> float:
    """Returns the standard deviation of an image's fine detail in the patches that are flat in `where`, of the range.

    Both (1, 3, H, W) in [0, 1], at least PATCH pixels a side. Fine detail is what a Gaussian of 2 pixels takes away.
    """
    noise, variation = _patches(_detail(image)).std(1), _patches(array(where).mean(2)).std(1)
    flat = variation <= np.quantile(variation, FLAT)
    return float(np.median(noise[flat]))


def _detail(image: Tensor) -> np.ndarray:
    grey = array(image).mean(2)
    return grey - gaussian_filter(grey, 2)


def _patches(grey: np.ndarray) -> np.ndarray:
    """Returns the patches of an image (H, W) that lie wholly in it, (n, PATCH * PATCH)."""
    rows, columns = (side // PATCH for side in grey.shape)
    whole = grey[:rows * PATCH, :columns * PATCH]
    return whole.reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2).reshape(rows * columns, -1)
