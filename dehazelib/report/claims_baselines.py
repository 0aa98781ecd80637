"""Claims about the other dehazing networks of Table 5, and about the student among them."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd

from dehazelib.report.claims import (
    CLOSE,
    RECONSTRUCTED,
    Measurement,
    NotTested,
    above_zero,
    budget,
    decided,
    falls_short,
    fewer_images,
    fewer_than_published,
    need,
    positive,
    scored,
    seeds_rule,
    signed,
    tested_on,
    together,
    undecidable,
    undecided,
    without_limits,
)
from dehazelib.report.claims_printed import printed_before
from dehazelib.report.claims_scores import PSNR, SSIM, absolute, difference, with_note
from dehazelib.report.rows import Rows, published
from dehazelib.report.statistics import mean_interval

LIGHTWEIGHT = 0.1  # million parameters
ZID_STEPS = 500  # for each image, its authors'
AS_PUBLISHED = {"zid": "zid_oracle"}  # network -> label of the runs scored as its authors do, where not its own name
OURS = ("student", "full_framework")


def baselines_retrained(study: Rows, claim: pd.Series) -> Measurement:
    table = published("table5").replace({"key": AS_PUBLISHED})
    table = table[~table.key.isin(OURS)]
    run = table[table.key.map(study.has)]
    if run.empty:
        raise NotTested("not run: scores.csv has no baseline of Table 5")
    if study.main != "sots_indoor":
        raise NotTested(f"embedded {study.main}, not SOTS, so printed and measured PSNR cannot be compared")
    gaps = run.key.map(lambda key: study.summary(key)[PSNR]).to_numpy() - run.psnr.to_numpy()
    value, low, high = mean_interval(gaps)
    worst = run.model.iloc[int(np.abs(gaps).argmax())]
    why = (f"mean over {len(run)} of {len(table)} baselines; furthest off is {worst} with "
           f"{gaps[np.abs(gaps).argmax()]:+.2f}; {_printed_before()}; {budget(study, *run.key)}")
    near = bool((np.abs(gaps) <= CLOSE["dB"]).all())
    rule = decided(near, f"every baseline within {CLOSE['dB']} dB") if len(run) == len(table) else undecided
    if any(falls_short(study, key, gap, "dB") for key, gap in zip(run.key, gaps)):
        rule = fewer_images
    return Measurement(value, scored(study, *run.key), why, rule, low, high)


def _printed_before() -> str:
    table = printed_before()
    same = ", ".join(f"{row.model} {row.psnr} / {row.ssim}" for row in table[table.alike].itertuples())
    return (f"of {len(table)} networks whose scores stood in {' and '.join(table.source.unique())}, "
            f"{table.alike.sum()} have the same ones here{f' ({same})' if same else ''}")


def reconstructed(study: Rows, claim: pd.Series, label: str) -> Measurement:
    """A score that decides nothing, near the printed one or not: ours is not the authors' network."""
    return dataclasses.replace(absolute(study, claim, label), rule=undecidable(
        "the network has no public source: ours is a reconstruction from its parameter count"))


def zero_shot(study: Rows, claim: pd.Series) -> Measurement:
    """ZID's score. It is fitted to each image, so no budget of training excuses a low one; but its authors stop each
    image at the step that its ground truth likes best, so only such a score, zid_oracle, can fall short of theirs."""
    oracle = study.has("zid_oracle")
    label = "zid_oracle" if oracle else "zid"
    need(study, label)
    if study.main != "sots_indoor":
        raise NotTested(f"embedded {study.main}, not SOTS, so printed and measured PSNR cannot be compared")
    rows, steps = study.of(label), study.of_runs(label, "steps")
    value, low, high = mean_interval(_by_scene(rows))
    least, most = (float(claim.value) + sign * CLOSE["dB"] for sign in (-1, 1))
    holds = False if high < least or low > most else True if least <= low and high <= most else None
    rule = together([holds], f"the whole 95 % interval over scenes within {CLOSE['dB']} dB of the paper's number")
    if np.isnan(low):
        rule = without_limits
    elif steps < ZID_STEPS:
        rule = undecidable(f"fitted in fewer steps than its authors' {ZID_STEPS}")
    elif not oracle and not low > most:
        rule = undecidable("its authors stop each image where the ground truth is met best: not run (zid_oracle)")
    why = f"{tested_on(study, label)}; fitted to each image in {steps:.0f} steps, without training"
    beside = {"student": "the student alone", "zid": "ZID's last step, which needs no ground truth,"}
    told = [f"{name} scores {part.psnr_rgb.mean():.2f}" for other, name in beside.items()
            if other != label and len(part := study.of(other)[study.of(other).image.isin(rows.image)])]
    return with_note(Measurement(value, scored(study, label), why, rule, low, high),
                     [f"on the same pairs {' and '.join(told)}"] * bool(told))


def _by_scene(rows: pd.DataFrame) -> pd.Series:
    """Returns the mean PSNR of each scene: its images, such as 1400_1 and 1400_3, are as hard as one another."""
    return rows.groupby(rows.image.str.partition("_")[0])[PSNR].mean()


def baseline_ssim(study: Rows, claim: pd.Series) -> Measurement:
    """A network above its printed SSIM contradicts it; one below after fewer images says nothing."""
    table = published("table5").replace({"key": AS_PUBLISHED}).set_index("key").drop([*OURS, *RECONSTRUCTED])
    run = table[table.index.map(study.has)]
    if run.empty:
        raise NotTested("not run: scores.csv has no baseline of Table 5")
    if study.main != "sots_indoor":
        raise NotTested(f"embedded {study.main}, not SOTS, so printed and measured SSIM cannot be compared")
    found = pd.DataFrame([study.summary(key) for key in run.index], run.index)
    gaps = found[SSIM] - run.ssim
    above, short = gaps > CLOSE["ssim"], gaps < -CLOSE["ssim"]
    sure = above & (found.ssim_low - run.ssim > CLOSE["ssim"])  # one seed has no limits
    kinds = {f"above by more than {CLOSE['ssim']}, with the whole interval": sure,
             "above by as much, within the spread of the seeds or of one seed": above & ~sure,
             "below by as much": short}
    told = "; ".join(f"{kind}: {_by(run.model, gaps, rows)}" for kind, rows in kinds.items())
    why = (f"highest above the printed SSIM of {len(run)} of {len(table)} networks, reconstructions left out; {told}; "
           f"{budget(study, *run.index)}")
    rule = decided(not sure.any() and not short.any(), f"no network's interval above the printed SSIM by more than "
                   f"{CLOSE['ssim']}, and no score below by as much after as many images as the paper's")
    if not sure.any() and any(fewer_than_published(study, key) for key in run.index[short]):
        rule = fewer_images
    elif not sure.any() and not short.any() and (above.any() or len(run) < len(table)):
        rule = undecided
    return Measurement(float(gaps.max()), scored(study, *run.index), why, rule)


def _by(models: pd.Series, gaps: pd.Series, rows: pd.Series) -> str:
    """Returns "AOD-Net +0.020, ..." for the rows that are True."""
    return ", ".join(f"{models[key]} {gaps[key]:+.3f}" for key in gaps.index[rows]) or "none"


def gcanet_over_student(study: Rows, claim: pd.Series, metric: str = PSNR) -> Measurement:
    return difference(study, claim, "gcanet", _student(study), metric)


def _student(study: Rows) -> str:
    """Returns the label of the student that is compared with other networks: at their budget, where that was run."""
    return "student-equal_budget" if study.has("student-equal_budget") else "student"


def student_over_lightweight(study: Rows, claim: pd.Series) -> Measurement:
    table, student = published("table5"), _student(study)
    light = table.key[(table.parameters_millions < LIGHTWEIGHT) & ~table.key.isin(OURS)]
    need(study, student, "famed_net")
    first = difference(study, claim, student, "famed_net")
    others = {key: study.difference(student, key) for key in light if study.has(key) and key != "famed_net"}
    rule = seeds_rule(study, (student, "famed_net", *others), together(
        [above_zero(first, claim), *(positive(low, high) for _, low, high in others.values())],
        f"the student beats all {1 + len(others)} networks measured below {LIGHTWEIGHT} million parameters, FAMED-Net "
        "by half to twice the printed size"))
    first = with_note(first, [f"student less {key} {signed(*values)}" for key, values in others.items()])
    return dataclasses.replace(first, rule=rule)


# ---------------------------------------------------------------------------------------------- quantity -> function


BASELINES = {
    "psnr_baselines_retrained_minus_published": baselines_retrained,
    "psnr_gcanet_minus_student": gcanet_over_student,
    "ssim_gcanet_minus_student": partial(gcanet_over_student, metric=SSIM),
    "psnr_student_minus_famed_net": student_over_lightweight,
    "psnr_zid": zero_shot,
    **{f"psnr_{key}": partial(reconstructed if key in RECONSTRUCTED else absolute, label=key)
       for key in ("aod_net", "ssid", "lsid_fcnn", "mscnn", "dehazenet", "famed_net", "gfn", "gcanet", "dcpdn",
                   "cycle_dehaze", "msbdn", "ffa_net", "pfdn", "dehazing_4k", "griddehazenet")},
    "ssim_baselines": baseline_ssim,
}
