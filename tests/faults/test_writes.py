"""Saving that fails leaves the last good file and one line that says what to do; the same command then goes on."""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dehazelib import files
from dehazelib.training.state import TrainingState
from tests.faults.injection import SAVING, Faults, command, completed, disturbed, events, forked, outcome, undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SAVING)
@pytest.mark.parametrize("what, share", [("ENOSPC", 0.1), ("EIO", 0.4), ("EROFS", 0.6), ("EDQUOT", 0.9)])
def test_a_command_whose_saving_fails_is_completed_by_the_same_command(tmp_path, name, what, share):
    places = events(name)
    at = places[int(share * len(places))]
    assert disturbed(tmp_path, lambda: command(tmp_path, Faults(at, what))) == ""


OLD, NEW = "old\n" * 1000, "new\n" * 2000


def rewritten(file: Path, at: int, what: str) -> tuple[int, str]:
    """Writes a new text over an old one with a fault."""
    file.write_text(OLD)

    def write():
        Faults(at, what).install()
        files.write_text(file, NEW)

    return forked(write)


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("what", ["ENOSPC", "EIO", "EROFS", "EDQUOT"])
def test_a_file_is_the_old_one_and_named_whichever_call_of_its_writing_fails(tmp_path, at, what):
    file = tmp_path / "table.csv"
    status, said = rewritten(file, at, what)
    renamed = at == 5  # what fails is the folder's fsync
    assert file.read_text() == (NEW if renamed else OLD) and list(tmp_path.iterdir()) == [file]
    if what == "EROFS" and renamed:
        return  # the file holds what it should
    line = rf"dehazelib: {file} was not written \(.*\): .* DEHAZE_RESULTS .* same command again.\n"
    assert status == 1 and re.fullmatch(line, said)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_file_is_the_old_or_the_new_one_whenever_its_writer_is_killed(tmp_path, at):
    file = tmp_path / "table.csv"
    rewritten(file, at, "SIGKILL")
    assert file.read_text() == (NEW if at == 5 else OLD)
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [file]


def test_a_short_write_is_completed(tmp_path):
    assert rewritten(tmp_path / "table.csv", 2, "short") == (0, "") and (tmp_path / "table.csv").read_text() == NEW


def test_a_folder_that_is_removed_while_it_trains_is_named(tmp_path):
    update = TrainingState.update

    def removing(state, *arguments):
        update(state, *arguments)
        if state.step == 20:
            shutil.rmtree(tmp_path / "smoke" / "runs")

    def train():
        TrainingState.update = removing
        command(tmp_path)

    status, said = forked(train)
    assert status == 1 and "was removed while" in said.splitlines()[-1] and "Traceback" not in said
    assert completed(tmp_path) == ""


# ------------------------------------------------------------------------------------------- real disks, where allowed


@contextlib.contextmanager
def mounted(folder: Path, options: str):
    """Mounts a small file system in memory; skips the test where that is not allowed."""
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [8, 60, 200, 400])
def test_a_full_disk_is_named_and_with_room_the_same_command_goes_on(tmp_path, kilobytes):
    undisturbed()
    with mounted(tmp_path / "small", f"size={kilobytes}k") as results:
        status, said = forked(lambda: command(results))
        assert status == 1 and "No space left on device" in said.splitlines()[-1], said
        assert str(results) in said.splitlines()[-1] and "Traceback" not in said
        remount(results, "size=64m")
        assert completed(results) == ""


def test_finished_results_on_a_read_only_disk_are_loaded_and_an_unfinished_run_is_refused(tmp_path):
    with mounted(tmp_path / "disk", "size=64m") as results:
        assert completed(results) == ""
        remount(results, "ro")
        assert forked(lambda: command(results))[0] == 0
        remount(results, "rw")
        (weights,) = results.glob("smoke/runs/longest-*/provenance.json")
        weights.unlink()
        remount(results, "ro")
        status, said = forked(lambda: command(results))
        assert status == 1 and "make its folder writable" in said.splitlines()[-1]


def test_results_that_were_moved_are_used_where_they_are(tmp_path):
    assert completed(tmp_path / "here") == ""
    before = outcome(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")

    def load():
        TrainingState.update = None
        command(tmp_path / "there")

    assert forked(load)[0] == 0 and outcome(tmp_path / "there") == before
