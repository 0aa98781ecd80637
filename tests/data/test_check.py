import importlib
import os
import re

import h5py
import numpy as np
import pytest
from PIL import Image

from dehazelib.data import nyu
from dehazelib.data.check import check, open_tests, open_training
from dehazelib.data.images import DataError
from dehazelib.data.nyu import Nyu, read_split
from dehazelib.data.reside import ITS, OUTDOOR, SOTS
from image_folders import CROPPED, DATA, FRAME, needs, save

module = importlib.import_module("dehazelib.data.check")
TRAINED, HELD_OUT = 1, read_split("nyu_validation")[0]


@pytest.fixture(scope="module")
def png(tmp_path_factory):
    """Paths of a few images to link to, by size; "depth" is a depth map."""
    folder = tmp_path_factory.mktemp("png")
    for name, size in (("cropped", CROPPED), ("frame", FRAME), ("small", (64, 64)), ("depth", FRAME)):
        save(folder / f"{name}.png", size, mode="L" if name == "depth" else "RGB")
    return {path.stem: path for path in folder.iterdir()}


def link(source, folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.link(source, folder / f"{name}.png")


def add_sots(root, png, scenes=50, levels=10):
    ids = range(1400, 1400 + scenes)
    link(png["frame"], root / "SOTS/indoor/gt", ids)
    link(png["cropped"], root / "SOTS/indoor/hazy", [f"{i}_{j}" for i in ids for j in range(1, levels + 1)])
    return root


def add_its(root, png, per_scene=10):
    ids = [*range(1, 14), HELD_OUT]
    link(png["cropped"], root / "ITS/clear", ids)
    link(png["cropped"], root / "ITS/hazy", [f"{i}_{k}_0.8{k}" for i in ids for k in range(1, per_scene + 1)])
    return root


def add_nyu(root, png, ids=(TRAINED, HELD_OUT)):
    link(png["frame"], root / "nyu/rgb", ids)
    link(png["depth"], root / "nyu/depth", ids)
    return root


@pytest.fixture
def small_its(monkeypatch):
    """A hundredth of ITS counts as all of it, so that 13,990 files need not be written."""
    assert (module.ITS_SCENES, module.ITS_HAZY, module.SOTS_PAIRS) == (1399, 13_990, 500)
    monkeypatch.setattr(module, "ITS_SCENES", 14)
    monkeypatch.setattr(module, "ITS_HAZY", 140)


def test_an_empty_root_is_told_what_to_get(tmp_path):
    report = check(tmp_path)
    assert report.kinds == set() and not report.uses and not report.found and not report.problems
    assert report.release == "no RESIDE files"
    for part in ("ITS/hazy/<id>_<k>_<A>.png", "SOTS/indoor/gt/<scene>.png", "nyu_depth_v2_labeled.mat"):
        assert part in str(report)
    assert [line for line in str(report).splitlines() if not line.startswith(" ")] == [
        f"Data root {tmp_path}", "found:", "release:", "usable for:", "problems:", "to do:"]
    with pytest.raises(DataError, match="no complete training set. ITS: download .* or NYU: download"):
        open_training(tmp_path)
    with pytest.raises(DataError, match="no test set. SOTS: download .*SOTS/indoor/hazy/<scene>_<level>.png"):
        open_tests(tmp_path)


def test_complete_reside_standard_is_recognised(tmp_path, png, small_its):
    report = check(add_sots(add_its(tmp_path, png), png))
    assert report.kinds == {"its", "sots"} and report.uses == ["scoring", "training"]
    assert not report.problems and not report.advice
    assert report.release == "ITS of RESIDE-Standard, complete; SOTS-indoor, complete"
    assert "140 hazy images of 14 scenes" in report.found[0] and "500 hazy images of 50 scenes" in report.found[1]
    assert open_training(tmp_path).layout is ITS and len(open_tests(tmp_path)[0].pairs) == 500


def test_other_numbers_of_images_are_another_release(tmp_path, png, small_its):
    report = check(add_its(tmp_path, png, per_scene=11))
    assert report.release.startswith("ITS of RESIDE-v0") and "its" not in report.kinds
    assert any(line.startswith("ITS: download RESIDE-Standard") for line in report.advice)
    report = check(add_sots(tmp_path / "part", png, levels=5))
    assert report.release == "SOTS-indoor, 250 of 500 pairs" and report.uses == ["scoring"] and not report.problems
    (tmp_path / "beta/OTS").mkdir(parents=True)
    assert check(tmp_path / "beta").release == "RESIDE-beta (outdoor), which has no indoor set"


def test_a_part_of_its_gives_way_to_nyu(tmp_path, png):
    add_its(tmp_path, png)
    problem, = check(tmp_path).problems
    assert "holds 140 hazy images, not 13990: training takes the whole only" in problem
    with pytest.raises(DataError, match="holds 140 hazy images, not 13990"):
        open_training(tmp_path)
    assert isinstance(open_training(add_nyu(tmp_path, png)), Nyu) and not check(tmp_path).problems


def test_outdoor_images_are_a_test_set_of_their_own(tmp_path, png):
    save(tmp_path / "SOTS/outdoor/gt/0001.png", (550, 413))
    save(tmp_path / "SOTS/outdoor/hazy/0001_0.8_0.2.jpg", (550, 413))
    assert [folder.layout for folder in open_tests(tmp_path)] == [OUTDOOR] and check(tmp_path).uses == ["scoring"]
    with pytest.raises(DataError, match="no test set"):
        open_tests(tmp_path, indoor=True)
    add_sots(tmp_path, png, scenes=1)
    assert [folder.layout for folder in open_tests(tmp_path, indoor=True)] == [SOTS, OUTDOOR]


# --------------------------------------------------- what the check passes can be used, and the reverse


FAULTS = [  # what is told, the file that has the fault, and what stands there instead (None: nothing)
    ("10 hazy images have no clear image: 1401_1", "SOTS/indoor/gt/1401.png", None),
    ("1401.png: 64x64 pixels, expected 620x460 or 640x480", "SOTS/indoor/gt/1401.png", ("RGB", (64, 64))),
    ("1400.png: expected an 8-bit RGB image, found mode RGBA", "SOTS/indoor/gt/1400.png", ("RGBA", FRAME)),
    ("1400_3.png: not an image that can be read", "SOTS/indoor/hazy/1400_3.png", "version https://git-lfs"),
    ("1.png: expected a grey depth map of 8 or 16 bits, found mode RGB", "nyu/depth/1.png", ("RGB", FRAME)),
    ("1.png: 620x460 pixels, expected 640x480", "nyu/rgb/1.png", ("RGB", CROPPED)),
    ("ids have but one of rgb and depth", "nyu/rgb/1.png", None),
    ("['kitchen.png'] are not ids", "nyu/rgb/kitchen.png", ("RGB", FRAME)),
]


def use(root):
    """Does all that scoring and training read."""
    for folder in open_tests(root):
        [folder.clear(scene) for scene in folder.scenes], [folder.hazy(pair.name) for pair in folder.pairs]
    training = open_training(root)
    [(training.clear(id), training.depth(id)) for id in training.ids]


def test_a_sound_folder_passes_and_can_be_used(tmp_path, png):
    add_nyu(add_sots(tmp_path, png, scenes=2), png)
    report = check(tmp_path)
    assert not report.problems and report.uses == ["scoring", "training"]
    use(tmp_path)


@pytest.mark.parametrize("told, file, instead", FAULTS)
def test_what_cannot_be_used_is_a_problem_and_the_reverse(tmp_path, png, told, file, instead):
    add_nyu(add_sots(tmp_path, png, scenes=2), png)
    (tmp_path / file).unlink(missing_ok=True)
    if isinstance(instead, str):
        (tmp_path / file).write_text(instead)
    elif instead:
        mode, size = instead
        save(tmp_path / file, size, mode=mode)
    told_of_problem(tmp_path, told)


@pytest.mark.parametrize("ids, told", [
    ([1, 2], "none of its 2 scenes is one of the study's validation scenes"),
    ([HELD_OUT], "none of its 1 scenes is one of the study's training scenes"),
    ([1, HELD_OUT, 1449], "belongs to the SOTS test set")])
def test_frames_that_leave_nothing_to_train_or_to_select_on_are_a_problem(tmp_path, png, ids, told):
    told_of_problem(add_nyu(add_sots(tmp_path, png, scenes=1), png, ids), told)


def told_of_problem(root, told):
    report = check(root)
    assert any(told in problem for problem in report.problems) and report.uses != ["scoring", "training"]
    with pytest.raises(DataError, match=re.escape(told)):
        use(root)


def test_only_the_deep_check_finds_a_damaged_body(tmp_path, png):
    add_sots(tmp_path, png, scenes=2)
    path = tmp_path / "SOTS/indoor/hazy/1400_3.png"
    noise = np.random.default_rng(0).integers(0, 256, (460, 620, 3), dtype=np.uint8)
    path.unlink()
    Image.fromarray(noise).save(path, compress_level=1)
    path.write_bytes(path.read_bytes()[:-50_000])
    assert not check(tmp_path).problems
    problem, = check(tmp_path, deep=True).problems
    assert "1400_3.png: damaged or truncated" in problem


def test_deep_check_names_unmeasured_frames_of_the_mat_file(tmp_path, monkeypatch):
    monkeypatch.setattr(nyu, "FIRST_TEST_ID", 4)  # three frames are enough
    monkeypatch.setattr(nyu, "read_split", {"nyu_validation": [1], "nyu_excluded": []}.__getitem__)
    with h5py.File(tmp_path / nyu.MAT_NAME, "w") as file:
        file.create_dataset("images", (nyu.FRAMES, 3, 640, 480), np.uint8, chunks=(1, 3, 640, 480))
        depths = file.create_dataset("depths", (nyu.FRAMES, 640, 480), np.float32, chunks=(1, 640, 480))
        depths[0] = depths[2] = 2.5
    assert check(tmp_path).kinds == {"nyu"}
    problem, = check(tmp_path, deep=True).problems
    assert "depth 2 has unmeasured pixels" in problem


def test_a_root_may_be_absent_or_begin_with_a_tilde(tmp_path, png, monkeypatch):
    for open in (check, open_training, open_tests):
        with pytest.raises(FileNotFoundError, match="absent: no such data root; create it or correct the path"):
            open(tmp_path / "absent")
    monkeypatch.setenv("HOME", str(tmp_path))
    add_nyu(add_sots(tmp_path / "data", png, scenes=1), png)
    assert check("~/data").uses == ["scoring", "training"]
    assert open_training("~/data").ids == [TRAINED, HELD_OUT] and len(open_tests("~/data")) == 1


@needs("nyu", "SOTS")
def test_the_study_data_are_sound():
    report = check(DATA)
    assert report.kinds >= {"sots"} and report.uses == ["scoring", "training"] and not report.problems
