"""How long methods take against each other: timed in turns, compared within each turn."""

import sys
import time
from collections.abc import Callable, Container

import pandas as pd
import torch

MEASURED = ["method", "repeat", "ms"]
MINIMUM_REPEATS = 3  # however long they take


def compare(methods: dict[str, Callable[[], object]], repeats: int = 7, seconds: float = 60.0,
            device: str = "cpu", warm: Container[str] = ()) -> pd.DataFrame:
    """Returns one row per method and repeat: method, repeat (from 0), ms.

    Every method but those called `warm` runs once to warm up; then each repeat runs all methods in turn, so that
    whatever else slows the machine slows them alike. After three repeats no new one begins once `seconds` are spent; a
    method that takes longer the first time is not run again. Raises ValueError without methods or repeats.
    """
    if not methods or repeats < 1:
        raise ValueError(f"compare needs methods and at least one repeat, not {len(methods)} and {repeats}.")
    began = time.perf_counter()
    first = {name: milliseconds(run, device) for name, run in methods.items() if name not in warm}
    slow = {name: ms for name, ms in first.items() if ms > seconds * 1e3}
    rows = [{"method": name, "repeat": 0, "ms": ms} for name, ms in slow.items()]
    for repeat in range(repeats):
        if repeat >= MINIMUM_REPEATS and time.perf_counter() - began > seconds:
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


def roof(probes: pd.DataFrame) -> tuple[float, pd.Series, pd.Series]:
    """Returns a machine's memory bandwidth in GB/s, and of the probes of its arithmetic GFLOP/s and FLOP per byte, by
    name. probes: rows of kind probe of roofline.csv; the fastest repeat counts."""
    fastest = probes.groupby("name")[["gflop", "mb", "ms"]].min()
    memory, others = fastest.loc["memory"], fastest.drop("memory")
    return memory.mb / memory.ms, others.gflop / others.ms * 1e3, others.gflop / others.mb * 1e3


def runnable(methods: dict[str, Callable[[], object]], calls: int = 1) -> dict[str, Callable[[], object]]:
    """Returns the methods that run on this machine, after calling each so many times; one that raises RuntimeError, for
    lack of memory, of a kernel or of a compiler, is left out, and a line on standard error says why."""
    working = {}
    for name, method in methods.items():
        try:
            for _ in range(calls):
                method()
        except RuntimeError as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
        else:
            working[name] = method
    return working


def devices() -> list[str]:
    """Returns the devices to measure on: cpu, and cuda where there is a GPU."""
    if torch.cuda.is_available():
        return ["cpu", "cuda"]
    return ["cpu"]


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
