"""The three sources of images: embedded rooms, RESIDE's own folders, NYU Depth v2."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dehazelib import haze
from dehazelib.data import check, nyu, reside
from dehazelib.data.cache import cached_folder
from dehazelib.data.images import RESIDE_SIZE, DataError
from dehazelib.data.manifest import COLUMNS, keep, manifest, manifest_id
from dehazelib.data.pairs import Frames, Pair, Pairs
from dehazelib.data.rooms import scenes as rooms
from dehazelib.files import write_text

ROOMS_LEVELS = (1, 5, 9)  # of SOTS's ten haze levels, for the rooms test scenes

MADE = "manifest.txt"  # beside the embedded scenes, the id of what was made


@dataclass(frozen=True)
class Data:
    """All splits of one data source, and the identity of its files."""

    name: str  # rooms, nyu, its
    where: str  # what open_data was given
    manifest: str  # first 12 hex digits of the manifest's SHA-256
    train: Pairs
    validation: Pairs  # scenes held out from the training scenes
    tests: dict[str, Pairs]  # the first one is the one that the tables report


def open_data(where: str = "rooms") -> Data:
    """Returns the data at `where`: "rooms" (embedded, made on first use) or a folder with RESIDE's SOTS-indoor and
    either its ITS or NYU Depth v2.

    Raises FileNotFoundError if there is no such folder; DataError, saying what is missing and how to lay it out.
    """
    return _rooms() if where == "rooms" else _real(Path(where).expanduser())


def open_tests(where: str = "rooms") -> dict[str, Pairs]:
    """Returns the test sets alone of the data at `where`, which need not hold training data; raises as open_data."""
    return _rooms().tests if where == "rooms" else _tests(check.open_tests(where))


@functools.cache
def source(where: str) -> str:
    """Returns what open_data(where).name will be, without opening anything but the folder's listing."""
    if where == "rooms":
        return "rooms"
    return "nyu" if isinstance(check.find_training(where), nyu.Nyu) else "its"


# ----------------------------------------------------------------------------------------------- the embedded rooms


def _rooms() -> Data:
    folder = cached_folder(f"rooms-v{rooms.ROOMS_VERSION}", _write_rooms)
    arrays = _room_arrays(folder)
    identity, made = _arrays_id(arrays), folder / MADE
    if made.exists() and made.read_text() != identity:  # earlier versions did not write it
        raise DataError(f"{folder}: damaged (the images have changed since they were made): remove it, and they are "
                        "made again.")

    def pairs(name: str, split: str, items: list[Pair]) -> Pairs:
        frames = Frames(arrays[split, "clear"], arrays[split, "depth"], {i: i for i in range(rooms.SPLITS[split])})
        return Pairs.of_frames(name, items, frames)

    train = [Pair(f"{i:02d}", i) for i in range(rooms.SPLITS["train"])]
    validation = [_its_draw(i) for i in range(rooms.SPLITS["validation"])]
    test = [_sots_level(i, level) for i in range(rooms.SPLITS["test"]) for level in ROOMS_LEVELS]
    return Data("rooms", "rooms", identity,
                pairs("rooms_train", "train", train), pairs("rooms_validation", "validation", validation),
                {"rooms": pairs("rooms", "test", test), "motorcycle": _motorcycle()})


def _write_rooms(folder: Path) -> None:
    for split in rooms.SPLITS:
        clear, depth = rooms.make(split)
        np.save(folder / f"{split}-clear.npy", clear)
        np.save(folder / f"{split}-depth.npy", depth)
    write_text(folder / MADE, _arrays_id(_room_arrays(folder)))


def _room_arrays(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    return {(split, kind): np.load(folder / f"{split}-{kind}.npy", mmap_mode="c")
            for split in rooms.SPLITS for kind in ("clear", "depth")}


def _arrays_id(arrays: dict[tuple[str, str], np.ndarray]) -> str:
    """Returns the manifest id of the embedded scenes: like that of files, over the arrays' contents."""
    rows = [(f"{split}/{kind}", array.nbytes, hashlib.sha256(array).hexdigest())
            for (split, kind), array in arrays.items()]
    return manifest_id(pd.DataFrame(rows, columns=COLUMNS))


def _motorcycle() -> Pairs:
    clear, depth = rooms.motorcycle()
    relative = (depth / depth.max()).astype(np.float32)
    pairs = [_sots_level(0, level) for level in ROOMS_LEVELS]
    return Pairs("motorcycle", pairs, clear[None].__getitem__, relative[None].__getitem__)


def _its_draw(scene: int) -> Pair:
    airlight, beta = haze.its_draw(scene)
    return Pair(f"{scene}_1", scene, airlight=airlight, beta=beta)


def _sots_level(scene: int, level: int) -> Pair:
    return Pair(f"{scene}_{level}", scene, airlight=haze.SOTS_AIRLIGHT, beta=haze.sots_beta(level))


# -------------------------------------------------------------------------------------------------- real images


def _real(root: Path) -> Data:
    training, tests = check.open_training(root), check.open_tests(root, indoor=True)
    identity = keep(manifest(training.files + tests[0].files, root))  # of what the tables rest on
    if isinstance(training, nyu.Nyu):
        frames = Frames(*_decoded_nyu(training, identity), {k: i for i, k in enumerate(training.ids)})
        reader = dict(clear=frames.clear, depth=frames.depth, frames=frames)
        trained, held_out = nyu.split(training.ids, training.source)
        train, validation, name = [Pair(str(k), k) for k in trained], [_its_draw(k) for k in held_out], "nyu"
    else:
        reader = dict(clear=training.clear, hazy=training.hazy, size=RESIDE_SIZE)
        first = {pair.scene: pair for pair in reversed(training.pairs)}
        trained, held_out = nyu.split(training.scenes, training.folder)
        train = [_existing(pair) for pair in training.pairs if pair.scene in set(trained)]
        validation, name = [_existing(first[k]) for k in held_out], "its"
    return Data(name, str(root), identity, Pairs(f"{name}_train", train, **reader),
                Pairs(f"{name}_validation", validation, **reader), _tests(tests))


def _tests(folders: list[reside.PairFolder]) -> dict[str, Pairs]:
    tests = {}
    for folder in folders:
        name = "sots_indoor" if folder.layout is reside.SOTS else "sots_outdoor"
        tests[name] = Pairs(name, [_existing(pair) for pair in folder.pairs], folder.clear, hazy=folder.hazy)
    return tests


def _existing(pair: reside.HazyName) -> Pair:
    return Pair(pair.name, pair.scene, file=pair.name)


def _decoded_nyu(training: nyu.Nyu, identity: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns all scenes, decoded once and then mapped from the cache: (n, 460, 620, 3) uint8, (n, 460, 620) uint16."""

    def build(folder: Path) -> None:
        shape = (len(training.ids), *RESIDE_SIZE)
        clear = np.lib.format.open_memmap(folder / "clear.npy", "w+", np.uint8, (*shape, 3))
        depth = np.lib.format.open_memmap(folder / "depth.npy", "w+", np.uint16, shape)
        for i, k in enumerate(training.ids):
            clear[i] = training.clear(k)
            depth[i] = (training.depth(k) * 65535).round()

    folder = cached_folder(f"nyu-{identity}", build)
    return np.load(folder / "clear.npy", mmap_mode="c"), np.load(folder / "depth.npy", mmap_mode="c")
