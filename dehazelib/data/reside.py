"""RESIDE's indoor sets from their official folders: ITS for training, SOTS-indoor for testing.

Source: Li et al., "Benchmarking Single-Image Dehazing and Beyond", IEEE TIP 2019; release "RESIDE-Standard".
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dehazelib.data.images import RESIDE_SIZE, DataError, centre_crop, find_by_stem, list_images, read_rgb
from dehazelib.data.nyu import FIRST_TEST_ID

ITS_NAME = re.compile(r"(?P<scene>[1-9]\d*)_(?P<draw>\d+)_(?P<airlight>[01]?\.\d+|[01])$")  # 1_1_0.90179
SOTS_NAME = re.compile(r"(?P<scene>[1-9]\d*)_(?P<level>[1-9]|10)$")                         # 1400_3
ITS_FOLDERS = ("ITS", "its", ".")
SOTS_FOLDERS = ("SOTS/indoor", "SOTS/indoor/nyuhaze500", "SOTS/indoor/indoor", "SOTS/SOTS/indoor", "SOTS",
                "indoor", "indoor/indoor", "nyuhaze500", ".")
SHOWN = 5  # names listed in a message before "..."


class Its:
    """RESIDE's Indoor Training Set: clear/<id> (or gt/) and hazy/<id>_<k>_<A>, optionally trans/<id>_<k>.

    root: the folder with clear/ and hazy/, or the one that holds it as ITS/ or its/.
    Attributes: `pairs`, list of (id, hazy name) sorted by id and k; `folder`, the path that was opened;
    `files`, all files a manifest should list.
    Raises FileNotFoundError if there is none; DataError for empty folders, names of another form, an image
    twice, a hazy image without its clear one or the reverse, and ids >= 1400, which are SOTS test scenes.
    """

    def __init__(self, root: Path | str):
        listing = open_listing(root, "ITS")
        self.folder, self._clear, self._hazy = listing.folder, listing.clear, listing.hazy
        self.files = [*listing.clear.values(), *listing.hazy.values()]
        fields = {name: ITS_NAME.match(name) for name in listing.hazy}
        keys = sorted((int(m["scene"]), int(m["draw"]), name) for name, m in fields.items())
        self.pairs = [(scene, name) for scene, _, name in keys]

    def clear(self, id: int) -> np.ndarray:
        """Returns the clear image, uint8 (460, 620, 3); a 640x480 original is centre-cropped."""
        return read_view(_get(self._clear, str(id), self.folder))

    def hazy(self, name: str) -> np.ndarray:
        """Returns the hazy image, uint8 (460, 620, 3). name: as in `pairs`."""
        return read_hazy(_get(self._hazy, name, self.folder))

    def airlight(self, name: str) -> float:
        """Returns the airlight A, which the third field of a hazy image's name tells."""
        return float(ITS_NAME.match(name)["airlight"])

    def transmission(self, name: str) -> np.ndarray:
        """Returns the transmission of a hazy image, float32 (460, 620) in [0, 1], from trans/<id>_<k>.

        Raises FileNotFoundError where this copy has no trans/ or not that file.
        """
        folder = subfolder(self.folder, "trans")
        if folder is None:
            raise FileNotFoundError(f"{self.folder}: no trans folder; unpack ITS's transmission maps there")
        grey = read_view(find_by_stem(folder, name.rpartition("_")[0]))[..., 0]  # three equal channels
        return (grey / 255).astype(np.float32)


class Sots:
    """RESIDE's SOTS-indoor test pairs: gt/<scene> (or clear/) and hazy/<scene>_<level>, scenes 1400..1449.

    root: any of the data root, SOTS, SOTS/indoor, or a folder with gt/ and hazy/.
    Attributes: `pairs`, list of (hazy name, scene, level) sorted by both; `folder` and `files` as in `Its`.
    Raises FileNotFoundError if there is none; DataError as `Its` does, and for scenes below 1400.
    """

    def __init__(self, root: Path | str):
        listing = open_listing(root, "SOTS")
        self.folder, self._clear, self._hazy = listing.folder, listing.clear, listing.hazy
        self.files = [*listing.clear.values(), *listing.hazy.values()]
        fields = {name: SOTS_NAME.match(name) for name in listing.hazy}
        keys = sorted((int(m["scene"]), int(m["level"]), name) for name, m in fields.items())
        self.pairs = [(name, scene, level) for scene, level, name in keys]

    def clear(self, scene: int) -> np.ndarray:
        """Returns the ground truth, uint8 (460, 620, 3); a 640x480 original is centre-cropped."""
        return read_view(_get(self._clear, str(scene), self.folder))

    def hazy(self, name: str) -> np.ndarray:
        """Returns the hazy image, uint8 (460, 620, 3). name: as in `pairs`."""
        return read_hazy(_get(self._hazy, name, self.folder))


@dataclass
class Listing:
    """What one folder of pairs holds: images by stem, and what is wrong with them in words."""
    folder: Path
    clear: dict[str, Path]
    hazy: dict[str, Path]
    problems: list[str]


def open_listing(root: Path | str, kind: str) -> Listing:
    """Returns the Listing of a sound folder; raise as `Its` and `Sots` say. kind: "ITS" or "SOTS"."""
    folder = locate(root, kind)
    if folder is None:
        raise FileNotFoundError(f"{root}: no {kind} here; expected {FORMS[kind].layout}")
    listing = scan(folder, kind)
    if listing.problems:
        raise DataError(f"{folder}: {'; '.join(listing.problems)}. Expected {FORMS[kind].layout}")
    return listing


def locate(root: Path | str, kind: str) -> Path | None:
    """Returns the folder under root with this kind's hazy images, or None.

    A folder counts when one of its hazy/ names has the kind's form, so that ITS is never taken for SOTS.
    Failing that, the first one counts that is named after the kind or has an empty hazy/: it has a fault.
    """
    form, faulty = FORMS[kind], None
    for name in form.folders:
        folder = Path(root) / name
        hazy = subfolder(folder, "hazy")
        images = list_images(hazy) if hazy else []
        if any(form.pattern.match(path.stem) for path in images):
            return folder
        named = kind.lower() in f"{Path(root).name}/{name}".lower().split("/")
        partial = hazy or subfolder(folder, "clear") or subfolder(folder, "gt")
        if faulty is None and partial and (named or hazy and not images):
            faulty = folder
    return faulty


def scan(folder: Path, kind: str) -> Listing:
    """Returns the Listing of a folder: pairs matched by name, no image decoded. kind: "ITS" or "SOTS"."""
    form, problems = FORMS[kind], []
    clear = _by_stem(subfolder(folder, "clear") or subfolder(folder, "gt"), "clear (or gt)", problems)
    hazy = _by_stem(subfolder(folder, "hazy"), "hazy", problems)
    fields = {name: form.pattern.match(name) for name in hazy}
    odd = [name for name, field in fields.items() if field is None]
    scene_of = {name: field["scene"] for name, field in fields.items() if field}
    _note(problems, f"hazy names are not of the form {form.example}", odd)
    _note(problems, "hazy images have no clear image", [n for n, s in scene_of.items() if s not in clear])
    _note(problems, "clear images have no hazy image", sorted(set(clear) - set(scene_of.values())))
    wrong = sorted({s for s in scene_of.values() if (int(s) >= FIRST_TEST_ID) != (kind == "SOTS")}, key=int)
    _note(problems, "ids belong to the SOTS test set" if kind == "ITS" else "ids are training scenes", wrong)
    return Listing(Path(folder), clear, hazy, problems)


def read_view(path: Path) -> np.ndarray:
    """Returns an image as uint8 (460, 620, 3), centre-cropped if 640x480; DataError for any other size."""
    return np.ascontiguousarray(centre_crop(read_rgb(path), RESIDE_SIZE, name=path))


def read_hazy(path: Path) -> np.ndarray:
    """Returns a hazy image, uint8 (460, 620, 3); DataError for any other size, also 640x480."""
    image = read_rgb(path)
    if image.shape[:2] != RESIDE_SIZE:
        raise DataError(f"{path}: {image.shape[1]}x{image.shape[0]} pixels, RESIDE's hazy images have "
                        "620x460; use the original file")
    return image


def subfolder(folder: Path | str, name: str) -> Path | None:
    """Returns the folder inside folder that is called name in any mixture of capitals, or None."""
    folder = Path(folder)
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if p.name.lower() == name and p.is_dir()), None)


@dataclass(frozen=True)
class Form:
    """How one kind of folder looks: where it may lie under a root, its hazy names, its layout in words."""
    folders: tuple[str, ...]
    pattern: re.Pattern
    example: str
    layout: str


FORMS = {
    "ITS": Form(ITS_FOLDERS, ITS_NAME, "1_1_0.90179", "ITS/clear/<id>.png and ITS/hazy/<id>_<k>_<A>.png"),
    "SOTS": Form(SOTS_FOLDERS, SOTS_NAME, "1400_3",
                 "SOTS/indoor/gt/<scene>.png and SOTS/indoor/hazy/<scene>_<level>.png"),
}


def _by_stem(folder: Path | None, name: str, problems: list[str]) -> dict[str, Path]:
    if folder is None:
        problems.append(f"no folder {name}")
        return {}
    images, twice = {}, []
    for path in list_images(folder):
        if path.stem in images:
            twice.append(path.stem)
        images[path.stem] = path
    if not images:
        problems.append(f"folder {folder.name} is empty")
    _note(problems, f"images are in {folder.name} twice, in different formats", twice)
    return images


def _note(problems: list[str], what: str, names: list[str]) -> None:
    if names:
        more = ", ..." if len(names) > SHOWN else ""
        problems.append(f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}")


def _get(images: dict[str, Path], name: str, folder: Path) -> Path:
    if name not in images:
        raise FileNotFoundError(f"{folder}: no image called {name}; take names from .pairs")
    return images[name]
