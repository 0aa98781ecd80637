"""Checkpoints: everything that changes during training in one safetensors file, and the weights that are kept."""

import json
import os
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dehazelib.data.images import DataError
from dehazelib.files import UMASK, require_folder, write_csv
from dehazelib.training.state import TrainingState

CHECKPOINT, WEIGHTS, LOG = "checkpoint.safetensors", "weights.safetensors", "log.csv"
NUMBERS = ("step", "minutes", "logged", "best_psnr")


def save(state: TrainingState, folder: Path) -> None:
    """Writes a checkpoint: tensors by name, the few numbers as metadata; appears by atomic rename."""
    tensors = _named("objective/", state.objective.module.state_dict()) | _named("best/", state.best)
    if state.average is not None:
        tensors |= _named("average/", state.average.state_dict())
    for i, optimizer in enumerate(state.optimizers):
        for p, values in optimizer.state_dict()["state"].items():
            tensors |= _named(f"optimizer/{i}/{p}/", values)
    tensors["losses"] = torch.as_tensor(state.losses)
    numbers = {name: getattr(state, name) for name in NUMBERS}
    _write(tensors, folder / CHECKPOINT, {"numbers": json.dumps(numbers), "log": json.dumps(state.log)})
    write_csv(pd.DataFrame(state.log), folder / LOG)


def load(state: TrainingState, folder: Path) -> None:
    """Brings a state to that of the folder's checkpoint. Raises DataError if it is damaged."""
    tensors, numbers, state.log = _read(folder / CHECKPOINT)
    _load_networks(state, tensors)
    state.best = _part("best/", tensors)
    state.losses = tensors["losses"].to(next(state.objective.parameters()).device)
    for name in NUMBERS:
        setattr(state, name, numbers[name])


def branch(state: TrainingState, path: Path) -> None:
    """Gives a state that is at step 0 the weights, their average and the optimisers' moments of another run's
    checkpoint. Raises DataError if it is damaged."""
    _load_networks(state, _read(path)[0])


def step_of(path: Path) -> int:
    """Returns the step at which a checkpoint was written. Raises DataError if it is damaged."""
    return _read(path)[1]["step"]


def finish(state: TrainingState, folder: Path) -> None:
    """Writes the log and the best weights."""
    write_csv(pd.DataFrame(state.log), folder / LOG)
    _write(state.best, folder / WEIGHTS, {"run": state.spec.id})  # one entry: safetensors keeps no order of several


def _read(path: Path) -> tuple[dict[str, Tensor], dict, list[dict]]:
    """Returns (tensors, numbers, log) of a checkpoint."""
    try:
        with safe_open(path, "pt") as file:
            numbers, log = (json.loads(file.metadata()[name]) for name in ("numbers", "log"))
            return {name: file.get_tensor(name) for name in file.keys()}, numbers, log
    except SafetensorError as error:
        raise DataError(f"{path}: damaged ({error}): remove it to train the run from the start.") from None


def _load_networks(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    state.objective.module.load_state_dict(_part("objective/", tensors))
    if state.average is not None:
        state.average.load_state_dict(_part("average/", tensors))
    for i, optimizer in enumerate(state.optimizers):
        _load_optimizer(optimizer, _part(f"optimizer/{i}/", tensors))


def _load_optimizer(optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {}
    for name, value in tensors.items():
        p, key = name.split("/")
        like = parameters[int(p)]
        if value.shape == like.shape:  # a fused optimiser needs its moments in the parameter's memory layout
            value = torch.empty_like(like).copy_(value)
        moments.setdefault(int(p), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _part(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    require_folder(path)
    scratch = path.with_suffix(".writing")  # one process at a time writes a run; what a killed one left is written over
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, scratch, metadata)
    scratch.chmod(0o666 & ~UMASK)  # safetensors lets nobody else read
    os.replace(scratch, path)
