"""The full campaign of faults, about an hour of one processor: python -m tests.faults.campaign

It kills the command of injection.py after each step, at each system call of saving and at random moments, lets each of
these calls fail, starts several at once, and then runs the tests of this folder with many more examples. What came of
it goes to results/faults.csv; it ends with status 1 if anything was lost. --every N takes each N-th case only, --only
TEXT the kinds whose name has this text, beside the rows of the others.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from dehazelib import paths, provenance
from dehazelib.files import write_csv
from dehazelib.report.rows import Rows
from dehazelib.training import runs
from tests.faults.injection import SAVING, Faults, command, disturbed, events, killed_after, undisturbed
from tests.faults.test_two_at_once import at_once

FILE = paths.ROOT / "results" / "faults.csv"
ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT")
RANDOM_MOMENTS, EXAMPLES = 200, 1000
SAME = "same weights (SHA-256), same rows, no other files after the same command"
ONE_LINE = f"one line with file and remedy; {SAME}"
OPENED = "openings of a study of 200 runs, under 2 s each"
TESTS = {  # kind -> file, how it checks
    "tests of damaged and foreign files": ("test_damaged_files", "each named in one line, none used"),
    "tests of full, read-only, removed and moved folders": ("test_writes", ONE_LINE),
    "properties": ("test_properties", f"{EXAMPLES} examples of each"),
    "tests of memory": ("test_bounds", "memory before and after"),
    "tests of the source's security": ("test_security", "calls in the source"),
}


def cases() -> dict[tuple[str, str], list[Callable[[Path], str]]]:
    """Returns (kind, how it is checked) -> what to try in a folder; each returns what went wrong, or ""."""
    chosen = random.Random(0)
    seconds = undisturbed()[2]
    return {
        ("killed after each step", SAME): [fault(at, "SIGKILL") for at in events("step")],
        ("killed at each system call of saving", SAME): [fault(at, "SIGKILL") for at in events(*SAVING)],
        ("killed after each validation and scoring", SAME): [fault(at, "SIGKILL")
                                                             for at in events("validation", "scoring")],
        ("killed at random moments", SAME): [killed(chosen.uniform(0, seconds)) for _ in range(RANDOM_MOMENTS)],
        ("each system call of saving fails", ONE_LINE): [fault(at, chosen.choice(ERRORS)) for at in events(*SAVING)],
        ("each write is a short one", SAME): [fault(at, "short") for at in events("write")],
        ("SIGTERM and Ctrl-C", SAME): [fault(at, name) for at in events("step")[::6] for name in ("SIGTERM", "SIGINT")],
        ("2, 4 and 8 processes at once", SAME): [lambda folder, count=count: at_once(folder, count)
                                                 for count in (8, 4, 2)],
        ("one of several is killed", SAME): [lambda folder, at=at: at_once(folder, 3, Faults(at, "SIGKILL"))
                                             for at in events("step")[5::20]],
    }


def fault(at: int, what: str) -> Callable[[Path], str]:
    return lambda results: disturbed(results, lambda: command(results, Faults(at, what)))


def killed(seconds: float) -> Callable[[Path], str]:
    return lambda results: disturbed(results, lambda: killed_after(results, seconds))


def tried(every: int, only: str) -> Iterator[tuple[str, int, int, str]]:
    """Yields (kind, tried, survived, how checked)."""
    for (kind, how), todo in cases().items():
        if only not in kind:
            continue
        lost = []
        for case in todo[::every]:
            with tempfile.TemporaryDirectory() as folder:
                problem = case(Path(folder) / "results")
            lost += [problem] if problem else []
            print(f"{kind}: {problem}" if problem else ".", end="\n" if problem else "", flush=True)
        count = len(todo[::every])
        print(f" {kind}: {count - len(lost)} of {count}", flush=True)
        share = f"; one case of {every}" if every > 1 else ""
        yield kind, count, count - len(lost), how + share
    if only in OPENED:
        seconds = openings()
        yield OPENED, len(seconds), sum(one < 2 for one in seconds), f"{max(seconds):.1f} s at most"
    for kind, (file, how) in TESTS.items():
        if only not in kind:
            continue
        passed, failed = tests(file)
        print(f"{kind}: {passed} of {passed + failed}", flush=True)
        yield kind, passed + failed, passed, how


def openings() -> list[float]:
    """Returns the seconds that it takes to open the committed study's rows and its runs, several times."""
    folder, seconds = paths.ROOT / "results" / "cpu-nyu", []
    for _ in range(5):
        started = time.process_time()
        Rows(folder)
        for file in (folder / "runs").glob("*/spec.yaml"):
            runs.find(folder / "runs", file.parent.name)
        seconds.append(time.process_time() - started)
    return seconds


def tests(name: str) -> tuple[int, int]:
    """Returns how many tests of a file passed and failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run([sys.executable, "-m", "pytest", f"tests/faults/{name}.py", f"--junitxml={report}"],
                       cwd=paths.ROOT, env=os.environ | {"FAULTS_EXAMPLES": str(EXAMPLES)})
        counts = pd.read_xml(report, xpath="./testsuite", parser="etree").iloc[0]
    failed = counts.failures + counts.errors
    return int(counts.tests - counts.skipped - failed), int(failed)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, metavar="N")
    options.add_argument("--only", default="", metavar="TEXT")
    chosen = options.parse_args()
    rows = pd.DataFrame(tried(chosen.every, chosen.only), columns=["kind", "tried", "survived", "how_checked"])
    here = provenance.environment()
    rows["commit"], rows["machine"] = here["commit"], f"{here['processor']}, {here['cores']} cores"
    known = pd.read_csv(FILE) if FILE.exists() else rows
    write_csv(pd.concat([known[~known.kind.isin(rows.kind)], rows]), FILE)
    return int((rows.survived < rows.tried).any())


if __name__ == "__main__":
    sys.exit(main())
