"""What a network costs: both conventions of FLOPs by hand, file size, memory, and the rows that are kept."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dehazelib import compute, networks

HEIGHT, WIDTH = 10, 12
PIXELS = HEIGHT * WIDTH


def image(device="meta"):
    return torch.rand(1, 3, HEIGHT, WIDTH, device=device)


def operations(run, device="meta"):
    """Returns both counts as whole operations."""
    given = image(device)
    return tuple(round(count(run, given) * 1e9) for count in (compute.profiler_gflops, compute.true_gflops))


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("options, multiply_adds", [
    ({"out_channels": 8, "kernel_size": 3, "padding": 1}, PIXELS * 8 * 3 * 9),
    ({"out_channels": 8, "kernel_size": 1, "bias": False}, PIXELS * 8 * 3),
    ({"out_channels": 6, "kernel_size": 5, "padding": 2, "groups": 3}, PIXELS * 6 * 25),
    ({"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}, PIXELS // 4 * 4 * 3 * 9),
])
def test_a_convolution_counts_two_per_multiply_add_in_both_conventions(device, options, multiply_adds):
    layer = nn.Conv2d(3, **options, device=device)
    assert operations(layer, device) == (2 * multiply_adds, 2 * multiply_adds)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_transposed_convolution_is_free_to_the_profiler_only(device):
    layer = nn.ConvTranspose2d(3, 5, 9, stride=2, padding=4, output_padding=1, device=device)
    assert operations(layer, device) == (0, 2 * PIXELS * 3 * 5 * 81)


@pytest.mark.parametrize("run, profiled", [
    (lambda x: x + x, 3 * PIXELS),
    (lambda x: x * 2, 3 * PIXELS),
    (lambda x: x - x, 0),
    (lambda x: torch.relu(x).sigmoid() / 2, 0),
    (lambda x: nn.functional.avg_pool2d(x, 2), 0),
])
def test_the_profiler_counts_additions_and_multiplications_of_elements(run, profiled):
    assert operations(run) == (profiled, 0)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("layer", [
    nn.BatchNorm2d(3).eval(), nn.LeakyReLU(), nn.PReLU(), nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.Upsample(scale_factor=2, mode="bicubic")])
def test_what_a_kernel_is_made_of_does_not_count_on_any_device(device, layer):
    assert operations(layer.to_empty(device=device), device) == (0, 0)


def test_a_matrix_product_counts_two_per_multiply_add():
    expected = 2 * PIXELS**2 * 3
    assert operations(lambda x: x.flatten(2).mT @ x.flatten(2)) == (expected, expected)


def test_the_training_graph_is_student_teacher_and_two_affinity_matrices():
    whole = compute.training_graph_counts()
    student = compute.counts("student")
    with torch.device("meta"):
        teacher = networks.build("dsc_mc_fsrcnn")
        gflops = compute.profiler_gflops(teacher, torch.rand(1, 3, 460, 620))
    products = 2 * (2 * 3 * (115 * 155) ** 2) / 1e9
    assert whole["parameters"] == student["parameters"] + networks.count("dsc_mc_fsrcnn") == 122_458
    parts = student["gflops_profiler"], gflops, products
    assert [round(part, 3) for part in parts] == [53.69, 6.537, 3.813]
    assert whole["gflops_profiler"] == pytest.approx(sum(parts), rel=1e-9)
    assert round(sum(parts), 5) == 64.03988


def test_the_size_is_that_of_the_weight_file_in_mebibytes(tmp_path):
    student = networks.build("student")
    save_file(student.state_dict(), tmp_path / "weights.safetensors")
    assert compute.size_mb(student) == (tmp_path / "weights.safetensors").stat().st_size / 2**20
    assert 96_007 * 4 / 2**20 < compute.size_mb(student) < 1.1 * 96_007 * 4 / 2**20  # the rest are names


@pytest.fixture
def seconds(monkeypatch):
    """A clock that stands still; each call of `seconds.pass_(n)` moves it."""

    class Clock:
        now = 0.0

        def pass_(self, n):
            self.now += n

    clock = Clock()
    monkeypatch.setattr(compute.time, "perf_counter", lambda: clock.now)
    return clock


def test_latency_is_median_minimum_and_maximum_without_the_first_run(seconds):
    durations = iter([0.5, 0.004, 0.001, 0.003])
    measured = compute.latency(lambda _: seconds.pass_(next(durations)), image("cpu"), repeats=3)
    assert measured == pytest.approx((3, 1, 4)) and next(durations, None) is None


def test_latency_stops_when_its_time_is_spent_but_measures_once(seconds):
    calls = []

    def run(_):
        calls.append(0)
        seconds.pass_(4)

    assert compute.latency(run, image("cpu"), repeats=100) == (4000, 4000, 4000) and len(calls) == 3  # 10 s
    compute.latency(run, image("cpu"), repeats=100, seconds=1)
    assert len(calls) == 3 + 2


def test_latency_and_memory_run_without_gradients():
    seen = []
    run = lambda _: seen.append(torch.is_grad_enabled())  # noqa: E731
    compute.latency(run, image("cpu"), repeats=1), compute.peak_memory_mb(run, image("cpu"))
    assert seen == [False] * 3


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell")
def test_peak_memory_sees_what_a_run_takes_and_gives_back():
    def run(_):
        taken = torch.ones(100_000_000, dtype=torch.uint8)
        time.sleep(0.05)
        del taken

    assert compute.peak_memory_mb(run, image("cpu")) == pytest.approx(100, abs=15)


def test_a_row_has_the_counts_the_machine_and_the_size():
    network = networks.build("aod_net")
    row = compute.row("aod_net", "AOD-Net", "deployed", network, {"parameters": 1761}, "cpu", (32, 40))
    expected = {"name": "aod_net", "title": "AOD-Net", "form": "deployed", "parameters": 1761, "height": 32,
                "width": 40}
    assert row.items() >= expected.items()
    assert row["size_mb"] == compute.size_mb(network) and row["device"] == "cpu"
    assert 0 < row["latency_ms_low"] <= row["latency_ms"] <= row["latency_ms_high"]
    assert row["threads"] == torch.get_num_threads() and row["torch"] == torch.__version__
    json.dumps(row)  # plain values only


def rows(names, processor, latency):
    return pd.DataFrame([{"name": name, "form": "deployed", "latency_ms": latency, "height": 460,
                          "width": 620, "device": "cpu", "processor": processor} for name in names])


def test_new_rows_replace_this_machine_s_and_leave_the_others_alone(tmp_path):
    file = tmp_path / "new" / "compute.csv"
    compute.keep(rows(["student", "aod_net"], "fast", 1.0), file)
    compute.keep(rows(["student", "aod_net"], "slow", 9.0), file)
    returned = compute.keep(rows(["student", "dehazenet"], "slow", 8.0), file)
    kept = pd.read_csv(file)
    assert len(returned) == len(kept) == 5
    found = kept.set_index(["name", "processor"]).latency_ms.to_dict()
    assert found == {("student", "fast"): 1, ("aod_net", "fast"): 1, ("aod_net", "slow"): 9,
                     ("student", "slow"): 8, ("dehazenet", "slow"): 8}


@pytest.mark.parametrize("changed", [{"height": 230}, {"form": "training_graph"}, {"device": "GPU"}])
def test_another_size_form_or_device_is_another_row(tmp_path, changed):
    compute.keep(rows(["student"], "fast", 1.0), tmp_path / "compute.csv")
    kept = compute.keep(rows(["student"], "fast", 2.0).assign(**changed), tmp_path / "compute.csv")
    assert sorted(kept.latency_ms) == [1, 2]


def test_the_affinity_loss_is_measured_per_size_method_and_distance():
    table = compute.affinity_costs([16, 64], largest_matrix=16)
    assert list(table) == ["pixels", "method", "distance", "ms", "extra_mb"]
    small, large = (list(zip(part.method, part.distance)) for _, part in table.groupby("pixels"))
    assert large == [("C x C", "l2_norm"), ("tiled", "l1"), ("tiled", "kl")]
    assert small == large + [("N x N", "l2_norm")]
    assert (table.ms > 0).all()
