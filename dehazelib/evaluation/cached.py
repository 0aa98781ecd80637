"""Rows of measurements: each run keeps its own, so that only what is new is computed; the study's file has them all."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from dehazelib.files import write_csv


def cached_rows(file: Path, keys: list[str], wanted: dict[tuple, object], kind: str, kinds: Iterable[str],
                compute: Callable[[list], pd.DataFrame]) -> pd.DataFrame:
    """Returns the rows of all wanted items, from a CSV file as far as it has them; the others are computed and added.

    keys: the columns that identify an item. wanted: their values -> the item. kind: the column that says what a row
    measures. kinds: what is measured of an item; without all of them it counts as missing. compute: items -> rows.
    """
    known = pd.read_csv(file, dtype={"image": str}) if file.exists() else pd.DataFrame(columns=[*keys, kind])
    known = known.assign(**{key: "" for key in keys if key not in known})  # as an older file lacks it
    known = known[known[kind].isin(kinds)]
    measured = known.groupby(keys)[kind].nunique()
    complete = set(measured.index[measured == len(kinds)])
    missing = [item for key, item in wanted.items() if key not in complete]
    if missing:
        tables = [known, compute(missing)] if len(known) else [compute(missing)]
        known = pd.concat(tables).drop_duplicates([*keys, kind], keep="last")
        write_csv(known, file)
    return known[pd.MultiIndex.from_frame(known[keys]).isin(list(wanted))]


def of_runs(runs: list, rows_of: Callable[[object], pd.DataFrame], file: Path) -> pd.DataFrame:
    """Returns the rows of all runs (of training/runs.py), with run, label and seed in front, after writing them to the
    study's file."""
    tables = []
    for run in runs:
        names = pd.DataFrame([{"run": run.spec.id, "label": run.spec.label, "seed": run.spec.seed}])
        tables.append(names.merge(rows_of(run), how="cross"))
    table = pd.concat(tables)
    write_csv(table, file)
    return table
