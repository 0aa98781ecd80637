"""Ways of running the student, timed side by side."""

import numpy as np
import pandas as pd
import pytest
import torch

from dehazelib import networks
from dehazelib.bench import inference as bench
from dehazelib.bench import photo
from dehazelib.data.pairs import Frames, Pair, Pairs
from dehazelib.deploy import inference
from dehazelib.deploy.photos import dehaze
from dehazelib.profiling.allocator import can_keep


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return networks.build("student").eval()


def identity(x):
    return x


def test_a_benchmark_leaves_larger_images_to_the_reference_the_default_and_the_quickest(monkeypatch):
    ms = {"eager": 900.0, "quick": 100.0, "middle": 300.0, bench.STRIPS: 400.0, bench.KEPT: 700.0}

    def compare(calls, *_, **__):
        return pd.DataFrame([{"method": name, "repeat": 0, "ms": ms[name]} for name in calls])

    monkeypatch.setattr(bench.timing, "compare", compare)
    sizes = [(8, 8), (16, 16), (24, 24)]
    methods = dict.fromkeys(ms, identity)
    rows = bench.times(methods, sizes, "cpu", repeats=1, seconds=2.0)
    large = ["quick", bench.STRIPS, bench.KEPT]
    assert rows.groupby("height").method.agg(list).to_dict() == {8: list(ms), 16: large, 24: large}
    del methods[bench.KEPT]  # without it eager is what there is to compare with
    rows = bench.times(methods, sizes, "cpu", repeats=1, seconds=2.0)
    assert rows[rows.height == 24].method.tolist() == ["eager", "quick", bench.STRIPS]


def test_compiled_runtimes_are_warm_when_they_are_timed(monkeypatch):
    calls, said = [], []
    monkeypatch.setattr(bench.timing, "compare", lambda methods, *_, warm: said.append(warm) or pd.DataFrame(
        [{"method": name, "repeat": 0, "ms": 1.0} for name in methods]))
    methods = {"eager": calls.append, "torch.compile": calls.append}
    bench.times(methods, [(8, 8)], "cpu", repeats=1, seconds=1.0)
    assert said == [["torch.compile"]] and len(calls) == 1


def test_a_runtime_that_fails_is_left_out_with_a_line(monkeypatch, capsys):
    def fails(image):
        raise RuntimeError("no compiler\nand more")

    methods = {"eager": identity, "torch.compile": fails, "torch.compile, bf16": identity}
    rows = bench.times(methods, [(8, 8), (16, 16)], "cpu", repeats=1, seconds=1.0)
    assert set(rows.method) == {"eager", "torch.compile, bf16"}
    assert set(capsys.readouterr().err.splitlines()) == {"torch.compile is left out: no compiler"}


def test_a_photograph_s_memory_and_time_are_measured_in_a_process_of_its_own(tmp_path):
    table = photo.run(tmp_path, (50, 60))
    assert table.peak_mb.between(50, 5000).all() and (table.seconds > 0).all()
    assert pd.read_csv(tmp_path / "photo.csv").height.tolist() == [50]


def test_ratios_are_to_eager_or_else_to_eager_with_freed_memory_kept():
    rows = pd.DataFrame([{"device": "cpu", "height": 8, "width": 8, "method": name, "repeat": 0, "ms": ms}
                         for name, ms in (("eager", 900.0), (bench.KEPT, 300.0), ("quick", 100.0))])
    both, kept = bench._against_eager(rows), bench._against_eager(rows[1:])
    assert both.ratio.tolist() == [1, 3, 9] and set(both.against) == {"eager"}
    assert kept.ratio.tolist() == [1, 3] and set(kept.against) == {bench.KEPT}


def test_a_runtime_s_accuracy_is_its_change_on_the_same_image():
    clear = np.full((1, 8, 8, 3), 100, np.uint8)
    pairs = Pairs.of_frames("test", [Pair("0", 0, airlight=1.0, beta=1.0)],
                            Frames(clear, np.full((1, 8, 8), 65535, np.uint16), {0: 0}))
    truth = torch.full((1, 3, 8, 8), 100 / 255)
    methods = {bench.REFERENCE: lambda image: truth + 0.1, "worse": lambda image: truth + 0.2}
    table = bench.accuracy(methods, pairs, "cpu").set_index("method")
    assert table.psnr_rgb.tolist() == pytest.approx([20.0, 20 - 20 * np.log10(2)], abs=1e-4)
    assert table.psnr_change_db.tolist() == pytest.approx([0, -20 * np.log10(2)], abs=1e-4)
    assert table.within_1_255.tolist() == [1, 0]


@pytest.mark.slow
def test_a_benchmark_times_runtimes_that_all_dehaze(student, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "SHIPPED", tmp_path / "absent.safetensors")
    monkeypatch.setattr(bench, "runtimes", lambda network, device, folder: {
        bench.REFERENCE: network.to(device), "strips": lambda image: dehaze(image, network)})
    table = bench.run(tmp_path, sizes=[(8, 9), (16, 18)], repeats=1)
    methods = {bench.REFERENCE, "strips"} | ({bench.KEPT} if can_keep() else set())
    assert table[table.device == "cpu"].height.tolist()[: len(methods) + 1] == [8] * len(methods) + [16]
    kept = pd.read_csv(tmp_path / "inference.csv")
    assert set(kept.method) == methods and (kept.ms > 0).all()
