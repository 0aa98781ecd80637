"""Furniture and clutter. Every builder returns a list of solids: its back at y = 0, its front towards -y.

Lengths are metres, angles radians. A piece stands on z = 0, in the middle of x = 0, before it is placed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from dehazelib.data.rooms.geometry import Solid, rotation
from dehazelib.data.rooms.materials import dark, fabric, hue, paint, photo, tint, wood
from dehazelib.data.rooms.textures import Material

Point = Sequence[float]  # x, y, z


def part(shape: str, centre: Point, half: Point, material: Material, yaw: float = 0.0, tilt: float = 0.0,
         casts: bool = True) -> Solid:
    return Solid(shape, np.array(centre, float), np.array(half, float), material, yaw, tilt, casts)


def place(parts: list[Solid], at: Point, yaw: float = 0.0) -> list[Solid]:
    """The same parts, turned by `yaw` about the vertical and moved to `at`."""
    turn = rotation(yaw).T
    return [replace(one, centre=turn @ one.centre + np.array(at, float), yaw=one.yaw + yaw) for one in parts]


def box_between(low: Point, high: Point, material: Material, casts: bool = True) -> Solid:
    """The box with the opposite corners `low` and `high`, at least 4 mm thick."""
    low, high = np.array(low, float), np.array(high, float)
    return part("box", (low + high) / 2, np.maximum((high - low) / 2, 0.002), material, casts=casts)


def legs(width: float, depth: float, height: float, material: Material, radius: float = 0.025,
         shape: str = "box") -> list[Solid]:
    spots = [(sx * (width / 2 - radius), y) for sx in (-1, 1) for y in (-radius, radius - depth)]
    return [part(shape, (x, y, height / 2), (radius, radius, height / 2), material) for x, y in spots]


def lamp(rng: Generator, height: float = 0.5) -> list[Solid]:
    glow = Material(tint(0.1, 0.3, 0.95), "weave", (0.3, 0.3), glow=rng.uniform(0.3, 1.3))
    shade = rng.uniform(0.1, 0.17)
    metal = dark(rng)
    return [part("cylinder", (0, 0, 0.015), (0.1, 0.1, 0.015), metal),
            part("cylinder", (0, 0, height / 2), (0.012, 0.012, height / 2), metal),
            part("cylinder", (0, 0, height), (shade, shade, shade * 0.8), glow, casts=False)]


def books(rng: Generator, width: float, height: float, depth: float) -> list[Solid]:
    parts, x = [], -width / 2
    while x < width / 2 - 0.05:
        thick, tall = rng.uniform(0.015, 0.06), height * rng.uniform(0.6, 0.95)
        if rng.random() < 0.8:
            low, high = (x, -depth * rng.uniform(0.6, 0.95), 0), (x + thick, -0.02, tall)
            parts.append(box_between(low, high, paint(rng), casts=False))
        x += thick
    return parts


def clutter(rng: Generator, width: float, depth: float, count: int) -> list[Solid]:
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


def table(rng: Generator, width: float | None = None, depth: float | None = None,
          height: float | None = None) -> list[Solid]:
    width, depth = width or rng.uniform(0.9, 1.6), depth or rng.uniform(0.5, 0.8)
    height, top = height or rng.choice([0.45, 0.74]), wood(rng)
    parts = [box_between((-width / 2, -depth, height - 0.035), (width / 2, 0, height), top)]
    foot, shape = rng.choice([top, dark(rng)]), rng.choice(["box", "cylinder"])
    parts += legs(width, depth, height - 0.035, foot, shape=shape)
    things = clutter(rng, width * 0.85, depth * 0.8, rng.integers(4, 8))
    return parts + place(things, (0, -0.1 * depth, height))


def chair(rng: Generator) -> list[Solid]:
    seat, frame = rng.choice([fabric(rng), wood(rng)]), rng.choice([wood(rng), dark(rng)])
    high, step = rng.uniform(0.85, 1.05), rng.choice([0.12, 0.5])  # slats, or one panel
    parts = legs(0.44, 0.44, 0.44, frame, 0.02) + [box_between((-0.22, -0.44, 0.43), (0.22, 0, 0.48), seat)]
    parts += [box_between((sx - 0.02, -0.04, 0.45), (sx + 0.02, 0, high), frame) for sx in (-0.2, 0.2)]
    board = 0.06 if step < 0.2 else 0.4
    slats = np.arange(0.58, high, step)
    return parts + [box_between((-0.19, -0.035, z), (0.19, -0.01, min(z + board, high)), seat)
                    for z in slats]


def shelf(rng: Generator) -> list[Solid]:
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


def cabinet(rng: Generator) -> list[Solid]:
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


def television(rng: Generator) -> list[Solid]:
    w, h = rng.uniform(0.25, 0.42), rng.uniform(0.17, 0.25)
    screen = photo(rng, (2 * w, 2 * h), rng.choice([0.0, 0.7])) if rng.random() < 0.6 else dark(rng)
    return [part("box", (0, 0, h + 0.08), (w, 0.03, h), dark(rng)),
            part("box", (0, 0, 0.05), (0.12, 0.08, 0.05), dark(rng)),
            part("box", (0, -0.025, h + 0.08), (w - 0.02, 0.01, h - 0.02), screen, casts=False)]


def cushions(rng: Generator, width: float, count: int) -> list[Solid]:
    parts = []
    for x in rng.uniform(-width / 2, width / 2, count):
        cover, s = rng.choice([fabric(rng), photo(rng, (0.4, 0.4))]), rng.uniform(0.17, 0.24)
        parts.append(part("box", (x, 0, s), (s, 0.05, s), cover, rng.normal(0, 0.3), -0.35))
        swell = s * 0.95, 0.11, s * 0.95
        parts.append(part("sphere", (x, -0.03, s), swell, cover, rng.normal(0, 0.1), -0.35))
    return parts


def bed(rng: Generator) -> list[Solid]:
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


def sofa(rng: Generator) -> list[Solid]:
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


def plant(rng: Generator) -> list[Solid]:
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


def wardrobe(rng: Generator) -> list[Solid]:
    width, height, front = rng.uniform(0.8, 1.3), rng.uniform(1.8, 2.2), wood(rng)
    parts = [box_between((-width / 2, -0.55, 0), (width / 2, 0, height), rng.choice([front, wood(rng)]))]
    for sx in (-1, 1):
        door, handle = (width / 4 - 0.01, 0.012, height / 2 - 0.05), (0.01, 0.01, 0.09)
        parts += [part("box", (sx * width / 4, -0.56, height / 2), door, front, casts=False),
                  part("cylinder", (sx * 0.05, -0.59, height / 2), handle, dark(rng), casts=False)]
    return parts + place(cartons(rng), (0, -0.1, height))


def cartons(rng: Generator) -> list[Solid]:
    parts, z = [], 0.0
    for _ in range(rng.integers(1, 4)):
        half = rng.uniform((0.12, 0.1, 0.08), (0.22, 0.18, 0.16))
        cover = rng.choice([photo(rng, 2 * half[[0, 2]]), wood(rng, "carpet"), paint(rng)])
        parts.append(part("box", (rng.normal(0, 0.03), -0.25, z + half[2]), half, cover, rng.normal(0, 0.3)))
        z += 2 * half[2]
    return parts


def floor_lamp(rng: Generator) -> list[Solid]:
    return place(lamp(rng, rng.uniform(1.3, 1.6)), (0, -0.25, 0))


def picture(rng: Generator) -> list[Solid]:
    w, h = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
    art = photo(rng, (2 * w, 2 * h))
    frame = rng.choice([dark(rng), wood(rng)])
    return [part("box", (0, -0.015, 0), (w + 0.03, 0.015, h + 0.03), frame, casts=False),
            part("box", (0, -0.024, 0), (w, 0.01, h), art, casts=False)]


def desk(rng: Generator) -> list[Solid]:
    parts = table(rng, rng.uniform(1.1, 1.5), 0.65, 0.74) + place(television(rng), (0, -0.25, 0.74))
    return parts + place(chair(rng), (rng.uniform(-0.2, 0.2), -0.95, 0), np.pi + rng.normal(0, 0.4))


FURNITURE = {shelf: 1.1, cabinet: 1.2, bed: 1.9, sofa: 1.9, plant: 0.6, wardrobe: 1.2, cartons: 0.5,
             floor_lamp: 0.5, desk: 1.5, chair: 0.6}  # builder: metres of wall it takes
