"""Intervals over seeds and images, and what they allow one to say."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from dehazelib.report.interval import Interval

CONFIDENCE = 0.95


def mean_interval(values_per_seed: Sequence[float]) -> Interval:
    """Returns the mean over seeds with its 95 % Student-t interval.

    values_per_seed: one value per seed. One seed has no limits (NaN), nor has a set with an infinite value.
    Raises ValueError if there is no value. Source: Student, "The probable error of a mean", Biometrika 1908.

    >>> [round(limit, 3) for limit in mean_interval([1, 2, 3])]
    [2.0, -0.484, 4.484]
    """
    values = np.asarray(values_per_seed, dtype=float)
    if not values.size:
        raise ValueError("mean_interval got no values: pass one per seed.")
    mean = float(values.mean())
    if values.size < 2 or not np.isfinite(values).all():
        return Interval(mean)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)


def paired_bootstrap(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str, rng: np.random.Generator,
                     repeats: int = 2000) -> Interval:
    """Returns the mean of a minus that of b, with its 95 % percentile interval.

    scores_a, scores_b: columns seed, image and `metric`, one row per seed and image. Only images that every seed of
    both has are used. metric: name of the column. rng: decides the draws; the same state gives the same limits.
    Each repetition draws scenes with replacement, each with all its images ("1400_1" to "1400_10" show scene 1400) and
    the same for a and b, since a scene is hard or easy for both; and whole seeds with replacement, the same for a and b
    where both have the same seeds (they share initial weights and the order of the data), independently otherwise. With
    one seed on each side the interval tells of scenes only; with a few it is too narrow for the variation between
    trainings: `paired_interval` mends that.
    Infinite scores: equal ones differ by 0; otherwise they leave the limits NaN.
    Raises ValueError if a seed has an image twice or no image is common.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    a, b = (_seeds_by_images(scores, metric) for scores in (scores_a, scores_b))
    common = a.columns.intersection(b.columns).sort_values()
    if not len(common):
        raise ValueError("paired_bootstrap: the two sets of scores have no image in common; score the same set.")
    same_seeds = a.index.equals(b.index)
    scenes, _ = pd.factorize(common.astype(str).str.partition("_").get_level_values(0))  # a number per image
    a, b = a[common].to_numpy(), b[common].to_numpy()  # seeds x images
    difference = float(_minus(a.mean(0), b.mean(0)).mean())
    if np.isinf(a).any() or np.isinf(b).any():
        return Interval(difference, 0.0, 0.0) if np.array_equal(a, b) else Interval(difference)
    seeds_a = _draws(rng, repeats, len(a))  # repeats x seeds
    seeds_b = seeds_a if same_seeds else _draws(rng, repeats, len(b))
    weights = _draws(rng, repeats, scenes.max() + 1)[:, scenes]  # repeats x images
    repeated = ((seeds_a @ a - seeds_b @ b) * weights).sum(1) / weights.sum(1)
    low, high = np.quantile(repeated, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(difference, float(low), float(high))


def paired_interval(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str,
                    rng: np.random.Generator) -> Interval:
    """Returns the difference that `paired_bootstrap` gives, with the wider of two 95 % intervals.

    The bootstrap knows that scenes are few; Student's t over the differences of single seeds knows that seeds are few,
    where resampling them makes intervals too narrow. With two or more seeds common to a and b, only those are compared:
    they share initial weights and the order of the data. Otherwise there is no t, and the interval is the bootstrap's.
    Arguments and errors are those of `paired_bootstrap`.
    """
    shared = set(scores_a.seed) & set(scores_b.seed)
    if len(shared) < 2:
        return paired_bootstrap(scores_a, scores_b, metric, rng)
    scores_a, scores_b = (scores[scores.seed.isin(shared)] for scores in (scores_a, scores_b))
    difference, low, high = paired_bootstrap(scores_a, scores_b, metric, rng)
    a, b = (_seeds_by_images(scores, metric) for scores in (scores_a, scores_b))
    if np.isfinite(low):
        common = a.columns.intersection(b.columns)
        _, t_low, t_high = mean_interval((a[common] - b[common]).mean(axis=1))
        low, high = min(low, t_low), max(high, t_high)
    return Interval(difference, low, high)


def equivalence(interval: Interval, margin: float = 0.1) -> str:
    """Returns "equivalent", "better", "worse" or "undecided" for the interval of a difference.

    An interval without limits decides nothing. margin: the largest difference of no practical importance, in the same
    unit (default 0.1 dB), above 0. An interval inside +-margin is equivalent, whichever its sign; otherwise one that
    excludes 0 is better or worse. Raises ValueError on a margin of 0 or less or low > high.
    Source: two one-sided tests, Schuirmann, J. Pharmacokinetics and Biopharmaceutics 1987.

    >>> equivalence(Interval(0, -0.02, 0.05)), equivalence(Interval(0.6, 0.3, 0.9)), equivalence(Interval(0, -0.5, 0.9))
    ('equivalent', 'better', 'undecided')
    """
    if margin <= 0 or interval.low > interval.high:
        raise ValueError(f"equivalence needs margin > 0 and low <= high, not margin {margin} and {interval}.")
    if -margin < interval.low and interval.high < margin:
        return "equivalent"
    return {1: "better", -1: "worse", 0: "undecided"}[interval.sign()]


def _seeds_by_images(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    if scores.duplicated(["seed", "image"]).any():
        raise ValueError("paired_bootstrap: a seed has the same image twice; pass one run per seed and one test set.")
    return scores.pivot(index="seed", columns="image", values=metric).sort_index().dropna(axis="columns")


def _draws(rng: np.random.Generator, repeats: int, count: int) -> np.ndarray:
    """Returns the shares of `count` things drawn with replacement `count` times, (repeats, count), rows sum to 1."""
    return rng.multinomial(count, np.full(count, 1 / count), size=repeats) / count


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)
