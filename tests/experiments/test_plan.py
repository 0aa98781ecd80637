"""The lists of runs and their specifications."""

import math

import pytest

from dehazelib import networks
from dehazelib.experiments import plan
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import SUBSTITUTES


@pytest.mark.parametrize("profile", ["smoke", "demo"])
def test_every_run_has_its_own_id_and_a_teacher_that_is_trained_before_it(profile):
    every = plan.every(Settings.load(profile))
    ids = [spec.id for spec in every]
    assert len(set(ids)) == len(ids)
    for place, spec in enumerate(every):
        if spec.teacher and spec.teacher not in SUBSTITUTES and not spec.teacher.startswith("untrained:"):
            assert spec.teacher in ids[:place]
        assert spec.network in networks.CATALOGUE


def test_both_readings_differ_only_in_the_affinity_module():
    settings = Settings()
    released, described = (plan.framework(settings, reading) for reading in ("as_released", "as_described"))
    different = {k for k in vars(released) if getattr(released, k) != getattr(described, k)}
    assert different == {"label", "features", "distance", "affinity_weight"}
    assert described.affinity_weight == 0.25


@pytest.mark.parametrize("described, seeds", [(0, 2), (1, 1), (3, 3)])
def test_the_readings_of_an_ablation_have_their_own_numbers_of_seeds(described, seeds):
    settings = Settings(readings=["as_released", "as_described"], ablations=["l1"], ablation_seeds=2,
                             described_seeds=described)
    labels = [run.label for run in plan.ablations(settings)]
    assert labels == 2 * ["framework-as_released-l1"] + seeds * ["framework-as_described-l1"]


def test_the_released_weight_is_the_papers_on_the_papers_images_and_weaker_on_small_ones():
    whole = Settings(student_crop=0, student_batch=2)
    assert plan.framework(whole, "as_released").affinity_weight == 0.25
    small = plan.framework(Settings(student_crop=64, student_batch=4), "as_released").affinity_weight
    assert small == pytest.approx(0.25 * 16**2 / (115 * 155) / math.sqrt(2))
    assert plan.framework(whole.replace(student_reduce=4), "as_released").affinity_weight == (
        pytest.approx(0.25 * 28 * 38 / (115 * 155)))


def test_phases_of_the_longest_runs_follow_each_other_alone_and_with_the_module():
    settings = Settings(student_crop=0, longest=[{"steps": 40}, {"steps": 20, "reduce": 2}])
    first, last, guided_first, guided, *controls = plan.longest(settings)
    assert [run.network for run in controls] == ["hazy", "dark_channel_prior"]
    assert plan.longest(Settings()) == []
    assert (first.start, last.start, last.label, last.reduce) == ("", first.id, "longest-student", 2)
    assert (guided_first.start, guided.start, guided.label) == ("", guided_first.id, "longest-framework")
    assert not first.teacher and guided.teacher == plan.teacher(settings).id and guided.distance == "l2_norm"
    assert guided.affinity_weight == pytest.approx(guided_first.affinity_weight * (57 * 77) / (115 * 155))
    assert set(plan.longest(settings)) <= set(plan.every(settings))
    assert [plan.is_scored(run) for run in (first, last, guided_first, guided)] == [False, True, False, True]


def test_the_student_goes_on_alone_from_the_end_of_the_longest_pair():
    settings = Settings(longest=[{"steps": 40}], onward=[{"steps": 30}, {"steps": 10, "lr": 0.001}])
    pair, onward = plan.longest(settings)[:2], plan.longest(settings)[2:4]
    assert [run.label for run in pair + onward] == [*plan.LONGEST, "onward-student-phase1", "onward-student"]
    assert [run.start for run in onward] == [pair[0].id, onward[0].id] and onward[1].lr == 0.001
    assert not onward[1].teacher and [plan.is_scored(run) for run in onward] == [False, True]
    with pytest.raises(ValueError, match="longest names no phases"):
        plan.longest(Settings(onward=[{"steps": 30}]))


def test_other_students_come_with_and_without_the_module():
    runs = plan.plug_and_play(Settings(student="gcanet", plug_and_play=["aod_net"]))
    assert [run.label for run in runs] == ["aod_net", "aod_net-affinity", "gcanet", "gcanet-affinity"]
    of_the_module = ("label", "features", "teacher", "affinity_share")
    assert runs[1].replace(**{k: getattr(runs[0], k) for k in of_the_module}) == runs[0]


def test_baselines_and_their_guided_copies_have_the_seeds_asked_for_but_for_slow_ones():
    settings = Settings(baselines=["aod_net", "ffa_net"], baseline_seeds=3, single_seed=["ffa_net"],
                             seed=5)
    seeds = [(run.label, run.seed) for run in plan.baselines(settings) if run.network != "dark_channel_prior"]
    names = ["aod_net"] * 3 + ["ffa_net"] + ["student-equal_budget"] * 3 + ["framework-equal_budget"] * 3
    assert seeds == list(zip(names, [5, 6, 7, 5, 5, 6, 7, 5, 6, 7]))
    assert [run.seed for run in plan.plug_and_play(settings) if run.label == "aod_net-affinity"] == [5, 6, 7]


def test_our_runs_at_the_baselines_budget_push_as_hard_as_on_the_papers_images():
    settings = Settings(baselines=["aod_net"], baseline_batch=2, baseline_crop=0, student_reduce=4)
    (ours,) = [run for run in plan.baselines(settings) if run.label == "framework-equal_budget"]
    assert ours.affinity_weight == pytest.approx(plan.PAPER_WEIGHT * plan._released_strength(ours))


def test_a_network_can_have_changes_of_its_own():
    settings = Settings(baseline_changes={"gcanet": {"precision": "bf16-mixed", "lr": 0.5}})
    plain, changed = (plan.baseline(one, "gcanet") for one in (Settings(), settings))
    assert changed == plain.replace(precision="bf16-mixed", lr=0.5) != plain
    assert plan.baseline(settings, "aod_net") == plan.baseline(Settings(), "aod_net")


def test_the_authors_recipe_uses_their_optimiser_and_loss():
    settings = Settings(baseline_recipe="authors")
    assert plan.baseline(settings, "gunet_t").optimizer == "adamw"
    assert plan.baseline(settings, "ffa_net").loss == "l1"
    assert plan.baseline(settings, "dcpdn").beta1 == 0.5
