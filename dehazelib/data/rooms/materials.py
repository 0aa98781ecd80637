"""Random materials of a room. Every function draws from `rng` and returns a `Material`, or its colour."""

from colorsys import hsv_to_rgb

import numpy as np
from numpy.random import Generator

from dehazelib.data.rooms.textures import PHOTOS, RELIEFS, Material


def tint(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Linear RGB of a colour given as hue, saturation and value of the finished picture, all in [0, 1]."""
    return tuple(c**2.2 for c in hsv_to_rgb(hue % 1, np.clip(saturation, 0, 1), np.clip(value, 0, 1)))


def hue(rng: Generator) -> float:
    """Rooms are mostly brown, red and beige, sometimes blue, seldom anything else."""
    kind = rng.choice(3, p=[0.55, 0.25, 0.2])
    return [rng.normal(0.06, 0.05), rng.normal(0.58, 0.06), rng.random()][kind]


def wall_paint(rng: Generator) -> Material:
    saturation = rng.choice([0.08, 0.2, 0.45], p=[0.45, 0.35, 0.2]) * rng.uniform(0.6, 1.2)
    hue = rng.choice([0.09, 0.12, 0.05, 0.25, 0.5, 0.58, 0.95], p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05])
    return Material(tint(hue + rng.normal(0, 0.02), saturation, rng.uniform(0.6, 0.9)), "plaster", (1.7, 1.7))


def wood(rng: Generator, texture: str = "wood") -> Material:
    value = rng.choice([0.25, 0.42, 0.62, 0.78]) * rng.uniform(0.9, 1.1)
    size = rng.uniform(0.5, 1.1)
    colour = tint(rng.uniform(0.04, 0.1), rng.uniform(0.35, 0.75), value)
    return Material(colour, texture, (size, size), tuple(rng.random(2)), gloss=rng.choice([0.0, 0.15, 0.4]))


def paint(rng: Generator) -> Material:
    colour = tint(hue(rng), rng.choice([0.1, 0.4, 0.7]), rng.uniform(0.25, 0.9))
    return Material(colour, rng.choice(["flat", "plaster"]), gloss=rng.choice([0.0, 0.3]))


def dark(rng: Generator) -> Material:
    return Material(tint(rng.random(), 0.15, rng.uniform(0.08, 0.25)), "plaster", gloss=0.3)


def fabric(rng: Generator) -> Material:
    texture = rng.choice(["carpet", "weave", "stripes", "checks", "spots", *RELIEFS])
    size = {"stripes": 0.5, "checks": 0.4, "spots": 0.7, "weave": 0.35}.get(texture, 0.6)
    size *= rng.uniform(0.7, 1.5)
    colour = tint(hue(rng), rng.choice([0.08, 0.3, 0.6]), rng.uniform(0.25, 0.85))
    return Material(colour, texture, (size, size), tuple(rng.random(2)))


def photo(rng: Generator, size: tuple[float, float], glow: float = 0.0) -> Material:
    """A photograph shown once over `size` metres, or an enlarged part of it."""
    zoom = 2 * rng.uniform(1, 1.8)
    tile = zoom * size[0], zoom * size[1]
    return Material((0.9, 0.9, 0.9), rng.choice(PHOTOS), tile, (0.25, 0.25), 0.1, glow)


def ground(rng: Generator) -> Material:
    kind = rng.choice(["planks", "carpet", "tiles"], p=[0.45, 0.35, 0.2])
    if kind == "planks":
        return Material(wood(rng).colour, kind, (1.3, 1.3), gloss=rng.uniform(0.05, 0.4))
    colour = tint(rng.uniform(0.02, 0.14), rng.uniform(0.1, 0.45), rng.uniform(0.35, 0.8))
    size = (1.6, 1.6) if kind == "tiles" else (0.8, 0.8)
    return Material(colour, kind, size, gloss=0.3 * (kind == "tiles"))
