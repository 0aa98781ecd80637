"""Verdicts on scores and their differences follow the rows."""

import numpy as np
import pytest

from builders import CLAIMS, curve, judge, run, score
from dehazelib.report.rows import published
from dehazelib.report.verdict import Reason, Status

AGREES, DISAGREES, CONTRADICTED, NO_EFFECT, INCONCLUSIVE, NOT_TESTED = Status
BASE = np.array([[20.0, 24.0, 28.0], [21.0, 25.0, 29.0]])  # seeds x images
NOISE = np.array([[0.6, -0.5, 0.1], [-0.4, 0.5, 0.0]])


def table5(*without):
    """Table 5 without our two rows; ZID as its authors score it."""
    table = published("table5").set_index("key").drop(["student", "full_framework", *without])
    return table.rename(index={"zid": "zid_oracle"})


# --------------------------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize("claim, label, psnr, images, status, reason", [
    ("student_psnr", "student", 27.9, 1500, AGREES, None),
    ("student_psnr", "student", 35.0, 1500, AGREES, None),  # our own networks reach a number
    ("student_psnr", "student", 20.0, 1500, NOT_TESTED, Reason.FEWER_IMAGES),
    ("student_psnr", "student", 20.0, 2_798_000, DISAGREES, None),
    ("aod_net_psnr", "aod_net", 19.1, 1500, AGREES, None),
    ("aod_net_psnr", "aod_net", 19.7, 1500, DISAGREES, None),  # others score it
    ("aod_net_psnr", "aod_net", 18.0, 1500, NOT_TESTED, Reason.FEWER_IMAGES),
    ("mscnn_psnr", "mscnn", 19.5, 1500, NOT_TESTED, Reason.AIRLIGHT),
    ("lsid_fcnn_psnr", "lsid_fcnn", 19.53, 1500, NOT_TESTED, Reason.RECONSTRUCTION),
    ("lsid_fcnn_psnr", "lsid_fcnn", 30.0, 1500, NOT_TESTED, Reason.RECONSTRUCTION)])
def test_a_score(tmp_path, claim, label, psnr, images, status, reason):
    found = judge(tmp_path, claim, scores=score(label, [[psnr] * 3] * 2, "sots_indoor"),
                  runs=[run(label, label, 96007, training_images=images)])
    assert (found.status, found.reason) == (status, reason) and found.interval.value == pytest.approx(psnr)
    assert (found.evidence["images"], found.evidence["seeds"]) == ([3], [2])
    assert found.evidence["trained"] == [(100, 4)]


def test_a_score_on_other_images_is_not_held_against_the_printed_one(tmp_path):
    found = judge(tmp_path, "student_psnr", scores=score("student", [[27.9356] * 3] * 2))
    assert (found.status, found.reason, found.interval.known) == (NOT_TESTED, Reason.OTHER_TEST_SET, False)


def test_the_first_alternative_with_rows_decides_and_the_others_stand_beside(tmp_path):
    scores = score("framework-as_released", [[32.0]] * 2, "sots_indoor") + score(
        "framework-as_described", [[16.0]] * 2, "sots_indoor")
    found = judge(tmp_path, "framework_psnr", scores=scores)
    assert found.interval.value == 32 and found.evidence["beside"]["framework-as_described"].value == 16
    assert judge(tmp_path, "framework_psnr", scores=scores[2:]).interval.value == 16
    missing = judge(tmp_path, "framework_psnr", scores=score("student", BASE, "sots_indoor"))
    assert missing.reason == Reason.NOT_RUN and len(missing.evidence["missing"]) == 2


# ---------------------------------------------------------------------------------------------------------- differences


@pytest.mark.parametrize("claim, a, b", [
    ("affinity_gain_db", "framework-as_released", "student"),
    ("affinity_gain_psnr_percent", "framework-as_described", "student"),
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native"),
    ("mc_beats_drn_920", "mc_fsrcnn-upsampled", "drn_s-upsampled"),
    ("l2_beats_kl", "framework-as_described", "framework-as_described-kl"),
    ("gcanet_beats_student", "gcanet", "student"),
    ("student_beats_lightweight", "student", "famed_net")])
@pytest.mark.parametrize("times, status", [
    (1.0, AGREES), (0.55, AGREES), (1.9, AGREES), (0.45, DISAGREES), (-0.5, DISAGREES),
    (2.1, DISAGREES)])
def test_a_difference_must_be_from_half_to_twice_its_printed_size(tmp_path, claim, a, b, times, status):
    printed = CLAIMS[claim]
    one = BASE.mean() / 100 if printed.unit == "percent" else 1.0
    found = judge(tmp_path, claim, scores=score(a, BASE + times * printed.printed * one) + score(b, BASE))
    assert found.status == status and found.interval.value == pytest.approx(times * printed.printed)
    assert len(found.evidence["per_seed"]) == 2


@pytest.mark.parametrize("claim, a, b", [
    ("teacher_features_matter", "framework-as_released-adaptive", "framework-bilinear_teacher"),
    ("teacher_features_matter", "framework-as_released", "framework-bilinear_teacher"),
    ("plug_and_play", "aod_net-affinity", "aod_net")])
@pytest.mark.parametrize("gain, status, reason", [
    (30.0, AGREES, None), (-0.5, DISAGREES, None), (0.05 + NOISE, INCONCLUSIVE, Reason.INCONCLUSIVE)])
def test_a_difference_without_a_printed_size_needs_only_the_sign(tmp_path, claim, a, b, gain, status, reason):
    found = judge(tmp_path, claim, scores=score(a, BASE + gain) + score(b, BASE))
    assert (found.status, found.reason) == (status, reason)


@pytest.mark.parametrize("claim, a, b, gain, status", [
    ("dsc_costs_little_460", "mc_fsrcnn-native", "dsc_mc_fsrcnn-native", 0.2, AGREES),  # at most the printed cost
    ("dsc_costs_little_460", "mc_fsrcnn-native", "dsc_mc_fsrcnn-native", 0.8, DISAGREES),
    ("dsc_costs_little_460", "mc_fsrcnn-native", "dsc_mc_fsrcnn-native", 0.4 + NOISE, INCONCLUSIVE),
    ("affinity_gain_db", "framework-as_released", "student", NOISE, DISAGREES),  # 4.2 dB are far outside the noise
    ("hr_beats_lr_db", "framework-as_released", "framework-as_released-lr", NOISE, INCONCLUSIVE)])  # 0.18 are
def test_noise_leaves_a_claim_open_only_if_it_is_as_large_as_the_claim(tmp_path, claim, a, b, gain, status):
    assert judge(tmp_path, claim, scores=score(a, BASE + gain) + score(b, BASE)).status == status


def test_a_difference_tells_how_much_of_the_gradient_each_side_has(tmp_path):
    labels = ("framework-as_released", "framework-as_released-l1")
    found = judge(tmp_path, "l2_beats_l1", scores=score(labels[0], BASE) + score(labels[1], BASE),
                  curves=curve(labels[0], affinity_share=[0.0002] * 2) + curve(labels[1], affinity_share=[0.4, 0.5]),
                  runs=[run(label, "student", 1, distance=label) for label in labels])
    assert found.evidence["gradient_share"] == pytest.approx({labels[0]: 0.02, labels[1]: 45})
    assert found.evidence["options_apart"] == ["distance"]


# -------------------------------------------------------------------------------------------------------- reduced scale


def reduced(labels):
    return [run(label, label, 1, seed, training_images=1500) for label in labels for seed in (0, 1)]


@pytest.mark.parametrize("claim, a, b, gain, status, excluded", [
    ("affinity_gain_db", "framework-as_released", "student", 4.2056, AGREES, None),
    ("affinity_gain_db", "framework-as_released", "student", 0.02 + NOISE, NO_EFFECT, 1.9),
    ("affinity_gain_db", "framework-as_released", "student", -0.5, NO_EFFECT, 0),
    ("affinity_gain_db", "framework-as_released", "student", 0.5, NOT_TESTED, None),  # smaller: contradicts nothing
    ("affinity_gain_db", "framework-as_released", "student", 9.0, NOT_TESTED, None),
    ("affinity_gain_db", "framework-as_released", "student", np.array([[0.0], [5.0]]), INCONCLUSIVE, None),
    ("plug_and_play", "aod_net-affinity", "aod_net", 0.05 + NOISE, NO_EFFECT, 1.9),
    ("dsc_costs_little_920", "mc_fsrcnn-native", "dsc_mc_fsrcnn-native", 2.0, NOT_TESTED, None)])
def test_a_gain_that_is_not_there_after_less_training_is_no_effect_at_reduced_scale(tmp_path, claim, a, b, gain, status,
                                                                                    excluded):
    found = judge(tmp_path, claim, scores=score(a, BASE + gain) + score(b, BASE), runs=reduced([a, b]))
    assert found.status == status
    assert found.excluded.known == (excluded is not None)
    if excluded is not None:
        assert 0 <= found.excluded.value <= excluded


@pytest.mark.parametrize("claim, others, status", [
    ("hr_beats_lr_db", ["-lr"], NO_EFFECT), ("w_fa_insignificant", ["-w0.50", "-w0.75"], AGREES),
    ("w_fa_025_best", ["-w0.50", "-w0.75"], NO_EFFECT)])
@pytest.mark.parametrize("share, same", [(0.0005, True), (0.1, False)])
def test_losses_with_hardly_any_gradient_are_one_training(tmp_path, claim, others, status, share, same):
    labels = [f"framework-as_released{suffix}" for suffix in ("", *others)]
    found = judge(tmp_path, claim, scores=[row for label in labels for row in score(label, BASE + 9 * NOISE)],
                  curves=[row for label in labels for row in curve(label, affinity_share=[share])])
    assert (found.reason == Reason.SAME_TRAINING) is same and not found.excluded.known
    if same:
        assert found.status == status and found.decided


def test_losses_of_very_different_strength_are_no_comparison_of_their_form(tmp_path):
    labels = ("framework-as_released", "framework-as_released-l1")
    scores = score(labels[0], BASE + 1.6607) + score(labels[1], BASE)
    for shares, reason in (((0.0002, 0.67), Reason.UNEQUAL_STRENGTH), ((0.1, 0.2), None)):
        curves = [row for label, share in zip(labels, shares) for row in curve(label, affinity_share=[share])]
        assert judge(tmp_path, "l2_beats_l1", scores=scores, curves=curves).reason == reason


# ------------------------------------------------------------------------------------------------ reasons not to decide


@pytest.mark.parametrize("claim, labels", [
    ("affinity_gain_db", ["framework-as_released", "student"]),
    ("w_fa_025_best", [f"framework-as_released{suffix}" for suffix in ("", "-w0.50", "-w0.75")])])
def test_one_seed_gives_a_number_but_no_verdict(tmp_path, claim, labels):
    scores = [row for loss, label in enumerate(labels) for row in score(label, BASE[:1] - loss)]
    found = judge(tmp_path, claim, scores=scores)
    assert (found.status, found.reason) == (NOT_TESTED, Reason.ONE_SEED) and found.interval.known


def test_an_infinite_score_leaves_a_difference_without_limits(tmp_path):
    scores = score("mc_fsrcnn-native", BASE * np.inf) + score("fsrcnn_x2-native", BASE)
    assert judge(tmp_path, "mc_beats_fsrcnn_460", scores=scores).reason == Reason.NO_LIMITS


@pytest.mark.parametrize("lr, steps, reason", [
    (0.002, 100, Reason.UNEQUAL_RECIPES), (0.001, 100, None), (0.002, 10**8, None)])
def test_other_networks_are_ranked_only_by_one_recipe_or_a_whole_training(tmp_path, lr, steps, reason):
    runs = [run(label, label, 1, seed, steps=steps, lr=rate, training_images=steps * 4.0)
            for label, rate in (("student", lr), ("gcanet", 0.001)) for seed in (0, 1)]
    scores = score("gcanet", BASE + 2.2944) + score("student", BASE)
    assert judge(tmp_path, "gcanet_beats_student", scores=scores, runs=runs).reason == reason


@pytest.mark.parametrize("claim, other, gain", [
    ("gcanet_beats_student", "gcanet", 2.2944), ("student_beats_lightweight", "famed_net", -0.9216)])
def test_other_networks_are_compared_with_the_student_at_their_budget_where_it_was_run(tmp_path, claim, other, gain):
    scores = score(other, BASE + gain) + score("student", BASE)
    runs = [run(label, label, 1, seed, training_images=images) for seed in (0, 1)
            for label, images in ((other, 10**7), ("student", 2 * 10**7))]
    assert judge(tmp_path, claim, scores=scores, runs=runs).reason == Reason.UNEQUAL_BUDGETS
    scores += score("student-equal_budget", BASE)
    runs += [run("student-equal_budget", "student", 1, seed, training_images=10**7) for seed in (0, 1)]
    assert judge(tmp_path, claim, scores=scores, runs=runs).status == AGREES


@pytest.mark.parametrize("claim, a, b, bicubic, reason", [
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native", 60, Reason.BELOW_BICUBIC),
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native", -10, None),
    ("mc_beats_drn_920", "mc_fsrcnn-upsampled", "drn_s-upsampled", 5, None)])  # which enlarges four times, not twice
def test_a_network_below_bicubic_resizing_says_nothing_of_the_size_of_a_difference(tmp_path, claim, a, b, bicubic,
                                                                                  reason):
    scores = score(a, BASE + CLAIMS[claim].printed) + score(b, BASE)
    control = score(f"bicubic-{a.rpartition('-')[2]}", BASE[:1] + bicubic)
    assert judge(tmp_path, claim, scores=scores + control).reason == reason


# ----------------------------------------------------------------------------------------------------- special measures


def test_the_network_that_the_module_does_not_help_decides(tmp_path):
    scores = []
    for key, gain, status in (("aod_net", 1.0, AGREES), ("gcanet", 0.05 + NOISE, INCONCLUSIVE),
                              ("msbdn", -0.2, DISAGREES)):
        scores += score(f"{key}-affinity", BASE + gain) + score(key, BASE)
        found = judge(tmp_path, "plug_and_play", scores=scores)
        assert found.status == status and f"label={key}-affinity" in found.sources[0]


@pytest.mark.parametrize("gains, best, spread", [
    ((0.5, 0, 0), AGREES, DISAGREES), ((0, 0.1, 0), DISAGREES, AGREES),
    ((0.1 + NOISE, 0, 0), INCONCLUSIVE, INCONCLUSIVE)])
def test_the_best_weight_is_ranked_and_the_spread_bounded(tmp_path, gains, best, spread):
    scores = [row for suffix, gain in zip(("", "-w0.50", "-w0.75"), gains)
              for row in score(f"framework-as_released{suffix}", BASE + gain)]
    assert judge(tmp_path, "w_fa_025_best", scores=scores).status == best
    assert judge(tmp_path, "w_fa_insignificant", scores=scores).status == spread


def test_the_weights_are_ranked_over_the_seeds_that_all_of_them_have(tmp_path):
    """Over all its seeds 0.25 is the best of the three, over the three that they share the second."""
    means = {"": [20.0, 20.1, 20.2, 22.0, 22.0], "-w0.50": [19.8, 19.9, 20.0], "-w0.75": [20.2, 20.3, 20.4]}
    scores = [row for suffix, seeds in means.items()
              for row in score(f"framework-as_released{suffix}", [[mean, mean] for mean in seeds])]
    spread = judge(tmp_path, "w_fa_insignificant", scores=scores)
    assert spread.interval.value == pytest.approx(0.4) and spread.status == DISAGREES
    assert judge(tmp_path, "w_fa_025_best", scores=scores).interval.value == 0.75


@pytest.mark.parametrize("others, status", [({}, AGREES), ({"aod_net": -1}, AGREES),
                                            ({"aod_net": 1}, DISAGREES), ({"mscnn": NOISE}, INCONCLUSIVE)])
def test_the_student_must_beat_every_lightweight_network(tmp_path, others, status):
    scores = score("student", BASE) + score("famed_net", BASE - 0.9216)
    scores += [row for key, gain in others.items() for row in score(key, BASE + gain)]
    assert judge(tmp_path, "student_beats_lightweight", scores=scores).status == status


def test_retrained_baselines_must_all_be_near_their_printed_scores(tmp_path):
    scores = [row for key, psnr in table5().psnr.items() for row in score(key, [[psnr + 0.1] * 2], "sots_indoor")]
    assert judge(tmp_path, "baselines_retrained", scores=scores).status == AGREES
    assert judge(tmp_path, "baselines_retrained", scores=scores[2:]).reason == Reason.INCOMPLETE
    scores[0]["psnr_rgb"] -= 10
    assert judge(tmp_path, "baselines_retrained", scores=scores).status == DISAGREES


@pytest.mark.parametrize("gaps, seeds, status, reason", [
    ({}, 2, AGREES, None), ({"aod_net": -0.1}, 2, NOT_TESTED, Reason.FEWER_IMAGES),
    ({"aod_net": -0.1, "ssid": 0.02}, 2, DISAGREES, None), ({"ssid": 0.02}, 1, NOT_TESTED, Reason.INCOMPLETE),
    ({"mscnn": 0.02}, 2, AGREES, None)])  # it is given the airlight
def test_a_baseline_above_its_printed_ssim_contradicts_it_and_one_below_does_not(tmp_path, gaps, seeds, status, reason):
    printed = table5("lsid_fcnn").ssim
    scores = [row for key, ssim in printed.items()
              for row in score(key, [[20.0] * 2] * seeds, "sots_indoor", ssim=ssim + gaps.get(key, 0.0))]
    runs = [run(key, key, 1, seed, training_images=1500) for key in printed.index for seed in range(seeds)]
    found = judge(tmp_path, "baseline_ssim", scores=scores, runs=runs)
    assert (found.status, found.reason) == (status, reason)
    assert (found.evidence["networks"], found.evidence["of_networks"]) == (14, 14)
    assert judge(tmp_path, "baseline_ssim", scores=scores[2 * seeds:]).evidence["networks"] == 13


@pytest.mark.parametrize("label, psnr, steps, status, reason", [
    ("zid_oracle", (19.7, 19.8, 19.9), 500, AGREES, None),
    ("zid_oracle", (14.0, 14.5, 15.0), 500, DISAGREES, None),
    ("zid_oracle", (14.0, 20.0, 26.0), 500, INCONCLUSIVE, Reason.INCONCLUSIVE),
    ("zid_oracle", (14.0, 14.5, 15.0), 6, NOT_TESTED, Reason.FEWER_STEPS),
    ("zid_oracle", (14.0,), 500, NOT_TESTED, Reason.NO_LIMITS),
    ("zid", (14.0, 14.5, 15.0), 500, NOT_TESTED, Reason.OTHER_STOPPING),
    ("zid", (19.7, 19.8, 19.9), 500, NOT_TESTED, Reason.OTHER_STOPPING),
    ("zid", (22.0, 22.1, 22.2), 500, DISAGREES, None)])
def test_a_network_fitted_to_each_image_is_judged_over_scenes_by_its_authors_own_stopping(tmp_path, label, psnr, steps,
                                                                                         status, reason):
    scores = score(label, [psnr], "sots_indoor") + score("student", [[*np.add(psnr, 1), 99.0]], "sots_indoor")
    found = judge(tmp_path, "zid_psnr", scores=scores, runs=[run(label, label, 42_950_552, steps=steps)])
    assert (found.status, found.reason) == (status, reason)
    assert found.evidence["beside"]["student"].value == pytest.approx(np.mean(psnr) + 1)  # on the same pairs


def test_selecting_on_the_test_set_is_measured_on_the_same_images_but_does_not_decide(tmp_path):
    once = curve("longest", validation_psnr_rgb=[20.0], test_psnr_rgb=[30.0])
    assert judge(tmp_path, "standard_split", curves=once).reason == Reason.NOT_RUN
    several = [row for seed in (0, 1)
               for row in curve("student", seed, validation_psnr_rgb=[20.0, 21.0], test_psnr_rgb=[25.0 + seed, 24.0])]
    found = judge(tmp_path, "standard_split", curves=once + several)
    assert (found.interval.value, found.reason) == (1.5, Reason.UNSEEN)
    assert list(found.evidence["beside"]) == ["student"]
    alike = [row for label, best in (("a", 25.0), ("b", 27.0))
             for row in curve(label, validation_psnr_rgb=[20.0, 21.0], test_psnr_rgb=[best, 24.0])]
    found = judge(tmp_path, "standard_split", curves=alike)
    assert found.interval.value == 2.0 and not found.interval.bounded


@pytest.mark.parametrize("claim, test_set", [
    ("sots_test_pairs", "sots_indoor"), ("sots_outdoor_pairs", "sots_outdoor")])
def test_only_all_500_pairs_confirm_a_test_set(tmp_path, claim, test_set):
    one, = score("student", [[20.0]], test_set)
    scores = [one | {"image": f"{scene}_{level}"} for scene in range(1400, 1450) for level in range(1, 11)]
    assert judge(tmp_path, claim, scores=scores).status == AGREES
    found = judge(tmp_path, claim, scores=scores[:250])
    assert (found.interval.value, found.reason) == (250, Reason.INCOMPLETE)
