"""The hand-typed numbers of the paper agree with one another."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import pytest

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
ROWS = {1: 5, 2: 3, 3: 3, 4: 3, 5: 18, 6: 2, 7: 3, 8: 3, 9: 9}
UNITS = {"dB", "ssim", "parameters", "gflops", "ms", "percent", "ratio", "MB", "images", "count"}
STATED_IN_TEXT_ONLY = {"its_clear_images", "its_hazy_images", "sots_test_pairs", "sots_outdoor_pairs"}
ONLY_ABOUT = {"about_20x_smaller"}


def read(name):
    """Text cells of one CSV, so that every printed digit survives."""
    return pd.read_csv(PUBLISHED / f"{name}.csv", dtype=str, keep_default_na=False)


TABLES = {number: read(f"table{number}").set_index("key", drop=False) for number in ROWS}
CLAIMS = read("claims").set_index("id", drop=False)
LABELS = {  # label -> table and key of its printed row
    **{f"{key}-{target}": (number, key) for number, target in ((1, "native"), (2, "upsampled"), (3, "native"),
                                                              (4, "upsampled")) for key in TABLES[number].index},
    **{key: (5, key) for key in TABLES[5].index},
    "zid_oracle": (5, "zid"), "framework-as_released": (5, "full_framework"),
    "framework-as_released-lr": (6, "lr"), "framework-as_released-l1": (8, "l1"), "framework-as_released-kl": (8, "kl"),
    **{key: (3, key) for key in TABLES[3].index}, "mc_fsrcnn": (1, "mc_fsrcnn"),
}
COLUMNS = {"psnr_rgb": "psnr", "ssim_gauss11_rgb": "ssim", "gflops_profiler": "gflops", "latency_ms": "inference_ms",
           "size_torch_mb": "size_mb", "parameters": "parameters"}


def cell(number, key, column):
    table = TABLES[number]
    if column == "parameters" and column not in table:
        return Decimal(table.loc[key, "parameters_millions"]) * 10**6
    return Decimal(table.loc[key, column])


def printed(claim, label):
    """Returns what the tables print of the first of some labels, in the column that a claim measures."""
    number, key = LABELS[{"full_framework": "framework-as_released", "student-equal_budget | student": "student",
                          }.get(label, label.split(" | ")[0])]
    if claim.measure == "cost":
        number = 9
    return cell(number, key, COLUMNS[claim.metric])


def recomputed(claim):
    """Returns the number of a claim by the printed tables, as its measure has it."""
    if claim.id == "w_fa_insignificant":
        values = [cell(7, key, "psnr") for key in TABLES[7].index]
        return max(values) - min(values)
    if claim.id == "batch_norm_parameters":
        return cell(3, "dscbn_mc_fsrcnn", "parameters")
    ours = printed(claim, claim.a)
    if claim.measure == "student_over_lightweight":
        return ours - cell(5, "famed_net", "psnr")
    if claim.measure not in ("difference", "parameters") or not claim.b:
        return ours
    theirs = printed(claim, claim.b)
    if claim.unit == "percent":
        return 100 * (ours - theirs) / (theirs if claim.measure == "difference" else ours)
    return ours / theirs if claim.unit == "ratio" else ours - theirs


@pytest.mark.parametrize("number", ROWS)
def test_table_has_the_printed_number_of_rows_and_no_repeated_or_empty_cell(number):
    table = TABLES[number]
    assert len(table) == ROWS[number]
    assert table.index.is_unique
    assert (table != "").all(axis=None)


@pytest.mark.parametrize("number", ROWS)
def test_every_cell_beside_the_names_is_a_positive_number(number):
    names = ["key", "model", "resolution", "distance", "parameters_printed"]
    numbers = TABLES[number].drop(columns=names, errors="ignore")
    assert (numbers.astype(float) > 0).all(axis=None)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_parameters_are_the_printed_ones(number):
    unit = {"K": 10**3, "M": 10**6}
    printed = TABLES[number]["parameters_printed"].map(lambda text: Decimal(text[:-1]) * unit[text[-1]])
    assert (printed == TABLES[number]["parameters"].map(Decimal)).all()


@pytest.mark.parametrize("number, key", [(6, "hr"), (7, "0.25"), (8, "l2")])
def test_the_final_model_has_the_same_scores_in_every_table(number, key):
    for metric in ("psnr", "ssim"):
        assert cell(number, key, metric) == cell(5, "full_framework", metric)


def test_tables_5_and_9_count_the_same_parameters():
    for key in TABLES[9].index:
        printed = cell(9, key, "parameters_millions")
        assert cell(5, key, "parameters_millions").quantize(printed) == printed, key


def test_claims_are_complete_and_unique():
    assert CLAIMS.index.is_unique
    assert CLAIMS["id"].str.fullmatch(r"[a-z0-9_]+").all()
    assert (CLAIMS[["id", "where", "claim", "basis", "measure", "rule"]] != "").all(axis=None)
    assert set(CLAIMS["basis"]) == {"scores", "computing", "paper"}
    assert CLAIMS["where"].str.fullmatch(r"Abstract|Project page|(Section|Table|Figure) \d(\.\d)*").all()


def test_a_claimed_number_has_a_unit():
    assert set(CLAIMS["unit"]) <= UNITS | {""}
    assert (CLAIMS.loc[CLAIMS["value"] != "", "unit"] != "").all()


@pytest.mark.parametrize("name", [name for name in CLAIMS.index[CLAIMS.value != ""]
                                  if name not in STATED_IN_TEXT_ONLY | ONLY_ABOUT])
def test_a_claimed_number_follows_from_the_tables(name):
    """Rounded or, as in 31.15 % for 31.156 %, cut off after the printed digits."""
    claim = CLAIMS.loc[name]
    modes = ROUND_HALF_UP, ROUND_DOWN
    assert Decimal(claim.value) in {recomputed(claim).quantize(Decimal(claim.value), rounding=mode) for mode in modes}


def test_about_20_times_smaller_lies_between_the_ratios_of_size_and_of_parameters():
    by_size, by_parameters = (cell(number, "ffa_net", column) / cell(number, "full_framework", column)
                              for number, column in ((9, "size_mb"), (5, "parameters")))
    assert by_size < Decimal(CLAIMS.loc["about_20x_smaller", "value"]) < by_parameters
