"""Which files a number was computed from: names, sizes and SHA-256 sums, and one short id for them all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dehazelib import paths

COLUMNS = ["name", "bytes", "sha256"]


def manifest(files: Iterable[Path], root: Path | str, cache: Path | str | None = None) -> pd.DataFrame:
    """Returns a DataFrame with the columns name, bytes and sha256, one row per file, sorted by name.

    files: paths below root. root: folder that names are relative to (with "/" on every system).
    cache: folder of the hash cache, default `paths.cache()`. A file is hashed again when its size or its
    time of change differs, so that a second call reads no file contents. A damaged cache is built anew.
    Raises FileNotFoundError for an absent file, ValueError for a file outside root or given twice.
    """
    root = Path(os.path.abspath(root))  # not resolve(): data may be linked into the root from elsewhere
    cache_file = Path(cache or paths.cache()) / "sha256.json"
    known = _load(cache_file)
    fresh, rows = {}, []
    for path in (Path(os.path.abspath(f)) for f in files):
        if not path.is_relative_to(root):
            raise ValueError(f"{path}: not below {root}; a manifest lists files of one root")
        stat = path.stat()
        key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in known:
            known[key] = fresh[key] = _sha256(path)
        rows.append((path.relative_to(root).as_posix(), stat.st_size, known[key]))
    if fresh:
        _save(cache_file, _load(cache_file) | fresh)  # read again: another process may have added to it
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


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(cache_file: Path) -> dict[str, str]:
    try:
        return json.loads(cache_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}


def _save(cache_file: Path, sums: dict[str, str]) -> None:
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache_file.parent, suffix=".part", delete=False) as part:
        json.dump(sums, part)
    os.replace(part.name, cache_file)  # atomic: a reader sees the old cache or the new one
