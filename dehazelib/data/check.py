"""What a data root holds, what is wrong with it, and where to get what is missing."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dehazelib.data import nyu, reside
from dehazelib.data.images import NYU_SIZE, RESIDE_SIZE, DataError, image_size, list_images, read_depth_png, read_rgb

ITS_SCENES, ITS_HAZY, SOTS_PAIRS = 1399, 13_990, 500  # RESIDE-Standard
SAMPLE = 60                                           # files of a large folder looked at in the fast mode
SHOWN = 20                                            # lines of one heading in a report's text
RESIDE_PAGE = "https://sites.google.com/view/reside-dehaze-datasets/reside-standard"
NYU_PAGE = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
ITS_COMPLETE, SOTS_COMPLETE = "ITS of RESIDE-Standard, complete", "SOTS-indoor, complete"
HOW_TO = {
    "its": f"ITS: download RESIDE-Standard's Indoor Training Set from {RESIDE_PAGE} and unpack it as "
           f"{reside.FORMS['ITS'].layout}",
    "sots": f"SOTS: download RESIDE-Standard's SOTS, indoor part, from {RESIDE_PAGE} and unpack it as "
            f"{reside.FORMS['SOTS'].layout}",
    "nyu": f"NYU: download the labelled data set of NYU Depth v2 from {NYU_PAGE} and put {nyu.MAT_NAME} "
           "(2.8 GB) in the data root; haze is then synthesised, which is not the official ITS",
}


@dataclass
class Report:
    """The findings of `check`; `str(report)` is readable text.

    found: one line per part that is there. problems: one line per fault. advice: what to download, and where
    it goes. release: which RESIDE release the files look like. kinds: the parts among "its", "nyu" and "sots"
    that are there and free of faults.
    """
    root: str
    found: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    release: str = "no RESIDE files"
    kinds: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        lines = [f"Data root {self.root}"]
        for title, items in (("found", self.found or ["nothing"]), ("release", [self.release]),
                             ("problems", self.problems or ["none"]), ("to do", self.advice or ["nothing"])):
            more = [f"... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
            lines += [f"{title}:"] + [f"  {item}" for item in items[:SHOWN] + more]
        return "\n".join(lines)


def check(root: Path | str, deep: bool = False) -> Report:
    """Returns a Report on a data root; wrong data are reported, never raised.

    root: the folder that holds ITS/, SOTS/indoor/ or NYU Depth v2, or one of these folders itself.
    deep: decode every image, which takes minutes; otherwise the headers of all SOTS files and of a sample of
    the others are read.
    Raises FileNotFoundError if root does not exist.
    """
    _require(root)
    report = Report(root=str(root))
    releases = [_check_pairs(root, kind, report, deep) for kind in ("ITS", "SOTS")]
    _check_nyu(root, report, deep)
    report.release = "; ".join(filter(None, releases)) or _outdoor_only(root) or report.release
    if "nyu" not in report.kinds and ITS_COMPLETE not in releases:
        report.advice += [HOW_TO["its"], f"or instead {HOW_TO['nyu']}"]
    if SOTS_COMPLETE not in releases:
        report.advice.append(HOW_TO["sots"])
    return report


def open_training(root: Path | str) -> reside.Its | nyu.Nyu:
    """Returns the training data: a complete `Its` if root has one, else `Nyu`.

    Raises FileNotFoundError if root does not exist; DataError, with where to get the data and how to lay them
    out, if there is neither, or if what there is has a fault. A part of ITS is not taken for the whole: open it
    with `Its` where that is meant.
    """
    _require(root)
    folder = reside.locate(root, "ITS")
    if folder is not None:
        its = reside.scan(folder, "ITS")
        if _release("ITS", its) == ITS_COMPLETE:
            return reside.Its(root)
    if nyu.locate(root) is not None:
        return nyu.Nyu(root)
    partial = f" ({folder} holds {len(its.hazy)} hazy images, not {ITS_HAZY})" if folder else ""
    raise DataError(f"{root}: no complete training set{partial}. {HOW_TO['its']}; or {HOW_TO['nyu']}")


def open_test(root: Path | str) -> reside.Sots:
    """Returns the test data, a `Sots`.

    Raises FileNotFoundError if root does not exist; DataError, with layout, if it has none or they are faulty.
    """
    _require(root)
    if reside.locate(root, "SOTS") is None:
        raise DataError(f"{root}: no test set. {HOW_TO['sots']}")
    return reside.Sots(root)


def _require(root: Path | str) -> None:
    """Raises FileNotFoundError if root does not exist."""
    if not Path(root).exists():
        raise FileNotFoundError(f"{root}: no such data root; create it or correct the path (DEHAZE_DATA, --data)")


def _check_pairs(root: Path | str, kind: str, report: Report, deep: bool) -> str | None:
    """Returns the release that ITS or SOTS looks like, or None; adds what there is of it to the report."""
    folder = reside.locate(root, kind)
    if folder is None:
        return None
    listing = reside.scan(folder, kind)
    clear, hazy = list(listing.clear.values()), list(listing.hazy.values())
    problems = [f"{kind}: {problem} ({folder})" for problem in listing.problems]
    seen = _sample if kind == "ITS" and not deep else list
    clear_sizes = _sizes(seen(clear), {RESIDE_SIZE, NYU_SIZE}, read_rgb if deep else None, problems)
    _sizes(seen(hazy), {RESIDE_SIZE}, read_rgb if deep else None, problems)
    note = ", to be centre-cropped when read" if NYU_SIZE in clear_sizes else ""
    formats = Counter(path.suffix.lower() for path in clear + hazy)
    report.found.append(f"{kind}: {len(hazy)} hazy and {len(clear)} clear images in {folder}; clear "
                        f"{_words(clear_sizes)}{note}; {', '.join(f'{n} {s}' for s, n in formats.items())}")
    report.problems += problems
    if not problems:
        report.kinds.add(kind.lower())
    return _release(kind, listing)


def _check_nyu(root: Path | str, report: Report, deep: bool) -> None:
    source = nyu.locate(root)
    if source is None:
        return
    try:
        frames = nyu.Nyu(root)
    except DataError as error:
        report.problems.append(f"NYU: {error}")
        return
    problems = []
    if source.is_dir():
        for folder, read in (("rgb", read_rgb), ("depth", read_depth_png)):
            paths = list_images(source / folder)
            _sizes(paths if deep else _sample(paths), {NYU_SIZE}, read if deep else None, problems)
    elif deep:
        problems += _undecodable(frames)
    report.found.append(f"NYU: {len(frames.ids)} of {nyu.FIRST_TEST_ID - 1} training frames in {source}")
    report.problems += [f"NYU: {problem}" for problem in problems]
    if not problems:
        report.kinds.add("nyu")


def _undecodable(frames: nyu.Nyu) -> list[str]:
    problems = []
    for id in frames.ids:
        try:
            frames.clear(id), frames.depth(id)
        except (DataError, OSError) as error:
            problems.append(str(error))
    return problems


def _sizes(paths: list[Path], allowed: set, read: Callable | None, problems: list[str]) -> Counter:
    """Returns the Counter of (height, width); adds unreadable images and sizes not allowed to problems.

    read: function that decodes a whole image, or None to read its header only.
    """
    sizes = Counter()
    for path in paths:
        try:
            size = read(path).shape[:2] if read else image_size(path)
        except DataError as error:
            problems.append(str(error))
            continue
        sizes[size] += 1
        if size not in allowed:
            problems.append(f"{path}: {_words([size])}, not {_words(sorted(allowed))}; use the original file")
    return sizes


def _release(kind: str, listing: reside.Listing) -> str:
    clear, hazy = len(listing.clear), len(listing.hazy)
    if kind == "SOTS":
        return SOTS_COMPLETE if hazy == SOTS_PAIRS else f"SOTS-indoor, {hazy} of {SOTS_PAIRS} pairs"
    if hazy > ITS_HAZY:
        return ("ITS of RESIDE-v0, by its number of hazy images (110,000 when complete), reported to share "
                "scenes with SOTS: use RESIDE-Standard")
    if (clear, hazy) == (ITS_SCENES, ITS_HAZY):
        return ITS_COMPLETE
    return f"part of an ITS ({hazy} of RESIDE-Standard's {ITS_HAZY} hazy images)"


def _outdoor_only(root: Path | str) -> str | None:
    names = {path.name.upper() for path in Path(root).iterdir()} if Path(root).is_dir() else set()
    return "RESIDE-beta (outdoor), which has no indoor set" if names & {"OTS", "RTTS"} else None


def _sample(paths: list[Path]) -> list[Path]:
    return paths[::-(-len(paths) // SAMPLE)] if paths else []


def _words(sizes: Iterable[tuple[int, int]]) -> str:
    return " or ".join(f"{width}x{height}" for height, width in sizes) or "of unknown size"
