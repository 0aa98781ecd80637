"""What a pass is made of, under this machine's roof: arithmetic intensity, attained speed, and what bounds both."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from dehazelib import networks
from dehazelib.bench.rows import keep, local
from dehazelib.evaluation.cost import SIZE
from dehazelib.profiling import timing
from dehazelib.profiling.allocator import freed_memory_kept

MATRIX = {"cpu": 2048, "cuda": 8192}  # side of the matrix product that probes the peak
CHANNELS = 64  # of the 3x3 convolution that probes the peak
ARRAY = {"cpu": 2**25, "cuda": 2**28}  # elements of each array of the sum that probes the memory, beyond any cache
IMAGES = {"cpu": 1, "cuda": 32}  # per pass; more on a GPU, so that starting a kernel takes little of its time
VIEWS = ("view", "split", "expand", "slice", "squeeze", "unsqueeze", "detach", "alias", "as_strided", "t", "reshape")


class Layers(TorchDispatchMode):
    """Times every operation within it. rows: layer, gflop, mb (read and written), ms; one row per operation."""

    def __init__(self, device: str):
        super().__init__()
        self.device, self.rows = device, []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if name.strip("_") in VIEWS:
            return operation(*args, **(kwargs or {}))
        results = []
        ms = timing.milliseconds(lambda: results.append(operation(*args, **(kwargs or {}))), self.device)
        (result,) = results
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
        moved = sum(x.numel() * x.element_size() for x in tensors)
        if operation.overloadpacket in flop_registry:
            flop = flop_registry[operation.overloadpacket](*args, **(kwargs or {}), out_val=result)
        else:
            flop = max((x.numel() for x in tensors), default=0)  # one per element
        self.rows.append({"layer": _layer(name, args), "gflop": flop / 1e9, "mb": moved / 1e6, "ms": ms})
        return result


def layers(device: str = "cpu", size: tuple[int, int] = SIZE, repeats: int = 3) -> pd.DataFrame:
    """Returns one row per layer type of the student and repeat: name, gflop, mb, ms, each summed over one pass.

    size: (height, width) of the images. Operations are counted as if nothing were fused: each reads its inputs and
    writes its result; one operation per element where none is a multiply-add.
    """
    layout = torch.channels_last if device == "cpu" else torch.contiguous_format
    student = networks.build("student").eval().to(device, memory_format=layout)
    images = torch.rand(IMAGES[device], 3, *size, device=device).contiguous(memory_format=layout)
    return operations(torch.no_grad()(lambda: student(images)), device, repeats).assign(kind="layer")


def operations(run: Callable[[], object], device: str = "cpu", repeats: int = 3) -> pd.DataFrame:
    """Returns one row per kind of operation within run() and repeat: name, device, repeat, gflop, mb, ms, each summed
    over the call; once more it is called before, to warm up. See `layers` for what is counted."""
    parts = []
    for repeat in range(-1, repeats):
        with Layers(device) as passed:
            run()
        parts.append(pd.DataFrame(passed.rows).groupby("layer", as_index=False).sum().assign(repeat=repeat))
    rows = pd.concat(parts[1:], ignore_index=True).rename(columns={"layer": "name"}).assign(device=device)
    return rows[["name", "device", "repeat", "gflop", "mb", "ms"]]


def probes(device: str = "cpu", seconds: float = 10.0) -> pd.DataFrame:
    """Returns one row per probe and repeat: name, gflop, mb, ms. The roof is the fastest of a matrix product, of a
    large 3x3 convolution and, for the memory, of the sum of two arrays into a third; float32, which cuDNN's
    convolutions on a GPU may round to TF32."""
    side = MATRIX[device]
    a, b = torch.rand(2, side, side, device=device)
    image = torch.rand(IMAGES[device], CHANNELS, *SIZE, device=device)
    weight = torch.rand(CHANNELS, CHANNELS, 3, 3, device=device)
    elements = ARRAY[device]
    x, y, z = torch.rand(3, elements, device=device)
    runs = {  # name -> function, gflop, MB
        "matrix product": (lambda: a @ b, 2e-9 * side**3, 12e-6 * side**2),
        f"convolution 3x3, {CHANNELS} to {CHANNELS}": (
            lambda: torch.nn.functional.conv2d(image, weight, padding=1),
            2e-9 * image.numel() * CHANNELS * 9, 8e-6 * image.numel()),
        "memory": (lambda: torch.add(x, y, out=z), 1e-9 * elements, 12e-6 * elements),
    }
    rows = _compare({name: run for name, (run, _, _) in runs.items()}, seconds, device)
    work = pd.DataFrame([(name, gflop, mb) for name, (_, gflop, mb) in runs.items()], columns=["name", "gflop", "mb"])
    return rows.rename(columns={"method": "name"}).merge(work, on="name").assign(kind="probe", device=device)


def run(folder: Path | None = None, size: tuple[int, int] = SIZE) -> pd.DataFrame:
    """Returns the rows of all machines in roofline.csv, after measuring this one: kind (layer, probe), name, device,
    repeat, gflop, mb, ms. On a CPU the layers work in channels last, and the process keeps freed memory.

    folder: of the rows; default: bench.rows.local().
    """
    parts = []
    with freed_memory_kept():
        for device in timing.devices():
            parts += [layers(device, size), probes(device)]
    columns = ["kind", "name", "device", "repeat", "gflop", "mb", "ms"]
    return keep(pd.concat(parts, ignore_index=True)[columns], "roofline", folder or local())


@torch.no_grad()
def _compare(runs: dict[str, Callable], seconds: float, device: str) -> pd.DataFrame:
    return timing.compare(runs, seconds=seconds, device=device)


def _layer(name: str, args: tuple) -> str:
    """Returns what a layer is called in the figure."""
    if name not in ("convolution", "convolution_backward"):
        return name.strip("_")
    if name == "convolution_backward":
        _, image, weight, *_ = args
        direction = "backward of "
    else:
        image, weight, *_ = args
        direction = ""
    outputs, inputs, kernel, _ = weight.shape
    if image.shape[2:].numel() == 1:
        return f"{direction}conv of one pixel"
    return f"{direction}conv {kernel}x{kernel}, {inputs} to {outputs}"
