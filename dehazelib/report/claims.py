"""The paper's claims and what becomes of them: results/published/claims.csv and the rows of a study give verdicts.

A row of claims.csv says what to measure (`measure`, `a`, `b`, `metric`: see measures.py, and for what one claim alone
needs special.py and special_scores.py) and when the claim holds (`rule`, `tolerance`: see rules.py). Sentences are
written last, by templates/why.md.j2; nothing reads them.
"""

import functools

import pandas as pd

from dehazelib.report import language, measures, special, special_scores
from dehazelib.report.columns import write_files
from dehazelib.report.rows import Rows, published
from dehazelib.report.rules import RULES, decide
from dehazelib.report.verdict import Claim, NotTested, Status, Verdict

MEASURES = measures.MEASURES | special.MEASURES | special_scores.MEASURES


def claims() -> list[Claim]:
    """Returns the paper's claims. Raises ValueError naming a row whose measure or rule there is not."""
    found = [Claim(**row) for row in published("claims", text=True).to_dict("records")]
    for claim in found:
        if claim.measure not in MEASURES or claim.rule not in RULES:
            raise ValueError(f"claims.csv: {claim.id} has measure {claim.measure} and rule {claim.rule}; "
                             f"measures are in measures.py and the special files, rules in rules.py.")
    return found


@functools.cache
def verdicts(rows: Rows) -> tuple[Verdict, ...]:
    """Returns one verdict per claim, in the order of claims.csv. Without rows of what it needs, one is not tested."""
    return tuple(verdict(rows, claim) for claim in claims())


def verdict(rows: Rows, claim: Claim) -> Verdict:
    """Returns the verdict on a claim."""
    try:
        found = MEASURES[claim.measure](rows, claim)
    except NotTested as absent:
        return Verdict(claim, Status.NOT_TESTED, reason=absent.reason, evidence=absent.evidence)
    status, reason = decide(rows, claim, found)
    return Verdict(claim, status, found.interval, reason, found.evidence, found.sources, found.labels)


def counts(rows: Rows) -> dict[Status, int]:
    """Returns how many claims have each status."""
    found = [one.status for one in verdicts(rows)]
    return {status: found.count(status) for status in Status}


def table(rows: Rows) -> pd.DataFrame:
    """Returns one row per claim: id, where, claim, value, unit (as printed), ours, low, high, verdict, why, source."""
    return pd.DataFrame([{
        "id": one.claim.id, "where": one.claim.where, "claim": one.claim.claim, "value": one.claim.printed,
        "unit": one.claim.unit, "ours": one.interval.value, "low": one.interval.low, "high": one.interval.high,
        "verdict": str(one.status), "why": why(one), "source": "; ".join(one.sources)} for one in verdicts(rows)])


def why(one: Verdict) -> str:
    """Returns in words why a verdict is what it is: the rule or the reason, and what it rests on."""
    return " ".join(language.render("why", verdict=one).split())


def write(rows: Rows) -> pd.DataFrame:
    """Returns the verdicts after writing them to <study>/tables/verdict.csv and verdict.md."""
    found = table(rows)
    told = ", ".join(f"{status} {count}" for status, count in counts(rows).items())
    write_files(rows.folder, "verdict", f"Claims of the paper: {told}", found)
    return found
