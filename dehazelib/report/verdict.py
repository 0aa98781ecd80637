"""Every claim of the paper: their number, ours, its interval, and whether it was reproduced. From CSV files only."""

from pathlib import Path

import numpy as np
import pandas as pd

from dehazelib.report.claims import NOT_TESTED, VERDICTS, Measurement, NotTested, ruling
from dehazelib.report.claims_cost import COST
from dehazelib.report.claims_printed import PRINTED
from dehazelib.report.claims_quality import QUALITY
from dehazelib.report.rows import Rows, published
from dehazelib.report.tables import write_files

QUANTITIES = QUALITY | COST | PRINTED  # name of a quantity -> function (study, claim) -> Measurement
COLUMNS = ["id", "where", "claim", "quantity", "value", "unit", "ours", "low", "high", "verdict", "why", "source"]


def verdicts(folder: Path) -> pd.DataFrame:
    """Returns one row per claim: columns COLUMNS. `why` ends with the rule; `source` names the file and its rows.

    folder: a study, results/<study>. Raises ValueError for a quantity that nothing here measures, FileNotFoundError if
    there is no such folder.
    """
    study = Rows(folder)
    claims = published("claims", text=True)
    return pd.DataFrame([verdict(study, claim) for _, claim in claims.iterrows()], columns=COLUMNS)


def verdict(study: Rows, claim: pd.Series) -> dict:
    """Returns one row of `verdicts`. A claim whose rows are absent is not tested, and `why` says what is absent."""
    if claim.quantity not in QUANTITIES:
        raise ValueError(f"claims.csv: nothing measures {claim.quantity} of {claim.id}; add it to QUANTITIES.")
    row = {name: claim[name] for name in COLUMNS[:6]} | {"value": float(claim.value) if claim.value else np.nan}
    try:
        m: Measurement = QUANTITIES[claim.quantity](study, claim)
    except NotTested as reason:
        return row | {name: np.nan for name in ("ours", "low", "high")} | {
            "verdict": NOT_TESTED, "why": str(reason), "source": ""}
    name, rule = ruling(m, claim)
    return row | {"ours": m.value, "low": m.low, "high": m.high, "verdict": name, "why": f"{m.why}; rule: {rule}",
                  "source": m.source}


def write(folder: Path) -> pd.DataFrame:
    """Returns the verdicts after writing them to <folder>/tables/verdict.csv and verdict.md."""
    table = verdicts(folder)
    counts = ", ".join(f"{count} {name}" for name, count in _count(table).items())
    write_files(folder, "verdict", f"Claims of the paper: {counts}", table)
    return table


def summary(folder: Path) -> dict[str, int]:
    """Returns how many claims have each verdict."""
    return _count(verdicts(folder))


def _count(table: pd.DataFrame) -> dict[str, int]:
    return {name: int((table.verdict == name).sum()) for name in VERDICTS}
