"""Measures that only one claim on scores needs: of all baselines, of several differences, of the weights of w_FA.

As in special.py, the note of a row of claims.csv says when the claim holds.
"""

import dataclasses
import itertools
from collections.abc import Callable

import pandas as pd

from dehazelib.report import audit
from dehazelib.report.columns import DIFFERENCE
from dehazelib.report.interval import Interval
from dehazelib.report.measures import (
    OURS,
    alternatives,
    compared,
    need,
    need_sots,
    of_scores,
    scored,
    trained,
    with_evidence,
)
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.rules import (
    AIRLIGHT_ONE,
    RECONSTRUCTED,
    decide,
    fewer_than_published,
    gain,
    inside,
    positive,
    together,
)
from dehazelib.report.statistics import mean_interval
from dehazelib.report.tables import table
from dehazelib.report.verdict import Claim, Finding, NotTested, Reason, Status

CLOSE = {"psnr": 0.5, "ssim": 0.01}  # largest gap to a printed score
LIGHTWEIGHT = 0.1  # million parameters
AS_PUBLISHED = {"zid": "zid_oracle"}  # network -> label of the runs scored as its authors do, where not its own name
ZID_STEPS = 500  # for each image, its authors'
WEIGHTS = {"": 0.25, "-w0.50": 0.5, "-w0.75": 0.75}  # suffix of a framework's label -> w_FA


# ------------------------------------------------------------------------------------------- scores of Table 5's others


def baselines_retrained(rows: Rows, claim: Claim) -> Finding:
    table, total = _baselines(rows)
    gaps = (table.ours_psnr - table.psnr).set_axis(table.model)
    short = (table.ours_psnr < table.psnr - CLOSE["psnr"]) & table.fewer_images
    before = audit.printed_before()
    evidence = {"networks": len(table), "of_networks": total, "gaps": gaps.to_dict(),
                "printed_elsewhere_before": list(before.model[before.alike])} | _budget(rows, table)
    reason = None
    if short.any():
        reason = Reason.FEWER_IMAGES
    elif len(table) < total:
        reason = Reason.INCOMPLETE
    return Finding(mean_interval(gaps), (of_scores(rows, *table.label),), evidence,
                   holds=bool((gaps.abs() <= CLOSE["psnr"]).all()), reason=reason)


def baseline_ssim(rows: Rows, claim: Claim) -> Finding:
    """A network whose interval lies above its printed SSIM contradicts it; one below after fewer images does not, nor
    does one that is given the airlight."""
    table, total = _baselines(rows, (*RECONSTRUCTED, *AIRLIGHT_ONE))
    gaps = table.ours_ssim - table.ssim
    above, short = gaps > CLOSE["ssim"], gaps < -CLOSE["ssim"]
    surely = above & (table.ours_ssim_low - table.ssim > CLOSE["ssim"])  # one seed has no limits
    kinds = {"above_beyond_the_interval": surely, "above_within_the_interval": above & ~surely, "lower": short}
    evidence = {"networks": len(table), "of_networks": total} | _budget(rows, table) | {
        kind: dict(zip(table.model[chosen], gaps[chosen])) for kind, chosen in kinds.items()}
    reason = None
    if not surely.any() and table.fewer_images[short].any():
        reason = Reason.FEWER_IMAGES
    elif not surely.any() and not short.any() and (above.any() or len(table) < total):
        reason = Reason.INCOMPLETE
    return Finding(Interval(gaps.max()), (of_scores(rows, *table.label),), evidence,
                   holds=not surely.any() and not short.any(), reason=reason)


def _baselines(rows: Rows, without: tuple[str, ...] = ()) -> tuple[pd.DataFrame, int]:
    """Returns the other networks of Table 5 that have scores, printed ones beside ours, and how many there are."""
    table = published("table5").set_index("key").drop([*OURS, *without])
    table["label"] = [AS_PUBLISHED.get(key, key) for key in table.index]
    run = table[table.label.map(rows.has)].copy()
    if run.empty:
        need(rows, *table.label)
    need_sots(rows, *run.label)
    run["fewer_images"] = [fewer_than_published(rows, label) for label in run.label]
    run["ours_psnr"] = [rows.score(label).value for label in run.label]
    ssim = [rows.score(label, "ssim_gauss11_rgb") for label in run.label]
    run["ours_ssim"], run["ours_ssim_low"] = [one.value for one in ssim], [one.low for one in ssim]
    return run, len(table)


def _budget(rows: Rows, table: pd.DataFrame) -> dict:
    return scored(rows, *table.label) | trained(rows, *table.label)


def zero_shot(rows: Rows, claim: Claim) -> Finding:
    """ZID's score. It is fitted to each image, so no budget of training excuses a low one; but its authors stop each
    image at the step that its ground truth likes best, so only such a score, zid_oracle, can fall short of theirs."""
    (label,), *_ = alternatives(rows, claim.a)
    need_sots(rows, label)
    scores, steps = rows.of(label), rows.of_runs(label, "steps")
    interval = mean_interval(scores.groupby(scores.image.map(rows.unit)).psnr_rgb.mean())  # over rooms
    evidence = scored(rows, label) | {"steps_per_image": steps}
    most, reason = claim.printed + CLOSE["psnr"], None
    holds = inside(interval, claim.printed - CLOSE["psnr"], most)
    if not interval.bounded:
        reason = Reason.NO_LIMITS
    elif steps < ZID_STEPS:
        reason = Reason.FEWER_STEPS
    elif label == "zid" and interval.low <= most:
        reason = Reason.OTHER_STOPPING
    others = {other: rows.of(other) for other in ("student", "zid") if other != label and rows.has(other)}
    same = {other: part[part.image.isin(scores.image)].psnr_rgb for other, part in others.items()}
    evidence["beside"] = {other: Interval(psnr.mean()) for other, psnr in same.items() if len(psnr)}
    return Finding(interval, (of_scores(rows, label),), evidence, holds=holds, reason=reason)


def student_over_lightweight(rows: Rows, claim: Claim) -> Finding:
    """The student must beat every network below 0.1 million parameters, FAMED-Net by about the printed size."""
    (student,), *_ = alternatives(rows, claim.a)
    need(rows, "famed_net")
    table = published("table5")
    light = table.key[(table.parameters_millions < LIGHTWEIGHT) & ~table.key.isin([*OURS, "famed_net"])]
    found = compared(rows, claim, student, "famed_net")
    others = {key: rows.difference(student, key) for key in light if rows.has(key)}
    parts = [gain(found, claim), *map(positive, others.values())]
    found = with_evidence(found, beside={f"{student} less {key}": other for key, other in others.items()})
    return dataclasses.replace(found, labels=(*found.labels, *others), holds=together(parts))


# ----------------------------------------------------------------------------------------------- differences of several


def plug_and_play(rows: Rows, claim: Claim) -> Finding:
    """Every network must gain: the one that decides is one that does not, or else the one nearest to it."""
    keys = [label.removesuffix("-affinity") for label in rows.scores.label.unique() if label.endswith("-affinity")]
    if not keys:
        raise NotTested(Reason.NOT_RUN, missing=["<network>-affinity"])
    need(rows, *keys)
    return weakest(rows, claim, [(f"{key}-affinity", key) for key in keys], lambda interval: interval.low)


def weight_spread(rows: Rows, claim: Claim) -> Finding:
    """Every pair of weights must be that near: the one that decides is one that is not, or else the furthest apart."""
    labels = _by_weight(rows)
    pairs = [(better, worse) for worse, better in itertools.combinations(labels, 2)]
    return weakest(rows, claim, pairs, lambda interval: -interval.high)


def weakest(rows: Rows, claim: Claim, pairs: list[tuple[str, str]], strength: Callable[[Interval], float]) -> Finding:
    """Returns the comparison that contradicts the claim, or else one that leaves it open, or else the weakest."""
    found = [compared(rows, claim, *pair) for pair in pairs]
    order = {Status.AGREES: 2, Status.INCONCLUSIVE: 1, Status.NOT_TESTED: 1}  # all else contradicts: 0
    first = min(found, key=lambda one: (order.get(decide(rows, claim, one)[0], 0), strength(one.interval)))
    beside = {f"{a} less {b}": one.interval for (a, b), one in zip(pairs, found) if one is not first}
    return with_evidence(first, beside=beside) if beside else first


def best_weight(rows: Rows, claim: Claim) -> Finding:
    order = _by_weight(rows)
    weights = _weights(rows)
    base = min(weights, key=weights.get)
    gains = {label: rows.difference(base, label) for label in order if label != base}
    table = published("table7").set_index("key")
    evidence = scored(rows, *order) | trained(rows, *order) | {
        "beside": {f"{base} less {label}": interval for label, interval in gains.items()},
        "printed_best": {metric: table[metric].idxmax() for metric in ("psnr", "ssim")}}
    return Finding(Interval(weights[order[-1]]), (of_scores(rows, *order),), evidence, tuple(order),
                   holds=together(map(positive, gains.values())))


def _weights(rows: Rows) -> dict[str, float]:
    """Returns the labels of Table 7 and their weights, in the first reading that was run with all three."""
    for reading in READINGS:
        labels = [f"framework-{reading}{suffix}" for suffix in WEIGHTS]
        if all(map(rows.has, labels)):
            return dict(zip(labels, WEIGHTS.values()))
    raise NotTested(Reason.NOT_RUN, missing=[f"framework-<reading>{suffix}" for suffix in WEIGHTS])


def _by_weight(rows: Rows) -> list[str]:
    """Returns the labels of Table 7 from worst to best over the seeds that all of them have, else over all seeds."""
    labels = list(_weights(rows))
    scores = {label: rows.of(label) for label in labels}
    shared = set.intersection(*(set(part.seed) for part in scores.values()))
    if shared:
        scores = {label: part[part.seed.isin(shared)] for label, part in scores.items()}
    means = {label: part.groupby("seed").psnr_rgb.mean().mean() for label, part in scores.items()}
    return sorted(labels, key=means.get)


# ------------------------------------------------------------------------------------------------------------ selection


def split(rows: Rows, claim: Claim) -> Finding:
    """What choosing the checkpoint on the test set adds, in the label with most runs that had a choice; their mean,
    without limits, where several labels have as many."""
    selected = table("table_selection", rows)
    selected = selected[selected.validations > 1]
    if selected.empty:
        raise NotTested(Reason.NOT_RUN, missing=["runs with several checkpoints scored on the test set"])
    most = selected[selected.seeds == selected.seeds.max()]
    gains = {label: Interval(*limits) for label, *limits in selected[["label", *DIFFERENCE]].itertuples(index=False)}
    interval = gains[most.label.iloc[0]] if len(most) == 1 else Interval(most.difference.mean())
    return Finding(interval, ("curves.csv: validation_psnr_rgb, test_psnr_rgb",), {"beside": gains},
                   reason=Reason.UNSEEN)


MEASURES: dict[str, Callable[[Rows, Claim], Finding]] = {measure.__name__: measure for measure in (
    baselines_retrained, baseline_ssim, zero_shot, student_over_lightweight, plug_and_play, weight_spread, best_weight,
    split)}
