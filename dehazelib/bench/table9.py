"""Table 9: parameters, file size, GFLOPs, latency and memory of each network on this machine: rows of compute.csv."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from dehazelib import provenance
from dehazelib.bench.rows import replace
from dehazelib.evaluation.cost import SIZE, TrainingGraph, counts, size_mb, size_torch_mb, training_graph_counts
from dehazelib.networks import CATALOGUE
from dehazelib.profiling import memory, timing
from dehazelib.profiling.allocator import freed_memory_kept

GRAPH = "full_framework"  # student, teacher and affinity module together, as the paper measured "Ours"
KEY = ["name", "form", "device", "processor", "threads", "height", "width"]
ALL = [name for name, entry in CATALOGUE.items() if entry.role != "control" and name != "zid_oracle"]  # ZID again
SMALL = 64  # pixels, of the warm-up before memory is measured


def measure(names: list[str], size: tuple[int, int] = SIZE, seconds: float = 10.0) -> pd.DataFrame:
    """Returns rows of compute.csv: the training graph and the networks, on the CPU and on the GPU where there is one.

    names: of the catalogue, or ["all"]. size: (height, width) for latency and memory; FLOPs are always counted at the
    paper's size. The networks run in turns, latency is the median, minimum and maximum; a network that takes longer
    than `seconds` is timed once, as the column `repeats` says; on a CPU the process keeps freed memory meanwhile.
    Memory is what one image needs beside the weights, on the CPU in a fresh process per network. ZID is measured for
    one of its steps. Raises ValueError for an unknown name.
    """
    names = [GRAPH, *_names(names)]
    if unknown := [name for name in names if name not in CATALOGUE and name != GRAPH]:
        raise ValueError(f"No network {unknown[0]!r} to measure. The catalogue has: {', '.join(CATALOGUE)}; or all.")
    built = {name: network(name) for name in names}
    rows = []
    for device in timing.devices():
        runs = {name: forward(built[name], image_size(name, size), device) for name in names}
        if device == "cuda":
            runs = timing.runnable(runs)
        with freed_memory_kept():
            times = timing.compare(runs, seconds=seconds, device=device)
        latency = times.groupby("method").ms.agg(latency_ms="median", latency_ms_low="min", latency_ms_high="max",
                                                 repeats="size")
        if device == "cpu":
            needed = memory.in_fresh_processes(forward_mb, [(name, image_size(name, size)) for name in runs])
        else:
            needed = [memory.extra_mb(run, device) for run in runs.values()]
        for name, mb in zip(runs, needed):
            height, width = image_size(name, size)
            rows.append(facts(name, built[name]) | latency.loc[name].to_dict() | {"peak_memory_mb": mb}
                        | _machine(device) | {"height": height, "width": width})
    return pd.DataFrame(rows).astype({"repeats": int})


def facts(name: str, model: nn.Module) -> dict:
    """Returns what no machine changes: title, form, parameters, GFLOPs, file sizes in MB."""
    if name == GRAPH:
        counted, title = training_graph_counts(), "Ours"
    else:
        counted, title = counts(name), CATALOGUE[name].title
    return {"name": name, "title": title, "form": form(name), **counted, "size_mb": size_mb(model),
            "size_torch_mb": size_torch_mb(model)}


def obtain(names: list[str], file: Path) -> pd.DataFrame:
    """Returns the rows of these networks on this machine, measuring only those that the file lacks; the file then holds
    them beside other machines' rows. Remove rows from the file to have them measured again."""
    wanted = {GRAPH, *_names(names)}
    devices = {_machine(device)["device"] for device in timing.devices()}

    def here(rows: pd.DataFrame) -> pd.DataFrame:
        machine = _machine("cpu")
        same = (rows.processor == machine["processor"]) & (rows.threads == machine["threads"])
        return rows[same & rows.device.isin(devices) & rows.name.isin(wanted)]

    if not file.exists():
        return here(replace(measure(names), file, KEY))
    known = here(pd.read_csv(file))
    have = {name for name, of_name in known.groupby("name") if set(of_name.device) >= devices}
    if wanted <= have:
        return known
    missing = [name for name in _names(names) if name not in have]
    return here(replace(measure(missing), file, KEY))


def network(name: str) -> nn.Module:
    """Returns a network of the catalogue with random weights, or the training graph, ready for inference."""
    if name == GRAPH:
        return TrainingGraph().eval()
    if CATALOGUE[name].role == "zero_shot":
        return CATALOGUE[name].build(steps=1).eval()
    return CATALOGUE[name].build().eval()


def form(name: str) -> str:
    """Returns what a row stands for: training_graph, deployed (what a user runs), or one_step of many per image."""
    if name == GRAPH:
        return "training_graph"
    return "one_step" if CATALOGUE[name].role == "zero_shot" else "deployed"


def image_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) of a network's input: super-resolution starts from a smaller image."""
    if name == GRAPH:
        return size
    return tuple(side // CATALOGUE[name].reduction for side in size)


def forward(model: nn.Module, size: tuple[int, int], device: str = "cpu"):
    """Returns a function that runs the network on one random image of (height, width), without gradients."""
    return torch.no_grad()(partial(model.to(device), torch.rand(1, 3, *size, device=device)))


def forward_mb(name: str, size: tuple[int, int]) -> float:
    """Returns the memory that one image needs beside the weights, in MB, if this process has run nothing before."""
    model = network(name)
    forward(model, (SMALL, SMALL))()  # loads the code
    return memory.extra_mb(forward(model, size))


def _names(names: list[str]) -> list[str]:
    if names == ["all"]:
        return ALL
    return names


def _machine(device: str) -> dict:
    facts = provenance.environment()
    return {"device": facts["gpu"] if device == "cuda" else "cpu", "threads": torch.get_num_threads(),
            **{key: facts[key] for key in ("processor", "torch", "commit")}}
