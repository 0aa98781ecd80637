"""Files that appear whole or not at all: written beside their place, then renamed."""

import os
from pathlib import Path

import pandas as pd


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text with \\n line ends."""
    scratch = path.with_name(path.name + ".writing")
    scratch.write_text(text, encoding="utf-8", newline="\n")
    os.replace(scratch, path)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV without its index."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
