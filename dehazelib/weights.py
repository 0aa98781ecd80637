"""A trained student on your own photographs."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dehazelib import networks, paths
from dehazelib.data.images import DataError

SHIPPED = paths.WEIGHTS / "student.safetensors"


def load(path: Path | str | None = None, network: str = "student") -> nn.Module:
    """Returns a network with the weights of a .safetensors file, in evaluation mode; by default the shipped student.

    Raises FileNotFoundError if the file is absent, DataError naming the first tensor that does not fit.
    """
    path = Path(path) if path else SHIPPED
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights. Give --weights FILE, for example a run's weights.safetensors.")
    model = networks.build(network)
    try:
        given = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file ({error}).") from None
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in given.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise DataError(f"{path} does not hold a {network}: {name} is {found.get(name, 'absent')}, "
                            f"the network has {wanted.get(name, 'no such tensor')}.")
    model.load_state_dict(given)
    return model.eval()


@torch.no_grad()
def dehaze(network: nn.Module, image: Tensor) -> Tensor:
    """Returns the dehazed image, clamped. image: (3, H, W) or (B, 3, H, W) RGB in [0, 1]."""
    batch = image if image.dim() == 4 else image[None]
    return network(batch).clamp(0, 1).reshape(image.shape)


def dehaze_file(network: nn.Module, photo: Path, target: Path) -> None:
    """Dehazes a photograph into a PNG file; the file appears whole or not at all. Raises DataError for a bad image."""
    try:
        with Image.open(photo) as opened:
            if opened.mode.startswith(("I", "F")):
                raise DataError(f"{photo}: has more than 8 bits a channel (mode {opened.mode}); convert it to 8 bits.")
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except FileNotFoundError:
        raise FileNotFoundError(f"{photo}: no such file.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{photo}: cannot be read as an image ({error}).") from None
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    result = (dehaze(network, pixels) * 255).round().byte().permute(1, 2, 0).numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".writing")
    Image.fromarray(result).save(scratch, format="PNG")
    os.replace(scratch, target)
