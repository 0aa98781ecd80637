"""What the benchmarks' rows in results/benchmarks say, machine by machine, as numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

import pandas as pd

from dehazelib.profiling import timing
from dehazelib.provenance import MACHINE, Machine
from dehazelib.report.rows import published_images

POOLED = {"pixels": 17825, "channels": 3}  # a 460x620 image pooled by 4, as the affinity module sees it
IMAGE = {"height": 460, "width": 620}
LITERAL, RELEASED, EAGER, ONNX = "N x N", "as released", "eager", "ONNX Runtime"  # what each benchmark compares with
RUNTIMES = {  # ways to run the student on one image -> what to compare each with
    "eager, freed memory kept": EAGER, "torch.compile, bf16": EAGER, "strips": EAGER, ONNX: EAGER,
    "ONNX Runtime, int8": ONNX,
}


@dataclass(frozen=True)
class Speedup:
    """How many times as fast as its reference a method is: median and quartiles over repeats, each within itself.

    ours, theirs: what else is compared, in `unit`: memory (MB), time (ms), hours of the paper's recipe; NaN if unknown.
    change: what the method changes in PSNR, in dB; NaN if not measured.
    """

    median: float
    low: float
    high: float
    repeats: int
    ours: float
    theirs: float
    unit: str
    change: float = nan


def speedups(folder: Path) -> dict[str, dict[tuple[str, str], dict[Machine, Speedup]]]:
    """Returns benchmark -> (method, reference) -> machine -> speedup, of the rows in `folder`; a machine with a GPU by
    the rows of its GPU. A benchmark without rows, or without its reference, is empty."""
    return {"affinity": _affinity(folder), "training": _training(folder), "inference": _inference(folder)}


def photographs(folder: Path) -> list[tuple[Machine, pd.Series]]:
    """Returns for each machine its row of photo.csv: height, width, seconds, peak_mb."""
    return [(machine, rows.iloc[0]) for machine, rows in by_machine(folder / "photo.csv")]


def commits(folder: Path) -> dict[Machine, list[str]]:
    """Returns the commits that each machine's rows come from."""
    found: dict[Machine, set[str]] = {}
    for name in ("affinity", "training", "inference", "photo"):
        for machine, rows in by_machine(folder / f"{name}.csv"):
            found.setdefault(machine, set()).update(rows.commit)
    return {machine: sorted(found[machine]) for machine in sorted(found)}


def bounds(folder: Path) -> dict[Machine, dict[str, float]]:
    """Returns for each machine what bounds a training step: share of its time in operations bound by arithmetic, their
    attained and the highest probed GFLOP/s, and of the others the attained and the probed GB/s."""
    probes = dict(by_machine(folder / "roofline.csv"))
    found = {}
    for machine, rows in by_machine(folder / "training_operations.csv"):
        if machine not in probes:
            continue
        bandwidth, peaks, _ = timing.roof(probes[machine][probes[machine].kind == "probe"])
        operations = rows.groupby("name")[["gflop", "mb", "ms"]].median()
        dense = operations.gflop / operations.mb * 1e3 > peaks.max() / bandwidth
        arithmetic, memory = operations[dense].sum(), operations[~dense].sum()
        found[machine] = {"share": arithmetic.ms / operations.ms.sum(), "peak": peaks.max(), "bandwidth": bandwidth,
                          "attained": arithmetic.gflop / arithmetic.ms * 1e3, "moved": memory.mb / memory.ms}
    return found


def by_machine(file: Path) -> Iterator[tuple[Machine, pd.DataFrame]]:
    """Yields each machine of a benchmark's file with its rows, on its GPU if it has one; nothing without the file."""
    if not file.exists():
        return
    for key, rows in pd.read_csv(file).fillna({"gpu": ""}).groupby(MACHINE, sort=True):
        machine = Machine(*key)
        if "device" in rows:
            rows = rows[rows.device == ("cuda" if machine.gpu else "cpu")]
        if len(rows):
            yield machine, rows


def _affinity(folder: Path) -> dict:
    memories = dict(by_machine(folder / "affinity_memory.csv"))
    found = {}
    for machine, table in _summaries(folder / "affinity.csv", LITERAL, ["distance"], POOLED):
        needed = {}
        if machine in memories:
            needed = _where(memories[machine], POOLED).set_index(["distance", "method"]).extra_mb
        for row in table[table.method != LITERAL].itertuples():
            ours, theirs = (needed.get((row.distance, method), nan) for method in (row.method, LITERAL))
            name = f"{row.distance}, fused" if row.method == "fused" else row.distance
            found.setdefault((name, LITERAL), {})[machine] = _speedup(row, ours, theirs, "MB")
    return found


def _training(folder: Path) -> dict:
    found = {}
    for machine, table in _summaries(folder / "training.csv", RELEASED, ["batch"]):
        table["hours"] = table.ms / table.batch * published_images("dehazing") / 3.6e6
        theirs = table.hours[table.method == RELEASED].iloc[0]
        for row in table[table.method.str.startswith("exact affinity")].itertuples():
            found.setdefault((row.method, RELEASED), {})[machine] = _speedup(row, row.hours, theirs, "hours")
    return found


def _inference(folder: Path) -> dict:
    changes = {machine: rows.groupby("method").psnr_change_db.mean()
               for machine, rows in by_machine(folder / "inference_accuracy.csv")}
    found = {}
    for method, reference in RUNTIMES.items():
        for machine, table in _summaries(folder / "inference.csv", reference, [], IMAGE):
            table = table.set_index("method", drop=False)
            if method in table.index:
                change = changes.get(machine, {}).get(method, nan)
                speedup = _speedup(table.loc[method], table.ms[method], table.ms[reference], "ms", change)
                found.setdefault((method, reference), {})[machine] = speedup
    return found


def _summaries(file: Path, reference: str, by: list[str],
               where: dict | None = None) -> Iterator[tuple[Machine, pd.DataFrame]]:
    """Yields each machine that timed a reference with its methods' summary (profiling/timing.py)."""
    for machine, rows in by_machine(file):
        rows = _where(rows, where or {})
        if reference in set(rows.method):
            yield machine, timing.summary(rows, reference, by=by)


def _where(rows: pd.DataFrame, values: dict) -> pd.DataFrame:
    return rows[(rows[list(values)] == list(values.values())).all(axis=1)]


def _speedup(row, ours: float, theirs: float, unit: str, change: float = nan) -> Speedup:
    return Speedup(row.ratio, row.ratio_low, row.ratio_high, row.ratios, ours, theirs, unit, change)
