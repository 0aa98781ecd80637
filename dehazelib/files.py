"""Files that appear whole or not at all, written beside their place and then renamed; locks between processes."""

import contextlib
import errno
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
ELSEWHERE = "or set DEHAZE_RESULTS to another folder"
REMEDIES = {
    errno.ENOSPC: f"make room on its disk, {ELSEWHERE}",
    errno.EDQUOT: f"make room in your quota, {ELSEWHERE}",
    errno.EIO: f"check its disk, {ELSEWHERE}",
    **dict.fromkeys(READ_ONLY, f"make its folder writable, {ELSEWHERE}"),
}


def require_folder(path: Path) -> None:
    """Raises FileNotFoundError, saying so, if the folder that a file is to be written into is gone."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} was removed while {path.name} was to be written into it: "
                                "start the same command again.")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file that appears whole or not at all, even if the power fails: it is on the disk before it gets its
    name, and its name before this returns.

    Raises OSError if that fails, in one line that says what to do; the file is then as it was before. One that has this
    content already may lie on a read-only disk.
    """
    require_folder(path)
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.writing")  # another process may write the same file
    try:
        with open(scratch, "wb") as file:
            file.write(content)
            file.flush()
            _to_disk(file.fileno())
        os.replace(scratch, path)
        _names_to_disk(path.parent)
    except OSError as error:
        if error.errno in READ_ONLY and path.exists() and path.read_bytes() == content:
            return
        remedy = REMEDIES.get(error.errno, ELSEWHERE.removeprefix("or "))
        raise type(error)(f"{path} was not written ({error.strerror}): {remedy}; then start the same command again.") \
            from None
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def _to_disk(descriptor: int) -> None:
    """Returns when the disk has what was written; disks that cannot tell are not asked."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _names_to_disk(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _to_disk(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text with \\n line ends, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV without its index."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_csv(path: Path, remedy: str, **options: Any) -> pd.DataFrame:
    """Returns a table that `write_csv` wrote. remedy: what to do if it is damaged. options: of pandas.read_csv.

    Raises ValueError in one line if its end is missing or it is no such table; FileNotFoundError if it is absent.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {remedy}.")
    try:
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("its end is missing")
        return pd.read_csv(path, **options)
    except ValueError as error:  # pandas' own are of this kind, too
        raise ValueError(f"{path}: damaged ({str(error).splitlines()[0]}): {remedy}.") from None


def read_json(path: Path, remedy: str) -> dict:
    """Returns the object in a JSON file. Raises ValueError in one line if it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}): {remedy}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: damaged (it holds no names with values): {remedy}.")
    return content


def sweep(folder: Path, names: str = "*") -> None:
    """Removes what killed processes left of files that they were writing. No other process may write these now.

    names: of the files, a pattern.
    """
    for left in folder.glob(f"{names}.{'[0-9a-f]' * 8}.writing"):
        left.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Returns the SHA-256 sum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[IO | None]:
    """Holds the lock of a file, made if it is absent; waits while another process holds it, and says so. Gives the open
    file, or None if nothing is held.

    what: names in that line what the lock is of. A process that ends, however it ends, lets go of its locks, unless a
    process that it handed the open file is still there. Where the system knows no locks, or nothing can be written,
    nothing is held; where the file's disk knows none, as on some clusters, a line says so.
    """
    file = _lock_file(path)
    if file is None:
        yield None
        return
    locked = True
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{what}: another process works on it; waiting for it.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            locked = False
            print(f"{what}: the disk of {path} knows no locks; let no second process work on it.",
                  file=sys.stderr, flush=True)
        try:
            yield file if locked else None
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # processes forked meanwhile share the file


def _lock_file(path: Path) -> IO | None:
    """Returns the open file of a lock, or None where there are none or its folder is read-only."""
    try:
        return path.open("a") if fcntl else None
    except OSError as error:
        if error.errno in READ_ONLY:
            return None
        raise
