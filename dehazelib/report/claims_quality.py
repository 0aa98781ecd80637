"""Claims about image quality, those about the affinity module here: from scores.csv, with runs.csv and curves.csv for
what the scores rest on."""

import dataclasses
import itertools
import math
from functools import partial

import pandas as pd

from dehazelib.experiments.plan import LONGEST, PAPER_WEIGHT
from dehazelib.report.claims import (
    Measurement,
    NotTested,
    at_least,
    at_most,
    budget,
    need,
    positive,
    reading,
    scored,
    seeds_rule,
    signed,
    tested_on,
    together,
    undecided,
)
from dehazelib.report.claims_baselines import BASELINES
from dehazelib.report.claims_scores import PSNR, SSIM, absolute, difference, signed_difference, with_note
from dehazelib.report.claims_teachers import TEACHERS
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.tables_extra import selection

SAME_RUNS = "the claims on this gain in dB, in % of PSNR and in % of SSIM rest on the same runs: one finding, not three"


# ------------------------------------------------------------------------------------------- with and without module


def framework_absolute(study: Rows, claim: pd.Series, metric: str = PSNR) -> Measurement:
    readings = reading(study, "")
    first = absolute(study, claim, f"framework-{readings[0]}", metric, at_least)
    return with_note(first, [f"{name}: {study.summary(f'framework-{name}')[metric]:.4f}" for name in readings[1:]])


def framework_minus_student(study: Rows, claim: pd.Series, metric: str = PSNR,
                            percent: bool = False) -> Measurement:
    need(study, "student")
    readings = reading(study, "")
    first = difference(study, claim, f"framework-{readings[0]}", "student", metric)
    others = [f"{name}{suffix}" for suffix in ("", "-adaptive") for name in READINGS]
    others = [name for name in others if name != readings[0] and study.has(f"framework-{name}")]
    first = with_note(first, [_gradient_share(study, f"framework-{readings[0]}"), *(
        f"{name}: {signed_difference(study, f'framework-{name}', 'student', metric)}" for name in others),
        *_longest_pair(study, metric), SAME_RUNS])
    if not percent:
        return first
    base = study.summary("student")[metric]
    value, low, high = (100 * x / base for x in (first.value, first.low, first.high))
    return dataclasses.replace(first, value=value, low=low, high=high)


def _longest_pair(study: Rows, metric: str) -> list[str]:
    """Returns what the module adds to the longest run, if both were run."""
    alone, guided = LONGEST
    if not (study.has(alone) and study.has(guided)):
        return []
    return [f"{guided} less {alone} {signed_difference(study, guided, alone, metric)}, "
            f"{study.images_seen(alone):,.0f} images each, over {tested_on(study, guided, alone)}"]


def within_framework(study: Rows, claim: pd.Series, suffix: str, metric: str = PSNR) -> Measurement:
    """The full framework minus its variant, in the first reading that has both; `why` lists the other reading."""
    readings = reading(study, "", suffix)
    pairs = [(f"framework-{name}", f"framework-{name}{suffix}") for name in readings]
    first = difference(study, claim, *pairs[0], metric)
    return with_note(first, [_gradient_share(study, *pairs[0])] + [
        f"{name}: {signed_difference(study, *pair, metric)}, {_gradient_share(study, *pair)}"
        for name, pair in zip(readings[1:], pairs[1:])])


# ------------------------------------------------------------------------------------------- single claims


def l2_over(study: Rows, claim: pd.Series, distance: str) -> Measurement:
    labels = [f"framework-{reading(study, '', f'-{distance}')[0]}{suffix}" for suffix in ("", f"-{distance}")]
    weights = {label: study.of_runs(label, "affinity_weight") for label in labels}
    told = " and ".join(f"{label} {'unrecorded' if math.isnan(w) else f'{w:.3g}'}" for label, w in weights.items())
    note = f"w_FA in these runs, at which the distances push with very different strength: {told}"
    if not math.isnan(weights[labels[0]]) and weights[labels[0]] != PAPER_WEIGHT:
        note += f"; the L2 norm's is the printed {PAPER_WEIGHT} rescaled to the size of the training images"
    softmax = ["KL needs distributions: the softmax over each row, which makes them, is this study's choice"]
    return with_note(within_framework(study, claim, f"-{distance}"), [note] + softmax * (distance == "kl"))


def affinity_on_other_networks(study: Rows, claim: pd.Series) -> Measurement:
    """Every network must gain: the one that decides is one that does not, or else the one nearest to it."""
    keys = [label.removesuffix("-affinity") for label in study.scores.label.unique() if label.endswith("-affinity")]
    if not keys:
        raise NotTested("not run: scores.csv has no label <key>-affinity, another network with the module")
    gains = {key: difference(study, claim, f"{key}-affinity", key) for key in keys}
    key = min(keys, key=lambda key: ((False, None, True).index(gains[key].rule(gains[key], claim)), gains[key].low))
    if len(keys) == 1:
        return gains[key]
    why = f"{key}, which decides, since each of {len(keys)} networks must gain: {gains[key].why}"
    first = dataclasses.replace(gains[key], why=why)
    return with_note(first, [f"{key} {signed(m.value, m.low, m.high)}" for key, m in gains.items()])


def intermediate_over_final(study: Rows, claim: pd.Series) -> Measurement:
    """With adaptive weights where the study has them: at the printed one the terms are of very unlike strength."""
    printed = ("framework-as_described", "framework-as_released")
    adaptive = tuple(f"{label}-adaptive" for label in printed)
    has_printed, has_adaptive = (all(map(study.has, pair)) for pair in (printed, adaptive))
    pair = adaptive if has_adaptive else printed
    first = with_note(difference(study, claim, *pair), [_gradient_share(study, *pair)])
    if not (has_printed and has_adaptive):
        return first
    return with_note(first, [f"with the weight as printed {signed_difference(study, *printed)}, where "
                              f"{_gradient_share(study, *printed)}"])


def teacher_over_bilinear(study: Rows, claim: pd.Series) -> Measurement:
    """The super-resolution teacher less bilinear resizing, both in runs that differ in little else."""
    substitute = "framework-bilinear_teacher"
    others = {"framework-untrained_teacher": ", of random weights and nearly black output,",
              "framework-black_teacher": ", whose teacher is a black image,"}
    frameworks = [name for name in ("framework-as_released-adaptive", "framework-as_released") if study.has(name)]
    need(study, substitute, *([] if frameworks else ["framework-as_released"]))
    ours = min(frameworks, key=lambda name: len(study.options_apart(name, substitute)))
    notes = ["the claim speaks of a teacher trained to reconstruct, which was not run: bilinear resizing, which has "
             "learnt nothing, stands in for it"]
    notes += [f"{ours} less {label}{what} {signed_difference(study, ours, label)}" for label, what in others.items()
              if study.has(label)]
    return with_note(difference(study, claim, ours, substitute), notes)


def weight_chosen(study: Rows, claim: pd.Series) -> Measurement:
    printed = ", ".join(published("table7").key)
    raise NotTested(f"the paper gives no rule that chooses the weight, and reports preset values ({printed}): there is "
                    "nothing to run")


def weight_spread(study: Rows, claim: pd.Series) -> Measurement:
    """Every pair of weights must be that near: the pair that decides is one that is not, or else the furthest apart."""
    labels, weights = _by_weight(study)
    pairs = [(better, worse) for worse, better in itertools.combinations(labels, 2)]
    gaps = [difference(study, claim, *pair, rule=at_most) for pair in pairs]
    first = min(gaps, key=lambda m: ((False, None, True).index(m.rule(m, claim)), -m.high))
    return with_note(first, [f"w_FA {weights[a]:g} less {weights[b]:g} {signed(m.value, m.low, m.high)}"
                              for (a, b), m in zip(pairs, gaps)])


def best_weight(study: Rows, claim: pd.Series) -> Measurement:
    order, weights = _by_weight(study)
    base = min(weights, key=weights.get)
    gains = [study.difference(base, label) for label in order if label != base]
    table = published("table7")
    why = (f"best of {', '.join(f'{weights[label]:g}' for label in sorted(weights, key=weights.get))}; "
           f"{budget(study, *order)}; the paper's own Table 7 prints its highest PSNR for "
           f"{table.key[table.psnr.idxmax()]} and its highest SSIM for {table.key[table.ssim.idxmax()]}")
    rule = together([positive(low, high) for _, low, high in gains],
                    f"w_FA = {weights[base]:g} beats both others, intervals above zero")
    return Measurement(weights[order[-1]], scored(study, *order), why, seeds_rule(study, order, rule))


def outdoor_and_real(study: Rows, claim: pd.Series) -> Measurement:
    outdoor = [name for name in study.test_sets if "outdoor" in name or "real" in name]
    have = ", ".join(study.test_sets) or "none"
    raise NotTested(f"the paper prints indoor scores only; test sets in scores.csv: {have}" + (
        "; no printed number to compare with" if outdoor else ", none of them outdoors or real haze with ground truth"))


def split_kept(study: Rows, claim: pd.Series) -> Measurement:
    """What choosing the checkpoint on the test set adds, in the label with most runs that had a choice; their mean,
    without limits, where several labels have as many."""
    rows = selection(study)
    rows = rows[rows.validations > 1].sort_values("seeds", ascending=False, kind="stable")
    if rows.empty:
        raise NotTested("not run: curves.csv has no run with several checkpoints scored on the test set")
    gains = [f"{row.label} {signed(row.difference, row.difference_low, row.difference_high)} (runs: "
             f"{row.seeds}, checkpoints each: {row.validations})" for row in rows.itertuples()]
    most = rows[rows.seeds == rows.seeds.max()]
    low, high = most.iloc[0][["difference_low", "difference_high"]] if len(most) == 1 else (math.nan, math.nan)
    why = ("what keeping the checkpoint best on the test set adds, in dB, to keeping the one best on validation "
           f"scenes, same runs and images: {', '.join(gains)}; the authors kept the best on the test set; the rows "
           "do not show their scenes")
    source = f"curves.csv: label={', '.join(most.label)}; validation_psnr_rgb, test_psnr_rgb"
    return Measurement(most.difference.mean(), source, why, undecided, low, high)


def resolution_kept(study: Rows, claim: pd.Series) -> Measurement:
    if study.main != "sots_indoor":
        raise NotTested(f"embedded {study.main}, not RESIDE" if study.main else "not run: scores.csv has no rows")
    raise NotTested("no row shows what the authors did with their files, and here it holds by construction: dehazelib "
                    "reads RESIDE's images at 460x620 (clear ones of 640x480 cut at the borders) and refuses other "
                    "sizes; the teacher's 920x1240 target, an image resized, is another matter")


def _by_weight(study: Rows) -> tuple[list[str], dict[str, float]]:
    """Returns the labels of Table 7 from worst to best over the seeds that all of them have, and their weights."""
    suffixes = {"": 0.25, "-w0.50": 0.5, "-w0.75": 0.75}
    name = reading(study, *suffixes)[0]
    weights = {f"framework-{name}{suffix}": weight for suffix, weight in suffixes.items()}
    rows = {label: study.of(label) for label in weights}
    shared = set.intersection(*(set(part.seed) for part in rows.values()))
    means = {label: part[part.seed.isin(shared) | (not shared)].groupby("seed")[PSNR].mean().mean()
             for label, part in rows.items()}
    return sorted(weights, key=means.get), weights


def _gradient_share(study: Rows, *labels: str) -> str:
    parts = []
    for label in labels:
        share = study.gradient_share(label)
        parts.append(f"{'an unrecorded part' if math.isnan(share) else f'{share:.2g} %'} of the gradient of {label}")
    return f"the affinity term holds {' and '.join(parts)} (medians, curves.csv)"


# ---------------------------------------------------------------------------------------------- quantity -> function


QUALITY = {
    "psnr_full_framework": framework_absolute,
    "ssim_full_framework": partial(framework_absolute, metric=SSIM),
    "psnr_student": partial(absolute, label="student", rule=at_least),
    "ssim_student": partial(absolute, label="student", metric=SSIM, rule=at_least),
    "psnr_full_framework_minus_student": framework_minus_student,
    "psnr_full_framework_above_student_percent": partial(framework_minus_student, percent=True),
    "ssim_full_framework_above_student_percent": partial(framework_minus_student, metric=SSIM, percent=True),
    "psnr_gain_affinity_on_other_networks": affinity_on_other_networks,
    "psnr_gain_intermediate_over_final_features": intermediate_over_final,
    "psnr_gain_super_resolution_over_bilinear_teacher": teacher_over_bilinear,
    "w_fa_changes_during_training": weight_chosen,
    "psnr_outdoor_and_real": outdoor_and_real,
    "test_scenes_used_in_training_or_selection": split_kept,
    "resolution_of_pairs": resolution_kept,
    "psnr_hr_minus_lr": partial(within_framework, suffix="-lr"),
    "ssim_hr_minus_lr": partial(within_framework, suffix="-lr", metric=SSIM),
    "psnr_w_fa_spread": weight_spread,
    "psnr_w_fa_best": best_weight,
    "psnr_l2_minus_l1": partial(l2_over, distance="l1"),
    "psnr_l2_minus_kl": partial(l2_over, distance="kl"),
} | TEACHERS | BASELINES
