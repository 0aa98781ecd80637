"""Where things live, from this file and environment variables, never from the working directory.

DEHAZE_DATA     folder with SOTS-indoor, and ITS or NYU Depth v2, for studies on real images
DEHAZE_RESULTS  results folder, default: results/ in the checkout that holds this package
DEHAZE_CHECKPOINT_SECONDS  seconds between checkpoints of a run, default 30
XDG_CACHE_HOME  cache folder, default: ~/.cache; ours is dehazelib/ in it
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
PROFILES = Path(__file__).resolve().parent / "experiments" / "profiles"
PUBLISHED = ROOT / "results" / "published"
WEIGHTS = Path(__file__).resolve().parent / "weights"


def results() -> Path:
    """Returns the folder that holds one sub-folder per study. Raises ValueError if nothing says where that is."""
    given = os.environ.get("DEHAZE_RESULTS")
    if given:
        return Path(given).expanduser().resolve()
    if not NOTEBOOKS.is_dir():
        raise ValueError("This installation has no folder for results: export DEHAZE_RESULTS=/folder.")
    return ROOT / "results"


def data_root(given: str) -> str:
    """Returns where data are, "rooms" (embedded) or an absolute path, with ~ and $VARIABLE put in. Raises ValueError if
    a variable is not set."""
    expanded = os.path.expandvars(given)
    if "$" in expanded:
        raise ValueError(f"data is {given!r}, but the variable is not set: export DEHAZE_DATA=/folder, "
                         "or give data itself.")
    return expanded if expanded == "rooms" else str(Path(expanded).expanduser().resolve())


def cache() -> Path:
    """Returns the folder for what can be made again: decoded images, hashes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dehazelib"


def checkpoint_seconds() -> float:
    """Returns how long a run works between checkpoints. Raises ValueError if the variable holds no such number."""
    given = os.environ.get("DEHAZE_CHECKPOINT_SECONDS") or "30"
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not seconds >= 0:  # nor NaN
        raise ValueError(f"DEHAZE_CHECKPOINT_SECONDS is {given!r}: give a number of seconds, such as 30.")
    return seconds
