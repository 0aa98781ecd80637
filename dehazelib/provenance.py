"""Where a number comes from: commit, hardware, versions."""

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from dehazelib import paths

PACKAGES = ("torch", "lightning", "numpy", "scipy", "pandas", "scikit-image", "pillow", "matplotlib", "seaborn")


@functools.cache
def environment() -> dict:
    """Returns commit (with "+changes" if the tree differs from it), hardware and package versions, as plain values."""
    import torch  # here: reading what was measured needs none

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
