"""Small folders laid out as RESIDE and NYU Depth v2 are, for tests."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehazelib.data.reside import find

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))  # real images, where there are some
FRAME, CROPPED = (640, 480), (620, 460)  # width, height


def needs(*parts: str):
    """Returns the mark of tests that need these parts of the real images."""
    return pytest.mark.skipif(not all((DATA / part).is_dir() for part in parts), reason="no data")


def save(path, size=CROPPED, grey=128, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, grey).convert(mode).save(path)


def mosaic(path, seed, size=CROPPED):
    """Writes random blocks of 20 x 20 pixels, which tell one image, and each of its corners, from another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(20, 0).repeat(20, 1)).save(path, compress_level=1)


def add_sots(root, scenes=(1400, 1401), levels=(1, 2, 10)):
    for scene in scenes:
        save(root / f"SOTS/indoor/gt/{scene}.png", FRAME, grey=scene - 1400)
        for level in levels:
            save(root / f"SOTS/indoor/hazy/{scene}_{level}.png", grey=100 + level)
    return root


def add_its(root, names=("1_1_0.9", "2_10_0.75", "2_2_1", "10_1_0.85123")):
    for name in names:
        save(root / f"ITS/clear/{name.split('_')[0]}.png", grey=int(name.split("_")[0]))
        save(root / f"ITS/hazy/{name}.png", grey=200)
    return root


def add_nyu(root, ids):
    for id in ids:
        save(root / f"nyu/rgb/{id}.png", FRAME)
        save(root / f"nyu/depth/{id}.png", FRAME, mode="L")
    return root


def open_pairs(root, layout):
    """Returns the sound folder of this layout below root."""
    return find(root, layout).sound()
