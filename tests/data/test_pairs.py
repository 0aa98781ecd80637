"""One data set object over three sources: rooms, NYU Depth v2, RESIDE."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dehazelib import files, haze, paths
from dehazelib.data.cache import cached_folder
from dehazelib.data.images import DataError
from dehazelib.data.nyu import read_split
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.rooms import scenes as rooms
from dehazelib.data.sources import open_data, open_tests, source
from dehazelib.metrics import psnr_rgb

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
HELD_OUT, LEFT_OUT = read_split("nyu_validation")[0], read_split("nyu_excluded")[0]
TRAINED = read_split("nyu_train")[:2]
FIXED, DRAWN = 0, 1  # places in the fixture `tiny`


@pytest.fixture(scope="module")
def embedded():
    return open_data("rooms")


@pytest.fixture
def tiny():
    """A pair whose haze is fixed and one whose haze is drawn; the red channel tells the depth."""
    clear = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    items = [Pair("0_1", 0, airlight=0.8, beta=1.5), Pair("1", 1)]
    return Pairs("tiny", items, clear.__getitem__, lambda scene: clear[scene, ..., 0] / np.float32(255))


@pytest.fixture
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(seed, size):
    blocks = np.random.default_rng(seed).integers(0, 256, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(20, 0).repeat(20, 1))


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def sots_root(root):
    for scene in (1400, 1401):
        write(root / f"SOTS/indoor/gt/{scene}.png", picture(scene, (640, 480)))
        for level in (1, 5):
            write(root / f"SOTS/indoor/hazy/{scene}_{level}.png", picture(scene + level, (620, 460)))
    return root


@pytest.fixture
def nyu_root(tmp_path, private_cache):
    ramp = np.linspace(1000, 5000, 640).astype(np.uint16) * np.ones((480, 1), np.uint16)  # millimetres
    for k in (*TRAINED, HELD_OUT, LEFT_OUT):
        write(tmp_path / f"data/nyu/rgb/{k}.png", picture(k, (640, 480)))
        write(tmp_path / f"data/nyu/depth/{k}.png", Image.fromarray(ramp))
    return sots_root(tmp_path / "data")


@pytest.fixture
def its_root(tmp_path, private_cache, monkeypatch):
    check = importlib.import_module("dehazelib.data.check")
    monkeypatch.setattr(check, "ITS_SCENES", 4)
    monkeypatch.setattr(check, "ITS_HAZY", 8)
    for k in (*TRAINED, HELD_OUT, LEFT_OUT):
        write(tmp_path / f"data/ITS/clear/{k}.png", picture(k, (620, 460)))
        for draw in (1, 2):
            write(tmp_path / f"data/ITS/hazy/{k}_{draw}_0.8{draw}.png", picture(k + draw, (620, 460)))
    return sots_root(tmp_path / "data")


def expected_bytes(clear, airlight, beta):
    """The scattering model on a clear image (3, H, W) of `tiny`, in grey levels, before rounding."""
    t = np.exp(-beta * clear[0].double().numpy())
    return 255 * (clear.double().numpy() * t + airlight * (1 - t))


# -------------------------------------------------------------------------------------- drawing from a set


def test_haze_is_the_scattering_model_rounded_to_eight_bits(tiny):
    hazy, clear = tiny[FIXED]
    levels = (hazy * 255).double().numpy()
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    np.testing.assert_allclose(levels, expected_bytes(clear, 0.8, 1.5), atol=0.501)


def test_a_window_cuts_image_and_depth_alike(tiny):
    whole, places = tiny[FIXED][1], set()
    for seed in range(30):
        hazy, clear = tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(seed), crop=24))
        assert hazy.shape == clear.shape == (3, 24, 24)
        np.testing.assert_allclose((hazy * 255).numpy(), expected_bytes(clear, 0.8, 1.5), atol=0.501)
        found = {(y, x) for y in range(9) for x in range(17)
                 if torch.equal(whole[:, y : y + 24, x : x + 24], clear)}
        assert len(found) == 1
        places |= found
    assert {y for y, _ in places} == set(range(9)) and {x for _, x in places} >= {0, 16}  # the last fit, too


def test_a_window_may_be_the_whole_height_but_no_more(tiny):
    assert tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(0), crop=32))[0].shape == (3, 32, 32)
    with pytest.raises(ValueError, match="33-pixel window from 0_1 of 32x40: use a smaller crop"):
        tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(0), crop=33))


def test_fixed_haze_needs_no_generator_and_repeats(tiny):
    assert torch.equal(tiny[FIXED][0], tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(3)))[0])


def test_drawn_haze_depends_on_the_generator_alone(tiny):
    drawn = [tiny.sample_parameters(DRAWN, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    one, again, other = (tiny.apply(parameters)[0] for parameters in drawn)
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize("index, crop", [(DRAWN, 0), (FIXED, 16)])
def test_what_is_drawn_needs_a_generator(tiny, index, crop):
    with pytest.raises(ValueError, match=f"{tiny.pairs[index].name} .*pass a random generator"):
        tiny.apply(tiny.sample_parameters(index, None, crop))


def test_some_are_spread_evenly_from_the_first_to_the_last():
    pairs = Pairs("many", [Pair(str(i), i) for i in range(100)], clear=None)
    assert [pair.scene for pair in pairs.subset(4).pairs] == [0, 33, 66, 99]
    assert all(len({p.name for p in pairs.subset(n).pairs}) == n for n in range(1, 100))
    assert pairs.subset(0) is pairs.subset(100) is pairs.subset(101) is pairs


def test_scenes_are_the_clear_images_once_each_named_after_their_scene():
    names = ["1400_10", "1400_2", "1399_1", "7_1_0.90179", "7_2_0.8", "03"]
    pairs = Pairs("mixed", [Pair(name, int(name.split("_")[0])) for name in names], clear=None)
    assert [(pair.name, pair.scene) for pair in pairs.scenes().pairs] == [
        ("03", 3), ("7", 7), ("1399", 1399), ("1400", 1400)]


# ----------------------------------------------------------------------------------------------- the rooms


def test_the_rooms_have_their_splits_and_haze_levels(embedded):
    assert embedded.name == source("rooms") == "rooms" and list(embedded.tests) == ["rooms", "motorcycle"]
    sizes = {"train": 48, "validation": 8, "rooms": 36, "motorcycle": 3}
    splits = {"train": embedded.train, "validation": embedded.validation, **embedded.tests}
    assert {name: len(pairs) for name, pairs in splits.items()} == sizes
    assert [p.beta for p in embedded.tests["rooms"].pairs[:3]] == pytest.approx([0.6, 1.0, 1.4])
    assert {p.airlight for test in embedded.tests.values() for p in test.pairs} == {1.0}


def test_no_room_is_in_two_splits(embedded):
    sets = (embedded.train, embedded.validation, embedded.tests["rooms"])
    seen = [{pairs.clear(pair.scene).tobytes() for pair in pairs.pairs} for pairs in sets]
    assert [len(images) for images in seen] == [48, 8, 12] and len(set.union(*seen)) == 68


def test_rooms_have_pictures_depths_and_haze_in_range(embedded):
    for pairs in (embedded.validation, *embedded.tests.values()):
        hazy, clear = pairs[len(pairs) - 1]
        depth = pairs.depth(pairs.pairs[-1].scene)
        assert hazy.shape == clear.shape == (3, *depth.shape) and depth.max() == 1 and depth.min() > 0
        assert 0 <= hazy.min() and hazy.max() <= 1 and psnr_rgb(hazy[None], clear[None]) < 25


def test_more_haze_is_further_from_the_clear_image(embedded):
    test = embedded.tests["rooms"]
    quality = [psnr_rgb(*(x[None] for x in test[i])).item() for i in range(len(test))]
    assert all(quality[i] > quality[i + 1] > quality[i + 2] for i in range(0, len(test), 3))


def test_rooms_are_made_once_and_only_in_the_cache(private_cache, monkeypatch):
    made = []

    def make(split):
        made.append(split)
        rng = np.random.default_rng(len(made))
        clear = rng.integers(0, 256, (rooms.SPLITS[split], 8, 8, 3), dtype=np.uint8)
        return clear, np.full(clear.shape[:3], 65535, np.uint16), []

    monkeypatch.setattr(rooms, "make", make)
    first, second = open_data("rooms"), open_data("rooms")
    assert made == list(rooms.SPLITS) and first.manifest == second.manifest and len(first.manifest) == 12
    folders = [p.name for p in private_cache.rglob("*") if p.is_dir()]
    assert folders == ["dehazelib", "rooms-v1"]  # nothing half made
    clear = np.load(private_cache / "dehazelib/rooms-v1/train-clear.npy")
    clear[5, 0, 0, 0] ^= 1
    np.save(private_cache / "dehazelib/rooms-v1/train-clear.npy", clear)
    assert open_data("rooms").manifest != first.manifest


def test_rooms_that_could_not_be_made_leave_nothing_behind(private_cache, monkeypatch):
    monkeypatch.setattr(rooms, "make", lambda split: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        open_data("rooms")
    assert [p for p in (private_cache / "dehazelib").iterdir() if p.suffix != ".lock"] == []


def test_what_a_killed_process_left_half_made_is_removed(private_cache):
    left, other = (private_cache / "dehazelib" / name for name in ("key-1a2b", "key2-1a2b"))
    left.mkdir(parents=True), other.mkdir()
    folder = cached_folder("key", lambda scratch: (scratch / "made").touch())
    assert [p.name for p in folder.iterdir()] == ["made"] and not left.exists() and other.exists()


CACHED = """import sys, time
from dehazelib.data.cache import cached_folder

def build(folder):
    print("building", flush=True)
    time.sleep(1)  # long enough for the others to arrive
    (folder / "made").touch()

print("ready", flush=True)
sys.stdin.readline()
print(*[p.name for p in cached_folder("key", build).iterdir()])
"""


def test_of_several_processes_one_builds_the_cache_and_the_others_wait(private_cache):
    pytest.importorskip("fcntl")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    processes = [subprocess.Popen([sys.executable, "-c", CACHED], cwd=paths.ROOT, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("\n"), process.stdin.flush()
    said = [process.communicate()[0].splitlines() for process in processes]
    assert sorted(said) == [["building", "made"], ["made"], ["made"]]
    assert sorted(p.name for p in (private_cache / "dehazelib").iterdir()) == ["key", "key.lock"]


def test_without_locks_the_first_to_finish_the_cache_wins(private_cache, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)

    def ours(folder):
        (folder / "made").write_text("ours")
        cached_folder("key", lambda folder: (folder / "made").write_text("theirs"))

    assert (cached_folder("key", ours) / "made").read_text() == "theirs"
    assert [p.name for p in (private_cache / "dehazelib").iterdir()] == ["key"]


# -------------------------------------------------------------------------------------------- real folders


def test_nyu_frames_are_split_by_scene_and_hazed_here(nyu_root):
    data = open_data(str(nyu_root))
    assert data.name == source(str(nyu_root)) == "nyu" and list(data.tests) == ["sots_indoor"]
    assert [pair.scene for pair in data.train.pairs] == TRAINED  # neither held out nor a neighbour of what is
    assert [(pair.scene, pair.name) for pair in data.validation.pairs] == [(HELD_OUT, f"{HELD_OUT}_1")]
    hazy, clear = data.validation[0]
    airlight, beta = haze.its_draws(HELD_OUT)[0]
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
    hazy, clear = data.train.apply(data.train.sample_parameters(3))
    for ours, file in ((hazy, f"hazy/{TRAINED[1]}_2_0.82"), (clear, f"clear/{TRAINED[1]}")):
        theirs = np.array(Image.open(its_root / f"ITS/{file}.png"))
        np.testing.assert_array_equal((ours * 255).permute(1, 2, 0), theirs)


def test_sots_pairs_are_the_files_with_the_border_of_the_clear_ones_cut(its_root):
    test = open_data(str(its_root)).tests["sots_indoor"]
    assert [pair.name for pair in test.pairs] == ["1400_1", "1400_5", "1401_1", "1401_5"]
    assert [pair.name for pair in test.scenes().pairs] == ["1400", "1401"]
    clear = np.array(Image.open(its_root / "SOTS/indoor/gt/1401.png"))[10:-10, 10:-10]
    np.testing.assert_array_equal((test[3][1] * 255).permute(1, 2, 0), clear)


def test_the_manifest_changes_when_a_training_or_a_test_file_does(its_root):
    seen = {open_data(str(its_root)).manifest}
    for file in (f"ITS/hazy/{TRAINED[0]}_1_0.81.png", "SOTS/indoor/gt/1400.png"):
        write(its_root / file, picture(99, Image.open(its_root / file).size))
        seen.add(open_data(str(its_root)).manifest)
    assert len(seen) == 3


def test_test_images_need_no_training_images_beside_them(tmp_path):
    tests = open_tests(str(sots_root(tmp_path)))
    assert {name: len(pairs) for name, pairs in tests.items()} == {"sots_indoor": 4}
    assert tests["sots_indoor"][0][1].shape == (3, 460, 620)
    assert list(open_tests()) == list(open_data().tests)


def test_a_folder_without_training_or_without_test_images_is_refused(tmp_path, nyu_root):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no complete training set"):
        open_data(str(tmp_path / "empty"))
    (nyu_root / "SOTS").rename(nyu_root / "elsewhere")
    with pytest.raises(DataError, match="no test set. SOTS: download"):
        open_data(str(nyu_root))


@pytest.mark.skipif(not (DATA / "nyu").is_dir() or not (DATA / "SOTS").is_dir(), reason="no data")
def test_real_images_open_and_genuine_haze_grows_with_its_level(tmp_path, private_cache):
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
    few = test.subset(25)
    mean = np.mean([psnr_rgb(*(x[None] for x in few[i])).item() for i in range(25)])
    assert mean == pytest.approx(11.97, abs=1.5)  # of all 500 pairs
    hazy, clear = data.train.apply(data.train.sample_parameters(0, np.random.default_rng(0), crop=256))
    assert 5 < psnr_rgb(hazy[None], clear[None]) < 30
