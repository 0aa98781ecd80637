"""Verdicts on parameters, GFLOPs, sizes and times follow the rows."""

import numpy as np
import pytest

from builders import compute, folder, judge, run
from dehazelib.report.rows import published
from dehazelib.report.verdict import Reason, Status

AGREES, DISAGREES, CONTRADICTED, NO_EFFECT, INCONCLUSIVE, NOT_TESTED = Status


@pytest.mark.parametrize("claim, key, right, wrong", [
    ("student_parameters", "student", 96007, 122458), ("ffa_net_parameters", "ffa_net", 2870812, 4455913),
    ("relu_parameters", "relu_mc_fsrcnn", 38427, 37911)])
def test_a_count_must_match_as_printed(tmp_path, claim, key, right, wrong):
    for count, status in ((right, AGREES), (wrong, DISAGREES)):
        found = judge(tmp_path, claim, runs=[run("x", key, count)])
        assert (found.status, found.interval.value) == (status, count) and f"network={key}" in found.sources[0]


def test_the_frameworks_parameters_are_student_plus_teacher(tmp_path):
    runs = [run("teacher", "dsc_mc_fsrcnn", 26451), run("student", "student", 96007),
            run("framework-as_released", "student", 96007, teacher="teacher-s0")]
    for claim, count in (("framework_parameters", 122458), ("framework_adds_26k", 26451)):
        found = judge(tmp_path, claim, runs=runs)
        assert (found.status, found.interval.value) == (AGREES, count)


def test_the_printed_count_of_batch_normalisation_is_that_of_a_placement_other_than_ours(tmp_path):
    runs = [run(name, name, count) for name, count in (("dsc_mc_fsrcnn", 26451), ("dscbn_mc_fsrcnn", 28179))]
    found = judge(tmp_path, "batch_norm_parameters", runs=runs)
    assert (found.reason, found.evidence["normalised_twice"]) == (Reason.UNSTATED, 29571)
    runs[1]["parameters"] = 29571
    assert judge(tmp_path, "batch_norm_parameters", runs=runs).status == AGREES


@pytest.mark.parametrize("count, status", [(38427, AGREES), (38400, DISAGREES)])
def test_three_branches_have_three_times_the_parameters_of_one(tmp_path, count, status):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", count), run("fsrcnn_x2-native", "fsrcnn_x2", 24683)]
    found = judge(tmp_path, "n_times_parameters", runs=runs)
    assert found.status == status and found.evidence["parameters"]["one branch"] == 12809


@pytest.mark.parametrize("claim, a, b, counts, status", [
    ("about_20x_smaller", "ffa_net", "full_framework", (2870812, 122458), AGREES),
    ("about_20x_smaller", "ffa_net", "full_framework", (151, 10), AGREES),
    ("about_20x_smaller", "ffa_net", "full_framework", (149, 10), DISAGREES),
    ("gcanet_7x_bigger", "gcanet", "student", (73, 10), AGREES),
    ("dsc_smaller", "mc_fsrcnn", "dsc_mc_fsrcnn", (38427, 26451), AGREES),
    ("dsc_smaller", "mc_fsrcnn", "dsc_mc_fsrcnn", (38427, 30000), DISAGREES)])
def test_ratios_and_savings_follow_the_counts(tmp_path, claim, a, b, counts, status):
    forms = {"full_framework": "training_graph"}
    rows = [compute(name, forms.get(name, "deployed"), count) for name, count in zip((a, b), counts)]
    assert judge(tmp_path, claim, compute=rows).status == status


@pytest.mark.parametrize("claim, column, value, status", [
    ("framework_gflops", "gflops_profiler", 64.03988, AGREES),
    ("framework_gflops", "gflops_profiler", 53.690, DISAGREES),
    ("framework_size_mb", "size_torch_mb", 0.58, AGREES),
    ("framework_size_mb", "size_torch_mb", 0.56, DISAGREES)])
def test_a_cost_of_the_training_graph(tmp_path, claim, column, value, status):
    rows = [compute("full_framework", "training_graph", 122458, **{column: value}), compute("student", "deployed", 1)]
    found = judge(tmp_path, claim, compute=rows)
    assert found.status == status and "student" in found.evidence["beside"]


def test_latency_counts_only_on_the_papers_gpu(tmp_path):
    row = compute("full_framework", "training_graph", 1, latency_ms=58.9, latency_ms_low=58, latency_ms_high=60)
    assert judge(tmp_path, "framework_inference_ms", compute=[row]).reason == Reason.OTHER_GPU
    row["device"] = "NVIDIA GeForce RTX 3080 Ti"
    assert judge(tmp_path, "framework_inference_ms", compute=[row]).status == AGREES


COLUMNS = [("baseline_gflops", "table9", "gflops", "gflops_profiler", 1),
           ("baseline_parameters", "table5", "parameters_millions", "parameters", 1e6),
           ("baseline_sizes", "table9", "size_mb", "size_torch_mb", 1)]


@pytest.mark.parametrize("claim, table, printed, column, unit", COLUMNS)
def test_every_network_of_a_table_must_be_measured_and_agree(tmp_path, claim, table, printed, column, unit):
    theirs = published(table).set_index("key").drop(["student", "full_framework", "lsid_fcnn"], errors="ignore")
    rows = [compute(key, "deployed", 1) | {column: unit * value} for key, value in theirs[printed].items()]
    assert judge(tmp_path, claim, compute=rows).status == AGREES
    assert judge(tmp_path, claim, compute=rows[1:]).reason == Reason.INCOMPLETE
    empty = [rows[0] | {column: np.nan}, *rows[1:]]
    assert judge(tmp_path, claim, compute=empty).reason == Reason.INCOMPLETE
    rows[0][column] *= 1.11
    found = judge(tmp_path, claim, compute=rows[:-1])
    assert found.status == DISAGREES and list(found.evidence["off"]) == ["AOD-Net"]


@pytest.mark.parametrize("gflops, status", [(53.69, AGREES), (64.04, DISAGREES)])
def test_the_student_alone_must_need_less_than_the_training_graph_on_the_same_device(tmp_path, gflops, status):
    rows = [compute("full_framework", "training_graph", 122458, gflops_profiler=64.04),
            compute("student", "deployed", 96007, gflops_profiler=gflops),
            compute("student", "deployed", 96007, gflops_profiler=1.0, device="another")]
    found = judge(tmp_path, "student_decoupled_at_inference", compute=rows)
    assert found.status == status and found.interval.value == pytest.approx(gflops / 64.04)


@pytest.mark.parametrize("gflops, status", [(3.5, AGREES), (5.4, DISAGREES)])
def test_separable_convolutions_must_cost_less_in_both_conventions(tmp_path, gflops, status):
    rows = [compute("mc_fsrcnn", "deployed", 1, gflops=5.0, gflops_profiler=3.4),
            compute("dsc_mc_fsrcnn", "deployed", 1, gflops=gflops, gflops_profiler=1.7)]
    found = judge(tmp_path, "dsc_cheaper", compute=rows)
    assert found.status == status and found.interval.value == pytest.approx(100 * (1 - gflops / 5))


@pytest.mark.parametrize("times, status", [
    ((5.0, 4.9, 5.1), AGREES), ((9.9, 8.9, 10.9), INCONCLUSIVE), ((12.0, 11.9, 12.1), DISAGREES),
    ((40.0, 39.0, 41.0), DISAGREES), ((34.0, 32.0, 36.0), INCONCLUSIVE)])
def test_separable_convolutions_must_be_faster_beyond_the_spread_and_in_real_time(tmp_path, times, status):
    slow = (100, 90, 110) if times[0] > 30 else (10, 9, 11)
    names = ("latency_ms", "latency_ms_low", "latency_ms_high")
    on_gpu = [compute(name, "deployed", 1, device="a GPU", **dict(zip(names, values)))
              for name, values in (("dsc_mc_fsrcnn", times), ("mc_fsrcnn", slow))]
    on_cpu = [compute("dsc_mc_fsrcnn", "deployed", 1, latency_ms=21.0), compute("mc_fsrcnn", "deployed", 1)]
    found = judge(tmp_path, "dsc_faster", compute=on_gpu + on_cpu)
    assert found.status == status and found.interval.value == pytest.approx(times[0] / slow[0])
    assert judge(tmp_path, "dsc_faster", compute=on_gpu).reason == Reason.INCOMPLETE
    found = judge(tmp_path, "dsc_faster", compute=on_cpu)
    assert (found.reason, found.interval.value) == (Reason.ON_CPU, 2.1)


@pytest.mark.parametrize("gflops, status", [(1.5, AGREES), (1600.0, DISAGREES)])
def test_a_fixed_budget_means_like_computing(tmp_path, gflops, status):
    rows = [compute("aod_net", "deployed", 1761), compute("ffa_net", "deployed", 2870812, gflops=gflops)]
    assert judge(tmp_path, "fixed_compute_budget", compute=rows).status == status


def timed(ms, **more):
    return [{"method": method, "repeat": repeat, "ms": value, "height": 460, "width": 620, "batch": 2,
             "processor": "p", "threads": 2, "gpu": "", "torch": "2", "commit": "c"} | more
            for method, values in ms.items() for repeat, value in enumerate(values)]


@pytest.mark.parametrize("ours, status", [
    ([104, 105, 106], AGREES), ([114, 115, 116], DISAGREES), ([100, 110, 120], INCONCLUSIVE),
    ([300], NOT_TESTED)])
def test_training_overhead_compares_a_step_with_and_without_the_module(tmp_path, ours, status):
    study, benchmarks = folder(tmp_path / "study"), tmp_path / "benchmarks"
    assert judge(study, "minimal_training_overhead").reason == Reason.NOT_RUN
    steps = {"exact affinity, channels last": ours, "student alone, channels last": [100] * len(ours),
             "as released": [600] * len(ours), "exact affinity, loader": [50] * len(ours)}
    folder(benchmarks, training=timed(steps) + timed(steps, threads=4))
    found = judge(study, "minimal_training_overhead")
    assert found.reason == Reason.ON_CPU and found.interval.value == pytest.approx(np.mean(ours) / 100)
    assert len(found.evidence["beside"]) == 4  # two machines that differ in threads alone
    folder(benchmarks, training=timed(steps) + timed(steps, gpu="G"))
    found = judge(study, "minimal_training_overhead")
    assert (found.status, found.evidence["machine"]) == (status, "G")
    folder(benchmarks, training=timed({"exact affinity, eager": [1.0], "student alone, compiled": [1.0]}))
    assert judge(study, "minimal_training_overhead").reason == Reason.NOT_RUN
