"""A clean stop by Ctrl-C or SIGTERM: the training loop ends its step, writes a checkpoint and says how to go on."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Training was stopped on request, with a checkpoint written. Its message says how to go on."""

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows in place of a traceback."""
        return [str(self)]


@contextlib.contextmanager
def stop_requested(alone: bool = True) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the process was asked to stop. The second request has its usual effect.

    alone: whether no other process trains the same run; several would stop at different steps, so requests keep their
    usual effect there, as they do outside the main thread, where none arrive.
    """
    if not alone or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    requests = []
    usual = {}

    def note(number, frame):
        requests.append(number)
        restore()

    def restore():
        for number, handler in usual.items():
            signal.signal(number, handler or signal.SIG_DFL)

    try:
        for number in SIGNALS:
            usual[number] = signal.signal(number, note)
        yield lambda: bool(requests)
    finally:
        restore()
