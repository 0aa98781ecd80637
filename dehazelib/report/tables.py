"""The paper's nine tables, theirs beside ours, and more of ours: derived from a study's CSV files in seconds."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dehazelib.files import write_text
from dehazelib.report import tables_scores
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.statistics import equivalence

FRAMEWORK = "framework-as_released"
SAME_BUDGET = ", budget of the baselines"  # how the names of our runs at that budget end
FURTHER = {  # rows of Table 5 below the published ones
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
SECOND_SET = {"student": "Ours [Student]", FRAMEWORK: "Ours", "framework-as_described": "Ours, as described",
              "hazy": "Hazy input"}
CONTROLS = {  # of Tables 1 to 4
    "native": {"bilinear": "Bilinear", "bicubic": "Bicubic", "bilinear_x4": "Bilinear 4x", "bicubic_x4": "Bicubic 4x"},
    "upsampled": {"bilinear": "Bilinear", "bicubic": "Bicubic"},
}
ABLATIONS = {  # table -> column of the setting, key whose row is the base, suffix of the label of each other key
    "table6": ("resolution", "hr", {"lr": "-lr"}),
    "table7": ("w_fa", "0.25", {"0.50": "-w0.50", "0.75": "-w0.75"}),
    "table8": ("distance", "l2", {"l1": "-l1", "kl": "-kl"}),
}
PSNR = ["psnr_rgb", "psnr_low", "psnr_high"]
SSIM = ["ssim_gauss11_rgb", "ssim_low", "ssim_high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]
VALIDATION = ["validation_difference", "validation_low", "validation_high"]  # the same on held-out training scenes
COMPARED = [*DIFFERENCE, "seeds_compared"]  # a difference is over the seeds that both have, a score over all of its own
AMOUNT = ["seeds", "images", "status"]
COUNTS = ("parameters", "parameters_published", "parameters_deployed", "training_images", "seeds", "seeds_compared",
          "images")  # whole numbers or empty
DECIMALS = {"psnr": 2, "ssim": 4, "difference_to_ours": 4, "difference": 3, "best_epoch": 1, "gflops": 3, "size": 3,
            "latency": 2, "peak": 1, "minutes": 1, "best_validation": 2, "held_out": 2, "mean": 4, "gain": 2,
            "before": 4, "after": 4, "change": 4, "validation": 3}


# ---------------------------------------------------------------------------------------------- one builder per kind


def super_resolution(study: Rows, number: int, target: str) -> pd.DataFrame:
    """Returns Table 1, 2, 3 or 4: the published rows, then the interpolations. target: native or upsampled."""
    columns = ["model", "key", "parameters_published", "parameters", "psnr_published", *PSNR, "epoch_published",
               "best_epoch", "training_images", *AMOUNT]
    rows = published(f"table{number}").rename(columns=lambda name: f"{name}_published" if name in (
        "parameters", "psnr", "epoch") else name).to_dict("records")
    rows += [{"key": key, "model": model} for key, model in CONTROLS[target].items()]
    return _frame([row | _ours(study, f"{row['key']}-{target}") for row in rows], columns)


def dehazing(study: Rows) -> pd.DataFrame:
    """Returns Table 5. `parameters` of a framework row is the training graph, student plus teacher; what runs at
    inference is `parameters_deployed`. Rows of the second test set follow the others."""
    columns = ["model", "key", "label", "test_set", "parameters_published", "parameters", "parameters_deployed",
               "psnr_published", "ssim_published", *PSNR, *SSIM, "ssim_uniform7_rgb", "psnr_selected_on_test",
               "training_images", *AMOUNT]
    rows = []
    for row in published("table5").to_dict("records"):
        label = FRAMEWORK if row["key"] == "full_framework" else row["key"]
        theirs = {"parameters_published": round(row["parameters_millions"] * 1e6), "psnr_published": row["psnr"],
                  "ssim_published": row["ssim"]}
        rows.append({"model": row["model"], "key": row["key"]} | theirs | _dehazer(study, label, study.main))
    rows += [{"model": model, "key": label} | _dehazer(study, label, study.main) for label, model in FURTHER.items()]
    rows += [{"model": model, "key": label} | _dehazer(study, label, "motorcycle")
             for label, model in SECOND_SET.items()]
    return _frame(rows, columns)


def ablation(study: Rows, name: str) -> pd.DataFrame:
    """Returns Table 6, 7 or 8 for each reading that has rows; `difference` is a row's PSNR less the base row's."""
    setting, base, suffixes = ABLATIONS[name]
    columns = ["reading", setting, "key", "label", "psnr_published", "ssim_published", *PSNR, *SSIM, *COMPARED,
               *AMOUNT]
    theirs = published(name)
    theirs = theirs.assign(**{setting: theirs.key if setting == "w_fa" else theirs[setting]})
    theirs = theirs.rename(columns={"psnr": "psnr_published", "ssim": "ssim_published"}).to_dict("records")
    present = [reading for reading in READINGS if any(
        study.has(f"framework-{reading}{suffix}") for suffix in ("", *suffixes.values()))]
    rows = []
    for reading in present or [""]:
        reference = f"framework-{reading}"
        for row in theirs:
            label = reference + suffixes.get(row["key"], "") if reading else ""
            ours = {"reading": reading, "label": label} | _ours(study, label)
            if row["key"] != base:
                ours |= _compared(study, label, reference)
            rows.append(row | ours)
    return _frame(rows, columns)


def computing(study: Rows) -> pd.DataFrame:
    """Returns Table 9: a row per form and machine measured, then the networks that the paper's table does not have.

    The form is "deployed", what a user runs, or "training_graph", student, teacher and module together, which is what
    the paper's row "Ours" counts; ZID is measured for "one_step". size_torch_mb is what torch.save writes, as the paper
    measured, size_mb a safetensors file. gflops_profiler follows the paper's convention, gflops counts two operations
    per multiply-add, transposed convolutions included.
    """
    sizes, counts = ["size_torch_mb", "size_mb"], ["gflops_profiler", "gflops"]
    times = ["latency_ms", "latency_ms_low", "latency_ms_high", "peak_memory_mb", "machine"]
    ours = ["parameters", *sizes, *counts, *times]
    columns = ["model", "key", "form", "parameters_published", "parameters", "size_mb_published", *sizes,
               "gflops_published", *counts, "inference_ms_published", *times, "status"]
    compute = study.compute.assign(machine=[_machine(row) for row in study.compute.itertuples()])
    compute = compute.drop_duplicates(["name", "form", "machine"])
    rows, shown = [], set()
    for row in published("table9").to_dict("records"):
        theirs = {"parameters_published": round(row["parameters_millions"] * 1e6), "size_mb_published": row["size_mb"],
                  "gflops_published": row["gflops"], "inference_ms_published": row["inference_ms"]}
        framework = row["key"] == "full_framework"
        forms = {"training_graph": row["key"], "deployed": "student"} if framework else {"deployed": row["key"]}
        shown |= set(forms.values())
        for form, name in forms.items():
            head = {"model": f"{row['model']}, {form.replace('_', ' ')}" if framework else row["model"],
                    "key": row["key"], "form": form} | theirs
            measured = compute.loc[(compute.name == name) & (compute.form == form), ours]
            rows += [head | one | {"status": "measured"} for one in measured.to_dict("records")]
            if measured.empty:
                rows.append(head | {"status": "not run"})
    further = compute[~compute.name.isin(shown)].sort_values("name", kind="stable")
    rows += [{"model": one["title"], "key": one["name"], "status": "measured"} | one
             for one in further.to_dict("records")]
    return _frame(rows, columns)


def _machine(row) -> str:
    """Returns what a row of compute.csv was measured on: the GPU, or the processor with its threads."""
    if row.device != "cpu":
        return row.device
    threads = getattr(row, "threads", "")
    return f"{getattr(row, 'processor', '') or 'CPU'}" + f", {threads} thread{'s' * (threads != 1)}" * (threads != "")


def plug_and_play(study: Rows) -> pd.DataFrame:
    """Returns other networks trained with and without the affinity module; `difference` is with less without."""
    columns = ["model", "key", *PSNR, *(f"{name}_with" for name in PSNR), *COMPARED, "verdict", *AMOUNT]
    titles = FURTHER | dict(published("table5")[["key", "model"]].to_numpy())
    keys = [label.removesuffix("-affinity") for label in study.scores.label.unique() if label.endswith("-affinity")]
    rows = []
    for key in keys:
        row = {"model": titles.get(key, key), "key": key, "status": "not run"}
        if study.has(key):
            ours = study.summary(f"{key}-affinity")
            row |= study.summary(key) | {f"{name}_with": ours[name] for name in PSNR}
            row |= _difference(study, f"{key}-affinity", key)
        rows.append(row)
    return _frame(rows or [{"status": "not run"}], columns)


def controls(study: Rows) -> pd.DataFrame:
    """Returns the central comparison: every framework against the student trained alone, PSNR and verdict; beside it
    the difference on the validation scenes that chose each run's checkpoint."""
    columns = ["model", "label", *PSNR, *COMPARED, "verdict", *VALIDATION, *AMOUNT]
    models = {"student": "Ours [Student]", FRAMEWORK: "Ours, as released"} | FURTHER
    present = study.scores.label[study.scores.label.str.startswith("framework")].unique()
    labels = [label for label in dict.fromkeys([*models, *present])
              if label.startswith(("student", "framework")) and not label.endswith("equal_budget")]
    rows = [{"model": models.get(label, label), "label": label} | _ours(study, label) for label in labels]
    for row in rows:
        if row["label"] != "student":
            row |= _difference(study, row["label"], "student")
            row |= dict(zip(VALIDATION, study.validation_difference(row["label"], "student")))
    return _frame(rows, columns)


TABLES = {  # name -> (title, builder)
    "table1": ("Table 1: super-resolution, 460 x 620 target", partial(super_resolution, number=1, target="native")),
    "table2": ("Table 2: super-resolution, 920 x 1240 target", partial(super_resolution, number=2, target="upsampled")),
    "table3": ("Table 3: teacher variants, 460 x 620 target", partial(super_resolution, number=3, target="native")),
    "table4": ("Table 4: teacher variants, 920 x 1240 target", partial(super_resolution, number=4, target="upsampled")),
    "table5": ("Table 5: single-image dehazing", dehazing),
    "table6": ("Table 6: resolution of the teacher's features", partial(ablation, name="table6")),
    "table7": ("Table 7: weight of the affinity loss", partial(ablation, name="table7")),
    "table8": ("Table 8: distance between affinities", partial(ablation, name="table8")),
    "table9": ("Table 9: computing", computing),
    "table_plug_and_play": ("The affinity module on other networks", plug_and_play),
    "table_controls": ("Frameworks against the student trained alone", controls),
    "table_protocols": ("The same outputs under other evaluation protocols", tables_scores.protocols),
    "table_levels": ("PSNR by haze level", tables_scores.levels),
    "table_search": ("The search for a recipe, on validation scenes", tables_scores.search),
    "table_selection": ("What selecting the checkpoint on the test set adds", tables_scores.selection),
    "table_longest": ("The longest runs, with and without the module", tables_scores.longest),
    "table_real_hazy": ("Photographs with real haze, before and after dehazing", tables_scores.real_hazy),
}


def build(folder: Path, name: str) -> pd.DataFrame:
    """Returns one table of the study in `folder`. Raises ValueError naming the tables if there is no such name."""
    if name not in TABLES:
        raise ValueError(f"No table {name!r}. There are: {', '.join(TABLES)}.")
    return TABLES[name][1](Rows(folder))


def write(folder: Path, name: str) -> pd.DataFrame:
    """Returns one table after writing it to <folder>/tables/<name>.csv (six decimals) and .md (rounded)."""
    table = build(folder, name)
    write_files(folder, name, TABLES[name][0], table)
    return table


def write_all(folder: Path) -> dict[str, pd.DataFrame]:
    """Returns every table by name, after writing them."""
    return {name: write(folder, name) for name in TABLES}


def write_files(folder: Path, name: str, title: str, table: pd.DataFrame) -> None:
    """Writes a table as CSV and as markdown into <folder>/tables; the same table gives the same bytes."""
    target = Path(folder) / "tables"
    target.mkdir(parents=True, exist_ok=True)
    texts = {"csv": table.round(6).to_csv(index=False, lineterminator="\n"), "md": markdown(title, table)}
    for kind, text in texts.items():
        write_text(target / f"{name}.{kind}", text)


def markdown(title: str, table: pd.DataFrame) -> str:
    """Returns a table as markdown: floats rounded by column, empty where there is no number, infinite as the sign."""
    rows = [[_cell(column, value) for column, value in row.items()] for row in table.to_dict("records")]
    return f"# {title}\n\n" + markdown_rows(list(table.columns), rows)


def markdown_rows(header: list[str], rows: Iterable[list[str]]) -> str:
    """Returns a header and rows of cells as the lines of a markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, ["---"] * len(header), *rows))


def _cell(column: str, value: object) -> str:
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if "published" in column:
        return f"{value:.10g}"
    decimals = next((digits for start, digits in DECIMALS.items() if column.startswith(start)), None)
    if decimals is None:
        return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
    return f"{value:.{decimals}f}"


def _ours(study: Rows, label: str) -> dict:
    ours = study.summary(label)
    if ours["status"] == "not run":
        return ours
    return ours | {"parameters": study.of_runs(label, "parameters"), "best_epoch": study.of_runs(label, "best_epoch"),
                   "training_images": study.training_images(label)}


def _dehazer(study: Rows, label: str, test_set: str) -> dict:
    ours = {"label": label, "test_set": test_set} | study.summary(label, test_set)
    if ours["status"] == "not run":
        return ours
    deployed = study.of_runs(label, "parameters")
    whole = deployed + study.teacher_parameters(label) if label.startswith("framework") else deployed
    selected = study.of_runs(label, "psnr_selected_on_test") if test_set == study.main else np.nan
    return ours | {"parameters": whole, "parameters_deployed": deployed, "psnr_selected_on_test": selected,
                   "training_images": study.training_images(label)}


def _compared(study: Rows, a: str, b: str) -> dict:
    return dict(zip(DIFFERENCE, study.difference(a, b))) | {"seeds_compared": study.seeds_compared(a, b)}


def _difference(study: Rows, a: str, b: str) -> dict:
    compared = _compared(study, a, b)
    limits = [compared[name] for name in DIFFERENCE]
    verdict = equivalence(*limits[1:]) if np.isfinite(limits).all() else ""
    if verdict and min(study.summary(label)["seeds"] for label in (a, b)) < 2:
        verdict = "one seed"  # the interval is over scenes only: it cannot tell a better training from a luckier one
    return compared | {"verdict": verdict}


def _frame(rows: list[dict], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    for column in columns:
        if column in COUNTS:
            table[column] = table[column].astype("Float64").astype("Int64")
    return table
