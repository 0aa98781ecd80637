"""Reading single images and depth maps from disk, with one clear line for each thing that can be wrong."""

import re
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
RESIDE_SIZE = (460, 620)  # height, width of every hazy image of RESIDE's indoor sets
NYU_SIZE = (480, 640)     # height, width of an NYU Depth v2 frame, and of the clear images of some RESIDEs
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # that files are opened as, whatever their names say
BORDER = 10               # pixels on every side of an NYU frame that RESIDE's images lack
GREY_PER_METRE = 25.51    # of an 8-bit depth map; see `read_depth_png`


BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, IndexError, TypeError, AttributeError,
          ZeroDivisionError, OverflowError, MemoryError, Image.DecompressionBombError)  # of Pillow, on damaged files


class DataError(ValueError):
    """Data on disk that cannot be used; the message names the file, what is wrong, and what to do."""


def read_rgb(path: Path | str) -> np.ndarray:
    """Returns the image as uint8 (H, W, 3), RGB.

    Raises FileNotFoundError if it is absent; DataError if it is truncated, no image, or not 8 bits a channel, grey or
    RGB.
    """
    return np.array(_open(path, _require_rgb, decode=True).convert("RGB"))


def rgb_size(path: Path | str) -> tuple[int, int]:
    """Returns (height, width) from the file's header alone. Raises as `read_rgb` does, but for a damaged body."""
    image = _open(path, _require_rgb)
    return image.height, image.width


def read_depth_png(path: Path | str) -> np.ndarray:
    """Returns the depth in metres, float32 (H, W), every pixel > 0.

    path: a single-channel image. 8 bits: metres = (v + 0.5) / 25.51, so that 0..255 spans 10 m and none is
    zero. 16 bits: millimetres, where 0 would mean "not measured".
    Raises FileNotFoundError if absent; DataError if unreadable, coloured, or with unmeasured pixels.
    Source: the 8-bit scale is measured, not published; the half step fits genuine ITS files better.
    """
    image = _open(path, _require_depth, decode=True)
    value = np.array(image)  # (H, W)
    if image.mode == "L":
        return ((value + 0.5) / GREY_PER_METRE).astype(np.float32)
    if value.min() <= 0:
        raise DataError(f"{path}: {int((value <= 0).sum())} pixels have no depth; use NYU's filled-in "
                        "`depths`, not `rawDepths`")
    return (value / 1000).astype(np.float32)


def depth_size(path: Path | str) -> tuple[int, int]:
    """Returns (height, width) from the header. Raises as `read_depth_png`, but for a damaged body or missing depth."""
    image = _open(path, _require_depth)
    return image.height, image.width


def deep(image: Image.Image) -> bool:
    """Returns whether an image, opened and not yet decoded, has more than 8 bits a channel: Pillow would cut colours
    to 8."""
    tiles = getattr(image, "tile", ())  # images made in memory lack it
    return (image.mode.startswith(("I", "F"))
            or any(re.search(";16[BLN]", str(tile.args)) for tile in tiles)
            or image.format == "TIFF" and max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (8,))) > 8
            or image.format == "PPM" and any(isinstance(tile.args, tuple) and tile.args[-1] > 255 for tile in tiles))


def upright(image: Image.Image) -> Image.Image:
    """Returns the image as its EXIF data say that it is looked at; as it is stored where they are damaged.

    Raises what Pillow raises if the image itself is.
    """
    image.load()  # TIFFs are turned here already
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # whatever a parser of damaged data runs into: the picture itself may be sound
        return image.copy()


def list_images(folder: Path | str) -> list[Path]:
    """Returns the image files directly inside folder as a sorted list of paths, hidden files left out.

    Raises FileNotFoundError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def require_file(path: Path | str) -> None:
    """Raises FileNotFoundError if there is none, or DataError for what is no file but is called like one."""
    path = Path(path)
    if path.is_file():
        return
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"{path}: a link to a file that is not there; fetch the file again")
    if path.exists():
        raise DataError(f"{path}: a folder, pipe or device, not a file; remove or rename it")
    raise FileNotFoundError(f"{path}: no such file")


def centre_crop(image: np.ndarray, size: tuple[int, int], name: Path | str = "image") -> np.ndarray:
    """Returns the image without its `border`, of the given (height, width). image: (H, W) or (H, W, C)."""
    cut = border(image.shape[:2], size, name)
    return image[cut:-cut, cut:-cut] if cut else image


def border(size: tuple[int, int], wanted: tuple[int, int], name: Path | str = "image") -> int:
    """Returns the pixels to cut off every side of a clear image: 0 if it has the wanted size, 10 if it is 20 larger.

    name: what error messages call it.
    Raises DataError for any other size: resizing a ground truth instead of cropping it costs some 12 dB.
    Source: RESIDE's 620x460 hazy images are NYU's 640x480 frames without a border of 10 pixels.
    """
    height, width = wanted
    if size == (height, width):
        return 0
    if size == (height + 2 * BORDER, width + 2 * BORDER):
        return BORDER
    raise DataError(f"{name}: {size[1]}x{size[0]} pixels, expected {width}x{height} or {width + 2 * BORDER}x"
                    f"{height + 2 * BORDER} (width x height); use the original, never a resized file")


def faults(read: Callable, names: Iterable) -> list[str]:
    """Returns the messages of the errors that read(name) raises for some of the names."""
    messages = []
    for name in names:
        try:
            read(name)
        except (DataError, OSError) as error:
            messages.append(str(error))
    return messages


def _open(path: Path | str, require: Callable[[Image.Image, Path | str], None], decode: bool = False) -> Image.Image:
    """Returns an image whose header `require` accepts, decoded or closed again."""
    require_file(path)
    try:
        image = Image.open(path, formats=FORMATS)
    except BROKEN as error:
        raise DataError(f"{path}: not an image that can be read ({error}); fetch the file again") from error
    with image:
        require(image, path)
        try:
            if decode:
                image.load()
        except BROKEN as error:
            raise DataError(f"{path}: damaged or truncated ({error}); fetch the file again") from error
    return image


def _require_rgb(image: Image.Image, path: Path | str) -> None:
    if deep(image) or image.mode not in ("RGB", "L", "P"):
        found = "more than 8 bits a channel" if deep(image) else f"mode {image.mode}"
        raise DataError(f"{path}: expected an 8-bit RGB image, found {found}; convert it to RGB")


def _require_depth(image: Image.Image, path: Path | str) -> None:
    if image.mode not in ("L", "I", "I;16"):
        raise DataError(f"{path}: expected a grey depth map of 8 or 16 bits, found mode {image.mode}; "
                        "export the depth as 16-bit millimetres")
