"""Photographs, read as they are looked at, dehazed, and written with what their files say about them."""

import contextlib
import io
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from PIL.ExifTags import Base
from torch import Tensor

from dehazelib.data.images import DataError, deep, upright
from dehazelib.deploy import sixteen_bits
from dehazelib.deploy.inference import chosen_device, load, run  # noqa: F401, as names for users
from dehazelib.deploy.targets import FORMATS, HEIC_HINT, OPENED, RAW_HINT, unreadable

DESCRIBING = {  # tags that hold for the result as well: not those of the layout of a file, nor of its orientation
    Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist, Base.Copyright,
    Base.Rating, Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject,
    ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo,
}
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B; ITU-R BT.601, as Pillow's
SPACES = {"CMYK": "CMYK", "LAB": "LAB", "L": "GRAY", "LA": "GRAY"}  # of the profiles of images that are not RGB


@dataclass(frozen=True)
class Photo:
    """A photograph as it is looked at: upright, in RGB.

    pixels: (H, W, 3), uint8 or uint16. alpha: (H, W) of the same type, or None. info: what Pillow writes beside them:
    exif and icc_profile as bytes, dpi as a pair; each if it is known.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    info: dict = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.pixels, dtype=dtype)

    def channels(self) -> np.ndarray:
        """Returns (H, W, 3), or (H, W, 4) with alpha."""
        return self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])

    def image(self) -> Image.Image:
        """Returns it as a PIL image of 8 bits, RGB or RGBA."""
        channels = self.channels()
        if channels.dtype == np.uint16:
            channels = ((channels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        image = Image.fromarray(channels)
        image.info.update(self.info)
        return image


# ----------------------------------------------------------------------------------------------------------- dehazing


def dehaze(image, weights: Path | str | Callable | None = None, strength: float = 1.0):
    """Returns the dehazed image, of the same type, size and number format as `image`, on the same device.

    image: a PIL image; a NumPy array (H, W, 3), uint8 or uint16; or a tensor of floats (3, H, W) or (B, 3, H, W) in
    [0, 1]; RGB. A PIL image comes back upright, in RGB or RGBA, with its EXIF data, colour profile and dpi in `info`.
    weights: the name of a set that comes along, a student's .safetensors file, or a network as `load` returns it, which
    runs on the device that it is on; one from a file runs where the image is. strength: from 0, which changes nothing,
    to 1. Raises TypeError or ValueError for another image, and what `load` raises.

    The student runs in strips, see strips.by_strips; up to 4,000,000 pixels with feature maps in float32, above in
    float16. Other networks run in one piece.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}: give a number from 0, which changes nothing, to 1.")
    network = weights if callable(weights) else load(weights)
    if isinstance(image, Image.Image):
        return dehazed(network, from_image(image), strength).image()
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"An image as an array must be uint8 or uint16 (height, width, 3), not {image.dtype} "
                             f"{image.shape}.")
        return _of_array(network, image, strength)
    if not isinstance(image, Tensor):
        raise TypeError(f"An image must be a PIL image, a NumPy array or a tensor, not {type(image).__name__}.")
    shape = tuple(image.shape)
    if not image.is_floating_point() or len(shape) not in (3, 4) or shape[-3] != 3 or not image.numel():
        raise ValueError(f"An image as a tensor must be of floats (3, height, width) or (batch, 3, height, width), "
                         f"not {image.dtype} {shape}.")
    low, high = image.min().item(), image.max().item()
    if not (low >= -0.001 and high <= 1.001):  # also refuses NaN
        raise ValueError(f"An image as a tensor must lie in [0, 1]; this one has values from {low:.4g} to {high:.4g}.")
    if weights is not network:
        network.to(image.device)
    return run(network, image.reshape(-1, *shape[-3:]), strength).reshape(shape)


def dehazed(network: Callable, photo: Photo, strength: float = 1.0, tick: Callable[[int, int], None] | None = None
            ) -> Photo:
    """Returns the dehazed photograph. What transparency hides has no say in it; one without colours gets none."""
    given = _visible(photo)
    pixels = _of_array(network, given, strength, tick)
    if (given == given[..., :1]).all():
        pixels = (pixels @ LUMINANCE).round().astype(pixels.dtype)[..., None].repeat(3, 2)
    return replace(photo, pixels=pixels)


def dehaze_file(network: Callable, photo: Path, target: Path, strength: float = 1.0, quality: int = 95,
                side_by_side: bool = False, tick: Callable[[int, int], None] | None = None) -> None:
    """Dehazes a photograph into a file, in the format of its name; the file appears whole or not at all.

    quality: of JPEG and WebP, 1 to 100. side_by_side: the photograph is left of the result. tick: see inference.run.
    Raises FileNotFoundError, DataError for what is no photograph, and ValueError for another format.
    """
    before = read_photo(photo)
    after = dehazed(network, before, strength, tick)
    if side_by_side:
        pixels = np.concatenate([before.pixels, after.pixels], 1)
        alpha = None if before.alpha is None else np.concatenate([before.alpha, after.alpha], 1)
        after = replace(after, pixels=pixels, alpha=alpha)
    write_photo(after, target, quality)


def _of_array(network: Callable, pixels: np.ndarray, strength: float, tick: Callable | None = None) -> np.ndarray:
    images = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
    return run(network, images, strength, tick=tick)[0].permute(1, 2, 0).contiguous().numpy()


def _visible(photo: Photo) -> np.ndarray:
    """Returns the pixels, with the average visible colour where they are fully transparent."""
    if photo.alpha is None or photo.alpha.all() or not photo.alpha.any():
        return photo.pixels
    seen = photo.alpha > 0
    pixels = photo.pixels.copy()
    pixels[~seen] = photo.pixels[seen].mean(0).round()
    return pixels


# ------------------------------------------------------------------------------------------------------------ reading


def read_photo(photo: Path | str) -> Photo:
    """Returns a photograph. Of an animation the first image is taken.

    Raises FileNotFoundError, or DataError for what cannot be read as it should be: a damaged file, a camera's raw file,
    more than 178 megapixels, colours of more than 16 bits.
    """
    photo = Path(photo)
    if hint := unreadable(photo):
        raise DataError(f"{photo}: {hint}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(photo, formats=OPENED) as image:
                if not deep(image):
                    return from_image(image)
                _refuse_previews(image)
                pixels, alpha = sixteen_bits.read(photo)
                return Photo(pixels, alpha, _described(image, image.info.get("icc_profile")))
    except FileNotFoundError:
        raise FileNotFoundError(f"{photo}: no such file.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{photo}: has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; reduce it first.") from None
    except DataError as error:
        raise DataError(f"{photo}: {error}") from None
    except (OSError, SyntaxError, ValueError, ImageCms.PyCMSError) as error:
        if isinstance(error, UnidentifiedImageError) and _is_heic(photo):
            raise DataError(f"{photo}: {HEIC_HINT}") from None
        raise DataError(f"{photo}: cannot be read as an image ({error}).") from None


def from_image(image: Image.Image) -> Photo:
    """Returns a PIL image of 8 bits as a photograph. Raises DataError for one of more bits, or a raw file's preview."""
    _refuse_previews(image)
    if deep(image):
        raise DataError(f"has more than 8 bits a channel (mode {image.mode}), which Pillow cuts off: give an array of "
                        "uint16, or the file to dehazelib.deploy.photos.dehaze_file.")
    turned = upright(image)
    colours, profile = _in_rgb(turned)
    alpha = np.array(turned.convert("RGBA").getchannel("A")) if turned.has_transparency_data else None
    return Photo(np.array(colours), alpha, _described(image, profile))


def _refuse_previews(image: Image.Image) -> None:
    """Raises DataError for a TIFF that starts with a small preview, as raw files do."""
    if image.format != "TIFF" or not hasattr(image, "tag_v2"):
        return
    if image.tag_v2.get(Base.NewSubfileType, 0) & 1 or Base.DNGVersion in image.tag_v2:
        raise DataError(RAW_HINT)


def _in_rgb(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Returns the image's colours in RGB, and the colour profile that they are to be seen with (None: sRGB).

    A profile that cannot be read or is of another kind of colours than the image is left out, as viewers do.
    """
    given = image.info.get("icc_profile")
    if image.mode not in SPACES:
        rgb = image.convert("RGBA").convert("RGB") if image.has_transparency_data else image.convert("RGB")
        return rgb, given if _profile(given, "RGB") else None
    profile = _profile(given, SPACES[image.mode])
    if image.mode == "LAB" and profile is None:
        profile = ImageCms.createProfile("LAB")
    if profile is None:
        return image.convert("RGB"), None
    colours = image.getchannel("L") if image.mode == "LA" else image
    return ImageCms.profileToProfile(colours, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"), None


def _profile(given: bytes | None, space: str) -> ImageCms.ImageCmsProfile | None:
    """Returns the colour profile if it can be read and describes colours of this space, such as RGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(given or b""))
    except OSError:
        return None
    return profile if profile.profile.xcolor_space.strip() == space else None


def _described(image: Image.Image, profile: bytes | None) -> dict:
    """Returns `info` of a photograph that was loaded from this image."""
    info = {}
    with contextlib.suppress(Exception):  # whatever a parser of damaged data runs into: the picture itself is sound
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())  # a copy
        for tag in set(exif) - DESCRIBING:
            del exif[tag]
        if exif:
            info["exif"] = exif.tobytes()
    if profile:
        info["icc_profile"] = profile
    if dpi := image.info.get("dpi"):
        info["dpi"] = tuple(float(value) for value in dpi)
    return info


def _is_heic(photo: Path) -> bool:
    with photo.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1")


# ------------------------------------------------------------------------------------------------------------ writing


def write_photo(photo: Photo, target: Path, quality: int = 95) -> None:
    """Writes a photograph in the format of the target's name; the file appears whole or not at all.

    16 bits stay 16 in PNG and TIFF. JPEG knows no transparency: it becomes white. Raises ValueError for a format that
    is not among FORMATS.
    """
    target = Path(target)
    form = FORMATS.get(target.suffix.lower())
    if form is None:
        raise ValueError(f"{target}: the name of a result ends in one of {' '.join(FORMATS)}")
    with whole(target) as scratch:
        if form == "TIFF":
            sixteen_bits.write_tiff(photo.channels(), scratch, photo.info)
        elif form == "PNG" and photo.pixels.dtype == np.uint16:
            sixteen_bits.write_png(photo.channels(), scratch, photo.info)
        else:
            image = photo.image()
            if form == "JPEG" and image.mode == "RGBA":
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            options = {"quality": quality} if form in ("JPEG", "WEBP") else {}
            image.save(scratch, format=form, **photo.info, **options)


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Gives a path to write to; what is there at the end takes the target's place, unless writing failed.

    Makes the folder if it is absent. The path's name is short: the target's own may be as long as names can be.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        yield scratch
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
