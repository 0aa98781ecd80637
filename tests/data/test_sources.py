"""All splits of each source: embedded rooms, NYU Depth v2, RESIDE."""

import importlib
import pickle

import numpy as np
import pytest
from PIL import Image

from dehazelib import haze
from dehazelib.data.images import DataError
from dehazelib.data.nyu import read_split
from dehazelib.data.rooms import scenes as rooms
from dehazelib.data.sources import open_data, open_tests, source
from dehazelib.metrics import psnr_rgb
from image_folders import CROPPED, DATA, FRAME, mosaic, needs, save

HELD_OUT, LEFT_OUT = read_split("nyu_validation")[0], read_split("nyu_excluded")[0]
TRAINED = read_split("nyu_train")[:2]


@pytest.fixture(scope="module")
def embedded():
    return open_data("rooms")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data root with four test pairs, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for scene in (1400, 1401):
        mosaic(tmp_path / f"data/SOTS/indoor/gt/{scene}.png", scene, FRAME)
        for level in (1, 5):
            mosaic(tmp_path / f"data/SOTS/indoor/hazy/{scene}_{level}.png", scene + level, CROPPED)
    return tmp_path / "data"


@pytest.fixture
def nyu_root(root):
    ramp = np.linspace(1000, 5000, 640).astype(np.uint16) * np.ones((480, 1), np.uint16)  # millimetres
    (root / "nyu/depth").mkdir(parents=True)
    for k in (*TRAINED, HELD_OUT, LEFT_OUT):
        mosaic(root / f"nyu/rgb/{k}.png", k, FRAME)
        Image.fromarray(ramp).save(root / f"nyu/depth/{k}.png", compress_level=1)
    return root


@pytest.fixture
def its_root(root, monkeypatch):
    check = importlib.import_module("dehazelib.data.check")
    monkeypatch.setattr(check, "ITS_SCENES", 4)
    monkeypatch.setattr(check, "ITS_HAZY", 8)
    for k in (*TRAINED, HELD_OUT, LEFT_OUT):
        mosaic(root / f"ITS/clear/{k}.png", k)
        for draw in (1, 2):
            mosaic(root / f"ITS/hazy/{k}_{draw}_0.8{draw}.png", k + draw)
    return root


# ------------------------------------------------------------------------------------------------------- rooms


def test_the_rooms_have_their_splits_and_haze_levels(embedded):
    assert embedded.name == source("rooms") == "rooms" and list(embedded.tests) == ["rooms", "motorcycle"]
    sizes = {"train": 48, "validation": 8, "rooms": 36, "motorcycle": 3}
    splits = {"train": embedded.train, "validation": embedded.validation, **embedded.tests}
    assert {name: len(pairs) for name, pairs in splits.items()} == sizes
    assert [p.beta for p in embedded.tests["rooms"].pairs[:3]] == pytest.approx([0.6, 1.0, 1.4])
    assert {p.airlight for test in embedded.tests.values() for p in test.pairs} == {1.0}


def test_rooms_have_pictures_depths_and_haze_in_range(embedded):
    for pairs in (embedded.validation, *embedded.tests.values()):
        hazy, clear = pairs[len(pairs) - 1]
        depth = pairs.depth(pairs.pairs[-1].scene)
        assert hazy.shape == clear.shape == (3, *depth.shape) and depth.max() == 1 and depth.min() > 0
        assert 0 <= hazy.min() and hazy.max() <= 1 and psnr_rgb(hazy[None], clear[None]) < 25


def test_all_sets_of_the_rooms_can_be_pickled(embedded):
    for pairs in (embedded.train, embedded.validation.reduced(4), *embedded.tests.values()):
        assert len(pickle.loads(pickle.dumps(pairs))) == len(pairs)


def test_rooms_are_made_once_and_only_in_the_cache(tmp_path, monkeypatch):
    made = []

    def make(split):
        made.append(split)
        rng = np.random.default_rng(len(made))
        clear = rng.integers(0, 256, (rooms.SPLITS[split], 8, 8, 3), dtype=np.uint8)
        return clear, np.full(clear.shape[:3], 65535, np.uint16)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rooms, "make", make)
    first, second = open_data("rooms"), open_data("rooms")
    assert made == list(rooms.SPLITS) and first.manifest == second.manifest and len(first.manifest) == 12
    assert [p.name for p in tmp_path.rglob("*") if p.is_dir()] == ["dehazelib", "rooms-v1"]
    clear = np.load(tmp_path / "dehazelib/rooms-v1/train-clear.npy")
    clear[5, 0, 0, 0] ^= 1
    np.save(tmp_path / "dehazelib/rooms-v1/train-clear.npy", clear)
    with pytest.raises(DataError, match="rooms-v1: damaged .*: remove it, and they are made again"):
        open_data("rooms")


# ------------------------------------------------------------------------------------------------- real folders


def test_nyu_frames_are_split_by_scene_and_hazed_here(nyu_root):
    data = open_data(str(nyu_root))
    assert data.name == source(str(nyu_root)) == "nyu" and list(data.tests) == ["sots_indoor"]
    assert [pair.scene for pair in data.train.pairs] == TRAINED  # neither held out nor a neighbour of what is
    assert [(pair.scene, pair.name) for pair in data.validation.pairs] == [(HELD_OUT, f"{HELD_OUT}_1")]
    hazy, clear = data.validation[0]
    airlight, beta = haze.its_draw(HELD_OUT)
    depth = np.linspace(1000, 5000, 640).astype(np.uint16)[::-1][10:-10] / 1000  # (620,)
    t = np.exp(-beta * depth / depth.max())
    expected = clear.numpy() * t + airlight * (1 - t)
    np.testing.assert_allclose((hazy * 255).numpy(), 255 * expected, atol=0.51)


def test_nyu_scenes_from_the_cache_are_those_of_the_files(nyu_root):
    for _ in range(2):  # decoded, then mapped
        data = open_data(str(nyu_root))
        frame = np.array(Image.open(nyu_root / f"nyu/rgb/{TRAINED[1]}.png"))
        np.testing.assert_array_equal(data.train.clear(TRAINED[1]), frame[10:-10, ::-1][:, 10:-10])


def test_its_pairs_are_the_files_and_validation_has_one_per_scene(its_root):
    data = open_data(str(its_root))
    assert data.name == source(str(its_root)) == "its"
    assert [pair.name for pair in data.train.pairs] == [f"{k}_{d}_0.8{d}" for k in TRAINED for d in (1, 2)]
    assert [pair.name for pair in data.validation.pairs] == [f"{HELD_OUT}_1_0.81"]
    hazy, clear = data.train[3]
    for ours, file in ((hazy, f"hazy/{TRAINED[1]}_2_0.82"), (clear, f"clear/{TRAINED[1]}")):
        theirs = np.array(Image.open(its_root / f"ITS/{file}.png"))
        np.testing.assert_array_equal((ours * 255).permute(1, 2, 0), theirs)


def test_sots_pairs_are_the_files_with_the_border_of_the_clear_ones_cut(root):
    test = open_tests(str(root))["sots_indoor"]  # without training images beside them
    assert [pair.name for pair in test.pairs] == ["1400_1", "1400_5", "1401_1", "1401_5"]
    assert [pair.name for pair in test.scenes().pairs] == ["1400", "1401"]
    clear = np.array(Image.open(root / "SOTS/indoor/gt/1401.png"))[10:-10, 10:-10]
    np.testing.assert_array_equal((test[3][1] * 255).permute(1, 2, 0), clear)


def test_outdoor_images_are_one_more_test_set_and_change_no_manifest(nyu_root):
    before = open_data(str(nyu_root)).manifest
    save(nyu_root / "SOTS/outdoor/gt/0001.png", (550, 413))
    save(nyu_root / "SOTS/outdoor/hazy/0001_0.8_0.2.jpg", (550, 413))
    data = open_data(str(nyu_root))
    assert list(data.tests) == ["sots_indoor", "sots_outdoor"] and data.manifest == before
    assert data.tests["sots_outdoor"][0][0].shape == (3, 413, 550)
    assert [pair.name for pair in data.tests["sots_outdoor"].scenes().pairs] == ["0001"]


def test_the_manifest_changes_when_a_training_or_a_test_file_does(its_root):
    seen = {open_data(str(its_root)).manifest}
    for file in (f"ITS/hazy/{TRAINED[0]}_1_0.81.png", "SOTS/indoor/gt/1400.png"):
        mosaic(its_root / file, 99, Image.open(its_root / file).size)
        seen.add(open_data(str(its_root)).manifest)
    assert len(seen) == 3


def test_a_folder_without_training_or_without_test_images_is_refused(root, nyu_root):
    (nyu_root / "SOTS").rename(nyu_root / "elsewhere")
    with pytest.raises(DataError, match="no test set. SOTS: download"):
        open_data(str(nyu_root))
    (nyu_root / "nyu").rename(nyu_root / "frames")
    with pytest.raises(DataError, match="data: no complete training set"):
        open_data(str(nyu_root))


@needs("nyu", "SOTS")
def test_real_images_open_and_genuine_haze_grows_with_its_level(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for kind in ("rgb", "depth"):
        (root / "nyu" / kind).mkdir(parents=True)
        for k in (*TRAINED, HELD_OUT):
            file = next((DATA / "nyu" / kind).glob(f"{k}.*"))
            (root / "nyu" / kind / file.name).symlink_to(file.resolve())
    (root / "SOTS").symlink_to((DATA / "SOTS").resolve())
    data = open_data(str(root))
    test = data.tests["sots_indoor"]
    scene = [i for i, pair in enumerate(test.pairs) if pair.scene == 1400]
    quality = [psnr_rgb(*(x[None] for x in test[i])).item() for i in scene]
    assert len(quality) >= 5 and quality == sorted(quality, reverse=True)
    hazy, clear = data.train.apply(data.train.sample_parameters(0, np.random.default_rng(0), crop=256))
    assert 5 < psnr_rgb(hazy[None], clear[None]) < 30
