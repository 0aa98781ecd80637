"""A cache folder is made once, whole or not at all."""

import subprocess
import sys

import pytest

from dehazelib import paths
from dehazelib.data.cache import cached_folder

WAITING = """import sys, time
from dehazelib.data.cache import cached_folder

def build(folder):
    print("building", flush=True)
    time.sleep(1)  # long enough for the others to arrive
    (folder / "made").touch()

print("ready", flush=True)
sys.stdin.readline()
print(*[p.name for p in cached_folder("key", build).iterdir()])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dehazelib"


def test_what_could_not_be_made_leaves_nothing_behind(cache):
    with pytest.raises(ZeroDivisionError):
        cached_folder("key", lambda folder: 1 / 0)
    assert [p.name for p in cache.iterdir()] == ["key.lock"]


def test_what_a_killed_process_left_half_made_is_removed(cache):
    left, other = cache / "key-1a2b", cache / "key2-1a2b"
    left.mkdir(parents=True), other.mkdir()
    folder = cached_folder("key", lambda scratch: (scratch / "made").touch())
    assert [p.name for p in folder.iterdir()] == ["made"] and not left.exists() and other.exists()


def test_of_several_processes_one_builds_and_the_others_wait(cache):
    pytest.importorskip("fcntl")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    processes = [subprocess.Popen([sys.executable, "-c", WAITING], cwd=paths.ROOT, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("\n"), process.stdin.flush()
    said = [process.communicate()[0].splitlines() for process in processes]
    assert sorted(said) == [["building", "made"], ["made"], ["made"]]
    assert sorted(p.name for p in cache.iterdir()) == ["key", "key.lock"]
