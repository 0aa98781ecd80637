"""The embedded data set: 68 procedural RGB-D rooms, drawn from seeds, and one real stereo photograph.

A room is furniture made of boxes, cylinders and spheres between textured walls, with windows or a doorway
into a brighter space: `layout` furnishes it (`furniture`, `materials`) and `shading`
pictures it (`geometry`, `textures`). Photographs used as textures ship with scikit-image.
"""

import numpy as np
import skimage.data
from joblib import Parallel, cpu_count, delayed, parallel_config
from scipy.ndimage import distance_transform_edt

from dehazelib.data.rooms.layout import furnish
from dehazelib.data.rooms.shading import render

ROOMS_VERSION = 1  # part of every seed and of callers' cache keys: raise it whenever a pixel changes
SPLITS = {"train": 48, "validation": 8, "test": 12}
SIZE = (240, 320)  # height, width in pixels


def scene(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Clear image uint8 (240, 320, 3) and depth float32 (240, 320) of one room, metres along the axis.

    split: a key of `SPLITS`; index: 0 <= index < SPLITS[split]. The same pair gives the same room
    everywhere; between kinds of processor, rounding may change a few pixels.
    """
    rng = np.random.default_rng([ROOMS_VERSION, list(SPLITS).index(split), index])
    colour, depth = render(furnish(rng), SIZE)
    return photograph(rng, colour), depth


def make(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 240, 320, 3) and depths uint16 (n, 240, 320) of a whole split.

    Depths are round(65535 * depth / largest depth of that image), all that the scattering model needs. Rooms
    are drawn by one process per available core, which share nothing with the caller.
    """
    count = SPLITS[split]
    with parallel_config("loky", inner_max_num_threads=1):
        rooms = Parallel(min(cpu_count(), count))(delayed(scene)(split, index) for index in range(count))
    images, depths = zip(*rooms)
    relative = [np.round(65535 * (depth / depth.max())).astype(np.uint16) for depth in depths]
    return np.stack(images), np.stack(relative)


def motorcycle() -> tuple[np.ndarray, np.ndarray]:
    """Clear image uint8 (500, 740, 3) and depth float32 (500, 740), metres, of a real room with a motorcycle.

    depth = focal * baseline / (disparity + offset), with the calibration `skimage.data.stereo_motorcycle`
    states for its quarter-size images; pixels without disparity take the nearest one that has it.
    Source: Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014.
    """
    try:
        image, _, disparity = skimage.data.stereo_motorcycle()
    except (OSError, ModuleNotFoundError) as error:
        raise FileNotFoundError(
            "scikit-image cannot load its stereo_motorcycle photograph: connect to the internet once "
            "and call skimage.data.stereo_motorcycle(), or put motorcycle_left.png, motorcycle_right.png and "
            "motorcycle_disp.npz into the data folder of scikit-image's cache"
        ) from error
    focal, baseline, offset = 994.978, 0.193001, 31.086  # pixels, metres, pixels
    known = np.isfinite(disparity) & (disparity > 0)
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    depth = focal * baseline / (disparity[rows, columns] + offset)
    height, width = (n // 4 * 4 for n in depth.shape)
    return image[:height, :width], depth[:height, :width].astype(np.float32)


def photograph(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Image uint8 of linear light (h, w, 3): exposure, white balance, vignetting, contrast, some noise."""
    height, width = colour.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    colour = colour * (1 - 0.12 * (x * x + y * y))[..., None]
    warm, green = rng.normal(0.05, 0.07), rng.normal(0, 0.02)
    colour = colour * np.exp([warm, green, -warm])
    bright = rng.uniform(0.33, 0.5)  # mean of the finished picture

    def develop(exposure: float) -> np.ndarray:
        light = 1 - np.exp(-exposure * colour)  # highlights fade to white
        return np.clip(1.12 * light ** (1 / 2.2) - 0.08, 0, 1)

    low, high = -8.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if develop(2.0**middle).mean() < bright else (low, middle)
    image = develop(2.0**low) + rng.normal(0, 0.004, colour.shape)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
