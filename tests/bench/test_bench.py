"""Benchmarks: methods take turns, ratios stay within a turn, rows of other machines stay."""

import json
import os
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from dehazelib import cli, networks
from dehazelib.bench import affinity, roofline, table9
from dehazelib.distillation.affinity import affinity_distance_reference
from dehazelib.evaluation import cost as compute
from dehazelib.profiling import memory, timing
from dehazelib.profiling.allocator import give_freed_memory_back
from dehazelib.report import rows as measured

linux = pytest.mark.skipif(not memory.RESET.exists(), reason="this system does not tell")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    return tmp_path / "benchmarks"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; each call of `clock.pass_(n)` moves it by n seconds."""

    class Clock:
        now = 0.0

        def pass_(self, n):
            self.now += n

    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def machine(monkeypatch):
    """Sets what provenance says this machine is."""

    def set_(processor, gpu=""):
        facts = {"processor": processor, "threads": 2, "gpu": gpu, "torch": "t", "commit": "c"}
        monkeypatch.setattr(timing.provenance, "environment", lambda: facts)

    return set_


# ----------------------------------------------------------------------------------------------------------- timing


def test_methods_warm_up_once_and_then_take_turns(clock):
    calls = []
    takes = {"a": 0.2, "b": 0.1}
    methods = {name: lambda name=name: (calls.append(name), clock.pass_(takes[name])) for name in takes}
    rows = timing.compare(methods, repeats=4)
    assert calls == ["a", "b"] * 5
    assert list(rows.itertuples(index=False, name=None)) == [
        (name, repeat, pytest.approx(ms)) for repeat in range(4) for name, ms in (("a", 200), ("b", 100))]


def test_after_three_repeats_time_is_limited_and_a_slow_method_is_timed_once(clock):
    rows = timing.compare({"fast": lambda: clock.pass_(1), "slow": lambda: clock.pass_(11)}, repeats=7, seconds=10)
    assert rows.method.tolist() == ["slow", "fast", "fast", "fast"]
    assert len(timing.compare({"fast": lambda: clock.pass_(1)}, repeats=7, seconds=4.5)) == 4  # and one to warm up


def test_a_method_that_is_warm_already_is_not_warmed_up(clock):
    calls = []
    methods = {name: lambda name=name: (calls.append(name), clock.pass_(1)) for name in "ab"}
    assert len(timing.compare(methods, repeats=2, warm={"a"})) == 4 and calls == ["b", *"abab"]
    methods = {"a": lambda: clock.pass_(11), "b": lambda: clock.pass_(1)}
    slow = timing.compare(methods, repeats=7, seconds=10, warm={"a"})
    assert slow.method.tolist() == ["a", "b", "b", "b"]


@pytest.mark.parametrize("methods, repeats", [({}, 3), ({"a": int}, 0)])
def test_nothing_to_compare_is_an_error(methods, repeats):
    with pytest.raises(ValueError, match="at least one repeat"):
        timing.compare(methods, repeats)


def timed(**ms):
    return pd.DataFrame([{"method": m, "repeat": i, "ms": float(t)} for m, ts in ms.items() for i, t in enumerate(ts)])


def test_ratios_are_taken_within_a_repeat_so_a_slow_moment_does_not_count():
    table = timing.summary(timed(old=[10, 80, 20], new=[5, 40, 10]), "old").set_index("method")
    assert table.loc["new", ["ratio", "ratio_low", "ratio_high"]].tolist() == [2, 2, 2]
    assert table.loc["new", ["ms", "low", "high", "repeats"]].tolist() == [10, 7.5, 25, 3]
    assert table.ratio["old"] == 1


def test_groups_are_compared_with_their_own_reference_even_where_a_label_is_empty():
    rows = pd.concat([timed(old=[4], new=[2]).assign(height=8, gpu=np.nan), timed(old=[9], new=[3]).assign(height=16),
                      timed(new=[1]).assign(height=32)])
    table = timing.summary(rows, "old")
    ratios = table[table.method == "new"].set_index("height").ratio
    assert ratios[8] == 2 and ratios[16] == 3 and np.isnan(ratios[32])


def test_a_slow_reference_counts_in_the_repeats_it_has():
    table = timing.summary(timed(old=[50], new=[5, 1, 1]), "old").set_index("method")
    assert (table.ratio["new"], table.ms["new"]) == (10, 1)


def test_an_unknown_reference_is_named():
    with pytest.raises(ValueError, match="No method 'older'.*old, new"):
        timing.summary(timed(old=[1], new=[1]), "older")


def test_kept_rows_replace_this_machine_s_and_leave_the_others(results, machine):
    for name, gpu, ms in (("fast", "", 1), ("slow", "", 9), ("slow", "GPU", 4), ("slow", "", 8)):
        machine(name, gpu)
        kept = timing.keep(timed(a=[ms]), "speed")
    written = pd.read_csv(results / "speed.csv")
    assert list(written) == ["method", "repeat", "ms", *timing.PROVENANCE] and len(kept) == len(written) == 3
    assert set(zip(written.processor, written.gpu.fillna(""), written.ms)) == {
        ("fast", "", 1), ("slow", "GPU", 4), ("slow", "", 8)}


def test_rows_of_no_known_machine_give_way(tmp_path, machine):
    machine("fast", "")
    timed(a=[1]).to_csv(tmp_path / "speed.csv", index=False)
    assert timing.keep(timed(a=[2]), "speed", tmp_path).ms.tolist() == [2]
    assert pd.read_csv(tmp_path / "speed.csv").ms.tolist() == [2]


def test_machines_stand_side_by_side(results, machine):
    for name, gpu, ms in (("fast", "", [1, 2, 9]), ("slow", "GPU", [4])):
        machine(name, gpu)
        timing.keep(timed(a=ms).assign(size=8), "speed")
    table = timing.by_machine(pd.read_csv(results / "speed.csv"))
    assert table.to_dict("records") == [{"method": "a", "size": 8, "fast, 2 threads": 2, "slow, 2 threads, GPU": 4}]


# ----------------------------------------------------------------------------------------------------------- memory


@linux
def test_extra_memory_sees_what_a_call_takes_and_gives_back():
    give_freed_memory_back()  # what earlier tests left: a call that takes it again needs nothing new
    assert memory.extra_mb(lambda: torch.ones(100_000_000, dtype=torch.uint8)) == pytest.approx(100, abs=5)
    assert memory.extra_mb(lambda: None) < 1


def test_every_call_has_a_process_of_its_own():
    pids = memory.in_fresh_processes(os.getpid, [(), ()])
    assert len({*pids, os.getpid()}) == 3


def test_another_process_stays_the_same():
    with memory.another_process() as call:
        first = call(os.getpid)
        assert call(os.getpid) == first != os.getpid()
        with pytest.raises(ValueError, match="invalid literal"):
            call(int, "x")


def test_an_error_in_a_fresh_process_arrives():
    with pytest.raises(ValueError, match="invalid literal"):
        memory.in_fresh_processes(int, [("x",)])


# --------------------------------------------------------------------------------------------------------- affinity


def test_the_affinity_loss_and_its_literal_form_are_timed_up_to_a_size():
    rows = affinity.times([("l2_norm", 3, 16), ("kl", 2, 64)], seconds=0, largest=16)
    assert list(rows) == ["method", "repeat", "ms", "device", "distance", "channels", "pixels"]
    assert set(zip(rows.distance, rows.channels, rows.pixels, rows.method)) == {
        ("l2_norm", 3, 16, "C x C"), ("l2_norm", 3, 16, "N x N"), ("kl", 2, 64, "tiled")}
    assert (rows.ms > 0).all()


@linux
@pytest.mark.parametrize("distance", affinity.OURS)
def test_the_literal_form_needs_as_many_matrices_as_said_and_ours_less_than_one(distance):
    rows = affinity.memories([(distance, 3, 2048)]).set_index("method").extra_mb
    matrix = affinity.BATCH * 4 * 2048**2 / 1e6
    assert rows["N x N"] == pytest.approx(affinity.MATRICES[distance] * matrix, rel=0.2)
    assert rows[affinity.OURS[distance]] < matrix


@pytest.mark.parametrize("distance, expected", [("l2_norm", ["C x C", "N x N"]), ("kl", ["tiled", "fused", "N x N"])])
def test_a_gpu_compares_the_fused_kernels_too(monkeypatch, distance, expected):
    monkeypatch.setattr(affinity, "fused_runs", lambda device: True)
    assert affinity.methods(distance, 64, 64, "cuda") == expected
    assert "fused" not in affinity.methods(distance, 64, 64, "cpu")
    monkeypatch.setattr(affinity, "fused_runs", lambda device: False)
    assert "fused" not in affinity.methods(distance, 64, 64, "cuda")


def test_fused_kernels_that_do_not_run_are_left_out_and_it_is_said(monkeypatch, capsys):
    def fails(*args, **options):
        raise RuntimeError("no kernel here\nand more")

    monkeypatch.setattr(affinity, "step", fails)
    affinity.fused_runs.cache_clear()
    assert not affinity.fused_runs("cuda:7")
    assert capsys.readouterr().err == "affinity: the fused kernels are left out: no kernel here\n"


def test_the_table_sets_ours_beside_the_literal_form():
    case = {"device": "cpu", "distance": "l1", "channels": 3}
    times = pd.concat([timed(**{"N x N": [80, 90], "tiled": [8, 10]}).assign(pixels=10, **case),
                       timed(tiled=[20]).assign(pixels=1000, **case)])
    needed = pd.DataFrame([case | {"pixels": n, "method": m, "extra_mb": mb}
                           for n, m, mb in ((10, "N x N", 50.0), (10, "tiled", 2.0), (1000, "tiled", 4.0))])
    small, large = affinity.table(times, needed).to_dict("records")
    assert (small["ms"], small["nxn_ms"], small["ratio"], small["memory_percent"]) == (9, 85, 9.5, 4)
    assert (large["ms"], large["extra_mb"], large["matrix_gb"]) == (20, 4, 0.004)
    assert np.isnan([large["nxn_ms"], large["ratio"], large["memory_percent"]]).all()


def test_the_textbook_identity_is_right_in_exact_arithmetic_and_lost_in_float32():
    student, teacher = torch.rand(2, 2, 4, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = affinity_distance_reference(student, teacher, "l2")
    torch.testing.assert_close(affinity.three_terms(student, teacher), expected)
    errors = affinity.accuracy(pixels=256, seeds=2)
    worst = errors.groupby(["method", "apart"]).relative_error.max()
    assert worst["ours, float32"].max() < 1e-6
    assert worst["three terms, float32"][1e-5] > 0.5 and worst["N x N, float32"].max() < 1e-2


def test_too_little_memory_shrinks_the_literal_form_and_is_said_in_one_line(monkeypatch, capsys):
    full = affinity.fitting("kl", pixels=10)
    assert full == 10 and capsys.readouterr().out == ""
    need = affinity.MATRICES["kl"] * affinity.BATCH * 4e-6 * 1000**2 * affinity.HEADROOM
    monkeypatch.setattr(memory, "available_mb", lambda device: need / 4)
    assert affinity.fitting("kl", pixels=1000) == 500
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "kl on cpu" in out and "measured at 500 pixels" in out


def test_the_affinity_benchmark_keeps_its_rows_and_ends_without_pooling(results, monkeypatch):
    monkeypatch.setattr(affinity, "accuracy", partial(affinity.accuracy, pixels=16, seeds=1))
    table = affinity.run(pixels=64, full=128, seconds=0)
    table = table[table.device == "cpu"]
    assert list(zip(table.distance, table.channels, table.pixels)) == [
        *((distance, channels, 64) for distance, channels in affinity.CASES), ("l2_norm", 3, 128)]
    assert table.ratio[:-1].notna().all() and table.nxn_ms[-1:].isna().all()
    for name in ("affinity", "affinity_memory", "affinity_accuracy"):
        assert pd.read_csv(results / f"{name}.csv").commit.notna().all()


def test_the_command_prints_the_table_and_where_the_rows_are(results, monkeypatch, capsys):
    measured = pd.DataFrame({"distance": ["l1"], "ratio": [81.83893], "ms": [np.nan]})
    monkeypatch.setattr(affinity, "run", lambda: measured)
    assert cli.main(["bench", "affinity"]) == 0
    out = capsys.readouterr().out
    assert "81.84" in out and "nan" not in out.lower() and out.endswith(f"rows: {results / 'affinity.csv'}\n")


# ---------------------------------------------------------------------------------------------------------- table 9


@pytest.fixture(scope="module")
def table():
    return table9.measure(["aod_net", "fsrcnn_x4"], (32, 48), seconds=0)


def test_table_9_has_the_training_graph_and_each_network_as_it_runs(table):
    table = table[table.device == "cpu"]
    assert list(zip(table.name, table.form)) == [("full_framework", "training_graph"), ("aod_net", "deployed"),
                                                 ("fsrcnn_x4", "deployed")]
    assert list(zip(table.height, table.width)) == [(32, 48), (32, 48), (8, 12)]
    assert table.parameters.tolist()[:2] == [122_458, 1761]
    assert table.size_mb[1] == compute.size_mb(networks.build("aod_net"))
    assert table.size_torch_mb[1] == compute.size_torch_mb(networks.build("aod_net"))


def test_table_9_rows_have_what_the_study_reads_and_where_they_were_measured(table):
    assert set(measured.REQUIRED["compute"]) <= set(table)
    assert (table.latency_ms_low <= table.latency_ms).all() and (table.latency_ms <= table.latency_ms_high).all()
    assert (table.repeats >= 1).all() and (table.threads == torch.get_num_threads()).all()
    assert table.processor.notna().all() and (table.torch == torch.__version__).all()
    json.dumps(table.to_dict("records"))  # plain values only


def test_a_network_that_fits_each_image_is_measured_for_one_step():
    assert table9.form("zid") == "one_step" and table9.network("zid").steps == 1


def test_all_means_every_network_that_runs_on_an_image_alone(monkeypatch):
    printed = set(measured.published("table9").key) - {table9.GRAPH}
    assert printed | {"zid", "drn_s", "gunet_t"} <= set(table9.ALL)
    assert not {"zid_oracle", "hazy", "bicubic"} & set(table9.ALL)
    monkeypatch.setattr(table9, "ALL", ["aod_net", "student"])
    monkeypatch.setattr(memory, "in_fresh_processes", lambda function, calls: [0.0 for _ in calls])
    rows = table9.measure(["all"], (32, 32), seconds=0)
    assert list(dict.fromkeys(rows.name)) == ["full_framework", "aod_net", "student"]


def test_an_unknown_network_is_named_before_anything_runs():
    with pytest.raises(ValueError, match="No network 'aodnet' to measure.*aod_net"):
        table9.measure(["aodnet"])


def rows(names, processor, latency):
    return pd.DataFrame([{"name": name, "form": "deployed", "latency_ms": latency, "height": 460,
                          "width": 620, "device": "cpu", "processor": processor, "threads": 2} for name in names])


def test_new_rows_replace_this_machine_s_and_leave_the_others_alone(tmp_path):
    file = tmp_path / "new" / "compute.csv"
    table9.keep(rows(["student", "aod_net"], "fast", 1.0), file)
    table9.keep(rows(["student", "aod_net"], "slow", 9.0), file)
    returned = table9.keep(rows(["student", "dehazenet"], "slow", 8.0), file)
    kept = pd.read_csv(file)
    assert len(returned) == len(kept) == 5
    found = kept.set_index(["name", "processor"]).latency_ms.to_dict()
    assert found == {("student", "fast"): 1, ("aod_net", "fast"): 1, ("aod_net", "slow"): 9,
                     ("student", "slow"): 8, ("dehazenet", "slow"): 8}


@pytest.mark.parametrize("changed", [{"height": 230}, {"form": "training_graph"}, {"device": "GPU"}])
def test_another_size_form_or_device_is_another_row(tmp_path, changed):
    table9.keep(rows(["student"], "fast", 1.0), tmp_path / "compute.csv")
    kept = table9.keep(rows(["student"], "fast", 2.0).assign(**changed), tmp_path / "compute.csv")
    assert sorted(kept.latency_ms) == [1, 2]


# --------------------------------------------------------------------------------------------------------- roofline


def test_layers_add_up_to_the_student_s_multiply_adds():
    table = roofline.layers(size=(16, 24), repeats=1)
    convolutions = table[table.name.str.startswith("conv")]
    assert set(table.columns) == {"name", "device", "repeat", "gflop", "mb", "ms", "kind"}
    expected = compute.true_gflops(networks.build("student"), torch.rand(1, 3, 16, 24))
    assert convolutions.gflop.sum() == pytest.approx(expected, rel=1e-9)
    assert {"conv 3x3, 16 to 16", "conv of one pixel", "add", "mul", "relu", "mean"} <= set(table.name)
    one = table.set_index("name").loc["conv 3x3, 3 to 16"]
    assert one.mb == pytest.approx(4e-6 * (3 * 16 * 24 + 16 * 16 * 24 + 16 * 3 * 9 + 16))  # input, output, weight, bias
    assert (table.ms > 0).all()


def test_the_backward_pass_of_a_convolution_counts_both_of_its_products():
    image, layer = torch.rand(2, 3, 9, 8, requires_grad=True), torch.nn.Conv2d(3, 4, 3, padding=1)
    table = roofline.operations(lambda: layer(image).sum().backward(), repeats=2).set_index("name")
    forward, backward = (table.loc[f"{name}conv 3x3, 3 to 4"] for name in ("", "backward of "))
    assert forward.repeat.tolist() == [0, 1]
    assert forward.gflop.tolist() == [pytest.approx(2e-9 * 2 * 72 * 27 * 4)] * 2
    assert backward.gflop.tolist() == [pytest.approx(2 * forward.gflop.iloc[0])] * 2


def test_probes_state_their_work_and_are_kept_with_the_layers(monkeypatch, results):
    for name, value in {"MATRIX": {"cpu": 8, "cuda": 8}, "CHANNELS": 2, "ARRAY": {"cpu": 16, "cuda": 16}}.items():
        monkeypatch.setattr(roofline, name, value)
    table = roofline.run((16, 24))
    assert len(pd.read_csv(results / "roofline.csv")) == len(table)
    probes = table[(table.kind == "probe") & (table.device == "cpu")].drop_duplicates("name").set_index("name")
    assert probes.gflop["matrix product"] == pytest.approx(2e-9 * 8**3)
    assert probes.mb["memory"] == pytest.approx(12e-6 * 16)
    assert set(table.kind) == {"layer", "probe"}


def test_table9_measures_only_what_this_machine_lacks(tmp_path, monkeypatch):
    asked = []

    def measure(names):
        asked.append(names)
        facts = {"form": "deployed", "height": 460, "width": 620, "latency_ms": float(len(asked)),
                 **table9._machine("cpu")}
        return pd.DataFrame([{"name": name} | facts for name in [table9.GRAPH, *names]])

    monkeypatch.setattr(table9, "measure", measure)
    file = tmp_path / "compute.csv"
    table9.obtain(["aod_net"], file)
    assert table9.obtain(["aod_net"], file).latency_ms.tolist() == [1.0, 1.0] and asked == [["aod_net"]]
    rows = table9.obtain(["aod_net", "student"], file)
    assert asked[1:] == [["student"]] and set(rows.name) == {table9.GRAPH, "aod_net", "student"}
    other = pd.read_csv(file).assign(processor="another")
    other.to_csv(file, index=False)
    table9.obtain(["aod_net"], file)
    assert asked[2:] == [["aod_net"]]
    assert set(pd.read_csv(file).processor) == {"another", table9._machine("cpu")["processor"]}
