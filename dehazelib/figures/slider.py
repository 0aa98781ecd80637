"""A picture before and after in one piece of HTML, for notebooks and pages: drag the handle to compare."""

import base64
import html
import io

import numpy as np
from PIL import Image

QUALITY = 88  # of the embedded JPEG files

PAGE = """\
<figure class="compare" style="max-width:{width}px">
<style>
.compare {{ margin: 0; font: 13px system-ui, sans-serif }}
.compare .pair {{ position: relative; overflow: hidden; border-radius: 6px }}
.compare img {{ display: block; width: 100%; height: auto }}
.compare img + img {{ position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at, 50%)) }}
.compare .pair::after {{ content: ""; position: absolute; inset: 0 auto 0 var(--at, 50%); width: 2px;
  background: #fff; box-shadow: 0 0 0 1px #0008 }}
.compare input {{ position: absolute; z-index: 1; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize }}
.compare figcaption {{ display: flex; justify-content: space-between; padding: 4px 2px; opacity: .8 }}
@media (scripting: none) {{
  .compare .pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 6px }}
  .compare img + img {{ position: static; clip-path: none }}
  .compare input, .compare .pair::after {{ display: none }}
}}
</style>
<div class="pair"><img src="{before}" alt="{left}"><img src="{after}" alt="{right}"><input type="range" step="any"
  aria-label="{left} or {right}" oninput="this.parentNode.style.setProperty('--at', this.value + '%')"></div>
<figcaption><span>{left}</span><span>{right}</span></figcaption>
</figure>"""


def slider(before: np.ndarray, after: np.ndarray, left: str = "hazy", right: str = "dehazed") -> str:
    """Returns HTML that shows two images over each other with a handle to drag; where scripts are off, side by side.

    before, after: (H, W, 3), uint8, of equal shape; they are embedded as JPEG. left, right: their names.
    Raises ValueError for other arrays.
    """
    for name, image in (("before", before), ("after", after)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"slider: {name} must be (H, W, 3) in uint8, not {image.shape} in {image.dtype}.")
    if before.shape != after.shape:
        raise ValueError(f"slider: before {before.shape} and after {after.shape} must be alike.")
    return PAGE.format(width=before.shape[1], before=_embedded(before), after=_embedded(after),
                       left=html.escape(left), right=html.escape(right))


def _embedded(image: np.ndarray) -> str:
    """Returns an image as a data URL."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
