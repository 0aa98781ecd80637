"""The student's runtimes side by side: how long one image takes, and what a runtime's arithmetic costs in PSNR."""

import copy
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch
from torch import Tensor, nn

from dehazelib import networks
from dehazelib.bench.rows import keep, local
from dehazelib.data.pairs import Pairs
from dehazelib.data.sources import open_data
from dehazelib.deploy import inference, photos
from dehazelib.deploy.onnx import export
from dehazelib.metrics import psnr_rgb
from dehazelib.profiling import memory, timing
from dehazelib.profiling.allocator import can_keep, keep_freed_memory
from dehazelib.training.state import COMPILATIONS

REFERENCE = "eager"  # float32, contiguous
KEPT = "eager, freed memory kept"  # by the process (allocator.py)
STRIPS = "strips"  # as dehazelib dehaze works on a CPU
SIZES = [(460, 620), (3000, 4000)]  # height, width: the paper's, a phone's
CASE = ["device", "height", "width"]

try:
    import openvino  # pip install '.[openvino]'
except ModuleNotFoundError:
    openvino = None

Runtime = Callable[[Tensor], Tensor]  # hazy (B, 3, H, W) in [0, 1] -> dehazed, on the same device


class Graphed:
    """The network as a CUDA graph, recorded at the first image of each size; its output is overwritten by the next."""

    def __init__(self, network: Callable[[Tensor], Tensor]):
        self.network, self.recorded = network, {}

    def __call__(self, image: Tensor) -> Tensor:
        if image.shape not in self.recorded:
            given, graph, stream = image.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.network(given)  # chooses its kernels before the recording
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph):
                output = self.network(given)
            self.recorded[image.shape] = given, graph, output
        given, graph, output = self.recorded[image.shape]
        given.copy_(image)
        graph.replay()
        return output


def runtimes(student: nn.Module, device: str, folder: Path) -> dict[str, Runtime]:
    """Returns the ways to run the student on "cpu" or "cuda", by name. folder: for the ONNX files of those on a CPU."""
    student = student.to(device)
    last = copy.deepcopy(student).to(memory_format=torch.channels_last)
    methods = {
        REFERENCE: _full_float32(student),
        "channels last": _full_float32(lambda image: last(image.contiguous(memory_format=torch.channels_last))),
        "bf16 autocast": _autocast(student, device, torch.bfloat16),
    }
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler):
        # on a CPU, where compiling takes long, one form for all sizes but the first
        torch._dynamo.config.recompile_limit = COMPILATIONS
        compiled, low = (torch.compile(copy.deepcopy(student), dynamic=None if device == "cpu" else False)
                         for _ in range(2))
        methods["torch.compile"] = _full_float32(compiled)
        methods["torch.compile, bf16"] = _autocast(low, device, torch.bfloat16)
    else:
        print(f"torch.compile is left out: there is no compiler {compiler}.")
    if device == "cuda":
        network = copy.deepcopy(last).half()

        def half(image: Tensor) -> Tensor:
            return network(image.half().contiguous(memory_format=torch.channels_last)).float()

        methods |= {
            "fp16 autocast": _autocast(student, device, torch.float16),
            "fp16, channels last": half,
            "CUDA graph": Graphed(_full_float32(student)),
            "CUDA graph, fp16, channels last": Graphed(half),
        }
        return methods
    methods[STRIPS] = partial(photos.dehaze, weights=student)
    for name, int8 in (("ONNX Runtime", False), ("ONNX Runtime, int8", True)):
        file = folder / f"int8-{int8}.onnx"
        export(student, file, int8)
        methods[name] = _session(file)
        if openvino and not int8:
            methods["OpenVINO"] = _openvino(file)
    return methods


def run(folder: Path | None = None, weights: Path | str | None = None, sizes: list[tuple[int, int]] = SIZES,
        repeats: int = 5, seconds: float = 20.0, data: str | None = None, images: int = 6) -> pd.DataFrame:
    """Returns one row per device, size and runtime: ms, times as fast (ratio) as `against`, and what `accuracy` says.

    `against` is eager float32, or, where that was too slow to be timed, the same with freed memory kept.

    All repeats go to inference.csv in `folder` (default: bench.rows.local()), and the change of PSNR on single images
    to inference_accuracy.csv, after each device. What keeps freed memory runs in another process, which the image is
    handed to within the time that counts; a runtime that fails, for lack of memory or of a compiler, is left out with a
    line. On a CPU a size above the first, which takes seconds to minutes, is left to eager float32 (with freed memory
    kept, where that can be), to strips, and to the runtime that was quickest at the first; one that takes longer than
    half of `seconds` is timed once.
    weights: a student's .safetensors file, by default the shipped one; without it an untrained student is timed, and
    its accuracy is not measured. data: where the test pairs come from, by default $DEHAZE_DATA, else the embedded
    rooms.
    """
    folder = folder or local()
    trained = weights is not None or inference.SHIPPED.exists()
    student = _student(weights, trained)
    timed, changed = [], []
    with tempfile.TemporaryDirectory() as scratch, memory.another_process() as call, torch.no_grad():
        call(torch.set_num_threads, torch.get_num_threads())
        for device in timing.devices():
            methods = runtimes(copy.deepcopy(student), device, Path(scratch))
            if device == "cpu" and can_keep():
                methods[KEPT] = partial(_elsewhere, call, _whole, weights, trained)
                methods[STRIPS] = partial(_elsewhere, call, _strips, weights, trained)
            timed.append(times(methods, sizes, device, repeats, seconds))
            keep(pd.concat(timed), "inference", folder)
            if trained:
                pairs = next(iter(open_data(data or os.environ.get("DEHAZE_DATA") or "rooms").tests.values()))
                working = {name: run for name, run in methods.items() if name in set(timed[-1].method)}
                changed.append(accuracy(working, pairs.subset(images), device))
                keep(pd.concat(changed), "inference_accuracy", folder)
    rows = pd.concat(timed)
    table = pd.concat([_against_eager(part) for _, part in rows.groupby(CASE, sort=False)], ignore_index=True)
    if not trained:
        print(f"{inference.SHIPPED} is absent: times are of an untrained student, and its accuracy is not measured.")
        return table
    mean = pd.concat(changed).groupby(["device", "method"], as_index=False)[["psnr_change_db", "within_1_255"]].mean()
    return table.merge(mean, on=["device", "method"], how="left")


def times(methods: dict[str, Runtime], sizes: list[tuple[int, int]], device: str, repeats: int,
          seconds: float) -> pd.DataFrame:
    """Returns one row per size, runtime and repeat: device, height, width, method, repeat, ms."""
    parts = []
    for height, width in sizes:
        limit = seconds
        if parts:
            limit = seconds / 2
            if device == "cpu":
                methods = _for_larger(methods, parts[0])
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
        calls = {name: partial(method, image) for name, method in methods.items()}
        slow_first = {name: call for name, call in calls.items()  # compiles, which would count in its first time
                      if device == "cuda" or name.startswith("torch.compile")}
        working = timing.runnable(slow_first)
        calls = {name: call for name, call in calls.items() if name in working or name not in slow_first}
        rows = timing.compare(calls, repeats, limit, device, warm=[n for n in working if n.startswith("torch.compile")])
        parts.append(rows.assign(device=device, height=height, width=width))
    return pd.concat(parts, ignore_index=True)


def _for_larger(methods: dict[str, Runtime], rows: pd.DataFrame) -> dict[str, Runtime]:
    """Returns what is worth timing on a CPU at the sizes after the first, which take seconds to minutes."""
    names = {KEPT if KEPT in methods else REFERENCE, STRIPS, quickest(rows)}
    return {name: method for name, method in methods.items() if name in names}


def _against_eager(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the summary of one device and size, with `against`: what its ratios compare with."""
    against = REFERENCE if REFERENCE in set(rows.method) else KEPT
    return timing.summary(rows, against, by=CASE).assign(against=against)


def quickest(rows: pd.DataFrame) -> str:
    """Returns the method with the smallest median time."""
    return rows.groupby("method").ms.median().idxmin()


def accuracy(methods: dict[str, Runtime], pairs: Pairs, device: str) -> pd.DataFrame:
    """Returns one row per runtime and image: device, method, test_set, image, psnr_rgb, psnr_change_db, within_1_255.

    The change is to eager float32 on the same image (negative: lost), within_1_255 the share of its values that differ
    by no more than that.
    """
    rows = []
    for pair, (hazy, clear) in zip(pairs.pairs, (pairs[i] for i in range(len(pairs)))):
        made = {name: forward(hazy[None].to(device)).float().cpu().clamp(0, 1) for name, forward in methods.items()}
        score = {name: psnr_rgb(image, clear[None]).item() for name, image in made.items()}
        rows += [{"device": device, "method": name, "test_set": pairs.name, "image": pair.name, "psnr_rgb": value,
                  "psnr_change_db": value - score[REFERENCE],
                  "within_1_255": ((made[name] - made[REFERENCE]).abs() <= 1 / 255).double().mean().item()}
                 for name, value in score.items()]
    return pd.DataFrame(rows)


def _full_float32(network: Runtime) -> Runtime:
    """Returns the network with convolutions in float32; a GPU would round their inputs to TF32."""
    def run(image: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return network(image)

    return run


def _autocast(network: Runtime, device: str, kind: torch.dtype) -> Runtime:
    def run(image: Tensor) -> Tensor:
        with torch.autocast(device, kind):
            return network(image)

    return run


def _elsewhere(call: Callable, function: Callable, weights: Path | str | None, trained: bool, image: Tensor) -> Tensor:
    """Returns the student's output, computed by `function` in the process of `call`."""
    return torch.from_numpy(call(function, weights, trained, image.numpy()))


def _whole(weights: Path | str | None, trained: bool, image: np.ndarray) -> np.ndarray:
    keep_freed_memory()
    with torch.no_grad():
        return _held(weights, trained)(torch.from_numpy(image)).numpy()


def _strips(weights: Path | str | None, trained: bool, image: np.ndarray) -> np.ndarray:
    keep_freed_memory(large_blocks=False, most_mb=inference.KEPT_MB)
    return photos.dehaze(torch.from_numpy(image), _held(weights, trained)).numpy()


def _student(weights: Path | str | None, trained: bool) -> nn.Module:
    return inference.load(weights) if trained else _untrained()


_held = cache(_student)  # by the other process, so that only images are handed over


def _session(file: Path) -> Runtime:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"hazy": image.numpy()})[0])


def _openvino(file: Path) -> Runtime:
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(file, "CPU", options)
    return lambda image: torch.from_numpy(compiled([image.numpy()])[0].copy())


def _untrained() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return networks.build("student").eval()
