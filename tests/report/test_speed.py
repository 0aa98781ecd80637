"""The table on speed says what the benchmarks' rows say, machine by machine."""

import pandas as pd
import pytest

from dehazelib import paths
from dehazelib.report import speed

HERE = {"processor": "EPYC", "threads": 2, "gpu": "", "device": "cpu", "commit": "0123456789ab"}
THERE = {"processor": "Xeon", "threads": 8, "gpu": "H100", "device": "cuda", "commit": "0123456789ab"}


def write(folder, name, rows):
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)


def timed(machine, method, *ms, **more):
    return [machine | more | {"method": method, "repeat": i, "ms": value} for i, value in enumerate(ms)]


def affinity(machine, literal=(1000.0, 1200.0), pixels=17825):
    case = {"distance": "l1", "pixels": pixels, "channels": 3}
    tiles = timed(machine, "tiles", *(len(literal) * [100.0] or [100.0]), **case)
    return tiles + timed(machine, "N x N", *literal, **case)


def test_without_rows_nothing_is_said(tmp_path):
    assert speed.section(tmp_path) == "\n"


def lines(folder):
    """The rows of the section's table, each as its cells, the header first."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in speed.section(folder).splitlines() if line.startswith("| ")]
    return [row for row in rows if set(row) != {"---"}]


def test_affinity_is_compared_with_its_literal_form_within_each_repeat(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    memory = {"distance": "l1", "pixels": 17825, "channels": 3}
    write(tmp_path, "affinity_memory", [HERE | memory | {"method": "tiles", "extra_mb": 20.0},
                                        HERE | memory | {"method": "N x N", "extra_mb": 9000.0}])
    assert lines(tmp_path) == [[*speed.HEADER, "EPYC, 2 threads"],
                               ["affinity loss L1, forward and backward, 460x620", "explicit N x N matrices",
                                "11 (10 to 12); 20 MB instead of 9,000"]]


def test_a_literal_form_that_did_not_fit_is_no_sentence(tmp_path):
    write(tmp_path, "affinity", affinity(HERE, literal=()) + affinity(HERE, pixels=1024))
    assert speed.section(tmp_path) == "\n"


def test_a_machine_with_a_gpu_is_told_by_its_gpu_rows_and_its_own_memory(tmp_path):
    write(tmp_path, "affinity",
          affinity(THERE, (5000.0, 5000.0)) + affinity(THERE | {"device": "cpu"}) + affinity(HERE))
    memory = {"distance": "l1", "pixels": 17825, "channels": 3}
    needed = ((HERE, "tiles", 1.0), (HERE, "N x N", 2.0), (THERE | {"device": "cpu"}, "tiles", 3.0),
              (THERE, "tiles", 5.0), (THERE, "N x N", 6.0))
    write(tmp_path, "affinity_memory",
          [machine | memory | {"method": method, "extra_mb": mb} for machine, method, mb in needed])
    header, row = lines(tmp_path)
    assert header[2:] == ["EPYC, 2 threads", "H100"]
    assert row[2:] == ["11 (10 to 12); 1 MB instead of 2", "50 (50 to 50); 5 MB instead of 6"]


def test_what_one_machine_alone_has_timed_is_empty_for_the_other(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    write(tmp_path, "photo", [THERE | {"height": 4000, "width": 6000, "peak_mb": 3500.2, "seconds": 71.6}])
    assert [[bool(cell) for cell in row[2:]] for row in lines(tmp_path)[1:]] == [[True, False], [False, True]]


def test_columns_of_different_commits_say_so(tmp_path):
    write(tmp_path, "affinity", affinity(HERE) + affinity(THERE))
    assert "commit" not in speed.section(tmp_path)
    write(tmp_path, "affinity", affinity(HERE) + affinity(THERE | {"commit": "ba9876543210"}))
    assert "by commit: EPYC, 2 threads: 0123456789ab; H100: ba9876543210." in speed.section(tmp_path)


def test_what_bounds_a_training_step_is_told_by_its_operations_under_the_roof(tmp_path):
    def work(kind, repeat, **operations):  # name -> gflop, mb, ms
        return [HERE | dict(zip(("gflop", "mb", "ms"), one), kind=kind, repeat=repeat, name=name)
                for name, one in operations.items()]

    write(tmp_path, "affinity", affinity(HERE))
    assert "training step" not in speed.section(tmp_path)
    probes = [row for i, ms in enumerate((20, 10))
              for row in work("probe", i, product=(2, 1, ms), memory=(0.1, 300, ms))]
    write(tmp_path, "roofline", probes + work("layer", 0, conv=(9, 9, 9)))
    write(tmp_path, "training_operations", [row for i, ms in enumerate((60, 50, 70)) for row in work(
        "training", i, conv=(9, 90, ms), add=(0.1, 100, 5), mul=(0.3, 300, 15))])
    *table, blank, told, last = speed.section(tmp_path).splitlines()
    assert table[-1].startswith("| ") and (blank, last) == ("", "")
    # the roof: 30 GB/s and 200 GFLOP/s, even at 6.7 FLOP per byte
    assert "EPYC, 2 threads" in told and "75% of its time" in told
    assert "150 of the 200 GFLOP/s" in told and "20 of 30 GB/s" in told
    write(tmp_path, "roofline", [row | {"processor": "another"} for row in probes])
    assert "training step" not in speed.section(tmp_path)


def test_the_names_of_ways_are_those_of_the_benchmark():
    from dehazelib.bench import inference, training

    assert (speed.RELEASED, speed.GIVEN_BACK) == (training.REFERENCE, training.GIVEN_BACK)
    assert (speed.EAGER, speed.KEPT, speed.STRIPS) == (inference.REFERENCE, inference.KEPT, inference.STRIPS)
    assert {speed.ONNX, speed.INT8} <= set(pd.read_csv(paths.ROOT / "results" / "benchmarks" / "inference.csv").method)


def test_training_is_told_in_float32_and_in_the_quickest_way(tmp_path):
    machine = {k: v for k, v in HERE.items() if k != "device"} | {"batch": 2}
    write(tmp_path, "training", timed(machine, "as released", 10000.0) + timed(machine, "exact affinity", 2500.0)
          + timed(machine, "exact affinity, bf16", 1000.0) + timed(machine, "student alone", 500.0)
          + timed(machine, "exact affinity, freed memory given back", 5000.0))
    what, other, told = (list(column) for column in zip(*lines(tmp_path)[1:]))
    assert [name.removeprefix("training step, whole images: exact affinity") for name in what] == [
        ", freed memory given back", "", ", bf16"]
    assert set(other) == {speed.AGAINST} and "freed memory back" in speed.AGAINST
    assert told == [f"{ratio} (timed once); the paper's recipe in {ours} hours instead of 3,886"
                    for ratio, ours in (("2.0", "1,943"), ("4.0", "972"), ("10", "389"))]


@pytest.mark.parametrize("loss, best, over_eager, over_kept, change", [
    (-0.01, (100, "int8"), "4.0 (4.0 to 4.0)", "3.0 (3.0 to 3.0)", "-0.010 dB on 2 images"),
    (-0.06, (200, "compiled"), "2.0 (2.0 to 2.0)", "1.5 (1.5 to 1.5)", "+0.000 dB on 2 images")])
def test_the_quickest_runtime_may_lose_little(tmp_path, loss, best, over_eager, over_kept, change):
    size = {"height": 460, "width": 620}
    times = (("eager", 400.0), (speed.KEPT, 300.0), ("compiled", 200.0), ("int8", 100.0), (speed.STRIPS, 350.0))
    rows = [timed(HERE, name, ms, ms, **size) for name, ms in times]
    write(tmp_path, "inference", sum(rows, timed(HERE, "eager", 9.0, height=9, width=9)))
    write(tmp_path, "inference_accuracy", [HERE | {"method": name, "image": image, "psnr_change_db": change}
                                           for image in ("a", "b")
                                           for name, change in (("eager", 0.0), ("compiled", 0.0), ("int8", loss))]
          + [THERE | {"method": "int8", "image": "c", "psnr_change_db": -9.0}])
    quickest, (ms, method) = "one 460x620 image, the quickest way", best
    assert lines(tmp_path)[1:] == [
        [quickest, "eager", f"{over_eager}; {ms} ms instead of 400; {method}; {change}"],
        [quickest, speed.KEPT, f"{over_kept}; {ms} ms instead of 300"],
        ["one 460x620 image, in strips, as `dehazelib dehaze` does on a CPU to save memory", speed.KEPT,
         "0.9 (0.9 to 0.9); 350 ms instead of 300"]]


def test_eight_bits_are_told_against_the_same_runtime_with_what_they_cost(tmp_path):
    rows = [timed(HERE, name, ms, ms, height=460, width=620)
            for name, ms in (("eager", 400.0), (speed.ONNX, 300.0), (speed.INT8, 600.0))]
    write(tmp_path, "inference", sum(rows, []))
    changes = [HERE | {"method": speed.INT8, "image": image, "psnr_change_db": -0.25} for image in "ab"]
    write(tmp_path, "inference_accuracy", changes)
    assert lines(tmp_path)[-1] == ["one 460x620 image, in 8 bits (`export --int8`)", speed.ONNX,
                                   "0.5 (0.5 to 0.5); 600 ms instead of 300; -0.250 dB on 2 images"]


def test_a_photograph_takes_memory_and_time(tmp_path):
    write(tmp_path, "photo", [HERE | {"height": 4000, "width": 6000, "peak_mb": 3500.2, "seconds": 71.6}])
    assert lines(tmp_path)[1:] == [["a photograph of 24 megapixels, in strips on the CPU", "",
                                    "72 seconds, a process of 3,500 MB"]]
