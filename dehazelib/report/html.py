"""report.html: a study on one page that needs no network: claims, findings, tables, figures, scenes to compare."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from dehazelib.figures.compressed import data_url
from dehazelib.files import write_text
from dehazelib.report import claims, facts, tables
from dehazelib.report.columns import GROUPS
from dehazelib.report.language import ENVIRONMENT
from dehazelib.report.readable import texts
from dehazelib.report.rows import Rows
from dehazelib.report.text import HEADLINE, as_read

PAGE, TEMPLATE = "report.html", "report.html.j2"


def write(rows: Rows, scenes: Mapping[str, str] | None = None) -> Path:
    """Returns the page of a study after writing its tables, its verdicts and <study>/report.html.

    scenes: name -> HTML of a scene before and after dehazing, as figures.slider gives it.
    """
    tables.write_all(rows)
    claims.write(rows)
    file = rows.folder / PAGE
    write_text(file, page(rows, scenes or {}))
    return file


def page(rows: Rows, scenes: Mapping[str, str]) -> str:
    """Returns the page. Raises ValueError if the study has no student."""
    verdicts = {one.claim.id: one for one in claims.verdicts(rows)}
    environment = rows.folder / "environment.json"
    known = facts.facts(rows) | {
        "environment": json.loads(environment.read_text()) if environment.exists() else {},
        "scenes": {name: Markup(html) for name, html in scenes.items()},
        "main_claims": [_read(verdicts[name]) for name in HEADLINE],
        "other_claims": [_read(one) for name, one in verdicts.items() if name not in HEADLINE],
        "counts": claims.counts(rows),
        "tables": [(name, about["title"], table) for name, about in tables.TABLES.items()
                   if len(table := for_people(name, tables.table(name, rows)))],
        "figures": {file.stem: data_url(file) for file in figure_files(rows.folder / "figures")},
    }
    return ENVIRONMENT.overlay(autoescape=True).get_template(TEMPLATE).render(known)


def for_people(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns of a table that tables.yaml names for the page, as text; empty if it holds nothing measured
    or printed."""
    if not len(table) or set(table.get("status", ["measured"])) <= {"not run"} and "psnr_published" not in table:
        return pd.DataFrame()
    return texts(table, {heading: GROUPS.get(name, name) for heading, name in tables.TABLES[name]["page"].items()})


def figure_files(folder: Path) -> list[Path]:
    """Returns the study's figures: those of the paper in its order, then the others."""
    files = sorted(folder.rglob("*.png"))
    return sorted(files, key=lambda file: not file.stem.startswith("fig"))


def _read(one) -> dict[str, str]:
    return as_read(one) | {"why": claims.why(one), "where": one.claim.where}
