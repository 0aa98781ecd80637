"""Any folder of hazy images with one of the same scenes without haze, matched by their names.

O-HAZE and I-HAZE call them 01_outdoor_hazy and 01_outdoor_GT, Dense-Haze and NH-HAZE 01_hazy and 01_GT (NH-HAZE in one
folder), RESIDE 1400_3 and 1400, others alike.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np

from dehazelib.data.images import DataError, border, centre_crop, faults, list_images, read_rgb, rgb_size
from dehazelib.data.pairs import Pair, Pairs

HAZY_WORDS = {"hazy", "haze", "foggy", "fog", "input"}
CLEAR_WORDS = {"gt", "clear", "clean", "truth", "groundtruth", "target", "image", "dehazed"}


def open_folders(hazy: Path | str, clear: Path | str, pattern: str | None = None) -> Pairs:
    """Returns the pairs of two folders, which may be one and the same: each hazy image with its clear one.

    They are matched by the first rule that finds exactly one clear image for every hazy one: equal names; equal names
    without words such as "hazy" and "GT"; equal names up to their first number. pattern: a regular expression instead,
    whose groups must be equal in both names, such as "^(\\d+)". Clear images without a hazy one are left out.
    Both images of a pair have the same size, or the clear one 10 pixels more on every side, as in RESIDE.

    Raises FileNotFoundError for an absent folder; ValueError for a faulty pattern; DataError for hazy images without a
    clear one, and for images that cannot be read or differ in size.
    """
    hazy, clear = Path(hazy).expanduser(), Path(clear).expanduser()
    hazy_files, clear_files = list_images(hazy), list_images(clear)
    if hazy.resolve() == clear.resolve():
        hazy_files = [path for path in hazy_files if HAZY_WORDS & set(tokens(path.stem))]
        clear_files = [path for path in clear_files if CLEAR_WORDS & set(tokens(path.stem))]
    for folder, files, kind in ((hazy, hazy_files, "hazy"), (clear, clear_files, "clear")):
        if not files:
            raise DataError(f"{folder}: holds no {kind} images; give the folder that has them")
    pairs = match(hazy_files, clear_files, pattern)
    problems = faults(lambda pair: _border(*pair), pairs)
    if problems:
        more = f" (and {len(problems) - 1} more pairs)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
    items = [Pair(path.stem, i, file=str(path)) for i, (path, _) in enumerate(pairs)]
    return Pairs(hazy.resolve().name, items, functools.partial(_clear, pairs), hazy=read_rgb)


def match(hazy: list[Path], clear: list[Path], pattern: str | None = None) -> list[tuple[Path, Path]]:
    """Returns (hazy, clear) for every hazy file; see `open_folders`."""
    rules = [_by_pattern(pattern)] if pattern else [str.lower, _without_words, _first_number]
    fewest = None
    for rule in rules:
        of_key = defaultdict(list)
        for path in clear:
            of_key[rule(path.stem)].append(path)
        found = {path: of_key.get(rule(path.stem), []) for path in hazy}
        missing = [path.name for path in hazy if len(found[path]) != 1]
        if not missing:
            return [(path, found[path][0]) for path in hazy]
        if fewest is None or len(missing) < len(fewest):
            fewest = missing
    more = ", ..." if len(fewest) > 5 else ""
    raise DataError(f"{hazy[0].parent}: {len(fewest)} of {len(hazy)} hazy images match not exactly one clear image in "
                    f"{clear[0].parent} by name: {', '.join(fewest[:5])}{more}; add what is missing, or give --match "
                    r"with a regular expression whose groups are equal in both names, such as '^(\d+)'")


def tokens(stem: str) -> list[str]:
    """Returns the words and numbers of a name, numbers without leading zeros.

    >>> tokens("01_outdoor_GT")
    ['1', 'outdoor', 'gt']
    """
    return [str(int(token)) if token.isdecimal() else token for token in re.findall(r"[^\W\d_]+|\d+", stem.lower())]


def _clear(pairs: list[tuple[Path, Path]], index: int) -> np.ndarray:
    hazy, clear = pairs[index]
    return centre_crop(read_rgb(clear), rgb_size(hazy), clear)


def _border(hazy: Path, clear: Path) -> int:
    return border(rgb_size(clear), rgb_size(hazy), clear)


def _without_words(stem: str) -> Hashable:
    return tuple(token for token in tokens(stem) if token not in HAZY_WORDS | CLEAR_WORDS)


def _first_number(stem: str) -> Hashable:
    words = _without_words(stem)
    last = next((i for i, token in enumerate(words) if token.isdecimal()), len(words))
    return words[: last + 1]


def _by_pattern(pattern: str) -> Callable[[str], Hashable]:
    """Returns the rule of a regular expression; a name without a match is like no other."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--match {pattern}: not a regular expression ({error}).") from None
    if not expression.groups:
        raise ValueError(rf"--match {pattern}: has no group; put what both names share in brackets, such as '^(\d+)'.")

    def key(stem: str) -> Hashable:
        found = expression.search(stem)
        return found.groups() if found else object()

    return key
