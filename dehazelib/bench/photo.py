"""A photograph of 24 megapixels, dehazed as by the command line: the whole process's memory, and how long it takes."""

from pathlib import Path

import numpy as np
import pandas as pd

from dehazelib.bench.rows import keep, local
from dehazelib.deploy import inference, photos
from dehazelib.profiling import memory, timing
from dehazelib.profiling.allocator import keep_freed_memory

SIZE = (4000, 6000)  # height, width


def run(folder: Path | None = None, size: tuple[int, int] = SIZE) -> pd.DataFrame:
    """Returns one row: the size, the peak memory of the whole process in MB (NaN where it cannot be read), seconds.

    The shipped student dehazes random pixels in a fresh process on the CPU; the row is written
    to photo.csv in `folder` (default: bench.rows.local()).
    """
    ((peak, seconds),) = memory.in_fresh_processes(in_this_process, [size])
    table = pd.DataFrame([{"height": size[0], "width": size[1], "peak_mb": peak, "seconds": seconds}])
    keep(table, "photo", folder or local())
    return table


def in_this_process(height: int, width: int) -> tuple[float, float]:
    """Returns the peak memory of this whole process in MB, and the seconds that an 8-bit photograph takes."""
    keep_freed_memory(large_blocks=False, most_mb=inference.KEPT_MB)
    student = inference.load()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ms = timing.milliseconds(lambda: photos.dehaze(pixels, student))
    return memory.peak_mb(), ms / 1e3
