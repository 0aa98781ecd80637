"""One data set object, Pairs, over three sources: procedural rooms, official RESIDE folders, NYU Depth v2."""

import dataclasses
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dehazelib import haze, paths
from dehazelib.data import check, nyu, reside
from dehazelib.data.images import RESIDE_SIZE
from dehazelib.data.manifest import COLUMNS, manifest, manifest_id
from dehazelib.data.rooms import scenes as rooms
from dehazelib.files import held

ROOMS_LEVELS = (1, 5, 9)  # of SOTS's ten haze levels, for the rooms test scenes


@dataclass(frozen=True)
class Pair:
    """One hazy image and the clear scene behind it. With neither file nor airlight, haze is drawn afresh each time."""

    name: str  # "1400_3"
    scene: int  # where the source keeps the clear image
    file: str = ""  # hazy image to read
    airlight: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True)
class Frames:
    """Decoded scenes of one size in two arrays, which may be mapped files or move to a GPU (data/resident.py)."""

    images: np.ndarray  # (n, H, W, 3) uint8, clear
    depths: np.ndarray  # (n, H, W) uint16, depth over its own maximum x 65535
    places: dict[int, int]  # scene -> position in the arrays

    def clear(self, scene: int) -> np.ndarray:
        return self.images[self.places[scene]]

    def depth(self, scene: int) -> np.ndarray:
        return self.depths[self.places[scene]] / np.float32(65535)

    def reduced(self, factor: int) -> "Frames":
        """Returns the scenes averaged over factor x factor pixels, made once for each set of arrays."""
        return Frames(*_reduced_arrays(self.images, self.depths, factor), self.places)


@dataclass(frozen=True)
class Draw:
    """The random choices behind one sample: which pair, which window of it, which haze."""

    index: int
    window: tuple[slice, slice]
    airlight: float
    beta: float


class Pairs:
    """Hazy and clear images of one split, whatever the source. Images are float32 RGB (3, H, W) in [0, 1].

    clear(scene) and depth(scene) return uint8 (H, W, 3) and the depth over its own maximum, (H, W); hazy(file) reads an
    existing hazy image, uint8 (H, W, 3). Haze made here is rounded to 8 bits, as an image file would hold it. frames
    holds the scenes decoded, where clear and depth come from arrays. size: (H, W) of all images, where it is known.
    """

    def __init__(self, name: str, pairs: list[Pair], clear: Callable, depth: Callable | None = None,
                 hazy: Callable | None = None, frames: Frames | None = None, size: tuple[int, int] | None = None):
        self.name, self.pairs = name, pairs
        self.clear, self.depth, self.hazy, self.frames = clear, depth, hazy, frames
        self.size = frames.images.shape[1:3] if frames else size

    @classmethod
    def of_frames(cls, name: str, pairs: list[Pair], frames: Frames) -> "Pairs":
        return cls(name, pairs, frames.clear, frames.depth, frames=frames)

    def only(self, pairs: list[Pair]) -> "Pairs":
        """Returns the set with these pairs."""
        return Pairs(self.name, pairs, self.clear, self.depth, self.hazy, self.frames, self.size)

    def reduced(self, factor: int) -> "Pairs":
        """Returns the set with all images and depths averaged over factor x factor pixels; 1 changes nothing."""
        if factor == 1:
            return self
        if self.frames:
            return Pairs.of_frames(self.name, self.pairs, self.frames.reduced(factor))
        readers = (self.clear, self.depth, self.hazy)
        small = [read and functools.partial(_read_averaged, read, factor) for read in readers]
        return Pairs(self.name, self.pairs, *small, size=self.size and tuple(side // factor for side in self.size))

    def __len__(self) -> int:
        return len(self.pairs)

    def decide(self, index: int, rng: np.random.Generator | None = None, crop: int = 0) -> Draw:
        """Returns the choices for one pair: a random square window if crop > 0, and haze where it is drawn afresh.

        Raises ValueError if rng is missing but needed, or the image is smaller than the window.
        """
        pair = self.pairs[index]
        size = self.size or (self.clear(pair.scene).shape[:2] if crop else ())
        window = _window(size, crop, rng, pair.name)
        airlight, beta = pair.airlight, pair.beta
        if not (pair.file or beta):
            if rng is None:
                raise ValueError(f"{self.name}: the haze of {pair.name} is drawn at random: pass a random generator.")
            airlight, beta = haze.draw_haze(rng)
        return Draw(index, window, airlight, beta)

    def render(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Returns (hazy, clear) of one draw."""
        pair = self.pairs[draw.index]
        target = _tensor(self.clear(pair.scene)[draw.window])
        if pair.file:
            return _tensor(self.hazy(pair.file)[draw.window]), target
        depth = torch.from_numpy(np.ascontiguousarray(self.depth(pair.scene)[draw.window], dtype=np.float32))
        return haze.add_haze_8_bit(target, haze.transmission(depth, draw.beta), draw.airlight), target

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.render(self.decide(index))

    def some(self, count: int) -> "Pairs":
        """Returns at most `count` pairs, evenly spread over the set (0: all)."""
        if not count or count >= len(self):
            return self
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int)
        return self.only([self.pairs[i] for i in chosen])

    def scenes(self) -> "Pairs":
        """Returns one pair per scene: the clear images, for super-resolution. Named after the scenes."""
        first = {pair.scene: pair for pair in reversed(self.pairs)}
        return self.only([dataclasses.replace(first[s], name=first[s].name.split("_")[0]) for s in sorted(first)])


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
    return _rooms().tests if where == "rooms" else {"sots_indoor": _sots(check.open_test(Path(where).expanduser()))}


@functools.cache
def source(where: str) -> str:
    """Returns what open_data(where).name will be, without opening anything but the folder's listing."""
    return "rooms" if where == "rooms" else "nyu" if isinstance(check.open_training(where), nyu.Nyu) else "its"


def _rooms() -> Data:
    key = f"rooms-v{rooms.ROOMS_VERSION}"

    def build(folder: Path) -> None:
        for split in rooms.SPLITS:
            clear, depth, _ = rooms.make(split)
            np.save(folder / f"{split}-clear.npy", clear)
            np.save(folder / f"{split}-depth.npy", depth)

    folder = _cached(key, build)
    splits = {}
    for split in rooms.SPLITS:
        clear, depth = (np.load(folder / f"{split}-{kind}.npy", mmap_mode="c") for kind in ("clear", "depth"))
        splits[split] = (clear, depth)

    def pairs(name: str, split: str, items: list[Pair]) -> Pairs:
        clear, depth = splits[split]
        return Pairs.of_frames(name, items, Frames(clear, depth, {i: i for i in range(len(clear))}))

    train = [Pair(f"{i:02d}", i) for i in range(rooms.SPLITS["train"])]
    validation = [_its_draw(i) for i in range(rooms.SPLITS["validation"])]
    test = [_sots_level(i, j) for i in range(rooms.SPLITS["test"]) for j in ROOMS_LEVELS]
    return Data(
        "rooms",
        "rooms",
        _arrays_id(splits),
        pairs("rooms_train", "train", train),
        pairs("rooms_validation", "validation", validation),
        {"rooms": pairs("rooms", "test", test), "motorcycle": _motorcycle()},
    )


def _motorcycle() -> Pairs:
    clear, depth = rooms.motorcycle()
    relative = (depth / depth.max()).astype(np.float32)
    pairs = [_sots_level(0, level) for level in ROOMS_LEVELS]
    return Pairs("motorcycle", pairs, clear[None].__getitem__, relative[None].__getitem__)


def _real(root: Path) -> Data:
    training, sots = check.open_training(root), check.open_test(root)
    held_out, left_out = set(nyu.read_split("nyu_validation")), set(nyu.read_split("nyu_excluded"))
    identity = manifest_id(manifest(training.files + sots.files, root))
    if isinstance(training, nyu.Nyu):
        frames = Frames(*_decoded_nyu(training, identity), {k: i for i, k in enumerate(training.ids)})
        reader = dict(clear=frames.clear, depth=frames.depth, frames=frames)
        train = [Pair(str(k), k) for k in training.ids if k not in held_out | left_out]
        validation = [_its_draw(k) for k in training.ids if k in held_out]
        name = "nyu"
    else:
        reader = dict(clear=training.clear, hazy=training.hazy, size=RESIDE_SIZE)
        every = [Pair(file, k, file=file) for k, file in training.pairs]
        train = [p for p in every if p.scene not in held_out | left_out]
        first = {p.scene: p for p in reversed(every) if p.scene in held_out}
        validation = [first[k] for k in sorted(first)]
        name = "its"
    return Data(name, str(root), identity, Pairs(f"{name}_train", train, **reader),
                Pairs(f"{name}_validation", validation, **reader), {"sots_indoor": _sots(sots)})


def _sots(sots: reside.Sots) -> Pairs:
    pairs = [Pair(name, scene, file=name) for name, scene, _ in sots.pairs]
    return Pairs("sots_indoor", pairs, sots.clear, hazy=sots.hazy)


def _decoded_nyu(training: nyu.Nyu, identity: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns all scenes, decoded once and then mapped from the cache: (n, 460, 620, 3) uint8, (n, 460, 620) uint16."""

    def build(folder: Path) -> None:
        shape = (len(training.ids), 460, 620)
        clear = np.lib.format.open_memmap(folder / "clear.npy", "w+", np.uint8, (*shape, 3))
        depth = np.lib.format.open_memmap(folder / "depth.npy", "w+", np.uint16, shape)
        for i, k in enumerate(training.ids):
            clear[i], depth[i] = training.clear(k), (training.depth(k) * 65535).round()

    folder = _cached(f"nyu-{identity}", build)
    return np.load(folder / "clear.npy", mmap_mode="c"), np.load(folder / "depth.npy", mmap_mode="c")


def _arrays_id(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Returns the manifest id of the embedded scenes: like that of files, over the arrays' contents."""
    rows = [(f"{split}/{kind}", array.nbytes, hashlib.sha256(array).hexdigest())
            for split, arrays in splits.items() for kind, array in zip(("clear", "depth"), arrays)]
    return manifest_id(pd.DataFrame(rows, columns=COLUMNS))


def _its_draw(scene: int) -> Pair:
    airlight, beta = haze.its_draws(scene)[0]
    return Pair(f"{scene}_1", scene, airlight=airlight, beta=beta)


def _sots_level(scene: int, level: int) -> Pair:
    return Pair(f"{scene}_{level}", scene, airlight=1.0, beta=haze.sots_beta(level))


def _cached(key: str, build: Callable[[Path], None]) -> Path:
    """Returns the cache folder `key`; if absent, builds it beside its place and renames it: it is never half there.

    One process builds it while others wait. Where the disk knows no locks several build it, and the first one's stays.
    """
    folder = paths.cache() / key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f"{key}.lock"), key) as alone:
        if folder.is_dir():  # another process has built it meanwhile
            return folder
        for left in folder.parent.glob(f"{key}-*") if alone else ():  # by processes that were killed
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=folder.parent))
        try:
            build(scratch)
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


_REDUCED: dict[tuple[int, int], tuple] = {}  # (address of the images, factor) -> the arrays it was made from and of


def _reduced_arrays(images: np.ndarray, depths: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    key = (images.ctypes.data, factor)
    if key not in _REDUCED:
        small = tuple(np.stack([_averaged(frame, factor) for frame in array]) for array in (images, depths))
        _REDUCED[key] = (images, small)  # keeps the images alive, so that no other array gets their address
    return _REDUCED[key][1]


def _read_averaged(read: Callable, factor: int, key) -> np.ndarray:
    return _averaged(read(key), factor)


def _averaged(image: np.ndarray, factor: int) -> np.ndarray:
    """Returns (H, W) or (H, W, C) averaged over factor x factor pixels, in its own type, without incomplete cells."""
    height, width = (side // factor for side in image.shape[:2])
    if 0 in (height, width):
        raise ValueError(f"Images of {image.shape[0]}x{image.shape[1]} pixels have no {factor}x{factor} to be averaged "
                         "over: use a smaller reduce.")
    cells = image[: height * factor, : width * factor].reshape(height, factor, width, factor, *image.shape[2:])
    mean = cells.mean((1, 3), dtype=np.float32)
    return mean.round().astype(image.dtype) if image.dtype.kind == "u" else mean


def _window(size: tuple[int, int], crop: int, rng: np.random.Generator | None, name: str) -> tuple[slice, slice]:
    if not crop:
        return slice(None), slice(None)
    if rng is None or min(size) < crop:
        raise ValueError(f"Cannot cut a {crop}-pixel window from {name} of {size[0]}x{size[1]}"
                         + (": pass a random generator." if rng is None else ": use a smaller crop."))
    top, left = (int(rng.integers(side - crop + 1)) for side in size)
    return slice(top, top + crop), slice(left, left + crop)


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
