"""What changes during training: a network, its optimisers, its average, its log; one step and one validation of it."""

import contextlib
import copy
import math

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dehazelib import networks
from dehazelib.data.camera import Photographs
from dehazelib.data.sources import Data
from dehazelib.data.stream import Stream
from dehazelib.distillation.framework import Framework
from dehazelib.distillation.objectives import Objective, Reconstruction
from dehazelib.evaluation.scores import mean_psnr
from dehazelib.experiments.spec import Spec
from dehazelib.training.autotune import Tuning

COMPILATIONS = 128  # of one `forward`, which all networks of a class share: beyond so many it would stay eager


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
        held_out = data.validation.subset(spec.validation_pairs)
        if spec.haze == "camera":
            held_out = Photographs(held_out)
        pairs = {"validation_psnr_rgb": held_out}
        if spec.track_test:
            pairs["test_psnr_rgb"] = next(iter(data.tests.values())).subset(max(0, spec.track_test))
        # to compile a network again for another size of image, or in evaluation mode, takes longer than it would save
        with torch.compiler.set_stance("force_eager") if self.compiled else contextlib.nullcontext():
            found = {name: mean_psnr(network, spec, those) for name, those in pairs.items()}
        psnr = found.pop("validation_psnr_rgb")
        row = {
            "step": self.step, "images": spec.images(self.step),
            "epoch": spec.images(self.step) / len(Stream(spec, data.train).pairs),
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
