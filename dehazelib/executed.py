"""Executed copies of the notebooks, small enough to be committed: notebooks/executed, read in a browser without any
installation. `dehazelib notebooks` makes them of a study; nothing else writes there."""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

from dehazelib import paths
from dehazelib.figures.compressed import compressed
from dehazelib.files import write_bytes, write_text

FOLDER = paths.NOTEBOOKS / "executed"
MOST_MB = 4.0  # of all copies together
WIDTH = 1000  # pixels of an image, the most
PICTURE = 260  # pixels: width of the picture of a notebook in README.md's table
BEFORE_AFTER = "before_after"  # the figure at the top of README.md
KEPT = ("kernelspec", "language_info")  # of a notebook's metadata; others name folders and times


def copy_all(executed: Path, target: Path = FOLDER) -> list[Path]:
    """Returns the copies made of the executed notebooks in a study's folder, and the pictures of them for README.md.

    Raises FileNotFoundError if there are none, ValueError if the copies would take more than MOST_MB; then nothing is
    written.
    """
    sources = sorted(executed.glob("0*.ipynb"))
    sources = [source for source in sources if not source.name.endswith(".running.ipynb")]
    if not sources:
        raise FileNotFoundError(f"{executed} holds no executed notebooks: run dehazelib study first.")
    copies = {target / source.name: small_copy(source) for source in sources}
    megabytes = {file.name: len(text.encode()) / 1e6 for file, text in copies.items()}
    if sum(megabytes.values()) > MOST_MB:
        sizes = ", ".join(f"{name} {size:.1f}" for name, size in megabytes.items())
        raise ValueError(f"The copies take {sum(megabytes.values()):.1f} MB, more than {MOST_MB:g}: {sizes}.")
    target.mkdir(parents=True, exist_ok=True)
    for file, text in copies.items():
        write_text(file, text)
    return [*copies, *_pictures(sources, target), _before_after(executed.parent, target)]


def _pictures(sources: list[Path], target: Path) -> list[Path]:
    """Writes the first image of each notebook, small, beside the copies. Returns the files."""
    files = []
    for source in sources:
        images = (output["data"]["image/png"] for cell in nbformat.read(source, as_version=4).cells
                  for output in cell.get("outputs", []) if "image/png" in output.get("data", {}))
        first = next(images, None)
        if first is None:
            raise ValueError(f"{source} shows no image for README.md's table of notebooks.")
        files.append(_jpeg(base64.b64decode(first), target / f"{source.stem}.jpg", PICTURE))
    return files


def _before_after(study: Path, target: Path) -> Path:
    return _jpeg((study / "figures" / f"{BEFORE_AFTER}.png").read_bytes(), target / f"{BEFORE_AFTER}.jpg", WIDTH)


def _jpeg(png: bytes, file: Path, width: int) -> Path:
    image = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
    image.thumbnail((width, image.height))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85, optimize=True)
    write_bytes(file, content.getvalue())
    return file


def small_copy(source: Path) -> str:
    """Returns an executed notebook as JSON, its images compressed and without what changes each time: times, folders
    and the order in which cells got their ids."""
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata = {name: notebook.metadata[name] for name in KEPT if name in notebook.metadata}
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        cell.id = f"cell-{number}"
        for output in cell.get("outputs", []):
            _compress(output.get("data", {}))
    return nbformat.writes(notebook) + "\n"


def _compress(data: dict) -> None:
    """Compresses the PNG that an output shows."""
    if "image/png" not in data:
        return
    kind, content = compressed(base64.b64decode(data.pop("image/png")), WIDTH)
    data[kind] = base64.b64encode(content).decode()
