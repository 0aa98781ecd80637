"""Claims about the numbers of parameters and the sizes of weight files: from compute.csv and runs.csv."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pandas as pd

from dehazelib.report.claims import (
    NEAR,
    RECONSTRUCTED,
    Measurement,
    NotTested,
    about,
    as_printed,
    close,
    compute_row,
    decided,
    last_digit,
    parameters,
    training_graph_parameters,
    undecidable,
    undecided,
)
from dehazelib.report.rows import Rows, published

FIRST_CHANNELS = 56  # of the first convolution of one colour's branch (networks/fsrcnn.py)
SEPARABLE = ((56, 12), *4 * ((12, 12),), (12, 56))  # channels in and out of its separable convolutions
BRANCHES = 3
PER_COLOUR = FIRST_CHANNELS * (5**2 + 9**2) + 1  # parameters by which a branch reads and writes its colour


def counted(study: Rows, claim: pd.Series, key: str, note: str = "") -> Measurement:
    count, source = parameters(study, key)
    return Measurement(count, source, f"{count:,.0f} counted" + note, as_printed)


def framework_count(study: Rows, claim: pd.Series, beyond_student: bool = False) -> Measurement:
    whole, source = training_graph_parameters(study)
    student, student_source = parameters(study, "student")
    value = whole - student if beyond_student else whole
    why = (f"student {student:,.0f} + teacher {whole - student:,.0f} = {whole:,.0f}: the training graph; the teacher "
           "is frozen and only the student runs at inference")
    return Measurement(value, f"{source}; {student_source}", why, as_printed)


def relu_count(study: Rows, claim: pd.Series) -> Measurement:
    with_slopes, _ = parameters(study, "mc_fsrcnn")
    count, _ = parameters(study, "relu_mc_fsrcnn")
    return counted(study, claim, "relu_mc_fsrcnn", f": ReLU has no slopes, the PReLU network has {with_slopes:,.0f}, "
                   f"{with_slopes - count:,.0f} more; the paper prints one number for both")


def batch_norm_count(study: Rows, claim: pd.Series) -> Measurement:
    """Ours, and a placement that gives another count: the paper does not say which one it has."""
    plain, _ = parameters(study, "dsc_mc_fsrcnn")
    count, _ = parameters(study, "dscbn_mc_fsrcnn")
    m = counted(study, claim, "dscbn_mc_fsrcnn", f": {count - plain:,.0f} more than without normalisation")
    ours = f"{count:,.0f} with one after each convolution but the last"
    text = (f"the paper does not say where the normalisation stands: ours has {ours}, one before and one after every "
            f"depthwise and pointwise convolution, and one after the first convolution, has "
            f"{plain + normalised_twice():,.0f}")
    return m if as_printed(m, claim) else dataclasses.replace(m, rule=undecidable(text))


def normalised_twice() -> int:
    """Returns the parameters that normalisation adds to the network of separable convolutions, one before and one after
    each depthwise and pointwise convolution and one after the first: two per channel, in three branches."""
    channels = FIRST_CHANNELS + sum(3 * before + after for before, after in SEPARABLE)  # depthwise convolutions keep it
    return 3 * 2 * channels


def branch_count(study: Rows, claim: pd.Series) -> Measurement:
    """One branch is FSRCNN-2x less what two of its three colours need."""
    whole, source = parameters(study, "mc_fsrcnn")
    single, single_source = parameters(study, "fsrcnn_x2")
    branch = single - (BRANCHES - 1) * PER_COLOUR
    why = (f"{whole:,.0f} / {branch:,.0f} of one branch, which is FSRCNN-2x for one colour; against FSRCNN-2x itself, "
           f"Table 1's, with {single:,.0f}, it is {whole / single:.2f} times; memory was not compared")
    return Measurement(whole / branch, f"{source}; {single_source}", why, decided(
        whole == BRANCHES * branch, f"{BRANCHES} times the parameters of one branch"))


def baseline_counts(study: Rows, claim: pd.Series) -> Measurement:
    """Millions as printed; without the reconstructions, whose count is the printed one by construction."""
    table = published("table5", text=True).set_index("key")  # the printed digits decide
    table = table.drop(["student", "full_framework", *RECONSTRUCTED])
    ours = _by_name(study, "parameters") / 1e6
    run = table[table.index.isin(ours.index)]
    if run.empty:
        raise NotTested("not run: compute.csv has no baseline of Table 5")
    gaps = ours[run.index] - run.parameters_millions.astype(float)
    share = 100 * gaps / run.parameters_millions.astype(float)
    off = gaps.abs() >= run.parameters_millions.map(last_digit)
    named = ", ".join(f"{run.model[key]} by {gaps[key]:+.6g} million ({share[key]:+.2g} %)" for key in run.index[off])
    why = (f"largest gap in % of {len(run)} of {len(table)} networks, reconstructions left out; {(~off).sum()} agree "
           f"as printed; off: {named or 'none'}")
    return Measurement(float(share.abs().max()), f"compute.csv: name={', '.join(run.index)}", why, _of_all(
        off, table, "every network of Table 5 less than one unit of its last printed digit away"))


def baseline_sizes(study: Rows, claim: pd.Series) -> Measurement:
    table = published("table9").set_index("key").drop("full_framework")
    ours = _by_name(study, "size_torch_mb")
    run = table[table.index.isin(ours.index)]
    if run.empty:
        raise NotTested("not run: compute.csv has no baseline of Table 9")
    gaps = 100 * (ours[run.index] / run.size_mb - 1)
    why = (f"largest gap in % of {len(run)} of {len(table)} files, as torch.save writes them: "
           + ", ".join(f"{run.model[key]} {gap:+.2g}" for key, gap in gaps.items()))
    return Measurement(float(gaps.abs().max()), f"compute.csv: name={', '.join(run.index)}", why, _of_all(
        gaps.abs() > 100 * NEAR, table, f"every file within {100 * NEAR:.0f} % of its printed size"))


def _by_name(study: Rows, column: str) -> pd.Series:
    """Returns a column of compute.csv by network, in the form measured first, without what was not measured."""
    return study.compute.dropna(subset=column).drop_duplicates("name").set_index("name")[column]


def _of_all(off: pd.Series, table: pd.DataFrame, text: str) -> Callable:
    """Returns the rule `text`: one that is off breaks it, and it holds only if the whole table was measured."""
    return decided(False, text) if off.any() else decided(True, text) if len(off) == len(table) else undecided


def ffa_count(study: Rows, claim: pd.Series) -> Measurement:
    rows = study.compute[(study.compute.name == "ffa_net")].drop_duplicates("form")
    forms = ", ".join(f"{row.form} {row.parameters:,.0f}" for row in rows.itertuples())
    return counted(study, claim, "ffa_net", f"; forms measured: {forms}" if len(rows) > 1 else "")


def size_ratio(study: Rows, claim: pd.Series, large: str, small: str) -> Measurement:
    (a, source_a), (b, source_b) = parameters(study, large), parameters(study, small)
    return Measurement(a / b, f"{source_a}; {source_b}", f"{a:,.0f} / {b:,.0f} parameters", as_printed)


def framework_ratio(study: Rows, claim: pd.Series) -> Measurement:
    """FFA-Net over the framework in parameters, beside the ratio of the files (torch.save's, as the paper's) and that
    to the deployed student."""
    (theirs, source_a), (ours, source_b) = parameters(study, "ffa_net"), training_graph_parameters(study)
    why = f"{theirs:,.0f} / {ours:,.0f} parameters, "
    try:
        large, small = (compute_row(study, name, form, needs="size_torch_mb").size_torch_mb for name, form in (
            ("ffa_net", "deployed"), ("full_framework", "training_graph")))
        why += f"weight files {large:.3f} / {small:.3f} MB = {large / small:.1f}"
    except NotTested:
        why += "weight files not measured"
    why += ("; the paper names no network, and quality is not compared; over the student, which alone is deployed, "
            f"{theirs / parameters(study, 'student')[0]:.1f}")
    return Measurement(theirs / ours, f"{source_a}; {source_b}", why, about)


def separable_saving(study: Rows, claim: pd.Series) -> Measurement:
    (full, source_a), (separable, source_b) = parameters(study, "mc_fsrcnn"), parameters(study, "dsc_mc_fsrcnn")
    why = f"{full:,.0f} -> {separable:,.0f} parameters; the paper's percentage comes from its rounded counts"
    return Measurement(100 * (full - separable) / full, f"{source_a}; {source_b}", why,
                       close(claim.unit))


# ---------------------------------------------------------------------------------------------- quantity -> function

SIZE = {
    "size_ffa_net_over_full_framework": framework_ratio,
    "parameters_full_framework": framework_count,
    "parameters_student": partial(counted, key="student"),
    "parameters_full_framework_minus_student": partial(framework_count, beyond_student=True),
    "parameters_dsc_mc_fsrcnn_below_mc_fsrcnn_percent": separable_saving,
    "parameters_relu_mc_fsrcnn": relu_count,
    "parameters_dscbn_mc_fsrcnn": batch_norm_count,
    "parameters_gcanet_over_student": partial(size_ratio, large="gcanet", small="student"),
    "parameters_ffa_net": ffa_count,
    "parameters_mc_fsrcnn_over_branch": branch_count,
    "parameters_baselines": baseline_counts,
    "size_mb_baselines": baseline_sizes,
}
