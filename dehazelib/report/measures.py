"""What is measured for a claim: a score, a difference, a count, a ratio, a saving, a cost, a column of a table.

A measure takes the rows of a study and a claim, and returns a Finding or raises NotTested. The columns `a` and `b` of a
claim name labels or networks. Where they list alternatives ("framework-as_released | framework-as_described"), the
first with rows decides, and the others stand beside it.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from dehazelib.provenance import Machine
from dehazelib.report.interval import Interval
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.rules import MARGIN_DB, RECONSTRUCTED, last_digit
from dehazelib.report.statistics import equivalence
from dehazelib.report.verdict import Claim, Finding, NotTested, Reason

PAPER_GPU = "3080 Ti"
SOTS_PAIRS = 500
WHOLE = "full_framework"  # student, teacher and module: the training graph, which the paper's tables count
OURS = ("student", WHOLE)
COLUMNS = {  # of Tables 5 and 9 -> of compute.csv, and what its unit is in the table's
    "parameters_millions": ("parameters", 1e-6), "size_mb": ("size_torch_mb", 1), "gflops": ("gflops_profiler", 1)}


# --------------------------------------------------------------------------------------------------------------- scores


def score(rows: Rows, claim: Claim) -> Finding:
    """Returns the mean score of label `a` on SOTS-indoor."""
    (label,), *others = alternatives(rows, claim.a)
    need_sots(rows, label)
    interval = rows.score(label, claim.metric)
    evidence = scored(rows, label) | trained(rows, label)
    if others:
        evidence["beside"] = {other: rows.score(other, claim.metric) for (other,) in others}
    return Finding(interval, (of_scores(rows, label),), evidence, (label,))


def difference(rows: Rows, claim: Claim) -> Finding:
    """Returns the score of label `a` less that of label `b`; in percent of the latter if that is the claim's unit."""
    pair, *others = alternatives(rows, claim.a, claim.b)
    found = compared(rows, claim, *pair)
    beside = {f"{a} less {b}": rows.difference(a, b, claim.metric) for a, b in others}
    if claim.unit == "percent":
        share = 100 / rows.score(pair[1], claim.metric).value
        beside = {name: other.times(share) for name, other in beside.items()}
        found = dataclasses.replace(found, interval=found.interval.times(share))
    return with_evidence(found, beside=beside) if beside else found


def compared(rows: Rows, claim: Claim, a: str, b: str) -> Finding:
    """Returns label a less label b, with every seed's own difference and what else tells the runs apart."""
    interval = rows.difference(a, b, claim.metric)
    evidence = scored(rows, a, b) | trained(rows, a, b)
    if claim.value and claim.unit in ("dB", "ssim") and math.isfinite(interval.value):
        evidence["times_printed"] = interval.value / claim.printed
    ours, theirs = (rows.of(label).groupby("seed")[claim.metric].mean() for label in (a, b))
    shared = ours.index.intersection(theirs.index)
    if len(shared) > 1:
        evidence["per_seed"] = (ours - theirs)[shared].to_dict()
    if claim.metric == "psnr_rgb" and interval.bounded:
        evidence["equivalence"] = equivalence(interval, MARGIN_DB)
    if apart := rows.options_apart(a, b):
        evidence["options_apart"] = apart
    shares = {label: rows.gradient_share(label) for label in (a, b)}
    if shares := {label: share for label, share in shares.items() if share > 0}:
        evidence["gradient_share"] = shares
    return Finding(interval, (of_scores(rows, a, b),), evidence, (a, b))


def scored(rows: Rows, *labels: str) -> dict:
    """Returns on what scores of these labels rest: test set, images, of how many pairs (SOTS-indoor), seeds."""
    evidence = {"test_set": rows.main, "images": sorted({rows.images(label) for label in labels}),
                "seeds": sorted({rows.seeds(label) for label in labels})}
    if rows.main == "sots_indoor" and rows.task(labels[0]) == "dehazing":
        evidence["of_pairs"] = SOTS_PAIRS
    return evidence


def trained(rows: Rows, *labels: str) -> dict:
    """Returns how these labels were trained: (steps, batch), once each; nothing if runs.csv does not tell."""
    runs = rows.runs[rows.runs.label.isin(labels)]
    if not {"steps", "batch"} <= set(runs):
        return {}
    if "training_images" in runs:
        runs = runs.dropna(subset="training_images")
    budgets = runs[["steps", "batch"]].drop_duplicates().astype(int)
    return {"trained": list(budgets.itertuples(index=False, name=None))} if len(budgets) else {}


def of_scores(rows: Rows, *labels: str) -> str:
    """Returns the source of scores."""
    return f"scores.csv: label={', '.join(labels)}; test_set={rows.main}"


def need(rows: Rows, *labels: str) -> None:
    """Raises NotTested naming the labels without scores."""
    if absent := [label for label in labels if not rows.has(label)]:
        raise NotTested(Reason.NOT_RUN, missing=absent)


def need_sots(rows: Rows, *labels: str) -> None:
    """Raises NotTested if scores are on other images than SOTS-indoor, so that no printed one compares with them."""
    if rows.main != "sots_indoor":
        raise NotTested(Reason.OTHER_TEST_SET, **scored(rows, *labels))


def alternatives(rows: Rows, *cells: str) -> list[tuple[str, ...]]:
    """Returns the alternatives that some cells name together, in order, as far as all of their labels have scores; a
    cell with one label has it in each."""
    labels = [cell.split(" | ") for cell in cells]
    most = max(map(len, labels))
    named = list(zip(*(names if len(names) == most else names * most for names in labels)))
    found = [together for together in named if all(map(rows.has, together))]
    if not found:
        need(rows, *dict.fromkeys(label for together in named for label in together))
    return found


def with_evidence(found: Finding, **more) -> Finding:
    """Returns the finding with more evidence."""
    return dataclasses.replace(found, evidence=found.evidence | more)


# ------------------------------------------------------------------------------------------------- parameters and costs


def parameters(rows: Rows, claim: Claim) -> Finding:
    """Returns the parameters of network `a`. Where there is a network `b`: less that one's, or by the claim's unit how
    many times as many they are, or how many percent of them `b` saves."""
    counts, sources = counted(rows, claim.a, *filter(None, [claim.b]))
    ours, theirs = counts[claim.a], counts.get(claim.b, 0)
    value = ours - theirs
    if claim.unit == "ratio":
        value = ours / theirs
    if claim.unit == "percent":
        value = 100 * (ours - theirs) / ours
    return Finding(Interval(value), sources, {"parameters": counts})


def cost(rows: Rows, claim: Claim) -> Finding:
    """Returns a column of compute.csv for network `a`, beside it that of network `b` on the same device."""
    row = compute_row(rows, claim.a, needs=claim.metric)
    evidence = {"parameters": {claim.a: row.parameters}}
    with contextlib.suppress(NotTested):  # it stands beside the answer, which does not need it
        other = compute_row(rows, claim.b, device=row.device, needs=claim.metric)
        evidence["beside"] = {claim.b: Interval(float(other[claim.metric]))}
    if claim.metric != "latency_ms":
        return Finding(Interval(float(row[claim.metric])), (of_compute(row),), evidence)
    machine = str(Machine.of(row))
    reason = None if PAPER_GPU in machine else Reason.OTHER_GPU
    return Finding(latency(row), (of_compute(row),), evidence | {"machine": machine}, reason=reason)


def table_column(rows: Rows, claim: Claim) -> Finding:
    """Returns how far column `metric` of printed table `a` is from ours in the network furthest off, ours left out.

    In percent of the printed number if that is the claim's unit. Every network must agree within the tolerance or,
    without one, to the last printed digit. Reconstructions, which agree by construction, are left out.
    """
    table = published(claim.a, text=True).set_index("key").drop([*OURS, *RECONSTRUCTED], errors="ignore")
    name, unit = COLUMNS[claim.metric]
    ours = rows.compute.dropna(subset=name).drop_duplicates("name").set_index("name")[name] * unit
    table = table.assign(ours=ours, theirs=table[claim.metric].astype(float))
    measured = table.dropna(subset="ours")
    if measured.empty:
        raise NotTested(Reason.NOT_RUN, missing=list(table.index))
    gaps = measured.ours - measured.theirs
    shares = 100 * gaps / measured.theirs
    if claim.tolerance:
        off = shares.abs() > float(claim.tolerance.rstrip(" %"))
    else:
        off = gaps.abs() >= measured[claim.metric].map(last_digit)
    told = shares if claim.unit == "percent" else gaps
    evidence = {"networks": len(measured), "of_networks": len(table),
                "off": dict(zip(measured.model[off], told[off]))}
    complete = len(measured) == len(table)
    return Finding(Interval(told.abs().max()), (f"compute.csv: name={', '.join(measured.index)}",), evidence,
                   holds=not off.any(), reason=None if complete or off.any() else Reason.INCOMPLETE)


def compute_row(rows: Rows, name: str, device: str = "", needs: str = "parameters") -> pd.Series:
    """Returns the row of compute.csv of a network as deployed, or of the framework's training graph.

    It has a number in the column `needs`, and was measured on `device` or, without one, on a GPU before a CPU. Raises
    NotTested if there is none.
    """
    form = "training_graph" if name == WHOLE else "deployed"
    found = rows.compute[(rows.compute.name == name) & (rows.compute.form == form)].dropna(subset=needs)
    if device:
        found = found[found.device == device]
    if found.empty:
        raise NotTested(Reason.NOT_RUN, missing=[name])
    on_cpu = found.device.str.lower().str.startswith("cpu")
    return found.iloc[np.argsort(on_cpu, kind="stable")].iloc[0]


def latency(row: pd.Series) -> Interval:
    """Returns the milliseconds in a row of compute.csv."""
    return Interval(*(float(row[f"latency_ms{limit}"]) for limit in ("", "_low", "_high")))


def of_compute(row: pd.Series) -> str:
    """Returns the source of a row of compute.csv."""
    return f"compute.csv: name={row['name']}, form={row.form}, device={row.device}"


def counted(rows: Rows, *names: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns the parameters of networks, as deployed (the framework: student and teacher), and where they stand."""
    found = {name: _parameters(rows, name) for name in names}
    return {name: count for name, (count, _) in found.items()}, tuple(source for _, source in found.values())


def _parameters(rows: Rows, name: str) -> tuple[float, str]:
    with contextlib.suppress(NotTested):  # runs.csv counts what was trained, too
        row = compute_row(rows, name)
        return float(row.parameters), f"compute.csv: name={name}, form={row.form}"
    if name == WHOLE:
        for label in (f"framework-{reading}" for reading in READINGS):
            both = rows.of_runs(label, "parameters") + rows.teacher_parameters(label)
            if not math.isnan(both):
                return both, f"runs.csv: label={label} and its teacher"
    counts = rows.runs.parameters[rows.runs.network == name].dropna().unique()
    if len(counts) != 1:
        raise NotTested(Reason.NOT_RUN, missing=[name])
    return float(counts[0]), f"runs.csv: network={name}"


# ----------------------------------------------------------------------------------------------------------- no measure


def none(rows: Rows, claim: Claim) -> Finding:
    """Raises NotTested for a claim that no measurement can decide: `a` names the reason, the note tells more."""
    raise NotTested(Reason[claim.a])


MEASURES: dict[str, Callable[[Rows, Claim], Finding]] = {measure.__name__: measure for measure in (
    score, difference, parameters, cost, table_column, none)}
