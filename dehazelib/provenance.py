"""Where a number comes from: machine, commit, versions."""

import functools
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dehazelib import paths

PACKAGES = ("torch", "lightning", "numpy", "scipy", "pandas", "scikit-image", "pillow", "matplotlib", "seaborn")
MACHINE = ["processor", "threads", "gpu"]  # columns of a row that say what it was measured on


@dataclass(frozen=True, order=True)
class Machine:
    """What something was measured on. gpu: its name, or empty if only the processor was used. threads: 0 if unknown."""

    processor: str
    threads: int
    gpu: str = ""

    @classmethod
    def of(cls, row: Any) -> "Machine":
        """Returns the machine of a row of any CSV file here: a mapping, a pandas Series or a named tuple.

        The GPU stands in the column `gpu`, or in compute.csv in the column `device`, which is "cpu" without one. What a
        row does not tell stays empty.
        """
        cells = row._asdict() if hasattr(row, "_asdict") else row
        device = _cell(cells, "device", "")
        gpu = _cell(cells, "gpu", "" if device in ("cpu", "cuda") else device)
        return cls(_cell(cells, "processor", ""), int(_cell(cells, "threads", 0)), gpu)

    def __str__(self) -> str:
        if self.gpu:
            return self.gpu
        processor = self.processor or "CPU"
        if not self.threads:
            return processor
        return f"{processor}, {self.threads} thread" if self.threads == 1 else f"{processor}, {self.threads} threads"


@functools.cache
def environment() -> dict:
    """Returns commit (with "+changes" if the tree differs from it), hardware and package versions, as plain values."""
    import torch  # here: reading a row needs none

    return {
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "torch": str(torch.__version__),  # with the build, such as +cpu or +cu130, which its metadata may leave out
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=paths.ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--", "dehazelib", "notebooks", "Snakefile")
    except FileNotFoundError:
        return "unknown (git is not installed)"
    return (commit or "unknown (not a git checkout)") + ("+changes" if changed else "")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cell(row: Mapping, name: str, default: Any) -> Any:
    value = row.get(name, default)
    absent = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    return default if absent else value
