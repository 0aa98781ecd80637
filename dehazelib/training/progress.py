"""What a run shows of itself while it trains: a bar on a terminal, calm lines elsewhere."""

import math
import sys
import time
from collections.abc import Iterable

from tqdm import tqdm


def on_terminal() -> bool:
    """Returns whether a bar can be shown."""
    return sys.stderr.isatty()


def bar(batches: Iterable, name: str, done: int, steps: int) -> Iterable:
    """Returns the batches; on a terminal a bar shows how many are done."""
    return tqdm(batches, name, initial=done, total=steps, unit="step", disable=not on_terminal())


def say(line: str) -> None:
    """Prints a line: on standard output in a notebook, where standard error is red; else on standard error, which
    leaves the output to results."""
    print(line, file=sys.stdout if in_notebook() else sys.stderr, flush=True)


def in_notebook() -> bool:
    """Returns whether this process runs a notebook's cells."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


class StageProgress:
    """How far a stage of the study is: one line with what is done of all and the time left; on a terminal with a bar.

    total: number of things to do. work: what they amount to, in whatever unit `advance` counts; the time left is told
    from the share of it that is done.
    """

    SECONDS = 30  # between two lines where there is no terminal

    def __init__(self, stage: str, noun: str, total: int, work: float):
        self.stage, self.noun, self.total, self.work = stage, noun, total, work
        self.done, self.worked, self.started, self.said = 0, 0.0, time.monotonic(), -math.inf
        self.bar = tqdm(total=total, desc=stage, leave=False, disable=not on_terminal(),
                        bar_format="{desc} |{bar:30}| {postfix}")

    def __enter__(self) -> "StageProgress":
        self.show()
        return self

    def __exit__(self, kind, *error) -> None:
        self.bar.close()
        if kind is None:
            minutes = (time.monotonic() - self.started) / 60
            say(f"{self.stage}: {self.done} of {self.total} {self.noun} done, {minutes:.1f} min")

    def advance(self, work: float) -> None:
        """Counts one thing as done."""
        self.done += 1
        self.worked += work
        self.bar.update()

    def show(self) -> None:
        """Shows how far it is, not more often than every SECONDS where there is no terminal."""
        if not self.bar.disable:
            self.bar.set_postfix_str(self.line())
        elif time.monotonic() - self.said > self.SECONDS:
            self.said = time.monotonic()
            say(f"{self.stage}: {self.line()}")

    def line(self) -> str:
        """Returns "12 of 45 runs done, about 4 min left"."""
        text = f"{self.done} of {self.total} {self.noun} done"
        if not self.done:
            return text
        minutes = (time.monotonic() - self.started) / 60
        return f"{text}, about {math.ceil(minutes * (self.work / self.worked - 1))} min left"

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self.bar.clear()
        say(line)
