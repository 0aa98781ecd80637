"""Haze as a camera sees it: reproducible, the clear image unharmed, and nothing added where nothing was drawn."""

import dataclasses

import numpy as np
import pytest
import torch

from dehazelib import haze
from dehazelib.data import camera
from dehazelib.data.camera import Photograph, Photographs, draw, photograph
from dehazelib.data.sources import open_data
from dehazelib.data.stream import Stream
from dehazelib.experiments.spec import Spec

CLEAR = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
DEPTH = np.linspace(0.1, 1, 40 * 60, dtype=np.float32).reshape(40, 60)


def many(count: int = 400) -> list[Photograph]:
    return [draw(np.random.default_rng(i)) for i in range(count)]


def test_a_photograph_with_nothing_drawn_is_the_scene():
    hazy, clear = photograph(CLEAR, DEPTH, Photograph())
    assert torch.equal(hazy, clear)
    assert torch.equal((hazy * 255).round().byte(), torch.from_numpy(CLEAR).permute(2, 0, 1))


def test_grey_haze_alone_is_resides():
    hazy, clear = photograph(CLEAR, DEPTH, Photograph(airlight=(0.8,) * 3, beta=1.2))
    expected = haze.hazy_8_bit(clear, torch.from_numpy(DEPTH), 0.8, 1.2)
    assert (hazy - expected).abs().max() <= 1 / 255 + 1e-6  # rounding at .5


def test_noise_and_compression_are_on_the_hazy_side_alone():
    plain = photograph(CLEAR, DEPTH, Photograph(exposure=0.7, gamma=1.2))
    taken = photograph(CLEAR, DEPTH, Photograph(exposure=0.7, gamma=1.2, noise=0.02, quality=50))
    assert torch.equal(plain[1], taken[1]) and not torch.equal(plain[0], taken[0])


def test_borders_are_black_and_skies_smooth_on_both_sides():
    hazy, clear = photograph(CLEAR, DEPTH, Photograph(border=0.1))
    assert all(image[:, rows].max() == 0 for image in (hazy, clear) for rows in (slice(4), slice(-4, None)))
    hazy, clear = photograph(CLEAR, DEPTH, Photograph(sky=0.5, beta=1.0, airlight=(0.9, 0.9, 0.9)))
    assert all(image[:, :20].std(-1).max() < 1e-6 for image in (hazy, clear))


def test_the_kinds_come_in_their_shares():
    drawn = many()
    clear = np.mean([one.beta == 0 for one in drawn])
    assert clear == pytest.approx(camera.CLEAR_SHARE + camera.BLACK_SHARE, abs=0.07)
    assert 0 < np.mean([one.exposure == 0 for one in drawn]) < 0.06
    plain = Photograph()
    reside = [one for one in drawn if one == dataclasses.replace(plain, airlight=one.airlight, beta=one.beta)]
    assert len(reside) / len(drawn) == pytest.approx(camera.RESIDE_SHARE, abs=0.08)


def test_every_photograph_lies_in_the_range():
    for parameters in many(60):
        for image in photograph(CLEAR, DEPTH, parameters):
            assert image.shape == (3, 40, 60) and 0 <= image.min() and image.max() <= 1


def test_sample_k_depends_on_seed_and_k_alone():
    data, spec = open_data("rooms"), Spec(haze="camera", crop=32)
    first, again = Stream(spec, data.train), Stream(spec, data.train)
    assert all(torch.equal(a, b) for a, b in zip(first[7], again[7]))
    assert not torch.equal(first[7][0], Stream(spec.replace(seed=1), data.train)[7][0])


def test_validation_photographs_are_always_the_same():
    held_out = open_data("rooms").validation
    one, two = Photographs(held_out), Photographs(held_out)
    assert len(one) == len(held_out) and all(torch.equal(a, b) for a, b in zip(one[3], two[3]))
