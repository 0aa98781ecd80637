import numpy as np
import pytest
import torch

from dehazelib.haze import ITS_AIRLIGHT, ITS_BETA, add_haze, draw_haze, its_draw, remove_haze, sots_beta, transmission

KINDS = [lambda a: a, torch.from_numpy]


@pytest.fixture(params=KINDS, ids=["numpy", "torch"])
def scene(request):
    rng = np.random.default_rng(0)
    clear, depth = rng.random((2, 3, 32, 40)), rng.uniform(0.05, 1, (2, 1, 32, 40))
    return request.param(clear), request.param(depth)


def test_adding_then_removing_haze_returns_the_image(scene):
    clear, depth = scene
    t = transmission(depth, 1.8)
    restored = remove_haze(add_haze(clear, t, 0.85), t, 0.85)
    assert abs(restored - clear).max() < 1e-12


def test_full_transmission_changes_nothing(scene):
    clear, depth = scene
    assert (add_haze(clear, depth * 0 + 1, 0.7) == clear).all()


def test_transmission_lies_in_0_1_and_falls_with_depth():
    depth = np.linspace(0, 1, 50)
    t = transmission(depth, 1.3)
    assert t[0] == 1 and t.min() > 0 and (np.diff(t) < 0).all()


def test_numpy_and_torch_agree():
    depth = np.random.default_rng(1).random((1, 32, 32))
    np.testing.assert_allclose(transmission(torch.from_numpy(depth), 0.9).numpy(), transmission(depth, 0.9))


def test_one_beta_per_image_equals_each_image_alone(scene):
    clear, depth = scene
    beta = depth[:, :, :1, :1] * 0 + 0.6
    beta[1] = 1.8
    batch = add_haze(clear, transmission(depth, beta), 0.9)
    for i, b in enumerate([0.6, 1.8]):
        assert abs(batch[i] - add_haze(clear[i], transmission(depth[i], b), 0.9)).max() < 1e-12


def test_floor_bounds_the_amplification_of_noise(scene):
    clear, depth = scene
    tiny = depth * 0 + 1e-6
    noisy = remove_haze(add_haze(clear, tiny, 1.0) + 0.01, tiny, 1.0, floor=0.1)
    assert abs(noisy - 1).max() < 0.11


def test_depth_in_metres_is_refused():
    with pytest.raises(ValueError, match="got 0.5 to 4; divide the depth by the image's own maximum"):
        transmission(np.array([0.5, 4.0]), 1.0)


@pytest.mark.parametrize("bytes_", [np.zeros(3, np.uint8), torch.zeros(3, dtype=torch.uint8)])
@pytest.mark.parametrize("function, name", [(add_haze, "clear"), (remove_haze, "hazy")])
def test_bytes_are_refused(function, name, bytes_):
    with pytest.raises(ValueError, match=f"{name} must be a float image .* divide bytes by 255"):
        function(bytes_, bytes_, 1.0)


@pytest.mark.parametrize("floor", [0, -0.1, 1.1])
def test_floor_outside_its_range_is_refused(floor):
    with pytest.raises(ValueError, match="floor must lie in"):
        remove_haze(np.ones(2), np.ones(2), 1.0, floor)


@pytest.mark.parametrize("level", [0, 11, 1.5])
def test_other_sots_levels_are_refused(level):
    with pytest.raises(ValueError, match="integers 1 to 10"):
        sots_beta(level)


def test_draws_fill_the_ranges_of_reside():
    rng = np.random.default_rng(0)
    draws = np.array([draw_haze(rng) for _ in range(2000)])  # (2000, 2)
    for values, (low, high) in zip(draws.T, (ITS_AIRLIGHT, ITS_BETA)):
        unit = (values - low) / (high - low)
        assert 0 <= unit.min() < 0.01 and 0.99 < unit.max() <= 1
        assert unit.mean() == pytest.approx(0.5, abs=0.03)


def test_its_draws_depend_on_the_scene_alone():
    assert its_draw(7) == its_draw(7) != its_draw(8)
