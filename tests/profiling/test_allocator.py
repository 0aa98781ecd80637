"""Freed memory is kept while a block runs, and given back after it; nothing computed changes."""

import platform
import subprocess
import sys

import pytest
import torch

from dehazelib.profiling import memory
from dehazelib.profiling.allocator import freed_memory_kept

COUNTED = """
import resource, sys
import numpy as np
from dehazelib.profiling import allocator

faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
{before}
def use():
    np.ones(25_000_000)  # 200 MB, freed at once
use()
first = faults()
for _ in range(5):
    use()
print(faults() - first)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="skipped: the C library is not glibc")


def faults(before: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", COUNTED.format(before=before)], text=True))


@glibc
def test_kept_memory_is_not_asked_for_again_page_by_page():
    assert faults("allocator.keep_freed_memory()") < 1000
    assert faults("allocator.keep_freed_memory(large_blocks=False)") > 1000  # blocks above 32 MB go back
    assert faults("") > 1000
    assert faults("allocator.keep_freed_memory(); allocator.give_freed_memory_back()") > 1000


@glibc
@pytest.mark.skipif(not memory.STATUS.exists(), reason="skipped: no /proc")
def test_what_is_free_goes_back_to_the_system_after_the_block():
    def held() -> float:
        return memory._status_mb("VmRSS")

    before = held()
    with pytest.raises(KeyError), freed_memory_kept():
        torch.ones(100_000_000)
        inside = held()
        raise KeyError
    assert inside > before + 300 and held() < before + 100


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda *_: pytest.fail("a C library was loaded"))
    with freed_memory_kept():
        pass
