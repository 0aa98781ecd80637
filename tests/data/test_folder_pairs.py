"""Any two folders of images, matched by name, can be scored."""

import numpy as np
import pytest
import torch

from dehazelib.cli import main
from dehazelib.data.folder_pairs import open_folders
from dehazelib.data.images import DataError
from image_folders import save


def folders(root, hazy, clear):
    """Writes hazy images in grey 200 and clear ones in the grey of their place in the list."""
    for name in hazy:
        save(root / f"hazy/{name}", (40, 30), grey=200)
    for grey, name in enumerate(clear):
        save(root / f"gt/{name}", (40, 30), grey=grey)
    return root / "hazy", root / "gt"


@pytest.mark.parametrize("hazy, clear", [
    (["1.png", "2.png"], ["1.jpg", "2.JPG"]),
    (["01_outdoor_hazy.jpg", "02_outdoor_hazy.jpg"], ["01_outdoor_GT.jpg", "02_outdoor_GT.jpg"]),  # O-HAZE
    (["01_indoor_hazy.jpg", "10_indoor_hazy.jpg"], ["01_indoor_GT.jpg", "10_indoor_GT.jpg"]),  # I-HAZE
    (["01_hazy.png", "55_hazy.png"], ["01_GT.png", "55_GT.png"]),  # Dense-Haze
    (["1400_1.png", "1401_10.png"], ["1400.png", "1401.png"]),  # RESIDE
    (["0001_0.8_0.2.jpg", "0002_1_0.04.jpg"], ["0001.png", "0002.png"]),
    (["1_Hazy.bmp", "2_Hazy.bmp"], ["1_Image_.bmp", "2_Image_.bmp"]),  # D-HAZY
    (["hazy01.png", "hazy02.png"], ["clear1.png", "clear2.png"]),
    (["cat_hazy.tif", "dog_hazy.tif"], ["cat.png", "dog.png"]),
])
def test_names_people_have_are_matched(tmp_path, hazy, clear):
    pairs = open_folders(*folders(tmp_path, hazy, [*clear, "999_spare_GT.png"]))
    assert len(pairs) == 2
    for i, pair in enumerate(pairs.pairs):
        image, target = pairs[i]
        assert f"{pair.name}." in hazy[i] and image.shape == target.shape == (3, 30, 40)
        assert round(255 * target.mean().item()) == i and abs(255 * image.mean().item() - 200) < 1


def test_both_may_lie_in_one_folder(tmp_path):
    for number in (1, 2):  # as in NH-HAZE
        save(tmp_path / f"NH/0{number}_hazy.png", (40, 30), 200)
        save(tmp_path / f"NH/0{number}_GT.png", (40, 30), number)
    pairs = open_folders(tmp_path / "NH", tmp_path / "NH")
    assert [pair.name for pair in pairs.pairs] == ["01_hazy", "02_hazy"] and pairs.clear(1).max() == 2
    assert torch.equal(pairs[0][0], torch.full((3, 30, 40), 200 / 255))


def test_a_pattern_decides_where_names_do_not(tmp_path):
    hazy, clear = folders(tmp_path, ["shot1-x7.png", "shot2-x3.png"], ["c3-shot9.png", "c7-shot9.png"])
    with pytest.raises(DataError, match="2 of 2 hazy images match not exactly one .*shot1-x7.png, .*--match"):
        open_folders(hazy, clear)
    pairs = open_folders(hazy, clear, r"(?:x|c)(\d)")
    assert [int(pairs.clear(i).max()) for i in range(2)] == [1, 0]
    with pytest.raises(ValueError, match="has no group"):
        open_folders(hazy, clear, r"\d")
    with pytest.raises(ValueError, match="not a regular expression"):
        open_folders(hazy, clear, "(")


def test_no_pair_is_guessed_from_a_number_that_all_names_have(tmp_path):
    hazy, clear = folders(tmp_path, ["2020_a.png", "2020_b.png"], ["2020_c.png", "2020_d.png"])
    with pytest.raises(DataError, match="2 of 2 hazy images"):
        open_folders(hazy, clear)


def test_the_clear_image_may_have_reside_s_border_and_nothing_else(tmp_path):
    hazy, clear = folders(tmp_path, ["1.png"], ["1.png"])
    save(clear / "1.png", (60, 50), 7)
    assert open_folders(hazy, clear)[0][1].shape == (3, 30, 40)
    save(clear / "1.png", (80, 60))
    with pytest.raises(DataError, match="1.png: 80x60 pixels, expected 40x30 or 60x50"):
        open_folders(hazy, clear)
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        open_folders(tmp_path / "absent", clear)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no clear images"):
        open_folders(hazy, tmp_path / "empty")


def test_the_command_scores_such_folders(tmp_path, capsys):
    rng = np.random.default_rng(0)
    hazy, clear = folders(tmp_path, ["1_hazy.png", "2_hazy.png"], ["1_GT.png", "2_GT.png"])
    for number in (1, 2):
        save(clear / f"{number}_GT.png", (40, 30), int(rng.integers(100, 150)))
    assert main(["score", "--pairs", str(hazy), str(clear)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["hazy input", "shipped student"]
    assert all("hazy (2 images)" in line and " dB, SSIM " in line for line in said)
    assert main(["score", "--pairs", str(hazy), str(tmp_path / "absent")]) == 1
    assert "absent: no such folder" in capsys.readouterr().err
