"""Files that appear whole or not at all, written beside their place and then renamed; locks between processes."""

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pandas as pd

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UMASK = os.umask(0o022)  # what this process takes from the permissions of new files; reading it sets it
os.umask(UMASK)


def require_folder(path: Path) -> None:
    """Raises FileNotFoundError, saying so, if the folder that a file is to be written into is gone."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} was removed while {path.name} was to be written into it: "
                                "start the same command again.")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text with \\n line ends."""
    require_folder(path)
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.writing")  # another process may write the same file
    try:
        scratch.write_text(text, encoding="utf-8", newline="\n")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV without its index."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[IO | None]:
    """Holds the lock of a file, made if it is absent; waits while another process holds it, and says so. Gives the open
    file, or None if nothing is held.

    what: names in that line what the lock is of. A process that ends, however it ends, lets go of its locks, unless a
    process that it handed the open file is still there. Where the system knows no locks nothing is held; where the
    file's disk does not, as on some clusters, a line says so.
    """
    if fcntl is None:
        yield None
        return
    locked = True
    with path.open("a") as file:
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
