"""Haze as a camera sees it, to train for photographs: RESIDE's haze is grey, bright, noiseless and always there.

A third of the samples have RESIDE's haze. The others differ as photographs do: dim and coloured airlight, anything from
no haze to dense haze, skies, white balance, exposure, black borders, then sensor noise and JPEG on the hazy side only.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dehazelib import haze
from dehazelib.data.images import DataError
from dehazelib.data.pairs import Pairs

Colour = tuple[float, float, float]

RESIDE_SHARE, CLEAR_SHARE, BLACK_SHARE = 1 / 3, 0.25, 0.02  # of all samples; the rest is hazy in a camera's way
AIRLIGHT = (0.5, 1.0)
BETA = (0.1, 2.5)      # for depth over its own maximum; SOTS-indoor has 0.6 to 1.5
CAST = 0.15            # how far a channel of the airlight or of the white balance may lie below the brightest
SKY_SHARE, BORDER_SHARE, JPEG_SHARE = 0.25, 0.1, 0.7
NOISE = (0.0, 0.02)    # standard deviation, of the range
QUALITY = (40, 96)     # of JPEG


@dataclass(frozen=True)
class Photograph:
    """Everything random about one photograph. The defaults change nothing."""

    airlight: Colour = (1.0, 1.0, 1.0)
    beta: float = 0.0
    balance: Colour = (1.0, 1.0, 1.0)  # white balance: factors of the channels
    exposure: float = 1.0              # factor of the light
    gamma: float = 1.0                 # exponent after it
    sky: float = 0.0                   # share of the rows, from the top, that a smooth sky covers
    sky_colours: tuple[Colour, Colour] = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))  # at its top and bottom
    border: float = 0.0                # share of the height that is black above and below
    noise: float = 0.0
    quality: int = 0                   # of JPEG; 0: none
    seed: int = 0                      # of the noise


def require_depths(pairs: Pairs) -> None:
    """Raises DataError if a set lacks the depths from which haze is made."""
    if pairs.depth is None:
        raise DataError(f"{pairs.name} has no depths, from which haze as a camera sees it is made: use NYU Depth v2 or "
                        "the rooms.")


def draw(rng: np.random.Generator) -> Photograph:
    """Returns the random parameters of one photograph."""
    kind = rng.random()
    if kind < RESIDE_SHARE:
        airlight, beta = haze.draw_haze(rng)
        return Photograph(airlight=(airlight,) * 3, beta=beta)
    clear = kind < RESIDE_SHARE + CLEAR_SHARE
    black = kind > 1 - BLACK_SHARE
    has_sky, has_border, is_jpeg = rng.random(3) < (SKY_SHARE, BORDER_SHARE, JPEG_SHARE)
    exposure = float(np.exp(rng.uniform(np.log(0.4), np.log(1.3))))
    return Photograph(
        airlight=_scaled(_cast(rng), float(rng.uniform(*AIRLIGHT))),
        beta=0.0 if clear or black else float(rng.uniform(*BETA)),
        balance=_cast(rng),
        exposure=0.0 if black else exposure,
        gamma=float(rng.uniform(0.7, 1.4)),
        sky=float(rng.uniform(0.1, 0.5)) if has_sky else 0.0,
        sky_colours=(_sky_colour(rng), _sky_colour(rng)),
        border=float(rng.uniform(0.03, 0.15)) if has_border else 0.0,
        noise=float(rng.uniform(*NOISE)),
        quality=int(rng.integers(*QUALITY)) if is_jpeg else 0,
        seed=int(rng.integers(2**31)),
    )


def photograph(clear: np.ndarray, depth: np.ndarray, parameters: Photograph) -> tuple[Tensor, Tensor]:
    """Returns (hazy, clear) as the camera gives them, each float32 (3, H, W) in [0, 1].

    clear: uint8 (H, W, 3); depth: over its own maximum, (H, W). The clear one has the same exposure, white balance, sky
    and borders, without haze, noise and compression; the hazy one has the 256 levels of a file.
    """
    scene = torch.from_numpy(clear).float() / 255 * torch.tensor(parameters.balance)  # (H, W, 3)
    relative = torch.from_numpy(np.ascontiguousarray(depth, np.float32))[..., None].clone()
    _add_sky(scene, relative, parameters)
    hazy = haze.add_haze(scene, torch.exp(-parameters.beta * relative), torch.tensor(parameters.airlight))
    scene, hazy = (_exposed(light, parameters) for light in (scene, hazy))
    rows = round(parameters.border * len(scene))
    for image in (scene, hazy):
        image[:rows] = 0
        image[len(image) - rows:] = 0
    taken = _developed(hazy.numpy(), parameters)
    return torch.from_numpy(taken).permute(2, 0, 1).float() / 255, scene.permute(2, 0, 1).contiguous()


class Photographs:
    """The scenes of a set as photographs that are always the same: number i depends on i alone.

    Raises DataError if they have no depths.
    """

    def __init__(self, pairs: Pairs):
        require_depths(pairs)
        self.pairs = pairs.pairs
        self._set = pairs

    def __len__(self) -> int:
        return len(self._set)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns (hazy, clear), whole images."""
        scene = self.pairs[index].scene
        return photograph(self._set.clear(scene), self._set.depth(scene), draw(np.random.default_rng((0, 2, index))))


def _cast(rng: np.random.Generator) -> Colour:
    """Returns factors of the channels, none above 1."""
    red, green, blue = (float(factor) for factor in rng.uniform(1 - CAST, 1, 3))
    return red, green, blue


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def _sky_colour(rng: np.random.Generator) -> Colour:
    """Returns a white, grey or blue."""
    blue = rng.uniform(0.6, 1)
    red = blue * rng.uniform(0.6, 1)
    return float(red), float((red + blue) / 2), float(blue)


def _add_sky(scene: Tensor, depth: Tensor, parameters: Photograph) -> None:
    """Covers the upper rows of a scene (H, W, 3) with a smooth sky, as far away as its farthest point (in place)."""
    rows = round(parameters.sky * len(scene))
    top, bottom = (torch.tensor(colour) for colour in parameters.sky_colours)
    scene[:rows] = torch.lerp(top, bottom, torch.linspace(0, 1, rows)[:, None, None])
    depth[:rows] = 1


def _exposed(light: Tensor, parameters: Photograph) -> Tensor:
    return (light * parameters.exposure).clamp(0, 1) ** parameters.gamma


def _developed(image: np.ndarray, parameters: Photograph) -> np.ndarray:
    """Returns the image with noise, as bytes, as a JPEG of it would be read."""
    noise = np.random.default_rng(parameters.seed).normal(0, parameters.noise, image.shape)
    pixels = ((image + noise).clip(0, 1) * 255).round().astype(np.uint8)
    if not parameters.quality:
        return pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=parameters.quality)
    return np.array(Image.open(file, formats=["JPEG"]))
