"""Table 9: parameters, file size, GFLOPs, latency and memory of each network on this machine: rows of compute.csv."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from dehazelib import provenance
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
    names = [GRAPH, *(ALL if names == ["all"] else names)]
    if unknown := [name for name in names if name not in CATALOGUE and name != GRAPH]:
        raise ValueError(f"No network {unknown[0]!r} to measure. The catalogue has: {', '.join(CATALOGUE)}; or all.")
    built = {name: network(name) for name in names}
    facts = {name: {"name": name, "title": "Ours" if name == GRAPH else CATALOGUE[name].title, "form": form(name),
                    **(training_graph_counts() if name == GRAPH else counts(name)), "size_mb": size_mb(built[name]),
                    "size_torch_mb": size_torch_mb(built[name])}
             for name in names}
    parts = []
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        runs = _working({name: forward(built[name], image_size(name, size), device) for name in names}, device)
        with freed_memory_kept():
            rows = timing.compare(runs, seconds=seconds, device=device)
        latency = rows.groupby("method").ms.agg(latency_ms="median", latency_ms_low="min", latency_ms_high="max",
                                                repeats="size")
        if device == "cpu":
            needed = memory.in_fresh_processes(forward_mb, [(name, image_size(name, size)) for name in runs])
        else:
            needed = [memory.extra_mb(run, device) for run in runs.values()]
        parts += [facts[name] | latency.loc[name].to_dict() | {"peak_memory_mb": mb} | _machine(device)
                  | dict(zip(("height", "width"), image_size(name, size))) for name, mb in zip(runs, needed)]
    return pd.DataFrame(parts).astype({"repeats": int})


def _working(runs: dict[str, Callable], device: str) -> dict[str, Callable]:
    """Returns those that run on the device, on a GPU after one call each; of the others a line says why not."""
    if device == "cpu":
        return runs
    working = {}
    for name, run in runs.items():
        try:
            run()
        except RuntimeError as error:
            print(f"{name} is left out on {device}: {str(error).splitlines()[0]}", file=sys.stderr)
        else:
            working[name] = run
    return working


def obtain(names: list[str], file: Path) -> pd.DataFrame:
    """Returns the rows of these networks on this machine, measuring only those that the file lacks; the file then holds
    them beside other machines' rows. Remove rows from the file to have them measured again."""
    wanted = {GRAPH, *(ALL if names == ["all"] else names)}
    devices = {_machine(device)["device"] for device in ["cpu"] + ["cuda"] * torch.cuda.is_available()}

    def here(rows: pd.DataFrame) -> pd.DataFrame:
        machine = _machine("cpu")
        same = (rows.processor == machine["processor"]) & (rows.threads == machine["threads"])
        return rows[same & rows.device.isin(devices) & rows.name.isin(wanted)]

    known = here(pd.read_csv(file)) if file.exists() else None
    have = set() if known is None else {name for name, of in known.groupby("name") if set(of.device) >= devices}
    if not wanted - have:
        return known
    missing = [name for name in (ALL if names == ["all"] else names) if name not in have]
    return here(keep(measure(missing), file))


def keep(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Returns compute.csv with these rows in the place of this machine's earlier ones; other machines' rows stay."""
    return timing.replace(rows, file, KEY)


def network(name: str) -> nn.Module:
    """Returns a network of the catalogue with random weights, or the training graph, ready for inference."""
    if name == GRAPH:
        return TrainingGraph().eval()
    return CATALOGUE[name].build(**({"steps": 1} if CATALOGUE[name].role == "zero_shot" else {})).eval()


def form(name: str) -> str:
    """Returns what a row stands for: training_graph, deployed (what a user runs), or one_step of many per image."""
    if name == GRAPH:
        return "training_graph"
    return "one_step" if CATALOGUE[name].role == "zero_shot" else "deployed"


def image_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) of a network's input: super-resolution starts from a smaller image."""
    return tuple(side // (1 if name == GRAPH else CATALOGUE[name].reduction) for side in size)


def forward(model: nn.Module, size: tuple[int, int], device: str = "cpu"):
    """Returns a function that runs the network on one random image of (height, width), without gradients."""
    return torch.no_grad()(partial(model.to(device), torch.rand(1, 3, *size, device=device)))


def forward_mb(name: str, size: tuple[int, int]) -> float:
    """Returns the memory that one image needs beside the weights, in MB, if this process has run nothing before."""
    model = network(name)
    forward(model, (SMALL, SMALL))()  # loads the code
    return memory.extra_mb(forward(model, size))


def _machine(device: str) -> dict:
    facts = provenance.environment()
    return {"device": facts["gpu"] if device == "cuda" else "cpu", "threads": torch.get_num_threads(),
            **{key: facts[key] for key in ("processor", "torch", "commit")}}
