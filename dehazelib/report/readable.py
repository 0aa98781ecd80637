"""A few columns of a table, for people: headings with units, a value beside its interval."""

from collections.abc import Mapping
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from dehazelib.report.columns import cell
from dehazelib.report.interval import SUFFIX, Interval

# how the first of three columns begins -> unit
UNITS = {"psnr": "dB", "difference": "dB", "ssim": "ssim", "latency": "ms"}
BELOW = {"selector": "caption", "props": "caption-side: bottom; text-align: left"}


def readable(table: pd.DataFrame, columns: Mapping[str, str | list[str]], caption: str = "") -> Styler:
    """Returns a table to show in a notebook, with these headings and, below it, the caption.

    columns: heading -> a column, or three of them: value and limits, shown as "20.32 [20.05, 20.60]"; the heading says
    the unit. A cell without a number is empty.
    """
    shown = texts(table, columns)
    numbers = [heading for heading, column in columns.items() if not isinstance(column, str) or _counts(table[column])]
    styled = shown.style.format(escape="html").hide(axis="index").set_caption(escape(caption))
    styled = styled.set_table_styles([BELOW])
    return styled.set_properties(subset=numbers, **{"text-align": "right", "white-space": "nowrap"})


def texts(table: pd.DataFrame, columns: Mapping[str, str | list[str]]) -> pd.DataFrame:
    """Returns the same columns of the table, with these headings, as text."""
    rows = table.to_dict("records")
    return pd.DataFrame({heading: [_text(row, column) for row in rows] for heading, column in columns.items()})


def _text(row: dict, column: str | list[str]) -> str:
    if isinstance(column, str):
        value = row[column]
        return f"{value:,}" if isinstance(value, int) else cell(column, value).replace("_", " ")
    first = column[0]
    unit = next((unit for start, unit in UNITS.items() if first.startswith(start)), "")
    text = Interval(*(row[name] for name in column)).text(unit, signed="difference" in first)
    return text.removesuffix(SUFFIX.get(unit, ""))


def _counts(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values)
