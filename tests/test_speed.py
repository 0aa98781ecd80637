"""The tables on speed say what the benchmarks' rows say, machine by machine."""

import pandas as pd
import pytest

from dehazelib import speed

HERE = {"processor": "EPYC", "threads": 2, "gpu": "", "device": "cpu"}
THERE = {"processor": "Xeon", "threads": 8, "gpu": "H100", "device": "cuda"}


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
    """The rows of the section's tables, each as its cells, without the headers."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in speed.section(folder).splitlines() if line.startswith("| ")]
    return [row for row in rows if row != speed.HEADER and set(row) != {"---"}]


def test_affinity_is_compared_with_its_literal_form_within_each_repeat(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    memory = {"distance": "l1", "pixels": 17825, "channels": 3}
    write(tmp_path, "affinity_memory", [HERE | memory | {"method": "tiles", "extra_mb": 20.0},
                                        HERE | memory | {"method": "N x N", "extra_mb": 9000.0}])
    assert lines(tmp_path) == [["affinity loss L1, forward and backward, 460x620", "its N x N form", "11 (10 to 12)",
                                "20 MB instead of 9,000"]]
    assert "\nOn EPYC, 2 threads; in brackets the quartiles" in speed.section(tmp_path)


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
    here, there = speed.section(tmp_path).split("\nOn ")[1:]
    assert here.startswith("EPYC, 2 threads;") and "| 1 MB instead of 2 |" in here
    assert there.startswith("H100;") and "| 50 (50 to 50) | 5 MB instead of 6 |" in there


def test_the_names_of_ways_are_those_of_the_benchmark():
    from dehazelib.bench import inference, training

    assert (speed.RELEASED, speed.GIVEN_BACK) == (training.REFERENCE, training.GIVEN_BACK)
    assert (speed.EAGER, speed.KEPT, speed.STRIPS) == (inference.REFERENCE, inference.KEPT, inference.STRIPS)


def test_training_is_told_in_float32_and_in_the_quickest_way(tmp_path):
    machine = {k: v for k, v in HERE.items() if k != "device"} | {"batch": 2}
    write(tmp_path, "training", timed(machine, "as released", 10000.0) + timed(machine, "exact affinity", 2500.0)
          + timed(machine, "exact affinity, bf16", 1000.0) + timed(machine, "student alone", 500.0)
          + timed(machine, "exact affinity, freed memory given back", 5000.0))
    what, ratio, hours = ([line[i] for line in lines(tmp_path)] for i in (0, 2, 3))
    assert [name.removeprefix("training step, whole images: exact affinity") for name in what] == [
        ", freed memory given back", "", ", bf16"]
    assert {line[1] for line in lines(tmp_path)} == {speed.AGAINST} and "freed memory back" in speed.AGAINST
    assert ratio == ["2.0 (timed once)", "4.0 (timed once)", "10 (timed once)"]
    assert hours == [f"the paper's recipe: {ours} hours instead of 3,886" for ours in ("1,943", "972", "389")]


@pytest.mark.parametrize("loss, best, over_eager, over_kept, change", [
    (-0.01, "100 ms, int8", "4.0 (4.0 to 4.0)", "3.0 (3.0 to 3.0)", "-0.010 dB on 2 images"),
    (-0.06, "200 ms, compiled", "2.0 (2.0 to 2.0)", "1.5 (1.5 to 1.5)", "+0.000 dB on 2 images")])
def test_the_quickest_runtime_may_lose_little(tmp_path, loss, best, over_eager, over_kept, change):
    size = {"height": 460, "width": 620}
    times = (("eager", 400.0), (speed.KEPT, 300.0), ("compiled", 200.0), ("int8", 100.0), (speed.STRIPS, 350.0))
    rows = [timed(HERE, name, ms, ms, **size) for name, ms in times]
    write(tmp_path, "inference", sum(rows, timed(HERE, "eager", 9.0, height=9, width=9)))
    write(tmp_path, "inference_accuracy", [HERE | {"method": name, "image": image, "psnr_change_db": change}
                                           for image in ("a", "b")
                                           for name, change in (("eager", 0.0), ("compiled", 0.0), ("int8", loss))]
          + [THERE | {"method": "int8", "image": "c", "psnr_change_db": -9.0}])
    image = f"one 460x620 image: {best}"
    assert lines(tmp_path) == [[image, "400 ms, eager", over_eager, change],
                               [image, f"300 ms, {speed.KEPT}", over_kept, ""],
                               ["one 460x620 image: 350 ms, strips", f"300 ms, {speed.KEPT}", "0.9 (0.9 to 0.9)",
                                "`dehazelib dehaze` on a CPU, for its memory"]]


def test_a_photograph_takes_memory_and_time(tmp_path):
    write(tmp_path, "photo", [HERE | {"height": 4000, "width": 6000, "peak_mb": 3500.2, "seconds": 71.6}])
    assert lines(tmp_path) == [["a photograph of 24 megapixels, in strips on the CPU", "", "",
                                "72 seconds, a process of 3,500 MB"]]
