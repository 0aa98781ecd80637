"""Claims that the paper's own tables and code decide by themselves, whatever a study measured: from results/published/
and from the recipe and network as released."""

import pandas as pd

from dehazelib.experiments.settings import RECIPES
from dehazelib.report.claims import ABOUT, Measurement, NotTested, compute_row, decided, last_digit, undecidable
from dehazelib.report.rows import Rows, published

OURS = "full_framework"
RECIPE_STATED = ("lr", "schedule")  # options of training that section 4.3 gives
GROUP_REDUCTIONS = (1, 1, 1)  # how many times smaller than the image the student's groups are (networks/student.py)


# ------------------------------------------------------------------------------------------------------ Tables 5 and 9


def headline_matches() -> pd.DataFrame:
    """Returns Table 5 without our framework as printed, with its gain over each network in percent of PSNR, how many
    times as large the network is, and whether both are what the abstract says: the gain or more, and about that many
    times."""
    claims = published("claims").set_index("id").value
    table = published("table5").set_index("key")
    ours, others = table.loc[OURS], table.drop(OURS)
    gain = 100 * (ours.psnr / others.psnr - 1)
    times = others.parameters_millions / ours.parameters_millions
    most, size = float(claims["affinity_gain_psnr_percent"]), float(claims["about_20x_smaller"])
    sized = (times / size - 1).abs() <= ABOUT
    return others.assign(gain=gain, times=times, gained=gain >= most, sized=sized, larger=~sized & (times > size))


def headline_joint(study: Rows, claim: pd.Series) -> Measurement:
    table = headline_matches()
    both = int((table.gained & table.sized).sum())
    kinds = {"about that many times as large": table.sized,
             "beaten by as much, but larger still": table.gained & table.larger,
             "beaten by as much, but smaller": table.gained & ~table.sized & ~table.larger}
    why = f"of {len(table)} networks, as printed, " + "; ".join(
        f"{kind}: {_gains(table[rows])}" for kind, rows in kinds.items())
    return Measurement(both, _source(5), why, decided(
        both > 0, "the printed gain or more over a network about that many times as large (within 25 %)"))


def _gains(table: pd.DataFrame) -> str:
    rows = [f"{row.model} ({row.times:.3g} times, {row.gain:+.1f} %)" for row in table.itertuples()]
    return ", ".join(rows) or "none"


def beats_baselines(study: Rows, claim: pd.Series) -> Measurement:
    table = published("table5").set_index("key").drop("student")
    above = {metric: table.model[table[metric] > table[metric][OURS]] for metric in ("psnr", "ssim")}
    why = "; ".join(f"rank {1 + len(names)} of {len(table)} by printed {metric.upper()}, after "
                    f"{', '.join(names) or 'none'}" for metric, names in above.items())
    return Measurement(1 + len(above["psnr"]), _source(5), why, decided(
        not any(map(len, above.values())), "first by printed PSNR and by printed SSIM"))


def printed_before() -> pd.DataFrame:
    """Returns the networks of Table 5 whose scores on SOTS-indoor stood elsewhere before the paper (earlier.csv), with
    both, and whether PSNR and SSIM are the same in all the digits that both have."""
    table = published("table5", text=True).merge(published("earlier", text=True), on="key", suffixes=("", "_earlier"))
    alike = pd.concat([table.apply(_alike, axis=1, metric=metric) for metric in ("psnr", "ssim")], axis=1).all(axis=1)
    return table.assign(alike=alike)


def _alike(row: pd.Series, metric: str) -> bool:
    one, other = row[metric], row[f"{metric}_earlier"]
    return abs(float(one) - float(other)) <= max(last_digit(one), last_digit(other)) / 2 + 1e-9


def student_tradeoff(study: Rows, claim: pd.Series) -> Measurement:
    table = published("table5").set_index("key")
    student, lighter = table.loc["student"], table[table.parameters_millions < table.parameters_millions["student"]]
    better = {metric: lighter.model[lighter[metric] > student[metric]] for metric in ("psnr", "ssim")}
    why = f"{len(lighter)} networks have fewer parameters; better by " + ", by ".join(
        f"{metric.upper()}: {', '.join(names) or 'none'}" for metric, names in better.items())
    names = set(better["psnr"]) | set(better["ssim"])
    return Measurement(len(names), _source(5), why, decided(
        not names, "no network of Table 5 that is smaller has a higher printed PSNR or SSIM"))


def separable_tradeoff(study: Rows, claim: pd.Series) -> Measurement:
    better = []
    for height, tables in ((460, (1, 3)), (920, (2, 4))):
        rows = pd.concat(published(f"table{number}") for number in tables).set_index("key")
        ours = rows.loc["dsc_mc_fsrcnn"]
        rows = rows[(rows.parameters < ours.parameters) & (rows.psnr > ours.psnr)]
        better += [f"{row.model} at {height} ({row.parameters_printed}, {row.psnr} dB, against "
                   f"{ours.parameters_printed}, {ours.psnr} dB)" for row in rows.itertuples()]
    return Measurement(len(better), _source(1, 2, 3, 4), f"smaller and better: {', '.join(better) or 'none'}", decided(
        not better, "no network of Tables 1 to 4 that is smaller has a higher printed PSNR at the same target"))


def cheap_inference(study: Rows, claim: pd.Series) -> Measurement:
    """The rank by printed times; `why` ranks what was measured, too."""
    times = published("table9").set_index("key").inference_ms
    ours, others = times[OURS], times.drop(OURS)
    why = f"{ours:.4g} ms, rank {1 + (others < ours).sum()} of {len(times)} as printed{_measured_ranks(study, others)}"
    return Measurement(1 + int((others < ours).sum()), _source(9), why, undecidable(
        "the paper does not say below which time inference is cheap"))


def _measured_ranks(study: Rows, others: pd.Series) -> str:
    """Returns how the student, which alone is deployed, and the training graph rank by measured time, if they were."""
    try:
        student = compute_row(study, "student", needs="latency_ms")
        whole = compute_row(study, OURS, "training_graph", student.device, "latency_ms")
        times = pd.Series([compute_row(study, key, device=student.device, needs="latency_ms").latency_ms
                           for key in others.index])
    except NotTested:
        return ""
    ranks = " and ".join(f"{1 + (times < row.latency_ms).sum()} for {name}" for row, name in (
        (student, "the student, which alone is deployed,"), (whole, "the training graph")))
    return f"; measured on {student.device}, rank {ranks}"


# ------------------------------------------------------------------------------------------- the recipe and the network


def recipe_as_stated(study: Rows, claim: pd.Series) -> Measurement:
    stated, released = (RECIPES[name] for name in ("paper", "released"))
    apart = [option for option in RECIPE_STATED if stated[option] != released[option]]
    why = (f"by construction: the text has {_options(stated)} of x {stated['decay']} every {stated['decay_epochs']} "
           f"epochs, the code {_options(released)}, and, of which the text says nothing, the gradient clipped to "
           f"{released['clip']} and its own augmentation")
    return Measurement(released["lr"] / stated["lr"], "dehazelib/profiles.py: RECIPES", why, decided(
        not apart, "the released code trains with the stated learning rate and schedule"))


def _options(recipe: dict) -> str:
    return ", ".join(f"{option} {recipe[option]}" for option in RECIPE_STATED)


def student_resolutions(study: Rows, claim: pd.Series) -> Measurement:
    """By construction; tests/test_claims_printed.py holds GROUP_REDUCTIONS against the network."""
    count = len(set(GROUP_REDUCTIONS))
    why = (f"by construction: the feature maps of the student's {len(GROUP_REDUCTIONS)} groups have the image's height "
           f"and width over {', '.join(map(str, GROUP_REDUCTIONS))}")
    return Measurement(count, "dehazelib/networks/student.py", why, decided(
        count > 1, "the groups' feature maps have more than one resolution"))


def _source(*tables: int) -> str:
    return "as printed: " + ", ".join(f"results/published/table{number}.csv" for number in tables)


# ---------------------------------------------------------------------------------------------- quantity -> function


PRINTED = {
    "networks_beaten_as_much_and_as_large": headline_joint,
    "rank_full_framework": beats_baselines,
    "networks_smaller_and_better_than_student": student_tradeoff,
    "networks_smaller_and_better_than_dsc_mc_fsrcnn": separable_tradeoff,
    "rank_full_framework_by_inference_ms": cheap_inference,
    "lr_released_over_stated": recipe_as_stated,
    "resolutions_of_student_features": student_resolutions,
}
