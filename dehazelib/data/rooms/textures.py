"""Materials and their textures: photographs that ship with scikit-image, and patterns drawn from seeds."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import skimage.data
from scipy.ndimage import gaussian_filter

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina",
          "moon", "camera", "coins", "clock", "page")  # all of them ship inside the scikit-image wheel
RELIEFS = ("brick", "grass", "gravel")  # grey photographs of surfaces: only their relative brightness is used
PATTERNS = ("flat", "plaster", "wood", "planks", "carpet", "weave", "stripes", "checks", "tiles", "spots")


@dataclass(frozen=True)
class Material:
    """What a surface looks like; colour is linear reflectance in [0, 1], multiplied by the texture."""

    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    texture: str = "flat"
    tile: tuple[float, float] = (1.0, 1.0)  # metres covered by one repeat of the texture
    offset: tuple[float, float] = (0.5, 0.5)  # fraction of a repeat
    gloss: float = 0.0  # strength of the highlight
    glow: float = 0.0  # light given off, in units of reflected white


@cache
def texture_pyramid(name: str) -> list[np.ndarray]:
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


def _pattern(name: str) -> np.ndarray:
    rng = np.random.default_rng([PATTERNS.index(name), 256])
    y, x = np.mgrid[:256, :256] / 256.0

    def noise(*sigma: float) -> np.ndarray:  # standard deviations along y and x, or one for both
        field = gaussian_filter(rng.standard_normal((256, 256)), (sigma * 2)[:2], mode="wrap")
        return field / field.std()

    def grain(shift: np.ndarray) -> np.ndarray:  # wood: rings stretched along x
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


def sample_texture(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
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
