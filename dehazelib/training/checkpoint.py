"""Checkpoints: everything that changes during training in one safetensors file, and the weights that are kept."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized
from torch import Tensor

from dehazelib.data.images import DataError
from dehazelib.files import write_bytes, write_csv
from dehazelib.training.state import TrainingState

CHECKPOINT, WEIGHTS, LOG = "checkpoint.safetensors", "weights.safetensors", "log.csv"
NUMBERS = ("step", "minutes", "logged", "best_psnr")
_AFRESH = "remove it to train the run from the start."


def save(state: TrainingState, folder: Path) -> None:
    """Writes a checkpoint: tensors by name, as metadata the few numbers, whose run it is, and a digest of it all."""
    tensors = _named("objective/", state.objective.module.state_dict()) | _named("best/", state.best)
    if state.average is not None:
        tensors |= _named("average/", state.average.state_dict())
    for i, optimizer in enumerate(state.optimizers):
        for p, values in optimizer.state_dict()["state"].items():
            tensors |= _named(f"optimizer/{i}/{p}/", values)
    tensors["losses"] = torch.as_tensor(state.losses)
    tensors = _stored(tensors)
    numbers = {name: getattr(state, name) for name in NUMBERS}
    metadata = {"numbers": json.dumps(numbers), "log": json.dumps(state.log), "run": state.spec.id}
    metadata["sha256"] = _digest(tensors, metadata)
    write_bytes(folder / CHECKPOINT, serialized(tensors, metadata))
    write_csv(pd.DataFrame(state.log), folder / LOG)


def load(state: TrainingState, folder: Path) -> None:
    """Brings a state to that of the folder's checkpoint. Raises DataError if it is damaged or another run's."""
    path = folder / CHECKPOINT
    tensors, numbers, state.log = _read(path, state.spec.id)
    _load_networks(state, tensors, path)
    state.best = _part("best/", tensors)
    state.losses = tensors["losses"].to(next(state.objective.parameters()).device)
    for name in NUMBERS:
        setattr(state, name, numbers[name])


def branch(state: TrainingState, path: Path) -> None:
    """Gives a state that is at step 0 the weights, their average and the optimisers' moments of another run's
    checkpoint. Raises DataError if it is damaged."""
    _load_networks(state, _read(path)[0], path)


def step_of(path: Path) -> int:
    """Returns the step at which a checkpoint was written. Raises DataError if it is damaged."""
    return _read(path)[1]["step"]


def finish(state: TrainingState, folder: Path) -> None:
    """Writes the log and the best weights."""
    write_csv(pd.DataFrame(state.log), folder / LOG)
    metadata = {"run": state.spec.id}  # one entry: safetensors keeps no order of several
    write_bytes(folder / WEIGHTS, serialized(_stored(state.best), metadata))


def _read(path: Path, run: str = "") -> tuple[dict[str, Tensor], dict, list[dict]]:
    """Returns (tensors, numbers, log) of a checkpoint. run: whose it must be, if it tells."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        numbers, log = (json.loads(metadata[name]) for name in ("numbers", "log"))
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}): {_AFRESH}") from None
    earlier = set(metadata) == {"numbers", "log"}  # versions wrote neither digest nor run
    if not earlier and metadata.pop("sha256", "") != _digest(tensors, metadata):
        raise DataError(f"{path}: damaged (its content has changed since it was written): {_AFRESH}")
    if run and metadata.get("run", run) != run:
        raise DataError(f"{path}: belongs to the run {metadata['run']}: {_AFRESH}")
    return tensors, numbers, log


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Returns the SHA-256 of a checkpoint's content."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _load_networks(state: TrainingState, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        state.objective.module.load_state_dict(_part("objective/", tensors))
        if state.average is not None:
            state.average.load_state_dict(_part("average/", tensors))
        for i, optimizer in enumerate(state.optimizers):
            _load_optimizer(optimizer, _part(f"optimizer/{i}/", tensors))
    except (RuntimeError, LookupError, ValueError):  # torch's own take many lines
        raise DataError(f"{path}: does not hold the networks of {state.spec.id}: {_AFRESH}") from None


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


def _stored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors as a file holds them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
