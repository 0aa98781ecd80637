"""Claims about the super-resolution networks, Tables 1 to 4 and Figs 6 and 7."""

import dataclasses
import math
from functools import partial

import pandas as pd

from dehazelib.report.claims import Measurement, above_zero, at_least, at_most, undertrained
from dehazelib.report.claims_scores import PSNR, absolute, difference, with_note
from dehazelib.report.rows import Rows

FOURFOLD = ("fsrcnn_x4", "srresnet", "drn_s")  # networks that enlarge four times
TARGETS = {"460": "native", "920": "upsampled"}  # height of the target -> end of the label
VARIANTS = (("mc_fsrcnn", "fsrcnn_x2", above_zero), ("mc_fsrcnn", "dsc_mc_fsrcnn", at_most),
            ("mc_fsrcnn", "relu_mc_fsrcnn", above_zero), ("dsc_mc_fsrcnn", "dscbn_mc_fsrcnn", above_zero))


def enlarging_difference(study: Rows, claim: pd.Series, a: str, b: str, target: str,
                         rule=above_zero) -> Measurement:
    """a minus b, two super-resolution networks; undecided where one of them is below bicubic resizing."""
    first = difference(study, claim, f"{a}-{target}", f"{b}-{target}", rule=rule)
    below = [name for name in (a, b) if _below_bicubic(study, name, target)]
    if not below:
        return first
    sign = "as printed" if first.value * float(claim.value) > 0 else "the other way round"
    zero = "includes" if first.low <= 0 <= first.high else "excludes"
    limits = "it has no interval" if math.isnan(first.low) else f"its interval {zero} zero"
    first = with_note(first, [f"the direction is {sign}, and {limits}; below bicubic resizing: {', '.join(below)}"])
    return dataclasses.replace(first, rule=undertrained)


def _below_bicubic(study: Rows, network: str, target: str) -> bool:
    """Returns whether a network scores below bicubic resizing by its own factor, on the images that both have; False
    where that control was not run."""
    bicubic = "bicubic_x4" if network in FOURFOLD else "bicubic"
    control = study.of(f"{bicubic}-{target}").groupby("image")[PSNR].mean()
    ours = study.of(f"{network}-{target}").groupby("image")[PSNR].mean()
    shared = control.index.intersection(ours.index)
    return bool(ours[shared].mean() < control[shared].mean())


def mc_over_drn(study: Rows, claim: pd.Series) -> Measurement:
    return with_note(enlarging_difference(study, claim, "mc_fsrcnn", "drn_s", "upsampled"), [
        "DRN-S enlarges four times, so it starts from the image at half its size (dehazelib/resampling.py), which is "
        "a harder task than the other's two times"])


# ---------------------------------------------------------------------------------------------- quantity -> function


TEACHERS = {
    **{f"psnr_{size}_{a}_minus_{b}": partial(enlarging_difference, a=a, b=b, target=target, rule=rule)
       for size, target in TARGETS.items() for a, b, rule in VARIANTS},
    "psnr_920_mc_fsrcnn_minus_drn_s": mc_over_drn,
    **{f"psnr_920_{name}": partial(absolute, label=f"{name}-upsampled", rule=at_least)
       for name in ("mc_fsrcnn", "dsc_mc_fsrcnn")},
    "psnr_460_drn_s": partial(absolute, label="drn_s-native"),
    "psnr_460_srresnet": partial(absolute, label="srresnet-native"),
}
