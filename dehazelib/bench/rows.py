"""A benchmark's rows in a CSV file: this machine's replace its earlier ones, those of other machines stay."""

from pathlib import Path

import pandas as pd

from dehazelib import paths, provenance
from dehazelib.files import write_csv
from dehazelib.provenance import MACHINE

PROVENANCE = [*MACHINE, "torch", "commit"]


def committed() -> Path:
    """Returns the folder of the rows that the README's table of speed is made from; `dehazelib bench --keep` adds to
    them."""
    return paths.results() / "benchmarks"


def local() -> Path:
    """Returns the folder, left alone by git, where a benchmark's rows go otherwise."""
    return paths.results() / "local"


def known(name: str) -> pd.DataFrame:
    """Returns a benchmark's rows of all machines: the committed ones, and this machine's local ones in place of its
    committed ones; without columns if it was never run."""
    rows = pd.DataFrame()
    for file in (committed() / f"{name}.csv", local() / f"{name}.csv"):
        if file.exists():
            rows = _merged(rows, pd.read_csv(file), MACHINE)
    return rows


def keep(rows: pd.DataFrame, name: str, folder: Path) -> pd.DataFrame:
    """Returns the benchmark's rows of all machines, as written to <folder>/<name>.csv.

    These rows, with where they come from (processor, threads, gpu, torch, commit), replace those that this machine
    (processor, threads and GPU) had in the file; other machines' rows stay.
    """
    facts = provenance.environment()
    return replace(rows.assign(**{column: facts[column] for column in PROVENANCE}), folder / f"{name}.csv", MACHINE)


def replace(rows: pd.DataFrame, path: Path, key: list[str]) -> pd.DataFrame:
    """Returns the rows of a CSV file after putting these in the place of earlier ones with the same values of `key`, or
    of all where the file has no such columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        rows = _merged(pd.read_csv(path), rows, key)
    write_csv(rows, path)
    return rows


def by_machine(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the median ms of each method and group, with one column per machine (see provenance.Machine).

    rows: as `keep` returns or wrote them.
    """
    if rows.empty:
        return rows
    machine = [str(provenance.Machine.of(row)) for _, row in rows[MACHINE].iterrows()]
    by = [column for column in rows if column not in [*PROVENANCE, "repeat", "ms"]]
    groups = rows.assign(machine=machine).groupby([*by, "machine"], sort=False, dropna=False).ms
    return groups.median().unstack("machine").reset_index().rename_axis(columns=None)


def _merged(old: pd.DataFrame, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    if not set(key) <= set(old):
        return new
    replaced = set(_keys(new, key))
    others = old[[value not in replaced for value in _keys(old, key)]]
    if others.empty:
        return new
    return pd.concat([others, new], ignore_index=True)


def _keys(rows: pd.DataFrame, key: list[str]) -> list[tuple]:
    return list(rows[key].fillna("").astype(str).itertuples(index=False, name=None))
