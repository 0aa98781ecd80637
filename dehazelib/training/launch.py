"""One run in several processes, over GPUs and nodes: python -m dehazelib.training.launch CABINET DATA SPEC HARDWARE

Lightning Fabric starts the processes by running a script again, which neither a notebook nor a process with several
runs survives, so a run that is to be split is trained by this script in processes of its own.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import IO

from dehazelib.experiments.spec import Spec


def launch(cabinet: Path, spec: Spec, data: str, hardware, lock: IO | None = None) -> None:
    """Trains a run of a cabinet in hardware.processes processes. Raises RuntimeError if they fail.

    Started by srun or torchrun (one process per device), each process joins the others; else it starts them.
    lock: the run's, as `held` gives it, so that it is held for as long as they train, even without this process.
    """
    descriptions = [json.dumps(dataclasses.asdict(one)) for one in (spec, hardware)]
    command = [sys.executable, "-m", "dehazelib.training.launch", str(cabinet), data, *descriptions]
    if (status := subprocess.run(command, pass_fds=[lock.fileno()] if lock else []).returncode) != 0:
        raise RuntimeError(f"{spec.id}: training in {hardware.processes} processes ended with status {status}.")


def main() -> None:
    from dehazelib.data.sources import open_data
    from dehazelib.training import runs
    from dehazelib.training.loop import Hardware

    cabinet, data, spec, hardware = sys.argv[1:]
    run = runs.run(Path(cabinet), Spec(**json.loads(spec)))
    run.train_here(open_data(data), Hardware(**json.loads(hardware)))


if __name__ == "__main__":
    main()
