"""What a data root holds, what is wrong with it, and where to get what is missing.

The functions that open training and test data for a study decide what can be used; the report repeats what they say.
"""

from dataclasses import dataclass, field
from pathlib import Path

from dehazelib.data import nyu, reside
from dehazelib.data.images import DataError, faults
from dehazelib.data.reside import ITS, OUTDOOR, SOTS, PairFolder

ITS_SCENES, ITS_HAZY, SOTS_PAIRS = 1399, 13_990, 500  # RESIDE-Standard
SHOWN = 20                                            # lines of one heading in a report's text
RESIDE_PAGE = "https://sites.google.com/view/reside-dehaze-datasets/reside-standard"
NYU_PAGE = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
HOW_TO = {
    "its": f"ITS: download RESIDE-Standard's Indoor Training Set from {RESIDE_PAGE} and unpack it as {ITS.layout}",
    "sots": f"SOTS: download RESIDE-Standard's SOTS, indoor part, from {RESIDE_PAGE} and unpack it as {SOTS.layout}",
    "nyu": f"NYU: download the labelled data set of NYU Depth v2 from {NYU_PAGE} and put {nyu.MAT_NAME} "
           "(2.8 GB) in the data root; haze is then synthesised, which is not the official ITS",
}


@dataclass
class Report:
    """The findings of `check`; `str(report)` is readable text.

    found, problems, advice: one line for each part, fault and download. release: which RESIDE the files look like.
    kinds: the parts among "its", "nyu", "sots" and "sots-outdoor" that a study can use.
    """
    root: str
    found: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    release: str = "no RESIDE files"
    kinds: set[str] = field(default_factory=set)

    @property
    def uses(self) -> list[str]:
        uses = ["scoring"] if self.kinds & {"sots", "sots-outdoor"} else []
        return uses + (["training"] if "sots" in self.kinds and self.kinds & {"its", "nyu"} else [])

    def __str__(self) -> str:
        lines = [f"Data root {self.root}"]
        for title, items in (("found", self.found or ["nothing"]), ("release", [self.release]),
                             ("usable for", self.uses or ["nothing"]), ("problems", self.problems or ["none"]),
                             ("to do", self.advice or ["nothing"])):
            more = [f"... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
            lines += [f"{title}:"] + [f"  {item}" for item in items[:SHOWN] + more]
        return "\n".join(lines)


def check(root: Path | str, deep: bool = False) -> Report:
    """Returns a Report on a data root; wrong data are reported, never raised.

    root: the folder that holds ITS/, SOTS/indoor/ or NYU Depth v2, or one of these folders itself.
    deep: decode every image, which takes minutes; otherwise only their headers are read.
    Raises FileNotFoundError if root does not exist.
    """
    root = _existing(root)
    report = Report(str(root))
    its, *tests = (reside.find(root, layout) for layout in reside.LAYOUTS)
    folders = [folder for folder in (its, *tests) if folder]
    report.found = [f"{folder.layout.kind}: {len(folder.pairs)} hazy images of {len(folder.scenes)} scenes "
                    f"in {folder.folder}" for folder in folders]
    report.release = "; ".join(map(_release, folders)) or _other_release(root) or report.release
    _check_training(root, its, report, deep)
    for folder in filter(None, tests):
        problems = [f"{folder.layout.kind}: {problem} ({folder.folder})" for problem in folder.problems]
        _add(report, folder.layout.kind.lower(), problems + folder.file_problems(deep))
    if not any(folder.layout is SOTS and len(folder.pairs) == SOTS_PAIRS for folder in folders):
        report.advice.append(HOW_TO["sots"])
    return report


def find_training(root: Path | str) -> PairFolder | nyu.Nyu:
    """Returns what root has for training: a complete ITS, which may have faults, or else `Nyu`.

    Raises FileNotFoundError if root does not exist; DataError, with where to get the data and how to lay them out, if
    there is neither, and for NYU's faults. A part of ITS is not taken for the whole.
    """
    root = _existing(root)
    its = reside.find(root, ITS)
    if its and _complete(its):
        return its
    if nyu.locate(root):
        return nyu.Nyu(root)
    part = f" ({_part(its)})" if its else ""
    raise DataError(f"{root}: no complete training set{part}. {HOW_TO['its']}; or {HOW_TO['nyu']}")


def open_training(root: Path | str) -> PairFolder | nyu.Nyu:
    """Returns the training data, as `find_training`, if they are sound as far as names tell.

    Raises DataError, too, for faults of ITS, and where none of the study's validation scenes is there.
    """
    training = find_training(root)
    _require_sound(training)
    return training


def open_tests(root: Path | str, indoor: bool = False) -> list[PairFolder]:
    """Returns the test sets that are there: SOTS-indoor, SOTS-outdoor. indoor: the first one must be.

    Raises FileNotFoundError if root does not exist; DataError, with layout, if it has none or they are faulty.
    """
    root = _existing(root)
    folders = [folder for folder in (reside.find(root, SOTS), reside.find(root, OUTDOOR)) if folder]
    if not folders or indoor and folders[0].layout is not SOTS:
        raise DataError(f"{root}: no test set. {HOW_TO['sots']}")
    return [folder.sound() for folder in folders]


def _existing(root: Path | str) -> Path:
    """Returns root, with ~ expanded. Raises FileNotFoundError if it does not exist."""
    root = Path(root).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such data root; create it or correct the path (DEHAZE_DATA, --data)")
    return root


def _require_sound(training: PairFolder | nyu.Nyu) -> None:
    if isinstance(training, nyu.Nyu):
        nyu.split(training.ids, training.source)
    else:
        nyu.split(training.sound().scenes, training.folder)


def _check_training(root: Path, its: PairFolder | None, report: Report, deep: bool) -> None:
    if nyu.locate(root) is None and not (its and _complete(its)):
        report.problems += [f"ITS: {_part(its)}: training takes the whole only"] if its else []
        report.advice += [HOW_TO["its"], f"or instead {HOW_TO['nyu']}"]
        return
    try:
        training = find_training(root)
    except DataError as error:
        report.problems.append(f"NYU: {error}")
        return
    kind = "its"
    if isinstance(training, nyu.Nyu):
        kind = "nyu"
        report.found.append(f"NYU: {len(training.ids)} of {nyu.FIRST_TEST_ID - 1} training frames in {training.source}")
    _add(report, kind, faults(_require_sound, [training]) + training.file_problems(deep))


def _add(report: Report, kind: str, problems: list[str]) -> None:
    report.problems += problems
    if not problems:
        report.kinds.add(kind)


def _complete(its: PairFolder) -> bool:
    return (len(its.scenes), len(its.pairs)) == (ITS_SCENES, ITS_HAZY)


def _part(its: PairFolder) -> str:
    """Returns what is wrong with an incomplete ITS."""
    return "; ".join([f"{its.folder} holds {len(its.pairs)} hazy images, not {ITS_HAZY}", *its.problems])


def _release(folder: PairFolder) -> str:
    hazy = len(folder.pairs)
    if folder.layout is OUTDOOR:
        return f"SOTS-outdoor, {hazy} pairs"
    if folder.layout is SOTS:
        return "SOTS-indoor, complete" if hazy == SOTS_PAIRS else f"SOTS-indoor, {hazy} of {SOTS_PAIRS} pairs"
    if hazy > ITS_HAZY:
        return ("ITS of RESIDE-v0, by its number of hazy images (110,000 when complete), reported to share "
                "scenes with SOTS: use RESIDE-Standard")
    if _complete(folder):
        return "ITS of RESIDE-Standard, complete"
    return f"part of an ITS ({hazy} of RESIDE-Standard's {ITS_HAZY} hazy images)"


def _other_release(root: Path) -> str | None:
    names = {path.name.upper() for path in root.iterdir()} if root.is_dir() else set()
    return "RESIDE-beta (outdoor), which has no indoor set" if names & {"OTS", "RTTS"} else None
