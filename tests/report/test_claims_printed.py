"""Claims that the printed cells and the released code decide: the cells as printed, and others in their place."""

import pytest
import torch

from builders import compute, decided, folder
from dehazelib import networks
from dehazelib.report import claims_printed
from dehazelib.report.claims_printed import GROUP_REDUCTIONS, headline_matches, printed_before
from dehazelib.report.rows import published


@pytest.fixture
def cells(monkeypatch):
    """Replaces cells of the printed tables: {(table, key): {column: value}}."""
    def replace(changes):
        def changed(name, text=False):
            table = published(name, text)
            for (number, key), values in changes.items():
                for column, value in values.items() if name == f"table{number}" else ():
                    table.loc[table.key == key, column] = value
            return table
        monkeypatch.setattr(claims_printed, "published", changed)
    return replace


@pytest.mark.parametrize("claim, ours, expected", [
    ("headline_joint", 0, "not reproduced"), ("beats_baselines", 3, "not reproduced"),
    ("student_tradeoff_ssim", 1, "not reproduced"), ("dsc_tradeoff", 1, "not reproduced"),
    ("cheap_inference", 4, "not tested here"), ("recipe_as_stated", 10, "not reproduced"),
    ("student_multi_resolution", 1, "not reproduced")])
def test_the_paper_decides_it_without_any_rows(tmp_path, claim, ours, expected):
    row = decided(tmp_path, claim)
    assert (row.verdict, row.ours) == (expected, pytest.approx(ours)) and row.source


def test_the_headline_needs_one_network_that_is_beaten_so_and_as_large(tmp_path, cells):
    why = decided(tmp_path, "headline_joint").why
    assert "about that many times as large: FFA-Net (23.5 times, -0.1 %)" in why
    assert "Ours [Student] (0.787 times, +15.1 %)" in why and "SSID (75.7 times, +53.4 %)" in why
    table = headline_matches()
    assert len(table) == 17 and table.index[table.sized].tolist() == ["ffa_net"]
    cells({(5, "ffa_net"): {"psnr": 27.9}})
    row = decided(tmp_path, "headline_joint")
    assert (row.verdict, row.ours) == ("reproduced", 1)


def test_the_framework_must_be_first_by_both_scores(tmp_path, cells):
    assert "rank 3 of 17 by printed PSNR, after FFA-Net, PFDN; rank 4 of 17 by printed SSIM, after GCANet, FFA-Net, " \
        "PFDN" in decided(tmp_path, "beats_baselines").why
    cells({(5, "full_framework"): {"psnr": 33.0}})
    row = decided(tmp_path, "beats_baselines")
    assert (row.verdict, row.ours) == ("not reproduced", 1)
    cells({(5, "full_framework"): {"psnr": 33.0, "ssim": 0.99}})
    assert decided(tmp_path, "beats_baselines").verdict == "reproduced"


def test_a_smaller_and_better_network_breaks_a_tradeoff(tmp_path, cells):
    assert "better by PSNR: none, by SSIM: FAMED-Net" in decided(tmp_path, "student_tradeoff_ssim").why
    assert "FSRCNN-2x at 460 (24.68K, 40.22 dB, against 26.45K, 40.12 dB)" in decided(tmp_path, "dsc_tradeoff").why
    cells({(5, "famed_net"): {"ssim": 0.9}, (1, "fsrcnn_x2"): {"psnr": 40.0}})
    for claim in ("student_tradeoff_ssim", "dsc_tradeoff"):
        row = decided(tmp_path, claim)
        assert (row.verdict, row.ours) == ("reproduced", 0)


def test_the_printed_time_is_ranked_beside_the_measured_ones(tmp_path, cells):
    assert "measured" not in decided(tmp_path, "cheap_inference").why
    names = published("table9").key.drop(8)
    rows = [compute(name, "deployed", 1, latency_ms=10.0 * i) for i, name in enumerate(names)]
    rows += [compute("student", "deployed", 1, latency_ms=15.0),
             compute("full_framework", "training_graph", 1, latency_ms=75.0)]
    why = decided(folder(tmp_path, compute=rows), "cheap_inference").why
    assert "rank 4 of 9 as printed; measured on cpu, rank 3 for the student" in why and "and 9 for the training" in why


def test_scores_that_stood_elsewhere_before_are_told_by_all_digits_that_both_have(cells):
    before = printed_before().set_index("key")
    assert before.index[before.alike].tolist() == ["aod_net", "gcanet"] and len(before) == 5
    cells({(5, "gcanet"): {"ssim": "0.978"}, (5, "aod_net"): {"psnr": "19.066"}})
    assert not printed_before().alike.any()


def test_the_recipe_is_the_stated_one_only_if_the_code_has_its_rate_and_schedule(tmp_path, monkeypatch):
    recipes = claims_printed.RECIPES
    why = decided(tmp_path, "recipe_as_stated").why
    assert "lr 1e-05, schedule step of x 0.98 every 10 epochs, the code lr 0.0001, schedule constant" in why
    monkeypatch.setitem(recipes, "released", recipes["released"] | {"lr": 1e-5, "schedule": "step"})
    assert decided(tmp_path, "recipe_as_stated").verdict == "reproduced"


def test_the_resolutions_are_those_of_one_forward_pass(tmp_path, monkeypatch):
    image = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        _, features = networks.build("student").eval()(image, return_features=True)
    assert tuple(image.shape[-2] / feature.shape[-2] for feature in features) == GROUP_REDUCTIONS
    assert tuple(image.shape[-1] / feature.shape[-1] for feature in features) == GROUP_REDUCTIONS
    monkeypatch.setattr(claims_printed, "GROUP_REDUCTIONS", (1, 2, 4))
    assert decided(tmp_path, "student_multi_resolution").verdict == "reproduced"


def test_what_rests_on_the_paper_says_so(tmp_path):
    for claim in ("headline_joint", "beats_baselines", "student_tradeoff_ssim", "dsc_tradeoff", "cheap_inference"):
        row = decided(tmp_path, claim)
        assert row.source.startswith("as printed: results/published/table") and "printed" in row.why
