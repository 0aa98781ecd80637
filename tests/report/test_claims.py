"""Every claim has a verdict, without rows too; those that the paper's own tables and code decide need none."""


import pandas as pd
import pytest

from builders import CLAIMS, judge, score
from dehazelib.report import audit, claims, special
from dehazelib.report.rows import Rows, published
from dehazelib.report.verdict import Reason, Status


def test_every_claim_has_one_verdict_and_without_rows_only_the_paper_decides(tmp_path):
    found = claims.verdicts(Rows(tmp_path))
    assert [one.claim.id for one in found] == list(CLAIMS)
    for one in found:
        assert one.decided == (one.reason is None) == (one.status not in (Status.INCONCLUSIVE, Status.NOT_TESTED))
        if one.claim.basis != "paper":
            assert one.status == Status.NOT_TESTED and not one.interval.known
    assert sum(one.decided for one in found) == 8


def test_a_row_that_names_no_measure_or_rule_is_an_error(monkeypatch):
    for column, value in (("measure", "guess"), ("rule", "lenient")):
        table = published("claims", text=True)
        table.loc[0, column] = value
        monkeypatch.setattr(claims, "published", lambda *args, **more: table)
        with pytest.raises(ValueError, match=f"framework_psnr has .*{value}"):
            claims.claims()


def test_every_measure_belongs_to_a_claim_and_every_tolerance_is_used():
    assert {claim.measure for claim in CLAIMS.values()} == set(claims.MEASURES)
    for claim in CLAIMS.values():
        assert claim.rule not in ("close", "reaches") or claim.tolerance, claim.id
        assert claim.rule != "own" or claim.note, claim.id


def test_the_table_holds_the_verdicts_and_is_written_as_returned(tmp_path):
    table = claims.write(Rows(tmp_path))
    written = pd.read_csv(tmp_path / "tables" / "verdict.csv", keep_default_na=False)
    assert written.verdict.tolist() == table.verdict.tolist() and (written.why != "").all()
    assert sum(claims.counts(Rows(tmp_path)).values()) == len(CLAIMS)


# ------------------------------------------------------------------------------------------------- decided by the paper


@pytest.fixture
def cells(monkeypatch):
    """Replaces cells of the printed tables: {(table, key): {column: value}}."""
    def replace(changes):
        def changed(name, text=False):
            table = published(name, text)
            for (number, key), values in changes.items():
                if name == f"table{number}":
                    table.loc[table.key == key, list(values)] = list(values.values())
            return table
        for module in (special, audit):
            monkeypatch.setattr(module, "published", changed)
    return replace


@pytest.mark.parametrize("claim, ours, status", [
    ("headline_joint", 0, Status.CONTRADICTED), ("beats_baselines", 3, Status.CONTRADICTED),
    ("student_tradeoff_ssim", 1, Status.CONTRADICTED), ("dsc_tradeoff", 1, Status.CONTRADICTED),
    ("cheap_inference", 4, Status.NOT_TESTED), ("recipe_as_stated", 10, Status.CONTRADICTED),
    ("student_multi_resolution", 1, Status.CONTRADICTED), ("module_trained", 0, Status.CONTRADICTED),
    ("multi_scale_features", 306.1506, Status.CONTRADICTED)])
def test_the_paper_decides_it_without_any_rows(tmp_path, claim, ours, status):
    found = judge(tmp_path, claim)
    assert found.status == status and found.interval.value == pytest.approx(ours) and found.sources


def test_the_headline_needs_one_network_that_is_beaten_so_and_as_large(tmp_path, cells):
    table = audit.headline_matches()
    assert len(table) == 17 and table.index[table.sized].tolist() == ["ffa_net"]
    cells({(5, "ffa_net"): {"psnr": 27.9}})
    found = judge(tmp_path, "headline_joint")
    assert (found.status, found.interval.value) == (Status.AGREES, 1)


@pytest.mark.parametrize("better, rank, status", [
    ({"psnr": 33.0}, 1, Status.CONTRADICTED), ({"psnr": 33.0, "ssim": 0.99}, 1, Status.AGREES)])
def test_the_framework_must_be_first_by_both_scores(tmp_path, cells, better, rank, status):
    cells({(5, "full_framework"): better})
    found = judge(tmp_path, "beats_baselines")
    assert (found.status, found.interval.value) == (status, rank)


def test_a_smaller_and_better_network_breaks_a_tradeoff(tmp_path, cells):
    assert judge(tmp_path, "student_tradeoff_ssim").evidence["higher_ssim"] == ["FAMED-Net"]
    assert list(judge(tmp_path, "dsc_tradeoff").evidence["smaller_and_better"]) == ["FSRCNN-2x at 460"]
    cells({(5, "famed_net"): {"ssim": 0.9}, (1, "fsrcnn_x2"): {"psnr": 40.0}})
    for claim in ("student_tradeoff_ssim", "dsc_tradeoff"):
        assert judge(tmp_path, claim).status == Status.AGREES


def test_scores_that_stood_elsewhere_before_are_told_by_all_digits_that_both_have(cells):
    before = audit.printed_before().set_index("key")
    assert before.index[before.alike].tolist() == ["aod_net", "dehazenet", "gcanet", "pfdn"] and len(before) == 7
    cells({(5, "gcanet"): {"ssim": "0.978"}, (5, "aod_net"): {"psnr": "19.071"}})
    before = audit.printed_before().set_index("key")
    assert before.index[before.alike].tolist() == ["dehazenet", "pfdn"]


def test_the_recipe_is_the_stated_one_only_if_the_code_has_its_rate_and_schedule(tmp_path, monkeypatch):
    monkeypatch.setitem(special.RECIPES, "released", special.RECIPES["released"] | {"lr": 1e-5, "schedule": "step"})
    assert judge(tmp_path, "recipe_as_stated").status == Status.AGREES


def test_the_resolutions_are_those_of_one_forward_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "student_sides", lambda: [(460, 620), (230, 310)])
    assert judge(tmp_path, "student_multi_resolution").status == Status.AGREES


def test_table_9_has_room_for_the_affinities_of_the_outputs_only(tmp_path, cells):
    parts = audit.framework_gflops()
    outputs = parts["student"] + parts["teacher"] + parts["module, outputs"]
    assert outputs == pytest.approx(64.03988, abs=1e-5)
    cells({(9, "full_framework"): {"gflops": 306.151}})
    assert judge(tmp_path, "multi_scale_features").status == Status.AGREES


def test_what_nothing_here_can_decide_says_so(tmp_path):
    scores = score("bilinear-upsampled", [[30.0]], "sots_indoor", "super_resolution")
    for claim, reason in (("original_resolution", Reason.UNSEEN), ("w_fa_adaptive", Reason.UNSTATED),
                          ("synthetic_and_real", Reason.UNSTATED)):
        found = judge(tmp_path, claim, scores=scores)
        assert found.reason == reason and not found.interval.known
