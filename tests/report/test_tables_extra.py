"""Tables of protocols, haze levels, selection on the test set and real haze follow from their rows."""

import numpy as np
import pandas as pd
import pytest

from dehazelib.evaluation.protocols import PROTOCOLS
from dehazelib.haze import sots_beta
from dehazelib.report import tables
from dehazelib.report.rows import Rows


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
    assert table.status.value_counts().to_dict() == {"not run": len(PROTOCOLS) - 3, "measured": 3}


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


def test_the_table_has_medians_over_photographs_of_means_over_seeds(tmp_path):
    values = {0: [(0.5, 0.4), (0.6, 0.7), (0.9, 0.1)], 1: [(0.5, 0.2), (0.6, 0.7), (0.9, 0.3)]}
    pd.DataFrame([{"run": f"student-s{seed}", "label": "student", "seed": seed, "image": f"{image}.png",
                   "statistic": "dark_channel", "before": before, "after": after}
                  for seed, rows in values.items() for image, (before, after) in enumerate(rows)]
                 ).to_csv(tmp_path / "real_hazy.csv", index=False)
    table = tables.table("table_real_hazy", Rows(tmp_path)).set_index("statistic")
    row = table.loc["dark_channel"]
    assert (row.before, row.after, row.change) == pytest.approx((0.6, 0.3, -0.2))
    assert (row.agree, row.seeds, row.images) == (2, 2, 3)
    assert (table.status.drop("dark_channel") == "not run").all()
