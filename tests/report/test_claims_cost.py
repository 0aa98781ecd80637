"""Verdicts on parameters, GFLOPs, sizes and times follow the rows."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from builders import compute, decided, folder, run
from dehazelib import networks, paths
from dehazelib.report.claims_size import BRANCHES, FIRST_CHANNELS, PER_COLOUR, SEPARABLE, normalised_twice


@pytest.mark.parametrize("claim, key, right, wrong", [
    ("student_parameters", "student", 96007, 122458), ("ffa_net_parameters", "ffa_net", 2870812, 4455913),
    ("relu_parameters", "relu_mc_fsrcnn", 38427, 37911)])
def test_a_count_must_match_as_printed(tmp_path, claim, key, right, wrong):
    others = [run("mc_fsrcnn-native", "mc_fsrcnn", 38427), run("dsc_mc_fsrcnn-native", "dsc_mc_fsrcnn", 26451)]
    for count, expected in ((right, "reproduced"), (wrong, "not reproduced")):
        row = decided(folder(tmp_path, runs=[*others, run("x", key, count)]), claim)
        assert (row.verdict, row.ours) == (expected, count)
        assert f"{count:,}" in row.why and f"network={key}" in row.source


def test_the_printed_count_of_batch_normalisation_is_that_of_a_placement_other_than_ours(tmp_path):
    runs = [run(name, name, count) for name, count in (("dsc_mc_fsrcnn", 26451), ("dscbn_mc_fsrcnn", 28179))]
    row = decided(folder(tmp_path, runs=runs), "batch_norm_parameters")
    assert row.verdict == "not tested here" and row.ours == 28179
    assert "ours has 28,179" in row.why and "after the first convolution, has 29,571" in row.why
    runs[1]["parameters"] = 29571
    assert decided(folder(tmp_path, runs=runs), "batch_norm_parameters").verdict == "reproduced"


def test_the_channels_of_a_branch_are_the_networks():
    branch = networks.build("dsc_mc_fsrcnn").branches["r"]
    first, *separable = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)]
    assert first.out_channels == FIRST_CHANNELS
    assert tuple((depthwise.in_channels, pointwise.out_channels)
                 for depthwise, pointwise in zip(separable[::2], separable[1::2])) == SEPARABLE
    twice = first.out_channels + sum(layer.in_channels + layer.out_channels for layer in separable)
    assert normalised_twice() == 3 * 2 * twice == 3120


def test_why_gives_the_slopes_that_the_relu_variant_lacks_from_the_rows(tmp_path):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", 1000), run("relu_mc_fsrcnn-native", "relu_mc_fsrcnn", 900)]
    assert "1,000, 100 more" in decided(folder(tmp_path, runs=runs), "relu_parameters").why


def test_the_frameworks_parameters_are_student_plus_teacher(tmp_path):
    runs = [run("teacher", "dsc_mc_fsrcnn", 26451), run("student", "student", 96007),
            run("framework-as_released", "student", 96007, teacher="teacher-s0")]
    row = decided(folder(tmp_path, runs=runs), "framework_parameters")
    assert (row.ours, row.verdict) == (122458, "reproduced") and "96,007 + teacher 26,451" in row.why
    assert decided(tmp_path, "framework_adds_26k").ours == 26451


@pytest.mark.parametrize("gflops, expected", [(64.03988, "reproduced"), (53.690, "not reproduced")])
def test_gflops_must_agree_to_the_printed_digits(tmp_path, gflops, expected):
    rows = [compute("full_framework", "training_graph", 122458, gflops_profiler=gflops),
            compute("student", "deployed", 96007, gflops_profiler=53.69)]
    row = decided(folder(tmp_path, compute=rows), "framework_gflops")
    assert row.verdict == expected and "training graph" in row.why and "53.69" in row.why


def test_all_baselines_must_be_measured_before_their_gflops_are_reproduced(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table9.csv")
    rows = [compute(row.key, "deployed", 1, gflops_profiler=row.gflops) for row in theirs.itertuples()
            if row.key != "full_framework"]
    assert decided(folder(tmp_path, compute=rows), "baseline_gflops").verdict == "reproduced"
    assert decided(folder(tmp_path, compute=rows[1:]), "baseline_gflops").verdict == "not tested here"
    unmeasured = [rows[0] | {"gflops_profiler": np.nan}, *rows[1:]]
    assert decided(folder(tmp_path, compute=unmeasured), "baseline_gflops").verdict == "not tested here"
    rows[0]["gflops_profiler"] += 0.002
    row = decided(folder(tmp_path, compute=rows), "baseline_gflops")
    assert row.verdict == "not reproduced" and "AOD-Net" in row.why


def test_sizes_are_compared_as_ratios_of_counts_and_of_files(tmp_path):
    framework = [compute("full_framework", "training_graph", 122458), compute("student", "deployed", 96007)]
    for count, expected in ((2870812, "reproduced"), (122458 * 15.1, "reproduced"), (122458 * 14.9, "not reproduced"),
                            (122458 * 25.1, "not reproduced")):
        rows = [*framework, compute("ffa_net", "deployed", count, size_torch_mb=11.1),
                compute("gcanet", "deployed", 7.3 * 96007)]
        row = decided(folder(tmp_path, compute=rows), "about_20x_smaller")
        assert (row.verdict, row.ours) == (expected, pytest.approx(count / 122458))
        assert "11.100 / 0.600 MB = 18.5" in row.why and "quality is not compared" in row.why
        assert decided(tmp_path, "gcanet_7x_bigger").verdict == "reproduced"


@pytest.mark.parametrize("size, expected", [(0.58, "reproduced"), (0.69, "reproduced"), (0.56, "not reproduced")])
def test_the_weight_files_size_may_differ_by_a_tenth(tmp_path, size, expected):
    rows = [compute("full_framework", "training_graph", 122458, size_torch_mb=size)]
    row = decided(folder(tmp_path, compute=rows), "framework_size_mb")
    assert row.verdict == expected
    assert "as safetensors 0.5; 0.467 MB are the 122,458 numbers, four bytes each" in row.why


@pytest.mark.parametrize("count, expected", [(38427, "reproduced"), (38400, "not reproduced")])
def test_three_branches_have_three_times_the_parameters_of_one_but_not_of_fsrcnn(tmp_path, count, expected):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", count), run("fsrcnn_x2-native", "fsrcnn_x2", 24683)]
    row = decided(folder(tmp_path, runs=runs), "n_times_parameters")
    assert row.verdict == expected and f"{count:,} / 12,809 of one branch" in row.why and "1.56 times" in row.why


def test_what_a_branch_needs_for_its_colour_is_the_networks():
    branch = networks.parameters(networks.build("mc_fsrcnn").branches["r"])
    assert networks.count("fsrcnn_x2") - (BRANCHES - 1) * PER_COLOUR == branch
    assert networks.count("mc_fsrcnn") == BRANCHES * branch


def test_the_listed_parameters_of_table_5_are_counted_in_the_printed_unit(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table5.csv").query("key not in ('student', 'full_framework')")
    rows = [compute(row.key, "deployed", 1e6 * row.parameters_millions) for row in theirs.itertuples()]
    assert decided(folder(tmp_path, compute=rows), "baseline_parameters").verdict == "reproduced"
    assert decided(folder(tmp_path, compute=rows[1:]), "baseline_parameters").verdict == "not tested here"
    rows[0]["parameters"] += 9  # 1,769 of 0.00176 million
    assert decided(folder(tmp_path, compute=rows), "baseline_parameters").verdict == "reproduced"
    rows[0]["parameters"] += 9
    row = decided(folder(tmp_path, compute=rows[:9]), "baseline_parameters")
    assert row.verdict == "not reproduced" and "off: AOD-Net by +1.8e-05 million (+1 %)" in row.why
    assert "8 of 15 networks, reconstructions left out; 7 agree" in row.why


@pytest.mark.parametrize("times, expected", [(1.09, "reproduced"), (1.11, "not reproduced"), (0.89, "not reproduced")])
def test_every_listed_file_size_may_differ_by_a_tenth(tmp_path, times, expected):
    theirs = pd.read_csv(paths.PUBLISHED / "table9.csv").query("key != 'full_framework'")
    rows = [compute(row.key, "deployed", 1, size_torch_mb=row.size_mb) for row in theirs.itertuples()]
    rows[-1]["size_torch_mb"] *= times
    row = decided(folder(tmp_path, compute=rows), "baseline_sizes")
    assert (row.verdict, row.ours) == (expected, pytest.approx(100 * abs(times - 1)))
    assert f"Cycle-Dehaze {100 * (times - 1):+.2g}" in row.why
    assert decided(folder(tmp_path, compute=rows[:-1]), "baseline_sizes").verdict == "not tested here"


@pytest.mark.parametrize("gflops, expected", [(3.5, "reproduced"), (5.4, "not reproduced")])
def test_separable_convolutions_must_cost_less_in_both_conventions(tmp_path, gflops, expected):
    rows = [compute("mc_fsrcnn", "deployed", 1, gflops=5.0, gflops_profiler=3.4),
            compute("dsc_mc_fsrcnn", "deployed", 1, gflops=gflops, gflops_profiler=1.7)]
    row = decided(folder(tmp_path, compute=rows), "dsc_cheaper")
    assert (row.verdict, row.ours) == (expected, pytest.approx(100 * (1 - gflops / 5))) and "1.700, 50 %" in row.why


@pytest.mark.parametrize("gflops, expected", [(53.69, "reproduced"), (70.0, "not reproduced")])
def test_the_student_alone_must_be_cheaper_than_the_training_graph(tmp_path, gflops, expected):
    rows = [compute("full_framework", "training_graph", 122458, gflops_profiler=64.04),
            compute("student", "deployed", 96007, gflops_profiler=gflops),
            compute("student", "deployed", 96007, gflops_profiler=1.0, device="another")]
    row = decided(folder(tmp_path, compute=rows), "student_decoupled_at_inference")
    assert (row.verdict, row.ours) == (expected, pytest.approx(gflops / 64.04)) and "by construction" in row.why


@pytest.mark.parametrize("count, expected", [(26451, "reproduced"), (30000, "not reproduced")])
def test_the_saving_of_separable_convolutions_follows_the_counts(tmp_path, count, expected):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", 38427), run("dsc_mc_fsrcnn-native", "dsc_mc_fsrcnn", count)]
    assert decided(folder(tmp_path, runs=runs), "dsc_smaller").verdict == expected


@pytest.mark.parametrize("times, expected", [
    ((5.0, 4.9, 5.1), "reproduced"), ((9.9, 8.9, 10.9), "undecided"), ((12.0, 11.9, 12.1), "not reproduced"),
    ((40.0, 39.0, 41.0), "not reproduced"), ((34.0, 32.0, 36.0), "undecided")])
def test_separable_convolutions_must_be_faster_beyond_the_spread_and_in_real_time(tmp_path, times, expected):
    slow = (100, 90, 110) if times[0] > 30 else (10, 9, 11)
    names = ("latency_ms", "latency_ms_low", "latency_ms_high")
    rows = [compute(name, "deployed", 1, device="a GPU", **dict(zip(names, values)))
            for name, values in (("dsc_mc_fsrcnn", times), ("mc_fsrcnn", slow))]
    both = rows + [compute("dsc_mc_fsrcnn", "deployed", 1, latency_ms=21.0), compute("mc_fsrcnn", "deployed", 1)]
    row = decided(folder(tmp_path, compute=both), "dsc_faster")
    assert (row.verdict, row.ours) == (expected, pytest.approx(times[0] / slow[0]))
    assert "21.00 ms over 10.00 ms on cpu" in row.why
    row = decided(folder(tmp_path, compute=rows), "dsc_faster")
    assert row.verdict == "not tested here" and "not timed on a CPU" in row.why
    row = decided(folder(tmp_path, compute=both[2:]), "dsc_faster")
    assert (row.verdict, row.ours) == ("not tested here", 2.1) and "timed on a CPU only" in row.why


def test_latency_counts_only_on_the_papers_gpu(tmp_path):
    rows = [compute("full_framework", "training_graph", 1, latency_ms=58.9, latency_ms_low=58, latency_ms_high=60)]
    assert decided(folder(tmp_path, compute=rows), "framework_inference_ms").verdict == "not tested here"
    rows[0]["device"] = "NVIDIA GeForce RTX 3080 Ti"
    assert decided(folder(tmp_path, compute=rows), "framework_inference_ms").verdict == "reproduced"


def test_a_fixed_budget_means_like_computing(tmp_path):
    for gflops, expected in ((1.5, "reproduced"), (1600.0, "not reproduced")):
        rows = [compute("aod_net", "deployed", 1761), compute("ffa_net", "deployed", 2870812, gflops=gflops)]
        assert decided(folder(tmp_path, compute=rows), "fixed_compute_budget").verdict == expected


def test_machines_that_differ_in_threads_alone_are_told_apart(tmp_path):
    benchmarks = tmp_path / "benchmarks"
    steps = {"exact affinity, channels last": [105] * 3, "student alone, channels last": [100] * 3}
    rows = timed(steps) + [row | {"threads": 4} for row in timed(steps)]
    folder(benchmarks, training=rows)
    row = decided(folder(tmp_path / "study"), "minimal_training_overhead")
    assert "on p, 2 threads" in row.why and "on p, 4 threads" in row.why


def timed(ms, gpu="", processor="p"):
    return [{"method": method, "repeat": repeat, "ms": value, "height": 460, "width": 620, "batch": 2,
             "processor": processor, "threads": 2, "gpu": gpu, "torch": "2", "commit": "c"}
            for method, values in ms.items() for repeat, value in enumerate(values)]


@pytest.mark.parametrize("ours, expected", [
    ([104, 105, 106], "reproduced"), ([300, 301, 302], "not reproduced"), ([100, 110, 120], "undecided"),
    ([300], "not tested here")])
def test_training_overhead_compares_a_step_with_and_without_the_module(tmp_path, ours, expected):
    study, benchmarks = folder(tmp_path / "study"), tmp_path / "benchmarks"
    assert "no benchmarks/training.csv" in decided(study, "minimal_training_overhead").why
    rows = timed({"exact affinity, channels last": ours, "student alone, channels last": [100] * len(ours),
                  "as released": [600] * len(ours), "exact affinity, loader": [50] * len(ours)})
    folder(benchmarks, training=rows)
    row = decided(study, "minimal_training_overhead")
    assert (row.verdict, row.ours) == ("not tested here", pytest.approx(np.mean(ours) / 100))
    assert "both channels last" in row.why and "on p" in row.why and "on a CPU only" in row.why
    assert "its N x N matrices and freed memory given back, 6.00" in row.why
    rows += [row | {"gpu": "G", "ms": 2 * row["ms"]} for row in rows]
    folder(benchmarks, training=rows)
    row = decided(study, "minimal_training_overhead")
    assert (row.verdict, row.ours) == (expected, pytest.approx(np.mean(ours) / 100))
    assert "on G" in row.why and "on p" in row.why
    folder(benchmarks, training=timed({"exact affinity, eager": [1.0], "student alone, compiled": [1.0]}))
    assert "both with the module and without" in decided(study, "minimal_training_overhead").why


def test_a_runs_minutes_say_nothing_of_the_training_overhead(tmp_path):
    runs = [run(label, "student", 1, seed, minutes=minutes, peak_memory_mb=1.0) for seed in (0, 1)
            for label, minutes in (("student", 1.0), ("framework-as_released", 3.0))]
    assert np.isnan(decided(folder(tmp_path / "study", runs=runs), "minimal_training_overhead").ours)
