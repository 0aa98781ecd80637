"""The numbers that the pages quote from a study's rows: what was run, what it shows, what the shipped weights are."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from dehazelib import paths
from dehazelib.experiments.plan import ADAPTIVE_SHARE, IMAGE, LONGEST, PRIOR_ALL, TEACHER
from dehazelib.experiments.settings import RECIPES
from dehazelib.experiments.spec import of_row
from dehazelib.provenance import Machine
from dehazelib.report import tables, tables_extra
from dehazelib.report.rows import READINGS, Rows, published, published_images
from dehazelib.report.rules import SAME
from dehazelib.report.tables_extra import FRAMEWORK

LEVELS = 10  # of haze, in SOTS-indoor
SHIPPED = paths.WEIGHTS / "sots.safetensors"
OWNERS = {"paper": "the paper's", "released": "the released code's"}  # of recipes


def facts(rows: Rows) -> dict:
    """Returns what every page may quote, by name. Raises ValueError if the study has no student.

    `has`, `psnr`, `ssim`, `gain` and `budget` take a label; `gain` is a difference in PSNR to the student alone.
    """
    if not rows.has("student") or not (rows.runs.label == "student").any():
        raise ValueError(f"{rows.folder} has no scores of the student: train it first (dehazelib train central).")
    best = rows.best_student if rows.has(LONGEST[0]) else "student"
    return {
        "study": rows.folder.name, "main": rows.main, "rows": rows, "printed": printed(),
        "has": rows.has, "psnr": rows.score, "ssim": lambda label: rows.score(label, "ssim_gauss11_rgb"),
        "gain": lambda label, base="student": rows.difference(label, base),
        "ssim_gain": lambda label, base: rows.difference(label, base, "ssim_gauss11_rgb"),
        "budget": lambda label: budget(rows, label), "tested": lambda label: tested(rows, label),
        "easier": lambda label: easier(rows, label),
        "best": best, "prior": "dark_channel_prior" if best == "student" else PRIOR_ALL, "shipped": shipped(rows),
        "adaptive_share": ADAPTIVE_SHARE, "released_shares": released_shares(rows),
        "charts": [file.name for file in sorted((rows.folder / "figures").glob("*.png"))],
        "photographs": on_photographs(rows),
        "has_audit": (rows.folder / "tables" / "forensics.md").exists(),
    }


def printed() -> dict[str, float]:
    """Returns the paper's own numbers by the id of their claim, in the claim's unit."""
    claims = published("claims", text=True).set_index("id").value
    return {name: float(value) for name, value in claims.items() if value}


def tested(rows: Rows, label: str) -> dict:
    """Returns what a label's scores rest on: images, seeds, and whether all images have an odd haze level."""
    scores = rows.of(label)
    level = pd.to_numeric(scores.image.str.extract(r"_(\d+)$")[0])
    return {"images": scores.image.nunique(), "seeds": scores.seed.nunique(), "odd": bool((level % 2 == 1).all())}


def budget(rows: Rows, label: str) -> dict:
    """Returns what the first run of a label, and those that it continues, were trained on: images, with repetitions,
    their shares of the published recipe's images and pixels, minutes, and the factors of downsampling of each stage."""
    stages = rows.phases(label).to_dict("records")
    images, recipe = rows.images_seen(label), published_images("dehazing")
    pixels = sum(stage["training_images"] * of_row(stage).pixels for stage in stages)
    scales = dict.fromkeys(tuple(factor for factor, _ in of_row(stage).cycle) for stage in stages)
    return {"images": images, "recipe": recipe, "image_share": images / recipe,
            "pixel_share": pixels / (recipe * IMAGE[0] * IMAGE[1]),
            "minutes": sum(stage["minutes"] for stage in stages), "crop": int(stages[-1]["crop"]),
            "scales": list(scales)}


def trained_share(rows: Rows, labels: tuple[str, ...]) -> float:
    """Returns the least share of the published recipe's pixels that any of these labels' runs was trained on; NaN
    without trained labels."""
    shares = [budget(rows, label)["pixel_share"] for label in labels if rows.training_images(label) > 0]
    return min(shares, default=math.nan)


def easier(rows: Rows, label: str) -> float:
    """Returns by how many dB the haze levels that a label was scored on are easier than all ten of SOTS-indoor, by a
    quadratic in the level through the mean of each; NaN below three levels."""
    scores = rows.of(label)
    level = pd.to_numeric(scores.image.str.extract(r"_(\d+)$")[0]).set_axis(scores.index)
    means = scores.psnr_rgb.groupby(level).mean()
    if len(means) < 3:
        return math.nan
    curve = np.polynomial.Polynomial.fit(means.index, means, 2)
    return float(means.mean() - curve(np.arange(1, LEVELS + 1)).mean())


def one_training(rows: Rows) -> dict:
    """Returns how much trainings vary that differ by chance: those of the student, and of the forms of the module that
    have less than 0.1 % of the gradient. Keys: runs, labels, sd, low, high (dB); empty below two labels."""
    weak = [label for label in rows.scores.label.unique() if rows.has(label) and rows.gradient_share(label) < SAME
            and label.startswith("framework-")]
    if not weak:
        return {}
    labels = ["student", *weak]
    runs = pd.concat([rows.of(label).groupby("seed").psnr_rgb.mean() for label in labels])
    return {"runs": len(runs), "labels": labels, "sd": runs.std(), "low": runs.min(), "high": runs.max()}


def released_shares(rows: Rows) -> tuple[float, float] | None:
    """Returns the least and the greatest share, in %, of the gradient that the released loss holds at its printed
    weight, by calculation on whole images (tables/forensics.csv); None if that table is not there."""
    file = rows.folder / "tables" / "forensics.csv"
    if not file.exists():
        return None
    table = pd.read_csv(file)
    shares = table.computed[table.finding.str.startswith("Gradient of 0.25 x L_FA")].astype(float)
    return (shares.min(), shares.max()) if len(shares) else None


def judgement(rows: Rows) -> dict[str, bool]:
    """Returns the premises of the sentences of judgement in templates/claims.md.j2, and whether each holds: where one
    does not, the template leaves those sentences out."""
    paper = printed()
    released, adaptive = rows.difference(FRAMEWORK, "student"), f"{FRAMEWORK}-adaptive"
    compute = rows.compute[(rows.compute.name == "full_framework") & (rows.compute.form == "training_graph")]
    trained = rows.runs.dropna(subset="training_images")
    shares = released_shares(rows)
    return {
        "no run had a GPU": not trained.gpu.any(),
        "the student scores below the paper's": rows.score("student").value < paper["student_psnr"],
        "the best student scores below the paper's framework":
            rows.score(rows.best_student).value < paper["framework_psnr"],
        "the interval of the released module's gain holds zero": released.low < 0 < released.high,
        "it lies below half the printed gain": released.high < paper["affinity_gain_db"] / 2,
        "a trained teacher helps no more than a black image":
            rows.difference(adaptive, "framework-black_teacher").high < 0,
        "the released loss has less than 1 % of the gradient": shares is not None and shares[1] < 1,
        "the teacher's target is bilinear resizing": math.isinf(rows.score("bilinear-upsampled").value),
        "the training graph needs the printed GFLOPs":
            len(compute) > 0 and bool((compute.gflops_profiler - paper["framework_gflops"]).abs().max() < 0.001),
    }


def faults(file: Path) -> list[dict]:
    """Returns the rows of the campaign of faults, tests/faults/campaign.py; none if it was not run."""
    return pd.read_csv(file).to_dict("records") if file.exists() else []


def what_was_run(rows: Rows) -> dict:
    """Returns groups of runs, and facts about all of them: machines, minutes, data, manifests, versions, recipe."""
    first = rows.runs[rows.runs.label == "student"].iloc[0].to_dict()
    trained = rows.runs.dropna(subset="training_images")
    options = {key: first[key] for key in ("lr", "schedule", "augment")}
    owners = [OWNERS[name] for name in OWNERS if options == {key: RECIPES[name][key] for key in options}]
    return {
        "groups": _groups(rows), "first": first, "owner": next(iter(owners), ""),
        "trained": len(trained), "minutes": trained.minutes.sum(),
        "machines": sorted({Machine.of(run) for run in trained.itertuples()}), "data": sorted(set(rows.runs.data)),
        "manifests": sorted(set(rows.runs.manifest)), "commits": rows.runs.commit.nunique(),
        "torch": sorted(set(rows.runs.torch)),
        "epoch": int(printed()["its_hazy_images"]),
    }


def _groups(rows: Rows) -> list[dict]:
    """Returns a group of runs per task and number of training images; within a task, networks without training (NaN
    images) come last."""
    groups = rows.runs.groupby(["task", "training_images"], dropna=False)
    return [{"task": task, "images": images, "runs": len(runs), "seeds": runs.seed.nunique(),
             "minutes": runs.minutes.sum(), "labels": list(runs.label.unique())} for (task, images), runs in groups]


def gains(rows: Rows) -> list[dict]:
    """Returns what the module gains in each of its forms that was run, on test and on validation scenes, with the
    affinity term's share of the gradient in % (median; NaN if not recorded)."""
    table = tables.table("table_controls", rows).dropna(subset="difference")
    table = table[table.label.isin([FRAMEWORK, *tables_extra.FURTHER])]
    return [{"form": row.model.removeprefix("Ours, "), "gain": rows.difference(row.label, "student"),
             "verdict": row.verdict, "p_holm": row.p_holm, "share": rows.gradient_share(row.label),
             "validation": rows.validation_difference(row.label, "student")} for row in table.itertuples()]


def what_it_shows(rows: Rows) -> dict:
    """Returns the facts of the results page that only some studies have; what was not run is None or empty."""
    return {"gains": gains(rows), "one_training": one_training(rows), "seven": tables_extra.FORMS,
            "half_width": tables_extra.all_trainings(rows)[0],
            "distances": _distances(rows), "teacher": _teacher(rows), "errors": _errors(rows),
            "validation_pairs": rows.of_runs("student", "validation_pairs"),
            "seeds": sorted({rows.of(label).seed.nunique() for label in rows.scores.label.unique() if rows.has(label)})}


def _distances(rows: Rows) -> list[dict]:
    """Returns what the L2 distance gains over another one (Table 8), as far as run."""
    found = []
    for other in ("l1", "kl"):
        for reading in READINGS:
            pair = (f"framework-{reading}", f"framework-{reading}-{other}")
            if all(map(rows.has, pair)):
                found.append({"other": other, "reading": reading, "gain": rows.difference(*pair)})
    return found


def _teacher(rows: Rows) -> dict | None:
    """Returns the PSNR of the frameworks' teacher, that of the first seed, at its own task, and the mean over seeds."""
    label = f"{TEACHER}-upsampled"
    if not rows.has(label):
        return None
    per_seed = rows.of(label).groupby("seed").psnr_rgb.mean()
    return {"images": rows.training_images(label), "psnr": per_seed.iloc[0], "mean": per_seed.mean(),
            "seeds": len(per_seed)}


def _errors(rows: Rows) -> dict[str, pd.Series]:
    """Returns label -> mean PSNR by protocol, of the best student and the hazy input; empty if not measured."""
    values = rows.protocols[rows.protocols.test_set == rows.main]
    psnr = values.groupby(["label", "protocol"]).value.mean().unstack("protocol")
    if rows.best_student not in psnr.index or "psnr_rgb_details" not in psnr:
        return {}
    return {label: psnr.loc[label] for label in (rows.best_student, "hazy") if label in psnr.index}


# ------------------------------------------------------------------------------------------------ the shipped weights


def shipped(rows: Rows) -> str:
    """Returns the label of the study's run whose weights are shipped; "" if they are of none of its runs."""
    if not SHIPPED.exists():
        return ""
    with safe_open(SHIPPED, "numpy") as weights:
        labels = rows.runs.label[rows.runs.run == weights.metadata()["run"]]
    return next(iter(labels), "")


def card(rows: Rows) -> dict:
    """Returns the facts of the model card. Raises ValueError if the study has no student to ship."""
    label = shipped(rows) or rows.best_student
    if not rows.has(label):
        raise ValueError(f"{rows.folder} has no scores of {label}: its profile names no phases of it, or they were not "
                         "run.")
    phases = rows.phases(label)
    scores = rows.of(label)
    level = pd.to_numeric(scores.image.str.extract(r"_(\d+)$")[0]).set_axis(scores.index)
    return {
        "label": label, "last": phases.iloc[-1].to_dict(), "phases": phases.to_dict("records"),
        "minutes": phases.minutes.sum(), "machine": Machine.of(phases.iloc[-1]),
        "levels": scores.psnr_rgb.groupby(level).mean(), "distribution": lambda label: distribution(rows, label),
    }


def on_photographs(rows: Rows) -> dict:
    """Returns what each set of weights does to photographs, {measure: {set: row}}; empty where it was not measured."""
    file = rows.folder / "photographs.csv"
    found = {}
    if file.exists():
        for row in pd.read_csv(file).to_dict("records"):
            found.setdefault(row["measure"], {})[row["weights"]] = row
    return found


def distribution(rows: Rows, label: str) -> dict:
    """Returns how a label's PSNR is spread over images, in dB."""
    psnr = rows.of(label).psnr_rgb
    return {"worst": psnr.min(), "low": np.quantile(psnr, 0.05), "best": psnr.max()}
