"""Memory at the peak of a call, in this process or a fresh one."""

import os

import pytest
import torch

from dehazelib.profiling import memory
from dehazelib.profiling.allocator import give_freed_memory_back

linux = pytest.mark.skipif(not memory.RESET.exists(), reason="this system does not tell")


@linux
def test_extra_memory_sees_what_a_call_takes_and_gives_back():
    give_freed_memory_back()  # what earlier tests left: a call that takes it again needs nothing new
    assert memory.extra_mb(lambda: torch.ones(100_000_000, dtype=torch.uint8)) == pytest.approx(100, abs=5)
    assert memory.extra_mb(lambda: None) < 1


def test_every_call_has_a_process_of_its_own():
    pids = memory.in_fresh_processes(os.getpid, [(), ()])
    assert len({*pids, os.getpid()}) == 3


def test_another_process_stays_the_same():
    with memory.another_process() as call:
        first = call(os.getpid)
        assert call(os.getpid) == first != os.getpid()
        with pytest.raises(ValueError, match="invalid literal"):
            call(int, "x")
