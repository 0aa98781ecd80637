"""Ray casting: solids, the camera and the exact depth of what it sees.

Axes are metres: x right, y into the room, z up. Every solid is a unit shape (plane, box, cylinder, sphere)
moved by one scale, rotation and translation, so each is intersected in its own coordinates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dehazelib.data.rooms.textures import Material

CORNERS = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8)  # of the unit box
Size = tuple[int, int]  # height, width in pixels
NEAR = 1e-3  # metres: a ray never hits the surface it starts from


@dataclass(frozen=True)
class Solid:
    """A unit shape scaled by `half` (3,), tilted about x, turned about z by `yaw` (radians), moved to `centre`.

    plane: |x|, |y| <= 1, z = 0; box: |x|, |y|, |z| <= 1; cylinder: radius 1, |z| <= 1; sphere: radius 1.
    """

    shape: str
    centre: np.ndarray
    half: np.ndarray
    material: Material = Material()
    yaw: float = 0.0
    tilt: float = 0.0
    casts: bool = True  # throws a shadow

    @cached_property
    def axes(self) -> np.ndarray:
        """The solid's x, y and z (3, 3), rows."""
        return rotation(self.yaw, self.tilt)

    @cached_property
    def radius(self) -> float:
        """Of the ball around the box that holds the solid, metres."""
        return float(np.linalg.norm(self.half))

    @cached_property
    def to_unit(self) -> np.ndarray:
        """Matrix from directions of the world to those of the unit shape."""
        return (self.axes / np.asarray(self.half)[:, None]).astype(np.float32)  # (3, 3)


@dataclass(frozen=True)
class Camera:
    """A pinhole at `position`, turned `yaw` right and `pitch` upwards (radians); focal in image heights."""

    position: np.ndarray
    yaw: float
    pitch: float
    focal: float

    @cached_property
    def axes(self) -> np.ndarray:
        """Right, forward and up (3, 3), rows."""
        return rotation(-self.yaw, self.pitch)

    def rays(self, size: Size) -> np.ndarray:
        """Ray directions (3, h, w) float32, one metre long along the optical axis, so distance = depth."""
        height, width = size
        right, forward, up = self.axes
        u = (np.arange(width) + 0.5 - width / 2) / (self.focal * height)
        v = (height / 2 - np.arange(height) - 0.5) / (self.focal * height)
        grid = forward[:, None, None] + right[:, None, None] * u + up[:, None, None] * v[:, None]
        return grid.astype(np.float32)

    def window(self, solid: Solid, size: Size) -> tuple[slice, slice] | None:
        """Rows and columns (slices) of an image of `size` that can see the solid; None when it is behind."""
        corners = solid.axes.T @ (CORNERS * np.asarray(solid.half)[:, None])  # (3, 8)
        corners += (solid.centre - self.position)[:, None]
        x, depth, z = self.axes @ corners
        if depth.max() < 0.01:
            return None
        if depth.min() < 0.01:
            return slice(0, size[0]), slice(0, size[1])
        scale = self.focal * size[0]
        columns, rows = size[1] / 2 + scale * x / depth, size[0] / 2 - scale * z / depth
        spans = (rows, size[0]), (columns, size[1])
        edges = [(max(int(p.min()) - 1, 0), min(int(p.max()) + 2, n)) for p, n in spans]
        if any(first >= last for first, last in edges):
            return None
        return tuple(slice(first, last) for first, last in edges)


def rotation(yaw: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """Axes (3, 3), rows: tilted about x, then turned about z (radians, anticlockwise from above)."""
    (cx, cz), (sx, sz) = np.cos([tilt, yaw]), np.sin([tilt, yaw])
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return about_x @ about_z


def transform(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """matrix (k, 3) times vectors (3, n); without BLAS, so that the order of the sum is fixed."""
    total = matrix[:, :1] * vectors[0]
    for axis in (1, 2):
        total += matrix[:, axis, None] * vectors[axis]
    return total


def distance(solid: Solid, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distance (...,) along each ray to the solid, in lengths of its direction; inf where it is missed.

    origin (3,) metres, directions (3, ...). A ray that starts inside meets the far side.
    Source: the slab method and the quadratic of a unit sphere; a convex shape is an interval of its ray.
    """
    shape = directions.shape
    directions = transform(solid.to_unit, directions.reshape(3, -1)).reshape(shape)
    directions += np.float32(1e-9)  # nothing is divided by zero
    origin = solid.to_unit @ np.asarray(origin - solid.centre, np.float32)
    origin = origin.reshape((3,) + (1,) * (len(shape) - 1))
    if solid.shape == "plane":
        t = -origin[2] / directions[2]
        inside = (np.abs(origin[:2] + t * directions[:2]) <= 1).all(0)
        return np.where(inside & (t > NEAR), t, np.float32(np.inf))
    near, far = _interval(solid.shape, origin, directions)
    t = np.where(near > NEAR, near, far)
    return np.where((near <= far) & (t > NEAR), t, np.float32(np.inf))


def _interval(shape: str, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit distances of rays and a unit shape; entry > exit means a miss."""
    round_axes = {"box": 0, "cylinder": 2, "sphere": 3}[shape]
    near, far = np.float32(-np.inf), np.float32(np.inf)
    if round_axes < 3:  # slabs
        inverse = 1 / directions[round_axes:]
        middle, reach = -origin[round_axes:] * inverse, np.abs(inverse)
        near, far = (middle - reach).max(0), (middle + reach).min(0)
    if round_axes:
        o, d = origin[:round_axes], directions[:round_axes]
        a, b = (d * d).sum(0), (o * d).sum(0)
        nearest = -b / a
        closest = o + d * nearest  # the ray's point nearest the axis: no cancellation far away
        square = (1 - (closest * closest).sum(0)) / a
        root = np.sqrt(np.maximum(square, 0))
        near, far = np.maximum(near, nearest - root), np.minimum(far, nearest + root)
        near = np.where(square < 0, np.float32(np.inf), near)
    return near, far


def cast(solids: list[Solid], camera: Camera, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Depth (h, w) float32 in metres along the optical axis, and index (h, w) int16 of the solid seen.

    Raises ValueError when a ray meets nothing: a scene must be closed.
    """
    rays = camera.rays(size)
    depth, seen = np.full(size, np.inf, np.float32), np.full(size, -1, np.int16)
    for index, solid in enumerate(solids):
        window = camera.window(solid, size)
        if window is None:
            continue
        t = distance(solid, camera.position, rays[(slice(None), *window)])
        nearer = t < depth[window]
        depth[window][nearer] = t[nearer]
        seen[window][nearer] = index
    if (seen < 0).any():
        missed = int((seen < 0).sum())
        raise ValueError(f"{missed} rays meet no solid: close the room with planes on every side")
    return depth, seen
