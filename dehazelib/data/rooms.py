"""The embedded data set: 68 procedural RGB-D rooms, drawn from seeds, and one real stereo photograph.

A room is furniture made of boxes, cylinders and spheres between textured walls, with windows or a doorway
into a brighter space. `rooms_scene` casts the rays. Photographs used as textures ship with scikit-image.
"""

import multiprocessing
import os
from colorsys import hsv_to_rgb
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import skimage.data
from scipy.ndimage import distance_transform_edt

from dehazelib.data.rooms_scene import PHOTOS, RELIEFS, Camera, Light, Material, Solid, render, rotation

ROOMS_VERSION = 1  # part of every seed and of callers' cache keys: raise it whenever a pixel changes
SPLITS = {"train": 48, "validation": 8, "test": 12}
SIZE = (240, 320)  # height, width in pixels
FOCAL = 1.08  # in image heights: the 519 px at 480 rows of the camera behind NYU Depth v2


def scene(split, index):
    """Clear image uint8 (240, 320, 3) and depth float32 (240, 320) of one room, metres along the axis.

    split: a key of `SPLITS`; index: 0 <= index < SPLITS[split]. The same pair gives the same room
    everywhere; between kinds of processor, rounding may change a few pixels.
    Raises ValueError for an unknown pair.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
    if not 0 <= index < SPLITS[split]:
        raise ValueError(f"scene {index} of {split!r} does not exist: use 0 to {SPLITS[split] - 1}")
    rng = np.random.default_rng([ROOMS_VERSION, list(SPLITS).index(split), index])
    solids, lights, ambient, corner, camera = furnish(rng)
    colour, depth = render(solids, lights, ambient, corner, camera, SIZE)
    return photograph(rng, colour), depth


def make(split):
    """Images uint8 (n, 240, 320, 3), depths uint16 (n, 240, 320), names like "train_00", of a whole split.

    Depths are round(65535 * depth / largest depth of that image), all that the scattering model needs. Rooms
    are drawn on all cores by fresh processes: a script that calls this needs `if __name__ == "__main__":`.
    Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
    count = SPLITS[split]
    workers = min(os.cpu_count() or 1, count)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        images, depths = zip(*pool.map(partial(scene, split), range(count)))
    relative = [np.round(65535 * (depth / depth.max())).astype(np.uint16) for depth in depths]
    return np.stack(images), np.stack(relative), [f"{split}_{index:02d}" for index in range(count)]


def motorcycle():
    """Clear image uint8 (500, 740, 3) and depth float32 (500, 740), metres, of a real room with a motorcycle.

    depth = focal * baseline / (disparity + offset), with the calibration `skimage.data.stereo_motorcycle`
    states for its quarter-size images; pixels without disparity take the nearest one that has it.
    Raises FileNotFoundError when scikit-image cannot find or fetch the photograph.
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


def photograph(rng, colour):
    """Image uint8 of linear light (h, w, 3): exposure, white balance, vignetting, contrast, some noise."""
    height, width = colour.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    colour = colour * (1 - 0.12 * (x * x + y * y))[..., None]
    warm, green = rng.normal(0.05, 0.07), rng.normal(0, 0.02)
    colour = colour * np.exp([warm, green, -warm])
    bright = rng.uniform(0.33, 0.5)  # mean of the finished picture

    def develop(exposure):
        light = 1 - np.exp(-exposure * colour)  # highlights fade to white
        return np.clip(1.12 * light ** (1 / 2.2) - 0.08, 0, 1)

    low, high = -8.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if develop(2.0**middle).mean() < bright else (low, middle)
    image = develop(2.0**low) + rng.normal(0, 0.004, colour.shape)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


# --- materials --------------------------------------------------------------------------------


def tint(hue, saturation, value):
    """Linear RGB of a colour given as hue, saturation and value of the finished picture, all in [0, 1]."""
    return tuple(c**2.2 for c in hsv_to_rgb(hue % 1, np.clip(saturation, 0, 1), np.clip(value, 0, 1)))


def hue(rng):
    """Rooms are mostly brown, red and beige, sometimes blue, seldom anything else."""
    kind = rng.choice(3, p=[0.55, 0.25, 0.2])
    return [rng.normal(0.06, 0.05), rng.normal(0.58, 0.06), rng.random()][kind]


def wall_paint(rng):
    saturation = rng.choice([0.08, 0.2, 0.45], p=[0.45, 0.35, 0.2]) * rng.uniform(0.6, 1.2)
    hue = rng.choice([0.09, 0.12, 0.05, 0.25, 0.5, 0.58, 0.95], p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05])
    return Material(tint(hue + rng.normal(0, 0.02), saturation, rng.uniform(0.6, 0.9)), "plaster", (1.7, 1.7))


def wood(rng, texture="wood"):
    value = rng.choice([0.25, 0.42, 0.62, 0.78]) * rng.uniform(0.9, 1.1)
    size = rng.uniform(0.5, 1.1)
    colour = tint(rng.uniform(0.04, 0.1), rng.uniform(0.35, 0.75), value)
    return Material(colour, texture, (size, size), tuple(rng.random(2)), gloss=rng.choice([0.0, 0.15, 0.4]))


def paint(rng):
    colour = tint(hue(rng), rng.choice([0.1, 0.4, 0.7]), rng.uniform(0.25, 0.9))
    return Material(colour, rng.choice(["flat", "plaster"]), gloss=rng.choice([0.0, 0.3]))


def dark(rng):
    return Material(tint(rng.random(), 0.15, rng.uniform(0.08, 0.25)), "plaster", gloss=0.3)


def fabric(rng):
    texture = rng.choice(["carpet", "weave", "stripes", "checks", "spots", *RELIEFS])
    size = {"stripes": 0.5, "checks": 0.4, "spots": 0.7, "weave": 0.35}.get(texture, 0.6)
    size *= rng.uniform(0.7, 1.5)
    colour = tint(hue(rng), rng.choice([0.08, 0.3, 0.6]), rng.uniform(0.25, 0.85))
    return Material(colour, texture, (size, size), tuple(rng.random(2)))


def photo(rng, size, glow=0.0):
    """A photograph shown once over `size` metres, or an enlarged part of it."""
    zoom = 2 * rng.uniform(1, 1.8)
    tile = zoom * size[0], zoom * size[1]
    return Material((0.9, 0.9, 0.9), rng.choice(PHOTOS), tile, (0.25, 0.25), 0.1, glow)


# --- furniture: lists of parts; back at y = 0, front towards -y -------------------------------


def part(shape, centre, half, material, yaw=0.0, tilt=0.0, casts=True):
    """One solid of a piece of furniture, in the frame of the piece (metres, radians; see `Solid`)."""
    return shape, np.array(centre, float), np.array(half, float), material, yaw, tilt, casts


def place(parts, at, yaw=0.0):
    """The same parts, turned by `yaw` (radians) about the vertical and moved to `at` (3,)."""
    turn = rotation(yaw).T
    return [(s, turn @ c + np.array(at, float), h, m, y + yaw, t, k) for s, c, h, m, y, t, k in parts]


def box_between(low, high, material, **options):
    """The box with the opposite corners `low` and `high` (3,), at least 4 mm thick."""
    low, high = np.array(low, float), np.array(high, float)
    return part("box", (low + high) / 2, np.maximum((high - low) / 2, 0.002), material, **options)


def legs(width, depth, height, material, radius=0.025, shape="box"):
    spots = [(sx * (width / 2 - radius), y) for sx in (-1, 1) for y in (-radius, radius - depth)]
    return [part(shape, (x, y, height / 2), (radius, radius, height / 2), material) for x, y in spots]


def lamp(rng, height=0.5):
    glow = Material(tint(0.1, 0.3, 0.95), "weave", (0.3, 0.3), glow=rng.uniform(0.3, 1.3))
    shade = rng.uniform(0.1, 0.17)
    metal = dark(rng)
    return [part("cylinder", (0, 0, 0.015), (0.1, 0.1, 0.015), metal),
            part("cylinder", (0, 0, height / 2), (0.012, 0.012, height / 2), metal),
            part("cylinder", (0, 0, height), (shade, shade, shade * 0.8), glow, casts=False)]


def books(rng, width, height, depth):
    parts, x = [], -width / 2
    while x < width / 2 - 0.05:
        thick, tall = rng.uniform(0.015, 0.06), height * rng.uniform(0.6, 0.95)
        if rng.random() < 0.8:
            low, high = (x, -depth * rng.uniform(0.6, 0.95), 0), (x + thick, -0.02, tall)
            parts.append(box_between(low, high, paint(rng), casts=False))
        x += thick
    return parts


def clutter(rng, width, depth, count):
    """Things that stand on a surface of `width` x `depth` metres."""
    parts = []
    for _ in range(count):
        at = rng.uniform(-width / 2, width / 2), rng.uniform(-depth, 0), 0
        r, h, turn = rng.uniform(0.025, 0.07), rng.uniform(0.06, 0.26), rng.uniform(0, 6)
        kind = rng.choice(["bottle", "mug", "pile", "ball", "carton", "frame"])
        if kind == "bottle":
            body = paint(rng)
            thing = [part("cylinder", (0, 0, h / 2), (r * 0.8, r * 0.8, h / 2), body),
                     part("cylinder", (0, 0, h), (r * 0.3, r * 0.3, h * 0.35), body)]
        elif kind == "mug":
            thing = [part("cylinder", (0, 0, 0.05), (0.04, 0.04, 0.05), paint(rng))]
        elif kind == "ball":
            thing = [part("sphere", (0, 0, r), (r, r, r), paint(rng))]
        elif kind == "carton":
            thing = [part("box", (0, 0, h / 2), (r * 1.4, r, h / 2), photo(rng, (r * 2.8, h)))]
        elif kind == "frame":
            thing = [part("box", (0, 0, h / 2), (h * 0.4, 0.008, h / 2), dark(rng), tilt=-0.2),
                     part("box", (0, -0.006, h / 2), (h * 0.34, 0.008, h * 0.43),
                          photo(rng, (h * 0.68, h * 0.86)), tilt=-0.2)]
        else:
            thing = [part("box", (0, 0, 0.03 * k + 0.015), (0.11, 0.08, 0.014), paint(rng), 0.2 * k)
                     for k in range(rng.integers(2, 5))]
        parts += place(thing, at, turn if kind != "frame" else rng.normal(0, 0.4))
    return parts


def table(rng, width=None, depth=None, height=None):
    width, depth = width or rng.uniform(0.9, 1.6), depth or rng.uniform(0.5, 0.8)
    height, top = height or rng.choice([0.45, 0.74]), wood(rng)
    parts = [box_between((-width / 2, -depth, height - 0.035), (width / 2, 0, height), top)]
    foot, shape = rng.choice([top, dark(rng)]), rng.choice(["box", "cylinder"])
    parts += legs(width, depth, height - 0.035, foot, shape=shape)
    things = clutter(rng, width * 0.85, depth * 0.8, rng.integers(4, 8))
    return parts + place(things, (0, -0.1 * depth, height))


def chair(rng):
    seat, frame = rng.choice([fabric(rng), wood(rng)]), rng.choice([wood(rng), dark(rng)])
    high, step = rng.uniform(0.85, 1.05), rng.choice([0.12, 0.5])  # slats, or one panel
    parts = legs(0.44, 0.44, 0.44, frame, 0.02) + [box_between((-0.22, -0.44, 0.43), (0.22, 0, 0.48), seat)]
    parts += [box_between((sx - 0.02, -0.04, 0.45), (sx + 0.02, 0, high), frame) for sx in (-0.2, 0.2)]
    board = 0.06 if step < 0.2 else 0.4
    slats = np.arange(0.58, high, step)
    return parts + [box_between((-0.19, -0.035, z), (0.19, -0.01, min(z + board, high)), seat)
                    for z in slats]


def shelf(rng):
    width, depth, height, levels = rng.uniform(0.7, 1.3), 0.32, rng.uniform(1.3, 2.1), rng.integers(4, 6)
    board = rng.choice([wood(rng), wood(rng), dark(rng), Material(tint(0.1, 0.05, 0.85))])
    edges = -width / 2, width / 2
    parts = [box_between((x - 0.015, -depth, 0), (x + 0.015, 0, height), board) for x in edges]
    parts.append(box_between((-width / 2, -0.02, 0), (width / 2, 0, height), board))
    for z in np.linspace(0.06, height, levels + 1):
        parts.append(box_between((-width / 2, -depth, z - 0.025), (width / 2, 0, z), board))
        space = height / levels if z < height - 0.1 else 0.3
        row = books(rng, width - 0.06, space * 0.85, depth)
        filling = row if rng.random() < 0.65 else clutter(rng, width * 0.8, 0.15, 3)
        parts += place(filling, (0, -0.03, z))
    return parts


def cabinet(rng):
    width, depth, height = rng.uniform(0.6, 1.4), rng.uniform(0.4, 0.55), rng.uniform(0.55, 1.15)
    body, front, knob = wood(rng), rng.choice([wood(rng), paint(rng)]), dark(rng)
    parts = [box_between((-width / 2, -depth, 0.05), (width / 2, 0, height), body)]
    columns, rows = rng.integers(1, 3), rng.integers(2, 5)
    w, h = width / columns, (height - 0.1) / rows
    for x in (np.arange(columns) + 0.5) * w - width / 2:
        for z in (np.arange(rows) + 0.5) * h + 0.08:
            half = w / 2 - 0.015, 0.012, h / 2 - 0.012
            parts.append(part("box", (x, -depth - 0.01, z), half, front, casts=False))
            parts.append(part("sphere", (x, -depth - 0.03, z), (0.018,) * 3, knob, casts=False))
    on_top = lamp(rng, rng.uniform(0.3, 0.5)) if rng.random() < 0.5 else television(rng)
    return parts + place(on_top, (rng.uniform(-0.1, 0.1), -depth / 2, height)) + place(
        clutter(rng, width * 0.85, depth * 0.7, 4), (0, -0.05, height))


def television(rng):
    w, h = rng.uniform(0.25, 0.42), rng.uniform(0.17, 0.25)
    screen = photo(rng, (2 * w, 2 * h), rng.choice([0.0, 0.7])) if rng.random() < 0.6 else dark(rng)
    return [part("box", (0, 0, h + 0.08), (w, 0.03, h), dark(rng)),
            part("box", (0, 0, 0.05), (0.12, 0.08, 0.05), dark(rng)),
            part("box", (0, -0.025, h + 0.08), (w - 0.02, 0.01, h - 0.02), screen, casts=False)]


def cushions(rng, width, count):
    parts = []
    for x in rng.uniform(-width / 2, width / 2, count):
        cover, s = rng.choice([fabric(rng), photo(rng, (0.4, 0.4))]), rng.uniform(0.17, 0.24)
        parts.append(part("box", (x, 0, s), (s, 0.05, s), cover, rng.normal(0, 0.3), -0.35))
        swell = s * 0.95, 0.11, s * 0.95
        parts.append(part("sphere", (x, -0.03, s), swell, cover, rng.normal(0, 0.1), -0.35))
    return parts


def bed(rng):
    width, length = rng.uniform(1.3, 1.8), rng.uniform(1.9, 2.1)
    frame, cover, sheet = wood(rng), fabric(rng), Material(tint(hue(rng), 0.1, 0.9), "carpet", (1.5, 1.5))
    parts = [box_between((-width / 2, -length, 0.1), (width / 2, 0, 0.3), frame),
             box_between((-width / 2 + 0.03, -length + 0.03, 0.3), (width / 2 - 0.03, -0.05, 0.5), sheet),
             box_between((-width / 2 - 0.03, -length - 0.02, 0.25), (width / 2 + 0.03, -0.65, 0.55), cover),
             box_between((-width / 2, -0.06, 0), (width / 2, 0, rng.uniform(0.8, 1.2)), frame)]
    for x in (-width / 4, width / 4):
        parts.append(part("sphere", (x, -0.36, 0.56), (0.33, 0.22, 0.12), sheet, rng.normal(0, 0.1)))
    for _ in range(3):  # folds and things thrown on the bed
        at = rng.uniform(-width / 3, width / 3), rng.uniform(-length * 0.9, -0.8), 0.53
        half, cloth = (rng.uniform(0.15, 0.4), 0.15, 0.07), rng.choice([cover, fabric(rng)])
        parts.append(part("sphere", at, half, cloth, rng.uniform(0, 3)))
    return parts + place(cushions(rng, width * 0.7, rng.integers(1, 4)), (0, -0.5, 0.52))


def sofa(rng):
    width, cloth = rng.uniform(1.2, 2.1), rng.choice([fabric(rng), dark(rng), wood(rng)])
    parts = [box_between((-width / 2, -0.85, 0.08), (width / 2, 0, 0.28), cloth),
             box_between((-width / 2, -0.22, 0.2), (width / 2, 0, 0.85), cloth)]
    for sx in (-1, 1):
        x = sx * (width / 2 - 0.09)
        parts += [box_between((x - 0.09, -0.85, 0.08), (x + 0.09, 0, 0.58), cloth),
                  part("cylinder", (x, -0.43, 0.58), (0.1, 0.1, 0.43), cloth, tilt=np.pi / 2)]
    seats = 2 if width < 1.6 else 3
    seat = (width - 0.36) / seats
    for k in range(seats):
        x = (k + 0.5) * seat - (width - 0.36) / 2
        parts.append(part("box", (x, -0.55, 0.36), (seat / 2 - 0.01, 0.31, 0.08), cloth))
        parts.append(part("box", (x, -0.27, 0.62), (seat / 2 - 0.015, 0.07, 0.2), cloth, tilt=-0.15))
    return parts + place(cushions(rng, width * 0.6, rng.integers(1, 4)), (0, -0.42, 0.44))


def plant(rng):
    pot, height = paint(rng), rng.uniform(0.6, 1.5)
    parts = [part("cylinder", (0, -0.2, 0.15), (0.14, 0.14, 0.15), pot),
             part("cylinder", (0, -0.2, height / 2), (0.015, 0.015, height / 2), wood(rng))]
    for _ in range(rng.integers(14, 24)):
        leaf = Material(tint(rng.uniform(0.22, 0.36), 0.6, rng.uniform(0.2, 0.6)), "grass", (0.3, 0.3))
        r, angle, z = rng.uniform(0.05, 0.28), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, height)
        half = rng.uniform(0.03, 0.06), rng.uniform(0.08, 0.18), 0.012
        at = r * np.sin(-angle), -0.2 + r * np.cos(angle), z
        parts.append(part("sphere", at, half, leaf, angle, rng.uniform(-0.6, 0.9)))
    return parts


def wardrobe(rng):
    width, height, front = rng.uniform(0.8, 1.3), rng.uniform(1.8, 2.2), wood(rng)
    parts = [box_between((-width / 2, -0.55, 0), (width / 2, 0, height), rng.choice([front, wood(rng)]))]
    for sx in (-1, 1):
        door, handle = (width / 4 - 0.01, 0.012, height / 2 - 0.05), (0.01, 0.01, 0.09)
        parts += [part("box", (sx * width / 4, -0.56, height / 2), door, front, casts=False),
                  part("cylinder", (sx * 0.05, -0.59, height / 2), handle, dark(rng), casts=False)]
    return parts + place(cartons(rng), (0, -0.1, height))


def cartons(rng):
    parts, z = [], 0.0
    for _ in range(rng.integers(1, 4)):
        half = rng.uniform((0.12, 0.1, 0.08), (0.22, 0.18, 0.16))
        cover = rng.choice([photo(rng, 2 * half[[0, 2]]), wood(rng, "carpet"), paint(rng)])
        parts.append(part("box", (rng.normal(0, 0.03), -0.25, z + half[2]), half, cover, rng.normal(0, 0.3)))
        z += 2 * half[2]
    return parts


def floor_lamp(rng):
    return place(lamp(rng, rng.uniform(1.3, 1.6)), (0, -0.25, 0))


def desk(rng):
    parts = table(rng, rng.uniform(1.1, 1.5), 0.65, 0.74) + place(television(rng), (0, -0.25, 0.74))
    return parts + place(chair(rng), (rng.uniform(-0.2, 0.2), -0.95, 0), np.pi + rng.normal(0, 0.4))


FURNITURE = {shelf: 1.1, cabinet: 1.2, bed: 1.9, sofa: 1.9, plant: 0.6, wardrobe: 1.2, cartons: 0.5,
             floor_lamp: 0.5, desk: 1.5, chair: 0.6}  # builder: metres of wall it takes


# --- rooms ------------------------------------------------------------------------------------


def furnish(rng):
    """Solids, lights, ambient light, openness of a point and camera, for `render`, of a random room."""
    width, length, height = rng.uniform(3.2, 5.5), rng.uniform(4.2, 6.8), rng.uniform(2.4, 2.8)
    sides = (("far", (width / 2, length, 0), 0.0, width), ("left", (0, length / 2, 0), np.pi / 2, length),
             ("right", (width, length / 2, 0), -np.pi / 2, length))  # name, middle of its foot, yaw, extent
    kinds = rng.permutation([rng.choice(["door", "window"]), "window", "none"])
    openings = dict(zip(("far", "left", "right"), kinds))
    gaps = {side: rng.uniform(1.6, 3.2) if what == "door" else 0.9 for side, what in openings.items()}
    wall, floor, white = wall_paint(rng), ground(rng), Material(tint(0.1, 0.05, 0.9), "plaster")
    parts = [part("plane", (width / 2, length / 2, 0), (20, 20, 1), floor, casts=False),
             part("plane", (width / 2, length / 2, height), (20, 20, 1), white, casts=False),
             part("plane", (width / 2, -0.5, height / 2), (20, 20, 1), wall, tilt=np.pi / 2, casts=False)]
    low, high = np.array([-0.05, -0.6, -0.1]), np.array([width + 0.05, length + 0.05, height + 0.1])
    middle_of_ceiling = np.array([width / 2, length * 0.45, height - 0.06])
    lights = [Light(middle_of_ceiling, np.array([width * 0.3, length * 0.25, 0.01]),
                    rng.uniform(1.0, 2.0) * np.array([1, 0.96, 0.9]), low, high)]
    eye = np.array([width * rng.uniform(0.3, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(1.15, 1.6)])
    for name, foot, yaw, extent in sides:
        what, accent = openings[name], wall if rng.random() < 0.75 else wall_paint(rng)
        here, hole = side_wall(rng, what, extent, height, accent)
        here += beyond(rng, what, gaps[name], hole, height)
        here += furnishings(rng, extent, what, hole, rotation(yaw) @ (eye - foot))
        parts += place(here, foot, yaw)
        lights += opening_lights(rng, what, hole, gaps[name], foot, yaw, height, low, high)
    aim = np.array([width * rng.uniform(0.1, 0.9), length, 0]) - eye
    yaw = np.arctan2(aim[0], aim[1])
    parts += middle(rng, width, length, eye, yaw, height)
    camera = Camera(eye, yaw, rng.uniform(-0.26, -0.08), FOCAL)
    solids = [Solid(s, c, h, rotation(y, t), m, k) for s, c, h, m, y, t, k in parts]
    ambient = rng.uniform(0.25, 0.5) * (0.6 + 0.4 * np.array(wall.colour) / max(wall.colour))
    room = np.array([width, length, height], np.float32)[:, None]

    def corner(points):  # darker near walls, floor and ceiling
        gap = np.minimum(np.abs(points), np.abs(points - room))
        return (1 - 0.35 * np.exp(-gap / 0.25)).prod(0)

    return solids, lights, ambient, corner, camera


def clear_of(eye, parts):
    """The parts of one piece of furniture, or none of them when it is nearer than 0.5 m to the eye (3,)."""
    gaps = [np.abs(rotation(yaw, tilt) @ (eye - centre)) - half for _, centre, half, _, yaw, tilt, _ in parts]
    return parts if min(np.linalg.norm(np.maximum(gap, 0)) for gap in gaps) > 0.5 else []


def ground(rng):
    kind = rng.choice(["planks", "carpet", "tiles"], p=[0.45, 0.35, 0.2])
    if kind == "planks":
        return Material(wood(rng).colour, kind, (1.3, 1.3), gloss=rng.uniform(0.05, 0.4))
    colour = tint(rng.uniform(0.02, 0.14), rng.uniform(0.1, 0.45), rng.uniform(0.35, 0.8))
    size = (1.6, 1.6) if kind == "tiles" else (0.8, 0.8)
    return Material(colour, kind, size, gloss=0.3 * (kind == "tiles"))


def side_wall(rng, what, extent, height, wall):
    """Parts of a wall, foot at the origin, and its opening (left, right, bottom, top) or None."""
    left, right, thick = -extent / 2 - 0.1, extent / 2 + 0.1, 0.12
    trim = Material(tint(0.1, 0.05, rng.choice([0.35, 0.9])))
    if what == "none":
        hole, panels = None, [(left, right, 0, height)]
    else:
        wide = rng.uniform(0.9, 1.5) if what == "door" else rng.uniform(1.0, 1.9)
        centre = rng.uniform(-0.3, 0.3) * (extent - wide)
        bottom = 0.0 if what == "door" else rng.uniform(0.8, 1.0)
        top = rng.uniform(2.0, 2.25)
        hole = centre - wide / 2, centre + wide / 2, bottom, top
        panels = [(left, hole[0], 0, height), (hole[1], right, 0, height), (hole[0], hole[1], top, height)]
        panels += [(hole[0], hole[1], 0, bottom)] if bottom else []
    parts = [box_between((a, 0, c), (b, thick, d), wall, casts=False) for a, b, c, d in panels]
    parts += [box_between((a, -0.015, 0), (b, 0, 0.1), trim, casts=False) for a, b, c, d in panels if c == 0]
    if hole:
        a, b, c, d = hole
        frame = [(a - 0.07, a + 0.01, c, d + 0.07), (b - 0.01, b + 0.07, c, d + 0.07),
                 (a, b, d - 0.01, d + 0.07)]
        if what == "window":
            bar = (a + b) / 2
            frame += [(a - 0.1, b + 0.1, c - 0.05, c + 0.01), (bar - 0.02, bar + 0.02, c, d)]
        parts += [box_between((p, -0.03, r), (q, thick, s), trim, casts=False) for p, q, r, s in frame]
    return parts, hole


def beyond(rng, what, gap, hole, height):
    """What is seen through the opening, `gap` metres behind it: daylight and blinds, or another lit room."""
    if what == "none":
        return []
    a, b, c, d = hole
    if what == "window":
        sky = tint(rng.choice([0.25, 0.58]), rng.uniform(0.05, 0.3), 1.0)
        view = Material(sky, rng.choice(["carpet", "plaster"]), (4.0, 4.0), glow=rng.uniform(1.5, 5.0))
        parts = [part("plane", ((a + b) / 2, gap, height / 2), (15, 4, 1), view, tilt=np.pi / 2, casts=False)]
        if rng.random() < 0.5:
            slat = Material(tint(0.1, 0.08, 0.85))
            for z in np.arange(d - 0.03, c + rng.choice([0.05, 0.5]), -0.06):
                half = (b - a) / 2, 0.02, 0.004
                parts.append(part("box", ((a + b) / 2, 0.03, z), half, slat, tilt=0.6, casts=False))
        cloth = fabric(rng)
        folds = np.concatenate([np.arange(a - 0.35, a, 0.07), np.arange(b, b + 0.35, 0.07)])
        for x in folds if rng.random() < 0.6 else []:
            half = 0.04, rng.uniform(0.03, 0.06), d / 2
            parts.append(part("cylinder", (x, -0.07, d / 2 + 0.08), half, cloth))
        return parts
    wall = wall_paint(rng)
    parts = [part("plane", (0, gap, height / 2), (15, 4, 1), wall, tilt=np.pi / 2, casts=False)]
    sides = a - 1.2, b + 1.3
    parts += [box_between((x - 0.1, 0.12, 0), (x, gap, height), wall, casts=False) for x in sides]
    builder = rng.choice([shelf, cabinet, plant, wardrobe])
    parts += place(builder(rng), ((a + b) / 2 + rng.uniform(-0.3, 0.3), gap, 0))
    return parts + place(picture(rng), (a - 0.3, gap, 1.6))


def opening_lights(rng, what, hole, gap, foot, yaw, height, low, high):
    """Daylight that enters by a window, or the lamp of the room behind a doorway."""
    if what == "none":
        return []
    a, b, c, d = hole
    turn = rotation(yaw).T
    if what == "window":
        centre = turn @ np.array([(a + b) / 2, -0.25, (c + d) / 2]) + foot
        extent = np.abs(turn @ np.array([(b - a) / 2, 0.02, (d - c) / 2]))
        return [Light(centre, extent, rng.uniform(1.5, 4.0) * np.array([0.92, 0.98, 1.08]), low, high)]
    near = turn @ np.array([-15.0, 0.05, -0.1]) + foot
    far = turn @ np.array([15.0, gap + 0.1, height + 0.1]) + foot
    centre = turn @ np.array([(a + b) / 2, gap / 2, height - 0.1]) + foot
    return [Light(centre, np.full(3, 0.05), rng.uniform(2.0, 5.0) * np.array([1, 0.93, 0.82]),
                  np.minimum(near, far), np.maximum(near, far))]


def picture(rng):
    w, h = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
    art = photo(rng, (2 * w, 2 * h))
    frame = rng.choice([dark(rng), wood(rng)])
    return [part("box", (0, -0.015, 0), (w + 0.03, 0.015, h + 0.03), frame, casts=False),
            part("box", (0, -0.024, 0), (w, 0.01, h), art, casts=False)]


def furnishings(rng, extent, what, hole, eye):
    """Furniture side by side along a wall, leaving a doorway free, and pictures above it."""
    parts, x = [], -extent / 2 + rng.uniform(0.1, 0.5)
    while x < extent / 2 - 0.5:
        builder = list(FURNITURE)[rng.integers(len(FURNITURE))]
        wide = FURNITURE[builder]
        tall = builder in (shelf, wardrobe)
        blocked = hole and x < hole[1] and x + wide > hole[0] and (what == "door" or tall)
        if blocked or x + wide > extent / 2:
            x += 0.25
            continue
        parts += clear_of(eye, place(builder(rng), (x + wide / 2, -0.04, 0), rng.normal(0, 0.03)))
        bare = not hole or x + wide < hole[0] - 0.3 or x > hole[1] + 0.3
        if bare and builder not in (shelf, wardrobe, plant, floor_lamp):
            parts += place(picture(rng), (x + wide * rng.uniform(0.3, 0.7), 0, rng.uniform(1.55, 1.9)))
        x += wide + rng.uniform(0.05, 0.3)
    return parts


def middle(rng, width, length, eye, yaw, height):
    """Rug, table and chairs, things near the camera that reach into the picture, and a hanging lamp."""
    ahead, aside = np.array([np.sin(yaw), np.cos(yaw), 0]), np.array([np.cos(yaw), -np.sin(yaw), 0])
    foot, turn = np.array([eye[0], eye[1], 0]), rng.uniform(-0.5, 0.5)
    spot = foot + ahead * rng.uniform(2.2, 3.2) + aside * rng.uniform(-0.8, 0.8)
    rug = box_between((-1.1, -0.8, 0), (1.1, 0.8, 0.012), fabric(rng), casts=False)
    parts = place([rug], spot, turn) + clear_of(eye, place(table(rng), spot, turn))
    for k in range(rng.integers(1, 4)):
        around = turn + k * np.pi / 2 + rng.normal(0, 0.3)
        at = spot + rotation(around).T @ np.array([0, 0.75, 0])
        parts += clear_of(eye, place(chair(rng), at, around))
    side = rng.choice([-1, 1])
    near = foot + ahead * rng.uniform(1.1, 1.5) + aside * side * rng.uniform(0.45, 0.8)
    builder = [table, chair, sofa, cabinet, plant][rng.integers(5)]
    parts += clear_of(eye, place(builder(rng), near, rng.uniform(0, 2 * np.pi)))
    other = foot + ahead * rng.uniform(1.6, 2.4) - aside * side * rng.uniform(0.7, 1.2)
    builder = [chair, cartons, floor_lamp, plant][rng.integers(4)]
    parts += clear_of(eye, place(builder(rng), other, rng.uniform(0, 2 * np.pi)))
    top = np.array([spot[0], spot[1], height])
    shade = Material(tint(0.12, 0.2, 0.98), glow=rng.uniform(0.8, 2.5))
    return parts + [part("cylinder", top - (0, 0, 0.25), (0.008, 0.008, 0.25), dark(rng), casts=False),
                    part("sphere", top - (0, 0, 0.55), (0.16, 0.16, 0.12), shade, casts=False)]
