"""The sentences on speed say what the benchmarks' rows say, machine by machine."""

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
    assert speed.sentences(tmp_path) == []


def test_affinity_is_compared_with_its_literal_form_within_each_repeat(tmp_path):
    write(tmp_path, "affinity", affinity(HERE))
    memory = {"distance": "l1", "pixels": 17825, "channels": 3}
    write(tmp_path, "affinity_memory", [HERE | memory | {"method": "tiles", "extra_mb": 20.0},
                                        HERE | memory | {"method": "N x N", "extra_mb": 9000.0}])
    (line,) = speed.sentences(tmp_path)
    assert line.endswith("L1 11 times (10 to 12) as fast with 20 MB instead of 9,000; brackets: quartiles of 2 timings "
                         "(EPYC, 2 threads).")


def test_a_literal_form_that_did_not_fit_is_no_sentence(tmp_path):
    write(tmp_path, "affinity", affinity(HERE, literal=()) + affinity(HERE, pixels=1024))
    assert speed.sentences(tmp_path) == []


def test_a_machine_with_a_gpu_is_told_by_its_gpu_rows_and_its_own_memory(tmp_path):
    write(tmp_path, "affinity",
          affinity(THERE, (5000.0, 5000.0)) + affinity(THERE | {"device": "cpu"}) + affinity(HERE))
    memory = {"distance": "l1", "pixels": 17825, "channels": 3}
    needed = ((HERE, "tiles", 1.0), (HERE, "N x N", 2.0), (THERE | {"device": "cpu"}, "tiles", 3.0),
              (THERE, "tiles", 5.0), (THERE, "N x N", 6.0))
    write(tmp_path, "affinity_memory",
          [machine | memory | {"method": method, "extra_mb": mb} for machine, method, mb in needed])
    here, there = speed.sentences(tmp_path)
    assert "with 1 MB instead of 2; " in here and here.endswith("(EPYC, 2 threads).")
    assert "50 times (50 to 50) as fast with 5 MB instead of 6; " in there and there.endswith("(H100).")


def test_the_names_of_ways_are_those_of_the_benchmark():
    from dehazelib.bench import inference, training

    assert (speed.RELEASED, speed.GIVEN_BACK) == (training.REFERENCE, training.GIVEN_BACK)
    assert (speed.EAGER, speed.KEPT, speed.STRIPS) == (inference.REFERENCE, inference.KEPT, inference.STRIPS)


def test_training_is_told_in_float32_and_in_the_quickest_way(tmp_path):
    machine = {k: v for k, v in HERE.items() if k != "device"} | {"batch": 2}
    write(tmp_path, "training", timed(machine, "as released", 10000.0) + timed(machine, "exact affinity", 2500.0)
          + timed(machine, "exact affinity, bf16", 1000.0) + timed(machine, "student alone", 500.0)
          + timed(machine, "exact affinity, freed memory given back", 5000.0))
    (line,) = speed.sentences(tmp_path)
    assert ("exact affinity, freed memory given back, 2.0 times (timed once), 1,943 hours; exact affinity, 4.0 times "
            "(timed once), 972 hours; exact affinity, bf16, 10 times (timed once), 389 hours; the released") in line
    assert "instead of its 3,886 hours" in line


@pytest.mark.parametrize("loss, expected", [
    (-0.01, "100 ms (int8), eager float32 400: 4.0 times (4.0 to 4.0) as fast, and 3.0 times (3.0 to 3.0) as "
            "eager with freed memory kept, 300 ms, with -0.010 dB on 2 images"),
    (-0.06, "200 ms (compiled), eager float32 400: 2.0 times (2.0 to 2.0) as fast, and 1.5 times (1.5 to 1.5) as "
            "eager with freed memory kept, 300 ms, with +0.000 dB on 2 images")])
def test_the_quickest_runtime_may_lose_little(tmp_path, loss, expected):
    size = {"height": 460, "width": 620}
    times = (("eager", 400.0), (speed.KEPT, 300.0), ("compiled", 200.0), ("int8", 100.0))
    rows = [timed(HERE, name, ms, ms, **size) for name, ms in times]
    write(tmp_path, "inference", sum(rows, timed(HERE, "eager", 9.0, height=9, width=9)))
    write(tmp_path, "inference_accuracy", [HERE | {"method": name, "image": image, "psnr_change_db": change}
                                           for image in ("a", "b")
                                           for name, change in (("eager", 0.0), ("compiled", 0.0), ("int8", loss))]
          + [THERE | {"method": "int8", "image": "c", "psnr_change_db": -9.0}])
    (line,) = speed.sentences(tmp_path)
    assert expected in line and line.endswith(" (EPYC, 2 threads).")


def test_a_photograph_takes_memory_and_time(tmp_path):
    write(tmp_path, "photo", [HERE | {"height": 4000, "width": 6000, "peak_mb": 3500.2, "seconds": 71.6}])
    assert speed.sentences(tmp_path) == ["**A photograph of 24 megapixels**, in strips on the CPU, takes a process of "
                                         "3,500 MB and 72 seconds (EPYC, 2 threads)."]
