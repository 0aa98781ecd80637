"""Folders of what is made once and then read: decoded frames, rendered rooms."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from dehazelib import paths
from dehazelib.files import held


def cached_folder(key: str, build: Callable[[Path], None]) -> Path:
    """Returns the cache folder `key`, which build(folder) fills where it is absent.

    It is built beside its place and renamed, so that it is never half there. One process builds it while others wait;
    where the disk knows no locks several build it, and the first one's stays.
    """
    folder = paths.cache() / key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f"{key}.lock"), key) as lock:
        if folder.is_dir():  # another process has built it meanwhile
            return folder
        if lock:
            for left in folder.parent.glob(f"{key}-*"):  # by processes that were killed
                shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=folder.parent))
        try:
            build(scratch)
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder
