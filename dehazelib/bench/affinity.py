"""The affinity loss against its literal form, forward and backward: time, extra memory, accuracy."""

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch

from dehazelib.bench.rows import PROVENANCE, keep, local
from dehazelib.distillation.affinity import ENTRYWISE, affinity_distance, affinity_distance_reference
from dehazelib.profiling import memory, timing
from dehazelib.provenance import MACHINE

PIXELS = 115 * 155  # N of a 460x620 image pooled by 4
FULL = 460 * 620  # N without pooling
BATCH = 2  # images
REFERENCE = "N x N"
OURS = {"l2_norm": "C x C", "l1": "tiled", "kl": "tiled"}  # distance -> how ours computes it on every device
FUSED = "fused"  # how it computes l1 and kl where Triton's kernels run
MATRICES = {"l2_norm": 3, "l1": 4, "kl": 7}  # N x N matrices per image that the literal form holds at its peak
HEADROOM = 1.25  # of memory, for what else runs
CASES = [("l2_norm", 3), ("l2_norm", 16), ("l1", 3), ("kl", 3)]  # distance, channels
APART = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]  # of student and teacher, for the accuracy


def step(method: str, distance: str, pixels: int, channels: int = 3, device: str = "cpu") -> Callable[[], object]:
    """Returns a function that computes the loss of random feature maps (BATCH, channels, pixels) and its gradient.

    method: "N x N" for the literal form, "fused" for our kernels, anything else for ours on every device.
    """
    ours = functools.partial(affinity_distance, fused=method == FUSED)
    function = affinity_distance_reference if method == REFERENCE else ours
    generator = torch.Generator(device).manual_seed(0)
    teacher = torch.rand(BATCH, channels, pixels, generator=generator, device=device)
    noise = torch.randn(teacher.shape, generator=generator, device=device)
    student = (teacher + 0.03 * noise).requires_grad_()
    return lambda: torch.autograd.grad(function(student, teacher, distance), student)


def extra_mb(method: str, distance: str, pixels: int, channels: int = 3, device: str = "cpu") -> float:
    """Returns the memory that one step needs beside its feature maps, in MB."""
    step(method, distance, 64, channels, device)()  # loads the code
    return memory.extra_mb(step(method, distance, pixels, channels, device), device)


def memories(cases: Iterable[tuple[str, int, int]], device: str = "cpu", largest: int = PIXELS) -> pd.DataFrame:
    """Returns one row per case and method: device, distance, channels, pixels, method, extra_mb.

    cases: distance, channels, pixels (N). The literal form is measured up to N = largest. On the CPU each measurement
    has a fresh process.
    """
    rows = [{"device": device, "distance": distance, "channels": channels, "pixels": pixels, "method": method}
            for distance, channels, pixels in cases for method in methods(distance, pixels, largest, device)]
    calls = [(row["method"], row["distance"], row["pixels"], row["channels"], device) for row in rows]
    if device == "cpu":
        measured = memory.in_fresh_processes(extra_mb, calls)
    else:
        measured = [extra_mb(*call) for call in calls]
    return pd.DataFrame(rows).assign(extra_mb=measured)


def times(cases: Iterable[tuple[str, int, int]], device: str = "cpu", seconds: float = 10.0,
          largest: int = PIXELS) -> pd.DataFrame:
    """Returns one row per case, method and repeat: device, distance, channels, pixels, method, repeat, ms.

    Ours and the literal form run in turns; what takes longer than `seconds` is timed once. cases, largest: as above.
    """
    parts = []
    for distance, channels, pixels in cases:
        steps = {method: step(method, distance, pixels, channels, device)
                 for method in methods(distance, pixels, largest, device)}
        if FUSED in steps:
            steps[FUSED]()  # compiles now, which would count as a slow first run
        rows = timing.compare(steps, seconds=seconds, device=device)
        parts.append(rows.assign(device=device, distance=distance, channels=channels, pixels=pixels))
    return pd.concat(parts, ignore_index=True)


def table(times: pd.DataFrame, memories: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per case: ours and the literal form (nxn_...) side by side.

    Columns: the case (with the machine, if the rows were kept), method, ms, nxn_ms, ratio (times as fast, taken within
    the repeats) with quartiles, extra_mb, nxn_extra_mb, memory_percent (ours of the literal form's), matrix_gb (one
    N x N matrix of one image in float32). Empty where the literal form was not run.
    """
    about = set(PROVENANCE) - set(MACHINE)
    shared = [column for column in times if column in memories and column not in about]
    case = [column for column in shared if column != "method"]
    whole = timing.summary(times, REFERENCE, by=case).merge(memories[[*shared, "extra_mb"]], on=shared)
    literal = whole[whole.method == REFERENCE].rename(columns={"ms": "nxn_ms", "extra_mb": "nxn_extra_mb"})
    ours = whole[whole.method != REFERENCE].merge(literal[[*case, "nxn_ms", "nxn_extra_mb"]], on=case, how="left")
    ours["memory_percent"] = 100 * ours.extra_mb / ours.nxn_extra_mb
    ours["matrix_gb"] = 4 * ours.pixels.astype(float) ** 2 / 1e9
    return ours[[*case, "method", "ms", "nxn_ms", "ratio", "ratio_low", "ratio_high", "extra_mb", "nxn_extra_mb",
                 "memory_percent", "matrix_gb"]]


def three_terms(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Returns the distance "l2" by the textbook identity ||X X^T||^2 + ||Y Y^T||^2 - 2 ||X Y^T||^2, over B N^2.

    It needs C x C products only, but where X and Y are close it is a small difference of large numbers.
    """
    terms = [(a @ b.mT).square().sum() for a, b in ((student, student), (teacher, teacher), (student, teacher))]
    return (terms[0] + terms[1] - 2 * terms[2]) / (student.shape[0] * student.shape[2] ** 2)


FORMS = {
    "N x N, float32": lambda student, teacher: affinity_distance_reference(student, teacher, "l2"),
    "three terms, float32": three_terms,
    "ours, float32": lambda student, teacher: affinity_distance(student, teacher, "l2"),
}


def accuracy(pixels: int = 2048, channels: int = 3, seeds: int = 5) -> pd.DataFrame:
    """Returns the relative error of the distance "l2" against the literal form in float64.

    Columns: apart (standard deviation of student - teacher, features in [0, 1]), seed, method, relative_error.
    """
    rows = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        teacher = torch.rand(1, channels, pixels, generator=generator)
        noise = torch.randn(teacher.shape, generator=generator)
        for apart in APART:
            student = teacher + apart * noise
            truth = affinity_distance_reference(student.double(), teacher.double(), "l2").item()
            rows += [{"apart": apart, "seed": seed, "method": method,
                      "relative_error": abs(form(student, teacher).item() - truth) / truth}
                     for method, form in FORMS.items()]
    return pd.DataFrame(rows)


def fitting(distance: str, device: str = "cpu", pixels: int = PIXELS) -> int:
    """Returns the largest N up to `pixels` whose literal form fits into the free memory; says so if it is smaller."""
    free, need = memory.available_mb(device), MATRICES[distance] * BATCH * 4e-6 * pixels**2 * HEADROOM
    if need <= free:
        return pixels
    fits = math.floor(pixels * math.sqrt(free / need))
    print(f"{distance} on {device}: N x N at {pixels} pixels needs {need / 1e3:.1f} GB, {free / 1e3:.1f} GB are free: "
          f"measured at {fits} pixels.")
    return fits


def run(folder: Path | None = None, pixels: int = PIXELS, full: int = FULL, seconds: float = 10.0) -> pd.DataFrame:
    """Returns the table of this machine, after measuring and writing rows to affinity.csv, affinity_memory.csv and
    affinity_accuracy.csv in `folder`. The last row is L2 without pooling, where the literal form is out of reach.

    folder: of the rows; default: bench.rows.local(). pixels, full: N of the comparison and of the last row. seconds: a
    step that takes longer is timed once.
    """
    folder = folder or local()
    timed, needed = [], []
    for device in timing.devices():
        sizes = {distance: fitting(distance, device, pixels) for distance in OURS}
        cases = [(distance, channels, sizes[distance]) for distance, channels in CASES]
        cases.append(("l2_norm", 3, full))
        smaller = [(distance, 3, n) for n in (1024, 4096) if n < pixels for distance in OURS]
        needed.append(memories([*smaller, *cases], device, pixels).assign(batch=BATCH))
        timed.append(times(cases, device, seconds, pixels).assign(batch=BATCH))
        keep(pd.concat(timed, ignore_index=True), "affinity", folder)  # now: a GPU may fail later
        keep(pd.concat(needed, ignore_index=True), "affinity_memory", folder)
    keep(accuracy(), "affinity_accuracy", folder)
    return table(pd.concat(timed, ignore_index=True), pd.concat(needed, ignore_index=True))


def methods(distance: str, pixels: int, largest: int, device: str = "cpu") -> list[str]:
    """Returns what there is to compare: ours, the fused kernels where they run, the literal form up to N = largest."""
    found = [OURS[distance]]
    if distance in ENTRYWISE and device.startswith("cuda") and fused_runs(device):
        found.append(FUSED)
    if pixels <= largest:
        found.append(REFERENCE)
    return found


@functools.cache
def fused_runs(device: str) -> bool:
    """Returns whether the fused kernels run on this device; says so if they do not."""
    kernels = {f"fused {distance}": step(FUSED, distance, 64, device=device) for distance in ENTRYWISE}
    return len(timing.runnable(kernels)) == len(kernels)
