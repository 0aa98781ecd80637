"""A study's runs -> its rows: scores.csv, runs.csv, curves.csv, environment.json."""

import json
import math

import pandas as pd

from dehazelib import networks, provenance
from dehazelib.experiments import plan
from dehazelib.experiments.settings import Settings
from dehazelib.files import held, sweep, write_csv, write_text
from dehazelib.training.runs import Control, Run, run

ROWS = ("scores.csv", "runs.csv", "curves.csv", "environment.json")
FACTS = ("minutes", "peak_memory_mb", "manifest", "commit", "processor", "cores", "threads", "gpu", "torch")


def collect(settings: Settings) -> None:
    """Writes the study's rows beside its folder of runs.

    Only finished runs of this study are in them, in the study's order. Raises FileNotFoundError if there are none.
    """
    runs = [run(settings.runs_folder, spec) for spec in plan.every(settings)]
    runs = [one for one in runs if one.scored(settings)]
    if not runs:
        raise FileNotFoundError(f"{settings.runs_folder} holds no finished run of the study {settings.name}.")
    identity = ["run", "label", "network", "task", "target", "seed"]
    scores = [_beside(one, identity, one.study_scores(settings)) for one in runs]
    curves = [_beside(one, ["run", "label", "seed"], one.log()) for one in runs if not isinstance(one, Control)]
    facts = {"study": settings.name, "manifest": runs[-1].provenance()["manifest"], **provenance.environment()}
    with held(settings.folder / "lock.writing", f"the rows of {settings.name}") as lock:
        if lock:
            for name in ROWS:
                sweep(settings.folder, name)
        write_csv(pd.concat(scores), settings.folder / "scores.csv")
        write_csv(pd.DataFrame([_row(one) for one in runs]), settings.folder / "runs.csv")
        if curves:
            write_csv(pd.concat(curves), settings.folder / "curves.csv")
        write_text(settings.folder / "environment.json", json.dumps(facts, indent=1) + "\n")


def _identity(one: Run) -> dict:
    """Returns what a run is called, by column, in the order of the columns."""
    return {"run": one.spec.id} | {name: getattr(one.spec, name)
                                   for name in ("label", "network", "task", "target", "seed")}


def _beside(one: Run, columns: list[str], rows: pd.DataFrame) -> pd.DataFrame:
    """Returns a run's rows with columns in front that say whose they are."""
    return pd.DataFrame([_identity(one)])[columns].merge(rows, how="cross")


def _row(one: Run) -> dict:
    """Returns the run's row of runs.csv."""
    row = _identity(one) | {"parameters": networks.count(one.spec.network), "training_images": None}
    if not isinstance(one, Control):
        row |= {"training_images": one.spec.images(one.spec.steps)} | _training(one)
    options = {name: value for name, value in one.spec.model_dump().items() if name not in row}
    facts = one.provenance()
    return row | {name: facts.get(name) for name in FACTS} | options


def _training(one: Run) -> dict:
    """Returns what the run's log and its scores on validation scenes amount to."""
    log, scores = one.log(), one.scores()
    best = log.loc[log.validation_psnr_rgb.idxmax()]
    held_out = scores[scores.test_set.astype(str).str.endswith("_validation")]  # of notebook 3, for shipping
    return {
        "best_epoch": math.ceil(best.epoch),
        "best_validation_psnr_rgb": best.validation_psnr_rgb,
        "held_out_psnr_rgb": held_out.psnr_rgb.mean() if len(held_out) else None,
        "psnr_selected_on_test": log.test_psnr_rgb.max() if "test_psnr_rgb" in log else None,
    }
