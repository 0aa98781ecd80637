"""Autotuning: the fastest way is taken, once per machine and kind of run; it changes no more than rounding."""

import pytest
import torch
from lightning.fabric import Fabric

from dehazelib import autotune, training
from dehazelib.autotune import Tuning, candidates, fastest
from dehazelib.spec import Spec

SPEC, SHAPE = Spec(), (4, 3, 64, 64)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def times(mapping):
    asked = []

    def milliseconds(tuning):
        asked.append(tuning)
        if mapping[tuning] is None:
            raise RuntimeError("no compiler\nand more")
        return mapping[tuning]

    return milliseconds, asked


def test_the_fastest_candidate_is_taken_and_remembered():
    tunings = list(candidates(SPEC).values())
    milliseconds, asked = times(dict(zip(tunings, (4.0, 3.0, 1.0, 2.0))))
    assert fastest(SPEC, SHAPE, "a GPU", milliseconds) == Tuning(True, "default") and asked == tunings
    assert fastest(SPEC, SHAPE, "a GPU", milliseconds) == Tuning(True, "default") and asked == tunings
    fastest(SPEC, (2, 3, 64, 64), "a GPU", milliseconds)
    fastest(SPEC, SHAPE, "another GPU", milliseconds)
    assert len(asked) == 3 * len(tunings)


def test_a_candidate_that_does_not_run_is_passed_over_and_named(capsys):
    tunings = list(candidates(SPEC).values())
    milliseconds, _ = times(dict(zip(tunings, (4.0, 3.0, None, None))))
    assert fastest(SPEC, SHAPE, "a GPU", milliseconds) == Tuning(True)
    assert "autotune: compiled does not run here: no compiler" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="no way to run this network works"):
        fastest(SPEC, SHAPE, "a third GPU", times(dict.fromkeys(tunings))[0])


def test_cuda_graphs_are_for_plain_losses():
    assert "CUDA graphs" in candidates(SPEC)
    assert "CUDA graphs" not in candidates(SPEC.replace(features="outputs", teacher="bilinear"))


def test_the_memory_layout_changes_no_more_than_rounding():
    torch.manual_seed(0)
    batch, weights = (torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24)), []
    for tuning in (Tuning(False), Tuning(True)):
        fabric = Fabric(accelerator="cpu", devices=1)
        state = training._State(SPEC.replace(lr=1e-5, steps=3), fabric, None, None, tuning)
        for _ in range(3):
            state.update(fabric, *batch)
        weights.append(state.network.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=2e-6)


def test_a_cpu_is_never_tuned(monkeypatch):
    monkeypatch.setattr(autotune, "fastest", None)
    assert training.tuned(SPEC.replace(channels_last=False), None, Fabric(accelerator="cpu", devices=1), None,
                          training.Hardware()) == Tuning(False)
