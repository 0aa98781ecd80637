"""What the benchmarks of results/benchmarks say, in sentences for README.md."""

from pathlib import Path

import pandas as pd

from dehazelib.bench import timing
from dehazelib.claims import published_images

LITERAL, RELEASED, EAGER = "N x N", "as released", "eager"  # what each benchmark compares with
KEPT = "eager, freed memory kept"
STRIPS = "strips"  # how dehazelib dehaze works on a CPU
GIVEN_BACK = ", freed memory given back"  # ends the name of the way of training that does not keep it
FUSED = "fused"  # the affinity loss by Triton kernels; beside it stand the tiles
NAMES = {"l2_norm": "L2", "l2": "L2 (equation 12)", "l1": "L1", "kl": "KL"}
LOSS = 0.05  # dB that the quickest runtime may lose
PIXELS = 17825  # N of a 460x620 image pooled by 4
SIZE = {"height": 460, "width": 620}


def sentences(folder: Path) -> list[str]:
    """Returns a sentence per machine and benchmark, from the rows in `folder`; none where rows or reference lack."""
    made = [(_affinity, "affinity"), (_training, "training"), (_inference, "inference"), (_photo, "photo")]
    lines = []
    for make, name in made:
        if (file := folder / f"{name}.csv").exists():
            for machine, rows in _read(file).groupby(timing.MACHINE, sort=True):
                if sentence := make(rows, folder, machine):
                    lines.append(f"{sentence} ({timing.machine_name(*machine)}).")
    return lines


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
    return f"{middle} times ({f'{low} to {high}' if row.ratios > 1 else 'timed once'})"


def _affinity(rows: pd.DataFrame, folder: Path, machine: tuple) -> str:
    rows = _on_device(rows[(rows.pixels == PIXELS) & (rows.channels == 3)])
    if LITERAL not in set(rows.method):
        return ""  # N x N matrices did not fit
    memory = _beside(folder / "affinity_memory.csv", machine)
    needed = {(row.distance, row.method): row.extra_mb for row in memory.itertuples()
              if (row.pixels, row.channels) == (PIXELS, 3)}
    parts = []
    for row in timing.summary(rows, LITERAL, by=["distance"]).itertuples():
        ours, literal = (needed.get((row.distance, method)) for method in (row.method, LITERAL))
        if row.method != LITERAL:
            parts.append(f"{NAMES[row.distance]}{', fused,' * (row.method == FUSED)} {_times(row)} as fast"
                         + (f" with {ours:,.0f} MB instead of {literal:,.0f}" if ours and literal else ""))
    return (f"**Affinity loss** at 460x620 without N x N matrices, forward and backward, against its literal form: "
            f"{'; '.join(parts)}{_repeats(rows)}")


def _repeats(rows: pd.DataFrame) -> str:
    """Returns what the brackets are, as the end of a sentence."""
    count = rows.repeat.nunique()
    return f"; brackets: quartiles of {count} timings" * (count > 1)


def _training(rows: pd.DataFrame, folder: Path, machine: tuple) -> str:
    if RELEASED not in set(rows.method):
        return ""
    table = timing.summary(rows, RELEASED)
    table["hours"] = table.ms / rows.batch.iloc[0] * published_images("dehazing") / 3.6e6
    (hours,) = table.hours[table.method == RELEASED]
    ours = table[table.method.str.startswith("exact affinity")]
    single = ours[~ours.method.str.contains("16")]  # bits
    given_back = ours[ours.method.str.endswith(GIVEN_BACK)]
    shown = pd.concat([given_back, *(part.nlargest(1, "ratio") for part in (single, ours))]).drop_duplicates("method")
    parts = [f"{row.method}, {_times(row)}, {row.hours:,.0f} hours" for row in shown.itertuples()]
    return ("**Training step** of the framework on whole images, images per second against the released step, written "
            f"anew, and how long the paper's recipe would take here instead of its {hours:,.0f} hours: "
            f"{'; '.join(parts)}; the released step gives freed memory back{_repeats(rows)}")


def _inference(rows: pd.DataFrame, folder: Path, machine: tuple) -> str:
    rows = _on_device(rows[(rows.height == SIZE["height"]) & (rows.width == SIZE["width"])])
    if EAGER not in set(rows.method):
        return ""
    table = timing.summary(rows, EAGER, by=[]).set_index("method")
    changes = _beside(folder / "inference_accuracy.csv", machine)
    lost = changes.groupby("method").psnr_change_db.mean() if len(changes) else pd.Series(dtype=float)
    best = table.ms[[name not in lost or lost[name] > -LOSS for name in table.index]].idxmin()
    kept = ""
    if KEPT in table.index:
        over_kept = timing.summary(rows, KEPT, by=[]).set_index("method")
        kept = f", and {_times(over_kept.loc[best])} as eager with freed memory kept, {table.ms[KEPT]:,.0f} ms"
    strips = f"; `dehazelib dehaze` on a CPU, in strips, {table.ms[STRIPS]:,.0f} ms" if STRIPS in table.index else ""
    psnr = f", with {lost[best]:+z.3f} dB on {changes.image.nunique()} images" if best in lost else ""
    return (f"**One 460x620 image** takes {table.ms[best]:,.0f} ms ({best}), eager float32 {table.ms[EAGER]:,.0f}: "
            f"{_times(table.loc[best])} as fast{kept}{psnr}{strips}{_repeats(rows)}")


def _photo(rows: pd.DataFrame, folder: Path, machine: tuple) -> str:
    (row,) = rows.itertuples()
    return (f"**A photograph of {row.height * row.width / 1e6:.0f} megapixels**, in strips on the CPU, takes a process "
            f"of {row.peak_mb:,.0f} MB and {row.seconds:,.0f} seconds")
