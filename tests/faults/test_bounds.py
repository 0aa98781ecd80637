"""Memory that is used again and again does not grow."""

import os

import numpy as np
import pytest
from PIL import Image

from dehazelib.deploy.photos import dehaze_file
from dehazelib.networks.student import Student
from tests.faults.injection import forked

COUNT = int(os.environ.get("FAULTS_EXAMPLES", 300))


def resident_mb() -> float:
    """Returns this process's memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell a process's memory")
def test_photographs_one_after_another_take_no_more_memory(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        size = (30 + number, 60 - number)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{number}.jpg")

    def dehaze():
        network = Student(16, 2, 1).eval()

        def some(count):
            for number in range(count):
                dehaze_file(network, tmp_path / f"{number % 20}.jpg", tmp_path / "out.png")

        some(50)
        before = resident_mb()
        some(COUNT)
        grown = resident_mb() - before
        assert grown < 20, f"{COUNT} photographs took {grown:.0f} MB more"

    assert forked(dehaze) == (0, "")
