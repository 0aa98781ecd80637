"""The affinity loss against its literal form: what is compared, at which sizes, with which rows."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from dehazelib import cli
from dehazelib.bench import affinity
from dehazelib.distillation.affinity import affinity_distance_reference
from dehazelib.profiling import memory

linux = pytest.mark.skipif(not memory.RESET.exists(), reason="this system does not tell")


def timed(**ms):
    return pd.DataFrame([{"method": m, "repeat": i, "ms": float(t)} for m, ts in ms.items() for i, t in enumerate(ts)])


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
    def fails():
        raise RuntimeError("no kernel here\nand more")

    monkeypatch.setattr(affinity, "step", lambda *args, **options: fails)
    affinity.fused_runs.cache_clear()
    assert not affinity.fused_runs("cuda:7")
    assert "fused l1 is left out: no kernel here\n" in capsys.readouterr().err


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


def test_the_affinity_benchmark_keeps_its_rows_and_ends_without_pooling(tmp_path, monkeypatch):
    monkeypatch.setattr(affinity, "accuracy", partial(affinity.accuracy, pixels=16, seeds=1))
    table = affinity.run(tmp_path, pixels=64, full=128, seconds=0)
    table = table[table.device == "cpu"]
    assert list(zip(table.distance, table.channels, table.pixels)) == [
        *((distance, channels, 64) for distance, channels in affinity.CASES), ("l2_norm", 3, 128)]
    assert table.ratio[:-1].notna().all() and table.nxn_ms[-1:].isna().all()
    for name in ("affinity", "affinity_memory", "affinity_accuracy"):
        assert pd.read_csv(tmp_path / f"{name}.csv").commit.notna().all()


@pytest.mark.parametrize("options, folder", [([], "local"), (["--keep"], "benchmarks")])
def test_the_command_prints_the_table_and_where_the_rows_are(options, folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    measured = pd.DataFrame({"distance": ["l1"], "ratio": [81.83893], "ms": [np.nan]})
    asked = []
    monkeypatch.setattr(affinity, "run", lambda folder: asked.append(folder) or measured)
    assert cli.main(["bench", "affinity", *options]) == 0
    out = capsys.readouterr().out
    assert "81.84" in out and "nan" not in out.lower()
    assert out.endswith(f"rows: {tmp_path / folder / 'affinity.csv'}\n") and asked == [tmp_path / folder]
