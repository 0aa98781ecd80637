"""What the benchmarks of results/benchmarks say, as a table for README.md."""

from pathlib import Path

import pandas as pd

from dehazelib.profiling import timing
from dehazelib.report.rows import published_images
from dehazelib.report.tables import markdown_rows

HEADER = ["times as fast", "as"]  # then a column per machine
LITERAL, RELEASED, EAGER = "N x N", "as released", "eager"  # what each benchmark compares with
AGAINST = "our reimplementation of the released step, which gives freed memory back"
KEPT = "eager, freed memory kept"
ONNX, INT8 = "ONNX Runtime", "ONNX Runtime, int8"
STRIPS = "strips"  # how dehazelib dehaze works on a CPU
GIVEN_BACK = ", freed memory given back"  # ends the name of the way of training that does not keep it
FUSED = "fused"  # the affinity loss by Triton kernels; beside it stand the tiles
NAMES = {"l2_norm": "L2", "l2": "L2 (equation 12)", "l1": "L1", "kl": "KL"}
LOSS = 0.05  # dB that the quickest runtime may lose
PIXELS = 17825  # N of a 460x620 image pooled by 4
SIZE = {"height": 460, "width": 620}


def section(folder: Path) -> str:
    """Returns a table of what the benchmarks' rows in `folder` say, a column per machine; nothing where the reference
    lacks."""
    made = [(_affinity, "affinity"), (_training, "training"), (_inference, "inference"), (_photo, "photo")]
    told = {}  # (what, against what) -> machine -> cell
    commits = {}  # machine -> those that its rows come from
    for make, name in made:
        if (file := folder / f"{name}.csv").exists():
            for machine, rows in _read(file).groupby(timing.MACHINE, sort=True):
                commits.setdefault(machine, set()).update(rows.commit)
                for what, other, cell in make(rows, folder, machine):
                    told.setdefault((what, other), {})[machine] = cell
    if not told:
        return "\n"
    machines = sorted({machine for cells in told.values() for machine in cells})
    lines = [[*key, *(cells.get(machine, "") for machine in machines)] for key, cells in told.items()]
    header = [*HEADER, *(timing.machine_name(*machine) for machine in machines)]
    return ("\nMedian over repeats of how many times as fast, each repeat compared within itself, with quartiles; ms "
            f"and hours are medians of their own.{_versions(header[2:], [commits[machine] for machine in machines])}"
            f"\n\n{markdown_rows(header, lines)}{_bounds(folder)}\n")


def _versions(machines: list[str], commits: list[set[str]]) -> str:
    """Returns a sentence on the commits that columns come from, where they differ."""
    if all(one == commits[0] for one in commits):
        return ""
    named = "; ".join(f"{machine}: {', '.join(sorted(of))}"
                      for machine, of in zip(machines, commits))
    return f" Columns differ in the code, too, by commit: {named}."


def roof(probes: pd.DataFrame) -> tuple[float, pd.Series, pd.Series]:
    """Returns a machine's memory bandwidth in GB/s, and of the probes of its arithmetic GFLOP/s and FLOP per byte, by
    name. probes: rows of kind probe of roofline.csv; the fastest repeat counts."""
    fastest = probes.groupby("name")[["gflop", "mb", "ms"]].min()
    memory, others = fastest.loc["memory"], fastest.drop("memory")
    return memory.mb / memory.ms, others.gflop / others.ms * 1e3, others.gflop / others.mb * 1e3


def _bounds(folder: Path) -> str:
    """Returns a line per machine on what bounds its training step; nothing where rows lack."""
    file = folder / "training_operations.csv"
    lines = []
    for machine, rows in _read(file).groupby(timing.MACHINE, sort=True) if file.exists() else ():
        probes = _beside(folder / "roofline.csv", machine)
        if probes.empty:
            continue
        bandwidth, peaks, _ = roof(probes[probes.kind == "probe"])
        operations = rows.groupby("name")[["gflop", "mb", "ms"]].median()
        dense = operations.gflop / operations.mb * 1e3 > peaks.max() / bandwidth
        by_arithmetic, by_memory = operations[dense].sum(), operations[~dense].sum()
        attained = by_arithmetic.gflop / by_arithmetic.ms * 1e3
        lines.append(
            f"\nWhat bounds a training step (exact affinity, channels last) on {timing.machine_name(*machine)}: "
            f"{by_arithmetic.ms / operations.ms.sum():.0%} of its time goes into operations that arithmetic bounds, at "
            f"{attained:,.0f} of the {peaks.max():,.0f} GFLOP/s that a probe reaches, the rest into those that memory "
            f"bounds, at {by_memory.mb / by_memory.ms:,.0f} of {bandwidth:,.0f} GB/s.\n")
    return "".join(lines)


def _read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file).fillna({"gpu": ""})


def _beside(file: Path, machine: tuple) -> pd.DataFrame:
    """Returns the rows of a file that are this machine's, on its GPU if it has one; none if there is no file."""
    if not file.exists():
        return pd.DataFrame()
    rows = _read(file)
    return _on_device(rows[(rows[timing.MACHINE] == list(machine)).all(axis=1)])


def _on_device(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.device == ("cuda" if rows.gpu.any() else "cpu")]


def _times(row) -> str:
    """Returns how many times as fast a method is, with the quartiles over repeats."""
    digits = ".1f" if row.ratio < 10 else ",.0f"
    low, middle, high = (f"{ratio:{digits}}" for ratio in (row.ratio_low, row.ratio, row.ratio_high))
    return f"{middle} ({f'{low} to {high}' if row.ratios > 1 else 'timed once'})"


def _affinity(rows: pd.DataFrame, folder: Path, machine: tuple) -> list[list[str]]:
    rows = _on_device(rows[(rows.pixels == PIXELS) & (rows.channels == 3)])
    if LITERAL not in set(rows.method):
        return []  # N x N matrices did not fit
    memory = _beside(folder / "affinity_memory.csv", machine)
    needed = {(row.distance, row.method): row.extra_mb for row in memory.itertuples()
              if (row.pixels, row.channels) == (PIXELS, 3)}
    cells = []
    for row in timing.summary(rows, LITERAL, by=["distance"]).itertuples():
        ours, literal = (needed.get((row.distance, method)) for method in (row.method, LITERAL))
        if row.method != LITERAL:
            what = f"affinity loss {NAMES[row.distance]}, forward and backward, 460x620"
            cells.append([what + ", fused" * (row.method == FUSED), "explicit N x N matrices", _times(row)
                          + (f"; {ours:,.0f} MB instead of {literal:,.0f}" if ours and literal else "")])
    return cells


def _training(rows: pd.DataFrame, folder: Path, machine: tuple) -> list[list[str]]:
    if RELEASED not in set(rows.method):
        return []
    table = timing.summary(rows, RELEASED)
    table["hours"] = table.ms / rows.batch.iloc[0] * published_images("dehazing") / 3.6e6
    (hours,) = table.hours[table.method == RELEASED]
    ours = table[table.method.str.startswith("exact affinity")]
    single = ours[~ours.method.str.contains("16")]  # bits
    given_back = ours[ours.method.str.endswith(GIVEN_BACK)]
    shown = pd.concat([given_back, *(part.nlargest(1, "ratio") for part in (single, ours))]).drop_duplicates("method")
    return [[f"training step, whole images: {row.method}", AGAINST,
             f"{_times(row)}; the paper's recipe in {row.hours:,.0f} hours instead of {hours:,.0f}"]
            for row in shown.itertuples()]


def _inference(rows: pd.DataFrame, folder: Path, machine: tuple) -> list[list[str]]:
    rows = _on_device(rows[(rows.height == SIZE["height"]) & (rows.width == SIZE["width"])])
    if EAGER not in set(rows.method):
        return []
    table = timing.summary(rows, EAGER, by=[]).set_index("method")
    changes = _beside(folder / "inference_accuracy.csv", machine)
    lost = changes.groupby("method").psnr_change_db.mean() if len(changes) else pd.Series(dtype=float)
    best = table.ms[[name not in lost or lost[name] > -LOSS for name in table.index]].idxmin()

    def line(what: str, method: str, other: str, note: str = "") -> list[str]:
        ratio = timing.summary(rows, other, by=[]).set_index("method").loc[method]
        return [f"one 460x620 image, {what}", other,
                f"{_times(ratio)}; {table.ms[method]:,.0f} ms instead of {table.ms[other]:,.0f}{note}"]

    cells = [line("the quickest way", best, EAGER, f"; {best}{_lost(lost, best, changes)}")]
    if KEPT in table.index:
        cells.append(line("the quickest way", best, KEPT))
    if {ONNX, INT8} <= set(table.index):
        cells.append(line("in 8 bits (`export --int8`)", INT8, ONNX, _lost(lost, INT8, changes)))
    if STRIPS in table.index:
        what = "in strips, as `dehazelib dehaze` does on a CPU to save memory"
        cells.append(line(what, STRIPS, KEPT if KEPT in table.index else EAGER))
    return cells


def _lost(lost: pd.Series, method: str, changes: pd.DataFrame) -> str:
    """Returns what a method changes in PSNR, if that was measured."""
    return f"; {lost[method]:+z.3f} dB on {changes.image.nunique()} images" if method in lost else ""


def _photo(rows: pd.DataFrame, folder: Path, machine: tuple) -> list[list[str]]:
    (row,) = rows.itertuples()
    return [[f"a photograph of {row.height * row.width / 1e6:.0f} megapixels, in strips on the CPU", "",
             f"{row.seconds:,.0f} seconds, a process of {row.peak_mb:,.0f} MB"]]
