"""Figures made small enough to be embedded: JPEG for photographs, PNG of few colours for charts, whichever is less."""

import base64
import io
from pathlib import Path

from PIL import Image

QUALITY = 82  # of JPEG
COLOURS = 128  # of PNG
WIDTH = 1200  # pixels, the most


def compressed(png: bytes, width: int = WIDTH) -> tuple[str, bytes]:
    """Returns the media type and the bytes of a PNG, compressed and not wider than so many pixels."""
    image = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    photograph, chart = io.BytesIO(), io.BytesIO()
    image.save(photograph, "JPEG", quality=QUALITY, optimize=True)
    image.quantize(COLOURS).save(chart, "PNG", optimize=True)
    if photograph.tell() < 0.7 * chart.tell():  # lines look better in PNG
        return "image/jpeg", photograph.getvalue()
    return "image/png", chart.getvalue()


def data_url(file: Path) -> str:
    """Returns a PNG file, compressed, as a URL that holds it."""
    kind, content = compressed(file.read_bytes())
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
