import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehazelib.data.images import DataError, centre_crop, find_by_stem, image_size, read_rgb
from dehazelib.data.reside import Its, Sots
from dehazelib.haze import SOTS_AIRLIGHT, sots_beta

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
needs_data = pytest.mark.skipif(not (DATA / "SOTS").is_dir(), reason="no data")


def save(path, size=(620, 460), grey=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


@pytest.fixture
def its(tmp_path):
    for id in (1, 2, 10):
        save(tmp_path / f"clear/{id}.png", grey=id)
    for name in ("1_1_0.9", "2_10_0.75", "2_2_1", "10_1_0.85123"):
        save(tmp_path / f"hazy/{name}.png", grey=200)
    return tmp_path


@pytest.fixture
def sots(tmp_path):
    for scene in (1400, 1401):
        save(tmp_path / f"SOTS/indoor/gt/{scene}.png", size=(640, 480), grey=scene - 1400)
        for level in (1, 2, 10):
            save(tmp_path / f"SOTS/indoor/hazy/{scene}_{level}.png", grey=100 + level)
    return tmp_path


def test_its_pairs_are_sorted_as_numbers(its):
    assert Its(its).pairs == [(1, "1_1_0.9"), (2, "2_2_1"), (2, "2_10_0.75"), (10, "10_1_0.85123")]


def test_its_reads_the_pair_and_its_airlight(its):
    data = Its(its)
    assert (data.clear(10) == 10).all() and (data.hazy("10_1_0.85123") == 200).all()
    assert data.airlight("10_1_0.85123") == 0.85123 and data.airlight("2_2_1") == 1


def test_its_reads_transmission_maps_where_there_are_some(its):
    with pytest.raises(FileNotFoundError, match="no trans folder"):
        Its(its).transmission("2_10_0.75")
    save(its / "trans/2_10.png", grey=51)
    t = Its(its).transmission("2_10_0.75")
    assert t.shape == (460, 620) and t.dtype == np.float32 and t.max() == pytest.approx(0.2)


def test_files_for_the_manifest_are_those_of_the_pairs(sots):
    assert sorted(Sots(sots).files) == sorted((sots / "SOTS").rglob("*.png"))


@pytest.mark.parametrize("place", ["ITS", "its"])
def test_its_is_found_below_the_data_root(its, tmp_path_factory, place):
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(its, root / place)
    (root / place / "clear").rename(root / place / "GT")
    assert len(Its(root).pairs) == 4


@pytest.mark.parametrize("inside", ["", "SOTS", "SOTS/indoor"])
def test_sots_is_found_from_every_level(sots, inside):
    assert Sots(sots / inside).pairs == [(f"{scene}_{level}", scene, level)
                                         for scene in (1400, 1401) for level in (1, 2, 10)]


def test_sots_with_a_nested_indoor_folder_is_found(sots):
    (sots / "SOTS/indoor").rename(sots / "inner")
    (sots / "SOTS/indoor").mkdir()
    (sots / "inner").rename(sots / "SOTS/indoor/indoor")
    assert len(Sots(sots).pairs) == 6


def test_an_its_folder_is_not_taken_for_sots(its):
    with pytest.raises(FileNotFoundError, match="no SOTS here; expected SOTS/indoor/gt"):
        Sots(its)


def test_uncropped_ground_truth_is_centre_cropped(sots):
    marked = np.zeros((480, 640, 3), np.uint8)
    marked[10, 10], marked[469, 629] = 1, 2
    Image.fromarray(marked).save(sots / "SOTS/indoor/gt/1400.png")
    clear = Sots(sots).clear(1400)
    assert clear.shape == (460, 620, 3) and (clear[0, 0] == 1).all() and (clear[-1, -1] == 2).all()


def test_an_image_of_the_right_size_is_not_cropped():
    image = np.zeros((460, 620, 3), np.uint8)
    assert centre_crop(image) is image


def test_ground_truth_of_another_size_is_refused(sots):
    save(sots / "SOTS/indoor/gt/1401.png", size=(512, 512))
    with pytest.raises(DataError, match="1401.png: 512x512 pixels, expected 620x460 or 640x480 .*, never"):
        Sots(sots).clear(1401)


def test_a_hazy_image_of_another_size_is_refused(sots):
    save(sots / "SOTS/indoor/hazy/1400_1.png", size=(640, 480))
    with pytest.raises(DataError, match="1400_1.png: 640x480 pixels, RESIDE's hazy images have 620x460"):
        Sots(sots).hazy("1400_1")


def test_missing_ground_truth_is_named(sots):
    (sots / "SOTS/indoor/gt/1401.png").unlink()
    with pytest.raises(DataError, match="3 hazy images have no clear image: 1401_1, 1401_10, 1401_2"):
        Sots(sots)


def test_missing_hazy_images_are_named(its):
    (its / "hazy/1_1_0.9.png").unlink()
    with pytest.raises(DataError, match="1 clear images have no hazy image: 1. Expected ITS/clear"):
        Its(its)


def test_a_missing_ground_truth_folder_is_told(sots):
    shutil.rmtree(sots / "SOTS/indoor/gt")
    with pytest.raises(DataError, match=r"no folder clear \(or gt\)"):
        Sots(sots)


def test_a_missing_hazy_folder_is_told(sots):
    shutil.rmtree(sots / "SOTS/indoor/hazy")
    with pytest.raises(DataError, match="no folder hazy"):
        Sots(sots)


def test_an_image_in_two_formats_is_named(sots):
    save(sots / "SOTS/indoor/gt/1400.bmp")
    with pytest.raises(DataError, match="1 images are in gt twice, in different formats: 1400"):
        Sots(sots)


@pytest.mark.parametrize("kind", [Its, Sots])
def test_empty_folders_are_told(tmp_path, kind):
    (tmp_path / "hazy").mkdir(), (tmp_path / "gt").mkdir()
    with pytest.raises(DataError, match="folder gt is empty; folder hazy is empty"):
        kind(tmp_path)


def test_names_of_another_form_are_named(its):
    save(its / "hazy/kitchen.png")
    with pytest.raises(DataError, match="1 hazy names are not of the form 1_1_0.90179: kitchen"):
        Its(its)


def test_its_refuses_test_scenes(its):
    save(its / "clear/1400.png"), save(its / "hazy/1400_1_0.8.png")
    with pytest.raises(DataError, match="1 ids belong to the SOTS test set: 1400"):
        Its(its)


def test_sots_refuses_training_scenes(sots):
    save(sots / "SOTS/indoor/gt/7.png"), save(sots / "SOTS/indoor/hazy/7_1.png")
    with pytest.raises(DataError, match="1 ids are training scenes: 7"):
        Sots(sots)


def test_an_unknown_name_is_told(sots):
    with pytest.raises(FileNotFoundError, match="no image called 1400_9; take names from .pairs"):
        Sots(sots).hazy("1400_9")


def test_a_truncated_image_is_told(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for suffix in ("png", "jpg", "webp"):
        path = tmp_path / f"1.{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(DataError, match=rf"1.{suffix}: .* fetch the file again"):
            read_rgb(path)


def test_a_file_that_is_no_image_is_told(tmp_path):
    (tmp_path / "1.png").write_text("<html>404</html>")
    for read in (read_rgb, image_size):
        with pytest.raises(DataError, match="1.png: not an image that can be read"):
            read(tmp_path / "1.png")


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="1.png: no such file"):
        read_rgb(tmp_path / "1.png")


def test_sixteen_bit_images_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match="expected an 8-bit RGB image, found more than 8 bits a channel"):
        read_rgb(tmp_path / "1.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "bmp"])
def test_every_format_is_found_by_stem_and_read(tmp_path, suffix):
    save(tmp_path / f"1_1_0.90179.{suffix}", size=(31, 17), grey=90)
    path = find_by_stem(tmp_path, "1_1_0.90179")
    assert image_size(path) == (17, 31) and abs(read_rgb(path).astype(int) - 90).max() <= 1


def test_find_by_stem_refuses_none_and_several(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image called 5"):
        find_by_stem(tmp_path, "5")
    save(tmp_path / "5.png", (4, 4)), save(tmp_path / "5.bmp", (4, 4))
    with pytest.raises(DataError, match="5.png and 5.bmp are the same image twice; keep one"):
        find_by_stem(tmp_path, "5")


def exponents(sots, scene):
    """beta * d of every level at the pixels dark enough to show it, from the images alone: {level: (N,)}."""
    airlight_gap = SOTS_AIRLIGHT - sots.clear(scene) / 255  # (460, 620, 3)
    visible = airlight_gap.sum(-1) > 1                      # (460, 620)
    found = {}
    for name in (name for name, s, _ in sots.pairs if s == scene):
        hazy_gap = SOTS_AIRLIGHT - sots.hazy(name) / 255
        t = (hazy_gap * airlight_gap).sum(-1) / np.maximum((airlight_gap**2).sum(-1), 1e-9)  # least squares
        found[int(name.split("_")[1])] = -np.log(t[visible])
    return found


@needs_data
@pytest.mark.parametrize("scene", [1400, 1410, 1425, 1449])
def test_haze_levels_of_genuine_test_images_are_recovered(scene):
    found = exponents(Sots(DATA), scene)
    thickest = found[max(found)]
    for level, exponent in found.items():
        ratio = (exponent @ thickest) / (thickest @ thickest)  # beta over that of the thickest haze
        assert ratio * sots_beta(max(found)) == pytest.approx(sots_beta(level), abs=1e-2)
        largest_depth = np.quantile(exponent, 0.9995) / sots_beta(level)
        assert 0.95 < largest_depth < 1.01  # relative to its own maximum, not in metres


@needs_data
def test_psnr_of_the_hazy_test_images_themselves():
    sots = Sots(DATA)
    clear = {scene: sots.clear(scene).astype(np.float32) / 255 for scene in {s for _, s, _ in sots.pairs}}
    scores = {}
    for name, scene, level in sots.pairs:
        mse = np.mean((sots.hazy(name).astype(np.float32) / 255 - clear[scene]) ** 2)
        scores.setdefault(level, []).append(-10 * np.log10(mse))
    means = {level: float(np.mean(values)) for level, values in sorted(scores.items())}
    print(f"{len(sots.pairs)} pairs: {np.mean(np.concatenate(list(scores.values()))):.3f} dB; by level {means}")
    assert list(means.values()) == sorted(means.values(), reverse=True)
    curve = np.polyfit(list(means), list(means.values()), 3)  # this copy may lack some of the ten levels
    assert np.polyval(curve, range(1, 11)).mean() == pytest.approx(11.97, abs=0.05)  # the official 500 pairs
