"""Damaged and foreign files: each is named in one line that says what to do, and none is used by accident."""

import json
import os
import random
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dehazelib import paths
from dehazelib.data.images import DataError, list_images, read_rgb
from dehazelib.data.manifest import manifest
from dehazelib.data.nyu import read_split
from dehazelib.data.sources import open_data
from dehazelib.experiments.spec import Spec
from dehazelib.report.rows import Rows
from dehazelib.training import runs
from dehazelib.training.checkpoint import CHECKPOINT, WEIGHTS
from image_folders import add_nyu, add_sots
from tests.faults.injection import LABEL, Faults, command, completed, events, forked, outcome, study

FLIPS = int(os.environ.get("FAULTS_EXAMPLES", 200)) // 20


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def flip(file, at=-100):
    content = bytearray(file.read_bytes())
    content[at] ^= 16
    file.write_bytes(content)


def huge_header(file):
    file.write_bytes(struct.pack("<Q", 1 << 60) + file.read_bytes()[8:])


def first_row_again(file):
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines, lines[1]]))


def other_steps(file):
    file.write_text(file.read_text().replace("steps: 60", "steps: 61"))


def without_sum(file):
    facts = json.loads((file.parent / runs.PROVENANCE).read_text())
    del facts["weights_sha256"]  # as earlier versions wrote it
    (file.parent / runs.PROVENANCE).write_text(json.dumps(facts))
    huge_header(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert completed(folder) == ""
    return folder


@pytest.fixture
def results(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "results")


def find(results):
    one = study(results)
    return runs.find(one.settings.runs_folder, one.specs(LABEL)[0].id)


@pytest.mark.slow
@pytest.mark.parametrize("name, damage, use, said", [
    (WEIGHTS, flip, lambda results: find(results).network(), "not what was trained"),
    (WEIGHTS, cut, lambda results: find(results).network(), "not what was trained"),
    (WEIGHTS, huge_header, lambda results: find(results).network(), "not what was trained"),
    (WEIGHTS, without_sum, lambda results: find(results).network(), "not a safetensors file"),
    ("spec.yaml", other_steps, find, "was changed, or its folder renamed"),
    ("spec.yaml", other_steps, lambda results: study(results).specs(next(results.glob("*/*/longest-*")).name), None),
    ("scores.csv", cut, command, "damaged (its end is missing)"),
    ("scores.csv", first_row_again, command, "an image is there twice"),
    ("log.csv", cut, command, "damaged (its end is missing)"),
    ("log.csv", lambda file: file.unlink(), command, "is missing: fetch it again, or remove"),
    (runs.PROVENANCE, cut, command, "damaged"),
    ("scored-4.json", cut, command, "damaged"),
    ("manifest.txt", lambda file: file.write_text("0123"), lambda results: study(results).data, "with manifest 0123"),
])
def test_what_is_damaged_in_a_finished_run_is_named(results, name, damage, use, said):
    (file,) = results.glob(f"smoke/runs/longest-*/{name}")
    damage(file)
    status, line = forked(lambda: use(results))
    if said is None:  # asked for by the id that the plan gives: the file is not read
        assert status == 0
        return
    assert status == 1 and said in line and str(file.parent) in line and line.count("\n") == 1, line


@pytest.mark.slow
def test_a_checkpoint_with_a_flipped_bit_or_of_another_run_is_never_used(tmp_path):
    stopped = tmp_path / "stopped"
    assert forked(lambda: command(stopped, Faults(events("step")[40], "SIGTERM")))[0] == 130
    (file,) = stopped.glob(f"smoke/runs/longest-*/{CHECKPOINT}")
    whole, places = file.read_bytes(), random.Random(0)
    for number in range(FLIPS):
        file.write_bytes(whole)
        flip(file, places.randrange(4000 if number % 2 else len(whole)))
        status, said = forked(lambda: command(stopped))
        line = said.splitlines()[-1]
        assert status == 1 and f"{file}: " in line and "remove it to train the run from the start." in line, said
    for length in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        status, said = forked(lambda: command(stopped))
        assert status == 1 and f"{file}: damaged" in said.splitlines()[-1], said
    other = tmp_path / "other"
    assert forked(lambda: command(other, Faults(events("step")[3], "SIGTERM")))[0] == 130
    shutil.copy(next(other.glob(f"smoke/runs/dsc*/{CHECKPOINT}")), file)
    status, said = forked(lambda: command(stopped))
    assert status == 1 and "belongs to the run dsc_mc_fsrcnn" in said.splitlines()[-1]
    file.unlink()
    assert completed(stopped) == ""
    assert not list(stopped.rglob("*checkpoint*")) and outcome(stopped)


def test_a_studys_rows_that_were_cut_are_named(tmp_path):
    for name in ("scores", "runs"):
        shutil.copy(paths.ROOT / f"results/cpu-nyu/{name}.csv", tmp_path)
    cut(tmp_path / "scores.csv")
    with pytest.raises(ValueError, match="scores.csv: damaged .its end is missing.: fetch it again"):
        Rows(tmp_path)


# -------------------------------------------------------------------------------------------------------------- data


def test_what_is_only_called_like_an_image_is_named_and_nothing_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "postscript.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.new("RGB", (64, 64)).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:60])
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    for file in list_images(tmp_path):
        with pytest.raises((DataError, FileNotFoundError), match=str(file)):
            read_rgb(file)
    for name in ("pipe", "folder", "link"):
        with pytest.raises((DataError, FileNotFoundError), match=name):
            manifest([tmp_path / f"{name}.png"], tmp_path, tmp_path / "cache")


def test_a_bit_that_flips_in_an_image_is_named_before_training_even_with_the_old_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ids = read_split("nyu_train")[:2] + read_split("nyu_validation")[:1]
    root = add_nyu(add_sots(tmp_path / "data", scenes=(1400,), levels=(1,)), ids)
    one, before = runs.Run(tmp_path / "runs", Spec(data="nyu")), open_data(str(root))
    with one.begun(before):
        pass
    file = root / "SOTS/indoor/hazy/1400_1.png"
    times = file.stat()
    flip(file, 60)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"1 files changed, first SOTS/indoor/hazy/1400_1.png"):
        one.check_manifest(open_data(str(root)))


def test_the_caches_of_sums_that_are_no_tables_are_built_anew(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    for content in (b"[]", b"{", b"\xff\xfe", b""):
        (tmp_path / "sha256.json").write_bytes(content)
        assert len(manifest([tmp_path / "a.png"], tmp_path, tmp_path)) == 1


def test_arrays_in_a_mat_file_that_would_fill_the_memory_are_refused(tmp_path):
    from scipy.io import savemat

    from dehazelib.networks.official import load_official

    file = tmp_path / "bomb.mat"
    savemat(file, {"weights_conv1": np.zeros((1, 30_000_000), np.uint8)}, do_compression=True)
    with pytest.raises(DataError, match="bomb.mat: .*30,000,000 numbers"):
        load_official("dehazenet", file)
