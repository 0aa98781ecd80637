"""Protocols differ as they say; tables of protocols, haze levels and test selection follow from their rows."""

import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from dehazelib.data.images import read_rgb  # noqa: E402
from dehazelib.data.sources import open_data  # noqa: E402
from dehazelib.evaluation import protocols
from dehazelib.evaluation import scores as evaluation  # noqa: E402
from dehazelib.evaluation.protocols import PROTOCOLS  # noqa: E402
from dehazelib.experiments.spec import Spec  # noqa: E402
from dehazelib.figures import scores as figures  # noqa: E402
from dehazelib.haze import sots_beta  # noqa: E402
from dehazelib.metrics import psnr_rgb  # noqa: E402
from dehazelib.report import tables, tables_extra  # noqa: E402
from dehazelib.report.rows import Rows  # noqa: E402
from dehazelib.training import runs  # noqa: E402

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
HAZY = Spec(label="hazy", network="hazy", data="rooms")


@pytest.fixture
def images():
    """An image with noise and without, the latter as an 8-bit file has it, (1, 3, 46, 62)."""
    generator = torch.Generator().manual_seed(0)
    clear = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), (46, 62), mode="bilinear")
    clear = protocols.rounded(clear)
    return (clear + 0.05 * torch.randn(clear.shape, generator=generator)).clamp(0, 1), clear


def score(name, image, reference):
    return float(PROTOCOLS[name](image, reference))


# ------------------------------------------------------------------------------------------------ each protocol


def test_every_protocol_is_described_and_the_other_way_round():
    assert set(PROTOCOLS) == set(tables_extra.PROTOCOLS) - {tables_extra.POOLED}


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if not name.endswith("resized")])
def test_a_perfect_output_scores_best_and_noise_worse(name, images):
    noisy, clear = images
    assert score(name, clear, clear) == pytest.approx(np.inf if name.startswith("psnr") else 1)
    assert score(name, noisy, clear) < (32 if name.startswith("psnr") else 0.95)


def test_rounding_hides_an_error_below_half_a_grey_level():
    target = torch.full((1, 3, 40, 40), 128 / 255)
    assert score("psnr_rgb_8bit", target + 0.4 / 255, target) == np.inf
    assert score("psnr_rgb", target + 0.4 / 255, target) == pytest.approx(20 * np.log10(255 / 0.4), abs=0.01)
    assert score("psnr_rgb_8bit", target + 0.6 / 255, target) == pytest.approx(20 * np.log10(255), abs=0.01)


def test_what_is_left_without_block_errors_are_details():
    target = torch.full((1, 3, 50, 45), 0.5)
    ramp = torch.zeros(1, 3, 50, 45)
    ramp[..., :20, :20], ramp[..., 40:, 40:] = 0.1, -0.2  # one block, and the smaller one of the corner
    stripes = torch.zeros(50, 45)
    stripes[:, ::2], stripes[:, 1::2] = 0.01, -0.01
    assert score("psnr_rgb_details", target + ramp, target) > 100
    assert score("psnr_rgb_details", target + ramp + stripes, target) == pytest.approx(40, abs=0.05)
    assert score("psnr_rgb_offset", target + 0.1, target) > 100
    assert score("psnr_rgb", target + ramp, target) < score("psnr_rgb_offset", target + ramp, target) < 40


@pytest.mark.parametrize("colour, luma", [((0, 0, 0), 16), ((1, 1, 1), 235), ((1, 0, 0), 81.481), ((0, 0, 1), 40.966)])
def test_luma_has_the_levels_of_bt_601(colour, luma):
    image = torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert (protocols.luma(image) * 255).numpy() == pytest.approx(luma, abs=1e-3)


def test_a_grey_error_is_smaller_on_luma_by_its_narrower_range():
    target = torch.full((1, 3, 40, 40), 0.5)
    gain = score("psnr_y", target + 0.1, target) - score("psnr_rgb", target + 0.1, target)
    assert gain == pytest.approx(20 * np.log10(255 / 219), abs=1e-3)


@pytest.mark.parametrize("size, smaller", [
    ((460, 620), (230, 310)), ((240, 320), (240, 320)), ((1280, 640), (640, 320)),
])
def test_images_are_averaged_by_a_256th_of_their_shorter_side(size, smaller):
    assert protocols.averaged(torch.zeros(1, 3, *size)).shape[-2:] == smaller


def test_averaging_takes_the_mean_of_each_cell():
    image = torch.rand(1, 3, 460, 620, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(protocols.averaged(image)[0, 1, 5, 7], image[0, 1, 10:12, 14:16].mean())


def test_ssim_without_padding_is_the_mean_over_windows_inside_the_image(images):
    def explicit(x, y):
        mean_x, mean_y, xx, yy, xy = (gaussian_filter(z, 1.5, radius=5) for z in (x, y, x * x, y * y, x * y))
        ssim = (2 * mean_x * mean_y + 1e-4) * (2 * (xy - mean_x * mean_y) + 9e-4)
        ssim /= (mean_x**2 + mean_y**2 + 1e-4) * (xx - mean_x**2 + yy - mean_y**2 + 9e-4)
        return ssim[5:-5, 5:-5].mean()

    expected = np.mean([explicit(x, y) for x, y in zip(*(image[0].double().numpy() for image in images))])
    assert score("ssim_gauss11_rgb_valid", *images) == pytest.approx(expected, abs=1e-5)


def test_a_dynamic_range_of_two_flatters(images):
    assert score("ssim_uniform7_rgb_range2", *images) > score("ssim_uniform7_rgb", *images) + 0.01


def test_a_resized_frame_moves_its_content_by_up_to_ten_pixels_and_shows_the_white_edge():
    ramp = (torch.arange(620.0) / 620).expand(1, 3, 460, 620)
    seen = protocols.resized_frame(ramp)[0, 0, 230] * 620  # where the content of each column comes from
    columns = torch.arange(620.0)
    expected = (columns + 0.5) * 640 / 620 - 0.5 - 10
    torch.testing.assert_close(seen[12:-12], expected[12:-12], atol=0.05, rtol=0)
    assert (seen[[0, 3, -4, -1]] == 620).all()


@pytest.mark.skipif(not (DATA / "nyu/rgb").is_dir(), reason="no data")
@pytest.mark.parametrize("scene", [1, 300, 800, 1300])
def test_the_emulated_mistake_costs_what_the_genuine_one_costs(scene):
    frame = torch.from_numpy(read_rgb(DATA / f"nyu/rgb/{scene}.jpg")).permute(2, 0, 1)[None].float() / 255
    clear = frame[..., 10:-10, 10:-10]
    genuine = psnr_rgb(clear, F.interpolate(frame, (460, 620), mode="bilinear", antialias=True)).item()
    assert score("psnr_rgb_resized", clear, clear) == pytest.approx(genuine, abs=0.3) and genuine < 20


# ------------------------------------------------------------------------------------------------ measuring


def test_there_is_a_row_per_image_and_protocol_and_ours_are_those_of_every_other_table():
    pairs = open_data("rooms").tests["rooms"].subset(2)
    rows = protocols.protocol_scores(nn.Identity(), Spec(), pairs)
    assert len(rows) == 2 * len(PROTOCOLS) and set(rows.test_set) == {"rooms"}
    wide = rows.pivot(index="image", columns="protocol", values="value")
    plain = evaluation.scores(nn.Identity(), Spec(), pairs)
    for name in ("psnr_rgb", "ssim_gauss11_rgb", "ssim_uniform7_rgb"):
        assert wide[name].tolist() == plain.set_index("image")[name].loc[wide.index].tolist()


def test_only_missing_images_are_computed_and_the_study_holds_what_was_asked_for(tmp_path, monkeypatch):
    data, computed, whole = open_data("rooms"), [], protocols.protocol_scores
    monkeypatch.setattr(protocols, "protocol_scores",
                        lambda network, spec, rest: computed.append(len(rest)) or whole(network, spec, rest))
    one, pairs = runs.run(tmp_path / "runs", HAZY).train(data), data.tests["rooms"]
    three = protocols.measure([one], pairs.select(pairs.pairs[:3]), tmp_path)
    two = protocols.measure([one], pairs.select(pairs.pairs[2:4]), tmp_path)
    assert computed == [3, 1] and three.image.nunique() == 3
    written = pd.read_csv(tmp_path / "protocols.csv", dtype={"image": str})
    assert set(written.image) == set(two.image) == {pair.name for pair in pairs.pairs[2:4]}
    assert list(written) == ["run", "label", "seed", "test_set", "image", "protocol", "value"]
    old = pd.read_csv(one.folder / "protocols.csv")
    old[old.protocol != "psnr_y"].to_csv(one.folder / "protocols.csv", index=False)  # as an earlier version left it
    again = protocols.measure([one], pairs.select(pairs.pairs[:3]), tmp_path)
    pd.testing.assert_frame_equal(again.reset_index(drop=True), three.reset_index(drop=True))
    assert computed == [3, 1, 3]


# ------------------------------------------------------------------------------------------------ tables


def rows_of(tmp_path, name, rows):
    pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def scores(label, psnr, names, test_set="rooms", task="dehazing"):
    """Rows of one label; psnr is seeds x images."""
    return [{"run": f"{label}-s{seed}", "label": label, "network": "student", "task": task, "target": "", "seed": seed,
             "test_set": test_set, "image": name, "psnr_rgb": value, "ssim_gauss11_rgb": 0.9, "ssim_uniform7_rgb": 0.9}
            for seed, row in enumerate(psnr) for name, value in zip(names, row)]


def test_the_table_of_protocols_has_means_limits_and_the_difference_to_ours(tmp_path):
    values = {"psnr_rgb": [[10.0, 30.0], [12.0, 32.0]], "psnr_y": [[12.0, 32.0], [14.0, 34.0]]}
    rows = [{"run": f"student-s{seed}", "label": "student", "seed": seed, "test_set": test_set, "image": f"{image}_1",
             "protocol": name, "value": value + 100 * (test_set == "motorcycle")}
            for name, seeds in values.items() for seed, row in enumerate(seeds) for image, value in enumerate(row)
            for test_set in ("rooms", "motorcycle")]
    rows_of(tmp_path, "protocols", rows)
    table = tables.table("table_protocols", Rows(rows_of(tmp_path, "scores", scores("student", [[10.0]], ["0_1"]))))
    table = table.set_index("protocol")
    ours, luma, pooled = (table.loc[name] for name in ("psnr_rgb", "psnr_y", "psnr_rgb_pooled"))
    assert (ours["mean"], ours.difference_to_ours, ours.seeds, ours.images) == (21, 0, 2, 2)
    assert ours.mean_high - 21 == pytest.approx(12.706, abs=1e-3)
    assert (luma["mean"], luma.difference_to_ours) == (23, 2)
    assert pooled["mean"] == pytest.approx(1 - 10 * np.log10((0.1 + 0.001) / 2))
    assert table.status.value_counts().to_dict() == {"not run": len(PROTOCOLS) + 1 - 3, "measured": 3}


def test_levels_are_read_from_names_with_their_gain_over_the_hazy_input(tmp_path):
    names = ["0_1", "1_1", "0_10", "1_10"]
    rows = (scores("student", [[20, 22, 14, 16], [22, 24, 16, 18]], names) + scores("hazy", [[10, 12, 6, 8]], names)
            + scores("student-equal_budget", [[1.0] * 4], names) + scores("framework-equal_budget", [[1.0] * 4], names)
            + scores("aod_net", [[1.0] * 4], names)
            + scores("student", [[99.0], [99.0]], ["0_1"], "motorcycle")
            + scores("mc_fsrcnn-native", [[40.0]], ["0"], task="super_resolution"))
    table = tables.table("table_levels", Rows(rows_of(tmp_path, "scores", rows)))
    assert list(zip(table.label, table.level)) == [("student", 1), ("student", 10), ("hazy", 1), ("hazy", 10)]
    assert table.psnr_rgb.tolist() == [22, 16, 11, 7] and table.gain_over_hazy.tolist() == [11, 9, 0, 0]
    assert table.images.tolist() == [2, 2, 2, 2] and table.seeds.tolist() == [2, 2, 1, 1]
    assert table.psnr_high[0] - 22 == pytest.approx(12.706, abs=1e-3) and np.isnan(table.psnr_high[2])


def test_levels_show_the_runs_of_most_images_and_their_gain_over_the_same_ones(tmp_path):
    names = ["0_1", "1_1", "0_2", "1_2"]
    rows = (scores("student", [[20.0, 30.0]], ["0_1", "1_2"]) + scores("hazy", [[10.0, 15.0]], ["0_1", "1_2"])
            + scores("longest-student", [[20.0, 21.0, 22.0, 23.0]], names)
            + scores("onward-student", [[24.0, 25.0, 26.0, 27.0]], names)
            + scores("hazy-all_pairs", [[10.0, 9.0, 16.0, 15.0]], names))
    table = tables.table("table_levels", Rows(rows_of(tmp_path, "scores", rows)))
    assert table.label.tolist() == ["longest-student"] * 2 + ["onward-student"] * 2 + ["hazy-all_pairs"] * 2
    assert table.psnr_rgb.tolist() == [20.5, 22.5, 24.5, 26.5, 9.5, 15.5]
    assert table.gain_over_hazy.tolist() == [11, 7, 15, 11, 0, 0]


@pytest.mark.parametrize("level", range(1, 11))
def test_a_level_s_beta_is_that_of_the_hazy_images(tmp_path, level):
    table = tables.table("table_levels", Rows(rows_of(tmp_path, "scores", scores("hazy", [[10.0]], [f"0_{level}"]))))
    assert table.beta[0] == pytest.approx(sots_beta(level))


def curve(label, seed, validation, test):
    return [{"run": f"{label}-s{seed}", "label": label, "seed": seed, "step": i, "images": i, "epoch": i,
             "validation_psnr_rgb": v, "test_psnr_rgb": t} for i, (v, t) in enumerate(zip(validation, test))]


def test_selection_compares_the_checkpoint_of_validation_with_the_best_on_the_test_set(tmp_path):
    rows = (curve("student", 0, [20, 22, 21], [18, 19, 19.5]) + curve("student", 1, [20, 21, 22], [18, 19, 20])
            + curve("framework-as_released", 0, [20, 19], [17, 18]) + curve("aod_net", 0, [20], [np.nan]))
    table = tables.table("table_selection", Rows(rows_of(tmp_path, "curves", rows)))
    assert table.label.tolist() == ["student", "framework-as_released"]
    student, framework = table.iloc[0], table.iloc[1]
    assert (student.psnr_selected_on_validation, student.psnr_selected_on_test) == (19.5, 19.75)
    assert student.difference == 0.25
    assert student.difference_high - 0.25 == pytest.approx(3.1766, abs=1e-3)
    assert (student.seeds, student.validations, framework.difference) == (2, 3, 1)
    assert np.isnan(framework.difference_low)


def test_runs_that_did_not_track_the_test_set_say_not_run(tmp_path):
    rows = pd.DataFrame(curve("student", 0, [20, 22], [np.nan, np.nan]))
    for table in (rows, rows.drop(columns="test_psnr_rgb")):
        assert tables.table("table_selection", Rows(rows_of(tmp_path, "curves", table))).status.tolist() == ["not run"]


def test_haze_levels_are_drawn_with_their_beta_and_a_band_over_seeds(tmp_path):
    names = ["0_1", "0_5", "0_9"]
    rows = scores("student", [[24, 20, 14], [25, 21, 15]], names) + scores("hazy", [[14, 12, 9]], names)
    fig = figures.haze_levels(tables.table("table_levels", Rows(rows_of(tmp_path, "scores", rows))))
    (ax,) = fig.axes
    hazy, student = ax.lines
    assert (hazy.get_linestyle(), student.get_linestyle()) == ("--", "-")
    assert hazy.get_xydata().tolist() == [[1, 14], [5, 12], [9, 9]]
    assert student.get_ydata().tolist() == [24.5, 20.5, 14.5]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1\nβ 0.6", "5\nβ 1", "9\nβ 1.4"]
    low, high = (extreme(ax.collections[1].get_paths()[0].vertices[:, 1]) for extreme in (np.min, np.max))
    assert low == pytest.approx(14.5 - 6.353, abs=1e-3) and high == pytest.approx(24.5 + 6.353, abs=1e-3)
    plt.close(fig)
    with pytest.raises(ValueError, match="no rows to draw"):
        figures.haze_levels(tables.table("table_levels", Rows(tmp_path)).assign(psnr_rgb=np.nan))
