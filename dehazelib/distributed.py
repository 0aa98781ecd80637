"""One run in several processes, over GPUs and nodes: python -m dehazelib.distributed CABINET DATA SPEC HARDWARE

Lightning Fabric starts the processes by running a script again, which neither a notebook nor a process with several
runs survives, so a run that is to be split is trained by this script in processes of its own.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from dehazelib.spec import Spec


def launch(cabinet: Path, spec: Spec, data: str, hardware, lock: IO | None = None) -> None:
    """Trains a run of a cabinet in hardware.processes processes. Raises RuntimeError if they fail.

    Started by srun or torchrun (one process per device), each process joins the others; else it starts them.
    lock: the run's, as `held` gives it, so that it is held for as long as they train, even without this process.
    """
    descriptions = [json.dumps(dataclasses.asdict(one)) for one in (spec, hardware)]
    command = [sys.executable, "-m", "dehazelib.distributed", str(cabinet), data, *descriptions]
    if (status := subprocess.run(command, pass_fds=[lock.fileno()] if lock else []).returncode) != 0:
        raise RuntimeError(f"{spec.id}: training in {hardware.processes} processes ended with status {status}.")


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


def main() -> None:
    from dehazelib import runs
    from dehazelib.data.pairs import open_data
    from dehazelib.training import Hardware

    cabinet, data, spec, hardware = sys.argv[1:]
    run = runs.run(Path(cabinet), Spec(**json.loads(spec)))
    run.train_here(open_data(data), Hardware(**json.loads(hardware)))


if __name__ == "__main__":
    main()
