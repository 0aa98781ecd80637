"""The same outputs under the evaluation protocols in print: a score compares only with scores of its own protocol.

All take one image as the network leaves it, float and clamped to [0, 1], and its ground truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib.data.pairs import Pairs
from dehazelib.evaluation.cached import cached_rows, of_runs
from dehazelib.evaluation.scores import array, images, task_pairs
from dehazelib.experiments.spec import Spec
from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb

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


def pooled(psnr: pd.Series) -> float:
    """Returns the PSNR of the mean squared error over a whole set, from its images' own PSNR in dB."""
    return -10 * np.log10((10 ** (-psnr / 10)).mean())


@dataclass(frozen=True)
class Protocol:
    """what: it is, and who evaluates so. score: of an image (1, 3, H, W) and its ground truth; None: of a set only."""

    what: str
    score: Callable[[Tensor, Tensor], Tensor | float] | None


POOLED = "psnr_rgb_pooled"  # derived from the images' psnr_rgb by `pooled`
PROTOCOLS = {
    "psnr_rgb": Protocol(
        "float, clamped, mean over images: ours, the authors, FFA-Net, DehazeFormer", psnr_rgb),
    "psnr_rgb_8bit": Protocol(
        "output rounded to 8 bits, as a saved PNG: GCANet",
        lambda output, target: psnr_rgb(rounded(output), target)),
    POOLED: Protocol(
        "from the mean squared error over the whole set", None),
    "psnr_y": Protocol(
        "luma of BT.601, 16 to 235 of 255: usual in super-resolution",
        lambda output, target: psnr_rgb(luma(output), luma(target))),
    "psnr_rgb_offset": Protocol(
        "no protocol, but where the error lies: the image's mean colour made right",
        lambda output, target: psnr_rgb(without_block_errors(output, target), target)),
    "psnr_rgb_details": Protocol(
        "likewise: the mean colour of every 20 x 20 block made right, so that only details count",
        lambda output, target: psnr_rgb(without_block_errors(output, target, (BLOCK, BLOCK)), target)),
    "psnr_rgb_resized": Protocol(
        "a mistake, emulated: 640 x 480 ground truth resized instead of cropped",
        lambda output, target: psnr_rgb(output, resized_frame(target))),
    "ssim_gauss11_rgb": Protocol(
        "11 x 11 Gaussian, zero padded: ours, the authors, FFA-Net", ssim_gauss11_rgb),
    "ssim_gauss11_rgb_valid": Protocol(
        "the same without padding: ssim_index.m, pytorch_msssim", ssim_gauss11_valid),
    "ssim_gauss11_rgb_averaged": Protocol(
        "without padding, images averaged 2 x 2 (at 460 x 620): DehazeFormer, gUNet",
        lambda output, target: ssim_gauss11_valid(averaged(output), averaged(target))),
    "ssim_gauss11_y": Protocol(
        "without padding, on luma",
        lambda output, target: ssim_gauss11_valid(luma(output), luma(target))),
    "ssim_gauss11_rgb_resized": Protocol(
        "a mistake, emulated: 640 x 480 ground truth resized instead of cropped",
        lambda output, target: ssim_gauss11_rgb(output, resized_frame(target))),
    "ssim_uniform7_rgb": Protocol(
        "7 x 7 uniform window, no padding: GridDehazeNet, scikit-image's default", ssim_uniform7_rgb),
    "ssim_uniform7_rgb_range2": Protocol(
        "the same with dynamic range 2, which older scikit-image took floats to have",
        lambda output, target: _ssim(output, target, data_range=2.0)),
}
OF_IMAGES = {name: protocol.score for name, protocol in PROTOCOLS.items() if protocol.score}


def protocol_scores(network: nn.Module, spec: Spec, pairs: Pairs) -> pd.DataFrame:
    """Returns one row per image and protocol: test_set, image, protocol, value (PSNR in dB, SSIM up to 1)."""
    rows = []
    for name, _, output, target in images(network, spec, pairs):
        rows += [(pairs.name, name, protocol, float(score(output, target))) for protocol, score in OF_IMAGES.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure(runs: list, pairs: Pairs, folder: Path, device: torch.device | str = "cpu") -> pd.DataFrame:
    """Returns the rows of all these runs on a test set, with run, label and seed, after writing <folder>/protocols.csv.

    folder: of the study; the file holds these runs and images only. Each run's folder keeps its own rows, so that only
    images without a score in one of the protocols are computed, on `device`. Raises FileNotFoundError for a run that is
    not trained.
    """
    def rows_of(run) -> pd.DataFrame:
        wanted = {(pairs.name, pair.name): pair for pair in task_pairs(run.spec, pairs).pairs}
        return cached_rows(run.folder / FILE, ["test_set", "image"], wanted, "protocol", OF_IMAGES,
                           lambda missing: protocol_scores(run.network().to(device), run.spec, pairs.select(missing)))

    return of_runs(runs, rows_of, folder / FILE)
