"""Tables from hand-made rows: what was measured stands there, what was not is empty."""

import numpy as np
import pandas as pd
import pytest

from builders import compute, curve, folder, run, score
from dehazelib.evaluation.protocols import PROTOCOLS
from dehazelib.haze import sots_beta
from dehazelib.report import tables
from dehazelib.report.columns import decimals, markdown
from dehazelib.report.rows import Rows

OURS = ["psnr_rgb", "psnr_low", "psnr_high", "seeds", "images", "difference", "latency_ms"]
SIZES = ["parameters", "gflops"]
BASE = np.array([[20.0, 30.0], [21.0, 31.0], [22.0, 32.0]])  # seeds x images


@pytest.fixture
def build(tmp_path):
    """Returns a table of a study that has these rows."""
    return lambda name, **files: tables.table(name, Rows(folder(tmp_path, **files)))


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_without_rows_says_not_run_and_has_no_number_of_ours(build, name):
    table = build(name)
    assert len(table) and (table.status != "measured").all()
    sizes = table.status.isin([tables.NOT_TRAINED, tables.NOT_TIMED])  # no machine and no training changes them
    assert table.loc[sizes, table.columns.intersection(SIZES)].notna().all(axis=None)
    assert table.loc[~sizes, table.columns.intersection(SIZES)].isna().all(axis=None)
    assert table[table.columns.intersection(OURS)].isna().all(axis=None)


# ---------------------------------------------------------------------------------------------------- Tables 1 to 9


def test_the_same_network_has_other_rows_for_the_other_target(build):
    files = {"scores": score("mc_fsrcnn-native", [[40.0, 42.0]]), "runs": [run("mc_fsrcnn-native", "mc_fsrcnn", 38427)]}
    ours = row(build("table1", **files), key="mc_fsrcnn")
    assert (ours.psnr_rgb, ours.parameters, ours.seeds, ours.images, ours.status) == (41, 38427, 1, 2, "measured")
    assert np.isnan(ours.psnr_low)
    assert row(build("table2", **files), key="mc_fsrcnn").status == tables.NOT_TRAINED


def test_table_5_means_over_images_then_takes_the_interval_over_seeds_of_each_test_set(build):
    table = build("table5", scores=score("student", [[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]]) + score(
        "student", [[30.0]], "motorcycle"))
    ours = row(table, label="student", test_set="rooms")
    assert (ours.psnr_rgb, ours.seeds, ours.images) == (2, 3, 2)
    assert ours.psnr_high - ours.psnr_rgb == pytest.approx(2.484, abs=5e-4)
    assert row(table, label="student", test_set="motorcycle").psnr_rgb == 30


def test_ours_counts_student_and_teacher_and_gives_the_deployed_student_too(build):
    teachers = {"student": "", "framework-as_released": "teacher-s0", "framework-bilinear_teacher": "bilinear",
                "framework-untrained_teacher": "untrained:dsc_mc_fsrcnn", "framework-as_described": "elsewhere-s0"}
    runs = [run(label, "student", 96007, teacher=teacher) for label, teacher in teachers.items()]
    scores = [line for label in teachers for line in score(label, [[20.0]])]
    table = build("table5", scores=scores, runs=[*runs, run("teacher", "dsc_mc_fsrcnn", 26451)])
    table = table[table.test_set == "rooms"].set_index("label")
    assert table.parameters["student"] == table.parameters_deployed["framework-as_released"] == 96007
    assert table.parameters["framework-as_released"] == table.parameters["framework-untrained_teacher"] == 122458
    assert table.parameters["framework-bilinear_teacher"] == 96007
    assert pd.isna(table.parameters["framework-as_described"])  # its teacher is not among the runs


@pytest.mark.parametrize("name, label, key", [
    ("table6", "framework-as_described-lr", "lr"), ("table7", "framework-as_described-w0.50", "0.50"),
    ("table8", "framework-as_described-kl", "kl")])
def test_an_ablation_shows_the_variants_that_ran_and_the_difference_to_their_base(build, name, label, key):
    table = build(name, scores=score("framework-as_described", BASE) + score(label, BASE - 0.5))
    assert set(table.reading) == {"as_described"}
    ours = row(table, key=key)
    assert (ours.label, ours.status) == (label, "measured")
    assert (ours.difference, ours.difference_low, ours.difference_high) == pytest.approx((-0.5, -0.5, -0.5))
    assert table[table.label == "framework-as_described"].difference.isna().all()


def test_table_9_shows_ours_as_the_training_graph_and_as_deployed(build):
    table = build("table9", compute=[compute("full_framework", "training_graph", 122458, gflops_profiler=64.04),
                                     compute("student", "deployed", 96007, gflops_profiler=53.69)])
    ours = table[table.key == "full_framework"]
    assert list(zip(ours.form, ours.parameters, ours.gflops_profiler)) == [("training_graph", 122458, 64.04),
                                                                           ("deployed", 96007, 53.69)]
    assert row(table, key="aod_net").status == tables.NOT_TIMED


def test_table_9_shows_every_machine_and_the_networks_that_the_paper_did_not_time(build):
    machines = [{"processor": "slow", "threads": 2}, {"processor": "fast", "threads": 1},
                {"device": "GPU X", "threads": 2}]
    table = build("table9", compute=[
        compute(name, "deployed", 1761, title=title, latency_ms=i + 1.0, **machine)
        for name, title in (("aod_net", "AOD-Net"), ("ld_net", "LD-Net")) for i, machine in enumerate(machines)])
    for key, theirs in (("aod_net", 6.4569), ("ld_net", None)):
        rows = table[table.key == key]
        assert list(zip(rows.machine, rows.latency_ms)) == [("slow, 2 threads", 1), ("fast, 1 thread", 2), ("GPU X", 3)]
        assert (rows.inference_ms_published == theirs).all() if theirs else rows.inference_ms_published.isna().all()
    assert table.model[table.key == "ld_net"].unique() == ["LD-Net"]


# ------------------------------------------------------------------------------------------------ with and without


@pytest.mark.parametrize("gain, verdict", [(0.5, "better"), (-0.5, "worse"), (0.01, "equivalent")])
def test_the_central_comparison_says_better_worse_or_equivalent_and_over_how_many_seeds(build, gain, verdict):
    table = build("table_controls", scores=score("student", BASE) + score("framework-as_released", BASE[:2] + gain)
                  + score("framework-as_described", BASE[:1])).set_index("label")
    assert table.verdict["framework-as_released"] == verdict
    assert (table.seeds["student"], table.seeds_compared["framework-as_released"]) == (3, 2)
    assert pd.isna(table.seeds_compared["framework-as_described"])  # one seed against three: means of unlike seeds


def test_plug_and_play_compares_a_network_with_itself_and_needs_both(build):
    table = build("table_plug_and_play", scores=score("aod_net", [[19.0, 20.0]]) + score(
        "aod_net-affinity", [[19.5, 20.5]]) + score("gcanet-affinity", [[30.0, 30.0]]))
    aod, gcanet = row(table, key="aod_net"), row(table, key="gcanet")
    assert (aod.difference, aod.verdict) == (pytest.approx(0.5), "one seed")
    assert gcanet.status == "not run" and np.isnan(gcanet.difference)


# -------------------------------------------------------------------------------------------- how scores come about


def test_the_table_of_protocols_has_means_limits_and_the_difference_to_ours(build):
    values = {"psnr_rgb": [[10.0, 30.0], [12.0, 32.0]], "psnr_y": [[12.0, 32.0], [14.0, 34.0]]}
    rows = [{"run": f"student-s{seed}", "label": "student", "seed": seed, "test_set": test_set, "image": f"{image}_1",
             "protocol": name, "value": value + 100 * (test_set == "motorcycle")}
            for name, seeds in values.items() for seed, row in enumerate(seeds) for image, value in enumerate(row)
            for test_set in ("rooms", "motorcycle")]
    table = build("table_protocols", protocols=rows, scores=score("student", [[10.0]])).set_index("protocol")
    ours, luma, pooled = (table.loc[name] for name in ("psnr_rgb", "psnr_y", "psnr_rgb_pooled"))
    assert (ours["mean"], ours.difference_to_ours, ours.seeds, ours.images) == (21, 0, 2, 2)
    assert ours.mean_high - 21 == pytest.approx(12.706, abs=1e-3)
    assert (luma["mean"], luma.difference_to_ours) == (23, 2)
    assert pooled["mean"] == pytest.approx(1 - 10 * np.log10((0.1 + 0.001) / 2))
    assert table.status.value_counts().to_dict() == {"not run": len(PROTOCOLS) - 3, "measured": 3}


def test_levels_are_read_from_names_with_their_gain_over_the_hazy_input(build):
    names = ["0_1", "1_1", "0_10", "1_10"]
    others = [line for label in ("student-equal_budget", "framework-equal_budget", "aod_net")
              for line in score(label, [[1.0] * 4], names=names)]
    table = build("table_levels", scores=others + score("student", [[20, 22, 14, 16], [22, 24, 16, 18]], names=names)
                  + score("hazy", [[10, 12, 6, 8]], names=names) + score("student", [[99.0]], "motorcycle")
                  + score("mc_fsrcnn-native", [[40.0]], task="super_resolution", names=["0"]))
    assert list(zip(table.label, table.level)) == [("student", 1), ("student", 10), ("hazy", 1), ("hazy", 10)]
    assert table.psnr_rgb.tolist() == [22, 16, 11, 7] and table.gain_over_hazy.tolist() == [11, 9, 0, 0]
    assert table.images.tolist() == [2, 2, 2, 2] and table.seeds.tolist() == [2, 2, 1, 1]
    assert table.psnr_high[0] - 22 == pytest.approx(12.706, abs=1e-3) and np.isnan(table.psnr_high[2])
    assert table.beta.tolist() == pytest.approx([sots_beta(1), sots_beta(10)] * 2)


def test_levels_show_the_runs_of_most_images_and_their_gain_over_the_same_ones(build):
    few, names = ["0_1", "1_2"], ["0_1", "1_1", "0_2", "1_2"]
    table = build("table_levels", scores=score("student", [[20.0, 30.0]], names=few) + score(
        "hazy", [[10.0, 15.0]], names=few) + score("longest-student", [[20.0, 21.0, 22.0, 23.0]], names=names) + score(
        "hazy-all_pairs", [[10.0, 9.0, 16.0, 15.0]], names=names))
    assert table.label.tolist() == ["longest-student"] * 2 + ["hazy-all_pairs"] * 2
    assert table.psnr_rgb.tolist() == [20.5, 22.5, 9.5, 15.5] and table.gain_over_hazy.tolist() == [11, 7, 0, 0]


def test_selection_compares_the_checkpoint_of_validation_with_the_best_on_the_test_set(build):
    columns = "validation_psnr_rgb", "test_psnr_rgb"
    rows = [line for label, seed, *values in (
        ("student", 0, [20, 22, 21], [18, 19, 19.5]), ("student", 1, [20, 21, 22], [18, 19, 20]),
        ("framework-as_released", 0, [20, 19], [17, 18]), ("aod_net", 0, [20], [np.nan]))
            for line in curve(label, seed, **dict(zip(columns, values)))]
    table = build("table_selection", curves=rows).set_index("label")
    student, framework = table.loc["student"], table.loc["framework-as_released"]
    assert (student.psnr_selected_on_validation, student.psnr_selected_on_test) == (19.5, 19.75)
    assert student.difference == 0.25 and student.difference_high - 0.25 == pytest.approx(3.1766, abs=1e-3)
    assert (len(table), student.seeds, student.validations, framework.difference) == (2, 2, 3, 1)
    assert np.isnan(framework.difference_low)


def test_real_haze_has_medians_over_photographs_of_means_over_seeds(build):
    values = {0: [(0.5, 0.4), (0.6, 0.7), (0.9, 0.1)], 1: [(0.5, 0.2), (0.6, 0.7), (0.9, 0.3)]}
    table = build("table_real_hazy", real_hazy=[
        {"run": f"student-s{seed}", "label": "student", "seed": seed, "image": f"{image}.png",
         "statistic": "dark_channel", "before": before, "after": after}
        for seed, rows in values.items() for image, (before, after) in enumerate(rows)]).set_index("statistic")
    dark = table.loc["dark_channel"]
    assert (dark.before, dark.after, dark.change) == pytest.approx((0.6, 0.3, -0.2))
    assert (dark.agree, dark.seeds, dark.images) == (2, 2, 3)
    assert (table.status.drop("dark_channel") == "not run").all()


def test_the_search_names_what_each_run_changes_and_rests_on_validation_alone(build):
    def made(label, seed=0, **changes):
        same = {"training_images": 1000, "minutes": 2.0, "best_validation_psnr_rgb": 19.0, "lr": 4e-3}
        return run(label, "student", 96007, seed, **same | changes)

    table = build("table_search", runs=[
        made("student"), made("student", 1, best_validation_psnr_rgb=20.0), made("framework-as_released"),
        made("search-slow", lr=1e-3), made("onward-student", lr=2e-3)])
    assert table.label.tolist() == ["student", "search-slow", "onward-student"]
    assert table.changed.tolist() == ["", "lr 0.001", "lr 0.002"]
    assert (table.best_validation_psnr_rgb[0], table.runs[0]) == (19.5, 2)


# ------------------------------------------------------------------------------------------------ how it is written


def test_all_tables_are_written_as_csv_and_markdown_infinite_scores_too(tmp_path):
    rows = Rows(folder(tmp_path, scores=score("student", [[20.123456789]]) + score("hazy", [[10.0]]) + score(
        "bilinear-upsampled", [[np.inf, 60.0]])))
    tables.write_all(rows)
    written = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "tables").iterdir()}
    assert set(written) == {f"{name}.{kind}" for name in tables.TABLES for kind in ("csv", "md")}
    assert ",20.123457," in written["table5.csv"] and "| 20.12 |" in written["table5.md"]
    assert "| ∞ |" in written["table2.md"] and ",inf," in written["table2.csv"]


@pytest.mark.parametrize("column, value, shown", [
    ("psnr_rgb", 20.126, "20.13"), ("psnr_rgb", -np.inf, "-∞"), ("psnr_rgb", np.nan, ""), ("ssim_low", 0.98, "0.9800"),
    ("psnr_published", 32.1412, "32.1412"), ("value", 2870812.0, "2870812"), ("value", 0.123456789, "0.123457"),
    ("claim", "a|b", r"a\|b"), ("seeds", 5, "5")])
def test_a_cell_shows_the_decimals_of_its_column(column, value, shown):
    assert markdown(pd.DataFrame({column: [value]})).splitlines()[-1] == f"| {shown} |"


def test_columns_of_whole_numbers_are_told_from_those_that_begin_alike():
    assert decimals("validations") == decimals("images_seen") == decimals("parameters_published") == 0
    assert (decimals("validation_low"), decimals("difference_to_ours"), decimals("difference_low")) == (3, 4, 3)


# --------------------------------------------------------------------------------------------------- what is refused


def test_an_unknown_table_or_study_is_an_error(tmp_path, build):
    with pytest.raises(ValueError, match="No table 'table10'"):
        build("table10")
    with pytest.raises(FileNotFoundError, match="no study"):
        Rows(tmp_path / "absent")


@pytest.mark.parametrize("rows, message", [
    (score("student", [[20.0]]) * 2, "twice"),
    (score("student", [[np.nan]]), "a score is missing"),
    (score("student", [[20.0, 21.0], [20.0, 21.0]])[:3], "finish scoring"),
    (score("student", [[20.0]]) + score("hazy", [[10.0]], "sots_indoor"), "mixes"),
    (pd.DataFrame(score("student", [[20.0]])).drop(columns="ssim_gauss11_rgb"), "lacks the column ssim_gauss11_rgb")])
def test_rows_that_cannot_be_averaged_are_an_error(build, rows, message):
    with pytest.raises(ValueError, match=message):
        build("table5", scores=rows)
