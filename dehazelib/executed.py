"""Executed copies of the notebooks, small enough to be committed: notebooks/executed, read in a browser without any
installation. `dehazelib notebooks` makes them of a study; nothing else writes there."""

import base64
from pathlib import Path

import nbformat

from dehazelib import paths
from dehazelib.figures.compressed import compressed
from dehazelib.files import write_text

FOLDER = paths.NOTEBOOKS / "executed"
MOST_MB = 4.0  # of all copies together
WIDTH = 1000  # pixels of an image, the most
KEPT = ("kernelspec", "language_info")  # of a notebook's metadata; others name folders and times


def copy_all(executed: Path, target: Path = FOLDER) -> list[Path]:
    """Returns the copies made of the executed notebooks in a folder. Raises FileNotFoundError if there are none,
    ValueError if they would take more than MOST_MB; then nothing is written."""
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
    return list(copies)


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
