"""Long runs: mixed scales, checkpoints that are kept, runs that start from them."""

import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file

from dehazelib.data.sources import open_data
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import Spec
from dehazelib.study import Study
from dehazelib.training import checkpoint, loop, runs
from dehazelib.training.state import TrainingState

TRUNK = Spec(label="trunk-student", network="aod_net", steps=6, batch=2, crop=0, reduce=4, scales="8 4 2",
             schedule="constant", ema=0.9, validations=2, validation_pairs=1)


@pytest.fixture(scope="module")
def data():
    return open_data("rooms")


def state_of(spec) -> tuple[TrainingState, Fabric]:
    fabric = Fabric(accelerator="cpu", devices=1)
    return TrainingState(spec, fabric, None), fabric


def stopped(spec, folder, data, monkeypatch, after: int) -> runs.Run:
    """Returns a run that was stopped after so many steps, with its checkpoint."""
    batches = loop.batches
    one = runs.Run(folder, spec)
    with monkeypatch.context() as patch:
        patch.setenv("DEHAZE_CHECKPOINT_SECONDS", "0")
        patch.setattr(loop, "batches", lambda *given: list(batches(*given))[:after])
        patch.setattr(checkpoint, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            one.train(data)
    return one


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_branch_starts_at_step_0_with_the_weights_average_and_moments_of_the_checkpoint(tmp_path, ema):
    trunk, fabric = state_of(TRUNK)
    for _ in range(3):
        trunk.update(fabric, *torch.rand(2, 2, 3, 16, 16))
    checkpoint.save(trunk, tmp_path)
    branch, _ = state_of(TRUNK.replace(ema=ema))
    checkpoint.branch(branch, tmp_path / checkpoint.CHECKPOINT)
    assert (branch.step, branch.log, branch.best) == (0, [], {})
    ours, theirs = branch.objective.module.state_dict(), trunk.objective.module.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    moments, kept = (state.optimizers[0].state_dict()["state"] for state in (branch, trunk))
    assert kept and all(torch.equal(value, kept[p][key]) for p in kept for key, value in moments[p].items())
    average = trunk.network if ema else trunk.objective.module.network  # without ema it keeps what it trains
    expected = average.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in branch.network.state_dict().items())
    assert checkpoint.step_of(tmp_path / checkpoint.CHECKPOINT) == 3


@pytest.mark.slow
def test_a_run_of_mixed_scales_resumes_to_the_same_weights_and_counts_its_images(tmp_path, data, monkeypatch):
    whole = runs.Run(tmp_path / "whole", TRUNK).train(data)
    resumed = stopped(TRUNK, tmp_path / "resumed", data, monkeypatch, after=2).train(data)
    expected = whole.weights()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.weights().items())
    assert whole.log().images.tolist() == [8 + 2 + 1, 2 * (8 + 2 + 1)]


def test_a_run_can_start_from_a_checkpoint_that_another_kept(tmp_path, data, monkeypatch):
    trunk = stopped(TRUNK, tmp_path, data, monkeypatch, after=4)
    assert trunk.keep_checkpoint() == 4
    spec = TRUNK.replace(label="trunk-student-decay", start=f"{TRUNK.id}@4", steps=1, validations=1, lr=0.0, ema=0.0)
    kept = load_file(trunk.kept_checkpoint(4))
    branch = runs.Run(tmp_path, spec).train(data)
    assert all(torch.equal(value, kept[f"objective/network.{key}"]) for key, value in branch.weights().items())
    with pytest.raises(FileNotFoundError, match="checkpoint-5.safetensors is missing. Kept were: checkpoint-4.safe"):
        trunk.kept_checkpoint(5)


def test_a_run_comes_after_the_one_whose_checkpoint_it_starts_from():
    decay = TRUNK.replace(label="trunk-student-decay", start=f"{TRUNK.id}@4")
    assert runs.with_predecessors([decay], [decay, TRUNK]) == [TRUNK, decay]


def test_a_run_that_the_profile_does_not_plan_is_found_by_its_id(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    study = Study(Settings.load("smoke"))
    folder = study.settings.runs_folder / TRUNK.id
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(TRUNK.text())
    assert study.specs(TRUNK.id) == [TRUNK]
    with pytest.raises(ValueError, match="No run 'trunk-student'"):
        study.specs("trunk-student")
