"""Hazy and clear images of a split: parameters of a sample, and what they are applied to."""

import numpy as np
import pytest
import torch

from dehazelib.data.pairs import Pair, Pairs

FIXED, DRAWN = 0, 1  # places in the fixture `tiny`


@pytest.fixture
def tiny():
    """A pair whose haze is fixed and one whose haze is drawn; the red channel tells the depth."""
    clear = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    items = [Pair("0_1", 0, airlight=0.8, beta=1.5), Pair("1", 1)]
    return Pairs("tiny", items, clear.__getitem__, lambda scene: clear[scene, ..., 0] / np.float32(255))


def expected_bytes(clear, airlight, beta):
    """The scattering model on a clear image (3, H, W) of `tiny`, in grey levels, before rounding."""
    t = np.exp(-beta * clear[0].double().numpy())
    return 255 * (clear.double().numpy() * t + airlight * (1 - t))


def test_haze_is_the_scattering_model_rounded_to_eight_bits(tiny):
    hazy, clear = tiny[FIXED]
    levels = (hazy * 255).double().numpy()
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    np.testing.assert_allclose(levels, expected_bytes(clear, 0.8, 1.5), atol=0.501)


def test_a_window_cuts_image_and_depth_alike(tiny):
    whole, places = tiny[FIXED][1], set()
    for seed in range(30):
        hazy, clear = tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(seed), crop=24))
        assert hazy.shape == clear.shape == (3, 24, 24)
        np.testing.assert_allclose((hazy * 255).numpy(), expected_bytes(clear, 0.8, 1.5), atol=0.501)
        found = {(y, x) for y in range(9) for x in range(17)
                 if torch.equal(whole[:, y : y + 24, x : x + 24], clear)}
        assert len(found) == 1
        places |= found
    assert {y for y, _ in places} == set(range(9)) and {x for _, x in places} >= {0, 16}  # the last fit, too


def test_a_window_may_be_the_whole_height_but_no_more(tiny):
    assert tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(0), crop=32))[0].shape == (3, 32, 32)
    with pytest.raises(ValueError, match="33-pixel window from 0_1 of 32x40: use a smaller crop"):
        tiny.apply(tiny.sample_parameters(FIXED, np.random.default_rng(0), crop=33))


def test_drawn_haze_depends_on_the_generator_alone(tiny):
    drawn = [tiny.sample_parameters(DRAWN, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    one, again, other = (tiny.apply(parameters)[0] for parameters in drawn)
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize("index, crop", [(DRAWN, 0), (FIXED, 16)])
def test_what_is_drawn_needs_a_generator(tiny, index, crop):
    with pytest.raises(ValueError, match=f"{tiny.pairs[index].name} .*pass a random generator"):
        tiny.apply(tiny.sample_parameters(index, None, crop))


def test_some_are_spread_evenly_from_the_first_to_the_last():
    pairs = Pairs("many", [Pair(str(i), i) for i in range(100)], clear=None)
    assert [pair.scene for pair in pairs.subset(4).pairs] == [0, 33, 66, 99]
    assert all(len({p.name for p in pairs.subset(n).pairs}) == n for n in range(1, 100))
    assert pairs.subset(0) is pairs.subset(100) is pairs.subset(101) is pairs


def test_scenes_are_the_clear_images_once_each_named_after_their_scene():
    names = ["1400_10", "1400_2", "1399_1", "7_1_0.90179", "7_2_0.8", "03"]
    pairs = Pairs("mixed", [Pair(name, int(name.split("_")[0])) for name in names], clear=None)
    assert [(pair.name, pair.scene) for pair in pairs.scenes().pairs] == [
        ("03", 3), ("7", 7), ("1399", 1399), ("1400", 1400)]
