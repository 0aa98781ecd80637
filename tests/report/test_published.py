"""The hand-typed numbers of the paper agree with one another."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import partial
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


def cell(number, key, column):
    return Decimal(TABLES[number].loc[key, column])


def psnr(number, key):
    return cell(number, key, "psnr")


def ssim(number, key):
    return cell(number, key, "ssim")


def parameters(key):
    """Parameters of a dehazing network in Table 5, which prints millions."""
    return cell(5, key, "parameters_millions") * 10**6


def percent(change, base):
    return 100 * change / base


def gain_percent(metric):
    return percent(metric(5, "full_framework") - metric(5, "student"), metric(5, "student"))


def w_fa_spread():
    values = [psnr(7, key) for key in TABLES[7].index]
    return max(values) - min(values)


RECOMPUTED = {
    "framework_psnr": lambda: psnr(5, "full_framework"),
    "framework_ssim": lambda: ssim(5, "full_framework"),
    "student_psnr": lambda: psnr(5, "student"),
    "student_ssim": lambda: ssim(5, "student"),
    "affinity_gain_db": lambda: psnr(5, "full_framework") - psnr(5, "student"),
    "affinity_gain_psnr_percent": lambda: gain_percent(psnr),
    "affinity_gain_ssim_percent": lambda: gain_percent(ssim),
    "framework_parameters": lambda: parameters("full_framework"),
    "student_parameters": lambda: parameters("student"),
    "framework_adds_26k": lambda: parameters("full_framework") - parameters("student"),
    "framework_gflops": lambda: cell(9, "full_framework", "gflops"),
    "framework_inference_ms": lambda: cell(9, "full_framework", "inference_ms"),
    "framework_size_mb": lambda: cell(9, "full_framework", "size_mb"),
    "mc_beats_fsrcnn_460": lambda: psnr(1, "mc_fsrcnn") - psnr(1, "fsrcnn_x2"),
    "mc_beats_fsrcnn_920": lambda: psnr(2, "mc_fsrcnn") - psnr(2, "fsrcnn_x2"),
    "mc_beats_drn_920": lambda: psnr(2, "mc_fsrcnn") - psnr(2, "drn_s"),
    "mc_psnr_920": lambda: psnr(2, "mc_fsrcnn"),
    "dsc_psnr_920": lambda: psnr(4, "dsc_mc_fsrcnn"),
    "drn_s_psnr_460": lambda: psnr(1, "drn_s"),
    "srresnet_psnr_460": lambda: psnr(1, "srresnet"),
    "dsc_costs_little_460": lambda: psnr(1, "mc_fsrcnn") - psnr(3, "dsc_mc_fsrcnn"),
    "dsc_costs_little_920": lambda: psnr(2, "mc_fsrcnn") - psnr(4, "dsc_mc_fsrcnn"),
    "dsc_smaller": lambda: percent(
        cell(1, "mc_fsrcnn", "parameters") - cell(3, "dsc_mc_fsrcnn", "parameters"),
        cell(1, "mc_fsrcnn", "parameters"),
    ),
    "relu_hurts_460": lambda: psnr(1, "mc_fsrcnn") - psnr(3, "relu_mc_fsrcnn"),
    "relu_hurts_920": lambda: psnr(2, "mc_fsrcnn") - psnr(4, "relu_mc_fsrcnn"),
    "relu_parameters": lambda: cell(3, "relu_mc_fsrcnn", "parameters"),
    "batch_norm_hurts_460": lambda: psnr(3, "dsc_mc_fsrcnn") - psnr(3, "dscbn_mc_fsrcnn"),
    "batch_norm_hurts_920": lambda: psnr(4, "dsc_mc_fsrcnn") - psnr(4, "dscbn_mc_fsrcnn"),
    "batch_norm_parameters": lambda: cell(3, "dscbn_mc_fsrcnn", "parameters"),
    "hr_beats_lr_db": lambda: psnr(6, "hr") - psnr(6, "lr"),
    "hr_beats_lr_ssim": lambda: ssim(6, "hr") - ssim(6, "lr"),
    "w_fa_insignificant": w_fa_spread,
    "l2_beats_l1": lambda: psnr(8, "l2") - psnr(8, "l1"),
    "l2_beats_kl": lambda: psnr(8, "l2") - psnr(8, "kl"),
    "gcanet_beats_student": lambda: psnr(5, "gcanet") - psnr(5, "student"),
    "gcanet_ssim": lambda: ssim(5, "gcanet") - ssim(5, "student"),
    "gcanet_7x_bigger": lambda: parameters("gcanet") / parameters("student"),
    "student_beats_lightweight": lambda: psnr(5, "student") - psnr(5, "famed_net"),
    **{f"{key}_psnr": partial(psnr, 5, key) for key in TABLES[5].index.drop(["student", "full_framework"])},
    "ffa_net_parameters": lambda: parameters("ffa_net"),
}


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
    assert (psnr(number, key), ssim(number, key)) == (psnr(5, "full_framework"), ssim(5, "full_framework"))


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


def test_every_claimed_number_is_traced_to_the_tables_or_to_the_text():
    numeric = set(CLAIMS.index[CLAIMS["value"] != ""])
    assert numeric == RECOMPUTED.keys() | STATED_IN_TEXT_ONLY | ONLY_ABOUT


@pytest.mark.parametrize("claim", RECOMPUTED)
def test_claimed_number_follows_from_the_tables(claim):
    """Rounded or, as in 31.15 % for 31.156 %, cut off after the printed digits."""
    claimed, computed = Decimal(CLAIMS.loc[claim, "value"]), RECOMPUTED[claim]()
    assert claimed in {computed.quantize(claimed, rounding=mode) for mode in (ROUND_HALF_UP, ROUND_DOWN)}


def test_about_20_times_smaller_lies_between_the_ratios_of_size_and_of_parameters():
    by_size = cell(9, "ffa_net", "size_mb") / cell(9, "full_framework", "size_mb")
    by_parameters = parameters("ffa_net") / parameters("full_framework")
    assert by_size < Decimal(CLAIMS.loc["about_20x_smaller", "value"]) < by_parameters


def test_hazy_image_counts_are_ten_per_clear_image():
    count = CLAIMS["value"]
    assert int(count["its_hazy_images"]) == 10 * int(count["its_clear_images"])
    assert int(count["sots_test_pairs"]) == 10 * 50
