"""The paper's nine tables, theirs beside ours, and the list of all tables: made from a study's rows in seconds."""

from functools import partial

import pandas as pd

from dehazelib import networks
from dehazelib.evaluation import cost
from dehazelib.networks import CATALOGUE
from dehazelib.provenance import Machine
from dehazelib.report import tables_extra
from dehazelib.report.columns import AMOUNT, COMPARED, PSNR, SSIM, frame, write_files
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.tables_extra import FRAMEWORK, FURTHER, compared, measured

NOT_TRAINED, NOT_TIMED = "not trained in this profile", "not timed in this profile"  # status of a row
SECOND_SET = {"student": "Ours [Student]", FRAMEWORK: "Ours", "framework-as_described": "Ours, as described",
              "hazy": "Hazy input"}
TARGETS = {"table1": "native", "table2": "upsampled", "table3": "native", "table4": "upsampled"}
RESIZING = {  # below the networks of Tables 1 to 4
    "native": {"bilinear": "Bilinear", "bicubic": "Bicubic", "bilinear_x4": "Bilinear 4x", "bicubic_x4": "Bicubic 4x"},
    "upsampled": {"bilinear": "Bilinear", "bicubic": "Bicubic"},
}
ABLATIONS = {  # table -> column of the setting, key whose line is the base, suffix of the label of each other key
    "table6": ("resolution", "hr", {"lr": "-lr"}),
    "table7": ("w_fa", "0.25", {"0.50": "-w0.50", "0.75": "-w0.75"}),
    "table8": ("distance", "l2", {"l1": "-l1", "kl": "-kl"}),
}
THEIRS = {"parameters": "parameters_published", "psnr": "psnr_published", "ssim": "ssim_published",
          "epoch": "epoch_published", "size_mb": "size_mb_published", "gflops": "gflops_published",
          "inference_ms": "inference_ms_published"}


def super_resolution(rows: Rows, name: str) -> pd.DataFrame:
    """Returns Table 1, 2, 3 or 4: the published rows, then resizing."""
    columns = ["model", "key", "parameters_published", "parameters", "psnr_published", *PSNR, "epoch_published",
               "best_epoch", "training_images", *AMOUNT]
    target = TARGETS[name]
    lines = _theirs(name) + [{"key": key, "model": model} for key, model in RESIZING[target].items()]
    found = []
    for line in lines:
        ours = measured(rows, f"{line['key']}-{target}")
        if ours["status"] == "not run":
            ours |= _untrained(line["key"])
        found.append(line | ours)
    return frame(found, columns)


def dehazing(rows: Rows) -> pd.DataFrame:
    """Returns Table 5, then further networks and controls, then the second test set.

    `parameters` of a framework is the training graph, student plus teacher; what runs at inference is
    `parameters_deployed`.
    """
    columns = ["model", "key", "label", "test_set", "parameters_published", "parameters", "parameters_deployed",
               "psnr_published", "ssim_published", *PSNR, *SSIM, "ssim_uniform7_rgb", "psnr_selected_on_test",
               "training_images", *AMOUNT]
    lines = []
    for line in _theirs("table5"):
        label = FRAMEWORK if line["key"] == "full_framework" else line["key"]
        lines.append(line | _dehazer(rows, label, rows.main))
    for label, model in FURTHER.items():
        lines.append({"model": model, "key": label} | _dehazer(rows, label, rows.main))
    for label, model in SECOND_SET.items():
        lines.append({"model": model, "key": label} | _dehazer(rows, label, "motorcycle"))
    return frame(lines, columns)


def ablation(rows: Rows, name: str) -> pd.DataFrame:
    """Returns Table 6, 7 or 8, as released and as described where run; `difference` is to the base line's PSNR."""
    setting, base, suffixes = ABLATIONS[name]
    columns = ["reading", setting, "key", "label", "psnr_published", "ssim_published", *PSNR, *SSIM, *COMPARED,
               *AMOUNT]
    theirs = _theirs(name)
    if setting == "w_fa":
        theirs = [line | {setting: line["key"]} for line in theirs]  # as printed: 0.50, not 0.5
    lines = []
    for reading in READINGS:
        reference = f"framework-{reading}"
        labels = {line["key"]: reference + suffixes.get(line["key"], "") for line in theirs}
        if not any(map(rows.has, labels.values())):
            continue
        for line in theirs:
            label = labels[line["key"]]
            ours = {"reading": reading, "label": label} | measured(rows, label)
            if line["key"] != base:
                ours |= compared(rows, label, reference)
            lines.append(line | ours)
    if not lines:
        lines = [line | {"reading": "", "label": "", "status": "not run"} for line in theirs]
    return frame(lines, columns)


def computing(rows: Rows) -> pd.DataFrame:
    """Returns Table 9: a line per form and machine measured, then the networks that the paper's table does not have.

    The form is "deployed", what a user runs, or "training_graph", student, teacher and module together, which is what
    the paper's row "Ours" counts; ZID is measured for "one_step". size_torch_mb is what torch.save writes, as the paper
    measured, size_mb a safetensors file. gflops_profiler follows the paper's convention, gflops counts two operations
    per multiply-add, transposed convolutions included.
    """
    sizes, counts = ["size_torch_mb", "size_mb"], ["gflops_profiler", "gflops"]
    times = ["latency_ms", "latency_ms_low", "latency_ms_high", "peak_memory_mb", "machine"]
    columns = ["model", "key", "form", "parameters_published", "parameters", "size_mb_published", *sizes,
               "gflops_published", *counts, "inference_ms_published", *times, "status"]
    machines = [str(Machine.of(row)) for row in rows.compute.itertuples()]
    ours = rows.compute.assign(machine=machines, status="measured").drop_duplicates(["name", "form", "machine"])
    listed = []
    for line in _theirs("table9"):
        if line["key"] != "full_framework":
            listed.append(line | {"name": line["key"], "form": "deployed"})
            continue
        for name, form in (("full_framework", "training_graph"), ("student", "deployed")):
            model = f"{line['model']}, {form.replace('_', ' ')}"
            listed.append(line | {"model": model, "name": name, "form": form})
    listed = pd.DataFrame(listed)
    untimed = ~listed.name.isin(ours.name) & listed.name.isin(CATALOGUE)
    counted = pd.DataFrame([{"name": name, "form": "deployed", "status": NOT_TIMED} | cost.counts(name)
                            for name in listed.name[untimed]])
    ours = pd.concat([ours, counted])
    shown = listed.merge(ours, on=["name", "form"], how="left").fillna({"status": "not run"})
    further = ours[(ours.status == "measured") & ~ours.name.isin(listed.name)].sort_values("name", kind="stable")
    further = further.assign(model=further.get("title", ""), key=further.name)
    return frame([*shown.to_dict("records"), *further.to_dict("records")], columns)


TABLES = {  # name -> (title, what makes it of a study's rows)
    "table1": ("Table 1: super-resolution, 460 x 620 target", partial(super_resolution, name="table1")),
    "table2": ("Table 2: super-resolution, 920 x 1240 target", partial(super_resolution, name="table2")),
    "table3": ("Table 3: teacher variants, 460 x 620 target", partial(super_resolution, name="table3")),
    "table4": ("Table 4: teacher variants, 920 x 1240 target", partial(super_resolution, name="table4")),
    "table5": ("Table 5: single-image dehazing", dehazing),
    "table6": ("Table 6: resolution of the teacher's features", partial(ablation, name="table6")),
    "table7": ("Table 7: weight of the affinity loss", partial(ablation, name="table7")),
    "table8": ("Table 8: distance between affinities", partial(ablation, name="table8")),
    "table9": ("Table 9: computing", computing),
    "table_plug_and_play": ("The affinity module on other networks", tables_extra.plug_and_play),
    "table_controls": ("Frameworks against the student trained alone", tables_extra.controls),
    "table_protocols": ("The same outputs under other evaluation protocols", tables_extra.protocols),
    "table_levels": ("PSNR by haze level", tables_extra.levels),
    "table_search": ("The search for a recipe, on validation scenes", tables_extra.search),
    "table_selection": ("What selecting the checkpoint on the test set adds", tables_extra.selection),
    "table_longest": ("The longest runs, with and without the module", tables_extra.longest),
    "table_real_hazy": ("Photographs with real haze, before and after dehazing", tables_extra.real_hazy),
}


def table(name: str, rows: Rows) -> pd.DataFrame:
    """Returns one table of a study. Raises ValueError naming the tables if there is no such name."""
    if name not in TABLES:
        raise ValueError(f"No table {name!r}. There are: {', '.join(TABLES)}.")
    return TABLES[name][1](rows)


def write(name: str, rows: Rows) -> pd.DataFrame:
    """Returns one table of a study after writing it to <study>/tables/<name>.csv and .md."""
    made = table(name, rows)
    write_files(rows.folder, name, TABLES[name][0], made)
    return made


def write_all(rows: Rows) -> dict[str, pd.DataFrame]:
    """Returns every table by name, after writing them."""
    return {name: write(name, rows) for name in TABLES}


def _theirs(name: str) -> list[dict]:
    """Returns the lines of one of the paper's tables, with its numbers in columns that end in "_published"."""
    printed = published(name)
    if "parameters_millions" in printed:
        printed["parameters"] = (printed.parameters_millions * 1e6).round()
    return printed.rename(columns=THEIRS).to_dict("records")


def _untrained(label: str) -> dict:
    """Returns what a network's row says that the study's profile does not train: its size, and that."""
    if label not in CATALOGUE or CATALOGUE[label].role == "control":
        return {}
    size = networks.count(label)
    return {"parameters": size, "parameters_deployed": size, "status": NOT_TRAINED}


def _dehazer(rows: Rows, label: str, test_set: str) -> dict:
    ours = {"label": label, "test_set": test_set} | measured(rows, label, test_set)
    if ours["status"] == "not run":
        return ours | _untrained(label) if test_set == rows.main else ours
    deployed = rows.of_runs(label, "parameters")
    ours |= {"parameters": deployed, "parameters_deployed": deployed}
    if label.startswith("framework"):
        ours["parameters"] += rows.teacher_parameters(label)
    if test_set == rows.main:
        ours["psnr_selected_on_test"] = rows.of_runs(label, "psnr_selected_on_test")
    return ours
