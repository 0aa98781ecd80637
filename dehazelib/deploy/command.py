"""The commands dehaze and export."""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dehazelib.deploy import targets as naming

NAMED = 10  # failures that the last line names; each has a line of its own before


def path(text: str) -> Path:
    """Returns a path with ~ expanded, which some shells leave to programs. Raises ValueError for an empty one."""
    if not text:
        raise ValueError
    return Path(text).expanduser()


def strength(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def quality(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise ValueError
    return value


def add(commands) -> None:
    """Adds the commands to those of a parser (the result of its add_subparsers)."""
    dehaze = commands.add_parser("dehaze", help="dehaze photographs and videos")
    dehaze.add_argument("photos", nargs="+", metavar="PHOTO", help="files, folders or patterns; videos as files")
    dehaze.add_argument("-o", "--out", type=path, required=True, metavar="PATH",
                        help="folder for the results; or a file's name, such as clear.jpg, for one photograph or video")
    dehaze.add_argument("--recursive", action="store_true", help="look in the folders of folders as well")
    dehaze.add_argument("--format", choices=[*naming.SUFFIXES, "same"],
                        help="of results in a folder (default: png); same: the photograph's; 16 bits a channel stay 16 "
                             "in png and tiff; transparency becomes white in jpg")
    dehaze.add_argument("--quality", type=quality, default=95, metavar="1..100", help="of jpg and webp (default: 95)")
    dehaze.add_argument("--strength", type=strength, default=1.0, metavar="0..1",
                        help="how much of the haze to take away (default: 1, all)")
    dehaze.add_argument("--side-by-side", action="store_true", help="photograph and result in one picture")
    existing = dehaze.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    existing.add_argument("--skip-existing", action="store_true", help="leave out what has a result already")
    dehaze.add_argument("--weights", metavar="NAME|FILE", help="weights that come along, by name, or a student's "
                        ".safetensors file (default: photo)")
    dehaze.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"],
                        help="where to run; auto: on a GPU where there is one (default: auto)")
    dehaze.set_defaults(run=dehaze_files)

    export = commands.add_parser("export", help="write a student as an ONNX file")
    export.add_argument("target", type=path, metavar="FILE.onnx")
    export.add_argument("--weights", metavar="NAME|FILE", help="weights that come along, by name, or a student's "
                        ".safetensors file (default: photo)")
    export.add_argument("--int8", action="store_true", help="convolutions in 8 bits: smaller, less exact")
    export.set_defaults(run=export_student)


def export_student(options: argparse.Namespace) -> None:
    from dehazelib.deploy.inference import load
    from dehazelib.deploy.onnx import export

    export(load(options.weights), options.target, options.int8)
    print(options.target)


def dehaze_files(options: argparse.Namespace) -> int:
    """Returns the exit status: 1 if there was something that could not be dehazed, after one line for each."""
    from tqdm import tqdm

    from dehazelib.deploy.inference import KEPT_MB, chosen_device, load
    from dehazelib.profiling.allocator import keep_freed_memory

    started = time.monotonic()
    found, problems, notes = naming.sources(options.photos, options.out, options.recursive)
    targets = naming.targets(found, options.out, options.format)
    network = load(options.weights).to(chosen_device(options.device))
    folder = options.out.parent if naming.names_a_file(options.out) else options.out
    if found:
        _make_folder(folder)
    keep_freed_memory(large_blocks=False, most_mb=KEPT_MB)
    with tqdm(total=len(found), unit="photo", disable=None if len(found) > 1 else True) as bar:
        outcome = Outcome(bar)
        for line in (*notes, *problems):
            outcome.complain(line)
        outcome.failed = [line.partition(": ")[0] for line in problems]
        inputs = {_identity(source.path) for source in found}
        try:
            for source, target in zip(found, targets):
                with outcome.of(source.path):
                    if _to_be_written(target, inputs, options):
                        _dehaze(source, target, network, options)
                        outcome.wrote(target)
                    else:
                        outcome.skipped += 1
        except KeyboardInterrupt:
            done = outcome.summary(folder, time.monotonic() - started)
            raise KeyboardInterrupt(f"stopped: {done}; with --skip-existing it goes on from there.") from None
    outcome.complain(outcome.summary(folder, time.monotonic() - started))
    return 1 if outcome.failed else 0


def _dehaze(source: naming.Source, target: Path, network: Callable, options: argparse.Namespace) -> None:
    if source.video:
        from dehazelib.deploy.video import dehaze_video

        dehaze_video(network, source.path, target, options.strength, options.side_by_side)
        return
    from dehazelib.deploy.photos import dehaze_file

    with _strips(source.path.name) as tick:
        dehaze_file(network, source.path, target, options.strength, options.quality, options.side_by_side, tick)


@contextlib.contextmanager
def _strips(name: str) -> Iterator[Callable[[int, int], None]]:
    """Gives what inference.run calls after each strip: on a terminal, a bar that appears if a photograph takes long."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="strip", leave=False, delay=1, disable=None) as bar:
        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield tick


@dataclass
class Outcome:
    """What became of the files of one command; says so on the terminal, above its progress bar."""

    bar: object
    written: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def of(self, file: Path) -> Iterator[None]:
        """Reports in one line whatever goes wrong with a file, so that the others are dehazed."""
        try:
            yield
        except Exception as error:
            reason = str(error).removeprefix(f"{file}: ") or type(error).__name__
            self.complain(f"{file}: {reason.splitlines()[0]}")
            self.failed.append(str(file))
        self.bar.update()

    def wrote(self, target: Path) -> None:
        self.written += 1
        self.bar.write(str(target), file=sys.stdout)
        sys.stdout.flush()

    def complain(self, line: str) -> None:
        self.bar.write(f"dehazelib: {line}", file=sys.stderr)

    def summary(self, folder: Path, seconds: float) -> str:
        parts = [f"{self.written} dehazed into {folder} in {seconds:.1f} s"]
        if self.skipped:
            parts.append(f"{self.skipped} skipped, as there are results")
        if self.failed:
            more = len(self.failed) - NAMED
            names = ", ".join(self.failed[:NAMED]) + (f" and {more} more" if more > 0 else "")
            parts.append(f"{len(self.failed)} failed: {names}")
        return "; ".join(parts)


def _to_be_written(target: Path, inputs: set, options: argparse.Namespace) -> bool:
    """Returns False if there is a result that is to be left. Raises ValueError if there is a file in its place."""
    if not target.exists():
        return True
    if _identity(target) in inputs:
        raise ValueError(f"its result {target} would overwrite a photograph: choose another -o or --format.")
    if not options.overwrite and not options.skip_existing:
        raise ValueError(f"{target} exists: --overwrite replaces it, --skip-existing leaves it.")
    return options.overwrite


def _identity(file: Path) -> tuple | None:
    with contextlib.suppress(OSError):
        found = os.stat(file)
        return found.st_dev, found.st_ino
    return None


def _make_folder(folder: Path) -> None:
    """Makes the folder for results if it is absent. Raises OSError, saying so, if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder}: -o must be a folder that can be written ({error.strerror}).") from None
