"""What becomes of memory this process has freed: glibc gives large blocks back to the system, which then hands them out
again page by page, each filled with zeros. A training step on whole images spends most of its time on that."""

import contextlib
import ctypes
import platform
from collections.abc import Iterator

MB = 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of mallopt, from glibc's malloc.h
LARGEST = 32 * MB  # MMAP_THRESHOLD can be no higher; glibc's own adjustment ends there ...
ADJUSTED = 2 * LARGEST  # ... with TRIM_THRESHOLD here
MAPPED = 65536  # MMAP_MAX unless it is set


def keep_freed_memory(large_blocks: bool = True, most_mb: int = 0) -> None:
    """Lets this process keep what it frees, where the C library is glibc; what is computed does not change.

    large_blocks: those above 32 MB, too. most_mb: keep no more than this; 0: all.
    """
    _set({MMAP_MAX: 0 if large_blocks else MAPPED, MMAP_THRESHOLD: LARGEST, TRIM_THRESHOLD: most_mb * MB or -1})


def give_freed_memory_back() -> None:
    """Gives what is free to the system, and lets glibc do so from now on, as it does once it has adjusted itself."""
    _set({MMAP_MAX: MAPPED, MMAP_THRESHOLD: LARGEST, TRIM_THRESHOLD: ADJUSTED})
    if library := _glibc():
        library.malloc_trim(0)


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keeps freed memory while the block runs, and gives it back at its end."""
    keep_freed_memory()
    try:
        yield
    finally:
        give_freed_memory_back()


def _set(parameters: dict[int, int]) -> None:
    if library := _glibc():
        for parameter, value in parameters.items():
            library.mallopt(parameter, value)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
