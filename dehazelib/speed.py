"""What the benchmarks of results/benchmarks say, in sentences for README.md."""

from pathlib import Path

import pandas as pd

from dehazelib.bench import timing
from dehazelib.claims import published_images

PIXELS = 17825  # N of a 460x620 image pooled by 4
SIZE = {"height": 460, "width": 620}


def sentences(folder: Path) -> list[str]:
    """Returns a sentence per machine and benchmark, from the rows in `folder`; none for a benchmark without rows."""
    made = [(_affinity, "affinity"), (_training, "training"), (_inference, "inference")]
    lines = []
    for make, name in made:
        if (file := folder / f"{name}.csv").exists():
            rows = pd.read_csv(file).fillna({"gpu": ""})
            lines += [f"{make(of_machine, folder)} ({_machine(*machine)})."
                      for machine, of_machine in rows.groupby(["gpu", "processor", "threads"], sort=True)]
    return lines


def _machine(gpu: str, processor: str, threads: int) -> str:
    return gpu or f"{processor}, {threads} threads"


def _affinity(rows: pd.DataFrame, folder: Path) -> str:
    rows = rows[(rows.pixels == PIXELS) & (rows.channels == 3) & (rows.device == ("cuda" if rows.gpu.any() else "cpu"))]
    table = timing.summary(rows, "N x N", by=["distance"])
    memory = pd.read_csv(folder / "affinity_memory.csv")
    memory = memory[(memory.pixels == PIXELS) & (memory.channels == 3) & (memory.processor == rows.processor.iloc[0])]
    parts = []
    for row in table[table.method != "N x N"].itertuples():
        mb = memory[memory.distance == row.distance].set_index("method").extra_mb
        name = {"l2_norm": "L2"}.get(row.distance, row.distance.upper())
        parts.append(f"{name} {row.ratio:,.0f} times as fast with {mb[row.method]:,.0f} MB instead of {mb['N x N']:,.0f}")
    return (f"**Affinity loss** at 460x620 without N x N matrices, forward and backward, against its literal form: "
            f"{'; '.join(parts)}")


def _training(rows: pd.DataFrame, folder: Path) -> str:
    table = timing.summary(rows, "as released").set_index("method")
    ours = table[table.index.str.startswith("exact affinity")].ratio.idxmax()
    hours = {name: table.ms[name] / rows.batch.iloc[0] / 1e3 * published_images("dehazing") / 3600
             for name in ("as released", ours)}
    return (f"**Training step** of the framework on whole images ({ours}): {table.ratio[ours]:.1f} times the images per second of "
            f"the released step, made again; the paper's recipe would take {hours[ours]:,.0f} hours here instead of "
            f"{hours['as released']:,.0f}")


def _inference(rows: pd.DataFrame, folder: Path) -> str:
    rows = rows[(rows.height == SIZE["height"]) & (rows.width == SIZE["width"])]
    rows = rows[rows.device == ("cuda" if rows.gpu.any() else "cpu")]
    table = timing.summary(rows, "eager", by=[]).set_index("method")
    changes = folder / "inference_accuracy.csv"
    lost = pd.Series(dtype=float)
    if changes.exists():
        measured = pd.read_csv(changes)
        lost = measured[measured.device == rows.device.iloc[0]].groupby("method").psnr_change_db.mean()
    fast = table[[name not in lost or lost[name] > -0.05 for name in table.index]]
    best = fast.ms.idxmin()
    return (f"**One 460x620 image** takes {table.ms[best]:,.0f} ms ({best}), {table.ms[best] / table.ms['eager']:.2f} of eager float32's time"
            + (f", with {lost[best]:+z.3f} dB" if best in lost else ""))
