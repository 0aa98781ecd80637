"""What a network costs on any machine: parameters, file size, FLOPs in two conventions. For time see bench.table9."""

import contextlib
import functools
import io
import os
from collections.abc import Callable

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dehazelib import networks
from dehazelib.distillation.framework import POOL
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


@functools.cache
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


def size_torch_mb(network: nn.Module) -> float:
    """Returns the size of the same weights as torch.save writes them, in MiB: what the paper's column measured.

    Every tensor costs some hundred bytes more there. Nothing is written.
    """
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return file.tell() / 2**20


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
