"""NYU Depth v2 labelled frames as RESIDE uses them: clear images and relative depths of the scenes 1..1399.

RESIDE's id k is labelled frame k-1 (0-based), flipped left-right and cropped by 10 pixels a side. Measured
on genuine files (tests/test_nyu.py): ids 1 and 2 of ITS match at 39.0 and 38.7 dB, the gap being JPEG loss.
"""

import functools
from pathlib import Path

import h5py
import numpy as np

from dehazelib.data.images import (
    NYU_SIZE,
    DataError,
    depth_size,
    faults,
    list_images,
    read_depth_png,
    read_rgb,
    rgb_size,
)

FIRST_TEST_ID = 1400  # RESIDE's SOTS-indoor test scenes are 1400..1449
FRAMES = 1449         # labelled frames in the official file
MAT_NAME = "nyu_depth_v2_labeled.mat"
SPLITS = Path(__file__).parent / "splits"


class Nyu:
    """Clear images and relative depths of the training scenes.

    root: the official `nyu_depth_v2_labeled.mat` by this or another name, or a folder holding it (also in `nyu/`), or a
    folder with `nyu/rgb/<id>` and `nyu/depth/<id>` (also without `nyu/`); the .mat file wins where both are there.
    `ids`: at most 1..1399. `source`: what was opened. `files`: what a manifest should list.
    Raises FileNotFoundError if there is neither; DataError for frames without their depth or the reverse, for
    names that are not numbers, and for any id >= 1400, which belongs to the SOTS test set.
    """

    def __init__(self, root: Path | str):
        self.source = locate(root)
        if self.source is None:
            raise FileNotFoundError(f"{root}: neither {MAT_NAME} nor nyu/rgb and nyu/depth here; download "
                                    "the labelled data set from the NYU Depth v2 page into this folder")
        if self.source.is_file():
            check_mat(self.source)
            self.ids = list(range(1, FIRST_TEST_ID))
            self.files = [self.source]
        else:
            self._paths = folder_frames(self.source)
            self.ids = list(self._paths)
            self.files = [path for frame in self._paths.values() for path in frame.values()]

    def clear(self, id: int) -> np.ndarray:
        """Returns the clear image, uint8 (460, 620, 3). id: one of `ids`, else DataError."""
        return reside_view(self._frame(id, "images"))

    def depth(self, id: int) -> np.ndarray:
        """Returns the depth over its own maximum, float32 (460, 620) in (0, 1]. id: one of `ids`.

        The maximum over the whole frame is the same on all 1,399. Raises DataError for any other id.
        """
        metres = reside_view(self._frame(id, "depths"))  # (460, 620)
        return (metres / metres.max()).astype(np.float32)

    def file_problems(self, deep: bool = False) -> list[str]:
        """Returns a line for each frame that cannot be used, from the files' headers; deep: by decoding them all."""
        if deep:
            return faults(self.clear, self.ids) + faults(self.depth, self.ids)
        if self.source.is_file():
            return []  # sizes and types of the .mat file are those of its two arrays
        images, depths = (functools.partial(self._path, kind) for kind in ("images", "depths"))
        return faults(images, self.ids) + faults(depths, self.ids)

    def _frame(self, id: int, kind: str) -> np.ndarray:
        """Returns one frame, (480, 640, 3) or (480, 640)."""
        if id not in self.ids:
            reason = "belongs to the SOTS test set" if id >= FIRST_TEST_ID else "is not there"
            raise DataError(f"{self.source}: id {id} {reason}; ask for one of .ids")
        if self.source.is_file():
            return self._read_mat(id, kind)
        read = read_rgb if kind == "images" else read_depth_png
        return read(self._path(kind, id))

    def _path(self, kind: str, id: int) -> Path:
        """Returns the file of a frame. Raises DataError if its header tells that it cannot be used."""
        path = self._paths[id][kind]
        height, width = rgb_size(path) if kind == "images" else depth_size(path)
        if (height, width) != NYU_SIZE:
            raise DataError(f"{path}: {width}x{height} pixels, expected 640x480; use the uncropped labelled frames")
        return path

    def _read_mat(self, id: int, kind: str) -> np.ndarray:
        with h5py.File(self.source) as file:  # per read: workers cannot share an open file
            frame = file[kind][id - 1].T  # MATLAB order: ([3,] 640, 480) becomes (480, 640[, 3])
        if kind == "depths" and not (np.isfinite(frame).all() and frame.min() > 0):
            raise DataError(f"{self.source}: depth {id} has unmeasured pixels; download the file again")
        return frame


def locate(root: Path | str) -> Path | None:
    """Returns the path of the .mat file, or of the folder that holds rgb/ and depth/, or None."""
    root = Path(root).expanduser()
    if root.is_file() and root.suffix.lower() == ".mat":
        return root
    folders = [folder for folder in (root, root / "nyu") if folder.is_dir()]
    mats = [mat for folder in folders for mat in _mat_files(folder)]
    if mats:
        return mats[0]
    return next((folder for folder in reversed(folders) if (folder / "rgb").is_dir() and (folder / "depth").is_dir()),
                None)


def _mat_files(folder: Path) -> list[Path]:
    """Returns the files that may be the labelled data set, the one with the official name first."""
    mats = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".mat"]
    renamed = [path for path in mats if "nyu" in path.name.lower() or "labeled" in path.name.lower()]
    return sorted(renamed, key=lambda path: path.name != MAT_NAME)


def folder_frames(folder: Path) -> dict[int, dict[str, Path]]:
    """Returns {id: {"images": path, "depths": path}} of a folder with rgb/<id> and depth/<id>, sorted by id.

    Raises DataError as `Nyu` does.
    """
    rgb, depth = (_by_number(folder / name) for name in ("rgb", "depth"))
    unpaired = sorted(rgb.keys() ^ depth.keys())
    wrong = [id for id in sorted(rgb) if not 1 <= id < FIRST_TEST_ID]
    if unpaired:
        raise DataError(f"{folder}: {len(unpaired)} ids have but one of rgb and depth, first {unpaired[:5]}; "
                        "complete or remove them")
    if not rgb:
        raise DataError(f"{folder}: rgb and depth are empty; put <id>.jpg and <id>.png there")
    if wrong:
        raise DataError(f"{folder}: ids {wrong[:5]} are not training scenes (1..1399); an id of 1400 or more "
                        "belongs to the SOTS test set: remove it")
    return {id: {"images": rgb[id], "depths": depth[id]} for id in sorted(rgb)}


def check_mat(path: Path) -> None:
    """Raise DataError unless path is the official labelled file with its two data sets in MATLAB order."""
    expected = {"images": (FRAMES, 3, 640, 480), "depths": (FRAMES, 640, 480)}
    try:
        with h5py.File(path) as file:
            found = {name: file[name].shape if name in file else None for name in expected}
    except OSError as error:
        raise DataError(f"{path}: not a readable MATLAB 7.3 file ({error}); download it again") from error
    if found != expected:
        raise DataError(f"{path}: expected {expected}, found {found}; use the labelled data set, {MAT_NAME}")


def reside_view(frame: np.ndarray) -> np.ndarray:
    """Returns RESIDE's view of an NYU frame, (480, 640) or (480, 640, 3): flipped left-right, then 10 pixels off every
    side; contiguous. Source: measured on genuine files."""
    return np.ascontiguousarray(frame[:, ::-1][10:-10, 10:-10])


def split(ids: list[int], where: Path) -> tuple[list[int], list[int]]:
    """Returns (training, validation) ids out of those that are there, for NYU and ITS alike.

    Raises DataError, naming the folder `where`, if there is none for one of the two.
    """
    held_out, left_out = set(read_split("nyu_validation")), set(read_split("nyu_excluded"))
    training = [id for id in ids if id not in held_out | left_out]
    validation = [id for id in ids if id in held_out]
    if not training or not validation:
        lacking = "training" if not training else "validation"
        raise DataError(f"{where}: none of its {len(ids)} scenes is one of the study's {lacking} scenes "
                        f"(dehazelib/data/splits/nyu_{'train' if not training else lacking}.txt); add some of them")
    return training, validation


def read_split(name: str) -> list[int]:
    """Returns the sorted ids of a split; the files' first lines say how they were chosen.

    name: "nyu_train" (1,289 ids), "nyu_validation" (50) or "nyu_excluded" (60, neighbours of validation), which
    hold for ITS and NYU alike; "sots_rooms", the first test id of each room (see `sots_rooms`).
    """
    return [int(line) for line in (SPLITS / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]


def sots_rooms() -> dict[int, str]:
    """Returns the room that each SOTS-indoor scene shows, {1400: name, ..., 1449: name}, called after its first scene.

    Frames of one room are not independent: the 50 scenes show 14 rooms, the units of intervals.
    """
    first = read_split("sots_rooms")
    return {id: str(max(start for start in first if start <= id)) for id in range(FIRST_TEST_ID, FRAMES + 1)}


def _by_number(folder: Path) -> dict[int, Path]:
    paths = list_images(folder)
    odd = [path.name for path in paths if not path.stem.isdecimal()]
    if odd:
        raise DataError(f"{folder}: {odd[:5]} are not ids; name the files 1.jpg .. 1399.jpg (depth: .png)")
    numbered = {int(path.stem): path for path in paths}
    if len(numbered) < len(paths):
        twice = [path.name for path in paths if path not in numbered.values()]
        raise DataError(f"{folder}: {twice[:5]} are there in another format too; keep one of each")
    return numbered
