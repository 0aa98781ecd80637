"""RESIDE's folders of pairs: ITS for training, SOTS-indoor and SOTS-outdoor for testing.

Source: Li et al., "Benchmarking Single-Image Dehazing and Beyond", IEEE TIP 2019; release "RESIDE-Standard".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dehazelib.data.images import RESIDE_SIZE, DataError, border, centre_crop, faults, list_images, read_rgb, rgb_size
from dehazelib.data.nyu import FIRST_TEST_ID

SHOWN = 5  # names listed in a message before "..."


@dataclass(frozen=True)
class Layout:
    """How one of RESIDE's sets lies on a disk, in its releases and in copies that are passed on."""

    kind: str
    folders: tuple[str, ...]  # where it may lie below a root, in any capitals
    named: tuple[str, ...]    # folders called so hold this set, or it has a fault
    hazy_name: re.Pattern
    example: str
    layout: str
    size: tuple[int, int] | None  # height, width of hazy images; None: each has its own, that of its clear image


ITS = Layout(
    "ITS", ("ITS", "ITS_v2", "train", "."), ("its", "its_v2"),
    re.compile(r"(?P<scene>[1-9]\d*)_(?P<level>\d+)_(?P<airlight>[01]?\.\d+|[01])$"), "1_1_0.90179",
    "ITS/clear/<id>.png and ITS/hazy/<id>_<k>_<A>.png", RESIDE_SIZE)
SOTS = Layout(
    "SOTS", ("SOTS/indoor", "SOTS/indoor/nyuhaze500", "SOTS/indoor/indoor", "SOTS/SOTS/indoor", "SOTS", "indoor",
             "indoor/indoor", "nyuhaze500", "test", "."), ("sots",),
    re.compile(r"(?P<scene>[1-9]\d*)_(?P<level>[1-9]|10)$"), "1400_3",
    "SOTS/indoor/gt/<scene>.png and SOTS/indoor/hazy/<scene>_<level>.png", RESIDE_SIZE)
OUTDOOR = Layout(
    "SOTS-outdoor", ("SOTS/outdoor", "SOTS/outdoor/outdoor", "SOTS/SOTS/outdoor", "outdoor", "outdoor/outdoor", "test",
                     "."), ("outdoor",),
    re.compile(r"(?P<scene>\d{4})_(?P<airlight>[01]?\.\d+|[01])_(?P<beta>0?\.\d+)$"), "0001_0.8_0.2",
    "SOTS/outdoor/gt/<scene>.png and SOTS/outdoor/hazy/<scene>_<A>_<beta>.jpg", None)
LAYOUTS = (ITS, SOTS, OUTDOOR)


class HazyName(NamedTuple):
    """What the name of a hazy file tells; they sort by scene and level as numbers."""

    scene: int
    level: int  # ITS: number of the draw; SOTS-indoor: haze level; SOTS-outdoor: 0
    name: str
    airlight: float  # 1 where the name does not tell it


class PairFolder:
    """A folder with hazy/<name> and, as clear/ or gt/, each scene's clear image: <scene>, or a copy for every <name>.

    folder: the one with both; `find` looks for it. Nothing is decoded.
    Attributes: `layout`; `folder`; `pairs`, a sorted list of HazyName; `scenes`, theirs; `files`, all that a manifest
    should list; `problems`, what is wrong with the names in it. Images are read only from a folder without any.
    """

    def __init__(self, folder: Path, layout: Layout):
        self.folder, self.layout, self.problems = folder, layout, []
        clear = self._by_stem(("clear", "gt"), "clear (or gt)")
        self._hazy = self._by_stem(("hazy",), "hazy")
        parsed = {name: parse(name, layout) for name in self._hazy}
        self.pairs = sorted(name for name in parsed.values() if name)
        self.scenes = sorted({pair.scene for pair in self.pairs})
        self._clear = {}
        for stem, path in clear.items():
            self._clear.setdefault(self._scene(stem), path)
        self.files = [*self._clear.values(), *self._hazy.values()]
        self._note(f"hazy names are not of the form {layout.example}", [name for name in parsed if not parsed[name]])
        self._note("hazy images have no clear image", [p.name for p in self.pairs if p.scene not in self._clear])
        self._note("clear images have no hazy image", [stem for stem in clear if self._scene(stem) not in self.scenes])
        if layout is ITS:
            self._note("ids belong to the SOTS test set", [str(s) for s in self.scenes if s >= FIRST_TEST_ID])
        if layout is SOTS:
            self._note("ids are training scenes", [str(s) for s in self.scenes if s < FIRST_TEST_ID])

    def clear(self, scene: int) -> np.ndarray:
        """Returns the clear image, uint8 (H, W, 3); of a 640x480 original of the indoor sets, the centre."""
        size = self.clear_size(scene)
        return np.ascontiguousarray(centre_crop(read_rgb(self._clear[scene]), size, self._clear[scene]))

    def hazy(self, name: str) -> np.ndarray:
        """Returns the hazy image, uint8 (H, W, 3). name: as in `pairs`."""
        self.hazy_size(name)
        return read_rgb(self._hazy[name])

    def clear_size(self, scene: int) -> tuple[int, int]:
        """Returns the (height, width) that clear(scene) will have, from the file's header; raises as it would."""
        path = self._get(self._clear, scene)
        size = rgb_size(path)
        wanted = self.layout.size or size
        border(size, wanted, path)
        return wanted

    def hazy_size(self, name: str) -> tuple[int, int]:
        """Returns the (height, width) that hazy(name) will have, from the file's header; raises as it would."""
        path = self._get(self._hazy, name)
        size, wanted = rgb_size(path), self.layout.size or self.clear_size(parse(name, self.layout).scene)
        if size != wanted:
            theirs = "RESIDE's hazy images have" if self.layout.size else "its clear image has"
            raise DataError(f"{path}: {size[1]}x{size[0]} pixels, {theirs} {wanted[1]}x{wanted[0]}; "
                            "use the original file")
        return size

    def file_problems(self, deep: bool = False) -> list[str]:
        """Returns a line for each image that cannot be used, from the files' headers; deep: by decoding them all."""
        clear, hazy = (self.clear, self.hazy) if deep else (self.clear_size, self.hazy_size)
        paired = [pair.name for pair in self.pairs if pair.scene in self._clear]
        return faults(clear, self._clear) + faults(hazy, paired)

    def sound(self) -> "PairFolder":
        """Returns the folder itself. Raises DataError if it has problems."""
        if self.problems:
            raise DataError(f"{self.folder}: {'; '.join(self.problems)}. Expected {self.layout.layout}")
        return self

    def _by_stem(self, names: tuple[str, ...], called: str) -> dict[str, Path]:
        """Returns {stem: path} of the first of these sub-folders that has images; notes what is wrong with it."""
        folders = [folder for folder in (subfolder(self.folder, name) for name in names) if folder]
        if not folders:
            self.problems.append(f"no folder {called}")
            return {}
        folder = next((one for one in folders if list_images(one)), folders[0])
        images, twice = {}, []
        for path in list_images(folder):
            if path.stem in images:
                twice.append(path.stem)
            images[path.stem] = path
        if not images:
            self.problems.append(f"folder {folder.name} is empty")
        self._note(f"images are in {folder.name} twice, in different formats", twice)
        return images

    def _scene(self, stem: str) -> int | str:
        """Returns the scene of a clear image, or its name where that tells none."""
        if stem.isdecimal():
            return int(stem)
        copied = parse(stem, self.layout)
        return copied.scene if copied else stem

    def _note(self, what: str, names: list[str]) -> None:
        if names:
            more = ", ..." if len(names) > SHOWN else ""
            self.problems.append(f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}")

    def _get(self, images: dict, name: int | str) -> Path:
        if name not in images:
            raise FileNotFoundError(f"{self.folder}: no image called {name}; take names from .pairs")
        return images[name]


def parse(name: str, layout: Layout) -> HazyName | None:
    """Returns what a hazy file's name tells, or None if it is not of the layout's form.

    >>> parse("1_2_0.90179", ITS)
    HazyName(scene=1, level=2, name='1_2_0.90179', airlight=0.90179)
    """
    match = layout.hazy_name.match(name)
    if match is None:
        return None
    fields = match.groupdict()
    return HazyName(int(fields["scene"]), int(fields.get("level", 0)), name, float(fields.get("airlight", 1)))


def find(root: Path | str, layout: Layout) -> PairFolder | None:
    """Returns the folder of this layout in root, or in a folder of root that is called RESIDE..., or None.

    A folder is of the layout whose form most of its hazy names have, so that one set is never taken for another.
    Failing that, the first one counts that is named after the layout or has an empty hazy/: it has a fault.
    """
    faulty = None
    for folder, names in _places(Path(root).expanduser(), layout):
        hazy = subfolder(folder, "hazy")
        images = list_images(hazy) if hazy else []
        if _layout_of([path.stem for path in images]) is layout:
            return PairFolder(folder, layout)
        partial = hazy or subfolder(folder, "clear") or subfolder(folder, "gt")
        named = not names.isdisjoint(layout.named)
        if faulty is None and partial and (named or hazy and not images):
            faulty = folder
    return PairFolder(faulty, layout) if faulty else None


def subfolder(folder: Path, path: str) -> Path | None:
    """Returns the folder inside folder with this path, in any mixture of capitals, or None."""
    for name in Path(path).parts:
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        folder = next((p for p in inside if p.name.lower() == name.lower() and p.is_dir()), None)
        if folder is None:
            return None
    return folder if folder.is_dir() else None


def _places(root: Path, layout: Layout) -> Iterator[tuple[Path, set[str]]]:
    """Yields the folders that may be of a layout, each with the names on the way to it in small letters."""
    inside = sorted(root.iterdir()) if root.is_dir() else []
    for base in [root, *(path for path in inside if path.name.lower().startswith("reside"))]:
        for path in layout.folders:
            folder = subfolder(base, path)
            if folder:
                yield folder, {base.name.lower(), *path.lower().split("/")}


def _layout_of(names: list[str]) -> Layout | None:
    """Returns the layout whose form most of these hazy names have, or None if they have the form of none."""
    counts = {layout: sum(parse(name, layout) is not None for name in names) for layout in LAYOUTS}
    best = max(LAYOUTS, key=counts.get)
    return best if counts[best] else None
