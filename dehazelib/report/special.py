"""Measures that only one claim needs, on what is printed, computing and data; special_scores.py has those on scores.

The note of a row of claims.csv says when the claim holds.
"""

import dataclasses
from collections.abc import Callable

import pandas as pd
import torch

from dehazelib import networks
from dehazelib.experiments.settings import RECIPES
from dehazelib.provenance import MACHINE, Machine
from dehazelib.report import audit
from dehazelib.report.interval import Interval
from dehazelib.report.measures import compute_row, counted, latency, of_compute
from dehazelib.report.rows import Rows, published
from dehazelib.report.rules import below, digits, positive, together
from dehazelib.report.statistics import mean_interval
from dehazelib.report.verdict import Claim, Finding, NotTested, Reason

FIXED_BUDGET = 2.0  # largest over smallest, above which a budget is not "fixed"
MINIMAL_OVERHEAD = 1.1  # of a training step's time
WITH, ALONE, RELEASED = "exact affinity, ", "student alone, ", "as released"  # methods of benchmarks/training.csv
REAL_TIME_MS = 1000 / 30  # 30 images per second
SCENES = 50  # of each half of SOTS, as the paper has it


# ------------------------------------------------------------------------------------------------------ what is printed


def headline_joint(rows: Rows, claim: Claim) -> Finding:
    table = audit.headline_matches()
    both = int((table.gained & table.sized).sum())
    evidence = {"as_large_gain_percent": dict(zip(table.model[table.sized], table.gain[table.sized])),
                "beaten_as_much_times_as_large": dict(zip(table.model[table.gained], table.times[table.gained]))}
    return Finding(Interval(both), of_tables(5), evidence, holds=both > 0)


def beats_baselines(rows: Rows, claim: Claim) -> Finding:
    table = printed(5).drop("student")
    above = {metric: list(table.model[table[metric] > table[metric]["full_framework"]]) for metric in ("psnr", "ssim")}
    evidence = {f"higher_{metric}": names for metric, names in above.items()} | {"networks": len(table)}
    return Finding(Interval(1 + len(above["psnr"])), of_tables(5), evidence, holds=not any(above.values()))


def student_tradeoff(rows: Rows, claim: Claim) -> Finding:
    table = printed(5)
    lighter = table[table.parameters_millions < table.parameters_millions["student"]]
    better = {metric: list(lighter.model[lighter[metric] > table[metric]["student"]]) for metric in ("psnr", "ssim")}
    names = {name for names in better.values() for name in names}
    evidence = {"smaller_networks": len(lighter), "higher_psnr": better["psnr"], "higher_ssim": better["ssim"]}
    return Finding(Interval(len(names)), of_tables(5), evidence, holds=not names)


def separable_tradeoff(rows: Rows, claim: Claim) -> Finding:
    better = {}
    for height, numbers in ((460, (1, 3)), (920, (2, 4))):
        table = pd.concat(map(printed, numbers))
        ours = table.loc["dsc_mc_fsrcnn"]
        table = table[(table.parameters < ours.parameters) & (table.psnr > ours.psnr)]
        better |= {f"{row.model} at {height}": f"{row.psnr} dB, ours {ours.psnr}" for row in table.itertuples()}
    return Finding(Interval(len(better)), of_tables(1, 2, 3, 4), {"smaller_and_better": better}, holds=not better)


def cheap_inference(rows: Rows, claim: Claim) -> Finding:
    times = printed(9).inference_ms
    rank = 1 + int((times < times["full_framework"]).sum())
    return Finding(Interval(rank), of_tables(9), {"networks": len(times)}, reason=Reason.UNSTATED)


def recipe_as_stated(rows: Rows, claim: Claim) -> Finding:
    stated, released = RECIPES["paper"], RECIPES["released"]
    same = all(stated[option] == released[option] for option in ("lr", "schedule"))
    return Finding(Interval(released["lr"] / stated["lr"]), ("dehazelib/experiments/settings.py: RECIPES",),
                   {"text": stated, "code": released}, holds=same)


def student_resolutions(rows: Rows, claim: Claim) -> Finding:
    sides = audit.student_sides()
    evidence = {"feature_maps": [f"{height} x {width}" for height, width in sides]}
    return Finding(Interval(len(set(sides))), ("dehazelib/networks/student.py",), evidence, holds=len(set(sides)) > 1)


def features_counted(rows: Rows, claim: Claim) -> Finding:
    parts, whole = audit.framework_gflops(), float(printed(9).gflops["full_framework"])
    total = parts["student"] + parts["teacher"] + parts["module, intermediate features"]
    return Finding(Interval(total), of_tables(9), {"gflops": parts, "printed_gflops": whole},
                   holds=total < whole + audit.ROUNDING)


def module_parameters(rows: Rows, claim: Claim) -> Finding:
    count = audit.module_parameters()
    return Finding(Interval(count), ("dehazelib/distillation/framework.py",), holds=count > 0)


def printed(number: int) -> pd.DataFrame:
    """Returns a table as printed, by key."""
    return published(f"table{number}").set_index("key")


def of_tables(*numbers: int) -> tuple[str, ...]:
    return tuple(f"results/published/table{number}.csv, as printed" for number in numbers)


# --------------------------------------------------------------------------------------------------- size and computing


def batch_norm_count(rows: Rows, claim: Claim) -> Finding:
    """Ours, and a placement that gives the printed count: the paper does not say which one it has."""
    counts, sources = counted(rows, "dscbn_mc_fsrcnn", "dsc_mc_fsrcnn")
    twice = counts["dsc_mc_fsrcnn"] + audit.normalised_twice()
    found = Finding(Interval(counts["dscbn_mc_fsrcnn"]), sources, {"parameters": counts, "normalised_twice": twice})
    holds = digits(found, claim)
    return dataclasses.replace(found, holds=holds, reason=None if holds else Reason.UNSTATED)


def branches(rows: Rows, claim: Claim) -> Finding:
    """MC-FSRCNN over one of its branches; beside it over FSRCNN-2x, which has one branch for all colours."""
    counts, sources = counted(rows, "mc_fsrcnn", "fsrcnn_x2")
    with torch.device("meta"):
        network = networks.build("mc_fsrcnn")
    branch = networks.parameters(network.branches["r"])
    times = counts["mc_fsrcnn"] / branch
    evidence = {"parameters": counts | {"one branch": branch}}
    return Finding(Interval(times), sources, evidence, holds=times == len(network.branches))


def decoupled(rows: Rows, claim: Claim) -> Finding:
    whole = compute_row(rows, "full_framework", needs="gflops_profiler")
    deployed = compute_row(rows, "student", whole.device, "gflops_profiler")
    share = float(deployed.gflops_profiler / whole.gflops_profiler)
    parts = {"student": deployed, "full_framework": whole}
    evidence = {"parameters": {name: row.parameters for name, row in parts.items()},
                "gflops": {name: row.gflops_profiler for name, row in parts.items()}}
    return Finding(Interval(share), (of_compute(deployed), of_compute(whole)), evidence,
                   holds=share < 1 and bool(deployed.parameters < whole.parameters))


def separable_compute(rows: Rows, claim: Claim) -> Finding:
    plain, separable = (compute_row(rows, name, needs="gflops") for name in ("mc_fsrcnn", "dsc_mc_fsrcnn"))
    saved = {column: float(100 * (1 - separable[column] / plain[column])) for column in ("gflops", "gflops_profiler")}
    return Finding(Interval(saved["gflops"]), (of_compute(plain), of_compute(separable)),
                   {"saved_percent": saved}, holds=min(saved.values()) > 0)


def separable_latency(rows: Rows, claim: Claim) -> Finding:
    """Both variants on a GPU, where that was timed, with limits from the spread of both."""
    ours = compute_row(rows, "dsc_mc_fsrcnn", needs="latency_ms")
    plain = compute_row(rows, "mc_fsrcnn", ours.device, "latency_ms")
    lead = Interval(0, plain.latency_ms_low - ours.latency_ms_high, plain.latency_ms_high - ours.latency_ms_low)
    holds = together([positive(lead), below(latency(ours), REAL_TIME_MS)])
    times = Interval(ours.latency_ms / plain.latency_ms, ours.latency_ms_low / plain.latency_ms_high,
                     ours.latency_ms_high / plain.latency_ms_low)
    evidence = {"machine": str(Machine.of(ours)),
                "ms": {"dsc_mc_fsrcnn": ours.latency_ms, "mc_fsrcnn": plain.latency_ms}}
    timed = rows.compute[rows.compute.name == "dsc_mc_fsrcnn"].dropna(subset="latency_ms").device
    reason = None
    if ours.device == "cpu":
        reason = Reason.ON_CPU
    elif "cpu" not in set(timed):
        reason = Reason.INCOMPLETE
    return Finding(times, (of_compute(ours), of_compute(plain)), evidence, holds=holds, reason=reason)


def real_time(rows: Rows, claim: Claim) -> Finding:
    """Decided on a GPU, where that was timed: a CPU is not the device that the claim is about."""
    row = compute_row(rows, "student", needs="latency_ms")
    evidence = {"machine": str(Machine.of(row)), "gflops": {"student": row.gflops_profiler},
                "gflops_per_second": row.gflops_profiler * 1000 / REAL_TIME_MS}
    return Finding(latency(row), (of_compute(row),), evidence, holds=below(latency(row), REAL_TIME_MS),
                   reason=Reason.ON_CPU if row.device == "cpu" else None)


def budget_spread(rows: Rows, claim: Claim) -> Finding:
    keys = set(printed(5).index) - {"full_framework"}
    table = rows.compute[rows.compute.name.isin(keys) & (rows.compute.form == "deployed") & (rows.compute.gflops > 0)]
    table = table.drop_duplicates("name").set_index("name")
    if len(table) < 2:
        raise NotTested(Reason.NOT_RUN, missing=sorted(keys - set(table.index)))
    times = float(table.gflops.max() / table.gflops.min())
    evidence = {"networks": len(table), "most_gflops": table.gflops.idxmax(), "fewest_gflops": table.gflops.idxmin(),
                "parameters_largest_over_smallest": float(table.parameters.max() / table.parameters.min())}
    return Finding(Interval(times), ("compute.csv: networks of Table 5",), evidence, holds=times <= FIXED_BUDGET)


def training_overhead(rows: Rows, claim: Claim) -> Finding:
    """A step with the module over one without, timed in turns. Decided on a GPU; every machine stands beside."""
    file = rows.folder.parent / "benchmarks" / "training.csv"
    if not file.exists():
        raise NotTested(Reason.NOT_RUN, missing=["benchmarks/training.csv"])
    timed = pd.read_csv(file, dtype={"gpu": str}).fillna({"gpu": ""})
    machines = {Machine.of(part.iloc[0]): _step_over_student(part) for _, part in timed.groupby(MACHINE)}
    machines = {machine: step for machine, step in machines.items() if step}
    if not machines:
        raise NotTested(Reason.NOT_RUN, missing=[f"{WITH}..., {ALONE}... in benchmarks/training.csv"])
    first = min(machines, key=lambda machine: not machine.gpu)  # the first with a GPU, else the first
    interval = machines[first]["exact"]
    reason = None if first.gpu else Reason.ON_CPU
    if reason is None and not interval.bounded:
        reason = Reason.NO_LIMITS
    beside = {f"{method}, {machine}": times for machine, step in machines.items() for method, times in step.items()}
    return Finding(interval, (f"benchmarks/training.csv: method={WITH}..., {ALONE}..., {RELEASED}",),
                   {"machine": str(first), "beside": beside}, holds=below(interval, MINIMAL_OVERHEAD), reason=reason)


def _step_over_student(timed: pd.DataFrame) -> dict[str, Interval]:
    """Returns, on one machine, the time of a step with the module over the student's alone, with limits over repeats:
    of the exact module in the quickest way of training that was timed both with and without, and as released. Empty if
    there is no such way."""
    times = timed.pivot(index="repeat", columns="method", values="ms")
    ways = [name.removeprefix(WITH) for name in times if name.startswith(WITH)]
    ways = [way for way in ways if ALONE + way in times]
    if not ways:
        return {}
    way = min(ways, key=lambda way: times[WITH + way].median())
    ratios = times.div(times[ALONE + way], axis="index")  # within each repeat
    methods = {"exact": WITH + way, "released": RELEASED}
    return {name: mean_interval(ratios[method].dropna()) for name, method in methods.items() if method in ratios}


# ----------------------------------------------------------------------------------------------------------------- data


def test_pairs(rows: Rows, claim: Claim) -> Finding:
    scores = rows.scores[rows.scores.test_set == claim.a]
    if "task" in scores:
        scores = scores[scores.task == "dehazing"]
    if scores.empty:
        raise NotTested(Reason.NOT_RUN, missing=[claim.a])
    images = pd.Series(scores.image.unique())
    scenes = images.str.partition("_")[0].nunique()
    return Finding(Interval(len(images)), (f"scores.csv: test_set={claim.a}",), {"scenes": scenes},
                   holds=len(images) == claim.printed and scenes == SCENES,
                   reason=Reason.INCOMPLETE if len(images) < claim.printed else None)


MEASURES: dict[str, Callable[[Rows, Claim], Finding]] = {measure.__name__: measure for measure in (
    headline_joint, beats_baselines, student_tradeoff, separable_tradeoff, cheap_inference, recipe_as_stated,
    student_resolutions, features_counted, module_parameters, real_time, batch_norm_count, branches, decoupled,
    separable_compute, separable_latency, budget_spread, training_overhead, test_pairs)}
