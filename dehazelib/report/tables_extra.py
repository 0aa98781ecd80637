"""Tables of what the paper did not measure: controls, other networks, protocols, haze levels, long runs, real haze."""

import numpy as np
import pandas as pd

from dehazelib.evaluation.protocols import POOLED, PROTOCOLS, pooled
from dehazelib.evaluation.real_haze import STATISTICS
from dehazelib.experiments.plan import HAZY_ALL, LONG, LONGEST, ONWARD, PRIOR_ALL, SEARCH
from dehazelib.experiments.variant import Variant
from dehazelib.haze import sots_beta
from dehazelib.report.columns import DIFFERENCE, MEAN, PSNR, TWO_WAY, VALIDATION
from dehazelib.report.rows import Rows, published
from dehazelib.report.statistics import CONFIDENCE, equivalence, holm, mean_interval, two_way


def is_central(label: str) -> bool:
    """Returns whether a label is that of the student, alone or in a framework, at its own budget."""
    return Variant.of(label).central


FRAMEWORK = "framework-as_released"
SAME_BUDGET = ", budget of the baselines"  # how the names of our runs at that budget end
FURTHER = {  # label -> model, of what the paper's Table 5 does not have
    "framework-as_described": "Ours, as described",
    "framework-as_released-adaptive": "Ours, as released, adaptive weight",
    "framework-as_described-adaptive": "Ours, as described, adaptive weight",
    "framework-bilinear_teacher": "Ours, bilinear resizing as teacher, adaptive weight",
    "framework-untrained_teacher": "Ours, untrained teacher, adaptive weight",
    "framework-black_teacher": "Ours, black image as teacher, adaptive weight",
    "student-equal_budget": f"Ours [Student]{SAME_BUDGET}",
    "framework-equal_budget": f"Ours{SAME_BUDGET}",
    "zid_oracle": "ZID, stopped by the ground truth",
    "ld_net": "LD-Net",
    "gunet_t": "gUNet-T",
    "dehazeformer_t": "DehazeFormer-T",
    "dark_channel_prior": "Dark channel prior",
    "hazy": "Hazy input",
}
FORMS = (FRAMEWORK, *(label for label in FURTHER if is_central(label)))  # of the module
UNLIKE = "framework-as_described"  # its trainings vary far more than all others: not in one model with them
NOT_RUN = {"status": "not run"}
OURS = {"psnr": "psnr_rgb", "ssim": "ssim_gauss11_rgb"}  # the protocol of every other table


# ------------------------------------------------------------------------------------------------ with and without


def controls(rows: Rows) -> list[dict]:
    """Returns the central comparison: every framework against the student trained alone, PSNR and verdict; beside it
    the difference on the validation scenes that chose each run's checkpoint.

    p_holm: of the forms of the module, adjusted for their number; "better" and "worse" are said of a form only where it
    is below 0.05. difference_two_way_low and _high: limits of the same difference by one model of all trainings.
    """
    models = {"student": "Ours [Student]", FRAMEWORK: "Ours, as released"} | FURTHER
    p_values = {label: rows.p_value(label, "student") for label in FORMS if rows.seeds_compared(label, "student") > 1}
    adjusted = holm(p_values)
    half_width, modelled = all_trainings(rows)
    lines = []
    for label in dict.fromkeys([*models, *rows.scores.label]):
        if not is_central(label):
            continue
        line = {"model": models.get(label, label), "label": label} | measured(rows, label)
        if label != "student":
            line |= judged(rows, label, "student")
            line |= dict(zip(VALIDATION, rows.validation_difference(label, "student")))
        if label in adjusted:
            line["p_holm"] = adjusted[label]
            if adjusted[label] >= 1 - CONFIDENCE and line["verdict"] in ("better", "worse"):
                line["verdict"] = "undecided"
        if label in modelled and label != "student":
            line |= dict(zip(TWO_WAY, (line["difference"] - half_width, line["difference"] + half_width)))
        lines.append(line)
    return lines


def all_trainings(rows: Rows) -> tuple[float, list[str]]:
    """Returns the half-width of any difference between the student and the frameworks, or two frameworks, by one model
    of all of them with the student's seeds (statistics.two_way), and their labels; NaN and none below two."""
    own = rows.scores[(rows.scores.test_set == rows.main) & rows.scores.label.map(is_central)]
    own = own[own.label != UNLIKE]
    means = own.groupby(["label", "seed"]).psnr_rgb.mean().unstack("seed")
    if "student" not in means.index:
        return np.nan, []
    means = means[means.loc["student"].dropna().index].dropna()
    if min(means.shape) < 2:
        return np.nan, []
    return two_way(means), list(means.index)


def plug_and_play(rows: Rows) -> list[dict]:
    """Returns other networks trained with and without the affinity module; `difference` is with minus without."""
    models = FURTHER | dict(published("table5")[["key", "model"]].to_numpy())
    lines = []
    for label in rows.scores.label.unique():
        if not label.endswith("-affinity"):
            continue
        key = label.removesuffix("-affinity")
        line = {"model": models.get(key, key), "key": key} | NOT_RUN
        if rows.has(key):
            guided = rows.summary(label)
            line |= rows.summary(key) | {f"{name}_with": guided[name] for name in PSNR} | judged(rows, label, key)
        lines.append(line)
    return lines


def longest(rows: Rows) -> list[dict]:
    """Returns the longest runs, of the student alone and with the module as released, then of the student continued
    alone, and, of the same test pairs, the hazy input and the dark channel prior. The differences are between the first
    two, without limits: one run each says nothing of seeds. held_out_psnr_rgb: on all validation pairs, which decide
    what is shipped; best_validation_psnr_rgb is the best of a few validations on some of them."""
    alone, guided = LONGEST
    lines = []
    for label in (HAZY_ALL, PRIOR_ALL, *LONG):
        line = {"label": label} | rows.summary(label)
        if label in LONG and rows.has(label):
            line |= {name: rows.of_runs(label, name) for name in ("best_validation_psnr_rgb", "held_out_psnr_rgb")}
            line["images_seen"] = rows.images_seen(label)
        if label == guided:
            line["difference"] = rows.difference(guided, alone).value
            line["ssim_difference"] = rows.difference(guided, alone, "ssim_gauss11_rgb").value
        lines.append(line)
    return lines


# --------------------------------------------------------------------------------------------- how scores come about


def protocols(rows: Rows) -> list[dict]:
    """Returns a mean over seeds with 95 % limits per label and protocol, and how far it is from our protocol's."""
    values = rows.protocols[rows.protocols.test_set == rows.main]
    lines = []
    for label in values.label.unique():
        of_label = values[values.label == label]
        means = of_label.pivot_table("value", "seed", "protocol")
        if "psnr_rgb" in means:
            per_seed = of_label[of_label.protocol == "psnr_rgb"].groupby("seed").value
            means[POOLED] = per_seed.apply(pooled)
        for name, protocol in PROTOCOLS.items():
            line = {"label": label, "protocol": name, "what": protocol.what} | NOT_RUN
            if name in means:
                line |= dict(zip(MEAN, mean_interval(means[name]))) | _amount(of_label)
                line["difference_to_ours"] = line["mean"] - means[OURS[name[:4]]].mean()
            lines.append(line)
    return lines


def levels(rows: Rows) -> list[dict]:
    """Returns the PSNR per haze level (the number after the image's scene), with limits over seeds, and the gain over
    the hazy input of the same images. beta is the level's scattering coefficient.

    Of the student, the frameworks, the longest runs and the hazy input, those scored on the most images: fewer would
    give each level other scenes, and confound the two.
    """
    scores = rows.scores[rows.scores.test_set == rows.main]
    scores = scores.assign(level=pd.to_numeric(scores.image.str.extract(r"_(\d+)$")[0]))
    hazy = scores[scores.label.isin(["hazy", HAZY_ALL])].drop_duplicates("image").set_index("image").psnr_rgb
    scores = scores[scores.label.isin(["hazy", HAZY_ALL, *LONG]) | scores.label.map(is_central)]
    images = scores.groupby("label", sort=False).image.nunique()
    lines = []
    for label in images[images == images.max()].index:
        for level, of_level in scores[scores.label == label].groupby("level"):
            per_seed = of_level.groupby("seed")[["psnr_rgb", "ssim_gauss11_rgb"]].mean()
            gain = (of_level.psnr_rgb - of_level.image.map(hazy)).mean()
            line = {"label": label, "test_set": rows.main, "level": int(level), "beta": sots_beta(int(level))}
            line |= dict(zip(PSNR, mean_interval(per_seed.psnr_rgb))) | _amount(of_level)
            lines.append(line | {"gain_over_hazy": gain, "ssim_gauss11_rgb": per_seed.ssim_gauss11_rgb.mean()})
    return lines


def search(rows: Rows) -> list[dict]:
    """Returns the search for a recipe: what each run changes about the student's, and its best PSNR on the validation
    scenes. None of these numbers is a test score."""
    searched = rows.runs.label.str.startswith((SEARCH, LONGEST[0], ONWARD)) | (rows.runs.label == "student")
    lines = []
    for label, of_label in rows.runs[searched].groupby("label", sort=False):
        options = [name for name in rows.options_apart(label, "student")
                   if name not in ("training_images", "start", "warmup", "manifest")]
        if label == "student":
            options = []
        line = {name: rows.of_runs(label, name) for name in ("training_images", "best_validation_psnr_rgb", "minutes")}
        line["changed"] = ", ".join(f"{name} {of_label[name].iloc[0]}" for name in options)
        lines.append(line | {"label": label, "runs": len(of_label), "status": "measured"})
    return lines


def selection(rows: Rows) -> list[dict]:
    """Returns what choosing the checkpoint on the test set adds, in dB, to choosing it on validation scenes: of the
    same runs, on the same test images, with 95 % limits over seeds. Runs that tracked the test set only. What is added
    cannot be negative, which the limits do not know, and grows with the validations."""
    curves = rows.curves
    if "test_psnr_rgb" not in curves or curves.test_psnr_rgb.isna().all():
        return []
    curves = curves.dropna(subset=["test_psnr_rgb"]).reset_index(drop=True)
    lines = []
    for label, of_label in curves.groupby("label", sort=False):
        chosen = of_label.loc[of_label.groupby("run").validation_psnr_rgb.idxmax()].set_index("run").test_psnr_rgb
        best = of_label.groupby("run").test_psnr_rgb.max()
        line = dict(zip(DIFFERENCE, mean_interval(best - chosen)))
        line |= {"psnr_selected_on_validation": chosen.mean(), "psnr_selected_on_test": best.mean()}
        validations = of_label.groupby("run").size().max()
        lines.append(line | {"label": label, "validations": validations, "seeds": len(best), "status": "measured"})
    return lines


def real_hazy(rows: Rows) -> list[dict]:
    """Returns medians over photographs of each statistic before and after dehazing, and the median change of one
    photograph (seeds averaged first); `agree` counts those that change as they would with less haze. Without ground
    truth this says nothing about fidelity: noise and exaggeration score like removed haze."""
    lines = []
    for label in rows.real_hazy.label.unique():
        of_label = rows.real_hazy[rows.real_hazy.label == label]
        for name, statistic in STATISTICS.items():
            line = {"label": label, "statistic": name, "what": statistic.what} | NOT_RUN
            line["less_haze"] = statistic.less_haze
            values = of_label[of_label.statistic == name]
            if len(values):
                photos = values.groupby("image")[["before", "after"]].mean()
                change = photos.after - photos.before
                agree = change < 0 if statistic.less_haze == "lower" else change > 0
                line |= photos.median().to_dict() | _amount(values)
                line |= {"change": change.median(), "agree": agree.sum()}
            lines.append(line)
    return lines


# --------------------------------------------------------------------------------------- parts of a line of any table


def measured(rows: Rows, label: str, test_set: str | None = None) -> dict:
    """Returns a label's scores, what they rest on, and of its runs parameters, best epoch and training images; only
    status "not run" without scores."""
    ours = rows.summary(label, test_set)
    if ours["status"] == "not run":
        return ours
    return ours | {name: rows.of_runs(label, name) for name in ("parameters", "best_epoch", "training_images")}


def compared(rows: Rows, a: str, b: str) -> dict:
    """Returns the PSNR of label a minus that of label b, with limits, and over how many seeds that is."""
    return dict(zip(DIFFERENCE, rows.difference(a, b))) | {"seeds_compared": rows.seeds_compared(a, b)}


def judged(rows: Rows, a: str, b: str) -> dict:
    """Returns `compared` and its verdict: equivalent, better, worse, undecided, one seed; empty without limits."""
    line, interval = compared(rows, a, b), rows.difference(a, b)
    if interval.known and min(rows.seeds(label) for label in (a, b)) < 2:
        return line | {"verdict": "one seed"}  # a better training looks like a luckier one
    return line | {"verdict": equivalence(interval) if interval.bounded else ""}


def _amount(values: pd.DataFrame) -> dict:
    return {"seeds": values.seed.nunique(), "images": values.image.nunique(), "status": "measured"}
