"""Faults made on purpose: a command runs in a forked child, which is killed, or whose saving fails, at the n-th event.

The command trains, scores and collects a framework of 60 steps (a teacher, an adaptive weight, an average of the
weights, five validations) on the embedded rooms, with fewer layers and smaller images than the study does: two seconds.
Events are the system calls of saving (open, write, fsync, rename), the steps, the validations and the scoring.
"""

import dataclasses
import errno
import gc
import hashlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from dehazelib import files, networks, provenance
from dehazelib.cli import ERRORS
from dehazelib.data.sources import Data, open_data
from dehazelib.networks.student import Student
from dehazelib.study import Study
from dehazelib.training import runs
from dehazelib.training.state import TrainingState

SMALLER = 8  # times, each side of an image
LABEL = "longest-framework"
SETTINGS = {"longest": [{"steps": 60, "ema": 0.9, "affinity_share": 0.1, "validations": 5}], "teacher_steps": 6,
            "teacher_crop": 8, "student_crop": 8, "student_batch": 1, "validation_pairs": 1}
SAVING = ("open", "write", "fsync", "rename")
NOT_COMPARED = ["minutes", "peak_memory_mb"]  # columns that differ from run to run


class Faults:
    """Names the events of this process, and at the `at`-th does `what`: a signal by its name, such as SIGKILL; an error
    by its name, such as ENOSPC; or "short", a short write."""

    def __init__(self, at: int = 0, what: str = ""):
        self.names, self.at, self.what = [], at, what

    def due(self, name: str) -> bool:
        self.names.append(name)
        return len(self.names) == self.at

    def event(self, name: str, path: Path | str = "") -> None:
        if self.due(name):
            self.strike(path)

    def strike(self, path: Path | str = "") -> None:
        if self.what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.what))
            return
        raise OSError(getattr(errno, self.what), os.strerror(getattr(errno, self.what)), str(path))

    def install(self) -> None:
        """For good: in a process of its own."""
        rename, fsync = os.replace, os.fsync
        files.open = lambda path, mode: io.BufferedWriter(_File(path, self))
        os.replace = lambda old, new: (self.event("rename", old), rename(old, new))
        os.fsync = lambda descriptor: (self.event("fsync"), fsync(descriptor))
        for owner, method, name in ((TrainingState, "update", "step"), (TrainingState, "validate", "validation"),
                                    (runs, "scores", "scoring")):
            setattr(owner, method, self._after(getattr(owner, method), name))

    def _after(self, function: Callable, name: str) -> Callable:
        def called(*arguments):
            result = function(*arguments)
            self.event(name)
            return result

        return called


class _File(io.FileIO):
    """A file whose writing fails, with half of what was to be written."""

    def __init__(self, path: Path, faults: Faults):
        faults.event("open", path)
        super().__init__(path, "w")
        self.faults = faults

    def write(self, data) -> int:
        if not self.faults.due("write"):
            return super().write(data)
        half = super().write(memoryview(data)[:len(data) // 2])
        if self.faults.what == "short":
            return half
        self.faults.strike()
        return half


# --------------------------------------------------------------------------------------------------- the command


@cache
def data() -> Data:
    """Returns the embedded rooms, smaller: 24 training, 1 validation and 2 test scenes."""
    rooms = open_data("rooms")
    return dataclasses.replace(rooms, train=rooms.train.reduced(SMALLER),
                               validation=rooms.validation.subset(1).reduced(SMALLER),
                               tests={"rooms": rooms.tests["rooms"].subset(2).reduced(SMALLER)})


def study(results: Path) -> Study:
    """Returns the study in a folder of results, on these data, with a student of fewer layers. For good: in a process
    of its own."""
    runs.open_data = lambda where: data()
    entry = networks.CATALOGUE["student"]
    networks.CATALOGUE["student"] = dataclasses.replace(entry, builder=lambda: Student(16, 2, 1))
    os.environ["DEHAZE_RESULTS"] = str(results)
    return Study.open("smoke", overrides=SETTINGS)


def command(results: Path, faults: Faults | None = None) -> None:
    """Trains, scores and collects, as `dehazelib train` and `Study.train` do."""
    torch.set_num_threads(1)
    if faults:
        faults.install()
    study(results).train(LABEL)


def begin(action: Callable[[], object]) -> tuple[int, io.BufferedRandom]:
    """Returns the process, started, that does something and ends as the command line does, and what it says."""
    said = tempfile.TemporaryFile()
    gc.freeze()  # the child need not look through what is here
    sys.stdout.flush(), sys.stderr.flush()
    process = os.fork()
    if process:
        return process, said
    status = 70
    try:
        os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)
        action()
        status = 0
    except KeyboardInterrupt as stopped:
        status = 130
        print(f"dehazelib: {stopped}")
    except ERRORS as error:
        status = 1
        print(f"dehazelib: {error}")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def end(process: int, said: io.BufferedRandom) -> tuple[int, str]:
    """Returns a process's status (negative: the signal that ended it) and what it said, after waiting for it."""
    _, status = os.waitpid(process, 0)
    said.seek(0)
    with said:
        return os.waitstatus_to_exitcode(status), said.read().decode()


def forked(action: Callable[[], object]) -> tuple[int, str]:
    """Returns the same of a process of its own that does something."""
    return end(*begin(action))


# ------------------------------------------------------------------------------------------------------- its outcome


def outcome(results: Path) -> dict:
    """Returns what a command left: the names of all files, the SHA-256 of weights, the rows without times."""
    found = {}
    for file in sorted(path for path in results.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix == ".safetensors" else ""
        if file.suffix == ".csv":
            content = pd.read_csv(file, dtype=str).drop(columns=NOT_COMPARED, errors="ignore").to_csv()
        found[str(file.relative_to(results))] = content
    return found


@cache
def undisturbed() -> tuple[dict, list[str], float]:
    """Returns the outcome of the command left alone, the names of its events, and its seconds of processor time."""
    data(), provenance.environment()  # once, not in every child
    with tempfile.TemporaryDirectory() as folder:
        results, noted = Path(folder) / "results", Path(folder) / "noted"

        def note():
            faults = Faults()
            command(results, faults)
            noted.write_text(" ".join([str(time.process_time()), *faults.names]))

        status, said = forked(note)
        assert status == 0, said
        seconds, *names = noted.read_text().split()
        return outcome(results), names, float(seconds)


def events(*names: str) -> list[int]:
    """Returns the numbers of the command's events of these names."""
    return [at for at, name in enumerate(undisturbed()[1], 1) if name in names]


def killed_after(results: Path, seconds: float) -> None:
    """Runs the command until it has had so much processor time; then it ends by a signal, at once as by SIGKILL."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    command(results)
    signal.setitimer(signal.ITIMER_PROF, 0)


def disturbed(results: Path, action: Callable[[], object]) -> str:
    """Returns "" if the command, given after a disturbed one, ends as if it was left alone; else what went wrong.

    The disturbed one must be killed, or end with one line that says what to do and, after an error, names a file.
    """
    status, said = forked(action)
    lines = [line for line in said.splitlines() if line.startswith("dehazelib:")]
    clear = len(lines) == 1 and "same command" in lines[0] and (status == 130 or str(results) in lines[0])
    if status in (1, 130) and not clear or status not in (0, 1, 130, -signal.SIGKILL, -signal.SIGPROF):
        return f"it ended with {status} and said: {said}"
    return completed(results)


def completed(results: Path) -> str:
    """Returns "" if the command ends as if it had been left alone from the start; else what went wrong."""
    wanted = undisturbed()[0]
    status, said = forked(lambda: command(results))
    if status:
        return f"the same command failed: {said}"
    found = outcome(results)
    wrong = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
    return f"other files: {', '.join(sorted(wrong))}" if wrong else ""
