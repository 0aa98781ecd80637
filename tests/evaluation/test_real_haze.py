"""Statistics of photographs without ground truth: hand-made images, then haze put on and taken off."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from dehazelib.data.images import DataError
from dehazelib.data.sources import open_data
from dehazelib.evaluation import real_haze as no_reference
from dehazelib.evaluation.real_haze import STATISTICS, statistics
from dehazelib.experiments.spec import Spec
from dehazelib.report import tables
from dehazelib.report.rows import Rows
from dehazelib.training import runs

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))


def grey(value, side=32):
    return torch.full((3, side, side), value)


def photo(path, size=(40, 32), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(100, 200, (size[1], size[0], 3), dtype=np.uint8)).save(path, **options)
    return path


def test_a_grey_image_has_nothing_but_its_dark_channel():
    values = statistics(grey(102 / 255))
    assert values.pop("dark_channel") == pytest.approx(0.4)
    assert values == pytest.approx(dict.fromkeys(values, 0), abs=1e-6)


def test_black_and_white_halves():
    image = torch.cat([grey(0.0), grey(1.0)], 2)  # 32 x 64, one vertical edge
    values = statistics(image)
    assert (values["rms_contrast"], values["entropy"], values["clipped"]) == (pytest.approx(0.5), 1, 1)
    assert values["dark_channel"] == pytest.approx((32 - 7) / 64)  # 7 columns of white see black in their window
    assert values["visible_edges"] == 2 / 64  # the two columns at the edge


def test_an_edge_is_visible_from_five_percent_of_the_range():
    below, above = (torch.cat([grey(100 / 255), grey((100 + step) / 255)], 2) for step in (5, 60))
    assert statistics(below)["visible_edges"] == 0 and statistics(above)["visible_edges"] == 2 / 64
    assert statistics(above)["gradient"] > statistics(below)["gradient"] > 0


def test_pure_red_has_full_saturation_and_hasler_s_colourfulness():
    red = torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 20, 20)
    assert statistics(red)["saturation"] == 1
    assert statistics(red)["colourfulness"] == pytest.approx(0.3 * np.hypot(255, 127.5))
    striped = torch.cat([red, grey(0.0, 20)], 2)  # half black: means halve, deviations are half of the values
    assert statistics(striped)["colourfulness"] == pytest.approx((0.5 + 0.15) * np.hypot(255, 127.5))


def test_clipped_counts_after_rounding_to_eight_bits():
    assert statistics(grey(0.4 / 255))["clipped"] == 1 and statistics(grey(0.6 / 255))["clipped"] == 0


def test_haze_moves_every_statistic_the_way_the_table_says():
    hazy, clear = open_data("rooms").tests["rooms"][0]
    before, after = statistics(hazy), statistics(clear)
    for name, statistic in STATISTICS.items():
        if name != "clipped":
            assert (after[name] < before[name]) == (statistic.less_haze == "lower"), name


def test_large_photographs_are_reduced_to_two_megapixels_and_small_ones_left(tmp_path):
    small = no_reference.read(photo(tmp_path / "small.png"))
    assert small.shape == (3, 32, 40) and small.dtype == torch.float32 and 0.3 < small.min() < small.max() < 0.8
    large = no_reference.read(photo(tmp_path / "large.jpg", (2000, 1500)))
    assert large.shape[1] * large.shape[2] <= no_reference.PIXELS and large.shape == (3, 1224, 1632)


def test_a_photograph_is_read_upright_and_a_file_that_is_none_is_named(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert no_reference.read(photo(tmp_path / "phone.jpg", exif=exif)).shape == (3, 40, 32)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="bad.png"):
        no_reference.read(tmp_path / "bad.png")


def test_photographs_are_listed_where_there_are_any(tmp_path):
    assert no_reference.photographs("rooms") == no_reference.photographs(tmp_path) == []
    for name in ("b.png", "a.jpg"):
        photo(tmp_path / "real-hazy" / name)
    assert [path.name for path in no_reference.photographs(tmp_path)] == ["a.jpg", "b.png"]


def test_an_identity_network_changes_nothing_and_a_darker_one_lowers_the_dark_channel(tmp_path):
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png", (50, 40))]
    same = no_reference.compare(nn.Identity(), photos)
    assert (same.before == same.after).all() and len(same) == 2 * len(STATISTICS)
    assert same.drop_duplicates("image").iloc[:, :3].values.tolist() == [["a.png", 32, 40], ["b.png", 40, 50]]

    class Darker(nn.Module):
        def forward(self, x):
            return x / 2

    dark = no_reference.compare(Darker(), photos).query("statistic == 'dark_channel'")
    assert dark.after.to_numpy() == pytest.approx(dark.before.to_numpy() / 2, abs=1 / 255)


def test_the_table_follows_from_the_rows_that_were_written(tmp_path, monkeypatch):
    photos = [photo(tmp_path / "real-hazy" / f"{name}.png") for name in "ab"]
    one = runs.run(tmp_path / "runs", Spec(label="dark_channel_prior", network="dark_channel_prior", data="rooms"))
    one.folder.mkdir(parents=True)
    rows = no_reference.measure([one], photos, tmp_path)
    monkeypatch.setattr(no_reference, "compare", None)  # the rows are kept: nothing is dehazed again
    pd.testing.assert_frame_equal(no_reference.measure([one], photos, tmp_path), rows, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "real_hazy.csv"), rows.reset_index(drop=True))
    table = tables.table("table_real_hazy", Rows(tmp_path))
    assert table.label.unique().tolist() == ["dark_channel_prior"] and (table.status == "measured").all()
    assert table.images.tolist() == [2] * len(table) and table.set_index("statistic").change["dark_channel"] < 0


def test_a_photograph_is_known_by_its_content(tmp_path, monkeypatch):
    computed, whole = [], no_reference.compare
    monkeypatch.setattr(no_reference, "compare", lambda network, photos: computed.append(
        [path.name for path in photos]) or whole(network, photos))
    photos = [photo(tmp_path / f"{name}.png") for name in "ab"]
    one = runs.run(tmp_path / "runs", Spec(label="hazy", network="hazy", data="rooms"))
    one.folder.mkdir(parents=True)
    first = no_reference.measure([one], photos, tmp_path)
    assert list(first)[-1] == "sha256" and first.sha256.nunique() == 1  # two names of one content
    photo(tmp_path / "b.png", (50, 40))
    again = no_reference.measure([one], photos, tmp_path)
    assert computed == [["a.png", "b.png"], ["b.png"]]
    assert set(again[again.image == "b.png"].width) == {50} and again.sha256.nunique() == 2
    rows = pd.read_csv(one.folder / "real_hazy.csv").drop(columns="sha256")  # as an earlier version left it
    rows.to_csv(one.folder / "real_hazy.csv", index=False)
    pd.testing.assert_frame_equal(no_reference.measure([one], photos, tmp_path), again, check_dtype=False)
    assert computed[-1] == ["a.png", "b.png"]


@pytest.mark.skipif(not (DATA / "real-hazy").is_dir(), reason="no data")
def test_real_haze_lies_on_the_photographs_of_the_data_folder():
    photos = no_reference.photographs(DATA)[:6]
    before = [statistics(no_reference.read(path)) for path in photos]
    assert len(photos) >= 5 and np.median([row["dark_channel"] for row in before]) > 0.2
