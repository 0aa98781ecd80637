"""Light on solids in NumPy: lamps with soft shadows, highlights, and anti-aliased colour."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dehazelib.data.rooms.geometry import NEAR, Camera, Size, Solid, cast, distance, transform
from dehazelib.data.rooms.textures import sample_texture

MARGIN = 0.01  # metres added to solids before they are ruled out: rounding must not decide about a shadow


@dataclass(frozen=True)
class Light:
    """A box-shaped lamp; it lights the points between `low` and `high` (3,), the space it hangs in."""

    centre: np.ndarray
    extent: np.ndarray  # half sizes in metres: larger gives softer shadows
    power: np.ndarray  # RGB
    low: np.ndarray
    high: np.ndarray

    def reaches(self, solid: Solid) -> bool:
        """False when the solid lies outside the space of the lamp, so that its shadow cannot be seen."""
        gap = np.maximum(np.maximum(self.low - solid.centre, solid.centre - self.high), 0)
        return np.linalg.norm(gap) < solid.radius + MARGIN


@dataclass(frozen=True)
class Scene:
    """All that a picture is made of."""

    solids: list[Solid]
    lights: list[Light]
    ambient: np.ndarray  # RGB, light from everywhere
    openness: Callable[[np.ndarray], np.ndarray]  # points (3, n) -> (n,) in [0, 1]: how much of it reaches them
    camera: Camera


def _surface(solid: Solid, points: np.ndarray, toward: np.ndarray,
             footprint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (3, n) facing the viewer, and reflectance (n, 3), at `points` (3, n) on the solid."""
    half = np.asarray(solid.half, np.float32)
    centre = np.asarray(solid.centre, np.float32)[:, None]
    local = transform(solid.to_unit, points - centre)  # (3, n), coordinates of the unit shape
    curved = np.full(points.shape[1], solid.shape == "sphere")
    if solid.shape == "box":
        face = np.abs(local).argmax(0)  # the axis the texture is projected along
    elif solid.shape == "cylinder":
        curved = np.abs(local[2]) < np.hypot(local[0], local[1])
        face = np.where(curved, 3, 2)  # 3: wrapped around z
    else:
        face = np.full(points.shape[1], 2 if solid.shape == "plane" else half.argmin())
    around = np.arctan2(local[1], local[0]) * half[0]
    metres = local * half[:, None]
    u = np.choose(face, [metres[1], metres[0], metres[0], around])
    v = np.choose(face, [metres[2], metres[2], metres[1], metres[2]])
    round_normal = local * np.array([[1], [1], [solid.shape == "sphere"]], np.float32)
    flat_normal = np.where(np.arange(3)[:, None] == face, np.where(local < 0, -1, 1), 0)
    across = np.where(curved, round_normal, flat_normal) / half[:, None]
    normal = transform(solid.axes.T.astype(np.float32), across)
    normal /= np.linalg.norm(normal, axis=0)
    slope = (normal * toward).sum(0)
    normal *= np.where(slope < 0, -1, 1)
    stretch = footprint / np.maximum(np.abs(slope), 0.25)
    colour = np.asarray(solid.material.colour, np.float32)
    return normal, sample_texture(solid.material, u, v, stretch) * colour


def _surfaces(solids: list[Solid], seen: np.ndarray, points: np.ndarray, toward: np.ndarray,
              footprint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (3, n) and reflectance (n, 3) at `points` (3, n), each on the solid of index `seen` (n,)."""
    normal, albedo = np.empty_like(points), np.empty((len(seen), 3), np.float32)
    order = np.argsort(seen, kind="stable")
    shown, first = np.unique(seen[order], return_index=True)
    for index, pixels in zip(shown, np.split(order, first[1:])):
        surface = _surface(solids[index], points[:, pixels], toward[:, pixels], footprint[pixels])
        normal[:, pixels], albedo[pixels] = surface
    return normal, albedo


def _visible(solids: list[Solid], points: np.ndarray, source: np.ndarray) -> np.ndarray:
    """True (n,) where no solid stands between `points` (3, n) and the point `source` (3,)."""
    path = points - np.asarray(source, np.float32)[:, None]  # (3, n)
    along = path / np.sqrt((path * path).sum(0))
    clear = np.ones(points.shape[1], bool)
    to = np.array([solid.centre - source for solid in solids], np.float32).reshape(-1, 3)  # (k, 3)
    radius = np.array([solid.radius + MARGIN for solid in solids], np.float32)
    tangent = (to * to).sum(1) - radius * radius
    cone = np.where(tangent > 0, np.sqrt(np.abs(tangent)), -np.inf).astype(np.float32)
    near = to @ along > cone[:, None]  # (k, n): the ball around a solid is a cone of rays from the source
    for solid, inside in zip(solids, near):
        rays = np.flatnonzero(inside & clear)
        if len(rays):
            clear[rays] = distance(solid, source, path[:, rays]) >= 1 - 1e-3
    return clear


def _same_solid_mean(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean of `values` (h, w) over each pixel's 4x4 neighbours on the same solid."""
    padded, labels = np.pad(values, 2, mode="edge"), np.pad(seen, 2, constant_values=-1)
    (height, width), total, count = values.shape, 0, 0
    for dy in range(4):
        for dx in range(4):
            window = slice(dy, dy + height), slice(dx, dx + width)
            same = labels[window] == seen
            total, count = total + padded[window] * same, count + same
    return total / count


def _shadow(light: Light, solids: list[Solid], points: np.ndarray, lit: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Fraction (h, w) of the lamp each pixel sees: 16 lamp points shared out over 4x4 pixels, then averaged.

    Source: interleaved sampling, Keller and Heidrich, Eurographics Workshop on Rendering 2001.
    """
    height, width = seen.shape
    turn = np.arange(height)[:, None] % 4 * 4 + np.arange(width) % 4  # which lamp point a pixel asks
    turn = turn.ravel()
    visible = np.ones(height * width, np.float32)
    for k in range(16):
        spot = (np.array([k % 4, k // 4, (7 * k) % 16 / 4]) + 0.5) / 2 - 1  # in (-1, 1)
        rays = np.flatnonzero((turn == k) & lit)
        visible[rays] = _visible(solids, points[:, rays], light.centre + light.extent * spot)
    return _same_solid_mean(visible.reshape(height, width), seen)


def render(scene: Scene, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Linear colour (h, w, 3), 2x2 samples per pixel, and depth (h, w) in metres at pixel centres, float32."""
    solids, camera = scene.solids, scene.camera
    depth, _ = cast(solids, camera, size)
    fine = tuple(2 * n for n in size)
    far, seen = cast(solids, camera, fine)
    rays = camera.rays(fine).reshape(3, -1)
    points = np.asarray(camera.position, np.float32)[:, None] + rays * far.ravel()
    toward = -rays / np.linalg.norm(rays, axis=0)
    footprint = far.ravel() / np.float32(camera.focal * fine[0])
    normal, albedo = _surfaces(solids, seen.ravel(), points, toward, footprint)
    gloss = np.array([s.material.gloss for s in solids], np.float32)[seen.ravel()]
    glow = np.array([s.material.glow for s in solids], np.float32)[seen.ravel()]
    openness = scene.openness(points) * (0.7 + 0.3 * normal[2])
    colour = albedo * (openness[:, None] * np.asarray(scene.ambient, np.float32) + glow[:, None])
    for light in scene.lights:
        direct, highlight = _direct(light, points, normal, toward)
        casters = [solid for solid in solids if solid.casts and light.reaches(solid)]
        shadow = _shadow(light, casters, points + normal * 2 * NEAR, direct > 0.01, seen).ravel() * direct
        shine = (albedo + (gloss * highlight)[:, None]) * shadow[:, None]
        colour += shine * np.asarray(light.power, np.float32)
    height, width = size
    return colour.reshape(height, 2, width, 2, 3).mean((1, 3)), depth


def _direct(light: Light, points: np.ndarray, normal: np.ndarray,
            toward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unshadowed light (n,) with soft fall-off, and highlight (n,): Lambert; Blinn-Phong, exponent 40."""
    to = np.asarray(light.centre, np.float32)[:, None] - points
    square = (to * to).sum(0)
    to /= np.sqrt(square)
    inside = ((points > light.low[:, None]) & (points < light.high[:, None])).all(0)
    direct = inside * np.maximum((normal * to).sum(0), 0) / (1 + square / 4)
    middle = to + toward
    middle /= np.linalg.norm(middle, axis=0)
    return direct.astype(np.float32), np.maximum((normal * middle).sum(0), 0) ** 40
