"""Claims about image quality: from scores.csv, with runs.csv and curves.csv for what the scores rest on."""

import dataclasses
import itertools
import math
from functools import partial

import numpy as np
import pandas as pd

from dehazelib.claims import (
    CLOSE,
    MARGIN_DB,
    RECONSTRUCTED,
    Measurement,
    NotTested,
    above_zero,
    at_least,
    at_most,
    budget,
    close,
    decided,
    falls_short,
    fewer_images,
    fewer_than_published,
    need,
    positive,
    reading,
    ruling,
    scored,
    seeds_rule,
    signed,
    tested_on,
    together,
    training,
    undecidable,
    undecided,
    undertrained,
)
from dehazelib.claims_printed import printed_before
from dehazelib.measured import READINGS, Measured, published
from dehazelib.statistics import equivalence, mean_interval
from dehazelib.study import LONGEST, PAPER_WEIGHT
from dehazelib.tables_scores import selection

PSNR, SSIM = "psnr_rgb", "ssim_gauss11_rgb"  # as the authors evaluate both
LIMITS = {PSNR: ("psnr_low", "psnr_high"), SSIM: ("ssim_low", "ssim_high")}
LIGHTWEIGHT = 0.1  # million parameters
OURS = ("student", "full_framework")
FOURFOLD = ("fsrcnn_x4", "srresnet", "drn_s")  # networks that enlarge four times
SAME_RUNS = "the claims on this gain in dB, in % of PSNR and in % of SSIM rest on the same runs: one finding, not three"


# --------------------------------------------------------------------------------------- absolute scores, differences


def absolute(study: Measured, claim: pd.Series, label: str, metric: str = PSNR, rule=close) -> Measurement:
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
    return _with_note(m, ["higher than printed, though after training on fewer images"] * higher)


def difference(study: Measured, claim: pd.Series, a: str, b: str, metric: str = PSNR,
               rule=above_zero) -> Measurement:
    """a minus b; `why` holds every seed's own difference, the size beside the paper's and what else differs."""
    need(study, a, b)
    value, low, high = study.difference(a, b, metric)
    notes = [tested_on(study, a, b)]
    if claim.value and math.isfinite(value) and claim.unit in ("dB", "ssim"):
        times = value / float(claim.value)
        notes.append(f"{times:.2g} times the printed size" + ", of the same sign" * (times > 0 and low > 0))
    notes.append(training(study, a, b))
    per_seed = [study.rows(label).groupby("seed")[metric].mean() for label in (a, b)]
    if len(shared := per_seed[0].index.intersection(per_seed[1].index)) > 1:
        gaps = ", ".join(f"{per_seed[0][s] - per_seed[1][s]:+.4g}" for s in shared)
        notes.append(f"over the {len(shared)} seeds of both, per seed {gaps}")
    if metric == PSNR and math.isfinite(low):
        notes.append(f"{equivalence(low, high, MARGIN_DB)} at a margin of {MARGIN_DB} dB")
    if apart := study.options_apart(a, b):
        notes.append(f"the runs differ in {', '.join(apart)}")
    return Measurement(value, scored(study, a, b), "; ".join(notes), seeds_rule(study, (a, b), rule), low, high)


def enlarging_difference(study: Measured, claim: pd.Series, a: str, b: str, target: str,
                         rule=above_zero) -> Measurement:
    """a minus b, two super-resolution networks; undecided where one of them is below bicubic resizing."""
    first = difference(study, claim, f"{a}-{target}", f"{b}-{target}", rule=rule)
    below = [name for name in (a, b) if _below_bicubic(study, name, target)]
    if not below:
        return first
    sign = "as printed" if first.value * float(claim.value) > 0 else "the other way round"
    zero = "includes" if first.low <= 0 <= first.high else "excludes"
    limits = "it has no interval" if math.isnan(first.low) else f"its interval {zero} zero"
    first = _with_note(first, [f"the direction is {sign}, and {limits}; below bicubic resizing: {', '.join(below)}"])
    return dataclasses.replace(first, rule=undertrained)


def _below_bicubic(study: Measured, network: str, target: str) -> bool:
    """Returns whether a network scores below bicubic resizing by its own factor, on the images that both have; False
    where that control was not run."""
    bicubic = "bicubic_x4" if network in FOURFOLD else "bicubic"
    control = study.rows(f"{bicubic}-{target}").groupby("image")[PSNR].mean()
    ours = study.rows(f"{network}-{target}").groupby("image")[PSNR].mean()
    shared = control.index.intersection(ours.index)
    return bool(ours[shared].mean() < control[shared].mean())


def mc_over_drn(study: Measured, claim: pd.Series) -> Measurement:
    return _with_note(enlarging_difference(study, claim, "mc_fsrcnn", "drn_s", "upsampled"), [
        "DRN-S enlarges four times, so it starts from the image at half its size (dehazelib/resampling.py), which is "
        "a harder task than the other's two times"])


def framework_absolute(study: Measured, claim: pd.Series, metric: str = PSNR) -> Measurement:
    readings = reading(study, "")
    first = absolute(study, claim, f"framework-{readings[0]}", metric, at_least)
    return _with_note(first, [f"{name}: {study.summary(f'framework-{name}')[metric]:.4f}" for name in readings[1:]])


def framework_minus_student(study: Measured, claim: pd.Series, metric: str = PSNR,
                            percent: bool = False) -> Measurement:
    need(study, "student")
    readings = reading(study, "")
    first = difference(study, claim, f"framework-{readings[0]}", "student", metric)
    others = [f"{name}{suffix}" for suffix in ("", "-adaptive") for name in READINGS]
    others = [name for name in others if name != readings[0] and study.has(f"framework-{name}")]
    first = _with_note(first, [_gradient_share(study, f"framework-{readings[0]}"), *(
        f"{name}: {_signed(study, f'framework-{name}', 'student', metric)}" for name in others),
        *_longest_pair(study, metric), SAME_RUNS])
    if not percent:
        return first
    base = study.summary("student")[metric]
    value, low, high = (100 * x / base for x in (first.value, first.low, first.high))
    return dataclasses.replace(first, value=value, low=low, high=high)


def _longest_pair(study: Measured, metric: str) -> list[str]:
    """Returns what the module adds to the longest run, if both were run."""
    alone, guided = LONGEST
    if not (study.has(alone) and study.has(guided)):
        return []
    return [f"{guided} less {alone} {_signed(study, guided, alone, metric)}, {study.images_seen(alone):,.0f} images "
            f"each, over {tested_on(study, guided, alone)}"]


def within_framework(study: Measured, claim: pd.Series, suffix: str, metric: str = PSNR) -> Measurement:
    """The full framework minus its variant, in the first reading that has both; `why` lists the other reading."""
    readings = reading(study, "", suffix)
    pairs = [(f"framework-{name}", f"framework-{name}{suffix}") for name in readings]
    first = difference(study, claim, *pairs[0], metric)
    return _with_note(first, [_gradient_share(study, *pairs[0])] + [
        f"{name}: {_signed(study, *pair, metric)}, {_gradient_share(study, *pair)}"
        for name, pair in zip(readings[1:], pairs[1:])])


# ------------------------------------------------------------------------------------------- single claims


def l2_over(study: Measured, claim: pd.Series, distance: str) -> Measurement:
    labels = [f"framework-{reading(study, '', f'-{distance}')[0]}{suffix}" for suffix in ("", f"-{distance}")]
    weights = {label: study.of_runs(label, "affinity_weight") for label in labels}
    told = " and ".join(f"{label} {'unrecorded' if math.isnan(w) else f'{w:.3g}'}" for label, w in weights.items())
    note = f"w_FA in these runs, at which the distances push with very different strength: {told}"
    if not math.isnan(weights[labels[0]]) and weights[labels[0]] != PAPER_WEIGHT:
        note += f"; the L2 norm's is the printed {PAPER_WEIGHT} rescaled to the size of the training images"
    softmax = ["KL needs distributions: the softmax over each row, which makes them, is this study's choice"]
    return _with_note(within_framework(study, claim, f"-{distance}"), [note] + softmax * (distance == "kl"))


def affinity_on_other_networks(study: Measured, claim: pd.Series) -> Measurement:
    """Every network must gain: the one that decides is one that does not, or else the one nearest to it."""
    keys = [label.removesuffix("-affinity") for label in study.scores.label.unique() if label.endswith("-affinity")]
    if not keys:
        raise NotTested("not run: scores.csv has no label <key>-affinity, another network with the module")
    gains = {key: difference(study, claim, f"{key}-affinity", key) for key in keys}
    key = min(keys, key=lambda key: ((False, None, True).index(ruling(gains[key], claim)[0]), gains[key].low))
    if len(keys) == 1:
        return gains[key]
    why = f"{key}, which decides, since each of {len(keys)} networks must gain: {gains[key].why}"
    first = dataclasses.replace(gains[key], why=why)
    return _with_note(first, [f"{key} {signed(m.value, m.low, m.high)}" for key, m in gains.items()])


def intermediate_over_final(study: Measured, claim: pd.Series) -> Measurement:
    """With adaptive weights where the study has them: at the printed one the terms are of very unlike strength."""
    printed = ("framework-as_described", "framework-as_released")
    adaptive = tuple(f"{label}-adaptive" for label in printed)
    has_printed, has_adaptive = (all(map(study.has, pair)) for pair in (printed, adaptive))
    pair = adaptive if has_adaptive else printed
    first = _with_note(difference(study, claim, *pair), [_gradient_share(study, *pair)])
    if not (has_printed and has_adaptive):
        return first
    return _with_note(first, [f"with the weight as printed {_signed(study, *printed)}, where "
                              f"{_gradient_share(study, *printed)}"])


def teacher_over_bilinear(study: Measured, claim: pd.Series) -> Measurement:
    """The super-resolution teacher less bilinear resizing, both in runs that differ in little else."""
    substitute = "framework-bilinear_teacher"
    others = {"framework-untrained_teacher": ", of random weights and nearly black output,",
              "framework-black_teacher": ", whose teacher is a black image,"}
    frameworks = [name for name in ("framework-as_released-adaptive", "framework-as_released") if study.has(name)]
    need(study, substitute, *([] if frameworks else ["framework-as_released"]))
    ours = min(frameworks, key=lambda name: len(study.options_apart(name, substitute)))
    notes = ["the claim speaks of a teacher trained to reconstruct, which was not run: bilinear resizing, which has "
             "learnt nothing, stands in for it"]
    notes += [f"{ours} less {label}{what} {_signed(study, ours, label)}" for label, what in others.items()
              if study.has(label)]
    return _with_note(difference(study, claim, ours, substitute), notes)


def weight_chosen(study: Measured, claim: pd.Series) -> Measurement:
    printed = ", ".join(published("table7").key)
    raise NotTested(f"the paper gives no rule that chooses the weight, and reports preset values ({printed}): there is "
                    "nothing to run")


def weight_spread(study: Measured, claim: pd.Series) -> Measurement:
    """Every pair of weights must be that near: the pair that decides is one that is not, or else the furthest apart."""
    labels, weights = _by_weight(study)
    pairs = [(better, worse) for worse, better in itertools.combinations(labels, 2)]
    gaps = [difference(study, claim, *pair, rule=at_most) for pair in pairs]
    first = min(gaps, key=lambda m: ((False, None, True).index(ruling(m, claim)[0]), -m.high))
    return _with_note(first, [f"w_FA {weights[a]:g} less {weights[b]:g} {signed(m.value, m.low, m.high)}"
                              for (a, b), m in zip(pairs, gaps)])


def best_weight(study: Measured, claim: pd.Series) -> Measurement:
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


def outdoor_and_real(study: Measured, claim: pd.Series) -> Measurement:
    outdoor = [name for name in study.test_sets if "outdoor" in name or "real" in name]
    have = ", ".join(study.test_sets) or "none"
    raise NotTested(f"the paper prints indoor scores only; test sets in scores.csv: {have}" + (
        "; no printed number to compare with" if outdoor else ", none of them outdoors or real haze with ground truth"))


def split_kept(study: Measured, claim: pd.Series) -> Measurement:
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


def resolution_kept(study: Measured, claim: pd.Series) -> Measurement:
    if study.main != "sots_indoor":
        raise NotTested(f"embedded {study.main}, not RESIDE" if study.main else "not run: scores.csv has no rows")
    raise NotTested("no row shows what the authors did with their files, and here it holds by construction: dehazelib "
                    "reads RESIDE's images at 460x620 (clear ones of 640x480 cut at the borders) and refuses other "
                    "sizes; the teacher's 920x1240 target, an image resized, is another matter")


def baselines_retrained(study: Measured, claim: pd.Series) -> Measurement:
    table = published("table5")
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


def reconstructed(study: Measured, claim: pd.Series, label: str) -> Measurement:
    """A score that decides nothing, near the printed one or not: ours is not the authors' network."""
    return dataclasses.replace(absolute(study, claim, label), rule=undecidable(
        "the network has no public source: ours is a reconstruction from its parameter count"))


def baseline_ssim(study: Measured, claim: pd.Series) -> Measurement:
    """A network above its printed SSIM contradicts it; one below after fewer images says nothing."""
    table = published("table5").set_index("key").drop([*OURS, *RECONSTRUCTED])
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


def gcanet_over_student(study: Measured, claim: pd.Series, metric: str = PSNR) -> Measurement:
    return difference(study, claim, "gcanet", _student(study), metric)


def _student(study: Measured) -> str:
    """Returns the label of the student that is compared with other networks: at their budget, where that was run."""
    return "student-equal_budget" if study.has("student-equal_budget") else "student"


def student_over_lightweight(study: Measured, claim: pd.Series) -> Measurement:
    table, student = published("table5"), _student(study)
    light = table.key[(table.parameters_millions < LIGHTWEIGHT) & ~table.key.isin(OURS)]
    need(study, student, "famed_net")
    first = difference(study, claim, student, "famed_net")
    others = {key: study.difference(student, key) for key in light if study.has(key) and key != "famed_net"}
    rule = seeds_rule(study, (student, "famed_net", *others), together(
        [above_zero(first, claim), *(positive(low, high) for _, low, high in others.values())],
        f"the student beats all {1 + len(others)} networks measured below {LIGHTWEIGHT} million parameters, FAMED-Net "
        "by half to twice the printed size"))
    first = _with_note(first, [f"student less {key} {signed(*values)}" for key, values in others.items()])
    return dataclasses.replace(first, rule=rule)


def _by_weight(study: Measured) -> tuple[list[str], dict[str, float]]:
    """Returns the labels of Table 7 from worst to best over the seeds that all of them have, and their weights."""
    suffixes = {"": 0.25, "-w0.50": 0.5, "-w0.75": 0.75}
    name = reading(study, *suffixes)[0]
    weights = {f"framework-{name}{suffix}": weight for suffix, weight in suffixes.items()}
    rows = {label: study.rows(label) for label in weights}
    shared = set.intersection(*(set(part.seed) for part in rows.values()))
    means = {label: part[part.seed.isin(shared) | (not shared)].groupby("seed")[PSNR].mean().mean()
             for label, part in rows.items()}
    return sorted(weights, key=means.get), weights


def _signed(study: Measured, a: str, b: str, metric: str = PSNR) -> str:
    return signed(*study.difference(a, b, metric), digits=3 if metric == PSNR else 5)


def gradient_share(study: Measured, label: str) -> float:
    """Returns the affinity term's share of a label's gradient, in percent: the median over its curves, or NaN."""
    curves = study.curves
    return 100 * curves.affinity_share[curves.label == label].median() if "affinity_share" in curves else math.nan


def _gradient_share(study: Measured, *labels: str) -> str:
    parts = []
    for label in labels:
        share = gradient_share(study, label)
        parts.append(f"{'an unrecorded part' if math.isnan(share) else f'{share:.2g} %'} of the gradient of {label}")
    return f"the affinity term holds {' and '.join(parts)} (medians, curves.csv)"


def _with_note(m: Measurement, notes: list[str]) -> Measurement:
    return dataclasses.replace(m, why="; ".join([m.why, *notes]))


# ---------------------------------------------------------------------------------------------- quantity -> function


TARGETS = {"460": "native", "920": "upsampled"}  # height of the target -> end of the label
VARIANTS = (("mc_fsrcnn", "fsrcnn_x2", above_zero), ("mc_fsrcnn", "dsc_mc_fsrcnn", at_most),
            ("mc_fsrcnn", "relu_mc_fsrcnn", above_zero), ("dsc_mc_fsrcnn", "dscbn_mc_fsrcnn", above_zero))
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
    "psnr_baselines_retrained_minus_published": baselines_retrained,
    **{f"psnr_{size}_{a}_minus_{b}": partial(enlarging_difference, a=a, b=b, target=target, rule=rule)
       for size, target in TARGETS.items() for a, b, rule in VARIANTS},
    "psnr_920_mc_fsrcnn_minus_drn_s": mc_over_drn,
    **{f"psnr_920_{name}": partial(absolute, label=f"{name}-upsampled", rule=at_least)
       for name in ("mc_fsrcnn", "dsc_mc_fsrcnn")},
    "psnr_460_drn_s": partial(absolute, label="drn_s-native"),
    "psnr_460_srresnet": partial(absolute, label="srresnet-native"),
    "psnr_hr_minus_lr": partial(within_framework, suffix="-lr"),
    "ssim_hr_minus_lr": partial(within_framework, suffix="-lr", metric=SSIM),
    "psnr_w_fa_spread": weight_spread,
    "psnr_w_fa_best": best_weight,
    "psnr_l2_minus_l1": partial(l2_over, distance="l1"),
    "psnr_l2_minus_kl": partial(l2_over, distance="kl"),
    "psnr_gcanet_minus_student": gcanet_over_student,
    "ssim_gcanet_minus_student": partial(gcanet_over_student, metric=SSIM),
    "psnr_student_minus_famed_net": student_over_lightweight,
    **{f"psnr_{key}": partial(reconstructed if key in RECONSTRUCTED else absolute, label=key)
       for key in ("aod_net", "ssid", "zid", "lsid_fcnn", "mscnn", "dehazenet", "famed_net", "gfn", "gcanet", "dcpdn",
                   "cycle_dehaze", "msbdn", "ffa_net", "pfdn", "dehazing_4k", "griddehazenet")},
    "ssim_baselines": baseline_ssim,
}
