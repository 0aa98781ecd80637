"""Several processes ask for the same run, study or cache: one makes it, the others wait, and all get it whole."""

import json
import os
import signal
from pathlib import Path

import pytest

from dehazelib.data.cache import cached_folder
from dehazelib.data.manifest import manifest
from tests.faults.injection import Faults, begin, command, completed, end, events, undisturbed

pytestmark = pytest.mark.slow


def at_once(results: Path, count: int, fault: Faults | None = None) -> str:
    """Returns "" if so many processes at once leave what one leaves; else what went wrong. fault: of the first."""
    undisturbed()
    processes = [begin(lambda number=number: command(results, None if number else fault)) for number in range(count)]
    ends = [end(*process) for process in processes]
    wanted = [-signal.SIGKILL if fault and not number else 0 for number in range(count)]
    wrong = [said for (status, said), expected in zip(ends, wanted) if status not in (expected, 0)]
    return f"one ended with: {wrong[0]}" if wrong else completed(results)


@pytest.mark.parametrize("count", [2, 5])
def test_processes_at_once_leave_what_one_leaves(tmp_path, count):
    assert at_once(tmp_path / "results", count) == ""


def test_the_others_go_on_when_the_one_that_trains_is_killed(tmp_path):
    assert at_once(tmp_path / "results", 3, Faults(events("step")[30], "SIGKILL")) == ""


def test_a_cache_is_built_once_and_all_get_it_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def build(folder):
        (folder / "file").write_text("whole")
        with (tmp_path / "built").open("a") as built:
            built.write("once")

    def ask():
        assert (cached_folder("thing", build) / "file").read_text() == "whole"

    processes = [begin(ask) for _ in range(8)]
    assert [end(*process)[0] for process in processes] == [0] * 8
    assert (tmp_path / "built").read_text() == "once"


def test_all_sums_are_kept_that_several_processes_add_to_the_cache(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(8)]
    for file in files:
        file.write_bytes(os.urandom(8))
    processes = [begin(lambda file=file: manifest([file], tmp_path, tmp_path / "cache")) for file in files]
    assert [end(*process)[0] for process in processes] == [0] * 8
    assert len(json.loads((tmp_path / "cache/sha256.json").read_text())) == 8
    assert not list((tmp_path / "cache").glob("*.writing"))
