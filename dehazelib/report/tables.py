"""The paper's nine tables, theirs beside ours, and the list of all tables: made from a study's rows in seconds.

tables.yaml says what each is called and which columns it has; the functions here and in tables_extra.py make its lines.
"""

from functools import partial
from pathlib import Path

import pandas as pd
import yaml

from dehazelib import networks
from dehazelib.evaluation import cost
from dehazelib.experiments.variant import Variant
from dehazelib.networks import CATALOGUE
from dehazelib.provenance import Machine
from dehazelib.report import tables_extra
from dehazelib.report.columns import frame, write_files
from dehazelib.report.rows import READINGS, Rows, published
from dehazelib.report.tables_extra import FRAMEWORK, FURTHER, NOT_RUN, compared, measured

TABLES = yaml.safe_load(Path(__file__).with_name("tables.yaml").read_text(encoding="utf-8"))
NOT_TRAINED, NOT_TIMED = "not trained in this profile", "not timed in this profile"  # status of a row
SECOND_SET = {"student": "Ours [Student]", FRAMEWORK: "Ours", "framework-as_described": "Ours, as described",
              "hazy": "Hazy input"}
TARGETS = {"table1": "native", "table2": "upsampled", "table3": "native", "table4": "upsampled"}
RESIZING = {  # below the networks of Tables 1 to 4
    "native": {"bilinear": "Bilinear", "bicubic": "Bicubic", "bilinear_x4": "Bilinear 4x", "bicubic_x4": "Bicubic 4x"},
    "upsampled": {"bilinear": "Bilinear", "bicubic": "Bicubic"},
}
ABLATIONS = {  # table -> column of the setting, key whose line is the base, change of each other key
    "table6": ("resolution", "hr", {"lr": "lr"}),
    "table7": ("w_fa", "0.25", {"0.50": "w0.50", "0.75": "w0.75"}),
    "table8": ("distance", "l2", {"l1": "l1", "kl": "kl"}),
}
THEIRS = {"parameters": "parameters_published", "psnr": "psnr_published", "ssim": "ssim_published",
          "epoch": "epoch_published", "size_mb": "size_mb_published", "gflops": "gflops_published",
          "inference_ms": "inference_ms_published"}


def super_resolution(rows: Rows, name: str) -> list[dict]:
    """Returns Table 1, 2, 3 or 4: the published rows, then resizing."""
    target = TARGETS[name]
    lines = _theirs(name) + [{"key": key, "model": model} for key, model in RESIZING[target].items()]
    return [line | _ours(rows, line["key"], f"{line['key']}-{target}") for line in lines]


def dehazing(rows: Rows) -> list[dict]:
    """Returns Table 5, then further networks and controls, then the second test set.

    `parameters` of a framework is the training graph, student plus teacher; what runs at inference is
    `parameters_deployed`.
    """
    lines = []
    for line in _theirs("table5"):
        label = FRAMEWORK if line["key"] == "full_framework" else line["key"]
        lines.append(line | _dehazer(rows, label, rows.main))
    for test_set, models in ((rows.main, FURTHER), ("motorcycle", SECOND_SET)):
        lines += [{"model": model, "key": label} | _dehazer(rows, label, test_set) for label, model in models.items()]
    return lines


def ablation(rows: Rows, name: str) -> list[dict]:
    """Returns Table 6, 7 or 8, as released and as described where run; `difference` is to the base line's PSNR."""
    setting, base, changes = ABLATIONS[name]
    theirs = [line | {setting: line["key"]} if setting == "w_fa" else line for line in _theirs(name)]  # 0.50, not 0.5
    lines = []
    for reading in READINGS:
        for line in theirs:
            label = Variant(form=reading, change=changes.get(line["key"], "")).label
            line = line | {"reading": reading, "label": label} | measured(rows, label)
            if line["key"] != base:
                line |= compared(rows, label, Variant(form=reading).label)
            lines.append(line)
    run = {line["reading"] for line in lines if line["status"] == "measured"}
    absent = [line | {"reading": "", "label": ""} | NOT_RUN for line in theirs]
    return [line for line in lines if line["reading"] in run] or absent


def computing(rows: Rows) -> list[dict]:
    """Returns Table 9: a line per form and machine measured, then the networks that the paper's table does not have.

    The form is "deployed", what a user runs, or "training_graph", student, teacher and module together, which is what
    the paper's row "Ours" counts; ZID is measured for "one_step". size_torch_mb is what torch.save writes, as the paper
    measured, size_mb a safetensors file. gflops_profiler follows the paper's convention, gflops counts two operations
    per multiply-add, transposed convolutions included.
    """
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
    return [*shown.to_dict("records"), *further.to_dict("records")]


LINES = {  # of each table, from a study's rows
    **{name: partial(super_resolution, name=name) for name in TARGETS}, "table5": dehazing,
    **{name: partial(ablation, name=name) for name in ABLATIONS}, "table9": computing,
    "table_plug_and_play": tables_extra.plug_and_play, "table_controls": tables_extra.controls,
    "table_protocols": tables_extra.protocols, "table_levels": tables_extra.levels,
    "table_search": tables_extra.search, "table_selection": tables_extra.selection,
    "table_longest": tables_extra.longest, "table_real_hazy": tables_extra.real_hazy,
}


def table(name: str, rows: Rows) -> pd.DataFrame:
    """Returns one table of a study; one without rows has a line that says so. Raises ValueError naming the tables if
    there is no such name."""
    if name not in TABLES:
        raise ValueError(f"No table {name!r}. There are: {', '.join(TABLES)}.")
    lines = LINES[name](rows) or [{"label": "student"} | NOT_RUN]
    return frame(lines, TABLES[name]["columns"])


def write(name: str, rows: Rows) -> pd.DataFrame:
    """Returns one table of a study after writing it to <study>/tables/<name>.csv and .md."""
    made = table(name, rows)
    write_files(rows.folder, name, TABLES[name]["title"], made)
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


def _ours(rows: Rows, network: str, label: str) -> dict:
    """Returns `measured`; of a network that the study's profile does not train its size, and that."""
    ours = measured(rows, label)
    known = network in CATALOGUE and CATALOGUE[network].role != "control"
    if ours["status"] == "measured" or not known:
        return ours
    size = networks.count(network)
    return {"parameters": size, "parameters_deployed": size, "status": NOT_TRAINED}


def _dehazer(rows: Rows, label: str, test_set: str) -> dict:
    where = {"label": label, "test_set": test_set}
    if not rows.has(label, test_set):
        return where | (_ours(rows, label, label) if test_set == rows.main else NOT_RUN)
    deployed = rows.of_runs(label, "parameters")
    ours = where | measured(rows, label, test_set) | {"parameters": deployed, "parameters_deployed": deployed}
    if label.startswith("framework"):
        ours["parameters"] += rows.teacher_parameters(label)
    if test_set == rows.main:
        ours["psnr_selected_on_test"] = rows.of_runs(label, "psnr_selected_on_test")
    return ours
