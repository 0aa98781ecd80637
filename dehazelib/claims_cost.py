"""Claims about size, computing and data: from compute.csv and runs.csv, and from scores.csv for the test set."""

from functools import partial

import pandas as pd

from dehazelib.claims import (
    PAPER_GPU,
    Measurement,
    NotTested,
    as_printed,
    close,
    compute_row,
    decided,
    exactly,
    last_digit,
    one_seed,
    parameters,
    reading,
    straddled,
    training_graph_parameters,
    undecided,
)
from dehazelib.measured import Measured, published
from dehazelib.statistics import mean_interval

FIXED_BUDGET = 2.0  # largest over smallest, above which a budget is not "fixed"
MINIMAL_OVERHEAD = 1.1  # of a training step's time and memory
REAL_TIME_MS = 1000 / 30  # 30 images per second
SCENES = 50  # of SOTS-indoor


# ---------------------------------------------------------------------------------------------------- parameters


def counted(study: Measured, claim: pd.Series, key: str, note: str = "") -> Measurement:
    count, source = parameters(study, key)
    return Measurement(count, source, f"{count:,.0f} counted" + note, as_printed)


def framework_count(study: Measured, claim: pd.Series, beyond_student: bool = False) -> Measurement:
    whole, source = training_graph_parameters(study)
    student, student_source = parameters(study, "student")
    value = whole - student if beyond_student else whole
    why = (f"student {student:,.0f} + teacher {whole - student:,.0f} = {whole:,.0f}: the training graph; the teacher "
           "is frozen and only the student runs at inference")
    return Measurement(value, f"{source}; {student_source}", why, as_printed)


def relu_count(study: Measured, claim: pd.Series) -> Measurement:
    with_slopes, _ = parameters(study, "mc_fsrcnn")
    count, _ = parameters(study, "relu_mc_fsrcnn")
    return counted(study, claim, "relu_mc_fsrcnn", f": ReLU has no slopes, the PReLU network has {with_slopes:,.0f}, "
                   f"{with_slopes - count:,.0f} more; the paper prints one number for both")


def batch_norm_count(study: Measured, claim: pd.Series) -> Measurement:
    plain, _ = parameters(study, "dsc_mc_fsrcnn")
    count, _ = parameters(study, "dscbn_mc_fsrcnn")
    return counted(study, claim, "dscbn_mc_fsrcnn", f": {count - plain:,.0f} more than without normalisation, where "
                   f"the printed number needs {float(claim.value) - plain:,.0f}; for our placement of it")


def ffa_count(study: Measured, claim: pd.Series) -> Measurement:
    rows = study.compute[(study.compute.name == "ffa_net")].drop_duplicates("form")
    forms = ", ".join(f"{row.form} {row.parameters:,.0f}" for row in rows.itertuples())
    return counted(study, claim, "ffa_net", f"; forms measured: {forms}" if len(rows) > 1 else "")


def size_ratio(study: Measured, claim: pd.Series, large: str, small: str) -> Measurement:
    """Ratio of parameters; for the framework beside the ratio of the files and that to the deployed student."""
    (a, source_a), (b, source_b) = parameters(study, large), (
        training_graph_parameters(study) if small == "full_framework" else parameters(study, small))
    why = f"{a:,.0f} / {b:,.0f} parameters"
    if small == "full_framework":
        try:
            files = [compute_row(study, large, "table", "deployed", needs="size_mb"),
                     compute_row(study, small, "training_graph", needs="size_mb")]
            ours, theirs = files[1].size_mb, files[0].size_mb
            why += f"; weight files {theirs:.3f} / {ours:.3f} MB = {theirs / ours:.1f}"
        except NotTested:
            why += "; weight files not measured"
        why += f"; over the student, which alone is deployed, {a / parameters(study, 'student')[0]:.1f}"
    return Measurement(a / b, f"{source_a}; {source_b}", why, as_printed)


def separable_saving(study: Measured, claim: pd.Series) -> Measurement:
    (full, source_a), (separable, source_b) = parameters(study, "mc_fsrcnn"), parameters(study, "dsc_mc_fsrcnn")
    why = f"{full:,.0f} -> {separable:,.0f} parameters; the paper's percentage comes from its rounded counts"
    return Measurement(100 * (full - separable) / full, f"{source_a}; {source_b}", why,
                       close(claim.unit))


# ------------------------------------------------------------------------------------------------------ computing


def framework_compute(study: Measured, claim: pd.Series, column: str, rule) -> Measurement:
    """A column of the training graph's row, with the deployed student's beside it."""
    whole = compute_row(study, "full_framework", "training_graph", needs=column)
    why = f"training graph (student, teacher and module) {whole[column]:.6g} {claim.unit}"
    try:
        deployed = _deployed(study, whole.device, needs=column)
        share = 100 * deployed[column] / whole[column]
        why += f"; the deployed student alone {deployed[column]:.6g}, {share:.0f} % of it"
    except NotTested:
        why += "; the deployed student was not measured"
    return Measurement(float(whole[column]), _source(whole), why, rule)


def framework_latency(study: Measured, claim: pd.Series) -> Measurement:
    m = framework_compute(study, claim, "latency_ms", undecided)
    row = compute_row(study, "full_framework", "training_graph", needs="latency_ms")
    low, high, device = float(row.latency_ms_low), float(row.latency_ms_high), _device(row)
    if PAPER_GPU not in device:
        why = f"{m.why}; on {device}, the paper on an RTX {PAPER_GPU}"
        return Measurement(m.value, m.source, why, undecided, low, high)
    rule = decided(low <= float(claim.value) <= high, "the printed time lies within the spread measured")
    return Measurement(m.value, m.source, f"{m.why}; on {device}", rule, low, high)


def decoupled(study: Measured, claim: pd.Series) -> Measurement:
    whole = compute_row(study, "full_framework", "training_graph", needs="gflops_profiler")
    deployed = _deployed(study, whole.device, needs="gflops_profiler")
    share = deployed.gflops_profiler / whole.gflops_profiler
    why = (f"share of the training graph's GFLOPs ({deployed.gflops_profiler:.3f} of {whole.gflops_profiler:.3f}) and "
           f"{deployed.parameters:,.0f} of {whole.parameters:,.0f} parameters left when the student runs alone")
    return Measurement(float(share), f"{_source(deployed)}; {_source(whole)}", why, decided(
        share < 1 and deployed.parameters < whole.parameters, "the student alone needs fewer GFLOPs and parameters"))


def training_overhead(study: Measured, claim: pd.Series) -> Measurement:
    if not {"minutes", "steps", "batch", "crop", "peak_memory_mb", "processor", "gpu"} <= set(study.runs):
        raise NotTested("not run: runs.csv lacks minutes, steps, batch, crop, memory or hardware")
    name = reading(study, "")[0]
    groups = [study.runs[study.runs.label == label] for label in (f"framework-{name}", "student")]
    if any(rows.empty for rows in groups):
        raise NotTested(f"not run: runs.csv lacks framework-{name} or student")
    alike = ["processor", "gpu", "steps", "batch", "crop"]
    if len(pd.concat(groups)[alike].drop_duplicates()) > 1:
        raise NotTested(f"the runs of framework-{name} and student differ in {', '.join(alike)}: times do not compare")
    framework, student = (rows.set_index("seed") for rows in groups)
    ratios = (framework.minutes / student.minutes).dropna()
    if ratios.empty:
        raise NotTested(f"framework-{name} and student have no seed in common in runs.csv")
    time, low, high = mean_interval(ratios)
    memory = framework.peak_memory_mb.mean() / student.peak_memory_mb.mean()
    why = (f"training time x {time:.2f}, peak memory x {memory:.2f} over {len(ratios)} seed(s), validation included, "
           f"on {_device(framework.iloc[0])}; our module avoids the N x N matrices where the distance allows")
    rule = one_seed if len(ratios) < 2 else straddled if low < MINIMAL_OVERHEAD < high else decided(
        time <= MINIMAL_OVERHEAD and memory <= MINIMAL_OVERHEAD, "time and memory grow by at most 10 %")
    return Measurement(time, f"runs.csv: label=framework-{name}, student", why, rule, low, high)


def baseline_gflops(study: Measured, claim: pd.Series) -> Measurement:
    table = published("table9", text=True)  # the printed digits decide
    table = table[table.key != "full_framework"]
    off, absent, sources = {}, [], []
    for row in table.itertuples():
        try:
            ours = compute_row(study, row.key, "table", "deployed", needs="gflops_profiler")
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


def budget_spread(study: Measured, claim: pd.Series) -> Measurement:
    keys = set(published("table5").key) - {"full_framework"}
    rows = study.compute[study.compute.name.isin(keys) & study.compute.form.isin(["table", "deployed"])]
    rows = rows.sort_values("form", ascending=False, kind="stable").drop_duplicates("name")  # "table" before "deployed"
    rows = rows[rows.gflops > 0]
    if len(rows) < 2:
        raise NotTested("not run: compute.csv has fewer than two networks of Table 5")
    ratio = {column: rows[column].max() / rows[column].min() for column in ("gflops", "parameters")}
    small, large = rows.loc[rows.gflops.idxmin(), "name"], rows.loc[rows.gflops.idxmax(), "name"]
    why = (f"largest over smallest GFLOPs of {len(rows)} networks ({large} over {small}); of parameters "
           f"{ratio['parameters']:,.0f}")
    return Measurement(float(ratio["gflops"]), "compute.csv: networks of Table 5", why, decided(
        ratio["gflops"] <= FIXED_BUDGET, f"largest at most {FIXED_BUDGET:g} times the smallest"))


def separable_latency(study: Measured, claim: pd.Series) -> Measurement:
    a = compute_row(study, "dsc_mc_fsrcnn", "table", "deployed", needs="latency_ms")
    b = compute_row(study, "mc_fsrcnn", "table", "deployed", device=a.device, needs="latency_ms")
    why = (f"{a.latency_ms:.2f} ms over {b.latency_ms:.2f} ms on {_device(a)}, {a.gflops:.3f} over {b.gflops:.3f} true "
           "GFLOPs; limits from the spread of both")
    holds = a.latency_ms_high < b.latency_ms_low and a.latency_ms <= REAL_TIME_MS
    return Measurement(a.latency_ms / b.latency_ms, f"{_source(a)}; {_source(b)}", why, decided(
        holds, f"faster beyond the spread, and at most {REAL_TIME_MS:.1f} ms (30 images per second)"),
        a.latency_ms_low / b.latency_ms_high, a.latency_ms_high / b.latency_ms_low)


# ----------------------------------------------------------------------------------------------------------- data


def training_images(study: Measured, claim: pd.Series) -> Measurement:
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


def test_pairs(study: Measured, claim: pd.Series) -> Measurement:
    rows = study.scores[(study.scores.test_set == "sots_indoor")]
    rows = rows[rows.task == "dehazing"] if "task" in rows else rows
    if rows.empty:
        raise NotTested(f"embedded {study.main}, not SOTS" if study.main else "not run: scores.csv has no rows")
    images = pd.Series(rows.image.unique())
    scenes = images.str.split("_").str[0].nunique()
    why = f"{len(images)} hazy images of {scenes} scenes were scored"
    partial_copy = len(images) < float(claim.value)
    if partial_copy:
        why += "; the copy or the study's choice of pairs is smaller than the official set"
    return Measurement(len(images), "scores.csv: test_set=sots_indoor", why, undecided if partial_copy else (
        exactly if scenes == SCENES else decided(False, f"{SCENES} scenes")))


def _deployed(study: Measured, device: str, needs: str) -> pd.Series:
    try:
        return compute_row(study, "student", "deployed", "table", device=device, needs=needs)
    except NotTested:
        return compute_row(study, "full_framework", "deployed", device=device, needs=needs)


def _device(row: pd.Series) -> str:
    parts = [str(row[name]) for name in ("device", "gpu", "processor") if name in row and not pd.isna(row[name])]
    return ", ".join(part for part in parts if part)


def _source(row: pd.Series) -> str:
    return f"compute.csv: name={row['name']}, form={row.form}, device={row.device}"


# ---------------------------------------------------------------------------------------------- quantity -> function

COST = {
    "size_ffa_net_over_full_framework": partial(size_ratio, large="ffa_net", small="full_framework"),
    "parameters_full_framework": framework_count,
    "parameters_student": partial(counted, key="student"),
    "parameters_full_framework_minus_student": partial(framework_count, beyond_student=True),
    "gflops_full_framework": partial(framework_compute, column="gflops_profiler", rule=as_printed),
    "inference_ms_full_framework": framework_latency,
    "size_mb_full_framework": partial(framework_compute, column="size_mb", rule=close("MB")),
    "output_student_without_teacher": decoupled,
    "training_step_full_framework_over_student": training_overhead,
    "gflops_baselines": baseline_gflops,
    "gflops_baselines_spread": budget_spread,
    "images_its_clear": training_images,
    "images_its_hazy": training_images,
    "images_sots_indoor_hazy": test_pairs,
    "parameters_dsc_mc_fsrcnn_below_mc_fsrcnn_percent": separable_saving,
    "inference_ms_dsc_mc_fsrcnn_over_mc_fsrcnn": separable_latency,
    "parameters_relu_mc_fsrcnn": relu_count,
    "parameters_dscbn_mc_fsrcnn": batch_norm_count,
    "parameters_gcanet_over_student": partial(size_ratio, large="gcanet", small="student"),
    "parameters_ffa_net": ffa_count,
}
