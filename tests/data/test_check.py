import importlib
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from dehazelib.data import nyu
from dehazelib.data.check import check, open_test, open_training
from dehazelib.data.images import DataError
from dehazelib.data.nyu import Nyu
from dehazelib.data.reside import Its, Sots

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
module = importlib.import_module("dehazelib.data.check")
needs_data = pytest.mark.skipif(not (DATA / "nyu").is_dir(), reason="no data")


@pytest.fixture(scope="module")
def png(tmp_path_factory):
    """Paths of a few images to link to: {"620x460": path, "640x480": path, "64x64": path, "depth": path}."""
    folder, paths = tmp_path_factory.mktemp("png"), {}
    for width, height in ((620, 460), (640, 480), (64, 64)):
        paths[f"{width}x{height}"] = folder / f"{width}.png"
        Image.new("RGB", (width, height), (9, 9, 9)).save(folder / f"{width}.png")
    paths["depth"] = folder / "depth.png"
    Image.new("L", (640, 480), 80).save(folder / "depth.png")
    return paths


def link(source, folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.link(source, folder / f"{name}.png")


def add_sots(root, png, scenes=50, levels=10, clear="640x480"):
    ids = range(1400, 1400 + scenes)
    link(png[clear], root / "SOTS/indoor/gt", ids)
    link(png["620x460"], root / "SOTS/indoor/hazy", [f"{i}_{j}" for i in ids for j in range(1, levels + 1)])
    return root


def add_its(root, png, scenes=14, per_scene=10):
    ids = range(1, scenes + 1)
    link(png["620x460"], root / "ITS/clear", ids)
    link(png["620x460"], root / "ITS/hazy", [f"{i}_{k}_0.8{k}" for i in ids for k in range(1, per_scene + 1)])
    return root


def add_nyu(root, png, frames=3):
    link(png["640x480"], root / "nyu/rgb", range(1, frames + 1))
    link(png["depth"], root / "nyu/depth", range(1, frames + 1))
    return root


@pytest.fixture
def small_its(monkeypatch):
    """A hundredth of ITS counts as all of it, so that 13,990 files need not be written."""
    assert (module.ITS_SCENES, module.ITS_HAZY, module.SOTS_PAIRS) == (1399, 13_990, 500)
    monkeypatch.setattr(module, "ITS_SCENES", 14)
    monkeypatch.setattr(module, "ITS_HAZY", 140)


def test_an_empty_root_is_told_what_to_get(tmp_path):
    report = check(tmp_path)
    assert report.kinds == set() and not report.found and not report.problems
    assert report.release == "no RESIDE files"
    text = str(report)
    for part in ("ITS/hazy/<id>_<k>_<A>.png", "SOTS/indoor/gt/<scene>.png", "nyu_depth_v2_labeled.mat"):
        assert part in text


def test_complete_reside_standard_is_recognised(tmp_path, png, small_its):
    report = check(add_sots(add_its(tmp_path, png), png))
    assert report.kinds == {"its", "sots"} and not report.problems and not report.advice
    assert report.release == "ITS of RESIDE-Standard, complete; SOTS-indoor, complete"
    assert "140 hazy and 14 clear" in report.found[0]
    assert "500 hazy and 50 clear" in report.found[1] and "640x480, to be centre-cropped" in report.found[1]
    assert isinstance(open_training(tmp_path), Its) and len(open_test(tmp_path).pairs) == 500


def test_more_hazy_images_than_standard_are_reside_v0(tmp_path, png, small_its):
    report = check(add_its(tmp_path, png, per_scene=11))
    assert report.release.startswith("ITS of RESIDE-v0")
    assert any(line.startswith("ITS: download RESIDE-Standard") for line in report.advice)
    with pytest.raises(DataError, match="no complete training set"):
        open_training(tmp_path)


def test_a_part_of_sots_is_called_a_part(tmp_path, png):
    report = check(add_sots(tmp_path, png, levels=5, clear="620x460"))
    assert report.release == "SOTS-indoor, 250 of 500 pairs" and report.kinds == {"sots"}
    assert "cropped" not in report.found[0]


def test_outdoor_release_is_told_apart(tmp_path):
    (tmp_path / "OTS").mkdir()
    assert check(tmp_path).release == "RESIDE-beta (outdoor), which has no indoor set"


def test_a_part_of_its_gives_way_to_nyu(tmp_path, png):
    add_its(tmp_path, png, scenes=2)
    with pytest.raises(DataError, match="holds 20 hazy images, not 13990"):
        open_training(tmp_path)
    assert isinstance(open_training(add_nyu(tmp_path, png)), Nyu)


def test_missing_data_are_told_with_their_layout(tmp_path):
    with pytest.raises(DataError, match="no complete training set. ITS: download .* or NYU: download"):
        open_training(tmp_path)
    with pytest.raises(DataError, match="no test set. SOTS: download .*SOTS/indoor/hazy/<scene>_<level>.png"):
        open_test(tmp_path)


def test_missing_pairs_are_reported_not_raised(tmp_path, png):
    add_sots(tmp_path, png, scenes=3)
    (tmp_path / "SOTS/indoor/gt/1401.png").unlink()
    report = check(tmp_path)
    assert "sots" not in report.kinds and "10 hazy images have no clear image: 1401_1" in report.problems[0]
    with pytest.raises(DataError, match="10 hazy images have no clear image"):
        open_test(tmp_path)


def test_every_wrong_size_in_sots_is_reported(tmp_path, png):
    add_sots(tmp_path, png, scenes=3)
    (tmp_path / "SOTS/indoor/gt/1402.png").unlink()
    link(png["64x64"], tmp_path / "SOTS/indoor/gt", [1402])
    problem, = check(tmp_path).problems
    assert "1402.png: 64x64, not 620x460 or 640x480" in problem


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


def test_a_file_without_an_image_header_is_found_at_once(tmp_path, png):
    add_sots(tmp_path, png, scenes=2)
    path = tmp_path / "SOTS/indoor/hazy/1400_3.png"
    path.unlink()
    path.write_text("version https://git-lfs")
    problem, = check(tmp_path).problems
    assert "1400_3.png: not an image that can be read" in problem


def test_test_scenes_among_the_training_frames_are_reported(tmp_path, png):
    add_nyu(tmp_path, png)
    link(png["640x480"], tmp_path / "nyu/rgb", [1449])
    link(png["depth"], tmp_path / "nyu/depth", [1449])
    report = check(tmp_path)
    assert "nyu" not in report.kinds and "belongs to the SOTS test set" in report.problems[0]


@pytest.mark.parametrize("deep", [False, True])
def test_cropped_nyu_frames_are_reported(tmp_path, png, deep):
    add_nyu(tmp_path, png)
    (tmp_path / "nyu/rgb/2.png").unlink()
    link(png["620x460"], tmp_path / "nyu/rgb", [2])
    report = check(tmp_path, deep=deep)
    assert "nyu" not in report.kinds and "2.png: 620x460, not 640x480" in report.problems[0]


def test_deep_check_names_unmeasured_frames_of_the_mat_file(tmp_path, monkeypatch):
    monkeypatch.setattr(nyu, "FIRST_TEST_ID", 4)  # three frames are enough
    with h5py.File(tmp_path / nyu.MAT_NAME, "w") as file:
        file.create_dataset("images", (nyu.FRAMES, 3, 640, 480), np.uint8, chunks=(1, 3, 640, 480))
        depths = file.create_dataset("depths", (nyu.FRAMES, 640, 480), np.float32, chunks=(1, 640, 480))
        depths[0] = depths[2] = 2.5
    assert check(tmp_path).kinds == {"nyu"}
    problem, = check(tmp_path, deep=True).problems
    assert "depth 2 has unmeasured pixels" in problem


def test_a_long_list_of_problems_is_cut_in_the_text_only(tmp_path, png):
    link(png["64x64"], tmp_path / "SOTS/indoor/gt", range(1400, 1410))
    link(png["64x64"], tmp_path / "SOTS/indoor/hazy", [f"{i}_{j}" for i in range(1400, 1410) for j in (1, 2)])
    report = check(tmp_path)
    assert len(report.problems) == 30 and "  ... and 10 more" in str(report)


def test_the_text_names_every_heading(tmp_path, png):
    text = str(check(add_nyu(tmp_path, png)))
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        f"Data root {tmp_path}", "found:", "release:", "problems:", "to do:"]


def test_an_absent_root_is_told(tmp_path):
    for use in (check, open_training, open_test):
        with pytest.raises(FileNotFoundError, match="absent: no such data root; create it or correct the path"):
            use(tmp_path / "absent")


@needs_data
def test_the_study_data_are_sound():
    report = check(DATA)
    assert {"nyu", "sots"} <= report.kinds and not report.problems
    assert isinstance(open_training(DATA), (Nyu, Its)) and isinstance(open_test(DATA), Sots)
