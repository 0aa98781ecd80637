"""One training loop for every network. Resumable at any step; scales over devices and nodes with Lightning Fabric."""

import copy
import gc
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dehazelib import networks, paths
from dehazelib.data.resident import Resident, fits
from dehazelib.data.sources import Data
from dehazelib.data.stream import Shard, Stream
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec
from dehazelib.profiling import memory
from dehazelib.profiling.allocator import freed_memory_kept
from dehazelib.profiling.timing import compare
from dehazelib.training import checkpoint
from dehazelib.training.autotune import Tuning, fastest
from dehazelib.training.progress import bar, on_terminal, say
from dehazelib.training.state import TrainingState
from dehazelib.training.stopping import Stopped, stop_requested


@freed_memory_kept()
def train(spec: Spec, data: Data, folder: Path, teacher: nn.Module | None = None, hardware: Hardware = Hardware(),
          weights: dict[str, Tensor] | None = None, branch: Path | None = None) -> dict:
    """Trains one run, or goes on where its checkpoint stands; leaves weights.safetensors and log.csv in `folder`, and
    the last checkpoint, for whoever records the run to remove.

    weights: the network's state to start from; None: fresh weights from the seed.
    branch: another run's checkpoint whose weights and moments to start from, at step 0 of this run.
    Returns {"minutes": training time over all resumptions, "peak_memory_mb": of the GPU or of this process while it
    trained this run, since the last resumption}, and how the steps were computed. The weights kept are those with the
    highest mean PSNR over the validation pairs. On a CPU the result does not depend on interruptions. Raises Stopped,
    with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    seconds = paths.checkpoint_seconds()
    # a group's step, and a network with a layer to spare, leave parameters without gradient
    strategy = DDPStrategy(find_unused_parameters=True) if hardware.processes > 1 else "auto"
    fabric = Fabric(accelerator=hardware.accelerator, strategy=strategy, devices=hardware.devices,
                    num_nodes=hardware.num_nodes, precision=spec.precision)
    fabric.launch()
    scale = getattr(networks.build(spec.network), "scale", 2)
    tuning = tuned(spec, data, fabric, teacher, hardware, scale)
    gc.collect()  # what was tried would count in the peak
    memory.reset_peak(str(fabric.device))
    state = TrainingState(spec, fabric, teacher, weights, tuning)
    if (folder / checkpoint.CHECKPOINT).exists():
        checkpoint.load(state, folder)
    elif branch:
        checkpoint.branch(state, branch)
    loader = batches(spec, data, state.step, fabric, hardware, scale)
    validations = {round(spec.steps * (i + 1) / spec.validations) for i in range(spec.validations)}
    clock, saved = Clock(), time.monotonic()
    with stop_requested(alone=fabric.world_size == 1) as stop:
        for inputs, target in bar(loader, spec.id, state.step, spec.steps):
            state.update(fabric, inputs, target)
            validated = state.step in validations
            if validated:
                state.minutes += clock.lap()
                state.validate(data, fabric)
                _report(state, fabric)
            if fabric.is_global_zero and (validated or stop() or time.monotonic() - saved > seconds):
                state.minutes += clock.lap()
                checkpoint.save(state, folder)
                saved = time.monotonic()
            if stop():
                raise Stopped(f"{spec.id}: stopped after step {state.step} of {spec.steps}. The checkpoint is written: "
                              "the same command goes on from there.")
    if fabric.is_global_zero:
        checkpoint.finish(state, folder)
    fabric.barrier()
    return {"minutes": state.minutes, "peak_memory_mb": memory.peak_mb(str(fabric.device)), **asdict(tuning),
            "device": fabric.device.type}


class Clock:
    """Tells the minutes since it was last asked."""

    def __init__(self):
        self.since = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        minutes = (now - self.since) / 60
        self.since = now
        return minutes


def _report(state: TrainingState, fabric: Fabric) -> None:
    """Says how the run does, where there is no bar that shows it."""
    if fabric.is_global_zero and not on_terminal():
        row = state.log[-1]
        say(f"{state.spec.id}: step {state.step}/{state.spec.steps}, loss {row['loss']:.5f}, "
            f"validation {row['validation_psnr_rgb']:.2f} dB, {state.minutes:.1f} min")


def can_tune(fabric: Fabric) -> bool:
    """Returns whether ways to compute a step are worth timing: on one GPU; several would have to be timed together."""
    return fabric.device.type == "cuda" and fabric.world_size == 1


def tuned(spec: Spec, data: Data, fabric: Fabric, teacher: nn.Module | None, hardware: Hardware, scale: int) -> Tuning:
    """Returns how the run's steps are computed: on one GPU the fastest way found, else as the specification says."""
    if not hardware.autotune or not can_tune(fabric):
        return Tuning(spec.channels_last)
    loaded = hardware.replace(resident=False, workers=0)  # for one batch
    batch = next(iter(batches(spec, data, spec.steps - 1, fabric, loaded, scale)))

    def milliseconds(tuning: Tuning) -> float:
        state = TrainingState(spec, fabric, copy.deepcopy(teacher), None, tuning)
        try:
            state.update(fabric, *batch)  # compiles now, which would count as a slow first step
            rows = compare({"step": lambda: state.update(fabric, *batch)}, repeats=10, device=fabric.device.type)
        finally:
            torch._dynamo.reset()  # lets go of what was compiled, with the memory of recorded graphs
        return rows.ms.median()

    return fastest(spec, tuple(batch[0].shape), torch.cuda.get_device_name(fabric.device), milliseconds)


def batches(spec: Spec, data: Data, start: int, fabric: Fabric, hardware: Hardware, scale: int) -> Iterable:
    """Returns the (input, target) batches of a run from step `start`, on the device: the same samples in either way.

    scale: how many times larger a super-resolution network makes its input; others do not look at it.
    Made on the device where the scenes are decoded and fit there; otherwise loaded, ahead of time with workers > 0.
    """
    stream = Stream(spec, data.train, scale)
    shard = Shard(spec, start, fabric.global_rank, fabric.world_size)
    if hardware.resident and fits(stream, fabric.device):
        return Resident(stream, fabric.device).batches(shard)
    loader = DataLoader(stream, batch_sampler=shard, num_workers=hardware.workers,
                        pin_memory=fabric.device.type == "cuda",
                        persistent_workers=hardware.workers > 0, prefetch_factor=4 if hardware.workers else None)
    return fabric.setup_dataloaders(loader, use_distributed_sampler=False)
