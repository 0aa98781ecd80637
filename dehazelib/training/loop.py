"""One training loop for every network. Resumable at any step; scales over devices and nodes with Lightning Fabric."""

import contextlib
import copy
import gc
import json
import math
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.data.resident import Resident, fits
from dehazelib.data.sources import Data
from dehazelib.data.stream import Shard, Stream
from dehazelib.distillation.framework import Framework
from dehazelib.distillation.objectives import Objective, Reconstruction
from dehazelib.evaluation.scores import mean_psnr
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec
from dehazelib.files import UMASK, write_csv
from dehazelib.profiling import memory
from dehazelib.profiling.allocator import freed_memory_kept
from dehazelib.profiling.timing import compare
from dehazelib.training.autotune import Tuning, fastest

COMPILATIONS = 128  # of one `forward`, which all networks of a class share: beyond so many it would stay eager
CHECKPOINT, WEIGHTS, LOG = "checkpoint.safetensors", "weights.safetensors", "log.csv"


def learning_rate(spec: Spec, step: int) -> float:
    """Returns the learning rate of step 0 ... spec.steps - 1."""
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    if spec.schedule == "cosine":
        return spec.lr * 0.5 * (1 + math.cos(math.pi * (step - spec.warmup) / max(1, spec.steps - spec.warmup)))
    if spec.schedule == "step":
        return spec.lr * spec.decay ** (step // spec.decay_steps)
    return spec.lr


def objective(spec: Spec, network: nn.Module, teacher: nn.Module | None = None,
              fused_affinity: bool = False) -> Objective:
    """Returns what a run minimises. Raises ValueError if the affinity module lacks its teacher."""
    if spec.loss == "objective":
        return networks.CATALOGUE[spec.network].objective(network)
    if spec.features == "none":
        return Reconstruction(network, spec.loss)
    if teacher is None:
        raise ValueError(f"{spec.id} needs its teacher {spec.teacher}.")
    return Framework(network, teacher, loss=spec.loss, features=spec.features, distance=spec.distance,
                     weight=spec.affinity_weight, share=spec.affinity_share, teacher_input=spec.teacher_input,
                     fused=fused_affinity)


@freed_memory_kept()
def train(spec: Spec, data: Data, folder: Path, teacher: nn.Module | None = None, hardware: Hardware = Hardware(),
          weights: dict[str, Tensor] | None = None) -> dict:
    """Trains one run, or goes on where its checkpoint stands; leaves weights.safetensors and log.csv in `folder`, and
    the last checkpoint, for whoever records the run to remove.

    weights: the network's state to start from; None: fresh weights from the seed.
    Returns {"minutes": training time over all resumptions, "peak_memory_mb": of the GPU or of this process while it
    trained this run, since the last resumption}, and how the steps were computed. The weights kept are those with the
    highest mean PSNR over the validation pairs. On a CPU the result does not depend on interruptions.
    """
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
    if (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    loader = batches(spec, data, state.step, fabric, hardware, scale)
    marks = {round(spec.steps * (i + 1) / spec.validations) for i in range(spec.validations)}
    seconds = paths.checkpoint_seconds()
    started = saved = time.monotonic()
    bar = tqdm(loader, spec.id, initial=state.step, total=spec.steps, unit="step", disable=not sys.stderr.isatty())
    for inputs, target in bar:
        state.update(fabric, inputs, target)
        if state.step in marks:
            state.minutes += (time.monotonic() - started) / 60
            started = time.monotonic()
            state.validate(data, fabric)
        if fabric.is_global_zero and (state.step in marks or time.monotonic() - saved > seconds):
            now = time.monotonic()
            state.minutes, started, saved = state.minutes + (now - started) / 60, now, now
            state.save(folder)
    if fabric.is_global_zero:
        state.finish(folder)
    fabric.barrier()
    return {"minutes": state.minutes, "peak_memory_mb": memory.peak_mb(str(fabric.device)), **asdict(tuning),
            "device": fabric.device.type}


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


class TrainingState:
    """Everything that changes during training."""

    def __init__(self, spec: Spec, fabric: Fabric, teacher: nn.Module | None, weights: dict[str, Tensor] | None = None,
                 tuning: Tuning | None = None):
        tuning = tuning or Tuning(spec.channels_last)
        torch.manual_seed(spec.seed)
        layout = torch.channels_last if tuning.channels_last else torch.contiguous_format
        network = networks.build(spec.network)
        if weights is not None:
            network.load_state_dict(weights)
        if tuning.compiled:
            torch._dynamo.config.recompile_limit = COMPILATIONS
            torch._functorch.config.donated_buffer = False  # the framework goes back through a step's graph twice
            network.compile(mode=tuning.compiled, dynamic=False)  # as it was timed, whatever sizes other runs had
        whole = objective(spec, network, teacher, tuning.fused_affinity).to(memory_format=layout)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec.optimizer]
        fused = fabric.device.type in ("cpu", "cuda")
        betas = (spec.beta1, spec.beta2)
        optimizers = [kind(group, lr=spec.lr, betas=betas, weight_decay=spec.weight_decay, fused=fused)
                      for group in whole.groups()]
        self.average = copy.deepcopy(network).requires_grad_(False) if spec.ema else None
        self.objective, *self.optimizers = fabric.setup(whole, *optimizers)
        if self.average is not None:
            self.average.to(fabric.device)
        self.spec, self.layout, self.compiled = spec, layout, bool(tuning.compiled)
        self.step, self.minutes, self.losses, self.log = 0, 0.0, 0.0, []
        self.logged, self.best, self.best_psnr = 0, {}, -math.inf

    @property
    def network(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average if self.average is not None else self.objective.module.network

    def update(self, fabric: Fabric, inputs: Tensor, target: Tensor) -> None:
        torch.manual_seed(1_000_003 * self.spec.seed + self.step)  # dropout and the like repeat after a resumption
        self.objective.train()
        inputs, target = (images.contiguous(memory_format=self.layout) for images in (inputs, target))
        for group, optimizer in enumerate(self.optimizers):
            for settings in optimizer.param_groups:
                settings["lr"] = learning_rate(self.spec, self.step)
            optimizer.zero_grad()
            loss = self.objective(group, inputs, target)
            fabric.backward(loss)
            if self.spec.clip:
                fabric.clip_gradients(self.objective, optimizer, max_norm=self.spec.clip, error_if_nonfinite=False)
            optimizer.step()
            if group == 0:
                self.losses = self.losses + loss.detach()
        if self.average is not None:
            self.update_average(self.objective.module.network)
        self.step += 1

    @torch.no_grad()
    def update_average(self, network: nn.Module) -> None:
        """Moves the exponential average towards the network, which it begins with; unlike torch's AveragedModel without
        waiting for a GPU to say how many steps it has seen."""
        averages, parameters = list(self.average.parameters()), list(network.parameters())
        if self.step:
            get_ema_multi_avg_fn(self.spec.ema)(averages, parameters, None)
        for old, new in zip(self.average.buffers(), network.buffers()):
            old.copy_(new)
        if not self.step:
            torch._foreach_copy_(averages, parameters)

    def validate(self, data: Data, fabric: Fabric) -> None:
        spec, network = self.spec, self.network
        loss = float(fabric.all_reduce(torch.as_tensor(self.losses), reduce_op="mean")) / (self.step - self.logged)
        pairs = {"validation_psnr_rgb": data.validation.subset(spec.validation_pairs)}
        if spec.track_test:
            pairs["test_psnr_rgb"] = next(iter(data.tests.values())).subset(max(0, spec.track_test))
        # to compile a network again for another size of image, or in evaluation mode, takes longer than it would save
        with torch.compiler.set_stance("force_eager") if self.compiled else contextlib.nullcontext():
            found = {name: mean_psnr(network, spec, those) for name, those in pairs.items()}
        psnr = found.pop("validation_psnr_rgb")
        row = {
            "step": self.step, "images": self.step * spec.batch,
            "epoch": self.step * spec.batch / len(Stream(spec, data.train).pairs),
            "lr": learning_rate(spec, self.step - 1), "loss": loss, "validation_psnr_rgb": psnr,
            "minutes": self.minutes, **found,
        }
        self.log.append(row | self.objective.module.measurements())
        self.losses, self.logged = 0.0, self.step
        if psnr > self.best_psnr:
            self.best_psnr = psnr
            self.best = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
        if not math.isfinite(loss) or math.isnan(psnr):
            raise FloatingPointError(f"{spec.id}: the loss is {loss} and the validation {psnr} dB at step {self.step}; "
                                     "lower lr or set clip.")
        if fabric.is_global_zero and not sys.stderr.isatty():
            print(f"{spec.id}: step {self.step}/{spec.steps}, loss {loss:.5f}, validation {psnr:.2f} dB, "
                  f"{self.minutes:.1f} min", file=sys.stderr, flush=True)

    def save(self, folder: Path) -> None:
        """Writes a checkpoint: tensors by name, the few numbers as metadata; appears by atomic rename."""
        tensors = {f"objective/{k}": v for k, v in self.objective.module.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        if self.average is not None:
            tensors |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        for i, optimizer in enumerate(self.optimizers):
            for p, values in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{i}/{p}/{k}": v for k, v in values.items()}
        tensors["losses"] = torch.as_tensor(self.losses)
        numbers = {"step": self.step, "minutes": self.minutes, "logged": self.logged, "best_psnr": self.best_psnr}
        _save(tensors, folder / CHECKPOINT, {"numbers": json.dumps(numbers), "log": json.dumps(self.log)})
        write_csv(pd.DataFrame(self.log), folder / LOG)

    def load(self, path: Path) -> None:
        try:
            with safe_open(path, "pt") as file:
                numbers, self.log = (json.loads(file.metadata()[k]) for k in ("numbers", "log"))
                tensors = {k: file.get_tensor(k) for k in file.keys()}
        except SafetensorError as error:
            raise DataError(f"{path}: damaged ({error}): remove it to train the run from the start.") from None

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.objective.module.load_state_dict(part("objective/"))
        self.best = part("best/")
        if self.average is not None:
            self.average.load_state_dict(part("average/"))
        for i, optimizer in enumerate(self.optimizers):
            whole, state = optimizer.state_dict(), {}
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for name, value in part(f"optimizer/{i}/").items():
                p, key = name.split("/")
                like = parameters[int(p)]  # a fused optimiser needs its moments in the parameter's memory layout
                moment = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
                state.setdefault(int(p), {})[key] = moment
            optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
        self.losses = tensors["losses"].to(next(self.objective.parameters()).device)
        self.step, self.logged = numbers["step"], numbers["logged"]
        self.minutes, self.best_psnr = numbers["minutes"], numbers["best_psnr"]

    def finish(self, folder: Path) -> None:
        write_csv(pd.DataFrame(self.log), folder / LOG)
        _save(self.best, folder / WEIGHTS, {"run": self.spec.id})  # one entry: safetensors keeps no order of several


def batches(spec: Spec, data: Data, start: int, fabric: Fabric, hardware: Hardware, scale: int) -> Iterable:
    """Returns the (input, target) batches of a run from step `start`, on the device: the same samples in either way.

    scale: how many times larger a super-resolution network makes its input; others do not look at it.
    Made on the device where the scenes are decoded and fit there; otherwise loaded, ahead of time with workers > 0.
    """
    stream = Stream(spec, data.train, scale)
    shard = Shard(spec, start, fabric.global_rank, fabric.world_size)
    size = spec.batch // fabric.world_size
    if hardware.resident and fits(stream, fabric.device):
        return Resident(stream, fabric.device).batches(shard, size)
    loader = DataLoader(stream, size, sampler=shard, num_workers=hardware.workers,
                        pin_memory=fabric.device.type == "cuda",
                        persistent_workers=hardware.workers > 0, prefetch_factor=4 if hardware.workers else None)
    return fabric.setup_dataloaders(loader, use_distributed_sampler=False)


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    scratch = path.with_suffix(".writing")  # one process at a time writes a run; what a killed one left is written over
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, scratch, metadata)
    scratch.chmod(0o666 & ~UMASK)  # safetensors lets nobody else read
    os.replace(scratch, path)
