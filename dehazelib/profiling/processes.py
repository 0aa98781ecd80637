"""Processes that train together: which one this is, how many there are, a mean over all of them."""

import os

import torch
from torch import Tensor


def rank() -> int:
    """Returns this process's number among those that train together, 0 if it is alone."""
    return int(next((os.environ[k] for k in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if k in os.environ), 0))


def processes() -> int:
    """Returns how many processes train together with this one, itself included."""
    return torch.distributed.get_world_size() if _together() else 1


def mean(values: Tensor) -> Tensor:
    """Returns values averaged over processes that train together, without gradient; alone, the values themselves."""
    if not _together():
        return values
    total = values.detach().clone()
    torch.distributed.all_reduce(total)
    return total / processes()


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
