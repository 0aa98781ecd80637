"""Reading single images and depth maps from disk, with one clear line for each thing that can be wrong."""

import re
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
RESIDE_SIZE = (460, 620)  # height, width of every hazy image of RESIDE's indoor sets
NYU_SIZE = (480, 640)     # height, width of an NYU Depth v2 frame, and of the clear images of some RESIDEs
GREY_PER_METRE = 25.51    # of an 8-bit depth map; see `read_depth_png`


class DataError(ValueError):
    """Data on disk that cannot be used; the message names the file, what is wrong, and what to do."""


def read_rgb(path: Path | str) -> np.ndarray:
    """Returns the image as uint8 (H, W, 3), RGB.

    path: a png, jpg, jpeg, webp or bmp file.
    Raises FileNotFoundError if it is absent; DataError if it is truncated, no image, or not 8 bits a channel.
    """
    with _open(path) as image:
        if deep(image) or image.mode not in ("RGB", "L", "P"):
            found = "more than 8 bits a channel" if deep(image) else f"mode {image.mode}"
            raise DataError(f"{path}: expected an 8-bit RGB image, found {found}; convert it to RGB")
    return np.array(_decode(path).convert("RGB"))


def deep(image: Image.Image) -> bool:
    """Returns whether an image, opened and not yet decoded, has more than 8 bits a channel: Pillow would cut colours
    to 8."""
    tiles = getattr(image, "tile", ())  # images made in memory lack it
    return (image.mode.startswith(("I", "F"))
            or any(re.search(";16[BLN]", str(tile.args)) for tile in tiles)
            or image.format == "TIFF" and max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (8,))) > 8
            or image.format == "PPM" and any(isinstance(tile.args, tuple) and tile.args[-1] > 255 for tile in tiles))


def read_depth_png(path: Path | str) -> np.ndarray:
    """Returns the depth in metres, float32 (H, W), every pixel > 0.

    path: a single-channel png. 8 bits: metres = (v + 0.5) / 25.51, so that 0..255 spans 10 m and none is
    zero. 16 bits: millimetres, where 0 would mean "not measured".
    Raises FileNotFoundError if absent; DataError if unreadable, coloured, or with unmeasured pixels.
    Source: the 8-bit scale is measured, not published; the half step fits genuine ITS files better.
    """
    image = _decode(path)
    value = np.array(image)  # (H, W)
    if image.mode == "L":
        return ((value + 0.5) / GREY_PER_METRE).astype(np.float32)
    if image.mode not in ("I", "I;16"):
        raise DataError(f"{path}: expected a grey depth map of 8 or 16 bits, found mode {image.mode}; "
                        "export the depth as 16-bit millimetres")
    if value.min() <= 0:
        raise DataError(f"{path}: {int((value <= 0).sum())} pixels have no depth; use NYU's filled-in "
                        "`depths`, not `rawDepths`")
    return (value / 1000).astype(np.float32)


def image_size(path: Path | str) -> tuple[int, int]:
    """Returns (height, width) from the file's header alone. Raises as `read_rgb` does."""
    with _open(path) as image:
        return image.height, image.width


def list_images(folder: Path | str) -> list[Path]:
    """Returns the image files directly inside folder as a sorted list of paths, hidden files left out.

    Raises FileNotFoundError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def find_by_stem(folder: Path | str, stem: str) -> Path:
    """Returns the path of the one image in folder that is called stem, whatever its format.

    stem: file name without its suffix, such as "1400_3" or "1_1_0.90179".
    Raises FileNotFoundError if there is none, DataError if there are several.
    """
    found = [path for suffix in SUFFIXES if (path := Path(folder) / f"{stem}{suffix}").is_file()]
    if not found:
        raise FileNotFoundError(f"{folder}: no image called {stem} in any of {SUFFIXES}; complete it")
    if len(found) > 1:
        raise DataError(f"{folder}: {' and '.join(p.name for p in found)} are the same image twice; keep one")
    return found[0]


def centre_crop(image: np.ndarray, size: tuple[int, int] = RESIDE_SIZE,
                name: Path | str = "image") -> np.ndarray:
    """Returns the image as it is if it has the given size, without its outer 10 pixels if it is 20 larger.

    image: (H, W) or (H, W, C). size: (height, width). name: what error messages call it.
    Raises DataError for any other size: resizing a ground truth instead of cropping it costs some 12 dB.
    Source: RESIDE's 620x460 hazy images are NYU's 640x480 frames without a border of 10 pixels.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if image.shape[:2] == (height + 20, width + 20):
        return image[10:-10, 10:-10]
    raise DataError(f"{name}: {image.shape[1]}x{image.shape[0]} pixels, expected {width}x{height} or "
                    f"{width + 20}x{height + 20} (width x height); use the original, never a resized file")


def _open(path: Path | str) -> Image.Image:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not an image that can be read ({error}); fetch the file again") from error


def _decode(path: Path | str) -> Image.Image:
    with _open(path) as image:
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: damaged or truncated ({error}); fetch the file again") from error
        return image
