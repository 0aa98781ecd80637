"""Claims about computing and data: from compute.csv and runs.csv, from scores.csv for the test set, and from the
benchmarks beside the study for a training step."""

import dataclasses
from functools import partial

import pandas as pd

from dehazelib.provenance import MACHINE, Machine
from dehazelib.report.claims import (
    PAPER_GPU,
    Measurement,
    NotTested,
    as_printed,
    below,
    compute_row,
    decided,
    exactly,
    last_digit,
    near,
    on_cpu,
    positive,
    together,
    undecided,
    without_limits,
)
from dehazelib.report.claims_size import SIZE
from dehazelib.report.rows import Rows, published
from dehazelib.report.statistics import mean_interval

FIXED_BUDGET = 2.0  # largest over smallest, above which a budget is not "fixed"
MINIMAL_OVERHEAD = 1.1  # of a training step's time
WITH, ALONE, RELEASED = "exact affinity, ", "student alone, ", "as released"  # methods of benchmarks/training.csv
REAL_TIME_MS = 1000 / 30  # 30 images per second
SCENES = 50  # of each half of SOTS, as the paper has it


# ------------------------------------------------------------------------------------------------------ computing


def framework_compute(study: Rows, claim: pd.Series, column: str, rule) -> Measurement:
    """A column of the training graph's row, with the deployed student's beside it."""
    whole = compute_row(study, "full_framework", "training_graph", needs=column)
    why = f"training graph (student, teacher and module) {whole[column]:.6g} {claim.unit}"
    try:
        deployed = compute_row(study, "student", device=whole.device, needs=column)
        share = 100 * deployed[column] / whole[column]
        why += f"; the deployed student alone {deployed[column]:.6g}, {share:.0f} % of it"
    except NotTested:
        why += "; the deployed student was not measured"
    return Measurement(float(whole[column]), _source(whole), why, rule)


def framework_size(study: Rows, claim: pd.Series) -> Measurement:
    """As torch.save writes it, and how much of that are the numbers themselves."""
    m = framework_compute(study, claim, "size_torch_mb", near)
    row = compute_row(study, "full_framework", "training_graph", needs="size_mb")
    numbers = 4 * row.parameters / 2**20
    why = (f"{m.why}; as torch.save writes weights, as safetensors {row.size_mb:.6g}; {numbers:.3g} MB are the "
           f"{row.parameters:,.0f} numbers, four bytes each; the rest of a file is its container's overhead")
    return dataclasses.replace(m, why=why)


def framework_latency(study: Rows, claim: pd.Series) -> Measurement:
    m = framework_compute(study, claim, "latency_ms", undecided)
    row = compute_row(study, "full_framework", "training_graph", needs="latency_ms")
    low, high, device = float(row.latency_ms_low), float(row.latency_ms_high), _device(row)
    if PAPER_GPU not in device:
        why = f"{m.why}; on {device}, the paper on an RTX {PAPER_GPU}"
        return Measurement(m.value, m.source, why, undecided, low, high)
    rule = decided(low <= float(claim.value) <= high, "the printed time lies within the spread measured")
    return Measurement(m.value, m.source, f"{m.why}; on {device}", rule, low, high)


def decoupled(study: Rows, claim: pd.Series) -> Measurement:
    whole = compute_row(study, "full_framework", "training_graph", needs="gflops_profiler")
    deployed = compute_row(study, "student", device=whole.device, needs="gflops_profiler")
    share = deployed.gflops_profiler / whole.gflops_profiler
    why = (f"by construction: share of the training graph's GFLOPs ({deployed.gflops_profiler:.3f} of "
           f"{whole.gflops_profiler:.3f}) and {deployed.parameters:,.0f} of {whole.parameters:,.0f} parameters left "
           "when the student runs alone")
    return Measurement(float(share), f"{_source(deployed)}; {_source(whole)}", why, decided(
        share < 1 and deployed.parameters < whole.parameters, "the student alone needs fewer GFLOPs and parameters"))


def training_overhead(study: Rows, claim: pd.Series) -> Measurement:
    """A step with the module over one without, timed in turns. Decided on a GPU; `why` lists all machines."""
    file = study.folder.parent / "benchmarks" / "training.csv"
    if not file.exists():
        raise NotTested("not run: no benchmarks/training.csv beside the study (dehazelib bench training)")
    machines = [rows for _, rows in pd.read_csv(file, dtype={"gpu": str}).fillna({"gpu": ""}).groupby(MACHINE)]
    machines.sort(key=lambda rows: not rows.gpu.any())
    steps = [(step, rows.gpu.any()) for rows in machines if (step := _step_over_student(rows))]
    if not steps:
        raise NotTested("not run: benchmarks/training.csv has no way of training both with the module and without it")
    ((value, low, high), _), on_gpu = steps[0]
    rule = without_limits if pd.isna(low) else together(
        [below(low, high, MINIMAL_OVERHEAD)], "a step takes at most 10 % longer, the whole 95 % interval")
    rule = rule if on_gpu else on_cpu
    return Measurement(value, f"benchmarks/training.csv: method={WITH}..., {ALONE}..., {RELEASED}",
                       "; ".join(why for (_, why), _ in steps), rule, low, high)


def _step_over_student(rows: pd.DataFrame) -> tuple[tuple[float, float, float], str] | None:
    """Returns, on one machine, the ratio of a step's time with the module to the student's alone with its limits over
    repeats, and what it rests on; None if no way of training was timed both with and without. The quickest counts."""
    times = rows.pivot(index="repeat", columns="method", values="ms")
    ways = [name.removeprefix(WITH) for name in times if name.startswith(WITH)]
    ways = [way for way in ways if ALONE + way in times]
    if not ways:
        return None
    way = min(ways, key=lambda way: times[WITH + way].median())
    ratios = times.div(times[ALONE + way], axis="index")  # within each repeat
    ours, first = mean_interval(ratios[WITH + way].dropna()), rows.iloc[0]
    why = (f"a training step takes {_times(*ours)} times the student's alone, both {way}, {len(times)} repeats in "
           f"turns, {first.batch} images of {first.height}x{first.width}, on "
           f"{Machine.of(first)}")
    if RELEASED in ratios:
        released = mean_interval(ratios[RELEASED].dropna())
        why += ("; the released step, made again with its N x N matrices and freed memory given back, "
                f"{_times(*released)}")
    return ours, f"{why}; memory was not compared"


def _times(value: float, low: float, high: float) -> str:
    return f"{value:.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]")


def baseline_gflops(study: Rows, claim: pd.Series) -> Measurement:
    table = published("table9", text=True)  # the printed digits decide
    table = table[table.key != "full_framework"]
    off, absent, sources = {}, [], []
    for row in table.itertuples():
        try:
            ours = compute_row(study, row.key, needs="gflops_profiler")
        except NotTested:
            absent.append(row.model)
            continue
        sources.append(row.key)
        off[row.model] = (abs(ours.gflops_profiler - float(row.gflops)), last_digit(row.gflops))
    if not off:
        raise NotTested("not run: compute.csv has no baseline of Table 9")
    agree = [model for model, (gap, digit) in off.items() if gap < digit]
    disagree = [f"{model} by {gap:.3f}" for model, (gap, _) in off.items() if model not in agree]
    why = f"largest gap of {len(off)} of {len(table)} networks; {len(agree)} agree in the paper's convention"
    why += f"; off: {', '.join(disagree)}" if disagree else ""
    why += f"; not measured: {', '.join(absent)}" if absent else ""
    text = "every network of Table 9 less than one unit of its last printed digit away"
    rule = undecided if absent and not disagree else decided(not disagree, text)
    return Measurement(max(gap for gap, _ in off.values()), f"compute.csv: name={', '.join(sources)}", why, rule)


def budget_spread(study: Rows, claim: pd.Series) -> Measurement:
    keys = set(published("table5").key) - {"full_framework"}
    rows = study.compute[study.compute.name.isin(keys) & (study.compute.form == "deployed")].drop_duplicates("name")
    rows = rows[rows.gflops > 0]
    if len(rows) < 2:
        raise NotTested("not run: compute.csv has fewer than two networks of Table 5")
    ratio = {column: rows[column].max() / rows[column].min() for column in ("gflops", "parameters")}
    small, large = rows.loc[rows.gflops.idxmin(), "name"], rows.loc[rows.gflops.idxmax(), "name"]
    why = (f"largest over smallest GFLOPs of {len(rows)} networks ({large} over {small}); of parameters "
           f"{ratio['parameters']:,.0f}")
    return Measurement(float(ratio["gflops"]), "compute.csv: networks of Table 5", why, decided(
        ratio["gflops"] <= FIXED_BUDGET, f"largest at most {FIXED_BUDGET:g} times the smallest"))


def separable_compute(study: Rows, claim: pd.Series) -> Measurement:
    plain, separable = (compute_row(study, name, needs="gflops") for name in ("mc_fsrcnn", "dsc_mc_fsrcnn"))
    saved = {column: 100 * (1 - separable[column] / plain[column]) for column in ("gflops", "gflops_profiler")}
    why = (f"{plain.gflops:.3f} -> {separable.gflops:.3f} true GFLOPs, saved in %; in the paper's convention, without "
           f"transposed convolutions, {plain.gflops_profiler:.3f} -> {separable.gflops_profiler:.3f}, "
           f"{saved['gflops_profiler']:.0f} %")
    return Measurement(float(saved["gflops"]), f"{_source(plain)}; {_source(separable)}", why, decided(
        min(saved.values()) > 0, "fewer GFLOPs in both conventions; the paper gives no number"))


def separable_latency(study: Rows, claim: pd.Series) -> Measurement:
    """Decided on a GPU; `why` gives the CPU's times, too."""
    first, device = _separable_over_plain(study)
    if device.startswith("cpu"):
        return dataclasses.replace(first, rule=on_cpu)
    try:
        return dataclasses.replace(first, why=f"{first.why}; {_separable_over_plain(study, 'cpu')[0].why}")
    except NotTested:
        return dataclasses.replace(first, rule=undecided, why=f"{first.why}; not timed on a CPU")


def _separable_over_plain(study: Rows, device: str = "") -> tuple[Measurement, str]:
    """Returns the ratio of both variants' latencies on a device (default: a GPU before a CPU), and the device."""
    a = compute_row(study, "dsc_mc_fsrcnn", device=device, needs="latency_ms")
    b = compute_row(study, "mc_fsrcnn", device=a.device, needs="latency_ms")
    why = (f"{a.latency_ms:.2f} ms over {b.latency_ms:.2f} ms on {_device(a)}, {a.gflops:.3f} over {b.gflops:.3f} true "
           "GFLOPs; limits from the spread of both")
    rule = together([positive(b.latency_ms_low - a.latency_ms_high, b.latency_ms_high - a.latency_ms_low),
                     below(a.latency_ms_low, a.latency_ms_high, REAL_TIME_MS)],
                    f"faster beyond the spread, and at most {REAL_TIME_MS:.1f} ms (30 images per second)")
    return Measurement(a.latency_ms / b.latency_ms, f"{_source(a)}; {_source(b)}", why, rule,
                       a.latency_ms_low / b.latency_ms_high, a.latency_ms_high / b.latency_ms_low), a.device.lower()


# ----------------------------------------------------------------------------------------------------------- data


def training_images(study: Rows, claim: pd.Series) -> Measurement:
    """Our training sets leave out validation scenes, so the rows bound the count from below but do not decide it."""
    data = sorted(set(study.runs.data)) if "data" in study.runs else []
    if data != ["its"]:
        raise NotTested(f"the study's training data are {' and '.join(data) or 'unknown'}, not the files of ITS")
    curves = study.curves[study.curves.label == "student"].dropna(subset=["images", "epoch"])
    if curves.empty:
        raise NotTested("not run: curves.csv has no rows of student")
    images = float((curves.images / curves.epoch).median())
    value = images / 10 if claim.quantity == "images_its_clear" else images
    return Measurement(round(value), "curves.csv: label=student; images / epoch",
                       "training part only: held-out validation scenes are not in it", undecided)


def test_pairs(study: Rows, claim: pd.Series, test_set: str = "sots_indoor") -> Measurement:
    rows = study.scores[study.scores.test_set == test_set]
    rows = rows[rows.task == "dehazing"] if "task" in rows else rows
    if rows.empty:
        have = ", ".join(study.test_sets)
        raise NotTested(f"test sets in scores.csv: {have}, not {test_set}" if have else
                        "not run: scores.csv has no rows")
    images = pd.Series(rows.image.unique())
    scenes = images.str.split("_").str[0].nunique()
    why = f"{len(images)} hazy images of {scenes} scenes were scored"
    partial_copy = len(images) < float(claim.value)
    if partial_copy:
        why += "; the copy or the study's choice of pairs is smaller than the official set"
    return Measurement(len(images), f"scores.csv: test_set={test_set}", why, undecided if partial_copy else (
        exactly if scenes == SCENES else decided(False, f"{SCENES} scenes")))


def _device(row: pd.Series) -> str:
    parts = [str(row[name]) for name in ("device", "gpu", "processor") if name in row and not pd.isna(row[name])]
    return ", ".join(part for part in parts if part)


def _source(row: pd.Series) -> str:
    return f"compute.csv: name={row['name']}, form={row.form}, device={row.device}"


# ---------------------------------------------------------------------------------------------- quantity -> function

COST = {
    "gflops_full_framework": partial(framework_compute, column="gflops_profiler", rule=as_printed),
    "inference_ms_full_framework": framework_latency,
    "size_mb_full_framework": framework_size,
    "output_student_without_teacher": decoupled,
    "training_step_full_framework_over_student": training_overhead,
    "gflops_baselines": baseline_gflops,
    "gflops_baselines_spread": budget_spread,
    "images_its_clear": training_images,
    "images_its_hazy": training_images,
    "images_sots_indoor_hazy": test_pairs,
    "images_sots_outdoor_hazy": partial(test_pairs, test_set="sots_outdoor"),
    "inference_ms_dsc_mc_fsrcnn_over_mc_fsrcnn": separable_latency,
    "gflops_dsc_mc_fsrcnn_below_mc_fsrcnn_percent": separable_compute,
} | SIZE
