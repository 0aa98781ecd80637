"""What a verdict is: a claim of the paper, what was found, whether the claim held, and if nothing was decided, why."""

from dataclasses import dataclass, field
from enum import StrEnum

from dehazelib.report.interval import UNKNOWN, Interval


class Status(StrEnum):
    AGREES = "agrees"
    DISAGREES = "disagrees"
    CONTRADICTED = "contradicted by the paper's own tables or code"
    NO_EFFECT = "no effect at reduced scale"  # a gain that is not there after far fewer images than in the paper
    INCONCLUSIVE = "inconclusive"  # measured, but the interval cannot tell
    NOT_TESTED = "not tested"  # nothing measured could tell


class Reason(StrEnum):
    """Why a verdict is not a matter of its rule alone. All but the first two make a claim NOT_TESTED."""

    INCONCLUSIVE = "the interval includes values that agree with the claim and values that do not"
    SAME_TRAINING = ("the affinity loss has less than 0.1 % of the gradient in each of the trainings compared, so that "
                     "they are one training but for chance")
    NOT_RUN = "it was not run"
    OTHER_TEST_SET = "it was scored on other images than those of SOTS-indoor"
    FEWER_IMAGES = ("it was trained on fewer images than in the paper, so that a lower score or another gain "
                    "contradicts nothing")
    BELOW_BICUBIC = "a network scores below bicubic resizing, so that the size of the difference means nothing yet"
    UNEQUAL_BUDGETS = "the runs compared were trained on different numbers of images"
    UNEQUAL_RECIPES = "the networks were trained on fewer images than in the paper and by different recipes"
    UNEQUAL_STRENGTH = ("the affinity losses compared have very different shares of the gradient, so that the "
                        "difference tells of their strength, not of their form")
    AIRLIGHT = ("the form of the network that has the printed size takes the airlight to be 1, as it is in "
                "SOTS-indoor, where the published one estimates it")
    ONE_SEED = "with one seed a better training cannot be told from a luckier one"
    NO_LIMITS = "the difference has no interval: a score is infinite, or it was measured once"
    RECONSTRUCTION = "the network has no public source, and ours is a reconstruction from its parameter count"
    FEWER_STEPS = "it was fitted in fewer steps than its authors take"
    OTHER_STOPPING = "its authors stop each image where the ground truth is met best, which was not run"
    ON_CPU = "it was timed on a CPU only"
    OTHER_GPU = "it was timed on another machine than the paper's"
    INCOMPLETE = "not everything that the claim speaks of was measured"
    UNSTATED = "the paper does not say what would decide it"
    UNSEEN = "the authors' files, and what they did with them, are not seen here"


@dataclass(frozen=True)
class Claim:
    """One row of results/published/claims.csv, all cells as text."""

    id: str
    where: str  # in the paper
    claim: str
    value: str  # as printed, in `unit`; empty where the paper prints no number
    unit: str
    basis: str  # what decides it: scores, computing (and data), or paper (its own tables and code)
    measure: str  # a key of claims.MEASURES
    a: str  # what is measured: a label, a network or a table
    b: str  # what it is compared with
    metric: str
    rule: str  # a key of rules.RULES
    tolerance: str  # of the rule, in `unit` or, with a percent sign, in % of the printed number
    note: str

    @property
    def printed(self) -> float:
        """The printed number, NaN where there is none."""
        return float(self.value or "nan")

    @property
    def signed(self) -> bool:
        """Whether what is measured is a difference, to be written with its sign."""
        return self.rule in ("gain", "at_most")


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim.

    interval: in the claim's unit. labels: of scores.csv, those compared with one another or with the printed number.
    evidence: name -> numbers, names or intervals that it rests on. sources: files and their rows.
    holds: for a measure that decides by itself (rule "own"). reason: why the measure leaves the claim open.
    """

    interval: Interval
    sources: tuple[str, ...]
    evidence: dict = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    holds: bool | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class Verdict:
    """The judgement of one claim. reason: why the rule alone did not decide, else None. The rest is as in Finding."""

    claim: Claim
    status: Status
    interval: Interval = UNKNOWN
    reason: Reason | None = None
    evidence: dict = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        return self.status not in (Status.INCONCLUSIVE, Status.NOT_TESTED)

    @property
    def excluded(self) -> Interval:
        """Returns, where the interval shows no effect, the size above which one is excluded: 0 where all of it is below
        that. Unknown for other verdicts, those by calculation among them."""
        if self.status != Status.NO_EFFECT or self.reason or not self.interval.bounded:
            return UNKNOWN
        return Interval(max(self.interval.high, 0.0))


class NotTested(Exception):
    """The rows cannot decide a claim: the reason, and what is missing or was found instead."""

    def __init__(self, reason: Reason, **evidence):
        super().__init__(reason)
        self.reason, self.evidence = reason, evidence
