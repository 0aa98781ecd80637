"""Ray casting of textured, lit solids in NumPy: exact depth and anti-aliased colour for `rooms`.

Axes are metres: x right, y into the room, z up. Every solid is a unit shape (plane, box, cylinder, sphere)
moved by one scale, rotation and translation, so each is intersected in its own coordinates.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import skimage.data
from scipy.ndimage import gaussian_filter

SHAPES = ("plane", "box", "cylinder", "sphere")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina",
          "moon", "camera", "coins", "clock", "page")  # all of them ship inside the scikit-image wheel
RELIEFS = ("brick", "grass", "gravel")  # grey photographs of surfaces: only their relative brightness is used
PATTERNS = ("flat", "plaster", "wood", "planks", "carpet", "weave", "stripes", "checks", "tiles", "spots")
NEAR = 1e-3  # metres: a ray never hits the surface it starts from


@dataclass(frozen=True)
class Material:
    """What a surface looks like; colour is linear reflectance in [0, 1], multiplied by the texture."""

    colour: tuple = (0.5, 0.5, 0.5)
    texture: str = "flat"
    tile: tuple = (1.0, 1.0)  # metres covered by one repeat of the texture
    offset: tuple = (0.5, 0.5)  # fraction of a repeat
    gloss: float = 0.0  # strength of the highlight
    glow: float = 0.0  # light given off, in units of reflected white


@dataclass(frozen=True)
class Solid:
    """A unit shape scaled by `half` (3,), rotated by `axes` (3, 3; rows: its x, y, z), moved to `centre`.

    plane: |x|, |y| <= 1, z = 0; box: |x|, |y|, |z| <= 1; cylinder: radius 1, |z| <= 1; sphere: radius 1.
    """

    shape: str
    centre: np.ndarray
    half: np.ndarray
    axes: np.ndarray
    material: Material = Material()
    casts: bool = True  # throws a shadow

    def __post_init__(self):
        if self.shape not in SHAPES:
            raise ValueError(f"unknown shape {self.shape!r}: use one of {', '.join(SHAPES)}")
        if not np.all(np.asarray(self.half) > 0):
            raise ValueError(f"half sizes of a {self.shape} must be positive metres, got {self.half}")

    @cached_property
    def to_unit(self):
        """Matrix from directions of the world to those of the unit shape."""
        return (self.axes / np.asarray(self.half)[:, None]).astype(np.float32)  # (3, 3)


@dataclass(frozen=True)
class Light:
    """A box-shaped lamp; it lights the points between `low` and `high` (3,), the space it hangs in."""

    centre: np.ndarray
    extent: np.ndarray  # half sizes in metres: larger gives softer shadows
    power: np.ndarray  # RGB
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Camera:
    """A pinhole at `position`, turned `yaw` right and `pitch` upwards (radians); focal in image heights."""

    position: np.ndarray
    yaw: float
    pitch: float
    focal: float

    def rays(self, size):
        """Ray directions (3, h, w) float32, one metre long along the optical axis, so distance = depth."""
        height, width = size
        right, forward, up = rotation(-self.yaw, self.pitch)
        u = (np.arange(width) + 0.5 - width / 2) / (self.focal * height)
        v = (height / 2 - np.arange(height) - 0.5) / (self.focal * height)
        grid = forward[:, None, None] + right[:, None, None] * u + up[:, None, None] * v[:, None]
        return grid.astype(np.float32)

    def window(self, solid, size):
        """Rows and columns (slices) of an image of `size` that can see the solid; None when it is behind."""
        corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8) * np.asarray(solid.half)[:, None]
        corners = solid.axes.T @ corners + (solid.centre - self.position)[:, None]  # (3, 8)
        x, depth, z = rotation(-self.yaw, self.pitch) @ corners
        if depth.max() < 0.01:
            return None
        if depth.min() < 0.01:
            return slice(0, size[0]), slice(0, size[1])
        scale = self.focal * size[0]
        columns, rows = size[1] / 2 + scale * x / depth, size[0] / 2 - scale * z / depth
        spans = (rows, size[0]), (columns, size[1])
        edges = [(max(int(p.min()) - 1, 0), min(int(p.max()) + 2, n)) for p, n in spans]
        return tuple(slice(a, b) for a, b in edges) if all(a < b for a, b in edges) else None


def rotation(yaw=0.0, tilt=0.0, roll=0.0):
    """Axes (3, 3), rows: roll about y, tilt about x, then yaw about z (radians, anticlockwise from above)."""
    (cy, cx, cz), (sy, sx, sz) = np.cos([roll, tilt, yaw]), np.sin([roll, tilt, yaw])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def _turn(matrix, vectors):
    """matrix (k, 3) times vectors (3, n); one thread and no BLAS, so every worker keeps to its own core."""
    total = matrix[:, :1] * vectors[0]
    for axis in (1, 2):
        total += matrix[:, axis, None] * vectors[axis]
    return total


def distance(solid, origin, directions):
    """Distance (...,) along each ray to the solid, in lengths of its direction; inf where it is missed.

    origin (3,) metres, directions (3, ...). A ray that starts inside meets the far side.
    Source: the slab method and the quadratic of a unit sphere; a convex shape is an interval of its ray.
    """
    shape = directions.shape
    directions = _turn(solid.to_unit, directions.reshape(3, -1)).reshape(shape)
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


def _interval(shape, origin, directions):
    """Entry and exit distances of rays and a unit shape; entry > exit means a miss."""
    slabs = {"box": (0, 1, 2), "cylinder": (2,), "sphere": ()}[shape]
    round_axes = {"box": 0, "cylinder": 2, "sphere": 3}[shape]
    near, far = np.float32(-np.inf), np.float32(np.inf)
    for axis in slabs:
        inverse = 1 / directions[axis]
        middle, reach = -origin[axis] * inverse, np.abs(inverse)
        near, far = np.maximum(near, middle - reach), np.minimum(far, middle + reach)
    if round_axes:
        o, d = origin[:round_axes], directions[:round_axes]
        a, b = (d * d).sum(0), (o * d).sum(0)
        closest = o - d * (b / a)  # the ray's point nearest the axis: no cancellation far away
        square = (1 - (closest * closest).sum(0)) / a
        root = np.sqrt(np.maximum(square, 0))
        near, far = np.maximum(near, -b / a - root), np.minimum(far, -b / a + root)
        near = np.where(square < 0, np.float32(np.inf), near)
    return near, far


def cast(solids, camera, size):
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


@cache
def texture_pyramid(name):
    """The texture and its halvings, float32 (h, w, 3), tileable; linear light (photographs) or of mean 1."""
    if name in PHOTOS:
        image = np.atleast_3d(getattr(skimage.data, name)())[..., :3] / 255.0
        image = np.broadcast_to(image**2.2, (*image.shape[:2], 3))
        stride = max(1, image.shape[0] // 400)
        image = image[::stride, ::stride]
    else:
        grey = getattr(skimage.data, name)() / 255.0 if name in RELIEFS else _pattern(name)
        image = np.repeat((grey / grey.mean())[..., None], 3, 2)
    if name in PHOTOS or name in RELIEFS:
        image = np.concatenate([image, image[:, ::-1]], 1)  # mirrored, so that it repeats without a seam
        image = np.concatenate([image, image[::-1]], 0)
    levels = [np.ascontiguousarray(image, np.float32)]
    while min(levels[-1].shape[:2]) >= 8:
        last = levels[-1][: levels[-1].shape[0] // 2 * 2, : levels[-1].shape[1] // 2 * 2]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)
    return levels


def _pattern(name):
    rng = np.random.default_rng([PATTERNS.index(name), 256])
    y, x = np.mgrid[:256, :256] / 256.0

    def noise(*sigma):  # standard deviations along y and x, or one for both
        field = gaussian_filter(rng.standard_normal((256, 256)), (sigma * 2)[:2], mode="wrap")
        return field / field.std()

    def grain(shift):  # wood: rings stretched along x
        return np.sin(2 * np.pi * (3 * y + 0.25 * shift)) * 0.12 + 0.1 * noise(0.7, 14) + 0.08 * noise(3, 40)

    if name == "planks":
        row = np.floor(y * 8)
        shade = rng.uniform(0.75, 1.2, (8, 2))[row.astype(int), ((x + row * 0.37) % 1 > 0.5).astype(int)]
        joint = ((y * 8) % 1 < 0.06) | (((x + row * 0.37) % 0.5) < 0.006)
        return shade * (1 + grain(noise(4, 40))) * np.where(joint, 0.45, 1)
    return {
        "flat": lambda: np.ones((256, 256)),
        "plaster": lambda: 1 + 0.02 * noise(1.2) + 0.025 * noise(20),
        "wood": lambda: 1 + grain(noise(8, 60)),
        "carpet": lambda: 1 + 0.16 * noise(1) + 0.08 * noise(6) + 0.05 * noise(25),
        "weave": lambda: 1 + 0.2 * np.sign(np.sin(64 * np.pi * x) * np.sin(64 * np.pi * y)) + 0.1 * noise(2),
        "stripes": lambda: np.where((x * 6) % 1 < 0.4, 0.5, 1.2) + 0.05 * noise(1),
        "checks": lambda: 0.6 + 0.4 * ((x * 4) % 1 < 0.5) + 0.4 * ((y * 4) % 1 < 0.5) + 0.04 * noise(1),
        "tiles": lambda: np.where(((x * 4) % 1 < 0.05) | ((y * 4) % 1 < 0.05), 0.6, 1 + 0.05 * noise(9)),
        "spots": lambda: np.where(noise(7) > 0.7, 0.35, 1.15) + 0.08 * noise(1),
    }[name]()


def _sample(material, u, v, footprint):
    """Texture colour (n, 3), bilinear, at `u`, `v` (n,) metres; footprint (n,): metres between samples."""
    pyramid = texture_pyramid(material.texture)
    if material.texture == "flat":
        return np.ones((len(u), 3), np.float32)
    texels = footprint * pyramid[0].shape[1] / abs(material.tile[0])
    level = np.clip(np.log2(np.maximum(texels, 1e-6)), 0, len(pyramid) - 1).round().astype(np.int8)
    colour = np.empty((len(u), 3), np.float32)
    for n in np.unique(level):
        image, here = pyramid[n], level == n
        height, width = image.shape[:2]
        x = (u[here] / material.tile[0] + material.offset[0]) * width - 0.5
        y = (material.offset[1] - v[here] / material.tile[1]) * height - 0.5
        left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        rows, columns = (top % height, (top + 1) % height), (left % width, (left + 1) % width)
        upper = image[rows[0], columns[0]] * (1 - fx) + image[rows[0], columns[1]] * fx
        lower = image[rows[1], columns[0]] * (1 - fx) + image[rows[1], columns[1]] * fx
        colour[here] = upper * (1 - fy) + lower * fy
    return colour


def _surface(solid, points, toward, footprint):
    """Unit normals (3, n) facing the viewer, and reflectance (n, 3), at `points` (3, n) on the solid."""
    half = np.asarray(solid.half, np.float32)
    local = _turn(solid.to_unit, points - np.asarray(solid.centre, np.float32)[:, None])  # (3, n), unit shape
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
    normal = _turn(solid.axes.T.astype(np.float32), across)
    normal /= np.linalg.norm(normal, axis=0)
    slope = (normal * toward).sum(0)
    normal *= np.where(slope < 0, -1, 1)
    stretch = footprint / np.maximum(np.abs(slope), 0.25)
    return normal, _sample(solid.material, u, v, stretch) * np.asarray(solid.material.colour, np.float32)


def _visible(solids, points, source):
    """True (n,) where no solid stands between `points` (3, n) and the point `source` (3,)."""
    path = points - np.asarray(source, np.float32)[:, None]  # (3, n)
    along = path / np.sqrt((path * path).sum(0))
    clear = np.ones(points.shape[1], bool)
    to = np.array([solid.centre - source for solid in solids], np.float32).reshape(-1, 3)  # (k, 3)
    tangent = (to * to).sum(1) - np.array([solid.half @ solid.half for solid in solids], np.float32)
    # the ball around a solid is a cone seen from the source
    cone = np.where(tangent > 0, np.sqrt(np.abs(tangent)), -np.inf)
    for solid, inside in zip(solids, _turn(to, along) > cone[:, None].astype(np.float32)):
        rays = np.flatnonzero(inside)
        if len(rays):
            clear[rays] &= distance(solid, source, path[:, rays]) >= 1 - 1e-3
    return clear


def _same_solid_mean(values, seen):
    """Mean of `values` (h, w) over each pixel's 4x4 neighbours on the same solid."""
    padded, labels = np.pad(values, 2, mode="edge"), np.pad(seen, 2, constant_values=-1)
    (height, width), total, count = values.shape, 0, 0
    for dy in range(4):
        for dx in range(4):
            window = slice(dy, dy + height), slice(dx, dx + width)
            same = labels[window] == seen
            total, count = total + padded[window] * same, count + same
    return total / count


def _shadow(light, solids, points, lit, seen):
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


def render(solids, lights, ambient, corner, camera, size):
    """Linear colour (h, w, 3), 2x2 samples per pixel, and depth (h, w) in metres at pixel centres, float32.

    ambient (3,): light from everywhere. corner: points (3, n) -> (n,) in [0, 1], how open they are.
    """
    depth, _ = cast(solids, camera, size)
    fine = tuple(2 * n for n in size)
    far, seen = cast(solids, camera, fine)
    rays = camera.rays(fine).reshape(3, -1)
    points = np.asarray(camera.position, np.float32)[:, None] + rays * far.ravel()
    toward = -rays / np.linalg.norm(rays, axis=0)
    normal, albedo = np.empty_like(points), np.empty((far.size, 3), np.float32)
    footprint = far.ravel() / np.float32(camera.focal * fine[0])
    order = np.argsort(seen.ravel(), kind="stable")
    shown, first = np.unique(seen.ravel()[order], return_index=True)
    for index, pixels in zip(shown, np.split(order, first[1:])):
        surface = _surface(solids[index], points[:, pixels], toward[:, pixels], footprint[pixels])
        normal[:, pixels], albedo[pixels] = surface
    gloss = np.array([s.material.gloss for s in solids], np.float32)[seen.ravel()]
    glow = np.array([s.material.glow for s in solids], np.float32)[seen.ravel()]
    openness = corner(points) * (0.7 + 0.3 * normal[2])
    colour = albedo * (openness[:, None] * np.asarray(ambient, np.float32) + glow[:, None])
    casters = [s for s in solids if s.casts]
    for light in lights:
        direct, highlight = _direct(light, points, normal, toward)
        shadow = _shadow(light, casters, points + normal * 2 * NEAR, direct > 0.01, seen).ravel() * direct
        shine = (albedo + (gloss * highlight)[:, None]) * shadow[:, None]
        colour += shine * np.asarray(light.power, np.float32)
    height, width = size
    return colour.reshape(height, 2, width, 2, 3).mean((1, 3)), depth


def _direct(light, points, normal, toward):
    """Unshadowed light (n,) with soft fall-off, and highlight (n,): Lambert; Blinn-Phong, exponent 40."""
    to = np.asarray(light.centre, np.float32)[:, None] - points
    square = (to * to).sum(0)
    to /= np.sqrt(square)
    inside = ((points > light.low[:, None]) & (points < light.high[:, None])).all(0)
    direct = inside * np.maximum((normal * to).sum(0), 0) / (1 + square / 4)
    middle = to + toward
    middle /= np.linalg.norm(middle, axis=0)
    return direct.astype(np.float32), np.maximum((normal * middle).sum(0), 0) ** 40
