"""When a claim holds: the rules that compare what was found with what is printed, and the reasons not to decide."""

import itertools
import math
from collections.abc import Callable, Iterable

from dehazelib.report.interval import Interval
from dehazelib.report.rows import Rows, published_images
from dehazelib.report.verdict import Claim, Finding, Reason, Status

SIZE = 0.5, 2.0  # times the printed size: what a measured difference must be compatible with
MARGIN_DB = 0.1  # a difference in PSNR of no practical importance
RECONSTRUCTED = ("lsid_fcnn",)  # networks without a public source
RECIPE = {"lr", "clip", "schedule", "augment", "optimizer"}  # options that decide how fast a network learns
FOURFOLD = ("fsrcnn_x4", "srresnet", "drn_s")  # networks that enlarge four times
AIRLIGHT_ONE = ("mscnn",)  # networks whose form of the printed size knows the airlight of SOTS-indoor
SAME = 0.1  # % of the gradient, below which a loss changes a training no more than chance does
STRONGER = 10.0  # times the gradient's share, above which two losses are of unequal strength
COMPARISONS = ("gain", "at_most")  # rules that need the limits of an interval


# ----------------------------------------------------------- rules: True, False, or None where the interval cannot tell


def digits(found: Finding, claim: Claim) -> bool:
    """Less than one unit of the last printed digit from the printed number."""
    return abs(found.interval.value - claim.printed) < last_digit(claim.value)


def close(found: Finding, claim: Claim) -> bool:
    """Within the tolerance of the printed number."""
    return abs(found.interval.value - claim.printed) <= tolerance(claim)


def reaches(found: Finding, claim: Claim) -> bool:
    """At least the printed number less the tolerance: a higher score reaches it, too."""
    return found.interval.value >= claim.printed - tolerance(claim)


def contains(found: Finding, claim: Claim) -> bool:
    """The printed number lies within the interval."""
    return found.interval.low <= claim.printed <= found.interval.high


def gain(found: Finding, claim: Claim) -> bool | None:
    """True if the interval lies above zero and the value at half to twice the printed size, where one is printed; False
    if the interval lies wholly outside that range, or below zero where no size is printed."""
    interval = found.interval
    if not claim.value:
        return positive(interval)
    least, most = (times * claim.printed for times in SIZE)
    if interval.high < least or interval.low > most:
        return False
    if interval.low > 0 and least <= interval.value <= most:
        return True
    return None


def at_most(found: Finding, claim: Claim) -> bool | None:
    """True if the whole interval is at most the printed size plus 0.1 dB, False if all of it is above."""
    return below(found.interval, claim.printed + MARGIN_DB)


def own(found: Finding, claim: Claim) -> bool | None:
    """As the measure itself decided; the claim's note says how."""
    return found.holds


RULES: dict[str, Callable[[Finding, Claim], bool | None]] = {
    rule.__name__: rule for rule in (digits, close, reaches, contains, gain, at_most, own)}


def positive(interval: Interval) -> bool | None:
    """Returns whether an interval lies above zero (True), below it (False) or neither (None)."""
    return {1: True, -1: False, 0: None}[interval.sign()]


def below(interval: Interval, limit: float) -> bool | None:
    """Returns whether an interval lies at or below a limit (True), above it (False) or neither (None)."""
    if interval.high <= limit:
        return True
    return False if interval.low > limit else None


def inside(interval: Interval, least: float, most: float) -> bool | None:
    """Returns whether an interval lies inside a range (True), wholly outside of it (False) or neither (None)."""
    if least <= interval.low and interval.high <= most:
        return True
    return False if interval.high < least or interval.low > most else None


def together(parts: Iterable[bool | None]) -> bool | None:
    """Returns whether all parts hold: False if one does not, None if none fails but one is undecided."""
    parts = list(parts)
    if False in parts:
        return False
    return None if None in parts else True


def tolerance(claim: Claim) -> float:
    """Returns a claim's tolerance in its unit."""
    if claim.tolerance.endswith("%"):
        return float(claim.tolerance.rstrip(" %")) / 100 * abs(claim.printed)
    return float(claim.tolerance)


def last_digit(printed: str) -> float:
    """Returns one unit of the last significant digit; zeros at the end of a whole number do not count.

    >>> last_digit("64.039"), last_digit("122000"), last_digit("7")
    (0.001, 1000.0, 1.0)
    """
    _, _, fraction = printed.partition(".")
    if fraction:
        return 10.0 ** -len(fraction)
    return 10.0 ** (len(printed) - len(printed.rstrip("0")))


# --------------------------------------------------------------------------------------- caveats: reasons not to decide


def reconstruction(rows: Rows, claim: Claim, found: Finding) -> bool:
    return claim.measure == "score" and found.labels[0] in RECONSTRUCTED


def airlight(rows: Rows, claim: Claim, found: Finding) -> bool:
    return claim.measure == "score" and found.labels[0] in AIRLIGHT_ONE


def unequal_strength(rows: Rows, claim: Claim, found: Finding) -> bool:
    shares = [share for share in map(rows.gradient_share, found.labels) if share > 0]
    return len(shares) > 1 and max(shares) > STRONGER * min(shares)


def fewer_images(rows: Rows, claim: Claim, found: Finding) -> bool:
    if len(found.labels) != 1 or found.interval.value >= claim.printed - tolerance(claim):
        return False
    return fewer_than_published(rows, found.labels[0])


def below_bicubic(rows: Rows, claim: Claim, found: Finding) -> bool:
    return _compared(found) and any(scores_below_bicubic(rows, label) for label in found.labels)


def unequal_budgets(rows: Rows, claim: Claim, found: Finding) -> bool:
    budgets = {images for images in map(rows.training_images, found.labels) if not math.isnan(images)}
    return _compared(found) and len(budgets) > 1


def unequal_recipes(rows: Rows, claim: Claim, found: Finding) -> bool:
    pairs = itertools.combinations(found.labels, 2)
    apart = {option for a, b in pairs for option in rows.options_apart(a, b)}
    return bool(apart & RECIPE) and any(fewer_than_published(rows, label) for label in found.labels)


def one_seed(rows: Rows, claim: Claim, found: Finding) -> bool:
    return _compared(found) and min(rows.seeds(label) for label in found.labels) < 2


def no_limits(rows: Rows, claim: Claim, found: Finding) -> bool:
    return claim.rule in COMPARISONS and not found.interval.bounded


CAVEATS = {  # the first that applies leaves a claim open
    Reason.RECONSTRUCTION: reconstruction, Reason.AIRLIGHT: airlight, Reason.UNEQUAL_STRENGTH: unequal_strength,
    Reason.FEWER_IMAGES: fewer_images, Reason.BELOW_BICUBIC: below_bicubic,
    Reason.UNEQUAL_BUDGETS: unequal_budgets, Reason.UNEQUAL_RECIPES: unequal_recipes, Reason.ONE_SEED: one_seed,
    Reason.NO_LIMITS: no_limits}


def decide(rows: Rows, claim: Claim, found: Finding) -> tuple[Status, Reason | None]:
    """Returns the status of a claim and, if not its rule alone decides, the reason."""
    reason = found.reason or next((why for why, applies in CAVEATS.items() if applies(rows, claim, found)), None)
    if reason:
        return Status.NOT_TESTED, reason
    if same_training(rows, found):
        return (Status.AGREES if claim.rule == "at_most" else Status.NO_EFFECT), Reason.SAME_TRAINING
    holds = RULES[claim.rule](found, claim)
    if holds:
        return Status.AGREES, None
    reduced = _compared(found) and any(fewer_than_published(rows, label) for label in found.labels)
    if reduced and claim.rule == "gain" and not_seen(claim, found.interval):
        return Status.NO_EFFECT, None
    if holds is None:
        return Status.INCONCLUSIVE, Reason.INCONCLUSIVE
    if reduced:  # what holds for scores holds for their differences
        return Status.NOT_TESTED, Reason.FEWER_IMAGES
    return (Status.CONTRADICTED if claim.basis == "paper" else Status.DISAGREES), None


def same_training(rows: Rows, found: Finding) -> bool:
    """Returns whether what was compared has an affinity loss too weak to change a training, which no number of seeds
    would show better."""
    shares = [rows.gradient_share(label) for label in found.labels]
    return _compared(found) and all(share < SAME for share in shares)


def not_seen(claim: Claim, interval: Interval) -> bool:
    """Returns whether an interval is not above zero and excludes half the printed gain, where one is printed."""
    excludes = not claim.value or interval.high < SIZE[0] * claim.printed
    return interval.low <= 0 and excludes


def fewer_than_published(rows: Rows, label: str) -> bool:
    """Returns whether a label's runs were trained on fewer images than the paper's; False for what is not trained."""
    return rows.training_images(label) < published_images(rows.task(label))


def scores_below_bicubic(rows: Rows, label: str) -> bool:
    """Returns whether a super-resolution network scores below bicubic resizing by its own factor, on the images that
    both have; False for other labels, and where that control was not run."""
    network, _, target = label.rpartition("-")
    if target not in ("native", "upsampled"):
        return False
    control = f"bicubic_x4-{target}" if network in FOURFOLD else f"bicubic-{target}"
    theirs = rows.of(control).groupby("image").psnr_rgb.mean()
    ours = rows.of(label).groupby("image").psnr_rgb.mean()
    shared = theirs.index.intersection(ours.index)
    return bool(ours[shared].mean() < theirs[shared].mean())


def _compared(found: Finding) -> bool:
    return len(found.labels) > 1
