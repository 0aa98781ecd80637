"""What a claim is decided by: a measurement, the rule that compares it with the printed number, and how to get one.

A `quantity` of results/published/claims.csv is a function (study, claim) -> Measurement; the other files
called claims_ hold them. Every rule takes the measurement and the claim and answers True, False or None: undecided. Its
docstring is what readers see; that of a rule which never decides begins with "none" and says why.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dehazelib.report.rows import READINGS, Rows, published, published_images

VERDICTS = ("reproduced", "not reproduced",
            "undecided",  # measured by a rule that could tell, but the interval cannot
            "not tested here")  # no rows that could tell
REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_TESTED = VERDICTS
MARGIN_DB = 0.1  # a difference in PSNR of no practical importance
SIZE = 0.5, 2.0  # times the printed size: what a measured difference must be compatible with
ABOUT = 0.25  # largest relative gap to a number that the paper calls "about"
NEAR = 0.1  # largest relative gap of a file's size, which depends on who writes it
CLOSE = {"dB": 0.5, "ssim": 0.01, "percent": 0.1}  # largest gap; percent: percentage points of a ratio
PAPER_GPU = "3080 Ti"
RECONSTRUCTED = ("lsid_fcnn",)  # networks without a public source, rebuilt from their parameter count
RECIPE = {"lr", "clip", "schedule", "augment", "optimizer"}  # options that decide how fast a network learns


class NotTested(Exception):
    """The study's rows cannot decide the claim; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """One measured quantity: value with 95 % limits where it has them (NaN otherwise), in the claim's unit."""

    value: float
    source: str  # file and rows the number came from
    why: str  # what it rests on
    rule: Callable[["Measurement", pd.Series], bool | None]
    low: float = math.nan
    high: float = math.nan


# ------------------------------------------------------------------------------------------------------------- rules


def as_printed(m: Measurement, claim: pd.Series) -> bool:
    """less than one unit of the last printed digit from the paper's number"""
    return abs(m.value - float(claim.value)) < last_digit(claim.value)


def exactly(m: Measurement, claim: pd.Series) -> bool:
    """equal to the paper's number"""
    return m.value == float(claim.value)


def about(m: Measurement, claim: pd.Series) -> bool:
    """within 25 % of the paper's number"""
    return abs(m.value / float(claim.value) - 1) <= ABOUT


def near(m: Measurement, claim: pd.Series) -> bool:
    """within 10 % of the paper's number"""
    return abs(m.value / float(claim.value) - 1) <= NEAR


def above_zero(m: Measurement, claim: pd.Series) -> bool | None:
    """reproduced if the 95 % interval lies above zero and the value, where one is printed, at half to twice that size;
    not reproduced if the interval lies wholly outside that range, or below zero where no size is printed"""
    if not claim.value:
        return positive(m.low, m.high)
    least, most = (times * float(claim.value) for times in SIZE)
    if m.high < least or m.low > most:
        return False
    return True if m.low > 0 and least <= m.value <= most else None


def at_most(m: Measurement, claim: pd.Series) -> bool | None:
    """reproduced if the whole 95 % interval is at most the printed size plus 0.1 dB; not reproduced if all is above"""
    return below(m.low, m.high, float(claim.value) + MARGIN_DB)


def undecided(m: Measurement, claim: pd.Series) -> None:
    """none, the rows give a number but not one that decides the claim"""


def one_seed(m: Measurement, claim: pd.Series) -> None:
    """none, with one seed the interval cannot tell a better training from a luckier one; run two or more"""


def straddled(m: Measurement, claim: pd.Series) -> None:
    """none, the interval cannot tell: it holds values that agree with the claim and values that do not; run more seeds,
    score more scenes or time more repeats"""


def without_limits(m: Measurement, claim: pd.Series) -> None:
    """none, the difference has no interval: one of its scores is infinite, or it was measured once"""


def on_cpu(m: Measurement, claim: pd.Series) -> None:
    """none, timed on a CPU only"""


def unlike_recipes(m: Measurement, claim: pd.Series) -> None:
    """none, the networks learn at different speeds, were trained on fewer images than the paper's and by recipes that
    differ: their order may change"""


def unlike_budgets(m: Measurement, claim: pd.Series) -> None:
    """none, the runs compared were trained on different numbers of images"""


def fewer_images(m: Measurement, claim: pd.Series) -> None:
    """none, a lower score after training on fewer images than the paper did contradicts nothing"""


def undertrained(m: Measurement, claim: pd.Series) -> None:
    """none, a network that scores below bicubic resizing is too little trained for the size of a difference to mean
    anything"""


def undecidable(text: str) -> Callable[[Measurement, pd.Series], None]:
    """Returns the rule that decides nothing, for the reason `text`."""
    def rule(m: Measurement, claim: pd.Series) -> None:
        return None
    rule.__doc__ = f"none, {text}"
    return rule


def decided(holds: bool, text: str) -> Callable[[Measurement, pd.Series], bool]:
    """Returns the rule described by `text`, already applied to the rows by the measuring function."""
    def rule(m: Measurement, claim: pd.Series) -> bool:
        return bool(holds)
    rule.__doc__ = text
    return rule


def together(parts: Iterable[bool | None], text: str) -> Callable[[Measurement, pd.Series], bool | None]:
    """Returns the rule described by `text`, that all parts hold; undecided where none fails and some are undecided."""
    parts = list(parts)
    return straddled if None in parts and False not in parts else decided(all(parts), text)


def positive(low: float, high: float) -> bool | None:
    """Returns whether an interval lies above zero (True), below it (False) or neither (None)."""
    return True if low > 0 else False if high < 0 else None


def below(low: float, high: float, limit: float) -> bool | None:
    """Returns whether an interval lies at or below a limit (True), above it (False) or neither (None)."""
    return True if high <= limit else False if low > limit else None


def ruling(m: Measurement, claim: pd.Series) -> tuple[str, str]:
    """Returns the verdict on a claim, one of VERDICTS, and in words the rule that says so or why none does."""
    holds, rule = m.rule(m, claim), m.rule
    if holds is None and not rule.__doc__.startswith("none"):
        rule = without_limits if math.isnan(m.low) else straddled
    open_ = UNDECIDED if rule is straddled else NOT_TESTED
    return {True: REPRODUCED, False: NOT_REPRODUCED, None: open_}[holds], " ".join(rule.__doc__.split())


def close(unit: str) -> Callable[[Measurement, pd.Series], bool]:
    """Returns the rule for numbers of a unit whose digits cannot be expected to agree."""
    def rule(m: Measurement, claim: pd.Series) -> bool:
        return abs(m.value - float(claim.value)) <= CLOSE[unit]
    rule.__doc__ = f"within {CLOSE[unit]} {unit} of the paper's number"
    return rule


def at_least(unit: str) -> Callable[[Measurement, pd.Series], bool]:
    """Returns the rule for a number that is reached: a higher one reaches it, too."""
    def rule(m: Measurement, claim: pd.Series) -> bool:
        return m.value >= float(claim.value) - CLOSE[unit]
    rule.__doc__ = f"at least the paper's number less {CLOSE[unit]} {unit}"
    return rule


def last_digit(printed: str) -> float:
    """Returns one unit of the last significant digit; zeros at the end of a whole number do not count.

    >>> last_digit("64.039"), last_digit("122000"), last_digit("7")
    (0.001, 1000.0, 1.0)
    """
    _, _, fraction = printed.partition(".")
    zeros = len(printed) - len(printed.rstrip("0"))
    return 10.0 ** (-len(fraction) if fraction else zeros)


# ----------------------------------------------------------------------------------------------- finding the rows


def seeds_rule(study: Rows, labels: Iterable[str], rule: Callable) -> Callable:
    """Returns `rule`, or the reason why a comparison of these labels decides nothing: one seed, unlike budgets, or
    networks that a short training by unlike recipes cannot rank."""
    labels = list(labels)
    budgets = {images for images in map(study.training_images, labels) if not math.isnan(images)}
    if len(budgets) > 1:
        return unlike_budgets
    apart = {option for a, b in itertools.combinations(labels, 2) for option in study.options_apart(a, b)}
    if apart & RECIPE and any(fewer_than_published(study, label) for label in labels):
        return unlike_recipes
    return one_seed if min(study.summary(label)["seeds"] for label in labels) < 2 else rule


def fewer_than_published(study: Rows, label: str) -> bool:
    """Returns whether a label's runs were trained on fewer images than the paper's; False for what is not trained."""
    return study.training_images(label) < published_images(_task(study, label))


def falls_short(study: Rows, label: str, gap: float, unit: str) -> bool:
    """Returns whether a label's score less the printed one, `gap`, is below -CLOSE after training on fewer images."""
    return fewer_than_published(study, label) and gap < -CLOSE[unit]


def need(study: Rows, *labels: str) -> None:
    """Raises NotTested naming the labels without rows on the reported test set."""
    if absent := [label for label in labels if not study.has(label)]:
        raise NotTested(f"not run: scores.csv has no rows of {', '.join(absent)}")


def reading(study: Rows, *suffixes: str) -> list[str]:
    """Returns the readings of the paper that have rows of every framework-<reading><suffix>, as_released first."""
    present = [name for name in READINGS if all(study.has(f"framework-{name}{suffix}") for suffix in suffixes)]
    if not present:
        wanted = ", ".join(f"framework-<reading>{suffix}" for suffix in suffixes)
        raise NotTested(f"not run: scores.csv has no reading ({' or '.join(READINGS)}) with all of {wanted}")
    return present


def compute_row(study: Rows, name: str, form: str = "deployed", device: str = "",
                needs: str = "parameters") -> pd.Series:
    """Returns the compute.csv row of a network in a form that has a number in the column `needs`, on `device` or,
    without one, on a GPU before a CPU. Raises NotTested if there is none."""
    rows = study.compute[(study.compute.name == name) & (study.compute.form == form)]
    rows = rows[(rows.device == device) | (device == "")].dropna(subset=needs)
    if rows.empty:
        raise NotTested(f"not run: compute.csv has no row of {name} ({form}){f' on {device}' * bool(device)} "
                        f"with {needs}")
    return rows.iloc[np.argsort(rows.device.str.lower().str.startswith("cpu"), kind="stable")].iloc[0]


def parameters(study: Rows, key: str) -> tuple[float, str]:
    """Returns a network's parameters, as deployed, and where they stand."""
    try:
        row = compute_row(study, key)
        return float(row.parameters), f"compute.csv: name={key}, form={row.form}"
    except NotTested:
        counts = study.runs.parameters[study.runs.network == key].dropna().unique()
        if len(counts) != 1:
            raise NotTested(f"not run: neither compute.csv nor runs.csv counts {key}") from None
        return float(counts[0]), f"runs.csv: network={key}"


def training_graph_parameters(study: Rows) -> tuple[float, str]:
    """Returns the parameters of student plus teacher, and where they stand."""
    try:
        return float(compute_row(study, "full_framework", "training_graph").parameters), \
            "compute.csv: name=full_framework, form=training_graph"
    except NotTested:
        for name in READINGS:
            label = f"framework-{name}"
            count = study.of_runs(label, "parameters") + study.teacher_parameters(label)
            if not math.isnan(count):
                return count, f"runs.csv: label={label} and its teacher"
        raise NotTested("not run: neither compute.csv nor runs.csv counts the full framework") from None


# ------------------------------------------------------------------------------------------------------- wording


def scored(study: Rows, *labels: str) -> str:
    """Returns the source of a comparison of scores."""
    return f"scores.csv: label={', '.join(labels)}; test_set={study.main}"


def budget(study: Rows, *labels: str) -> str:
    """Returns what scores of these labels rest on: test set, images, seeds, and steps from runs.csv."""
    return f"{tested_on(study, *labels)}; {training(study, *labels)}"


def tested_on(study: Rows, *labels: str) -> str:
    """Returns the test set, how many of its images, and how many seeds scores of these labels rest on."""
    summaries = [study.summary(label) for label in labels]
    counts = sorted({one["images"] for one in summaries})
    text = f"{study.main}, {' and '.join(map(str, counts))} "
    claimed = int(published("claims").set_index("id").value["sots_test_pairs"])
    if study.main == "sots_indoor" and _task(study, labels[0]) == "dehazing" and counts[0] < claimed:
        text += f"of {claimed} pairs"
    else:
        text += "images"
    seeds = sorted({one["seeds"] for one in summaries})
    return f"{text}, {' and '.join(map(str, seeds))} seed{'s' * (seeds != [1])}"


def training(study: Rows, *labels: str) -> str:
    """Returns the budget that scores of these labels hold at, from runs.csv: steps and batch of what was trained.

    It begins with "at", by which report.py knows it.
    """
    runs = study.runs[study.runs.label.isin(labels)]
    runs = runs.dropna(subset="training_images") if "training_images" in runs else runs
    if runs.empty or not {"steps", "batch"} <= set(runs):
        return "at a budget that runs.csv does not tell"
    sizes = runs[["steps", "batch"]].drop_duplicates().astype(int).to_numpy()
    return "at this budget: trained " + " or ".join(f"{steps} steps of {batch}" for steps, batch in sizes)


def signed(value: float, low: float, high: float, digits: int = 3) -> str:
    """Returns "+0.123 [+0.100, +0.150]"."""
    limits = "" if math.isnan(low) else f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"{value:+.{digits}f}{limits}"


def _task(study: Rows, label: str) -> str:
    rows = study.of(label)
    return rows.task.iloc[0] if "task" in rows and len(rows) else "dehazing"
