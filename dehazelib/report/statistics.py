"""Intervals over seeds and images, and what they allow one to say."""

from collections.abc import Callable, Mapping, Sequence

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


def scene(image: str) -> str:
    """Returns the scene that an image shows: "1400" for "1400_1" to "1400_10"."""
    return str(image).partition("_")[0]


def paired_bootstrap(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str, rng: np.random.Generator,
                     repeats: int = 2000, unit: Callable[[str], str] = scene) -> Interval:
    """Returns the mean of a minus that of b, with its 95 % percentile interval.

    scores_a, scores_b: columns seed, image and `metric`, one row per seed and image. Only images that every seed of
    both has are used. metric: name of the column. rng: decides the draws; the same state gives the same limits.
    unit: image -> what images are not independent of one another share: its scene, or the room of several scenes.
    Each repetition draws units with replacement, each with all its images and the same for a and b, since a unit is
    hard or easy for both; and whole seeds with replacement, the same for a and b where both have the same seeds (they
    share initial weights and the order of the data), independently otherwise. With a few seeds it is too narrow for the
    variation between trainings: `paired_interval` mends that.
    Infinite scores: equal ones differ by 0; otherwise they leave the limits NaN.
    Raises ValueError if a seed has an image twice or no image is common.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    a, b = (_seeds_by_images(scores, metric) for scores in (scores_a, scores_b))
    common = a.columns.intersection(b.columns).sort_values()
    if not len(common):
        raise ValueError("paired_bootstrap: the two sets of scores have no image in common; score the same set.")
    same_seeds = a.index.equals(b.index)
    units, _ = pd.factorize(common.map(unit))  # a number per image
    a, b = a[common].to_numpy(), b[common].to_numpy()  # seeds x images
    difference = float(_minus(a.mean(0), b.mean(0)).mean())
    if np.isinf(a).any() or np.isinf(b).any():
        return Interval(difference, 0.0, 0.0) if np.array_equal(a, b) else Interval(difference)
    seeds_a = _draws(rng, repeats, len(a))  # repeats x seeds
    seeds_b = seeds_a if same_seeds else _draws(rng, repeats, len(b))
    weights = _draws(rng, repeats, units.max() + 1)[:, units]  # repeats x images
    repeated = ((seeds_a @ a - seeds_b @ b) * weights).sum(1) / weights.sum(1)
    low, high = np.quantile(repeated, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(difference, float(low), float(high))


def paired_interval(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str, rng: np.random.Generator,
                    unit: Callable[[str], str] = scene) -> Interval:
    """Returns the difference that `paired_bootstrap` gives, with the wider of two 95 % intervals.

    The bootstrap knows that units are few; Student's t over the differences of single seeds knows that seeds are few,
    where resampling them makes intervals too narrow. With two or more seeds common to a and b, only those are compared:
    they share initial weights and the order of the data. Otherwise there is no t, and the interval is the bootstrap's.
    A difference of two single runs has no limits: two runs of one training differ, too, and one of each cannot tell by
    how much. Arguments and errors are those of `paired_bootstrap`.
    """
    shared = set(scores_a.seed) & set(scores_b.seed)
    if len(shared) < 2:
        found = paired_bootstrap(scores_a, scores_b, metric, rng, unit=unit)
        single = scores_a.seed.nunique() == scores_b.seed.nunique() == 1
        return Interval(found.value) if single else found
    scores_a, scores_b = (scores[scores.seed.isin(shared)] for scores in (scores_a, scores_b))
    difference, low, high = paired_bootstrap(scores_a, scores_b, metric, rng, unit=unit)
    if np.isfinite(low):
        _, t_low, t_high = mean_interval(_differences(scores_a, scores_b, metric).mean(axis=1))
        low, high = min(low, t_low), max(high, t_high)
    return Interval(difference, low, high)


def paired_p(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str,
             unit: Callable[[str], str] = scene) -> float:
    """Returns the p-value of no difference: the greater of two t-tests, over the differences of the seeds that a and b
    share, and over those of units; NaN below two of either. Arguments are those of `paired_bootstrap`."""
    differences = _differences(scores_a, scores_b, metric)
    over_seeds, over_units = differences.mean(axis=1), differences.mean().groupby(unit).mean()
    if min(len(over_seeds), len(over_units)) < 2:
        return np.nan
    return max(_p_of_zero(values.to_numpy()) for values in (over_seeds, over_units))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Returns p-values of a family of comparisons, adjusted so that the chance of any false finding among them stays
    below the level at which they are read. Source: Holm, Scandinavian Journal of Statistics 1979.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.get)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def two_way(means: pd.DataFrame) -> float:
    """Returns the half-width of the 95 % interval of any difference between two rows' means, by a model with an effect
    of each row (a kind of training) and of each column (a seed): all rows together tell how much trainings vary.

    means: rows x columns without gaps, at least 2 x 2. The model is fitted by least squares, which for a full table
    leaves the residual x_ij - x_i. - x_.j + x_.. with (rows - 1)(columns - 1) degrees of freedom.
    """
    values = means.to_numpy()
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    rows, columns = values.shape
    freedom = (rows - 1) * (columns - 1)
    spread = np.sqrt((residuals ** 2).sum() / freedom)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * spread * np.sqrt(2 / columns))


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


def _p_of_zero(values: np.ndarray) -> float:
    """Returns the p-value of Student's t-test that the mean is zero; for equal values 0, or 1 if they are zero."""
    if np.allclose(values, values[0]):
        return float(np.isclose(values[0], 0))
    return float(stats.ttest_1samp(values, 0).pvalue)


def _differences(scores_a: pd.DataFrame, scores_b: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Returns a minus b, seeds x images, of the seeds and images that both have."""
    a, b = (_seeds_by_images(scores, metric) for scores in (scores_a, scores_b))
    a, b = a.align(b, join="inner")
    return a - b


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
