"""The affinity loss equals its literal N x N form, in value and gradient, without the N x N memory."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dehazelib.distillation.affinity import (
    DISTANCES,
    affinity_distance,
    affinity_distance_reference,
    affinity_loss,
    pooled,
)

CHANNELS = [(3, 3), (5, 7), (7, 5)]


def features(channels=3, pixels=60, batch=2, seed=0, dtype=torch.float64):
    return torch.randn(batch, channels, pixels, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(student_channels=3, teacher_channels=3, **kwargs):
    return features(student_channels, seed=1, **kwargs), features(teacher_channels, seed=2, **kwargs)


def value_and_gradient(function, student, *args, **kwargs):
    student = student.clone().requires_grad_()
    value = function(student, *args, **kwargs)
    value.backward()
    return value.detach(), student.grad


def image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_value_and_gradient_equal_the_literal_form(distance, channels):
    student, teacher = pair(*channels)
    expected, expected_gradient = value_and_gradient(affinity_distance_reference, student, teacher, distance)
    value, gradient = value_and_gradient(affinity_distance, student, teacher, distance)
    assert expected > 0.01  # otherwise the comparison would say little
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


def test_hand_computed_values():
    student, teacher = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])  # H - C = [[0, 1], [1, 3]]
    assert affinity_distance(student, teacher, "l2_norm").item() == pytest.approx(11**0.5 / 4)
    assert affinity_distance(student, teacher, "l2").item() == pytest.approx(11 / 4)
    assert affinity_distance(student, teacher, "l1").item() == pytest.approx(5 / 4)


@pytest.mark.parametrize("tile_elements", [1, 60, 7 * 60, 60 * 60])
@pytest.mark.parametrize("distance", ["l1", "kl"])
def test_tile_size_changes_nothing(distance, tile_elements):
    student, teacher = pair(5, 7)
    expected = value_and_gradient(affinity_distance, student, teacher, distance)
    actual = value_and_gradient(affinity_distance, student, teacher, distance, tile_elements=tile_elements)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("distance", DISTANCES)
def test_float32_stays_accurate_near_agreement(distance):
    teacher = features(dtype=torch.float32)
    student = teacher + 1e-4 * features(seed=1, dtype=torch.float32)
    expected = value_and_gradient(affinity_distance_reference, student.double(), teacher.double(), distance)
    value, gradient = value_and_gradient(affinity_distance, student, teacher, distance)
    assert value.dtype == torch.float32
    # KL is of second order in the difference, 1e-8 here: only its gradient is accurate in the relative sense
    tolerance = {"rtol": 0, "atol": 5e-7} if distance == "kl" else {"rtol": 1e-6, "atol": 0}
    torch.testing.assert_close(value.double(), expected[0], **tolerance)
    if distance != "l1":  # a sign may differ where an entry of H - C is zero but for rounding
        error = (gradient - expected[1]).norm() / expected[1].norm()
        assert error < 1e-5


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_features_give_zero_loss_and_zero_gradient(distance):
    student = features(dtype=torch.float32)
    padded = torch.cat([student, torch.zeros(2, 2, 60)], 1)
    for teacher in (student, padded):
        value, gradient = value_and_gradient(affinity_distance, student, teacher, distance)
        assert value == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_kl_survives_large_features():
    student, teacher = (30 * x for x in pair())  # entries of H reach thousands: exp would overflow
    expected = value_and_gradient(affinity_distance_reference, student, teacher, "kl")
    value, gradient = value_and_gradient(affinity_distance, student.float(), teacher.float(), "kl")
    torch.testing.assert_close(value.double(), expected[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), expected[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("distance", DISTANCES)
def test_non_finite_features_give_a_non_finite_loss(distance):
    student, teacher = pair()
    student[0, 0, 0] = float("nan")
    assert affinity_distance(student, teacher, distance).isnan()


@pytest.mark.parametrize("distance", DISTANCES)
def test_half_precision_and_autocast_compute_in_float32(distance):
    student, teacher = (x.bfloat16() for x in pair())
    expected = affinity_distance(student.float(), teacher.float(), distance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(affinity_distance, student, teacher, distance)
    assert value.dtype == torch.float32 and gradient.dtype == torch.bfloat16
    torch.testing.assert_close(value, expected)


class LargestTensor(TorchDispatchMode):
    """Records the element count of the largest tensor any operation returns."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = (leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
        self.numel = max(self.numel, *sizes, 0)
        return result


def largest_tensor(function, *args):
    with LargestTensor() as recorder:
        value_and_gradient(function, *args)
    return recorder.numel


@pytest.mark.parametrize("distance", DISTANCES)
def test_memory_stays_linear_in_the_number_of_pixels(distance):
    student, teacher = pair(batch=1, pixels=8000, dtype=torch.float32)
    assert largest_tensor(affinity_distance, student, teacher, distance) < 8000 * 8000 / 8
    student, teacher = pair(batch=1, pixels=50)
    literal = largest_tensor(affinity_distance_reference, student, teacher, distance)
    assert literal >= 50 * 50  # the recorder sees N x N matrices where there are some


def test_pooled_averages_cells_and_leaves_out_the_rest():
    maps = image(2, 3, 9, 13)
    cells = pooled(maps, (2, 3))
    assert cells.shape == (2, 3, 6)
    torch.testing.assert_close(cells[1, 2, 5], maps[1, 2, 4:8, 8:12].mean())
    assert pooled(image(1, 3, 11, 11), (4, 4)).shape == (1, 3, 16)  # averaging by 2 gives 5x5, cropped


def test_input_size_sets_the_grid_for_maps_of_another_size():
    student, teacher = image(1, 3, 16, 24), image(1, 3, 64, 96, seed=1)
    expected = affinity_distance(pooled(student, (8, 12)), pooled(teacher, (8, 12)), "l2_norm")
    torch.testing.assert_close(affinity_loss(student, teacher, input_size=(32, 48)), expected)


def test_bad_input_is_refused_with_a_clear_message():
    student, teacher = pair()
    with pytest.raises(ValueError, match="'l3'.*l2_norm, l2, l1, kl"):
        affinity_distance(student, teacher, "l3")
    with pytest.raises(ValueError, match=r"agree in batch and pixels.*\(2, 3, 60\).*\(2, 3, 59\)"):
        affinity_distance(student, teacher[..., 1:], "l1")
    with pytest.raises(ValueError, match="frozen"):
        affinity_distance(student, teacher.requires_grad_(), "kl")
    with pytest.raises(ValueError, match="shape"):
        affinity_distance(student[0], student[0], "l2")
    with pytest.raises(ValueError, match="positive"):
        affinity_distance(student, student, "l1", tile_elements=0)
    with pytest.raises(ValueError, match="floating point"):
        affinity_distance(student.long(), student.long(), "l1")


def test_maps_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(ValueError, match="32x48.*grid 8x8.*rows give 4, columns 6"):
        pooled(image(1, 3, 32, 48), (8, 8))
    with pytest.raises(ValueError, match="4x4.*grid 8x8"):
        affinity_loss(image(1, 3, 32, 32), image(1, 3, 4, 4))
    with pytest.raises(ValueError, match="grid 0x8 is empty"):
        affinity_loss(image(1, 3, 3, 32), image(1, 3, 3, 32))
    with pytest.raises(ValueError, match="pool"):
        affinity_loss(image(1, 3, 32, 32), image(1, 3, 32, 32), pool=4)
