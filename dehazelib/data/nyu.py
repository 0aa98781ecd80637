"""NYU Depth v2 labelled frames as RESIDE uses them: clear images and relative depths of the scenes 1..1399.

RESIDE's id k is labelled frame k-1 (0-based), flipped left-right and cropped by 10 pixels a side. Measured
on genuine files (tests/test_nyu.py): ids 1 and 2 of ITS match at 39.0 and 38.7 dB, the gap being JPEG loss.
"""

from pathlib import Path

import h5py
import numpy as np

from dehazelib.data.images import NYU_SIZE, DataError, list_images, read_depth_png, read_rgb

FIRST_TEST_ID = 1400  # RESIDE's SOTS-indoor test scenes are 1400..1449
FRAMES = 1449         # labelled frames in the official file
MAT_NAME = "nyu_depth_v2_labeled.mat"
SPLITS = Path(__file__).parent / "splits"


class Nyu:
    """Clear images and relative depths of the training scenes.

    root: the official `nyu_depth_v2_labeled.mat`, or a folder holding it (also in `nyu/`), or a folder with
    `nyu/rgb/<id>` and `nyu/depth/<id>` (also without `nyu/`); the .mat file wins where both are there.
    Attributes: `ids`, the sorted list of ids (at most 1..1399); `source`, the path that was opened;
    `files`, all files a manifest should list.
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

        The maximum is taken over the cropped view; over the whole frame it is the same on all 1,399 frames
        (8-bit depths), so genuine files cannot tell which of the two RESIDE took.
        Raises DataError for any other id.
        """
        metres = reside_view(self._frame(id, "depths"))  # (460, 620)
        return (metres / metres.max()).astype(np.float32)

    def _frame(self, id: int, kind: str) -> np.ndarray:
        if id not in self.ids:
            reason = "belongs to the SOTS test set" if id >= FIRST_TEST_ID else "is not there"
            raise DataError(f"{self.source}: id {id} {reason}; ask for one of .ids")
        frame = self._read_mat(id, kind) if self.source.is_file() else self._read_folder(id, kind)
        if frame.shape[:2] != NYU_SIZE:
            raise DataError(f"{self.source}: {kind} {id} has {frame.shape[1]}x{frame.shape[0]} pixels, "
                            "expected 640x480; use the uncropped labelled frames")
        return frame

    def _read_mat(self, id: int, kind: str) -> np.ndarray:
        with h5py.File(self.source) as file:  # per read: workers cannot share an open file
            frame = file[kind][id - 1].T  # MATLAB order: ([3,] 640, 480) becomes (480, 640[, 3])
        if kind == "depths" and not (np.isfinite(frame).all() and frame.min() > 0):
            raise DataError(f"{self.source}: depth {id} has unmeasured pixels; download the file again")
        return frame

    def _read_folder(self, id: int, kind: str) -> np.ndarray:
        return (read_rgb if kind == "images" else read_depth_png)(self._paths[id][kind])


def locate(root: Path | str) -> Path | None:
    """Returns the path of the .mat file, or of the folder that holds rgb/ and depth/, or None."""
    root = Path(root)
    if root.is_file() and root.suffix == ".mat":
        return root
    for mat in (root / MAT_NAME, root / "nyu" / MAT_NAME):
        if mat.is_file():
            return mat
    return next((f for f in (root / "nyu", root) if (f / "rgb").is_dir() and (f / "depth").is_dir()), None)


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
    """Returns RESIDE's view of an NYU frame: flipped left-right, then 10 pixels off every side.

    frame: (480, 640) or (480, 640, 3). Result: contiguous (460, 620) or (460, 620, 3).
    Source: measured on genuine files; equals the box (10, 10, 630, 470) of the flipped frame.
    """
    return np.ascontiguousarray(frame[:, ::-1][10:-10, 10:-10])


def read_split(name: str) -> list[int]:
    """Returns the sorted ids of a split, a list of int; the files' first lines say how they were chosen.

    name: "nyu_train" (1,289 ids), "nyu_validation" (50) or "nyu_excluded" (60, neighbours of validation);
    they hold for ITS and NYU alike.
    Raises ValueError for another name.
    """
    path = SPLITS / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SPLITS.glob("*.txt")))
        raise ValueError(f"no split called {name!r}; choose one of {known}")
    return [int(line) for line in path.read_text().splitlines() if not line.startswith("#")]


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
