"""Intervals that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

from dehazelib.report.interval import Interval
from dehazelib.report.statistics import (
    equivalence,
    holm,
    mean_interval,
    paired_bootstrap,
    paired_interval,
    paired_p,
    two_way,
)


def scores(table):
    """Rows seed, image, psnr_rgb from a seeds x images array."""
    return pd.DataFrame([{"seed": seed, "image": f"{image}", "psnr_rgb": float(value)}
                         for seed, row in enumerate(table) for image, value in enumerate(row)])


def bootstrap(a, b, draw=0, repeats=2000):
    return paired_bootstrap(scores(a), scores(b), "psnr_rgb", np.random.default_rng(draw), repeats)


def noise(seeds, images, draw):
    return np.random.default_rng(draw).normal(20, 1, (seeds, images))


@pytest.mark.parametrize("values, expected", [
    ([1, 2, 3], (2, -0.484, 4.484)), ([31.5], (31.5, np.nan, np.nan)), ([np.inf, 40.0], (np.inf, np.nan, np.nan))])
def test_the_t_interval_of_a_mean(values, expected):
    assert tuple(mean_interval(values)) == pytest.approx(expected, abs=1e-3, nan_ok=True)


def test_no_seed_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


@pytest.mark.parametrize("a, b, expected", [
    (noise(1, 20, 0), noise(1, 20, 0), (0, 0, 0)), (noise(3, 20, 0), noise(3, 20, 0), (0, 0, 0)),
    ([[np.inf, 40.0], [41.0, 42.0]], [[np.inf, 40.0], [41.0, 42.0]], (0, 0, 0)),
    ([[np.inf, 40.0]], [[39.0, 40.0]], (np.inf, np.nan, np.nan)),
    (noise(3, 20, 1) + 0.5, noise(3, 20, 1), (0.5, 0.5, 0.5))])
def test_differences_that_are_certain_or_unknown(a, b, expected):
    assert tuple(bootstrap(a, b)) == pytest.approx(expected, nan_ok=True)


def test_the_difference_is_a_minus_b_and_swapping_them_flips_the_sign():
    a, b = noise(2, 30, 2) + 1, noise(2, 30, 3)
    forth, back = bootstrap(a, b).value, bootstrap(b, a).value
    assert forth == pytest.approx((a - b).mean()) and back == pytest.approx(-forth)


def test_pairing_by_image_takes_the_images_own_difficulty_out_of_the_interval():
    difficulty = 10 * noise(1, 50, 4)
    a, b = difficulty + 0.1 * noise(1, 50, 5), difficulty + 0.1 * noise(1, 50, 6)
    _, low, high = bootstrap(a, b)
    assert high - low < 0.1 * (2 * 1.96 * difficulty.std() / np.sqrt(50))


def test_seeds_are_whole_blocks_so_their_spread_widens_the_interval():
    base = noise(2, 40, 7)
    a = base + np.array([[0.0], [1.0]])  # all images of seed 1 gain 1 dB: only which seeds are drawn matters
    difference, low, high = bootstrap(a, base)
    assert difference == pytest.approx(0.5) and (low, high) == pytest.approx((0, 1))


def test_only_common_images_are_compared_and_one_seed_with_several():
    several, one = noise(3, 10, 8), noise(1, 10, 9)
    assert bootstrap(several, one).value == pytest.approx(several.mean() - one.mean())
    a, b = scores([[1, 2, 3]]), scores([[1, 1]])
    assert paired_bootstrap(a, b, "psnr_rgb", np.random.default_rng(0)).value == pytest.approx(0.5)


def test_the_generator_decides_the_limits():
    a, b = noise(2, 30, 10), noise(2, 30, 11)
    assert bootstrap(a, b, draw=1) == bootstrap(a, b, draw=1) != bootstrap(a, b, draw=2)


def test_scores_that_cannot_be_paired_are_an_error():
    a, other = scores([[1.0, 2.0]]), scores([[1.0, 2.0]]).assign(image=["x", "y"])
    with pytest.raises(ValueError, match="no image in common"):
        paired_bootstrap(a, other, "psnr_rgb", np.random.default_rng(0))
    with pytest.raises(ValueError, match="twice"):
        paired_bootstrap(pd.concat([a, a]), a, "psnr_rgb", np.random.default_rng(0))


@pytest.mark.parametrize("low, high, verdict", [
    (0.2, 0.4, "better"), (-0.4, -0.2, "worse"), (-0.05, 0.05, "equivalent"), (0.02, 0.05, "equivalent"),
    (-0.5, 0.5, "undecided"), (0.05, 0.3, "better"), (-0.1, 0.1, "undecided"), (np.nan, np.nan, "undecided"),
])
def test_an_interval_is_better_worse_equivalent_or_undecided(low, high, verdict):
    assert equivalence(Interval(0, low, high), 0.1) == verdict


@pytest.mark.parametrize("low, high, margin", [(0, 1, 0), (1, 0, 0.1)])
def test_a_margin_of_zero_or_swapped_limits_are_an_error(low, high, margin):
    with pytest.raises(ValueError, match="margin > 0 and low <= high"):
        equivalence(Interval(0, low, high), margin)


def test_more_images_of_a_scene_do_not_narrow_an_interval():
    a, b = scores(noise(2, 20, 1)), scores(noise(2, 20, 2))
    alone, fourfold = (
        [pd.concat(rows.assign(image=rows.image + f"_{level}") for level in levels) for rows in (a, b)]
        for levels in ([1], [1, 2, 3, 4]))
    limits = [paired_bootstrap(*pair, "psnr_rgb", np.random.default_rng(0)) for pair in (alone, fourfold)]
    assert tuple(limits[0]) == pytest.approx(tuple(limits[1]))


@pytest.mark.slow
def test_a_paired_interval_covers_the_truth_where_the_bootstrap_of_few_seeds_does_not():
    rng, truth, covered = np.random.default_rng(0), 0.2, {"bootstrap": 0, "wider": 0}
    for repeat in range(200):
        seeds, images = rng.normal(0, 0.3, (3, 1)), rng.normal(0, 2, 40)
        base = 20 + images + rng.normal(0, 0.1, (3, 40))
        a, b = scores(base + truth + seeds + rng.normal(0, 0.3, (3, 40))), scores(base)
        for name, interval in (("bootstrap", paired_bootstrap), ("wider", paired_interval)):
            _, low, high = interval(a, b, "psnr_rgb", np.random.default_rng(repeat))
            covered[name] += low <= truth <= high
    assert covered["bootstrap"] < 0.9 * 200 and covered["wider"] >= 0.93 * 200


def test_two_single_runs_differ_without_limits():
    a, b = scores([[20.0, 21.0, 23.0]]), scores([[19.0, 20.5, 21.0]])
    found = paired_interval(a, b, "psnr_rgb", np.random.default_rng(0))
    assert found.value == pytest.approx(3.5 / 3) and not found.bounded


def test_with_one_seed_on_one_side_or_unlike_seeds_a_paired_interval_is_the_bootstraps():
    a, one = scores(noise(3, 10, 12)), scores(noise(1, 10, 13))
    for b in (one, scores(noise(3, 10, 13)).assign(seed=lambda rows: rows.seed + 10)):
        expected = paired_bootstrap(a, b, "psnr_rgb", np.random.default_rng(0))
        assert paired_interval(a, b, "psnr_rgb", np.random.default_rng(0)) == expected


def test_images_of_one_room_are_one_unit():
    """Two rooms of ten images: between the rooms lies all the difference, so that only which are drawn matters."""
    base, room = noise(2, 20, 14), np.repeat([0.0, 1.0], 10)
    a, b = scores(base + room), scores(base)
    limits = [paired_bootstrap(a, b, "psnr_rgb", np.random.default_rng(0), unit=unit)
              for unit in (str, lambda image: str(int(image) // 10))]
    assert tuple(limits[1]) == pytest.approx((0.5, 0, 1)) and limits[0].low > 0.2


def test_a_p_value_is_the_greater_of_those_over_seeds_and_over_units():
    base = noise(3, 4, 15)
    gains = np.array([[0.5], [1.0], [1.5]]), np.array([[0.1, 0.9, 0.9, 2.1]])  # t of 3 seeds, of 4 images
    for gain, expected in ((gains[0], 0.0742), (gains[1], 0.0937)):
        assert paired_p(scores(base + gain), scores(base), "psnr_rgb") == pytest.approx(expected, abs=1e-4)
    assert np.isnan(paired_p(scores(base[:1] + 1), scores(base[:1]), "psnr_rgb"))
    assert paired_p(scores(base + 1), scores(base), "psnr_rgb") == 0
    assert paired_p(scores(base), scores(base), "psnr_rgb") == 1


def test_holm_multiplies_the_smallest_by_the_number_of_comparisons_and_never_falls():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


def test_the_two_way_model_of_two_rows_is_the_paired_t_interval():
    table = pd.DataFrame([[20.0, 21.0, 23.0], [20.5, 21.9, 23.4]])
    mean, low, high = mean_interval(table.iloc[1] - table.iloc[0])
    assert two_way(table) == pytest.approx((high - low) / 2)


def test_a_paired_interval_compares_the_seeds_that_both_have():
    a = scores([[20.0, 21.0], [22.0, 23.0], [90.0, 90.0]])
    b = scores([[19.0, 20.0], [20.0, 21.0]])
    difference, low, high = paired_interval(a, b, "psnr_rgb", np.random.default_rng(0))
    assert difference == pytest.approx(1.5)  # of seeds 0 and 1, by 1 and 2
    assert (low, high) == pytest.approx((1.5 - 6.353, 1.5 + 6.353), abs=1e-3)  # Student's t, one degree of freedom
