"""The same outputs under the evaluation protocols in print: a score compares only with scores of its own protocol.

What each protocol is, and whose, stands in report.tables_extra.PROTOCOLS. All take one image as the network leaves it,
float and clamped to [0, 1], and its ground truth.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.data.pairs import Pairs
from dehazelib.evaluation.scores import array, images, task_pairs
from dehazelib.experiments.spec import Spec
from dehazelib.files import write_csv
from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb
from dehazelib.training.runs import Run

FILE = "protocols.csv"  # in each run's folder, and of all in the study's
COLUMNS = ["test_set", "image", "protocol", "value"]
BLOCK = 20  # pixels
SCENE, WHITE = 4, 6  # pixels on each side of a 640x480 NYU frame that RESIDE's 620x460 images lack; 10 in all


def rounded(image: Tensor) -> Tensor:
    """Returns the image as an 8-bit file would hold it, still in [0, 1]."""
    return (image * 255).round() / 255


def luma(image: Tensor) -> Tensor:
    """Returns Y of YCbCr, (1, 1, H, W), from 16/255 to 235/255. Source: ITU-R BT.601, as MATLAB's rgb2ycbcr has it."""
    return torch.from_numpy(rgb2ycbcr(array(image))[..., 0] / 255)[None, None]


def averaged(image: Tensor) -> Tensor:
    """Returns the image averaged over f x f pixels, f = round(shorter side / 256), at least 1: 2 at 460 x 620.

    Source: Wang, ssim.m ("automatic downsampling"), in the form of DehazeFormer's and gUNet's evaluation.
    """
    height, width = image.shape[-2:]
    factor = max(1, round(min(height, width) / 256))
    return F.adaptive_avg_pool2d(image, (height // factor, width // factor))


def resized_frame(target: Tensor) -> Tensor:
    """Returns the ground truth as it looks when the whole frame is resized to it, instead of its centre being cut out.

    The mistake: a 640x480 ground truth is resized to the 620x460 of the hazy file, which shows its centre only, so that
    content is up to 10 pixels out of place and the frame's white edge comes into view. The frame is emulated: around
    the image, 4 pixels repeat its border and 6 are white, as on NYU's frames; then it is resized to the image's size
    (bilinear, antialiased). Measured on 61 NYU frames: 0.06 dB from the genuine mistake on average, 0.2 dB at most.
    """
    frame = F.pad(F.pad(target, (SCENE,) * 4, mode="replicate"), (WHITE,) * 4, value=1.0)
    return F.interpolate(frame, target.shape[-2:], mode="bilinear", antialias=True)


def without_block_errors(output: Tensor, target: Tensor, block: tuple[int, int] | None = None) -> Tensor:
    """Returns the output after taking out its mean error, per channel, in each block of so many pixels.

    What is left are errors of detail: the PSNR of the result is what a right amount of haze everywhere would score.
    block: (height, width) in pixels, blocks at the right and lower edge being smaller; None: the whole image.
    """
    size = block or tuple(output.shape[-2:])
    means = F.avg_pool2d(output - target, size, ceil_mode=True, count_include_pad=False)
    height, width = output.shape[-2:]
    return output - means.repeat_interleave(size[0], -2).repeat_interleave(size[1], -1)[..., :height, :width]


def ssim_gauss11_valid(image: Tensor, reference: Tensor) -> float:
    """Returns the mean SSIM over the 11 x 11 Gaussian windows (sigma 1.5) that lie inside the image, over all channels.

    Source: Wang et al., IEEE TIP 2004, as ssim_index.m and pytorch_msssim window it; computed by scikit-image.
    """
    return _ssim(image, reference, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)


def _ssim(image: Tensor, reference: Tensor, **options) -> float:
    return float(structural_similarity(image[0].numpy(), reference[0].numpy(), channel_axis=0, **options))


PROTOCOLS: dict[str, Callable[[Tensor, Tensor], Tensor | float]] = {  # of one image (1, 3, H, W) and its ground truth
    "psnr_rgb": psnr_rgb,
    "psnr_rgb_8bit": lambda output, target: psnr_rgb(rounded(output), target),
    "psnr_rgb_resized": lambda output, target: psnr_rgb(output, resized_frame(target)),
    "psnr_rgb_offset": lambda output, target: psnr_rgb(without_block_errors(output, target), target),
    "psnr_rgb_details": lambda output, target: psnr_rgb(without_block_errors(output, target, (BLOCK, BLOCK)), target),
    "psnr_y": lambda output, target: psnr_rgb(luma(output), luma(target)),
    "ssim_gauss11_rgb": ssim_gauss11_rgb,
    "ssim_gauss11_rgb_resized": lambda output, target: ssim_gauss11_rgb(output, resized_frame(target)),
    "ssim_gauss11_rgb_valid": ssim_gauss11_valid,
    "ssim_gauss11_rgb_averaged": lambda output, target: ssim_gauss11_valid(averaged(output), averaged(target)),
    "ssim_gauss11_y": lambda output, target: ssim_gauss11_valid(luma(output), luma(target)),
    "ssim_uniform7_rgb": ssim_uniform7_rgb,
    "ssim_uniform7_rgb_range2": partial(_ssim, data_range=2.0),
}


def protocol_scores(network: nn.Module, spec: Spec, pairs: Pairs) -> pd.DataFrame:
    """Returns one row per image and protocol: test_set, image, protocol, value (PSNR in dB, SSIM up to 1)."""
    rows = [(pairs.name, name, protocol, float(score(output, target)))
            for name, _, output, target in images(network, spec, pairs) for protocol, score in PROTOCOLS.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure(runs: list[Run], pairs: Pairs, folder: Path, device: torch.device | str = "cpu") -> pd.DataFrame:
    """Returns the rows of all these runs on a test set, with run, label and seed, after writing <folder>/protocols.csv.

    folder: of the study; the file holds these runs and images only. Each run's folder keeps its own rows, so that only
    images without a score in one of the protocols are computed, on `device`. Raises FileNotFoundError for a run that is
    not trained.
    """
    tables = []
    for one in runs:
        names = pd.DataFrame([{"run": one.spec.id, "label": one.spec.label, "seed": one.spec.seed}])
        tables.append(names.merge(_of_run(one, pairs, device), how="cross"))
    table = pd.concat(tables)
    write_csv(table, folder / FILE)
    return table


def _of_run(one: Run, pairs: Pairs, device: torch.device | str) -> pd.DataFrame:
    file = one.folder / FILE
    known = pd.read_csv(file, dtype={"image": str}) if file.exists() else pd.DataFrame(columns=COLUMNS)
    known = known[known.protocol.isin(PROTOCOLS)]
    counts = known[known.test_set == pairs.name].groupby("image").protocol.nunique()
    have = set(counts[counts == len(PROTOCOLS)].index)
    wanted = task_pairs(one.spec, pairs)
    missing = [pair for pair in wanted.pairs if pair.name not in have]
    if missing:
        new = protocol_scores(one.network().to(device), one.spec, pairs.select(missing))
        known = pd.concat([known, new]).drop_duplicates(COLUMNS[:3], keep="last") if len(known) else new
        write_csv(known, file)
    names = {pair.name for pair in wanted.pairs}
    return known[(known.test_set == pairs.name) & known.image.isin(names)]
