"""Which files a number was computed from: names, sizes and SHA-256 sums, and one short id for them all."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dehazelib import paths
from dehazelib.data.images import require_file
from dehazelib.files import held, sha256, sweep, write_csv, write_text

COLUMNS = ["name", "bytes", "sha256"]


def manifest(files: Iterable[Path], root: Path | str, cache: Path | str | None = None) -> pd.DataFrame:
    """Returns a DataFrame with the columns name, bytes and sha256, one row per file, sorted by name.

    files: paths below root. root: folder that names are relative to (with "/" on every system).
    cache: folder of the hash cache, default `paths.cache()`. A file is hashed again when its size or a time of
    change differs, so that a second call reads no file contents. A damaged cache is built anew.
    Raises FileNotFoundError for an absent file, ValueError for what is no file, lies outside root or is given twice.
    """
    root = Path(os.path.abspath(root))  # not resolve(): data may be linked into the root from elsewhere
    cache_file = Path(cache or paths.cache()) / "sha256.json"
    known = _load(cache_file)
    fresh, rows = {}, []
    for path in (Path(os.path.abspath(f)) for f in files):
        if not path.is_relative_to(root):
            raise ValueError(f"{path}: not below {root}; a manifest lists files of one root")
        require_file(path)
        stat = path.stat()
        key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"  # the last one cannot be set back
        if key not in known:
            known[key] = fresh[key] = sha256(path)
        rows.append((path.relative_to(root).as_posix(), stat.st_size, known[key]))
    if fresh:
        _save(cache_file, fresh)
    table = pd.DataFrame(sorted(rows), columns=COLUMNS)
    twice = table["name"][table["name"].duplicated()]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]}: given twice; list a file once")
    return table


def manifest_id(table: pd.DataFrame) -> str:
    """Returns the first 12 hexadecimal digits of the SHA-256 of the manifest's canonical CSV.

    table: a DataFrame as `manifest` returns; the order of its rows and columns does not matter.
    Canonical CSV: the header name,bytes,sha256, rows sorted by name, "\\n" after each line, UTF-8.
    """
    csv = table[COLUMNS].sort_values("name").to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(csv.encode()).hexdigest()[:12]


def keep(table: pd.DataFrame) -> str:
    """Returns the manifest's id, and keeps the manifest in the cache, for `changed`."""
    identity = manifest_id(table)
    file = _kept(identity)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_csv(table, file)
    return identity


def changed(before: str, now: str) -> list[str]:
    """Returns the names of the files in which two manifests differ, given by their ids; none if one was not kept."""
    files = _kept(before), _kept(now)
    if not all(file.exists() for file in files):
        return []
    rows = [set(pd.read_csv(file).itertuples(index=False, name=None)) for file in files]
    return sorted({name for name, *_ in rows[0] ^ rows[1]})


def _kept(identity: str) -> Path:
    return paths.cache() / "manifests" / f"{identity}.csv"


def _load(cache_file: Path) -> dict[str, str]:
    try:
        known = json.loads(cache_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        known = {}
    return known if isinstance(known, dict) else {}


def _save(cache_file: Path, sums: dict[str, str]) -> None:
    """Adds sums to the cache."""
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    with held(cache_file.with_suffix(".lock"), cache_file.name) as lock:
        if lock:
            sweep(cache_file.parent, cache_file.name)
        write_text(cache_file, json.dumps(_load(cache_file) | sums))
