"""report.html: a study on one page that needs no network: claims, findings, tables, figures, scenes to compare."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from dehazelib.figures.compressed import data_url
from dehazelib.files import write_text
from dehazelib.report import claims, facts, tables
from dehazelib.report.columns import DIFFERENCE, PSNR, SSIM
from dehazelib.report.language import ENVIRONMENT
from dehazelib.report.readable import texts
from dehazelib.report.rows import Rows
from dehazelib.report.text import HEADLINE, as_read

PAGE, TEMPLATE = "report.html", "report.html.j2"
WITH = [f"{name}_with" for name in PSNR]
SIZES = {"network": "model", "parameters printed": "parameters_published", "parameters here": "parameters"}
RESOLUTION = SIZES | {"PSNR printed, dB": "psnr_published", "PSNR here, dB": PSNR, "status": "status"}
ABLATION = {"PSNR printed, dB": "psnr_published", "PSNR here, dB": PSNR, "difference, dB": DIFFERENCE,
            "status": "status"}
SHOWN = {  # table -> heading -> its column, or the three columns of an interval; at most seven headings
    "table1": RESOLUTION, "table2": RESOLUTION, "table3": RESOLUTION, "table4": RESOLUTION,
    "table5": {"network": "model", "test images": "test_set", "parameters": "parameters",
               "PSNR printed, dB": "psnr_published", "PSNR here, dB": PSNR, "SSIM here": SSIM, "status": "status"},
    "table6": {"variant": "reading", "teacher": "resolution"} | ABLATION,
    "table7": {"variant": "reading", "weight": "w_fa"} | ABLATION,
    "table8": {"variant": "reading", "distance": "distance"} | ABLATION,
    "table9": {"network": "model", "parameters": "parameters", "GFLOPs printed": "gflops_published",
               "GFLOPs here": "gflops_profiler", "ms printed (GPU)": "inference_ms_published",
               "ms here": ["latency_ms", "latency_ms_low", "latency_ms_high"], "status": "status"},
    "table_plug_and_play": {"network": "model", "PSNR without, dB": PSNR, "PSNR with, dB": WITH,
                            "difference, dB": DIFFERENCE, "seeds": "seeds_compared", "verdict": "verdict"},
    "table_controls": {"framework": "model", "PSNR, dB": PSNR, "difference to the student, dB": DIFFERENCE,
                       "verdict": "verdict", "seeds": "seeds", "images": "images", "status": "status"},
    "table_protocols": {"run": "label", "protocol": "what", "value": ["mean", "mean_low", "mean_high"],
                        "difference to ours": "difference_to_ours", "status": "status"},
    "table_levels": {"run": "label", "haze level": "level", "beta": "beta", "PSNR, dB": PSNR,
                     "gain over hazy, dB": "gain_over_hazy", "images": "images"},
    "table_search": {},
    "table_selection": {"run": "label", "chosen on validation, dB": "psnr_selected_on_validation",
                        "chosen on test, dB": "psnr_selected_on_test", "difference, dB": DIFFERENCE,
                        "seeds": "seeds", "status": "status"},
    "table_longest": {"run": "label", "images seen": "images_seen", "validation PSNR, dB": "held_out_psnr_rgb",
                      "PSNR, dB": "psnr_rgb", "SSIM": "ssim_gauss11_rgb", "difference, dB": "difference",
                      "status": "status"},
    "table_real_hazy": {},
}
MOST_COLUMNS = 7


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
        "tables": [(name, title, table) for name, (title, _) in tables.TABLES.items()
                   if len(table := for_people(name, tables.table(name, rows)))],
        "figures": {file.stem: data_url(file) for file in figure_files(rows.folder / "figures")},
    }
    return ENVIRONMENT.overlay(autoescape=True).get_template(TEMPLATE).render(known)


def for_people(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table as text with at most seven columns; empty if it holds nothing measured or printed."""
    if not len(table) or set(table.get("status", ["measured"])) <= {"not run"} and "psnr_published" not in table:
        return pd.DataFrame()
    shown = SHOWN[name] or {column: column for column in list(table)[:MOST_COLUMNS]}
    return texts(table, shown)


def figure_files(folder: Path) -> list[Path]:
    """Returns the study's figures: those of the paper in its order, then the others."""
    files = sorted(folder.rglob("*.png"))
    return sorted(files, key=lambda file: not file.stem.startswith("fig"))


def _read(one) -> dict[str, str]:
    return as_read(one) | {"why": claims.why(one), "where": one.claim.where}
