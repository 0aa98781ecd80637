"""Haze by the atmospheric scattering model, I = J t + A (1 - t), and RESIDE's way of drawing its parameters.

Every function takes PyTorch tensors or NumPy arrays alike and broadcasts: an image of shape (B, 3, H, W) goes
with a transmission of shape (B, 1, H, W), one of shape (H, W, 3) with (H, W, 1).

Source: equation (1) of the paper; Li et al., "Benchmarking Single-Image Dehazing and Beyond", 2019 (RESIDE).
"""

import numpy as np
import torch

Array = np.ndarray | torch.Tensor

ITS_AIRLIGHT = (0.7, 1.0)  # range of the airlight A of RESIDE's indoor training set
ITS_BETA = (0.6, 1.8)      # range of its scattering coefficient beta, for depth over its own maximum
SOTS_AIRLIGHT = 1.0        # of every SOTS-indoor test image
DRAWS_KEY = 1399           # first word of the seed of `its_draw`


def transmission(relative_depth: Array, beta: Array | float) -> Array:
    """Returns the transmission exp(-beta * d), in (0, 1], of the depth's shape.

    relative_depth: over the image's own maximum, in [0, 1], else ValueError. beta: scattering coefficient >= 0.
    Source: equation (1); the division by the maximum is measured on genuine ITS files.
    """
    low, high = float(relative_depth.min()), float(relative_depth.max())
    if not (0 <= low and high <= 1):
        raise ValueError(f"relative depth must lie in [0, 1], got {low:.3g} to {high:.3g}; "
                         "divide the depth by the image's own maximum")
    exponent = -beta * relative_depth
    return exponent.exp() if torch.is_tensor(exponent) else np.exp(exponent)


def add_haze(clear: Array, transmission: Array, airlight: Array | float) -> Array:
    """Returns the hazy image clear * t + airlight * (1 - t), of the broadcast shape.

    clear: floating point image in [0, 1], else ValueError. transmission: in [0, 1]. airlight: number or per image.
    Source: equation (1).
    """
    _require_float("clear", clear)
    return clear * transmission + airlight * (1 - transmission)


def hazy_8_bit(clear: torch.Tensor, relative_depth: torch.Tensor, airlight: torch.Tensor | float,
               beta: torch.Tensor | float) -> torch.Tensor:
    """Returns the hazy image rounded to the 256 levels that an image file holds, still in [0, 1].

    The one renderer of training and test images. Arguments as of `add_haze` and `transmission`, whose check of the
    depth's range is left out: it would make a GPU wait.
    """
    return (add_haze(clear, torch.exp(-beta * relative_depth), airlight) * 255).round() / 255


def remove_haze(hazy: Array, transmission: Array, airlight: Array | float, floor: float = 0.1) -> Array:
    """Returns the clear image (hazy - airlight) / max(t, floor) + airlight, not clamped.

    hazy: floating point image in [0, 1], else ValueError. transmission: in [0, 1]. airlight: a number or per image.
    floor: smallest transmission divided by, in (0, 1], else ValueError; noise in dense haze would be blown up.
    Source: equation (1) solved for J; the floor is He, Sun & Tang's t0 = 0.1 (Dark Channel Prior, CVPR 2009).
    """
    _require_float("hazy", hazy)
    if not 0 < floor <= 1:
        raise ValueError(f"floor must lie in (0, 1], got {floor}")
    return (hazy - airlight) / transmission.clip(min=floor) + airlight


def sots_beta(level: int) -> float:
    """Returns the scattering coefficient 0.5 + 0.1 * level of the SOTS-indoor file `<scene>_<level>`.

    level: integer 1..10, else ValueError. Source: measured on the official files; RESIDE does not print it.
    """
    if level not in range(1, 11):
        raise ValueError(f"SOTS-indoor haze levels are the integers 1 to 10, got {level!r}")
    return 0.5 + 0.1 * level


def draw_haze(rng: np.random.Generator) -> tuple[float, float]:
    """Returns one random (airlight, beta), each uniform in RESIDE's range; the airlight is drawn first.

    Source: RESIDE, section on ITS: A in [0.7, 1.0], beta in [0.6, 1.8].
    """
    return float(rng.uniform(*ITS_AIRLIGHT)), float(rng.uniform(*ITS_BETA))


def its_draw(scene_id: int) -> tuple[float, float]:
    """Returns (airlight, beta) of one scene, which depend on its id alone.

    RESIDE prints A in its file names but never published its betas: haze made so is "ITS re-synthesised".
    """
    return draw_haze(np.random.default_rng(np.random.SeedSequence([DRAWS_KEY, scene_id])))


def _require_float(name: str, image: Array) -> None:
    floating = torch.is_floating_point(image) if torch.is_tensor(image) else image.dtype.kind == "f"
    if not floating:
        raise ValueError(f"{name} must be a float image in [0, 1], got {image.dtype}; divide bytes by 255")
