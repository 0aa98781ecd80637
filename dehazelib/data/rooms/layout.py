"""Random rooms: walls, windows and doors, what lies beyond, where the furniture stands, lamps and camera."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from dehazelib.data.rooms.furniture import (
    FURNITURE,
    box_between,
    cabinet,
    cartons,
    chair,
    floor_lamp,
    part,
    picture,
    place,
    plant,
    shelf,
    sofa,
    table,
    wardrobe,
)
from dehazelib.data.rooms.geometry import Camera, Solid, rotation
from dehazelib.data.rooms.materials import dark, fabric, ground, tint, wall_paint
from dehazelib.data.rooms.shading import Light, Scene
from dehazelib.data.rooms.textures import Material

FOCAL = 1.08  # in image heights: the 519 px at 480 rows of the camera behind NYU Depth v2


class Opening(NamedTuple):
    """A hole in a wall, in metres: from left to right along the wall, from bottom to top."""

    left: float
    right: float
    bottom: float
    top: float


class Side(NamedTuple):
    """A wall: the middle of its foot, its direction (radians), its length (metres)."""

    name: str
    foot: tuple[float, float, float]
    yaw: float
    extent: float


def furnish(rng: Generator) -> Scene:
    """A random room."""
    width, length, height = rng.uniform(3.2, 5.5), rng.uniform(4.2, 6.8), rng.uniform(2.4, 2.8)
    sides = [Side("far", (width / 2, length, 0), 0.0, width), Side("left", (0, length / 2, 0), np.pi / 2, length),
             Side("right", (width, length / 2, 0), -np.pi / 2, length)]
    kinds = rng.permutation([rng.choice(["door", "window"]), "window", "none"])
    openings = {side.name: kind for side, kind in zip(sides, kinds)}
    gaps = {name: rng.uniform(1.6, 3.2) if kind == "door" else 0.9 for name, kind in openings.items()}
    wall = wall_paint(rng)
    parts = shell(width, length, height, wall, ground(rng))
    low, high = np.array([-0.05, -0.6, -0.1]), np.array([width + 0.05, length + 0.05, height + 0.1])
    middle_of_ceiling = np.array([width / 2, length * 0.45, height - 0.06])
    lights = [Light(middle_of_ceiling, np.array([width * 0.3, length * 0.25, 0.01]),
                    rng.uniform(1.0, 2.0) * np.array([1, 0.96, 0.9]), low, high)]
    eye = np.array([width * rng.uniform(0.3, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(1.15, 1.6)])
    for side in sides:
        kind, gap = openings[side.name], gaps[side.name]
        accent = wall if rng.random() < 0.75 else wall_paint(rng)
        here, hole = side_wall(rng, kind, side.extent, height, accent)
        here += beyond(rng, kind, gap, hole, height)
        here += furnishings(rng, side.extent, kind, hole, rotation(side.yaw) @ (eye - side.foot))
        parts += place(here, side.foot, side.yaw)
        lights += opening_lights(rng, kind, hole, gap, side, height, low, high)
    aim = np.array([width * rng.uniform(0.1, 0.9), length, 0]) - eye
    yaw = np.arctan2(aim[0], aim[1])
    parts += middle(rng, eye, yaw, height)
    camera = Camera(eye, yaw, rng.uniform(-0.26, -0.08), FOCAL)
    ambient = rng.uniform(0.25, 0.5) * (0.6 + 0.4 * np.array(wall.colour) / max(wall.colour))
    room = np.array([width, length, height], np.float32)

    def openness(points: np.ndarray) -> np.ndarray:  # darker near walls, floor and ceiling
        gap = np.minimum(np.abs(points), np.abs(points - room[:, None]))
        return (1 - 0.35 * np.exp(-gap / 0.25)).prod(0)

    return Scene(parts, lights, ambient, openness, camera)


def shell(width: float, length: float, height: float, wall: Material, floor: Material) -> list[Solid]:
    """Floor, ceiling and the wall behind the camera; they reach far beyond the room and close the scene."""
    white = Material(tint(0.1, 0.05, 0.9), "plaster")
    return [part("plane", (width / 2, length / 2, 0), (20, 20, 1), floor, casts=False),
            part("plane", (width / 2, length / 2, height), (20, 20, 1), white, casts=False),
            part("plane", (width / 2, -0.5, height / 2), (20, 20, 1), wall, tilt=np.pi / 2, casts=False)]


def clear_of(eye: np.ndarray, parts: list[Solid]) -> list[Solid]:
    """The parts of one piece of furniture, or none of them when it is nearer than 0.5 m to the eye (3,)."""
    gaps = [np.abs(one.axes @ (eye - one.centre)) - one.half for one in parts]
    return parts if min(np.linalg.norm(np.maximum(gap, 0)) for gap in gaps) > 0.5 else []


def side_wall(rng: Generator, kind: str, extent: float, height: float,
              wall: Material) -> tuple[list[Solid], Opening | None]:
    """Parts of a wall, foot at the origin, and its opening, if any. kind: door, window or none."""
    left, right, thick = -extent / 2 - 0.1, extent / 2 + 0.1, 0.12
    trim = Material(tint(0.1, 0.05, rng.choice([0.35, 0.9])))
    if kind == "none":
        hole, panels = None, [(left, right, 0, height)]
    else:
        wide = rng.uniform(0.9, 1.5) if kind == "door" else rng.uniform(1.0, 1.9)
        centre = rng.uniform(-0.3, 0.3) * (extent - wide)
        bottom = 0.0 if kind == "door" else rng.uniform(0.8, 1.0)
        top = rng.uniform(2.0, 2.25)
        hole = Opening(centre - wide / 2, centre + wide / 2, bottom, top)
        panels = [(left, hole.left, 0, height), (hole.right, right, 0, height), (hole.left, hole.right, top, height)]
        panels += [(hole.left, hole.right, 0, bottom)] if bottom else []
    parts = [box_between((a, 0, c), (b, thick, d), wall, casts=False) for a, b, c, d in panels]
    parts += [box_between((a, -0.015, 0), (b, 0, 0.1), trim, casts=False) for a, b, c, d in panels if c == 0]
    if hole:
        a, b, c, d = hole
        frame = [(a - 0.07, a + 0.01, c, d + 0.07), (b - 0.01, b + 0.07, c, d + 0.07),
                 (a, b, d - 0.01, d + 0.07)]
        if kind == "window":
            bar = (a + b) / 2
            frame += [(a - 0.1, b + 0.1, c - 0.05, c + 0.01), (bar - 0.02, bar + 0.02, c, d)]
        parts += [box_between((p, -0.03, r), (q, thick, s), trim, casts=False) for p, q, r, s in frame]
    return parts, hole


def beyond(rng: Generator, kind: str, gap: float, hole: Opening | None, height: float) -> list[Solid]:
    """What is seen through the opening, `gap` metres behind it: daylight and blinds, or another lit room."""
    if kind == "none":
        return []
    a, b, c, d = hole
    if kind == "window":
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


def opening_lights(rng: Generator, kind: str, hole: Opening | None, gap: float, side: Side, height: float,
                   low: np.ndarray, high: np.ndarray) -> list[Light]:
    """Daylight that enters by a window, or the lamp of the room behind a doorway."""
    if kind == "none":
        return []
    a, b, c, d = hole
    turn, foot = rotation(side.yaw).T, side.foot
    if kind == "window":
        centre = turn @ np.array([(a + b) / 2, -0.25, (c + d) / 2]) + foot
        extent = np.abs(turn @ np.array([(b - a) / 2, 0.02, (d - c) / 2]))
        return [Light(centre, extent, rng.uniform(1.5, 4.0) * np.array([0.92, 0.98, 1.08]), low, high)]
    near = turn @ np.array([-15.0, 0.05, -0.1]) + foot
    far = turn @ np.array([15.0, gap + 0.1, height + 0.1]) + foot
    centre = turn @ np.array([(a + b) / 2, gap / 2, height - 0.1]) + foot
    return [Light(centre, np.full(3, 0.05), rng.uniform(2.0, 5.0) * np.array([1, 0.93, 0.82]),
                  np.minimum(near, far), np.maximum(near, far))]


def furnishings(rng: Generator, extent: float, kind: str, hole: Opening | None, eye: np.ndarray) -> list[Solid]:
    """Furniture side by side along a wall, leaving a doorway free, and pictures above it."""
    parts, x = [], -extent / 2 + rng.uniform(0.1, 0.5)
    while x < extent / 2 - 0.5:
        builder = list(FURNITURE)[rng.integers(len(FURNITURE))]
        wide = FURNITURE[builder]
        tall = builder in (shelf, wardrobe)
        blocked = hole and x < hole.right and x + wide > hole.left and (kind == "door" or tall)
        if blocked or x + wide > extent / 2:
            x += 0.25
            continue
        parts += clear_of(eye, place(builder(rng), (x + wide / 2, -0.04, 0), rng.normal(0, 0.03)))
        bare = not hole or x + wide < hole.left - 0.3 or x > hole.right + 0.3
        if bare and builder not in (shelf, wardrobe, plant, floor_lamp):
            parts += place(picture(rng), (x + wide * rng.uniform(0.3, 0.7), 0, rng.uniform(1.55, 1.9)))
        x += wide + rng.uniform(0.05, 0.3)
    return parts


def middle(rng: Generator, eye: np.ndarray, yaw: float, height: float) -> list[Solid]:
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
