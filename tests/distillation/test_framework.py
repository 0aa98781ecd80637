"""Equation (15): reconstruction loss + w_FA x affinity loss, with a teacher that never changes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from dehazelib import networks
from dehazelib.distillation import framework as module
from dehazelib.distillation.affinity import affinity_loss
from dehazelib.distillation.framework import Framework
from dehazelib.distillation.objectives import Reconstruction
from dehazelib.experiments.spec import SUBSTITUTES, Spec
from dehazelib.networks.student import Student
from dehazelib.resampling import reduced

READINGS = {"as_described": {"features": "intermediate", "distance": "l2"},
            "as_released": {"features": "outputs", "distance": "l2_norm"}}
both_readings = pytest.mark.parametrize("reading", READINGS)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 32, 40, generator=generator), torch.rand(2, 3, 32, 40, generator=generator)


def build(teacher="dsc_mc_fsrcnn", **options):
    torch.manual_seed(0)
    guide = networks.build(teacher)
    for name, parameter in guide.named_parameters():
        if "deconvolution.weight" in name:
            nn.init.normal_(parameter, 0, 0.1)  # as large as a trained one's, so that its output is not flat
    return Framework(Student(inner_blocks=1), guide, **options)


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)


def norm(grads) -> float:
    return sum(g.double().square().sum().item() for g in grads if g is not None) ** 0.5


@both_readings
@pytest.mark.parametrize("weight", [0.0, 0.25, 40.0])
def test_the_loss_is_the_reconstruction_plus_the_weighted_affinity_term(batch, reading, weight):
    whole = build(weight=weight, **READINGS[reading])
    affinity = whole.terms(*batch)[1]
    mse = F.mse_loss(whole.network(batch[0]), batch[1])
    assert affinity > 0
    torch.testing.assert_close(whole(0, *batch), mse + weight * affinity, rtol=1e-6, atol=0)


def test_as_released_compares_the_two_outputs_pooled_by_four_and_eight(batch):
    whole = build(**READINGS["as_released"])
    hazy, clear = (F.avg_pool2d(x, k).flatten(2).double() for x, k in
                   ((whole.network(batch[0]), 4), (whole.teacher(batch[1]), 8)))  # (2, 3, 80)
    expected = torch.linalg.vector_norm(hazy.mT @ hazy - clear.mT @ clear) / 80**2
    assert whole.terms(*batch)[1].item() == pytest.approx(expected.item(), rel=1e-5)


def test_as_described_is_the_mean_over_three_scales(batch):
    whole = build(**READINGS["as_described"])
    groups = whole.network(batch[0], return_features=True)[1]
    guide, (first, expanded) = whole.teacher(batch[1], return_features=True)
    matched = zip(groups, (first.detach(), expanded.detach(), guide.detach()))
    expected = sum(affinity_loss(s, t, distance="l2", pool=0.25, input_size=(32, 40)) for s, t in matched) / 3
    torch.testing.assert_close(whole.terms(*batch)[1], expected)


@both_readings
def test_without_weight_it_trains_as_plain_reconstruction_does(batch, reading):
    whole = build(weight=0.0, **READINGS[reading])
    plain = Reconstruction(whole.network, "mse")
    both = (gradients(objective(0, *batch), whole.network) for objective in (whole, plain))
    for ours, theirs in zip(*both):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)


@both_readings
@pytest.mark.parametrize("teacher", ["dsc_mc_fsrcnn", "dscbn_mc_fsrcnn"])
def test_the_teacher_is_frozen(batch, reading, teacher):
    whole = build(teacher, weight=10.0, **READINGS[reading])
    before = copy.deepcopy(whole.teacher.state_dict())
    student = copy.deepcopy(whole.network.state_dict())
    optimizer = torch.optim.Adam([p for group in whole.groups() for p in group], lr=1e-2)
    whole.train()
    assert whole.network.training and not any(part.training for part in whole.teacher.modules())
    whole(0, *batch).backward()
    optimizer.step()
    assert all(p.grad is None and not p.requires_grad for p in whole.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in whole.teacher.state_dict().items())
    assert not all(torch.equal(value, student[name]) for name, value in whole.network.state_dict().items())


@both_readings
def test_the_measured_norms_are_those_of_separate_backward_passes(batch, reading):
    whole = build(weight=3.0, **READINGS[reading])
    expected = [norm(gradients(whole.terms(*batch)[i], whole.network)) for i in range(2)]
    whole(0, *batch)
    measured = whole.measurements()
    assert min(expected) > 0 and measured["affinity_weight"] == 3
    assert measured["gradient_norm_reconstruction"] == pytest.approx(expected[0], rel=1e-4)
    assert measured["gradient_norm_affinity"] == pytest.approx(3 * expected[1], rel=1e-4)
    share = 3 * expected[1] / (expected[0] + 3 * expected[1])
    assert measured["affinity_share"] == pytest.approx(share, rel=1e-4)


def test_norms_are_measured_every_so_many_steps(batch, monkeypatch):
    monkeypatch.setattr(module, "MEASURE_EVERY", 10)
    whole = build()
    seen = []
    for _ in range(21):
        whole(0, *batch)
        seen.append(whole.norms.tolist())
        with torch.no_grad():
            whole.network.head.weight.mul_(1.1)
    changes = [k for k in range(1, 21) if seen[k] != seen[k - 1]]
    assert seen[0] != [0, 0] and changes == [10, 20]


class ReadBack(TorchDispatchMode):
    """Counts how often a tensor's value is asked for, for which a GPU is waited for."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function == torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@both_readings
def test_a_step_that_measures_nothing_waits_for_no_value(batch, reading):
    whole = build(share=0.1, **READINGS[reading])
    whole(0, *batch)
    with ReadBack() as read:
        whole(0, *batch).backward()
    assert read.count == 0


def test_parts_of_a_batch_in_several_processes_have_the_gradient_of_the_whole_norm(monkeypatch):
    """The released norm's mean over processes: sqrt(9 + 16) = 5, not (3 + 4) / 2, and its gradient alike."""
    values = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)  # of process 1, of process 2
    monkeypatch.setattr(module.processes, "processes", lambda: 2)
    monkeypatch.setattr(module.processes, "mean", lambda own: values.detach().square().mean().expand_as(own))
    terms = [module.of_all_processes(values[p : p + 1]) for p in range(2)]
    mean = torch.cat(terms).mean()
    (gradient,) = torch.autograd.grad(mean, values)
    assert mean.item() == pytest.approx(5)
    torch.testing.assert_close(gradient, values.detach() / 5)


@both_readings
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_adaptive_weight_starts_at_its_share(batch, reading, share):
    whole = build(weight=1e6, share=share, **READINGS[reading])
    whole(0, *batch)
    assert whole.measurements()["affinity_share"] == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize("teacher", SUBSTITUTES)
def test_a_substitute_can_guide_the_outputs_but_has_no_features(batch, teacher):
    assert Framework(Student(inner_blocks=1), networks.build(teacher))(0, *batch).isfinite()
    with pytest.raises(ValueError, match="needs a teacher with first and expanded features: an FSRCNN"):
        Framework(Student(inner_blocks=1), networks.build(teacher), features="intermediate")(0, *batch)


def test_a_black_teacher_asks_for_dark_images_and_nothing_else(batch):
    whole = Framework(Student(inner_blocks=1), networks.build("black"))
    _, affinity = whole.terms(*batch)
    cells = F.avg_pool2d(whole.network(batch[0]), 4).flatten(2)
    assert affinity.item() == pytest.approx(((cells.mT @ cells).norm() / cells.shape[-1] ** 2).item(), rel=1e-5)


@both_readings
def test_a_low_resolution_teacher_sees_half_the_size_and_guides_the_same_cells(batch, reading):
    whole = build(teacher_input="half", **READINGS[reading])
    shapes = []
    whole.teacher.register_forward_hook(lambda _, given, result: shapes.append((given[0], result[0].shape)))
    assert whole(0, *batch) > 0
    (low, high), = shapes
    assert torch.equal(low, reduced(batch[1])) and high == (2, 3, 32 // 4, 40 // 4)


@pytest.mark.parametrize("size", [(33, 41), (62, 46)])
@pytest.mark.parametrize("teacher_input", ["native", "half"])
@both_readings
def test_sizes_that_four_does_not_divide_are_accepted(reading, teacher_input, size):
    whole = build(teacher_input=teacher_input, **READINGS[reading])
    assert whole(0, torch.rand(1, 3, *size), torch.rand(1, 3, *size)) > 0


def test_a_saved_state_brings_back_weight_norms_and_calls(batch):
    whole = build(share=0.1)
    for _ in range(3):
        whole(0, *batch)
    copied = build(share=0.1, weight=7.0)
    copied.load_state_dict(whole.state_dict())
    assert copied.measurements() == whole.measurements() and copied.steps == 3
    assert torch.equal(copied(0, *batch), whole(0, *batch))


@pytest.mark.parametrize("name, expected", [
    ("mse", 0.25), ("l1", 0.5), ("smooth_l1", 0.125), ("channel_mse", 0.75)])
def test_plain_losses_of_a_uniform_error(name, expected):
    target = torch.zeros(1, 3, 4, 4)
    assert Reconstruction(nn.Identity(), name)(0, target + 0.5, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("make", [
    lambda loss: Reconstruction(nn.Identity(), loss), lambda loss: build(loss=loss)])
def test_an_unknown_loss_is_named(make):
    with pytest.raises(ValueError, match="No loss 'l3'.*: use one of mse, l1, smooth_l1, channel_mse"):
        make("l3")


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_outside_the_range_is_refused(share):
    with pytest.raises(ValueError, match=rf"must lie in \[0, 1\), not {share}"):
        build(share=share)


def test_the_affinity_module_is_never_dropped_in_silence():
    with pytest.raises(ValueError, match="the affinity module needs a plain loss"):
        Spec(network="ssid", loss="objective", features="outputs", teacher="bilinear")
