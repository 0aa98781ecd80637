"""A number with its 95 % confidence interval, the one thing that tables, claims, figures and sentences share."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

SUFFIX = {"dB": " dB", "gflops": " GFLOPs", "ms": " ms", "MB": " MB", "percent": " %", "ratio": " times",
          "parameters": " parameters", "images": " images"}  # other units are not written
DIGITS = {"": 2, "dB": 2, "ssim": 4, "gflops": 3, "MB": 3, "ratio": 2, "parameters": 0, "images": 0, "count": 0}
OTHERWISE = 1  # digits of another unit
SIGNED_DIGITS = {"dB": 3}  # of a difference


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % limits. Without limits (one seed, one measurement) they are NaN; without a value all are.

    It unpacks into its three numbers: `value, low, high = interval`.
    """

    value: float = nan
    low: float = nan
    high: float = nan

    def __iter__(self) -> Iterator[float]:
        return iter((self.value, self.low, self.high))

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there are limits."""
        return not math.isnan(self.low)

    def sign(self) -> int:
        """Returns 1 if the interval lies above zero, -1 if below, 0 if it includes zero or has no limits."""
        if self.low > 0:
            return 1
        if self.high < 0:
            return -1
        return 0

    def times(self, factor: float) -> "Interval":
        """Returns the interval of the value times a factor above zero."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def text(self, unit: str = "", signed: bool = False) -> str:
        """Returns "+0.016 [-0.325, +0.357] dB": value, limits where there are any, unit; empty without a value.

        unit: as in claims.csv; it decides the number of digits. signed: of a difference, with a plus sign.
        """
        if not self.known:
            return ""
        if signed:
            style = f"+z,.{SIGNED_DIGITS.get(unit, DIGITS.get(unit, OTHERWISE))}f"  # z: no minus sign before zero
        else:
            style = f"z,.{DIGITS.get(unit, OTHERWISE)}f"
        value = _number(self.value, style)
        limits = f" [{_number(self.low, style)}, {_number(self.high, style)}]" if self.bounded else ""
        return value + limits + SUFFIX.get(unit, "")


UNKNOWN = Interval()


def _number(value: float, style: str) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return format(value, style)
