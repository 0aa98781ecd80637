"""What a network costs: parameters, file size, FLOPs in two conventions, latency and memory (Table 9)."""

import contextlib
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dehazelib import networks, provenance
from dehazelib.affinity import affinity_distance, affinity_distance_reference
from dehazelib.files import write_csv
from dehazelib.framework import POOL
from dehazelib.networks import CATALOGUE, parameters

SIZE = (460, 620)  # of the paper's images
# What runs as one kernel on a CPU but is written out as smaller operations on the meta device.
KERNELS = {"aten::native_batch_norm", "aten::leaky_relu", "aten::_prelu_kernel", "aten::pow", "aten::addmm",
           "aten::upsample_bilinear2d", "aten::upsample_bicubic2d"}


class TrainingGraph(nn.Module):
    """What Table 9's "Ours" measured: the student, its teacher and the affinity module's two N x N products.

    forward(hazy) runs all three on one image (B, 3, H, W) and returns both N x N matrices of every image.
    """

    def __init__(self):
        super().__init__()
        self.student, self.teacher = networks.build("student"), networks.build("dsc_mc_fsrcnn")

    def forward(self, hazy: Tensor) -> tuple[Tensor, Tensor]:
        factor = round(1 / POOL)
        pooled = (nn.functional.avg_pool2d(self.student(hazy), factor),
                  nn.functional.avg_pool2d(self.teacher(hazy), factor * self.teacher.scale))
        return tuple(x.flatten(2).mT @ x.flatten(2) for x in pooled)


def profiler_gflops(run: Callable, image: Tensor) -> float:
    """Returns GFLOPs as the paper counts them: 2 per multiply-add of convolutions and matrix products, 1 per element of
    additions and multiplications, nothing for transposed convolutions, norms, activations and pooling.

    image may lie on the meta device: then nothing is computed and any network takes milliseconds.
    Source: torch.profiler with with_flops=True, the method behind Table 9 (established by calculation).
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    with _quiet(), torch.no_grad(), torch.profiler.profile(activities=activities, with_flops=True) as profile:
        run(image)
    return sum(event.flops or 0 for event in profile.events() if not _inside_kernel(event)) / 1e9


def true_gflops(run: Callable, image: Tensor) -> float:
    """Returns 2 x multiply-adds of all convolutions, transposed ones included, and matrix products, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(image)
    return counter.get_total_flops() / 1e9


def counts(name: str) -> dict:
    """Returns parameters, gflops_profiler and gflops of a catalogue network at the size that its table used.

    Networks whose table measured something else than what turns a photograph into its dehazed form (a part of the
    pipeline, a discriminator too) have a method table_graph for that; gflops_profiler counts it.
    """
    entry = CATALOGUE[name]
    with torch.device("meta"):
        network = entry.build().eval()
        image = torch.rand(1, 3, *(side // entry.reduction for side in SIZE))
    if entry.role == "control":
        return {"parameters": parameters(network), "gflops_profiler": float("nan"), "gflops": float("nan")}
    graph = getattr(network, "table_graph", network)
    # A zero-shot network's forward is an optimisation of many steps: its graph, one pass, is what can be counted.
    return {"parameters": parameters(network), "gflops_profiler": profiler_gflops(graph, image),
            "gflops": true_gflops(graph if entry.role == "zero_shot" else network, image)}


def training_graph_counts() -> dict:
    """Returns the same for the training graph: the paper's 0.122 M parameters and 64.039 GFLOPs."""
    with torch.device("meta"):
        graph, image = TrainingGraph().eval(), torch.rand(1, 3, *SIZE)
    return {"parameters": parameters(graph), "gflops_profiler": profiler_gflops(graph, image),
            "gflops": true_gflops(graph, image)}


def catalogue() -> pd.DataFrame:
    """Returns one row per network of the catalogue, and the training graph: name, role, counts ours and published."""
    rows = [{"name": e.name, "role": e.role, "published_parameters": e.published_parameters, **counts(e.name),
             "published_gflops": e.published_gflops} for e in CATALOGUE.values()]
    rows.append({"name": "full_framework", "role": "dehazing", "published_parameters": "0.122 M",
                 **training_graph_counts(), "published_gflops": "64.039"})
    columns = ["name", "role", "parameters", "published_parameters", "gflops_profiler", "gflops", "published_gflops"]
    return pd.DataFrame(rows)[columns].round({"gflops_profiler": 5, "gflops": 5})


def size_mb(network: nn.Module) -> float:
    """Returns the size of the network's weights as a safetensors file, in MiB like the paper's column."""
    return len(save({k: v.contiguous() for k, v in network.state_dict().items()})) / 2**20


@torch.no_grad()
def latency(run: Callable, image: Tensor, repeats: int = 7, seconds: float = 10.0) -> tuple[float, float, float]:
    """Returns median, minimum and maximum time of run(image) in ms, synchronised, after one warm-up.

    Stops early, after at least one repeat, when `seconds` are spent.
    """
    times, began = [], time.perf_counter()
    for _ in range(1 + repeats):
        started = time.perf_counter()
        run(image)
        if image.is_cuda:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - started) * 1e3)
        if len(times) > 1 and time.perf_counter() - began > seconds:
            break
    return statistics.median(times[1:]), min(times[1:]), max(times[1:])


@torch.no_grad()
def peak_memory_mb(run: Callable, image: Tensor) -> float:
    """Returns by how many MB one run(image) raises the memory in use at its peak: of the GPU, else of this process.

    On a CPU it samples the resident size every millisecond (Linux; NaN elsewhere), so memory that the process had
    already freed but kept is not seen again: measure the largest network first or in a fresh process.
    """
    if image.is_cuda:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(image)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    if not Path("/proc/self/statm").exists():
        return float("nan")
    gc.collect()
    before, peak, done = _resident_mb(), 0.0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, _resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(image)
    done.set()
    watcher.join()
    return max(peak, _resident_mb()) - before


def row(name: str, title: str, form: str, network: nn.Module, count: dict, device: str, size=SIZE) -> dict:
    """Returns one row of compute.csv: counts, weight file size, latency and memory on `device` at `size`."""
    network, image = network.eval().to(device), torch.rand(1, 3, *size, device=device)
    memory = peak_memory_mb(network, image)
    median, low, high = latency(network, image)
    facts = provenance.environment()
    return {
        "name": name, "title": title, "form": form, **count, "size_mb": size_mb(network), "latency_ms": median,
        "latency_ms_low": low, "latency_ms_high": high, "peak_memory_mb": memory, "height": size[0], "width": size[1],
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "threads": torch.get_num_threads(),
        "processor": facts["processor"], "torch": facts["torch"], "commit": facts["commit"],
    }


def measure(names: list[str], size=SIZE) -> pd.DataFrame:
    """Returns rows of compute.csv on this machine: the networks as deployed, and the training graph.

    On the CPU, and on the GPU where there is one. size: (height, width) for latency and memory; FLOPs are always
    counted at the paper's size.
    """
    rows = []
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        rows.append(row("full_framework", "Ours", "training_graph", TrainingGraph(), training_graph_counts(), device, size))
        for name in names:
            entry = CATALOGUE[name]
            reduced = tuple(side // entry.reduction for side in size)
            rows.append(row(name, entry.title, "deployed", entry.build(), counts(name), device, reduced))
    return pd.DataFrame(rows)


def keep(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Returns compute.csv with these rows in the place of this machine's earlier ones; other machines' rows stay."""
    if file.exists():
        old = pd.read_csv(file)
        key = ["name", "form", "device", "processor", "height", "width"]
        known = set(rows[key].astype(str).itertuples(index=False, name=None))
        other = old[[k not in known for k in old[key].astype(str).itertuples(index=False, name=None)]]
        rows = pd.concat([other, rows]) if len(other) else rows
    file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(rows, file)
    return rows


def affinity_costs(pixels: list[int], largest_matrix: int = 4096, channels: int = 3) -> pd.DataFrame:
    """Returns time (ms) and extra memory (MB) of the affinity loss, forward and backward, per method and size.

    pixels: N, the number of pooled pixels. Columns: pixels, method (N x N, C x C, tiled), distance, ms, extra_mb. The
    N x N form is run up to N = largest_matrix only.
    """
    rows = []
    for n in pixels:
        teacher = torch.rand(1, channels, n)
        student = (teacher + 0.03 * torch.randn_like(teacher)).requires_grad_()
        for method, distance, function in (("C x C", "l2_norm", affinity_distance), ("tiled", "l1", affinity_distance),
                                           ("tiled", "kl", affinity_distance),
                                           ("N x N", "l2_norm", affinity_distance_reference)):
            if method == "N x N" and n > largest_matrix:
                continue

            def step(_, function=function, distance=distance):
                with torch.enable_grad():
                    torch.autograd.grad(function(student, teacher, distance), student)

            memory = peak_memory_mb(step, teacher)
            rows.append({"pixels": n, "method": method, "distance": distance, "ms": latency(step, teacher, 5)[0],
                         "extra_mb": memory})
    return pd.DataFrame(rows)


@contextlib.contextmanager
def _quiet():
    """Keeps the profiler's start and stop lines, which its C++ side prints, off standard error."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _inside_kernel(event) -> bool:
    parent = event.cpu_parent
    return parent is not None and (parent.name in KERNELS or _inside_kernel(parent))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
