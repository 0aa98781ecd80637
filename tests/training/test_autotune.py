"""Autotuning: the fastest way is taken, once per machine and kind of run; it changes no more than rounding."""

import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric import Fabric

from dehazelib import networks
from dehazelib.data.pairs import Frames, Pair, Pairs
from dehazelib.data.sources import Data
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.spec import Spec
from dehazelib.training import loop as training
from dehazelib.training.autotune import Tuning, candidates, fastest
from dehazelib.training.state import TrainingState

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


def test_an_authors_objective_is_not_compiled():
    """It calls parts of its network, which torch.compile of the whole leaves alone."""
    assert set(candidates(SPEC.replace(network="gfn", loss="objective"))) == {"contiguous", "channels last"}


@pytest.mark.slow
@pytest.mark.parametrize("features, distance", [("outputs", "l2_norm"), ("outputs", "l1"), ("intermediate", "l2")])
def test_every_candidate_takes_the_framework_s_steps_but_for_rounding(monkeypatch, features, distance):
    """On the CPU: compiled ones without a compiler of C, fused kernels in Triton's interpreter (see conftest.py)."""
    graphs, whole = [], torch.nn.Module.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(torch.nn.Module, "compile",
                        lambda network, mode, dynamic: whole(network, backend=backend, dynamic=dynamic))
    torch.manual_seed(0)
    spec, teacher = SPEC.replace(teacher="a", features=features, distance=distance), networks.build("dsc_mc_fsrcnn")
    fabric, batch = Fabric(accelerator="cpu", devices=1), (torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24))
    tunings = [tuning for tuning in candidates(spec).values()
               if not tuning.fused_affinity or os.environ.get("TRITON_INTERPRET")]
    losses = []
    with torch._functorch.config.patch(donated_buffer=True):  # as it was, afterwards
        for tuning in tunings:
            state = TrainingState(spec, fabric, teacher, None, tuning)
            for _ in range(2):
                state.update(fabric, *batch)
            losses.append(float(state.losses))
    assert graphs and losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


@pytest.mark.parametrize("device, processes, tunable", [("cpu", 1, False), ("cuda", 1, True), ("cuda", 2, False)])
def test_one_gpu_is_tuned_and_neither_a_cpu_nor_several_processes(monkeypatch, device, processes, tunable):
    fabric = SimpleNamespace(device=torch.device(device), world_size=processes)
    assert training.can_tune(fabric) is tunable
    if not tunable:
        monkeypatch.setattr(training, "fastest", None)
        spec = SPEC.replace(channels_last=False)
        assert training.tuned(spec, None, fabric, None, Hardware(), 2) == Tuning(False)


@pytest.mark.parametrize("name", ["fsrcnn_x2", "fsrcnn_x4", "srresnet", "drn_s"])
def test_the_trial_batch_fits_the_enlargement_of_the_network(monkeypatch, name):
    """On a CPU that passes for a GPU; `fastest` takes one trial step."""
    shapes = []
    monkeypatch.setattr(training, "can_tune", lambda fabric: True)
    monkeypatch.setattr(training.torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(training, "compare", lambda methods, **_: methods["step"]() or pd.DataFrame({"ms": [1.0]}))
    monkeypatch.setattr(training, "Resident", None)  # for one batch, the scenes are not brought to the device
    monkeypatch.setattr(training, "fastest", lambda spec, shape, device, milliseconds:
                        shapes.append(shape) or milliseconds(Tuning(False)) and Tuning(False))
    frames = Frames(np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.uint16), {0: 0})
    data = Data("tiny", "", "", Pairs.of_frames("tiny", [Pair("0", 0)], frames), None, {})
    spec = Spec(network=name, task="super_resolution", target="native", batch=1, crop=32, steps=1)
    fabric, scale = Fabric(accelerator="cpu", devices=1), networks.build(name).scale
    assert training.tuned(spec, data, fabric, None, Hardware(), scale) == Tuning(False)
    assert shapes == [(1, 3, 32 // scale, 32 // scale)]
