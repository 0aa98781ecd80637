"""Verdicts follow the rows: every claim has one, and other rows give another."""

import numpy as np
import pandas as pd
import pytest

from builders import decided, folder, run, score
from dehazelib import paths
from dehazelib.report import verdict
from dehazelib.report.claims import NOT_TESTED, Measurement, above_zero, last_digit, ruling, straddled
from dehazelib.report.claims_printed import PRINTED

CLAIMS = pd.read_csv(paths.PUBLISHED / "claims.csv", dtype=str, keep_default_na=False)
BASE = np.array([[20.0, 24.0, 28.0], [21.0, 25.0, 29.0]])  # seeds x images


def test_every_claim_has_exactly_one_verdict_and_without_rows_none_is_tested(tmp_path):
    table = verdict.verdicts(tmp_path)
    assert table.id.tolist() == CLAIMS.id.tolist()
    rows = ~table.quantity.isin(PRINTED)
    assert set(table.verdict[rows]) == {NOT_TESTED}
    assert table.ours[rows].isna().all() and (table.why != "").all()
    assert rows.sum() == len(CLAIMS) - len(PRINTED)
    assert verdict.summary(tmp_path)["not tested here"] == rows.sum() + 1  # whether inference is cheap


def test_every_quantity_is_measured_and_nothing_else_is():
    assert set(CLAIMS.quantity) == set(verdict.QUANTITIES)


@pytest.mark.parametrize("label, psnr, steps, expected, why", [
    ("zid_oracle", (19.7, 19.8, 19.9), 500, "reproduced", "over scenes within 0.5 dB"),
    ("zid_oracle", (14.0, 14.5, 15.0), 500, "not reproduced", "over scenes within 0.5 dB"),
    ("zid_oracle", (14.0, 20.0, 26.0), 500, "undecided", "the interval cannot tell"),
    ("zid_oracle", (14.0, 14.5, 15.0), 6, "not tested here", "fewer steps than its authors' 500"),
    ("zid_oracle", (14.0,), 500, "not tested here", "has no interval"),
    ("zid", (14.0, 14.5, 15.0), 500, "not tested here", "where the ground truth is met best: not run"),
    ("zid", (19.7, 19.8, 19.9), 500, "not tested here", "where the ground truth is met best: not run"),
    ("zid", (22.0, 22.1, 22.2), 500, "not reproduced", "over scenes within 0.5 dB"),
])
def test_a_network_fitted_to_each_image_is_judged_over_scenes_by_its_authors_own_stopping(tmp_path, label, psnr, steps,
                                                                                         expected, why):
    scores = [row for name, values in ((label, [psnr]), ("student", [[*np.add(psnr, 1), 99.0]]))
              for row in score(name, values, "sots_indoor")]
    row = decided(folder(tmp_path, scores=scores, runs=[run(label, label, 42_950_552, steps=steps)]), "zid_psnr")
    assert row.verdict == expected and why in row.why
    assert f"on the same pairs the student alone scores {np.mean(psnr) + 1:.2f}" in row.why


@pytest.mark.parametrize("printed, digit", [
    ("64.039", 0.001), ("122000", 1000), ("38420", 10), ("7", 1), ("2.00", 0.01)])
def test_the_last_printed_digit(printed, digit):
    assert last_digit(printed) == pytest.approx(digit)


SIZED = [  # claims of a difference with a printed size: name, and the labels subtracted
    ("affinity_gain_db", "framework-as_released", "student"),
    ("affinity_gain_psnr_percent", "framework-as_described", "student"),
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native"),
    ("mc_beats_drn_920", "mc_fsrcnn-upsampled", "drn_s-upsampled"),
    ("relu_hurts_920", "mc_fsrcnn-upsampled", "relu_mc_fsrcnn-upsampled"),
    ("batch_norm_hurts_460", "dsc_mc_fsrcnn-native", "dscbn_mc_fsrcnn-native"),
    ("hr_beats_lr_db", "framework-as_released", "framework-as_released-lr"),
    ("l2_beats_kl", "framework-as_described", "framework-as_described-kl"),
    ("gcanet_beats_student", "gcanet", "student"),
    ("student_beats_lightweight", "student", "famed_net"),
]  # in PSNR; test_the_gain_of_gcanet_in_ssim has the one in SSIM
UNSIZED = [
    ("multi_scale_features", "framework-as_described", "framework-as_released"),
    ("multi_scale_features", "framework-as_described-adaptive", "framework-as_released-adaptive"),
    ("teacher_features_matter", "framework-as_released-adaptive", "framework-bilinear_teacher"),
    ("plug_and_play", "aod_net-affinity", "aod_net"),
]
NOISE = np.array([[0.6, -0.5, 0.1], [-0.4, 0.5, 0.0]])


@pytest.mark.parametrize("claim, a, b", SIZED)
@pytest.mark.parametrize("times, expected", [
    (1.0, "reproduced"), (0.55, "reproduced"), (1.9, "reproduced"),
    *((times, "not reproduced") for times in (0.45, 0.0, -0.5, 2.1, 14))])
def test_a_difference_must_be_from_half_to_twice_its_printed_size(tmp_path, claim, a, b, times, expected):
    printed = CLAIMS.set_index("id").loc[claim]
    one = BASE.mean() / 100 if printed.unit == "percent" else 1.0
    row = decided(folder(tmp_path, scores=score(a, BASE + times * float(printed.value) * one) + score(b, BASE)), claim)
    assert row.verdict == expected and row.ours == pytest.approx(times * float(printed.value))
    assert row.low <= row.ours + 1e-9 and row.ours - 1e-9 <= row.high
    assert "; at this budget: " in row.why or "; at a budget that runs.csv does not tell" in row.why
    if printed.unit == "dB":
        assert f"{times:.2g} times the printed size" in row.why and ("of the same sign" in row.why) == (times > 0)


@pytest.mark.parametrize("lr, steps, expected", [
    (0.002, 100, "not tested here"), (0.001, 100, "reproduced"), (0.002, 10**8, "reproduced")])
def test_other_networks_are_ranked_only_by_one_recipe_or_a_whole_training(tmp_path, lr, steps, expected):
    runs = [run(label, label, 1, seed, steps=steps, lr=rate, training_images=steps * 4.0)
            for label, rate in (("student", lr), ("gcanet", 0.001)) for seed in (0, 1)]
    study = folder(tmp_path, scores=score("gcanet", BASE + 2.2944) + score("student", BASE), runs=runs)
    row = decided(study, "gcanet_beats_student")
    assert row.verdict == expected and ("recipes that differ" in row.why) == (expected == "not tested here")


@pytest.mark.parametrize("claim, a, b", [("gcanet_beats_student", "gcanet", "student"),
                                         ("student_beats_lightweight", "student", "famed_net")])
def test_other_networks_are_compared_with_the_student_at_their_budget_where_it_was_run(tmp_path, claim, a, b):
    gain, budget = float(CLAIMS.set_index("id").value[claim]), {"gcanet": 10**7, "famed_net": 10**7}
    own, other = "student-equal_budget", a if b == "student" else b
    scores = score(a, BASE + gain) + score(b, BASE)
    runs = [run(label, label, 1, seed, training_images=budget.get(label, 2 * 10**7))
            for label in (a, b) for seed in (0, 1)]
    row = decided(folder(tmp_path, scores=scores, runs=runs), claim)
    assert row.verdict == "not tested here" and "different numbers of images" in row.why
    scores += score(own, BASE + gain * (a == "student"))
    runs += [run(own, "student", 1, seed, training_images=budget[other]) for seed in (0, 1)]
    row = decided(folder(tmp_path, scores=scores, runs=runs), claim)
    assert row.verdict == "reproduced" and own in row.source


@pytest.mark.parametrize("gain, expected", [(0.0473, "reproduced"), (0.03, "reproduced"), (0.0, "not reproduced")])
def test_the_gain_of_gcanet_in_ssim(tmp_path, gain, expected):
    study = folder(tmp_path, scores=score("gcanet", BASE, ssim=0.9 + gain) + score("student", BASE))
    row = decided(study, "gcanet_ssim")
    assert (row.verdict, row.ours) == (expected, pytest.approx(gain))


def test_a_baseline_above_its_printed_ssim_contradicts_it_and_one_below_does_not(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table5.csv").query(
        "key not in ('student', 'full_framework', 'lsid_fcnn')").set_index("key").ssim.rename({"zid": "zid_oracle"})
    runs = [run(key, key, 1, seed, training_images=1500) for key in theirs.index for seed in (0, 1)]

    def row(gaps, seeds=2, keys=theirs.index):
        rows = [one for key in keys
                for one in score(key, [[20.0] * 2] * seeds, "sots_indoor", ssim=theirs[key] + gaps.get(key, 0.0))]
        return decided(folder(tmp_path, scores=rows, runs=runs), "baseline_ssim")

    assert row({}).verdict == "reproduced" and "15 of 15 networks" in row({}).why
    assert row({}, keys=theirs.index[1:]).verdict == "not tested here"
    assert row({"aod_net": -0.1}).verdict == "not tested here"
    high = row({"aod_net": -0.1, "mscnn": 0.02})
    assert (high.verdict, high.ours) == ("not reproduced", pytest.approx(0.02))
    assert "with the whole interval: MSCNN +0.020; " in high.why and "below by as much: AOD-Net -0.100" in high.why
    assert row({"mscnn": 0.02}, seeds=1).verdict == "not tested here"
    theirs["zid"] = theirs.zid_oracle
    last_step = row({"zid": -0.3}, keys=theirs.index.drop("zid_oracle"))  # its authors stop by the ground truth
    assert last_step.verdict == "not tested here" and "ZID" not in last_step.why and "14 of 15" in last_step.why


@pytest.mark.parametrize("psnr", [19.53, 10.0, 30.0])
def test_a_reconstruction_decides_nothing(tmp_path, psnr):
    row = decided(folder(tmp_path, scores=score("lsid_fcnn", [[psnr] * 3] * 2, "sots_indoor")), "lsid_fcnn_psnr")
    assert (row.verdict, row.ours) == ("not tested here", pytest.approx(psnr)) and "no public source" in row.why


def test_every_baseline_of_table_5_has_a_claim_and_says_where_it_scores_higher(tmp_path):
    table = pd.read_csv(paths.PUBLISHED / "table5.csv").set_index("key")
    for key, row in table.drop(["student", "full_framework"]).iterrows():
        claim = CLAIMS.set_index("id").loc[f"{key}_psnr"]
        assert float(claim.value) == row.psnr and claim.claim.endswith(" dB on SOTS-indoor.")
    study = folder(tmp_path, scores=score("mscnn", [[19.0] * 3] * 2, "sots_indoor"),
                   runs=[run("mscnn", "mscnn", 8014, training_images=1500)])
    row = decided(study, "mscnn_psnr")
    assert row.verdict == "not reproduced" and "higher than printed, though after training on fewer images" in row.why


def test_why_gives_the_gain_of_the_longest_pair(tmp_path):
    labels = {"framework-as_released": 0.0, "student": 0.0, "longest-framework": 0.3, "longest-student": 0.1}
    scores = [row for label, gain in labels.items() for row in score(label, (BASE if "long" not in label else BASE[:1])
                                                                     + gain)]
    study = folder(tmp_path, scores=scores, runs=[run(label, "student", 1, training_images=5000.0) for label in labels])
    assert "longest-framework less longest-student +0.200 [" in decided(study, "affinity_gain_db").why
    assert "5,000 images each, over rooms, 3 images, 1 seed" in decided(study, "affinity_gain_db").why
    short = folder(tmp_path / "short", scores=scores[:12])
    assert "longest" not in decided(short, "affinity_gain_db").why


@pytest.mark.parametrize("claim, a, b", UNSIZED)
@pytest.mark.parametrize("gain, noise, expected", [
    (30.0, 0, "reproduced"), (-0.5, 0, "not reproduced"), (0.0, 0, "undecided"), (0.05, 1, "undecided")])
def test_a_difference_without_a_printed_size_needs_only_the_sign(tmp_path, claim, a, b, gain, noise, expected):
    row = decided(folder(tmp_path, scores=score(a, BASE + gain + noise * NOISE) + score(b, BASE)), claim)
    assert row.verdict == expected and ("cannot tell" in row.why) == (expected == "undecided")


@pytest.mark.parametrize("low, high, printed, expected", [
    (0.1, 4.1, "4", True), (0.1, 3.0, "4", None), (-0.1, 4.1, "4", None), (-0.1, 1.9, "4", False),
    (8.1, 9.0, "4", False), (7.9, 9.0, "4", None), (0.1, 15.9, "4", True), (0.1, 16.1, "4", None),
    (-9.0, -1.0, "4", False), (-0.1, 9.0, "4", None), (np.nan, np.nan, "4", None),
    (0.1, 99.0, "", True), (-0.1, 99.0, "", None), (-2.0, -0.1, "", False), (np.nan, np.nan, "", None)])
def test_an_interval_confirms_contradicts_or_cannot_tell(low, high, printed, expected):
    m = Measurement((low + high) / 2, "", "", above_zero, low, high)
    name, text = ruling(m, pd.Series({"value": printed}))
    undecided = "not tested here" if np.isnan(low) else "undecided"
    assert name == {True: "reproduced", False: "not reproduced", None: undecided}[expected]
    assert text.startswith("none") == (expected is None) and ("has no interval" in text) == np.isnan(low)


@pytest.mark.parametrize("claim, a, b, expected", [
    ("affinity_gain_db", "framework-as_released", "student", "not reproduced"),  # 4.2 dB are far outside the noise
    ("hr_beats_lr_db", "framework-as_released", "framework-as_released-lr", "undecided")])  # 0.18 dB are within
def test_noise_is_held_against_a_claim_only_if_it_is_smaller_than_the_claim(tmp_path, claim, a, b, expected):
    row = decided(folder(tmp_path, scores=score(a, BASE + NOISE) + score(b, BASE)), claim)
    assert row.low < 0 < row.high and row.verdict == expected
    assert "undecided at a margin" in row.why and "2 seeds" in row.why and "per seed" in row.why
    assert (straddled.__doc__.split(";")[0] in row.why) == (expected == "undecided")


def test_why_says_at_which_budget_and_that_three_claims_share_their_runs(tmp_path):
    labels = ("framework-as_released", "student")
    study = folder(tmp_path, scores=score(labels[0], BASE) + score(labels[1], BASE),
                   runs=[run(label, "student", 1, seed) for label in labels for seed in (0, 1)])
    for claim in ("affinity_gain_db", "affinity_gain_psnr_percent", "affinity_gain_ssim_percent"):
        why = decided(study, claim).why
        assert "at this budget: trained 100 steps of 4" in why and "rest on the same runs" in why


@pytest.mark.parametrize("claim, suffixes", [
    ("affinity_gain_db", [""]), ("hr_beats_lr_db", ["", "-lr"]), ("w_fa_025_best", ["", "-w0.50", "-w0.75"])])
def test_one_seed_gives_a_number_but_no_verdict_on_a_training(tmp_path, claim, suffixes):
    rows = score("student", BASE[:1] - 9)
    for loss, suffix in enumerate(suffixes):
        rows += score(f"framework-as_released{suffix}", BASE[:1] - loss)
    row = decided(folder(tmp_path, scores=rows), claim)
    assert row.verdict == "not tested here" and row.ours > 0 and "one seed" in row.why


def test_a_gain_in_percent_is_the_gain_in_db_over_the_students(tmp_path):
    study = folder(tmp_path, scores=score("framework-as_released", BASE * 1.1) + score("student", BASE))
    assert decided(study, "affinity_gain_psnr_percent").ours == pytest.approx(10)


@pytest.mark.parametrize("cost, expected", [
    (0.2, "reproduced"), (-1.0, "reproduced"), (0.8, "not reproduced"), (0.4 + NOISE, "undecided")])
def test_a_small_cost_is_reproduced_if_it_is_at_most_the_printed_one(tmp_path, cost, expected):
    study = folder(tmp_path, scores=score("mc_fsrcnn-native", BASE) + score("dsc_mc_fsrcnn-native", BASE - cost))
    assert decided(study, "dsc_costs_little_460").verdict == expected


@pytest.mark.parametrize("psnr, expected", [(27.9, "reproduced"), (20.0, "not reproduced"), (35.0, "reproduced")])
def test_absolute_scores_are_tested_on_sots(tmp_path, psnr, expected):
    row = decided(folder(tmp_path, scores=score("student", [[psnr] * 3] * 2, "sots_indoor"),
                         runs=[run("student", "student", 96007)]), "student_psnr")
    assert (row.verdict, row.ours) == (expected, pytest.approx(psnr))
    assert "3 of 500 pairs" in row.why and "100 steps of 4" in row.why


@pytest.mark.parametrize("psnr, images, expected", [
    (20.0, 1500, "not tested here"), (20.0, 2_798_000, "not reproduced"), (27.9, 1500, "reproduced"),
    (35.0, 1500, "reproduced")])
def test_a_lower_score_after_fewer_images_than_the_papers_decides_nothing(tmp_path, psnr, images, expected):
    study = folder(tmp_path, scores=score("student", [[psnr] * 3] * 2, "sots_indoor"),
                   runs=[run("student", "student", 96007, training_images=images)])
    row = decided(study, "student_psnr")
    assert (row.verdict, row.ours) == (expected, pytest.approx(psnr))
    assert ("fewer images than the paper" in row.why) == (expected == "not tested here")


@pytest.mark.parametrize("psnr, expected", [(19.1, "reproduced"), (19.7, "not reproduced"), (18.0, "not tested here")])
def test_a_baseline_scores_a_number_where_our_own_networks_reach_it(tmp_path, psnr, expected):
    study = folder(tmp_path, scores=score("aod_net", [[psnr] * 3] * 2, "sots_indoor"),
                   runs=[run("aod_net", "aod_net", 1761, training_images=1500)])
    assert decided(study, "aod_net_psnr").verdict == expected
    reached = set(CLAIMS.id[CLAIMS.claim.str.contains(" reaches ")])
    assert reached == {"framework_psnr", "framework_ssim", "student_psnr", "student_ssim", "mc_psnr_920",
                       "dsc_psnr_920"}


@pytest.mark.parametrize("claim, a, b", [
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native"),
    ("dsc_costs_little_920", "mc_fsrcnn-upsampled", "dsc_mc_fsrcnn-upsampled"),
    ("batch_norm_hurts_460", "dsc_mc_fsrcnn-native", "dscbn_mc_fsrcnn-native"),
    ("mc_beats_drn_920", "mc_fsrcnn-upsampled", "drn_s-upsampled")])
def test_a_network_below_bicubic_resizing_says_nothing_of_the_size_of_a_difference(tmp_path, claim, a, b):
    scores = score(a, BASE + float(CLAIMS.set_index("id").value[claim])) + score(b, BASE)
    control = f"bicubic-{a.rpartition('-')[2]}"
    row = decided(folder(tmp_path, scores=scores + score(control, BASE[:1] + 60)), claim)
    assert row.verdict == "not tested here" and "too little trained" in row.why
    assert "the direction is as printed, and its interval excludes zero; below bicubic resizing: " in row.why
    row = decided(folder(tmp_path, scores=score(a, BASE - 1) + score(b, BASE) + score(control, BASE[:1] + 60)), claim)
    assert "the direction is the other way round, and its interval excludes zero" in row.why
    for more in ([], score(control, BASE[:1] - 10)):
        row = decided(folder(tmp_path, scores=scores + more), claim)
        assert row.verdict == "reproduced" and "below bicubic" not in row.why


def test_a_network_that_enlarges_four_times_is_not_held_to_doubling(tmp_path):
    a, b = score("mc_fsrcnn-upsampled", BASE + 7.91), score("drn_s-upsampled", BASE)
    row = decided(folder(tmp_path, scores=a + b + score("bicubic-upsampled", BASE[:1] + 5)), "mc_beats_drn_920")
    assert row.verdict == "reproduced" and "DRN-S enlarges four times" in row.why


def test_absolute_scores_are_not_tested_on_embedded_rooms(tmp_path):
    row = decided(folder(tmp_path, scores=score("student", [[27.9356] * 3] * 2)), "student_psnr")
    assert row.verdict == "not tested here" and np.isnan(row.ours) and "not SOTS" in row.why


def test_retrained_baselines_must_all_be_near_their_printed_scores(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table5.csv").query("key not in ('student', 'full_framework')")
    theirs = theirs.replace({"key": {"zid": "zid_oracle"}})  # as its authors score it
    rows = [row for one in theirs.itertuples() for row in score(one.key, [[one.psnr + 0.1] * 2], "sots_indoor")]
    assert decided(folder(tmp_path, scores=rows), "baselines_retrained").verdict == "reproduced"
    rows[0]["psnr_rgb"] -= 10
    assert decided(folder(tmp_path, scores=rows), "baselines_retrained").verdict == "not reproduced"
    assert decided(folder(tmp_path, scores=rows[2:]), "baselines_retrained").verdict == "not tested here"


def test_the_teacher_must_beat_bilinear_resizing_whatever_random_weights_do(tmp_path):
    for bilinear, expected in ((-0.5, "reproduced"), (0.1, "not reproduced")):
        study = folder(tmp_path, scores=score("framework-as_released", BASE) + score(
            "framework-bilinear_teacher", BASE + bilinear) + score("framework-untrained_teacher", BASE + 0.25))
        row = decided(study, "teacher_features_matter")
        assert (row.verdict, row.ours) == (expected, pytest.approx(-bilinear))
        assert "framework-untrained_teacher, of random weights and nearly black output, -0.250" in row.why
        assert "a teacher trained to reconstruct, which was not run" in row.why


def test_the_substitutes_compare_with_the_framework_that_shares_their_options(tmp_path):
    labels = {"framework-as_released": 0.0, "framework-as_released-adaptive": 0.1, "framework-bilinear_teacher": 0.1,
              "framework-untrained_teacher": 0.1}
    scores = [row for label, share in labels.items() for row in score(label, BASE + share)]
    runs = [run(label, "student", 1, teacher=label, affinity_share=share) for label, share in labels.items()]
    row = decided(folder(tmp_path, scores=scores, runs=runs), "teacher_features_matter")
    assert row.source.startswith("scores.csv: label=framework-as_released-adaptive")


def curve(label, seed=0, **columns):
    return [{"run": f"{label}-s{seed}", "label": label, "seed": seed, "step": step, "images": step, "epoch": step}
            | dict(zip(columns, values)) for step, values in enumerate(zip(*columns.values()))]


def test_features_at_several_scales_are_judged_at_equal_strength_where_that_was_run(tmp_path):
    printed = score("framework-as_described", BASE - 3) + score("framework-as_released", BASE)
    adaptive = score("framework-as_described-adaptive", BASE + 0.2) + score("framework-as_released-adaptive", BASE)
    curves = curve("framework-as_described", affinity_share=[0.99]) + curve(
        "framework-as_described-adaptive", affinity_share=[0.12])
    study = folder(tmp_path, scores=printed + adaptive, curves=curves)
    row = decided(study, "multi_scale_features")
    assert (row.verdict, row.ours) == ("reproduced", pytest.approx(0.2))
    assert "with the weight as printed -3.000" in row.why
    assert "99 % of the gradient of framework-as_described" in row.why
    assert "12 % of the gradient of framework-as_described-adaptive" in row.why
    row = decided(folder(tmp_path, scores=printed), "multi_scale_features")
    assert (row.verdict, row.ours) == ("not reproduced", pytest.approx(-3))


@pytest.mark.parametrize("other", ["l1", "kl"])
def test_a_comparison_of_distances_names_how_hard_each_pushes(tmp_path, other):
    labels = ("framework-as_released", f"framework-as_released-{other}")
    curves = curve(labels[0], affinity_share=[0.0002, 0.0002]) + curve(labels[1], affinity_share=[0.4, 0.5])
    study = folder(tmp_path, scores=score(labels[0], BASE) + score(labels[1], BASE), curves=curves)
    why = decided(study, f"l2_beats_{other}").why
    assert f"0.02 % of the gradient of {labels[0]} and 45 % of the gradient of {labels[1]}" in why
    assert f"w_FA in these runs, at which the distances push with very different strength: {labels[0]} unrec" in why
    assert ("row" in why and "this study's choice" in why) == (other == "kl")
    runs = [run(label, "student", 1, affinity_weight=weight) for label, weight in zip(labels, (0.021104, 0.25))]
    why = decided(folder(study, runs=runs), f"l2_beats_{other}").why
    assert f"{labels[0]} 0.0211 and {labels[1]} 0.25; the L2 norm's is the printed 0.25 rescaled" in why
    (study / "curves.csv").unlink()
    assert "an unrecorded part of the gradient" in decided(study, f"l2_beats_{other}").why


def test_the_network_that_the_module_does_not_help_decides(tmp_path):
    gains = {"aod_net": (1.0, "reproduced"), "gcanet": (0.05 + NOISE, "undecided"),
             "msbdn": (-0.2, "not reproduced")}
    scores = []
    for key, (gain, expected) in gains.items():
        scores += score(f"{key}-affinity", BASE + gain) + score(key, BASE)
        row = decided(folder(tmp_path, scores=scores), "plug_and_play")
        assert row.verdict == expected and f"label={key}-affinity" in row.source
    assert "msbdn, which decides, since each of 3 networks must gain: " in row.why


def test_a_weight_without_a_rule_cannot_be_tested(tmp_path):
    curves = curve("framework-as_released", affinity_weight=[0.25, 3.0])
    row = decided(folder(tmp_path, curves=curves), "w_fa_adaptive")
    assert row.verdict == "not tested here" and "preset values (0.25, 0.50, 0.75)" in row.why


def test_the_best_weight_is_ranked_and_the_spread_bounded(tmp_path):
    labels = [f"framework-as_released{suffix}" for suffix in ("", "-w0.50", "-w0.75")]
    for gains, best, spread in (((0.5, 0, 0), "reproduced", "not reproduced"),
                                ((0, 0.1, 0), "not reproduced", "reproduced"),
                                ((0.1 + NOISE, 0, 0), "undecided", "undecided")):
        rows = [row for label, gain in zip(labels, gains) for row in score(label, BASE + gain)]
        study = folder(tmp_path, scores=rows)
        table = verdict.verdicts(study).set_index("id").verdict
        assert (table["w_fa_025_best"], table["w_fa_insignificant"]) == (best, spread)


def test_the_weights_are_ranked_and_compared_over_the_seeds_that_all_of_them_have(tmp_path):
    """Over all its seeds 0.25 is the best of the three, over the three that they share the second."""
    scores = {"": [20.0, 20.1, 20.2, 22.0, 22.0], "-w0.50": [19.8, 19.9, 20.0], "-w0.75": [20.2, 20.3, 20.4]}
    rows = [row for suffix, means in scores.items()
            for row in score(f"framework-as_released{suffix}", [[mean, mean] for mean in means])]
    study = folder(tmp_path, scores=rows)
    spread, best = decided(study, "w_fa_insignificant"), decided(study, "w_fa_025_best")
    assert spread.ours == pytest.approx(0.4) and spread.verdict == "not reproduced" and best.ours == 0.75
    assert "w_fa 0.75 less 0.5 +0.400" in spread.why.lower() and "over the 3 seeds of both" in spread.why


@pytest.mark.parametrize("test_set, reason", [("rooms", "not RESIDE"), ("sots_indoor", "by construction")])
def test_the_teachers_target_says_nothing_of_the_resolution_of_the_dehazing_pairs(tmp_path, test_set, reason):
    study = folder(tmp_path, scores=score("bilinear-upsampled", [[np.inf, np.inf]], test_set, "super_resolution"))
    row = decided(study, "original_resolution")
    assert row.verdict == "not tested here" and np.isnan(row.ours) and reason in row.why


def test_only_all_500_pairs_confirm_the_test_set(tmp_path):
    rows = [score("student", [[20.0]], "sots_indoor")[0] | {"image": f"{scene}_{level}"}
            for scene in range(1400, 1450) for level in range(1, 11)]
    assert decided(folder(tmp_path, scores=rows), "sots_test_pairs").verdict == "reproduced"
    row = decided(folder(tmp_path, scores=rows[:250]), "sots_test_pairs")
    assert (row.ours, row.verdict) == (250, "not tested here")
    outdoor = [row | {"test_set": "sots_outdoor"} for row in rows]
    assert np.isnan(decided(tmp_path, "sots_outdoor_pairs").ours)
    assert decided(folder(tmp_path, scores=rows + outdoor), "sots_outdoor_pairs").verdict == "reproduced"


def test_selecting_on_the_test_set_is_measured_on_the_same_images_but_does_not_decide(tmp_path):
    once = curve("longest", validation_psnr_rgb=[20.0], test_psnr_rgb=[30.0])
    row = decided(folder(tmp_path, curves=once), "standard_split")
    assert "several checkpoints" in row.why and np.isnan(row.ours)
    several = [row for seed in (0, 1)
               for row in curve("student", seed, validation_psnr_rgb=[20.0, 21.0], test_psnr_rgb=[25.0 + seed, 24.0])]
    row = decided(folder(tmp_path, curves=once + several, scores=score("student", BASE)), "standard_split")
    assert (row.ours, row.verdict) == (1.5, "not tested here")  # not the mean scores of scores.csv, of other images
    assert "student +1.500" in row.why and "longest" not in row.why
    alike = [row for label, best in (("a", 25.0), ("b", 27.0))
             for row in curve(label, validation_psnr_rgb=[20.0, 21.0], test_psnr_rgb=[best, 24.0])]
    row = decided(folder(tmp_path / "alike", curves=alike, scores=score("student", BASE)), "standard_split")
    assert row.ours == 2.0 and np.isnan(row.low) and "label=a, b;" in row.source


def test_writing_again_gives_the_same_bytes_and_the_table_it_returns(tmp_path):
    study = folder(tmp_path, scores=score("student", BASE) + score("framework-as_released", BASE + 0.3))
    table = verdict.write(study)
    first = [(study / "tables" / f"verdict.{kind}").read_bytes() for kind in ("csv", "md")]
    verdict.write(study)
    assert [(study / "tables" / f"verdict.{kind}").read_bytes() for kind in ("csv", "md")] == first
    assert pd.read_csv(study / "tables" / "verdict.csv").verdict.tolist() == table.verdict.tolist()
    assert list(table.columns) == verdict.COLUMNS


def test_a_claim_that_nothing_measures_is_an_error(tmp_path):
    claim = CLAIMS.iloc[0].copy()
    claim["quantity"] = "psnr_of_the_moon"
    with pytest.raises(ValueError, match="psnr_of_the_moon"):
        verdict.verdict(verdict.Rows(tmp_path), claim)
