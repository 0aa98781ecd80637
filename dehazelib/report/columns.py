"""The columns of tables: those that belong together, how many decimals each shows, and a table's two files."""

from pathlib import Path

import numpy as np
import pandas as pd

from dehazelib.files import write_text

PSNR = ["psnr_rgb", "psnr_low", "psnr_high"]
SSIM = ["ssim_gauss11_rgb", "ssim_low", "ssim_high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]
TWO_WAY = ["difference_two_way_low", "difference_two_way_high"]  # limits from all trainings together
VALIDATION = ["validation_difference", "validation_low", "validation_high"]  # on held-out training scenes
MEAN = ["mean", "mean_low", "mean_high"]
GROUPS = {  # as tables.yaml names them
    "PSNR": PSNR, "SSIM": SSIM, "DIFFERENCE": DIFFERENCE, "TWO_WAY": TWO_WAY, "VALIDATION": VALIDATION, "MEAN": MEAN,
    "COMPARED": [*DIFFERENCE, "seeds_compared"],  # over the seeds that both have; a score is over all of its own
    "PSNR_WITH": [f"{name}_with" for name in PSNR],
    "LATENCY": ["latency_ms", "latency_ms_low", "latency_ms_high"],
    "AMOUNT": ["seeds", "images", "status"],
}
DECIMALS = {  # how a column's name begins -> decimals in Markdown; the first that fits; 0: whole numbers
    "parameters": 0, "training_images": 0, "images": 0, "seeds": 0, "runs": 0, "level": 0, "agree": 0, "validations": 0,
    "psnr": 2, "ssim": 4, "difference_to_ours": 4, "difference": 3, "validation": 3, "gain": 2, "best_epoch": 1,
    "best_validation": 2, "held_out": 2, "gflops": 3, "size": 3, "latency": 2, "peak": 1, "minutes": 1, "mean": 4,
    "before": 4, "after": 4, "change": 4, "p_holm": 3,
}
AS_PRINTED = "_published"  # how columns of the paper's own numbers end: all of their digits are shown


def decimals(column: str) -> int | None:
    """Returns how many decimals a column shows; None if as many as its numbers have.

    >>> decimals("psnr_low"), decimals("seeds_compared"), decimals("psnr_published")
    (2, 0, None)
    """
    if column.endswith(AS_PRINTED) and not column.startswith("parameters"):
        return None
    return next((digits for start, digits in DECIMALS.items() if column.startswith(start)), None)


def frame(lines: list[dict], columns: str) -> pd.DataFrame:
    """Returns a table of these lines, empty where a line says nothing; whole numbers are Int64. columns: their names
    and those of GROUPS, with spaces between."""
    names = [name for word in columns.split() for name in GROUPS.get(word, [word])]
    table = pd.DataFrame(lines, columns=names)
    whole = [name for name in names if decimals(name) == 0]
    return table.astype(dict.fromkeys(whole, "Float64")).astype(dict.fromkeys(whole, "Int64"))


def write_files(folder: Path, name: str, title: str, table: pd.DataFrame) -> None:
    """Writes <folder>/tables/<name>.csv (six decimals) and <name>.md (rounded); the same table gives the same bytes."""
    target = Path(folder) / "tables"
    target.mkdir(parents=True, exist_ok=True)
    write_text(target / f"{name}.csv", table.round(6).to_csv(index=False, lineterminator="\n"))
    write_text(target / f"{name}.md", f"# {title}\n\n{markdown(table)}\n")


def markdown(table: pd.DataFrame) -> str:
    """Returns a table as Markdown: rounded by column, empty where there is no number, infinite as the sign. Cells are
    not padded, so that a changed number changes one line."""
    numbers = set(table.select_dtypes("number"))
    lines = [list(table), ["---:" if column in numbers else "---" for column in table]]
    for row in table.to_dict("records"):
        lines.append([cell(column, value).replace("|", r"\|") for column, value in row.items()])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(column: str, value: object) -> str:
    """Returns a value of a column as text: rounded, empty where there is none."""
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value)
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    digits = decimals(column)
    if digits is not None:
        return f"{value:.{digits}f}"
    if column.endswith(AS_PRINTED):
        return f"{value:.10g}"
    return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
