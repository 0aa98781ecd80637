"""Methods take turns, and ratios stay within a turn."""

import numpy as np
import pandas as pd
import pytest

from dehazelib.profiling import timing


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; each call of `clock.pass_(n)` moves it by n seconds."""

    class Clock:
        now = 0.0

        def pass_(self, n):
            self.now += n

    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


def test_methods_warm_up_once_and_then_take_turns(clock):
    calls = []
    takes = {"a": 0.2, "b": 0.1}
    methods = {name: lambda name=name: (calls.append(name), clock.pass_(takes[name])) for name in takes}
    rows = timing.compare(methods, repeats=4)
    assert calls == ["a", "b"] * 5
    assert list(rows.itertuples(index=False, name=None)) == [
        (name, repeat, pytest.approx(ms)) for repeat in range(4) for name, ms in (("a", 200), ("b", 100))]


def test_after_three_repeats_time_is_limited_and_a_slow_method_is_timed_once(clock):
    rows = timing.compare({"fast": lambda: clock.pass_(1), "slow": lambda: clock.pass_(11)}, repeats=7, seconds=10)
    assert rows.method.tolist() == ["slow", "fast", "fast", "fast"]
    assert len(timing.compare({"fast": lambda: clock.pass_(1)}, repeats=7, seconds=4.5)) == 4  # and one to warm up


def test_a_method_that_is_warm_already_is_not_warmed_up(clock):
    calls = []
    methods = {name: lambda name=name: (calls.append(name), clock.pass_(1)) for name in "ab"}
    assert len(timing.compare(methods, repeats=2, warm={"a"})) == 4 and calls == ["b", *"abab"]
    methods = {"a": lambda: clock.pass_(11), "b": lambda: clock.pass_(1)}
    slow = timing.compare(methods, repeats=7, seconds=10, warm={"a"})
    assert slow.method.tolist() == ["a", "b", "b", "b"]


@pytest.mark.parametrize("methods, repeats", [({}, 3), ({"a": int}, 0)])
def test_nothing_to_compare_is_an_error(methods, repeats):
    with pytest.raises(ValueError, match="at least one repeat"):
        timing.compare(methods, repeats)


def timed(**ms):
    return pd.DataFrame([{"method": m, "repeat": i, "ms": float(t)} for m, ts in ms.items() for i, t in enumerate(ts)])


def test_ratios_are_taken_within_a_repeat_so_a_slow_moment_does_not_count():
    table = timing.summary(timed(old=[10, 80, 20], new=[5, 40, 10]), "old").set_index("method")
    assert table.loc["new", ["ratio", "ratio_low", "ratio_high"]].tolist() == [2, 2, 2]
    assert table.loc["new", ["ms", "low", "high", "repeats"]].tolist() == [10, 7.5, 25, 3]
    assert table.ratio["old"] == 1


def test_groups_are_compared_with_their_own_reference_even_where_a_label_is_empty():
    rows = pd.concat([timed(old=[4], new=[2]).assign(height=8, gpu=np.nan), timed(old=[9], new=[3]).assign(height=16),
                      timed(new=[1]).assign(height=32)])
    table = timing.summary(rows, "old")
    ratios = table[table.method == "new"].set_index("height").ratio
    assert ratios[8] == 2 and ratios[16] == 3 and np.isnan(ratios[32])


def test_an_unknown_reference_is_named():
    with pytest.raises(ValueError, match="No method 'older'.*old, new"):
        timing.summary(timed(old=[1], new=[1]), "older")


def test_a_method_that_fails_is_left_out_with_a_line(capsys):
    calls = []

    def broken():
        raise RuntimeError("no compiler\nand more")

    methods = {"good": lambda: calls.append(1), "broken": broken}
    assert set(timing.runnable(methods, calls=2)) == {"good"} and len(calls) == 2
    assert capsys.readouterr().err == "broken is left out: no compiler\n"
