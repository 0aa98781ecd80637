import shutil

import numpy as np
import pytest
from PIL import Image

from dehazelib.data.images import DataError
from dehazelib.data.reside import ITS, OUTDOOR, SOTS, find
from dehazelib.haze import SOTS_AIRLIGHT, sots_beta
from image_folders import DATA, add_its, add_sots, needs, open_pairs, save


@pytest.fixture
def its(tmp_path):
    return add_its(tmp_path)


@pytest.fixture
def sots(tmp_path):
    return add_sots(tmp_path)


@pytest.fixture
def outdoor(tmp_path):
    for number, name in enumerate(("0001_0.8_0.2", "0002_0.95_0.08", "1400_1_0.2"), 1):
        save(tmp_path / f"SOTS/outdoor/gt/{name[:4]}.png", (550, 400 + number))
        save(tmp_path / f"SOTS/outdoor/hazy/{name}.jpg", (550, 400 + number))
    return tmp_path


def names(folder):
    return [pair.name for pair in folder.pairs]


def test_pairs_are_sorted_as_numbers_and_tell_scene_level_and_airlight(its):
    assert [(p.scene, p.level, p.airlight) for p in open_pairs(its, ITS).pairs] == [
        (1, 1, 0.9), (2, 2, 1), (2, 10, 0.75), (10, 1, 0.85123)]
    assert names(open_pairs(add_sots(its), SOTS)) == ["1400_1", "1400_2", "1400_10", "1401_1", "1401_2", "1401_10"]


def test_a_pair_is_read(its):
    folder = open_pairs(its, ITS)
    assert (folder.clear(10) == 10).all() and (folder.hazy("10_1_0.85123") == 200).all()
    assert folder.clear(10).shape == folder.hazy("10_1_0.85123").shape == (460, 620, 3)


# --------------------------------------------------------------------------------------------- layouts people have


@pytest.mark.parametrize("layout, given, moved", [
    (ITS, "ITS", "its"), (ITS, "ITS", "ITS_v2"), (ITS, "ITS", "."), (ITS, "ITS", "RESIDE/ITS"),
    (ITS, "ITS", "RESIDE-IN/train"), (SOTS, "SOTS", "RESIDE/SOTS"), (SOTS, "SOTS", "reside-standard/sots"),
    (SOTS, "SOTS/indoor", "SOTS/indoor/indoor"), (SOTS, "SOTS/indoor", "RESIDE-IN/test"), (SOTS, "SOTS/indoor", ".")])
def test_sets_are_found_where_people_have_them(tmp_path, layout, given, moved):
    source = add_sots(add_its(tmp_path / "official")) / given
    target = tmp_path / "root" / moved
    shutil.copytree(source, target, dirs_exist_ok=True)
    assert names(open_pairs(tmp_path / "root", layout)) == names(open_pairs(tmp_path / "official", layout))


@pytest.mark.parametrize("inside", ["", "SOTS", "SOTS/indoor"])
def test_a_set_is_found_from_every_level(sots, inside):
    assert len(open_pairs(sots / inside, SOTS).pairs) == 6


def test_a_folder_with_a_clear_image_for_every_hazy_one_has_each_scene_once(sots, tmp_path):
    """The layout of gUNet and DehazeFormer: GT/<name> is a copy of the scene's clear image for every hazy/<name>."""
    test = tmp_path / "RESIDE-IN/test"
    shutil.copytree(sots / "SOTS/indoor/hazy", test / "hazy")
    for hazy in (test / "hazy").iterdir():
        save(test / "GT" / hazy.name, grey=int(hazy.stem[:4]) - 1400)
    shutil.rmtree(sots / "SOTS")
    folder = open_pairs(tmp_path, SOTS)
    assert names(folder) == ["1400_1", "1400_2", "1400_10", "1401_1", "1401_2", "1401_10"] and len(folder.files) == 8
    assert (folder.clear(1401) == 1).all()
    (test / "GT/1401_2.png").rename(test / "GT/kitchen.png")
    with pytest.raises(DataError, match="1 clear images have no hazy image: kitchen"):
        open_pairs(tmp_path, SOTS)


def test_outdoor_images_have_sizes_of_their_own(outdoor):
    folder = open_pairs(outdoor, OUTDOOR)
    assert [(p.scene, p.airlight) for p in folder.pairs] == [(1, 0.8), (2, 0.95), (1400, 1)]
    assert folder.hazy("0002_0.95_0.08").shape == folder.clear(2).shape == (402, 550, 3)
    assert not folder.file_problems(deep=True)
    save(outdoor / "SOTS/outdoor/hazy/0001_0.8_0.2.jpg", (550, 413))
    with pytest.raises(DataError, match="0001_0.8_0.2.jpg: 550x413 pixels, its clear image has 550x401"):
        open_pairs(outdoor, OUTDOOR).hazy("0001_0.8_0.2")


def test_one_set_is_not_taken_for_another(tmp_path, outdoor):
    add_sots(add_its(outdoor))
    for layout, folder in ((ITS, "ITS"), (SOTS, "SOTS/indoor"), (OUTDOOR, "SOTS/outdoor")):
        for other in {ITS, SOTS, OUTDOOR} - {layout}:
            assert find(tmp_path / folder, other) is None


# ------------------------------------------------------------------------------------------------- what is refused


def test_ground_truth_of_a_whole_frame_loses_its_border(sots):
    marked = np.zeros((480, 640, 3), np.uint8)
    marked[10, 10], marked[469, 629] = 1, 2
    Image.fromarray(marked).save(sots / "SOTS/indoor/gt/1400.png")
    clear = open_pairs(sots, SOTS).clear(1400)
    assert clear.shape == (460, 620, 3) and (clear[0, 0] == 1).all() and (clear[-1, -1] == 2).all()


def remove(*files):
    return lambda root: [shutil.rmtree(root / f) if (root / f).is_dir() else (root / f).unlink() for f in files]


def add(*files):
    return lambda root: [save(root / file) for file in files]


@pytest.mark.parametrize("layout, change, message", [
    (SOTS, remove("SOTS/indoor/gt/1401.png"), "3 hazy images have no clear image: 1401_1, 1401_2, 1401_10. Expected"),
    (SOTS, remove("SOTS/indoor/gt"), r"no folder clear \(or gt\)"),
    (SOTS, remove("SOTS/indoor/hazy"), "no folder hazy"),
    (SOTS, add("SOTS/indoor/gt/1400.bmp"), "1 images are in gt twice, in different formats: 1400"),
    (SOTS, add("SOTS/indoor/gt/7.png", "SOTS/indoor/hazy/7_1.png"), "1 ids are training scenes: 7"),
    (ITS, remove("ITS/hazy/1_1_0.9.png"), "1 clear images have no hazy image: 1. Expected ITS/clear"),
    (ITS, add("ITS/hazy/kitchen.png"), "1 hazy names are not of the form 1_1_0.90179: kitchen"),
    (ITS, add("ITS/clear/1400.png", "ITS/hazy/1400_1_0.8.png"), "1 ids belong to the SOTS test set: 1400")])
def test_a_fault_is_named(tmp_path, layout, change, message):
    change(add_sots(add_its(tmp_path)))
    with pytest.raises(DataError, match=message):
        open_pairs(tmp_path, layout)


@pytest.mark.parametrize("layout", [ITS, SOTS])
def test_empty_folders_are_told(tmp_path, layout):
    (tmp_path / "hazy").mkdir(), (tmp_path / "gt").mkdir()
    with pytest.raises(DataError, match="folder gt is empty; folder hazy is empty"):
        open_pairs(tmp_path, layout)


def test_an_unknown_name_is_told(sots):
    with pytest.raises(FileNotFoundError, match="no image called 1400_9; take names from .pairs"):
        open_pairs(sots, SOTS).hazy("1400_9")


# --------------------------------------------------------------------------------------------------- genuine files


def exponents(sots, scene):
    """beta * d of every level at the pixels dark enough to show it, from the images alone: {level: (N,)}."""
    airlight_gap = SOTS_AIRLIGHT - sots.clear(scene) / 255  # (460, 620, 3)
    visible = airlight_gap.sum(-1) > 1                      # (460, 620)
    found = {}
    for pair in (pair for pair in sots.pairs if pair.scene == scene):
        hazy_gap = SOTS_AIRLIGHT - sots.hazy(pair.name) / 255
        t = (hazy_gap * airlight_gap).sum(-1) / np.maximum((airlight_gap**2).sum(-1), 1e-9)  # least squares
        found[pair.level] = -np.log(t[visible])
    return found


@needs("SOTS")
@pytest.mark.parametrize("scene", [1400, 1410, 1425, 1449])
def test_haze_levels_of_genuine_test_images_are_recovered(scene):
    found = exponents(open_pairs(DATA, SOTS), scene)
    thickest = found[max(found)]
    for level, exponent in found.items():
        ratio = (exponent @ thickest) / (thickest @ thickest)  # beta over that of the thickest haze
        assert ratio * sots_beta(max(found)) == pytest.approx(sots_beta(level), abs=1e-2)
        largest_depth = np.quantile(exponent, 0.9995) / sots_beta(level)
        assert 0.95 < largest_depth < 1.01  # relative to its own maximum, not in metres


@pytest.mark.slow
@needs("SOTS")
def test_psnr_of_the_hazy_test_images_themselves():
    sots = open_pairs(DATA, SOTS)
    scores, clear = {}, {scene: sots.clear(scene).astype(np.float32) for scene in sots.scenes}
    for pair in sots.pairs:
        mse = np.mean((sots.hazy(pair.name) - clear[pair.scene]) ** 2) / 255**2
        scores.setdefault(pair.level, []).append(-10 * np.log10(mse))
    means = {level: float(np.mean(values)) for level, values in sorted(scores.items())}
    assert list(means.values()) == sorted(means.values(), reverse=True)
    curve = np.polyfit(list(means), list(means.values()), 3)  # this copy may lack some of the ten levels
    assert np.polyval(curve, range(1, 11)).mean() == pytest.approx(11.97, abs=0.05)  # the official 500 pairs
