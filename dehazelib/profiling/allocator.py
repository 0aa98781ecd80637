"""What becomes of memory this process has freed: glibc gives large blocks back to the system, which then hands them out
again page by page, each filled with zeros. How much of a training step that takes: dehazelib bench training."""

import contextlib
import ctypes
import gc
import platform
from collections.abc import Iterator

MB = 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of mallopt, from glibc's malloc.h
LARGEST = 32 * MB  # MMAP_THRESHOLD can be no higher; glibc's own adjustment ends there ...
ADJUSTED = 2 * LARGEST  # ... with TRIM_THRESHOLD here
MAPPED = 65536  # MMAP_MAX unless it is set


def can_keep() -> bool:
    """Returns whether the C library is glibc; elsewhere the functions here do nothing."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory(large_blocks: bool = True, most_mb: int = 0) -> None:
    """Lets this process keep what it frees; what is computed does not change.

    large_blocks: those above 32 MB, too. most_mb: keep no more than this; 0: all.
    """
    _set({MMAP_MAX: 0 if large_blocks else MAPPED, MMAP_THRESHOLD: LARGEST, TRIM_THRESHOLD: most_mb * MB or -1})


def give_freed_memory_back() -> None:
    """Gives what is free to the system, and lets glibc do so from now on, as it does once it has adjusted itself."""
    _set({MMAP_MAX: MAPPED, MMAP_THRESHOLD: LARGEST, TRIM_THRESHOLD: ADJUSTED})
    if can_keep():
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keeps freed memory while the block runs, and gives it back at its end, that of an inner block too."""
    keep_freed_memory()
    try:
        yield
    finally:
        give_freed_memory_back()


def _set(parameters: dict[int, int]) -> None:
    if can_keep():
        for parameter, value in parameters.items():
            ctypes.CDLL(None).mallopt(parameter, value)
