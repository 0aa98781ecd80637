"""What a run shows of itself while it trains: a bar on a terminal, calm lines elsewhere."""

import sys
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
