"""Where things live, from this file and environment variables, never from the working directory.

DEHAZE_DATA     folder with SOTS-indoor, and ITS or NYU Depth v2, for studies on real images
DEHAZE_RESULTS  results folder, default: results/ beside this package
DEHAZE_CHECKPOINT_SECONDS  seconds between checkpoints of a run, default 30
XDG_CACHE_HOME  cache folder, default: ~/.cache; ours is dehazelib/ in it
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"
PUBLISHED = ROOT / "results" / "published"
WEIGHTS = Path(__file__).resolve().parent / "weights"


def results() -> Path:
    """Returns the folder that holds one sub-folder per study."""
    return Path(os.environ.get("DEHAZE_RESULTS") or ROOT / "results").resolve()


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
