"""Pictures of 16 bits a channel, which Pillow cuts to 8 when it reads colours, and does not write."""

import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import putchunk
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dehazelib.data.images import upright
from dehazelib.deploy.targets import OPENED

OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
OPAQUE = 65535
READ = "16 bits a channel are read from PNG, and from TIFF in grey, RGB or RGBA with interleaved channels"


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns a picture's colours, uint16 (H, W, 3), and its alpha, uint16 (H, W) or None; upright.

    Pillow's decoders hand out one byte of two; which one depends on the byte order they are told, so that a picture
    decoded in both orders is complete. Raises ValueError for another kind of picture.
    """
    with Image.open(path, formats=OPENED) as image:
        kind = _raw_mode(image.tile[0].args) if image.tile else ""
        tags = image.tag_v2 if image.format == "TIFF" else {}
        bits = tags.get(Base.BitsPerSample, (16,))
        white_is_zero = tags.get(Base.PhotometricInterpretation) == 0
        key = image.info.get("transparency")
    if image.format not in ("PNG", "TIFF") or set(bits) != {16}:
        raise ValueError(READ)
    name, _, order = kind.partition(";16")
    if name == "LA":
        pixels = _decoded(path, "RGBA").view(">u2")  # four bytes a pixel are decoded as four channels
    elif name == "I" and order in ("", "B", "N", "L"):
        pixels = _decoded(path, kind)[..., None].astype(np.uint16)
    elif name in ("RGB", "RGBX", "RGBA") and order in OTHER_ORDER:
        high, low = _decoded(path, kind), _decoded(path, f"{name};16{OTHER_ORDER[order]}")
        pixels = high.astype(np.uint16) << 8 | low
    else:
        raise ValueError(READ)
    if white_is_zero:
        pixels = OPAQUE - pixels
    return _split(pixels, key)


def _decoded(path: Path, kind: str) -> np.ndarray:
    """Returns the picture as Pillow decodes it if its data were of another kind, its raw mode."""
    with Image.open(path, formats=OPENED) as image:
        image.tile = [tile._replace(args=kind if isinstance(tile.args, str) else (kind, *tile.args[1:]))
                      for tile in image.tile]
        return np.array(upright(image))


def _raw_mode(arguments) -> str:
    return arguments if isinstance(arguments, str) else str(arguments[0])


def _split(pixels: np.ndarray, key) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns colours and alpha of (H, W, 1 to 4). key: the colour that a PNG without alpha says is transparent."""
    channels = pixels.shape[2]
    alpha = None
    if channels in (2, 4):
        alpha = np.ascontiguousarray(pixels[..., -1], dtype=np.uint16)
    elif key is not None:
        alpha = np.where((pixels == np.array(key)).all(2), 0, OPAQUE).astype(np.uint16)
    colours = pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, 2)
    return np.ascontiguousarray(colours, dtype=np.uint16), alpha


def write_png(pixels: np.ndarray, path: Path, info: dict) -> None:
    """Writes uint16 (H, W, 3 or 4). info: may hold icc_profile and exif as bytes, and dpi as a pair."""
    height, width, channels = pixels.shape
    big_endian = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    step = 2 * channels
    rows = np.empty((height, 1 + width * step), np.uint8)
    rows[:, 0] = 1  # PNG's filter "Sub": each byte less that of the pixel to its left
    rows[:, 1:] = big_endian
    rows[:, 1 + step:] -= big_endian[:, :-step]
    header = np.array([width, height], ">u4").tobytes() + bytes([16, {3: 2, 4: 6}[channels], 0, 0, 0])
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        putchunk(file, b"IHDR", header)
        if profile := info.get("icc_profile"):
            putchunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(profile))
        if dpi := info.get("dpi"):
            per_metre = np.array([value / 0.0254 + 0.5 for value in dpi], ">u4")
            putchunk(file, b"pHYs", per_metre.tobytes(), b"\1")
        if exif := info.get("exif"):
            putchunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
        putchunk(file, b"IDAT", zlib.compress(rows, 6))
        putchunk(file, b"IEND")


def write_tiff(pixels: np.ndarray, path: Path, info: dict) -> None:
    """As `write_png`, also of uint8; deflated, in one strip. (Pillow's own fails where EXIF data have directories.)"""
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    data = zlib.compress(np.ascontiguousarray(pixels, dtype=f"<u{pixels.itemsize}"), 6)
    tags = ImageFileDirectory_v2(prefix=b"II")
    exif = Image.Exif()
    exif.load(info.get("exif", b""))
    for tag in exif:
        tags[tag] = exif.get_ifd(tag) if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) else exif[tag]
    layout = {Base.ImageWidth: width, Base.ImageLength: height, Base.BitsPerSample: (bits,) * channels,
              Base.Compression: 8, Base.PhotometricInterpretation: 2, Base.StripOffsets: 0,
              Base.SamplesPerPixel: channels, Base.RowsPerStrip: height, Base.StripByteCounts: len(data),
              Base.PlanarConfiguration: 1}
    if channels == 4:
        layout[Base.ExtraSamples] = 2  # alpha that the colours are not multiplied with
    if profile := info.get("icc_profile"):
        layout[Base.InterColorProfile] = profile
    if dpi := info.get("dpi"):
        layout |= {Base.XResolution: dpi[0], Base.YResolution: dpi[1], Base.ResolutionUnit: 2}
    for tag, value in layout.items():
        tags[int(tag)] = value
    with open(path, "wb") as file:
        tags.save(file)  # puts the strip behind the directory
        file.write(data)
