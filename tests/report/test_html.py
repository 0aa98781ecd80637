"""report.html holds all that a study has, inside: claims, tables, figures, scenes."""

import re
import shutil
from html import unescape

import numpy as np
import pytest

from dehazelib import figures, paths
from dehazelib.report import claims, html, tables
from dehazelib.report.rows import Rows

STUDY = paths.ROOT / "results" / "cpu-nyu"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Returns the committed study with one figure and the page of it."""
    folder = tmp_path_factory.mktemp("results") / "study"
    shutil.copytree(STUDY, folder, ignore=shutil.ignore_patterns("runs", "figures"))
    (folder / "figures" / "local").mkdir(parents=True)
    for name in ("fig1", "gains"):
        shutil.copy(STUDY / "figures" / f"{name}.png", folder / "figures")
    shutil.copy(STUDY / "figures" / "scores.png", folder / "figures" / "local" / "photographs.png")
    grey = np.full((24, 32, 3), 128, np.uint8)
    rows = Rows(folder)
    return rows, html.page(rows, {"0_1: 12.0 dB, dehazed 20.0 dB": figures.slider(grey, grey)})


def test_nothing_is_loaded_from_elsewhere(made):
    _, page = made
    assert not re.search(r"https?://|<link|<script|@import|url\(", page)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', page))


def test_every_table_with_rows_every_figure_and_the_scenes_are_in_it(made):
    rows, page = made
    for name in [f"table{number}" for number in range(1, 10)]:
        assert f'<h3 id="{name}">{tables.TABLES[name]["title"]}</h3>' in unescape(page)
    assert re.findall(r'<figure id="(\w+)"', page) == ["fig1", "gains", "photographs"]
    assert page.count('class="compare"') == 1 and "dehazed 20.0 dB" in page


def test_the_main_claims_come_first_and_all_are_there(made):
    rows, page = made
    main, _ = page.split("<details>")
    assert all(one.claim.claim in unescape(page) for one in claims.verdicts(rows))
    assert main.count("<tr><td>") == len(html.HEADLINE)


def test_no_table_has_more_than_seven_columns_and_values_stand_beside_their_interval(made):
    rows, _ = made
    for name in tables.TABLES:
        assert len(tables.TABLES[name]["page"]) <= 7
    table5 = html.for_people("table5", tables.table("table5", rows))
    assert re.fullmatch(r"\d\d\.\d\d \[\d\d\.\d\d, \d\d\.\d\d\]", table5.set_index("network").loc["AOD-Net"].iloc[3])
