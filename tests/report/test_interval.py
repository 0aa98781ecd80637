"""An interval and how it is written."""

import math

import pytest

from dehazelib.report.interval import UNKNOWN, Interval


@pytest.mark.parametrize("interval, sign", [
    (Interval(1, 0.5, 2), 1), (Interval(-1, -2, -0.5), -1), (Interval(1, -1, 3), 0), (Interval(1, 0, 2), 0),
    (Interval(1), 0), (UNKNOWN, 0)])
def test_its_sign_is_that_of_both_limits(interval, sign):
    assert interval.sign() == sign


def test_it_unpacks_and_scales():
    value, low, high = Interval(1, -2, 3)
    assert (value, low, high) == (1, -2, 3)
    assert Interval(1, -2, 3).times(100) == Interval(100, -200, 300)


def test_it_knows_what_it_has():
    assert Interval(1, 0, 2).known and Interval(1, 0, 2).bounded
    assert Interval(1).known and not Interval(1).bounded
    assert not UNKNOWN.known and math.isnan(UNKNOWN.value)


@pytest.mark.parametrize("interval, unit, signed, text", [
    (Interval(0.0161, -0.3247, 0.357), "dB", True, "+0.016 [-0.325, +0.357] dB"),
    (Interval(20.3238, 20.05, 20.597), "dB", False, "20.32 [20.05, 20.60] dB"),
    (Interval(-0.00001, -0.2, 0.1), "dB", True, "+0.000 [-0.200, +0.100] dB"),
    (Interval(122458), "parameters", False, "122,458 parameters"),
    (Interval(0.83234), "ssim", False, "0.8323"),
    (Interval(math.inf), "dB", False, "∞ dB"),
    (UNKNOWN, "dB", False, "")])
def test_it_is_written_with_the_digits_of_its_unit(interval, unit, signed, text):
    assert interval.text(unit, signed) == text
