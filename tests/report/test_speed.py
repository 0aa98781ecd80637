"""The numbers on speed are those of the benchmarks' rows, machine by machine."""

import math

import pandas as pd
import pytest

from dehazelib.provenance import Machine
from dehazelib.report import speed, text

HERE = {"processor": "EPYC", "threads": 2, "gpu": "", "device": "cpu", "commit": "0123456789ab"}
THERE = {"processor": "Xeon", "threads": 8, "gpu": "H100", "device": "cuda", "commit": "ba9876543210"}
EPYC, H100 = Machine("EPYC", 2), Machine("Xeon", 8, "H100")


def write(folder, name, rows):
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)


def timed(machine, method, *ms, **more):
    return [machine | more | {"method": method, "repeat": i, "ms": value} for i, value in enumerate(ms)]


def affinity(machine, literal=(1000.0, 1200.0), pixels=17825):
    case = {"distance": "l1", "pixels": pixels, "channels": 3}
    return timed(machine, "tiles", 100.0, 100.0, **case) + timed(machine, "N x N", *literal, **case)


def needed(machine, tiles, literal):
    return [machine | {"distance": "l1", "pixels": 17825, "channels": 3, "method": method, "extra_mb": mb}
            for method, mb in (("tiles", tiles), ("N x N", literal))]


def test_without_rows_nothing_is_said(tmp_path):
    assert not any(speed.speedups(tmp_path).values())
    assert "**" not in text.speed_page(tmp_path)


def test_affinity_is_compared_with_its_literal_form_within_each_repeat(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    write(tmp_path, "affinity_memory", needed(HERE, 20.0, 9000.0))
    assert speed.speedups(tmp_path)["affinity"] == {
        ("l1", "N x N"): {EPYC: speed.Speedup(11.0, 10.5, 11.5, 2, 20.0, 9000.0, "MB")}}


def test_a_literal_form_that_did_not_fit_is_left_out(tmp_path):
    write(tmp_path, "affinity", affinity(HERE, literal=()) + affinity(HERE, pixels=1024))
    assert not speed.speedups(tmp_path)["affinity"]


def test_a_machine_with_a_gpu_is_shown_by_its_gpu_rows_and_its_own_memory(tmp_path):
    on_cpu = THERE | {"device": "cpu"}
    write(tmp_path, "affinity", affinity(THERE, (5000.0, 5000.0)) + affinity(on_cpu) + affinity(HERE))
    write(tmp_path, "affinity_memory", needed(HERE, 1.0, 2.0) + needed(on_cpu, 3.0, 4.0) + needed(THERE, 5.0, 6.0))
    ((_, found),) = speed.speedups(tmp_path)["affinity"].items()
    assert (found[EPYC].median, found[EPYC].ours, found[EPYC].theirs) == (11, 1, 2)
    assert (found[H100].median, found[H100].ours, found[H100].theirs) == (50, 5, 6)
    assert speed.commits(tmp_path) == {EPYC: ["0123456789ab"], H100: ["ba9876543210"]}


def test_training_is_compared_with_the_released_step_in_hours_of_the_published_recipe(tmp_path):
    machine = {key: value for key, value in HERE.items() if key != "device"} | {"batch": 2}
    write(tmp_path, "training", timed(machine, "as released", 10000.0) + timed(machine, "exact affinity", 2500.0)
          + timed(machine, "student alone", 500.0))
    ((key, found),) = speed.speedups(tmp_path)["training"].items()
    assert key == ("exact affinity", "as released")
    assert (found[EPYC].median, found[EPYC].repeats) == (4, 1)
    assert (round(found[EPYC].ours), round(found[EPYC].theirs)) == (972, 3886)


def test_runtimes_are_compared_at_the_size_of_reside_with_what_they_cost(tmp_path):
    size = {"height": 460, "width": 620}
    times = {"eager": 400.0, "strips": 500.0, "ONNX Runtime": 300.0, "ONNX Runtime, int8": 600.0}
    rows = [row for name, ms in times.items() for row in timed(HERE, name, ms, ms, **size)]
    write(tmp_path, "inference", rows + timed(HERE, "eager", 9.0, height=9, width=9))
    change = {"method": "ONNX Runtime, int8", "psnr_change_db": -0.25}
    write(tmp_path, "inference_accuracy", [HERE | change | {"image": image} for image in "ab"])
    found = {method: (reference, cells[EPYC].median, cells[EPYC].ours, cells[EPYC].theirs, cells[EPYC].change)
             for (method, reference), cells in speed.speedups(tmp_path)["inference"].items()}
    assert found.keys() == {"strips", "ONNX Runtime", "ONNX Runtime, int8"}
    assert found["ONNX Runtime, int8"] == ("ONNX Runtime", 0.5, 600, 300, -0.25)
    assert found["strips"][:4] == ("eager", 0.8, 500, 400) and math.isnan(found["strips"][4])


def test_what_bounds_a_training_step_follows_from_its_operations_and_the_probed_peaks(tmp_path):
    def work(kind, repeat, **operations):  # name -> gflop, mb, ms
        return [HERE | dict(zip(("gflop", "mb", "ms"), one), kind=kind, repeat=repeat, name=name)
                for name, one in operations.items()]

    assert not speed.bounds(tmp_path)
    probes = [row for i, ms in enumerate((20, 10))
              for row in work("probe", i, product=(2, 1, ms), memory=(0.1, 300, ms))]
    write(tmp_path, "roofline", probes + work("layer", 0, conv=(9, 9, 9)))
    write(tmp_path, "training_operations", [row for i, ms in enumerate((60, 50, 70)) for row in work(
        "training", i, conv=(9, 90, ms), add=(0.1, 100, 5), mul=(0.3, 300, 15))])
    # peaks of 30 GB/s and 200 GFLOP/s, balanced at 6.7 FLOP per byte
    assert speed.bounds(tmp_path) == {EPYC: pytest.approx(
        {"share": 0.75, "peak": 200, "bandwidth": 30, "attained": 150, "moved": 20})}
    write(tmp_path, "roofline", [row | {"processor": "another"} for row in probes])
    assert not speed.bounds(tmp_path)


def test_the_block_has_a_column_per_machine_and_leaves_empty_what_one_has_not_timed(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    write(tmp_path, "photo", [THERE | {"height": 4000, "width": 6000, "peak_mb": 3500.2, "seconds": 71.6}])
    shown = text.speed_page(tmp_path)
    (line,) = [line for line in shown.splitlines() if line.startswith("| affinity loss, L1 |")]
    assert [bool(cell.strip()) for cell in line.split("|")[1:-1]] == [True, True, True, False]
    assert "24 megapixels" in shown and "72 seconds" in shown and "3,500 MB on H100" in shown
