"""How much memory a call needs at its peak, on its own: of the GPU, else of a fresh process."""

import contextlib
import gc
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
AVAILABLE = Path("/proc/meminfo")
PRELOAD = ["dehazelib.networks", "pandas"]  # imported once for all fresh processes; nothing of it has run there


def extra_mb(run: Callable[[], object], device: str = "cpu") -> float:
    """Returns by how many MB (1e6 bytes) one call raises the memory in use at its peak: of the GPU, else this process.

    On the CPU it reads the kernel's high-water mark (Linux; NaN elsewhere). Memory that this process freed but kept is
    not seen again, and a first call also loads code: use in_fresh_process, and warm up with something small.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        reset_peak(device)
        run()
        torch.cuda.synchronize()
        return peak_mb(device) - before / 1e6
    if not RESET.exists():
        return float("nan")
    gc.collect()
    reset_peak(device)
    before = _status_mb("VmRSS")
    run()
    return max(peak_mb(device) - before, 0.0)


def reset_peak(device: str = "cpu") -> None:
    """Makes peak_mb count from now: of a GPU, else of this process on Linux (elsewhere it counts from the start)."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            RESET.write_text("5")  # the kernel's high-water mark falls to what is in use now


def peak_mb(device: str = "cpu") -> float:
    """Returns the most memory in use since reset_peak, in MB (1e6 bytes): of a GPU by this process, else of this
    process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    if STATUS.exists():
        return _status_mb("VmHWM")
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes, others kB of 1024
    return peak / 1e6 if sys.platform == "darwin" else peak * 1.024e-3


def in_fresh_processes(function: Callable, arguments: Iterable[tuple]) -> list:
    """Returns function(*a) for each tuple of arguments, each call in a process that has run nothing before.

    function: importable, with arguments and result that can be pickled.
    """
    with _process(max_tasks_per_child=1) as pool:
        return [pool.submit(function, *a).result() for a in arguments]


@contextlib.contextmanager
def another_process() -> Iterator[Callable]:
    """Yields call(function, *arguments), which returns function(*arguments) from one other process, always the same.

    What this process does with its memory does not touch that one's. function: importable; what goes in and out can
    be pickled.
    """
    with _process() as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def _process(**options) -> ProcessPoolExecutor:
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), **options)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return ProcessPoolExecutor(1, mp_context=context, **options)


def available_mb(device: str = "cpu") -> float:
    """Returns the memory free for a new call, in MB: of the GPU, with what this process freed there but PyTorch keeps,
    else of the machine (Linux; infinite elsewhere)."""
    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + kept) / 1e6
    if not AVAILABLE.exists():
        return float("inf")
    return _kilobytes(AVAILABLE, "MemAvailable") / 1e3


def _status_mb(name: str) -> float:
    return _kilobytes(STATUS, name) / 1e3


def _kilobytes(file: Path, name: str) -> float:
    """Returns a figure of a /proc file, given there in kB of 1024 bytes, in kB of 1000."""
    (line,) = [line for line in file.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1.024
