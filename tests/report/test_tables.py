"""Tables from hand-made rows: what was measured stands there, what was not is empty."""

import numpy as np
import pandas as pd
import pytest

from dehazelib import paths
from dehazelib.report import tables
from dehazelib.report.columns import decimals, markdown
from dehazelib.report.rows import Rows

OURS = ["psnr_rgb", "psnr_low", "psnr_high", "seeds", "images", "difference", "latency_ms"]
SIZES = ["parameters", "gflops"]
COMPUTE = {"title": "", "size_mb": 0.5, "size_torch_mb": 0.6, "gflops": 1.0, "latency_ms": 10.0, "latency_ms_low": 9.0,
           "latency_ms_high": 11.0, "peak_memory_mb": 100.0, "height": 460, "width": 620, "device": "cpu",
           "processor": "p", "torch": "t"}


def score(label, psnr, test_set="rooms", ssim=0.9):
    """Rows of one label; psnr is seeds x images."""
    return [{"run": f"{label}-s{seed}", "label": label, "network": "student", "task": "dehazing", "target": "",
             "seed": seed, "test_set": test_set, "image": f"{image}_1", "psnr_rgb": value, "ssim_gauss11_rgb": ssim,
             "ssim_uniform7_rgb": ssim}
            for seed, row in enumerate(psnr) for image, value in enumerate(row)]


def run(label, network="student", parameters=96007, seed=0, teacher="", **more):
    return {"run": f"{label}-s{seed}", "label": label, "network": network, "seed": seed, "parameters": parameters,
            "best_epoch": 3, "psnr_selected_on_test": np.nan, "teacher": teacher} | more


def folder(tmp_path, scores=(), runs=(), compute=()):
    for name, rows in (("scores", scores), ("runs", runs), ("compute", compute)):
        if rows:
            pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def build(folder, name):
    return tables.table(name, Rows(folder))


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_without_rows_says_not_run_and_has_no_number_of_ours(tmp_path, name):
    table = build(tmp_path, name)
    assert len(table) and (table.status != "measured").all()
    sizes = table.status.isin([tables.NOT_TRAINED, tables.NOT_TIMED])  # no machine and no training changes them
    assert table.loc[sizes, table.columns.intersection(SIZES)].notna().all(axis=None)
    assert table.loc[~sizes, table.columns.intersection(SIZES)].isna().all(axis=None)
    assert table[table.columns.intersection(OURS)].isna().all(axis=None)


@pytest.mark.parametrize("number, extra", [(1, 4), (2, 2), (3, 4), (4, 2)])
def test_super_resolution_tables_have_the_published_rows_first_and_the_controls_last(tmp_path, number, extra):
    table, theirs = build(tmp_path, f"table{number}"), pd.read_csv(paths.PUBLISHED / f"table{number}.csv")
    assert list(table.key[:-extra]) == list(theirs.key)
    assert table.psnr_published[:-extra].tolist() == theirs.psnr.tolist()
    assert table.psnr_published[-extra:].isna().all()


def test_the_same_network_has_other_rows_for_the_other_target(tmp_path):
    study = folder(tmp_path, score("mc_fsrcnn-native", [[40.0, 42.0]]), [run("mc_fsrcnn-native", "mc_fsrcnn", 38427)])
    ours = row(build(study, "table1"), key="mc_fsrcnn")
    assert (ours.psnr_rgb, ours.parameters, ours.seeds, ours.images, ours.status) == (41, 38427, 1, 2, "measured")
    assert np.isnan(ours.psnr_low)
    assert row(build(study, "table2"), key="mc_fsrcnn").status == tables.NOT_TRAINED


def test_table_5_has_the_18_published_rows_in_order_then_ours(tmp_path):
    table, theirs = build(tmp_path, "table5"), pd.read_csv(paths.PUBLISHED / "table5.csv")
    assert len(theirs) == 18
    assert table.model[:18].tolist() == theirs.model.tolist()
    assert table.label[17 : 18 + len(tables.FURTHER)].tolist() == ["framework-as_released", *tables.FURTHER]


def test_table_5_means_over_images_then_takes_the_interval_over_seeds(tmp_path):
    study = folder(tmp_path, score("student", [[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]]))
    ours = row(build(study, "table5"), label="student", test_set="rooms")
    assert (ours.psnr_rgb, ours.seeds, ours.images) == (2, 3, 2)
    assert ours.psnr_high - ours.psnr_rgb == pytest.approx(2.484, abs=5e-4)


def test_ours_counts_student_and_teacher_and_gives_the_deployed_student_too(tmp_path):
    runs = [run("student"), run("framework-as_released", teacher="teacher-s0"), run("teacher", "dsc_mc_fsrcnn", 26451),
            run("framework-untrained_teacher", teacher="untrained:dsc_mc_fsrcnn"),
            run("framework-bilinear_teacher", teacher="bilinear"),
            run("framework-as_described", teacher="elsewhere-s0")]
    scores = [row for one in runs for row in score(one["label"], [[20.0]])]
    table = build(folder(tmp_path, scores, runs), "table5")
    table = table[table.test_set == "rooms"].set_index("label")
    assert table.parameters["student"] == table.parameters_deployed["framework-as_released"] == 96007
    assert table.parameters["framework-as_released"] == table.parameters["framework-untrained_teacher"] == 122458
    assert table.parameters["framework-bilinear_teacher"] == 96007
    assert pd.isna(table.parameters["framework-as_described"])  # its teacher is not among the runs


def test_the_second_test_set_stays_in_its_own_rows(tmp_path):
    study = folder(tmp_path, score("student", [[20.0]]) + score("student", [[30.0]], "motorcycle"))
    table = build(study, "table5")
    assert row(table, label="student", test_set="rooms").psnr_rgb == 20
    assert row(table, label="student", test_set="motorcycle").psnr_rgb == 30


@pytest.mark.parametrize("name, label, key", [
    ("table6", "framework-as_described-lr", "lr"), ("table7", "framework-as_described-w0.50", "0.50"),
    ("table8", "framework-as_described-kl", "kl")])
def test_an_ablation_shows_the_readings_that_ran_and_the_difference_to_their_base(tmp_path, name, label, key):
    base = np.array([[20.0, 30.0], [21.0, 31.0]])
    study = folder(tmp_path, score("framework-as_described", base) + score(label, base - 0.5))
    table = build(study, name)
    assert set(table.reading) == {"as_described"} and len(table) == len(pd.read_csv(paths.PUBLISHED / f"{name}.csv"))
    ours = row(table, key=key)
    assert (ours.label, ours.status) == (label, "measured")
    assert (ours.difference, ours.difference_low, ours.difference_high) == pytest.approx((-0.5, -0.5, -0.5))
    assert table[table.label == "framework-as_described"].difference.isna().all()


def test_a_difference_says_over_how_many_seeds_it_is(tmp_path):
    base = np.array([[20.0, 30.0], [21.0, 31.0], [22.0, 32.0]])
    rows = score("student", base) + score("framework-as_released", base[:2]) + score("framework-as_described", base[:1])
    table = build(folder(tmp_path, rows), "table_controls").set_index("label")
    assert (table.seeds["student"], table.seeds["framework-as_released"]) == (3, 2)
    assert table.seeds_compared["framework-as_released"] == 2
    assert pd.isna(table.seeds_compared["framework-as_described"])  # one seed against three: means of unlike seeds


def test_table_9_shows_ours_as_the_training_graph_and_as_deployed(tmp_path):
    compute = [COMPUTE | {"name": "full_framework", "form": "training_graph", "parameters": 122458,
                          "gflops_profiler": 64.04},
               COMPUTE | {"name": "student", "form": "deployed", "parameters": 96007, "gflops_profiler": 53.69},
               COMPUTE | {"name": "ffa_net", "form": "deployed", "parameters": 2870812, "gflops_profiler": 1613.042}]
    table = build(folder(tmp_path, compute=compute), "table9")
    ours = table[table.key == "full_framework"]
    assert list(zip(ours.form, ours.parameters, ours.gflops_profiler)) == [("training_graph", 122458, 64.04),
                                                                           ("deployed", 96007, 53.69)]
    assert table[table.key == "ffa_net"].parameters.tolist() == [2870812]
    assert row(table, key="aod_net").status == tables.NOT_TIMED


def test_table_9_shows_every_machine_and_the_networks_that_the_paper_did_not_time(tmp_path):
    aod = COMPUTE | {"name": "aod_net", "form": "deployed", "parameters": 1761, "gflops_profiler": 1.0}
    ld = aod | {"name": "ld_net", "title": "LD-Net"}
    machines = [{"processor": "slow", "threads": 2}, {"processor": "fast", "threads": 1},
                {"device": "GPU X", "threads": 2}]
    compute = [one | machine | {"latency_ms": i + 1.0} for one in (aod, ld) for i, machine in enumerate(machines)]
    table = build(folder(tmp_path, compute=compute), "table9")
    for key, theirs in (("aod_net", 6.4569), ("ld_net", None)):
        rows = table[table.key == key]
        assert list(zip(rows.machine, rows.latency_ms)) == [("slow, 2 threads", 1), ("fast, 1 thread", 2), ("GPU X", 3)]
        assert (rows.status == "measured").all()
        assert (rows.inference_ms_published == theirs).all() if theirs else rows.inference_ms_published.isna().all()
    assert table.model[table.key == "ld_net"].unique() == ["LD-Net"]


def test_plug_and_play_compares_a_network_with_itself_and_needs_both(tmp_path):
    study = folder(tmp_path, score("aod_net", [[19.0, 20.0]]) + score("aod_net-affinity", [[19.5, 20.5]])
                   + score("gcanet-affinity", [[30.0, 30.0]]))
    table = build(study, "table_plug_and_play")
    aod = row(table, key="aod_net")
    assert (aod.difference, aod.verdict) == (pytest.approx(0.5), "one seed")
    assert row(table, key="gcanet").status == "not run" and np.isnan(row(table, key="gcanet").difference)


@pytest.mark.parametrize("gain, verdict", [(0.5, "better"), (-0.5, "worse"), (0.01, "equivalent")])
def test_the_central_comparison_says_better_worse_or_equivalent(tmp_path, gain, verdict):
    base = np.array([[20.0, 30.0], [21.0, 31.0]])
    study = folder(tmp_path, score("student", base) + score("framework-as_released", base + gain))
    assert row(build(study, "table_controls"), label="framework-as_released").verdict == verdict


def test_an_infinite_score_stays_infinite(tmp_path):
    tables.write("table2", Rows(folder(tmp_path, score("bilinear-upsampled", [[np.inf, 60.0]]))))
    assert "| ∞ |" in (tmp_path / "tables" / "table2.md").read_text(encoding="utf-8")
    written = pd.read_csv(tmp_path / "tables" / "table2.csv")
    assert row(written, key="bilinear").psnr_rgb == np.inf


def test_all_tables_are_written_as_csv_and_markdown(tmp_path):
    rows = [one for label in ("student", "framework-as_released", "framework-as_released-l1", "hazy")
            for one in score(label, [[20.0, 21.0], [20.5, 21.5]])]
    tables.write_all(Rows(folder(tmp_path, rows, [run("student")])))
    written = {file.name for file in (tmp_path / "tables").iterdir()}
    assert written == {f"{name}.{kind}" for name in tables.TABLES for kind in ("csv", "md")}


def test_csv_has_six_decimals_and_markdown_two(tmp_path):
    tables.write("table5", Rows(folder(tmp_path, score("student", [[20.123456789]]))))
    text = {kind: (tmp_path / "tables" / f"table5.{kind}").read_text() for kind in ("csv", "md")}
    assert ",20.123457," in text["csv"] and "| 20.12 |" in text["md"]


@pytest.mark.parametrize("column, value, shown", [
    ("psnr_rgb", 20.126, "20.13"), ("psnr_rgb", -np.inf, "-∞"), ("psnr_rgb", np.nan, ""), ("ssim_low", 0.98, "0.9800"),
    ("psnr_published", 32.1412, "32.1412"), ("value", 2870812.0, "2870812"), ("value", 0.123456789, "0.123457"),
    ("claim", "a|b", r"a\|b"), ("seeds", 5, "5")])
def test_a_cell_shows_the_decimals_of_its_column(column, value, shown):
    assert markdown(pd.DataFrame({column: [value]})).splitlines()[-1] == f"| {shown} |"


def test_columns_of_whole_numbers_are_told_from_those_that_begin_alike():
    assert decimals("validations") == decimals("images_seen") == decimals("parameters_published") == 0
    assert (decimals("validation_low"), decimals("difference_to_ours"), decimals("difference_low")) == (3, 4, 3)


def test_an_unknown_table_or_study_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="No table 'table10'"):
        build(tmp_path, "table10")
    with pytest.raises(FileNotFoundError, match="no study"):
        build(tmp_path / "absent", "table1")


@pytest.mark.parametrize("rows, message", [
    (score("student", [[20.0]]) * 2, "twice"),
    (score("student", [[np.nan]]), "a score is missing"),
    (score("student", [[20.0], [20.0]])[:1] + score("student", [[20.0], [20.0, 21.0]])[1:], "finish scoring"),
    (score("student", [[20.0]]) + score("hazy", [[10.0]], "sots_indoor"), "mixes"),
])
def test_rows_that_cannot_be_averaged_are_an_error(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        build(folder(tmp_path, rows), "table5")


def test_a_lacking_column_is_named(tmp_path):
    lacking = pd.DataFrame(score("student", [[20.0]])).drop(columns="ssim_gauss11_rgb")
    lacking.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(ValueError, match="lacks the column ssim_gauss11_rgb"):
        build(tmp_path, "table5")


def test_the_search_names_what_each_run_changes_and_rests_on_validation_alone(tmp_path):
    same = {"training_images": 1000, "minutes": 2.0, "best_validation_psnr_rgb": 19.0, "lr": 4e-3, "loss": "mse"}
    rows = [run("student", **same), run("student", seed=1, **same | {"best_validation_psnr_rgb": 20.0}),
            run("search-slow", **same | {"lr": 1e-3, "best_validation_psnr_rgb": 18.0}),
            run("onward-student", **same | {"lr": 2e-3}), run("framework-as_released", **same)]
    table = tables.write("table_search", Rows(folder(tmp_path, runs=rows)))
    assert table.label.tolist() == ["student", "search-slow", "onward-student"]
    assert row(table, label="search-slow").changed == "lr 0.001" and row(table, label="student").changed == ""
    assert row(table, label="student").best_validation_psnr_rgb == 19.5 and row(table, label="student").runs == 2
    text = (tmp_path / "tables/table_search.md").read_text()
    assert "| search-slow | lr 0.001 | 1000 | 18.00 | 2.0 | 1 | measured |" in text
