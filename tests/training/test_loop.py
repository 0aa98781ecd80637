"""The training loop: resumption, repetition, several processes, learning."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.sources import Data
from dehazelib.data.stream import Shard
from dehazelib.distillation.objectives import Objective
from dehazelib.evaluation.scores import mean_psnr
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec
from dehazelib.profiling import memory
from dehazelib.training import checkpoint, progress, state
from dehazelib.training.checkpoint import CHECKPOINT, LOG, WEIGHTS
from dehazelib.training.launch import launch
from dehazelib.training.loop import train
from dehazelib.training.state import TrainingState
from dehazelib.training.stopping import stop_requested

TINY = Spec(network="tiny", steps=6, batch=2, crop=32, validations=2, validation_pairs=1, warmup=1)


class Tiny(nn.Module):
    """Everything that a resumption could forget: batch norm's statistics, dropout, and (below) two optimisers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
                                  nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, hazy):
        return hazy + self.body(hazy)


class Adversarial(Objective):
    def __init__(self, network):
        super().__init__(network)
        self.critic = nn.Conv2d(3, 1, 3)

    def groups(self):
        return [list(self.network.parameters()), list(self.critic.parameters())]

    def forward(self, group, inputs, target):
        output = self.network(inputs)
        if group == 0:
            return nn.functional.mse_loss(output, target) - 0.01 * self.critic(output).mean()
        return (self.critic(output.detach()) - self.critic(target)).mean()


@pytest.fixture(autouse=True)
def tiny_in_the_catalogue(monkeypatch):
    monkeypatch.setitem(networks.CATALOGUE, "tiny", networks.Entry("tiny", "", "dehazing", Tiny, objective=Adversarial))


def tiny_data(scenes: int = 5) -> Data:
    rng = np.random.default_rng(0)
    clear = rng.integers(0, 256, (scenes, 40, 48, 3), dtype=np.uint8)
    depth = rng.random((scenes, 40, 48), dtype=np.float32)

    def pairs(name, fixed):
        items = [Pair(f"{i}_1", i, airlight=fixed, beta=fixed) for i in range(scenes)]
        return Pairs(name, items, clear.__getitem__, depth.__getitem__)

    return Data("rooms", "rooms", "0" * 12, pairs("train", 0.0), pairs("validation", 1.0),
                {"rooms": pairs("rooms", 1.0)})


def weights_hash(folder) -> str:
    return sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def trained(spec, folder, **options):
    folder.mkdir()
    train(spec, tiny_data(), folder, **options)
    return folder


@pytest.mark.parametrize("spec", [TINY, TINY.replace(ema=0.9), TINY.replace(clip=0.1, schedule="step", decay_steps=2)])
def test_the_same_seed_repeats_and_another_differs(tmp_path, spec):
    one, two = trained(spec, tmp_path / "a"), trained(spec, tmp_path / "b")
    other = trained(spec.replace(seed=1), tmp_path / "c")
    assert weights_hash(one) == weights_hash(two) != weights_hash(other)


def state_of(spec, tuning=None):
    fabric = Fabric(accelerator="cpu", devices=1)
    return TrainingState(spec, fabric, None, None, tuning), fabric


def test_the_average_is_that_of_torch():
    state, fabric = state_of(TINY.replace(ema=0.9))
    theirs = AveragedModel(state.objective.module.network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        state.update(fabric, *torch.rand(2, 2, 3, 32, 32, generator=generator))
        theirs.update_parameters(state.objective.module.network)
    expected = {key.removeprefix("module."): value for key, value in theirs.state_dict().items() if key != "n_averaged"}
    assert all(torch.equal(value, expected[key]) for key, value in state.network.state_dict().items())
    assert not torch.equal(state.network.body[0].weight, state.objective.module.network.body[0].weight)


class Killed(Exception):
    pass


def interrupted(spec, folder, monkeypatch, after: int, teacher=None):
    """Trains until the checkpoint of step `after` is written, stops there as a kill would, then trains again."""
    folder.mkdir()
    save = checkpoint.save

    def save_and_die(one, where):
        save(one, where)
        if one.step >= after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        patch.setenv("DEHAZE_CHECKPOINT_SECONDS", "0")
        with pytest.raises(Killed):
            train(spec, tiny_data(), folder, teacher)
    assert (folder / CHECKPOINT).exists() and not (folder / WEIGHTS).exists()
    train(spec, tiny_data(), folder, teacher)
    return folder


@pytest.mark.parametrize("after", [1, 3, 4])
@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"loss": "objective"}])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, monkeypatch, after, changes):
    spec = TINY.replace(**changes)
    whole = trained(spec, tmp_path / "whole")
    resumed = interrupted(spec, tmp_path / "resumed", monkeypatch, after)
    assert weights_hash(whole) == weights_hash(resumed)
    logs = [pd.read_csv(folder / LOG).drop(columns="minutes") for folder in (whole, resumed)]
    pd.testing.assert_frame_equal(*logs)


def test_the_framework_resumes_with_its_adaptive_weight(tmp_path, monkeypatch):
    torch.manual_seed(0)
    teacher = networks.build("dsc_mc_fsrcnn")
    spec = TINY.replace(network="student", features="outputs", teacher="t", affinity_share=0.1)
    whole = trained(spec, tmp_path / "whole", teacher=teacher)
    resumed = interrupted(spec, tmp_path / "resumed", monkeypatch, 3, teacher)
    assert weights_hash(whole) == weights_hash(resumed)
    assert (pd.read_csv(whole / LOG).affinity_share > 0).all()


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(tmp_path):
    """kill -9 from outside, then the same command."""
    command = [sys.executable, "-m", "dehazelib", "train", "student", "--set", "student_steps=60", "validation_pairs=1",
               "test_pairs=1", "student_crop=32", "student_batch=2"]
    folders = {}
    for name in ("killed", "alone"):
        environment = os.environ | {"DEHAZE_RESULTS": str(tmp_path / name), "DEHAZE_CHECKPOINT_SECONDS": "0"}
        if name == "killed":
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            deadline = time.monotonic() + 120
            while not list((tmp_path / name).glob(f"smoke/runs/*/{CHECKPOINT}")) and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not list((tmp_path / name).glob(f"smoke/runs/*/{WEIGHTS}")), "it had finished before it was killed"
        subprocess.run(command, env=environment, check=True, capture_output=True)
        (folders[name],) = (tmp_path / name).glob("smoke/runs/student-*")
    assert weights_hash(folders["killed"]) == weights_hash(folders["alone"])


GUIDED = {"features": "outputs", "distance": "l2_norm", "teacher": "untrained:dsc_mc_fsrcnn"}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{**GUIDED, "affinity_weight": 50.0}, {**GUIDED, "affinity_share": 0.5}],
                         ids=["fixed weight", "adaptive weight"])
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path, changes):
    """Lightning Fabric with DDP on two CPU processes: each takes half of every batch; the norm is of the whole one."""
    spec = TINY.replace(network="student", batch=4, steps=4, **changes)
    for name, devices in (("one", 1), ("two", 2)):
        (tmp_path / name / spec.id).mkdir(parents=True)
        launch(tmp_path / name, spec, "rooms", Hardware(accelerator="cpu", devices=devices))
    one, two = (tmp_path / name / spec.id for name in ("one", "two"))
    logs = [pd.read_csv(folder / LOG).drop(columns="minutes") for folder in (one, two)]
    assert logs[0].affinity_share.min() > 0.2
    pd.testing.assert_frame_equal(*logs, rtol=1e-4)
    a, b = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert all(torch.allclose(a[k], b[k], atol=1e-4) for k in a)
    assert json.loads((two / "provenance.json").read_text())["run"] == spec.id


TWO_GROUPS = """
import sys
from pathlib import Path
from test_loop import ADVERSARIAL_AOD, SPLIT, tiny_data
from dehazelib import networks, paths
from dehazelib.experiments.hardware import Hardware
from dehazelib.training.loop import train

networks.CATALOGUE["tiny"] = ADVERSARIAL_AOD
train(SPLIT, tiny_data(), Path(sys.argv[1]), hardware=Hardware(accelerator="cpu", devices=2))
"""
ADVERSARIAL_AOD = networks.Entry("tiny", "", "dehazing", networks.AODNet, objective=Adversarial)
SPLIT = TINY.replace(loss="objective", batch=4, steps=4)


@pytest.mark.slow
def test_two_processes_train_two_groups_each_of_which_leaves_parameters_without_gradient(tmp_path, monkeypatch):
    """Fabric starts the second process by running the script again."""
    monkeypatch.setitem(networks.CATALOGUE, "tiny", ADVERSARIAL_AOD)
    one, two, script = trained(SPLIT, tmp_path / "one"), tmp_path / "two", tmp_path / "script.py"
    script.write_text(TWO_GROUPS)
    two.mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, script, two], env=os.environ | {"PYTHONPATH": path}, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    a, b = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert all(torch.allclose(a[k], b[k], atol=1e-4) for k in a)


@pytest.mark.skipif(not memory.RESET.exists(), reason="this system does not tell")
def test_the_peak_memory_is_that_of_the_run_and_not_of_what_ran_before(tmp_path):
    torch.ones(600_000_000, dtype=torch.uint8)  # freed at once
    before = memory.peak_mb()
    (tmp_path / "run").mkdir()
    peak = train(TINY, tiny_data(), tmp_path / "run")["peak_memory_mb"]
    assert 50 < peak < before - 300


def test_weights_can_be_read_by_whom_the_umask_lets_read_new_files(tmp_path):
    folder = trained(TINY, tmp_path / "run")
    assert (folder / WEIGHTS).stat().st_mode == (folder / LOG).stat().st_mode


def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"")
    with pytest.raises(DataError, match="checkpoint.safetensors: damaged .* remove it to train the run from the start"):
        train(TINY, tiny_data(), tmp_path / "run")


@pytest.mark.parametrize("given", ["abc", "-1", "nan"])
def test_a_wrong_time_between_checkpoints_is_named(monkeypatch, given):
    monkeypatch.setenv("DEHAZE_CHECKPOINT_SECONDS", given)
    with pytest.raises(ValueError, match=f"DEHAZE_CHECKPOINT_SECONDS is '{given}': give a number of seconds"):
        train(TINY, tiny_data(), paths.ROOT)


def test_training_lowers_the_loss_and_keeps_the_best_validation_weights(tmp_path):
    folder = trained(TINY.replace(steps=60, validations=6, lr=1e-2), tmp_path / "run")
    log = pd.read_csv(folder / LOG)
    assert log.loss.iloc[-1] < 0.8 * log.loss.iloc[0]
    network = networks.build("tiny")
    network.load_state_dict(load_file(folder / WEIGHTS))
    kept = mean_psnr(network, TINY, tiny_data().validation.subset(1))
    assert kept == pytest.approx(log.validation_psnr_rgb.max(), abs=1e-4)


def test_a_loss_that_is_not_finite_stops_with_one_line(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FloatingPointError, match="the loss is (nan|inf)"):
        train(TINY.replace(network="student", lr=1e30, warmup=0, schedule="constant"), tiny_data(), tmp_path / "run")


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="cannot be split evenly over 2 processes"):
        Shard(TINY.replace(batch=3), 0, 0, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_writes_a_checkpoint_says_how_to_go_on_and_loses_nothing(tmp_path, monkeypatch, number):
    whole, folder, update = trained(TINY, tmp_path / "whole"), tmp_path / "run", TrainingState.update
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    def asked_to_stop(one, fabric, *batch):
        update(one, fabric, *batch)
        if one.step == 2:
            os.kill(os.getpid(), number)

    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "update", asked_to_stop)
        with pytest.raises(KeyboardInterrupt, match="stopped after step 2 of 6. The checkpoint is written"):
            train(TINY, tiny_data(), folder)
    assert (folder / CHECKPOINT).exists() and not (folder / WEIGHTS).exists()
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    train(TINY, tiny_data(), folder)
    assert weights_hash(folder) == weights_hash(whole)


def test_a_second_request_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt), stop_requested() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop()
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_folder_that_was_removed_is_named_in_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(state, "mean_psnr", lambda *_: shutil.rmtree(folder) or 20.0)
    with pytest.raises(FileNotFoundError, match=f"^{folder} was removed while .* start the same command again.$"):
        train(TINY.replace(validations=1), tiny_data(), folder)


def test_progress_is_told_on_standard_error_and_in_a_notebook_on_standard_output(tmp_path, monkeypatch, capsys):
    trained(TINY.replace(steps=2, validations=1), tmp_path / "a")
    out, err = capsys.readouterr()
    assert out == "" and err.count("step 2/2, loss") == 1
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    trained(TINY.replace(steps=2, validations=1), tmp_path / "b")
    out, err = capsys.readouterr()
    assert err == "" and out.count("step 2/2, loss") == 1
