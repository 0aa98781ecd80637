"""How long methods take against each other: timed in turns, compared within each turn, kept per machine."""

import time
from collections.abc import Callable, Container
from pathlib import Path

import pandas as pd

from dehazelib import paths, provenance
from dehazelib.files import write_csv

PROVENANCE = ["processor", "threads", "gpu", "torch", "commit"]
MACHINE = ["processor", "threads", "gpu"]
MEASURED = ["method", "repeat", "ms"]
LEAST = 3  # repeats, whatever they take


def compare(methods: dict[str, Callable[[], object]], repeats: int = 7, seconds: float = 60.0,
            device: str = "cpu", warm: Container[str] = ()) -> pd.DataFrame:
    """Returns one row per method and repeat: method, repeat (from 0), ms.

    Every method but those called `warm` runs once to warm up; then each repeat runs all methods in turn, so that
    whatever else slows the machine slows them alike. After three repeats no new one begins once `seconds` are spent; a
    method that takes longer than that the first time is not run again: its warm-up, if it had one, is its one repeat.
    methods: name -> function without arguments. device: "cuda" waits for the GPU before and after each call.
    Raises ValueError without methods or repeats.
    """
    if not methods or repeats < 1:
        raise ValueError(f"compare needs methods and at least one repeat, not {len(methods)} and {repeats}.")
    began = time.perf_counter()
    first = {name: milliseconds(run, device) for name, run in methods.items() if name not in warm}
    slow = {name: ms for name, ms in first.items() if ms > seconds * 1e3}
    rows = [{"method": name, "repeat": 0, "ms": ms} for name, ms in slow.items()]
    for repeat in range(repeats):
        if repeat >= LEAST and time.perf_counter() - began > seconds:
            break
        again = [name for name in methods if name not in slow]
        times = {name: milliseconds(methods[name], device) for name in again}
        rows += [{"method": name, "repeat": repeat, "ms": ms} for name, ms in times.items()]
        slow |= {name: ms for name, ms in times.items() if name in warm and ms > seconds * 1e3}
    return pd.DataFrame(rows, columns=MEASURED)


def milliseconds(run: Callable[[], object], device: str = "cpu") -> float:
    """Returns how long one call takes, in ms; on "cuda" until the GPU has finished."""
    _wait(device)
    started = time.perf_counter()
    run()
    _wait(device)
    return (time.perf_counter() - started) * 1e3


def summary(rows: pd.DataFrame, reference: str, by: list[str] | None = None) -> pd.DataFrame:
    """Returns one row per method and group: ms (median), low, high (quartiles), repeats, ratio, ratio_low, ratio_high,
    ratios (how many repeats had both).

    ratio says how many times as fast as the reference: the reference's time divided by the method's, taken within
    the same repeat, then the median and quartiles over repeats; empty where a group has no reference.
    rows: columns method, repeat, ms. by: the columns that make a group; default: all others.
    Raises ValueError if no row is the reference's.
    """
    if reference not in set(rows.method):
        raise ValueError(f"No method {reference!r} to compare with. There are: {', '.join(rows.method.unique())}.")
    by = [column for column in rows if column not in MEASURED] if by is None else by
    key = [*by, "repeat"]
    base = rows.loc[rows.method == reference, [*key, "ms"]].rename(columns={"ms": "base"})
    both = rows.merge(base, on=key, how="left")
    both["ratio"] = both.base / both.ms
    groups = both.groupby([*by, "method"], sort=False, dropna=False)
    parts = {"ms": groups.ms.median(), "low": groups.ms.quantile(0.25), "high": groups.ms.quantile(0.75),
             "repeats": groups.ms.size(), "ratio": groups.ratio.median(),
             "ratio_low": groups.ratio.quantile(0.25), "ratio_high": groups.ratio.quantile(0.75),
             "ratios": groups.ratio.count()}
    return pd.DataFrame(parts).reset_index()


def by_machine(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the median ms of each method and group, with one column per machine (processor, threads, GPU).

    rows: as `keep` returns or wrote them.
    """
    gpus = rows.gpu.fillna("").map(lambda gpu: f", {gpu}" if gpu else "")
    machine = rows.processor + ", " + rows.threads.astype(str) + " threads" + gpus
    by = [column for column in rows if column not in [*PROVENANCE, "repeat", "ms"]]
    groups = rows.assign(machine=machine).groupby([*by, "machine"], sort=False, dropna=False).ms
    return groups.median().unstack("machine").reset_index().rename_axis(columns=None)


def machine_name(processor: str, threads: int, gpu: str) -> str:
    """Returns what to call a machine in a sentence: its GPU, else its processor and threads."""
    return gpu or f"{processor}, {threads} threads"


def file(name: str, folder: Path | None = None) -> Path:
    """Returns the path of a benchmark's rows, in results/benchmarks or a study's folder."""
    return (folder or paths.results() / "benchmarks") / f"{name}.csv"


def keep(rows: pd.DataFrame, name: str, folder: Path | None = None) -> pd.DataFrame:
    """Returns the benchmark's rows of all machines, as written to results/benchmarks/<name>.csv, or into `folder`.

    These rows, with where they come from (processor, threads, gpu, torch, commit), replace those that this machine
    (processor, threads and GPU) had in the file; other machines' rows stay.
    """
    facts = provenance.environment()
    return replace(rows.assign(**{column: facts[column] for column in PROVENANCE}), file(name, folder), MACHINE)


def replace(rows: pd.DataFrame, path: Path, key: list[str]) -> pd.DataFrame:
    """Returns the rows of a CSV file after putting these in the place of earlier ones with the same values of `key`, or
    of all where the file has no such columns."""
    if path.exists() and set(key) <= set(old := pd.read_csv(path)):
        new = set(_keys(rows, key))
        old = old[[value not in new for value in _keys(old, key)]]
        rows = pd.concat([old, rows], ignore_index=True) if len(old) else rows
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(rows, path)
    return rows


def _keys(rows: pd.DataFrame, key: list[str]) -> list[tuple]:
    return list(rows[key].fillna("").astype(str).itertuples(index=False, name=None))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        import torch  # here: reading what was timed needs none

        torch.cuda.synchronize()
