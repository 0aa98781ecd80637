"""One run in several processes, over GPUs and nodes: python -m dehazelib.distributed FOLDER DATA HARDWARE

Lightning Fabric starts the processes by running a script again, which neither a notebook nor a process with several runs
survives, so a run that is to be split is trained by this script in processes of its own.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path


def launch(folder: Path, data: str, hardware) -> None:
    """Trains the run in `folder` in hardware.processes processes. Raises RuntimeError if they fail.

    Started by srun or torchrun (one process per device), each process joins the others; else it starts them.
    """
    description = json.dumps(dataclasses.asdict(hardware))
    command = [sys.executable, "-m", "dehazelib.distributed", str(folder), data, description]
    if (status := subprocess.run(command).returncode) != 0:
        raise RuntimeError(f"{folder.name}: training in {hardware.processes} processes ended with status {status}.")


def rank() -> int:
    """Returns this process's number among those that train together, 0 if it is alone."""
    return int(next((os.environ[k] for k in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if k in os.environ), 0))


def main() -> None:
    from dehazelib import runs
    from dehazelib.data.pairs import open_data
    from dehazelib.training import Hardware

    folder, data, description = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    runs.find(folder.parent, folder.name).train_here(open_data(data), Hardware(**description))


if __name__ == "__main__":
    main()
