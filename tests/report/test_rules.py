"""What agrees with a printed number, and what an interval can tell."""

import dataclasses

import numpy as np
import pytest

from builders import CLAIMS
from dehazelib.report import rules
from dehazelib.report.interval import Interval
from dehazelib.report.verdict import Finding

NAN = np.nan


def holds(rule, interval, value="", tolerance=""):
    claim = dataclasses.replace(CLAIMS["affinity_gain_db"], value=value, tolerance=tolerance)
    return rules.RULES[rule](Finding(Interval(*interval), ()), claim)


@pytest.mark.parametrize("printed, digit", [
    ("64.039", 0.001), ("122000", 1000), ("38420", 10), ("7", 1), ("2.00", 0.01)])
def test_the_last_printed_digit(printed, digit):
    assert rules.last_digit(printed) == pytest.approx(digit)


@pytest.mark.parametrize("rule, ours, printed, tolerance, expected", [
    ("digits", 122458, "122000", "", True), ("digits", 123000, "122000", "", False),
    ("close", 0.58, "0.634", "10 %", True), ("close", 0.56, "0.634", "10 %", False),
    ("close", 19.6, "19.2", "0.5", True), ("close", 19.8, "19.2", "0.5", False),
    ("reaches", 27.5, "27.9", "0.5", True), ("reaches", 99, "27.9", "0.5", True),
    ("reaches", 27, "27.9", "0.5", False)])
def test_a_value_is_held_against_the_printed_one(rule, ours, printed, tolerance, expected):
    assert holds(rule, (ours,), printed, tolerance) is expected


@pytest.mark.parametrize("low, high, printed, expected", [
    (0.1, 4.1, "4", True), (0.1, 3.0, "4", None), (-0.1, 4.1, "4", None), (-0.1, 1.9, "4", False),
    (8.1, 9.0, "4", False), (7.9, 9.0, "4", None), (0.1, 15.9, "4", True), (0.1, 16.1, "4", None),
    (-9.0, -1.0, "4", False), (-0.1, 9.0, "4", None), (NAN, NAN, "4", None),
    (0.1, 99.0, "", True), (-0.1, 99.0, "", None), (-2.0, -0.1, "", False), (NAN, NAN, "", None)])
def test_a_gain_is_confirmed_contradicted_or_left_open(low, high, printed, expected):
    assert holds("gain", ((low + high) / 2, low, high), printed) is expected


@pytest.mark.parametrize("low, high, expected", [(0, 0.5, True), (0.51, 1, False), (0.4, 0.6, None), (NAN, NAN, None)])
def test_a_cost_is_at_most_the_printed_one_with_a_margin(low, high, expected):
    assert holds("at_most", (low, low, high), "0.4") is expected


@pytest.mark.parametrize("low, high, expected", [(58, 60, True), (59, 60, False)])
def test_an_interval_contains_the_printed_number(low, high, expected):
    assert holds("contains", (low, low, high), "58.981") is expected


@pytest.mark.parametrize("parts, expected", [
    ([True, True], True), ([True, None], None), ([None, False], False), ([], True)])
def test_parts_hold_together_unless_one_fails_or_is_open(parts, expected):
    assert rules.together(parts) is expected
