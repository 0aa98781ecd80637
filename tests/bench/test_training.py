"""The training benchmark compares like with like: the same objective on the same images, whatever the way."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dehazelib.bench import training as bench
from dehazelib.distillation.framework import Framework
from dehazelib.profiling import memory
from dehazelib.profiling.allocator import can_keep

SIZE = (32, 40)


@pytest.fixture
def released():
    torch.manual_seed(0)
    return bench.ReleasedStep(SIZE, torch.device("cpu"))


def test_the_released_step_minimises_what_the_framework_does(released):
    hazy, clear = released.load()
    assert hazy.shape == clear.shape == (2, 3, *SIZE)
    ours = Framework(released.student, released.teacher, features="outputs", distance="l2_norm", weight=0.25)
    torch.testing.assert_close(ours(0, hazy, clear), released.loss(hazy, clear)[0])


def test_the_released_step_loads_its_images_from_files_in_turn_and_learns(released):
    assert len(released.files) == bench.SCENES
    before = [p.detach().clone() for p in released.student.parameters()]
    released()
    assert released.taken == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, released.student.parameters()))


def test_written_images_are_those_of_the_scenes(tmp_path):
    train = bench.scenes(SIZE).train
    bench.write_images(train, tmp_path)
    hazy, clear = train.apply(train.sample_parameters(3, np.random.default_rng(3)))
    torch.testing.assert_close(bench._read(tmp_path / "3_hazy.png"), hazy)
    torch.testing.assert_close(bench._read(tmp_path / "3_clear.png"), clear)


def test_every_way_of_ours_takes_a_step():
    for step in bench.ours(bench.specification(), bench.scenes(SIZE), torch.device("cpu")).values():
        step()
        step()


def test_too_little_memory_for_the_literal_form_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setattr(memory, "available_mb", lambda device: 4000.0)
    with pytest.raises(MemoryError, match="need about .* GB, most for its N x N matrices, and 4 GB are free"):
        bench.run()


@pytest.mark.slow
def test_the_released_step_runs_in_a_process_of_its_own_and_all_rows_are_written(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    table = bench.run(tmp_path, SIZE, repeats=1).set_index("method")
    ways = {bench.REFERENCE, bench.OURS, "student alone, channels last"}
    if can_keep():
        ways.add(bench.GIVEN_BACK)
    assert ways <= set(table.index) and table.ratio[bench.REFERENCE] == 1
    assert set(pd.read_csv(tmp_path / "training.csv").method) == set(table.index)
    operations = pd.read_csv(tmp_path / "training_operations.csv")
    assert set(operations.kind) == {"training"} and not operations.processor.isna().any()
    conv = operations[operations.repeat == 0].set_index("name").gflop.filter(like="conv 3x3, 16 to 16")
    assert conv["backward of conv 3x3, 16 to 16"] == pytest.approx(2 * conv["conv 3x3, 16 to 16"])


def test_the_profile_of_a_gpu_counts_its_kernels_alone(monkeypatch):
    gpu, cpu = torch.autograd.DeviceType.CUDA, torch.autograd.DeviceType.CPU
    events = [("conv", gpu, False, 6000.0), ("add", gpu, False, 2000.0), ("Optimizer.step", gpu, True, 5000.0),
              ("aten::conv", cpu, False, 6000.0)]  # name, device, annotation, microseconds
    recorded = SimpleNamespace(key_averages=lambda: [
        SimpleNamespace(key=key, device_type=device, is_user_annotation=note, self_device_time_total=us)
        for key, device, note, us in events])
    taken = []
    monkeypatch.setattr(torch.profiler, "profile", lambda activities: contextlib.nullcontext(recorded))
    monkeypatch.setattr(bench.timing, "milliseconds", lambda run, device: run() or 10.0)
    told = bench.profile(lambda: taken.append(1), steps=4).splitlines()
    assert told == ["a step of 2.5 ms under the profiler, GPU busy 80 % of the time:",
                    "   75.0 %  conv", "   25.0 %  add"]
    assert len(taken) == 4
