"""One run in several processes, over GPUs and nodes: python -m dehazelib.training RUNS DATA SPEC HARDWARE

Lightning Fabric starts the processes by running a script again, which neither a notebook nor a process with several
runs survives, so a run that is to be split is trained by that script (__main__.py) in processes of its own.
"""

import subprocess
import sys
from pathlib import Path
from typing import IO

from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec


def launch(runs_folder: Path, spec: Spec, data: str, hardware: Hardware, lock: IO | None = None) -> None:
    """Trains a run of a folder in hardware.processes processes. Raises RuntimeError if they fail.

    Started by srun or torchrun (one process per device), each process joins the others; else it starts them.
    lock: the run's, as `held` gives it, so that it is held for as long as they train, even without this process.
    """
    command = [sys.executable, "-m", "dehazelib.training", str(runs_folder), data, spec.model_dump_json(),
               hardware.model_dump_json()]
    status = subprocess.run(command, pass_fds=[lock.fileno()] if lock else []).returncode
    if status != 0:
        raise RuntimeError(f"{spec.id}: training in {hardware.processes} processes ended with status {status}.")
