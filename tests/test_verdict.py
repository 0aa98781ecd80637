"""Verdicts follow the rows: every claim has one, and other rows give another."""

import numpy as np
import pandas as pd
import pytest

from dehazelib import paths, verdict
from dehazelib.claims import last_digit

CLAIMS = pd.read_csv(paths.PUBLISHED / "claims.csv", dtype=str, keep_default_na=False)
BASE = np.array([[20.0, 24.0, 28.0], [21.0, 25.0, 29.0]])  # seeds x images
COMPUTE = {"title": "", "size_mb": 0.6, "gflops": 1.0, "latency_ms": 10.0, "latency_ms_low": 9.0,
           "latency_ms_high": 11.0, "peak_memory_mb": 100.0, "device": "cpu", "processor": "p", "gflops_profiler": 1.0}


def score(label, psnr, test_set="rooms", task="dehazing", ssim=0.9):
    return [{"run": f"{label}-s{seed}", "label": label, "network": label, "task": task, "seed": seed,
             "test_set": test_set, "image": f"{image}_1", "psnr_rgb": value, "ssim_gauss11_rgb": ssim,
             "ssim_uniform7_rgb": ssim}
            for seed, row in enumerate(np.asarray(psnr)) for image, value in enumerate(row)]


def run(label, network, parameters, seed=0, teacher="", **more):
    return {"run": f"{label}-s{seed}", "label": label, "network": network, "seed": seed, "parameters": parameters,
            "teacher": teacher, "steps": 100, "batch": 4} | more


def compute(name, form, parameters, **more):
    return COMPUTE | {"name": name, "form": form, "parameters": parameters} | more


def folder(path, **rows):
    path.mkdir(exist_ok=True)
    for name, table in rows.items():
        pd.DataFrame(table).to_csv(path / f"{name}.csv", index=False)
    return path


def decided(study, claim):
    table = verdict.verdicts(study).set_index("id")
    return table.loc[claim]


def test_every_claim_has_exactly_one_verdict_and_without_rows_none_is_tested(tmp_path):
    table = verdict.verdicts(tmp_path)
    assert table.id.tolist() == CLAIMS.id.tolist()
    assert set(table.verdict) == {verdict.NOT_TESTED}
    assert table.ours.isna().all() and (table.why != "").all()
    assert verdict.summary(tmp_path) == {"reproduced": 0, "not reproduced": 0, "not tested here": len(CLAIMS)}


def test_every_quantity_is_measured_and_nothing_else_is():
    assert set(CLAIMS.quantity) == set(verdict.QUANTITIES)


@pytest.mark.parametrize("printed, digit", [
    ("64.039", 0.001), ("122000", 1000), ("38420", 10), ("7", 1), ("2.00", 0.01)])
def test_the_last_printed_digit(printed, digit):
    assert last_digit(printed) == pytest.approx(digit)


@pytest.mark.parametrize("claim, a, b", [
    ("affinity_gain_db", "framework-as_released", "student"),
    ("affinity_gain_psnr_percent", "framework-as_described", "student"),
    ("mc_beats_fsrcnn_460", "mc_fsrcnn-native", "fsrcnn_x2-native"),
    ("mc_beats_drn_920", "mc_fsrcnn-upsampled", "drn_s-upsampled"),
    ("relu_hurts_920", "mc_fsrcnn-upsampled", "relu_mc_fsrcnn-upsampled"),
    ("batch_norm_hurts_460", "dsc_mc_fsrcnn-native", "dscbn_mc_fsrcnn-native"),
    ("hr_beats_lr_db", "framework-as_released", "framework-as_released-lr"),
    ("l2_beats_kl", "framework-as_described", "framework-as_described-kl"),
    ("multi_scale_features", "framework-as_described", "framework-as_released"),
    ("gcanet_beats_student", "gcanet", "student"),
    ("student_beats_lightweight", "student", "famed_net"),
    ("plug_and_play", "aod_net-affinity", "aod_net"),
])
@pytest.mark.parametrize("gain, expected", [(30.0, "reproduced"), (-0.5, "not reproduced"), (0.0, "not reproduced")])
def test_a_difference_is_reproduced_only_if_its_interval_lies_above_zero(tmp_path, claim, a, b, gain, expected):
    row = decided(folder(tmp_path, scores=score(a, BASE + gain) + score(b, BASE)), claim)
    assert row.verdict == expected
    assert row.low <= row.ours <= row.high and (row.ours == pytest.approx(gain) or row.unit == "percent")


def test_a_difference_within_its_noise_is_not_reproduced_and_says_so(tmp_path):
    wobble = np.array([[0.6, -0.5, 0.1], [-0.4, 0.5, 0.0]])
    row = decided(folder(tmp_path, scores=score("framework-as_released", BASE + wobble) + score("student", BASE)),
                  "affinity_gain_db")
    assert row.low < 0 < row.high and row.verdict == "not reproduced"
    assert "undecided" in row.why and "2 seeds" in row.why and "per seed" in row.why


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


@pytest.mark.parametrize("cost, expected", [(0.2, "reproduced"), (-1.0, "reproduced"), (0.8, "not reproduced")])
def test_a_small_cost_is_reproduced_if_it_is_at_most_the_printed_one(tmp_path, cost, expected):
    study = folder(tmp_path, scores=score("mc_fsrcnn-native", BASE) + score("dsc_mc_fsrcnn-native", BASE - cost))
    assert decided(study, "dsc_costs_little_460").verdict == expected


@pytest.mark.parametrize("psnr, expected", [(27.9, "reproduced"), (20.0, "not reproduced"), (35.0, "not reproduced")])
def test_absolute_scores_are_tested_on_sots(tmp_path, psnr, expected):
    row = decided(folder(tmp_path, scores=score("student", [[psnr] * 3] * 2, "sots_indoor"),
                         runs=[run("student", "student", 96007)]), "student_psnr")
    assert (row.verdict, row.ours) == (expected, pytest.approx(psnr))
    assert "3 of 500 pairs" in row.why and "100 steps of 4" in row.why


@pytest.mark.parametrize("psnr, images, expected", [
    (20.0, 1500, "not tested here"), (20.0, 2_798_000, "not reproduced"), (27.9, 1500, "reproduced"),
    (35.0, 1500, "not reproduced")])
def test_a_lower_score_after_fewer_images_than_the_papers_decides_nothing(tmp_path, psnr, images, expected):
    study = folder(tmp_path, scores=score("student", [[psnr] * 3] * 2, "sots_indoor"),
                   runs=[run("student", "student", 96007, training_images=images)])
    row = decided(study, "student_psnr")
    assert (row.verdict, row.ours) == (expected, pytest.approx(psnr))
    assert ("fewer images than the paper" in row.why) == (expected == "not tested here")


def test_absolute_scores_are_not_tested_on_embedded_rooms(tmp_path):
    row = decided(folder(tmp_path, scores=score("student", [[27.9356] * 3] * 2)), "student_psnr")
    assert row.verdict == "not tested here" and np.isnan(row.ours) and "not SOTS" in row.why


@pytest.mark.parametrize("claim, key, right, wrong", [
    ("student_parameters", "student", 96007, 122458), ("ffa_net_parameters", "ffa_net", 2870812, 4455913),
    ("relu_parameters", "relu_mc_fsrcnn", 38427, 37911), ("batch_norm_parameters", "dscbn_mc_fsrcnn", 29571, 28179)])
def test_a_count_must_match_as_printed(tmp_path, claim, key, right, wrong):
    others = [run("mc_fsrcnn-native", "mc_fsrcnn", 38427), run("dsc_mc_fsrcnn-native", "dsc_mc_fsrcnn", 26451)]
    for count, expected in ((right, "reproduced"), (wrong, "not reproduced")):
        row = decided(folder(tmp_path, runs=[*others, run("x", key, count)]), claim)
        assert (row.verdict, row.ours) == (expected, count)
        assert f"{count:,}" in row.why and f"network={key}" in row.source


def test_why_gives_the_slopes_that_the_relu_variant_lacks_from_the_rows(tmp_path):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", 1000), run("relu_mc_fsrcnn-native", "relu_mc_fsrcnn", 900)]
    assert "1,000, 100 more" in decided(folder(tmp_path, runs=runs), "relu_parameters").why


def test_the_frameworks_parameters_are_student_plus_teacher(tmp_path):
    runs = [run("teacher", "dsc_mc_fsrcnn", 26451), run("student", "student", 96007),
            run("framework-as_released", "student", 96007, teacher="teacher-s0")]
    row = decided(folder(tmp_path, runs=runs), "framework_parameters")
    assert (row.ours, row.verdict) == (122458, "reproduced") and "96,007 + teacher 26,451" in row.why
    assert decided(tmp_path, "framework_adds_26k").ours == 26451


@pytest.mark.parametrize("gflops, expected", [(64.03988, "reproduced"), (53.690, "not reproduced")])
def test_gflops_must_agree_to_the_printed_digits(tmp_path, gflops, expected):
    rows = [compute("full_framework", "training_graph", 122458, gflops_profiler=gflops),
            compute("student", "deployed", 96007, gflops_profiler=53.69)]
    row = decided(folder(tmp_path, compute=rows), "framework_gflops")
    assert row.verdict == expected and "training graph" in row.why and "53.69" in row.why


def test_all_baselines_must_be_measured_before_their_gflops_are_reproduced(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table9.csv")
    rows = [compute(row.key, "table", 1, gflops_profiler=row.gflops) for row in theirs.itertuples()
            if row.key != "full_framework"]
    assert decided(folder(tmp_path, compute=rows), "baseline_gflops").verdict == "reproduced"
    assert decided(folder(tmp_path, compute=rows[1:]), "baseline_gflops").verdict == "not tested here"
    unmeasured = [rows[0] | {"gflops_profiler": np.nan}, *rows[1:]]
    assert decided(folder(tmp_path, compute=unmeasured), "baseline_gflops").verdict == "not tested here"
    rows[0]["gflops_profiler"] += 0.002
    row = decided(folder(tmp_path, compute=rows), "baseline_gflops")
    assert row.verdict == "not reproduced" and "AOD-Net" in row.why


def test_sizes_are_compared_as_ratios_of_counts_and_of_files(tmp_path):
    framework = [compute("full_framework", "training_graph", 122458), compute("student", "deployed", 96007)]
    for count, expected in ((2870812, "reproduced"), (4455913, "not reproduced")):
        rows = [*framework, compute("ffa_net", "table", count, size_mb=11.1), compute("gcanet", "table", 7.3 * 96007)]
        row = decided(folder(tmp_path, compute=rows), "about_20x_smaller")
        assert (row.verdict, row.ours) == (expected, pytest.approx(count / 122458))
        assert "11.100 / 0.600 MB = 18.5" in row.why
        assert decided(tmp_path, "gcanet_7x_bigger").verdict == "reproduced"


@pytest.mark.parametrize("size, expected", [(0.62, "reproduced"), (0.50, "not reproduced")])
def test_the_weight_files_size_may_differ_a_little(tmp_path, size, expected):
    rows = [compute("full_framework", "training_graph", 122458, size_mb=size)]
    assert decided(folder(tmp_path, compute=rows), "framework_size_mb").verdict == expected


@pytest.mark.parametrize("gflops, expected", [(53.69, "reproduced"), (70.0, "not reproduced")])
def test_the_student_alone_must_be_cheaper_than_the_training_graph(tmp_path, gflops, expected):
    rows = [compute("full_framework", "training_graph", 122458, gflops_profiler=64.04),
            compute("student", "deployed", 96007, gflops_profiler=gflops),
            compute("student", "deployed", 96007, gflops_profiler=1.0, device="another")]
    row = decided(folder(tmp_path, compute=rows), "student_decoupled_at_inference")
    assert (row.verdict, row.ours) == (expected, pytest.approx(gflops / 64.04))


@pytest.mark.parametrize("count, expected", [(26451, "reproduced"), (30000, "not reproduced")])
def test_the_saving_of_separable_convolutions_follows_the_counts(tmp_path, count, expected):
    runs = [run("mc_fsrcnn-native", "mc_fsrcnn", 38427), run("dsc_mc_fsrcnn-native", "dsc_mc_fsrcnn", count)]
    assert decided(folder(tmp_path, runs=runs), "dsc_smaller").verdict == expected


@pytest.mark.parametrize("times, expected", [
    ((5.0, 4.9, 5.1), "reproduced"), ((9.9, 8.9, 10.9), "not reproduced"), ((40.0, 39.0, 41.0), "not reproduced")])
def test_separable_convolutions_must_be_faster_beyond_the_spread_and_in_real_time(tmp_path, times, expected):
    slow = (100, 90, 110) if times[0] == 40 else (10, 9, 11)
    names = ("latency_ms", "latency_ms_low", "latency_ms_high")
    rows = [compute("dsc_mc_fsrcnn", "deployed", 1, **dict(zip(names, times))),
            compute("mc_fsrcnn", "deployed", 1, **dict(zip(names, slow)))]
    assert decided(folder(tmp_path, compute=rows), "dsc_faster").verdict == expected


def test_retrained_baselines_must_all_be_near_their_printed_scores(tmp_path):
    theirs = pd.read_csv(paths.PUBLISHED / "table5.csv").query("key not in ('student', 'full_framework')")
    rows = [row for one in theirs.itertuples() for row in score(one.key, [[one.psnr + 0.1] * 2], "sots_indoor")]
    assert decided(folder(tmp_path, scores=rows), "baselines_retrained").verdict == "reproduced"
    rows[0]["psnr_rgb"] -= 10
    assert decided(folder(tmp_path, scores=rows), "baselines_retrained").verdict == "not reproduced"
    assert decided(folder(tmp_path, scores=rows[2:]), "baselines_retrained").verdict == "not tested here"


def test_latency_counts_only_on_the_papers_gpu(tmp_path):
    rows = [compute("full_framework", "training_graph", 1, latency_ms=58.9, latency_ms_low=58, latency_ms_high=60)]
    assert decided(folder(tmp_path, compute=rows), "framework_inference_ms").verdict == "not tested here"
    rows[0]["device"] = "NVIDIA GeForce RTX 3080 Ti"
    assert decided(folder(tmp_path, compute=rows), "framework_inference_ms").verdict == "reproduced"


def test_a_fixed_budget_means_like_computing(tmp_path):
    for gflops, expected in ((1.5, "reproduced"), (1600.0, "not reproduced")):
        rows = [compute("aod_net", "deployed", 1761), compute("ffa_net", "table", 2870812, gflops=gflops)]
        assert decided(folder(tmp_path, compute=rows), "fixed_compute_budget").verdict == expected


def test_the_teacher_must_beat_every_substitute(tmp_path):
    for bilinear, expected in ((-0.5, "reproduced"), (0.1, "not reproduced")):
        study = folder(tmp_path, scores=score("framework-as_released", BASE) + score(
            "framework-bilinear_teacher", BASE + bilinear) + score("framework-untrained_teacher", BASE - 1))
        row = decided(study, "teacher_features_matter")
        assert (row.verdict, row.ours) == (expected, pytest.approx(-bilinear))


def test_the_substitutes_compare_with_the_framework_that_shares_their_options(tmp_path):
    labels = {"framework-as_released": 0.0, "framework-as_released-adaptive": 0.1, "framework-bilinear_teacher": 0.1,
              "framework-untrained_teacher": 0.1}
    scores = [row for label, share in labels.items() for row in score(label, BASE + share)]
    runs = [run(label, "student", 1, teacher=label, affinity_share=share) for label, share in labels.items()]
    row = decided(folder(tmp_path, scores=scores, runs=runs), "teacher_features_matter")
    assert row.source.startswith("scores.csv: label=framework-as_released-adaptive")


def test_a_fixed_weight_is_not_adaptive(tmp_path):
    for weights, expected in (([0.25, 0.25], "not reproduced"), ([0.25, 3.0], "reproduced")):
        curves = [{"run": "r", "label": "framework-as_released", "seed": 0, "step": step, "images": step, "epoch": step,
                   "affinity_weight": weight} for step, weight in enumerate(weights)]
        assert decided(folder(tmp_path, curves=curves), "w_fa_adaptive").verdict == expected


def test_the_best_weight_is_ranked_and_the_spread_bounded(tmp_path):
    labels = [f"framework-as_released{suffix}" for suffix in ("", "-w0.50", "-w0.75")]
    for gains, best, spread in (((0.5, 0, 0), "reproduced", "not reproduced"),
                                ((0, 0.1, 0), "not reproduced", "reproduced")):
        rows = [row for label, gain in zip(labels, gains) for row in score(label, BASE + gain)]
        study = folder(tmp_path, scores=rows)
        table = verdict.verdicts(study).set_index("id").verdict
        assert (table["w_fa_025_best"], table["w_fa_insignificant"]) == (best, spread)


def test_an_infinite_bilinear_score_shows_that_the_target_was_resized(tmp_path):
    for psnr, expected in ((np.inf, "not reproduced"), (40.0, "reproduced")):
        study = folder(tmp_path, scores=score("bilinear-upsampled", [[psnr, psnr]], task="super_resolution"))
        row = decided(study, "original_resolution")
        assert (row.ours, row.verdict) == (psnr, expected)


def test_training_overhead_compares_like_with_like(tmp_path):
    common = {"crop": 64, "peak_memory_mb": 100.0, "processor": "p", "gpu": ""}
    scores = score("framework-as_released", BASE) + score("student", BASE)
    for minutes, expected in ((1.05, "reproduced"), (3.0, "not reproduced")):
        runs = [run(label, "student", 1, seed, minutes=time, **common) for seed in (0, 1)
                for label, time in (("student", 1.0), ("framework-as_released", minutes))]
        study = folder(tmp_path, scores=scores, runs=runs)
        assert decided(study, "minimal_training_overhead").verdict == expected
    once = [row for row in runs if row["seed"] == 0]
    assert decided(folder(tmp_path, scores=scores, runs=once), "minimal_training_overhead").verdict == "not tested here"
    noisy = [row | {"minutes": 0.9} if row["label"] != "student" and row["seed"] else row for row in runs]  # ratios 3.0, 0.9
    row = decided(folder(tmp_path, scores=scores, runs=noisy), "minimal_training_overhead")
    assert row.verdict == "not tested here" and "from below the limit to above it" in row.why
    runs[0]["processor"] = "another"
    assert decided(folder(tmp_path, scores=scores, runs=runs), "minimal_training_overhead").verdict == "not tested here"


def test_only_all_500_pairs_confirm_the_test_set(tmp_path):
    rows = [score("student", [[20.0]], "sots_indoor")[0] | {"image": f"{scene}_{level}"}
            for scene in range(1400, 1450) for level in range(1, 11)]
    assert decided(folder(tmp_path, scores=rows), "sots_test_pairs").verdict == "reproduced"
    row = decided(folder(tmp_path, scores=rows[:250]), "sots_test_pairs")
    assert (row.ours, row.verdict) == (250, "not tested here")


def test_selecting_on_the_test_set_is_measured_but_does_not_decide(tmp_path):
    runs = [run("student", "student", 96007, psnr_selected_on_test=25.0)]
    row = decided(folder(tmp_path, scores=score("student", BASE[:1]), runs=runs), "standard_split")
    assert (row.ours, row.verdict) == (1.0, "not tested here")


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
        verdict.verdict(verdict.Measured(tmp_path), claim)


@pytest.mark.parametrize("gain, expected", [(2.0, "not reproduced"), (2.2, "reproduced")])
def test_a_difference_must_reach_half_of_its_printed_size(tmp_path, gain, expected):
    """The paper prints 4.2056 dB for the module's gain."""
    scores = score("framework-as_released", BASE + gain) + score("student", BASE)
    assert decided(folder(tmp_path, scores=scores), "affinity_gain_db").verdict == expected
