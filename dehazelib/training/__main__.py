"""Trains one run in this process, one of several that `launch` or a cluster has started. See launch.py."""

import json
import sys
from pathlib import Path

from dehazelib.data.sources import open_data
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec
from dehazelib.training import runs


def main(runs_folder: str, data: str, spec: str, hardware: str) -> None:
    run = runs.run(Path(runs_folder), Spec(**json.loads(spec)))
    run.train_here(open_data(data), Hardware(**json.loads(hardware)))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
