"""Scores and differences of scores as measurements: from scores.csv, with runs.csv for what they rest on."""

import dataclasses
import math

import pandas as pd

from dehazelib.report.claims import (
    CLOSE,
    MARGIN_DB,
    Measurement,
    NotTested,
    above_zero,
    budget,
    close,
    falls_short,
    fewer_images,
    fewer_than_published,
    need,
    scored,
    seeds_rule,
    signed,
    tested_on,
    training,
)
from dehazelib.report.rows import Rows
from dehazelib.report.statistics import equivalence

PSNR, SSIM = "psnr_rgb", "ssim_gauss11_rgb"  # as the authors evaluate both
LIMITS = {PSNR: ("psnr_low", "psnr_high"), SSIM: ("ssim_low", "ssim_high")}


def absolute(study: Rows, claim: pd.Series, label: str, metric: str = PSNR, rule=close) -> Measurement:
    """A label's score. rule: at_least for the paper's own networks, which reach a number; close for the others."""
    need(study, label)
    ours = study.summary(label)
    if study.main != "sots_indoor":
        digits = 2 if metric == PSNR else 4
        raise NotTested(f"embedded {study.main}, not SOTS: {label} scores {ours[metric]:.{digits}f} there "
                        f"({budget(study, label)})")
    low, high = LIMITS[metric]
    gap = ours[metric] - float(claim.value)
    m = Measurement(ours[metric], scored(study, label), budget(study, label), rule(claim.unit), ours[low], ours[high])
    if falls_short(study, label, gap, claim.unit):
        return dataclasses.replace(m, rule=fewer_images)
    higher = gap > CLOSE[claim.unit] and fewer_than_published(study, label)
    return with_note(m, ["higher than printed, though after training on fewer images"] * higher)


def difference(study: Rows, claim: pd.Series, a: str, b: str, metric: str = PSNR,
               rule=above_zero) -> Measurement:
    """a minus b; `why` holds every seed's own difference, the size beside the paper's and what else differs."""
    need(study, a, b)
    value, low, high = study.difference(a, b, metric)
    notes = [tested_on(study, a, b)]
    if claim.value and math.isfinite(value) and claim.unit in ("dB", "ssim"):
        times = value / float(claim.value)
        notes.append(f"{times:.2g} times the printed size" + ", of the same sign" * (times > 0 and low > 0))
    notes.append(training(study, a, b))
    per_seed = [study.of(label).groupby("seed")[metric].mean() for label in (a, b)]
    if len(shared := per_seed[0].index.intersection(per_seed[1].index)) > 1:
        gaps = ", ".join(f"{per_seed[0][s] - per_seed[1][s]:+.4g}" for s in shared)
        notes.append(f"over the {len(shared)} seeds of both, per seed {gaps}")
    if metric == PSNR and math.isfinite(low):
        notes.append(f"{equivalence(low, high, MARGIN_DB)} at a margin of {MARGIN_DB} dB")
    if apart := study.options_apart(a, b):
        notes.append(f"the runs differ in {', '.join(apart)}")
    return Measurement(value, scored(study, a, b), "; ".join(notes), seeds_rule(study, (a, b), rule), low, high)


def signed_difference(study: Rows, a: str, b: str, metric: str = PSNR) -> str:
    """Returns a minus b as "+0.123 [+0.100, +0.150]"."""
    return signed(*study.difference(a, b, metric), digits=3 if metric == PSNR else 5)


def with_note(m: Measurement, notes: list[str]) -> Measurement:
    """Returns the measurement with more of what it rests on."""
    return dataclasses.replace(m, why="; ".join([m.why, *notes]))
