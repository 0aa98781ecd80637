"""Files appear whole or not at all, whoever else writes them; a lock is held by one process at a time."""

import os
import signal
import subprocess
import sys

import pytest

from dehazelib import files
from dehazelib.files import held, write_text

fcntl = pytest.importorskip("fcntl")


def test_two_writers_of_one_file_do_not_take_each_others_text(tmp_path, monkeypatch):
    file, rename = tmp_path / "table.csv", os.replace

    def renamed_after_another_has_written(scratch, target):
        monkeypatch.setattr(files.os, "replace", rename)
        write_text(file, "theirs\n")
        rename(scratch, target)

    monkeypatch.setattr(files.os, "replace", renamed_after_another_has_written)
    write_text(file, "ours\n")
    assert file.read_text() == "ours\n" and list(tmp_path.iterdir()) == [file]


def test_a_text_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "table.csv"
    write_text(file, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "\udcff")
    assert file.read_text() == "old\n" and list(tmp_path.iterdir()) == [file]


HOLD = """import sys
from pathlib import Path
from dehazelib.files import held
with held(Path(sys.argv[1]), "the run"):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_waited_for_until_its_process_ends(tmp_path, capfd):
    file = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"mine\n"
    with file.open() as ours, pytest.raises(BlockingIOError):
        fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.kill()
    process.communicate()
    with held(file, "the run") as alone, file.open() as ours, pytest.raises(BlockingIOError):
        assert alone
        fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with held(file, "the run"):
        pass
    assert "waiting" not in capfd.readouterr().err


HAND_OVER = """import subprocess, sys
from pathlib import Path
from dehazelib.files import held
with held(Path(sys.argv[1]), "the run") as lock:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin, pass_fds=[lock.fileno()])
    print(child.pid, flush=True)
    child.wait()
"""


def test_a_lock_that_was_handed_over_outlives_its_process(tmp_path):
    file = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HAND_OVER, str(file)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    with file.open() as ours, pytest.raises(BlockingIOError):
        fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(child, signal.SIGKILL)
    with held(file, "the run") as alone:
        assert alone


def test_a_disk_without_locks_stops_nobody_and_is_told(tmp_path, monkeypatch, capsys):
    def refused(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(files.fcntl, "flock", refused)
    with held(tmp_path / "lock", "the run") as alone:
        assert not alone
    assert "the run: the disk of" in capsys.readouterr().err
    monkeypatch.setattr(files, "fcntl", None)
    with held(tmp_path / "lock", "the run") as alone:
        assert not alone
