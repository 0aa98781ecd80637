"""The claims block and results/README.md follow the rows: other rows, other text."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from dehazelib import cli, paths
from dehazelib.report import findings, model_card, verdict
from dehazelib.report import pages as report
from dehazelib.report.claims import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, UNDECIDED, VERDICTS
from dehazelib.report.claims_quality import QUALITY
from dehazelib.report.pages import BLOCKS

FACTS = {"manifest": "abc", "commit": "c0ffee", "processor": "EPYC", "gpu": "", "torch": "2.13", "minutes": 10.0,
         "threads": 1, "data": "nyu", "task": "dehazing", "network": "student", "parameters": 96007, "crop": 0,
         "reduce": 4, "teacher": "", "start": "", "lr": 0.004, "schedule": "cosine", "augment": "flip", "clip": 0.1}
PSNR = np.array([[15.0, 16.0, 17.0], [15.2, 16.2, 17.2]])  # seeds x images


def runs_of(label, seeds=2, steps=1500, batch=1, **more):
    return [FACTS | {"run": f"{label}-s{seed}", "label": label, "seed": seed, "steps": steps, "batch": batch,
                     "training_images": float(steps * batch)} | more for seed in range(seeds)]


def scores_of(label, psnr, test_set="sots_indoor"):
    return [{"run": f"{label}-s{seed}", "label": label, "network": "student", "task": "dehazing", "seed": seed,
             "test_set": test_set, "image": f"14{i:02d}_1", "psnr_rgb": value, "ssim_gauss11_rgb": 0.8,
             "ssim_uniform7_rgb": 0.8}
            for seed, row in enumerate(np.asarray(psnr)) for i, value in enumerate(row)]


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def make(results):
    """Writes a study of student and framework with this gain in dB, and more runs and scores; returns its folder."""

    def study(name="cpu-nyu", gain=0.0, runs=(), scores=(), **more):
        folder = results / name
        folder.mkdir(parents=True)
        labels = {"student": PSNR, "framework-as_released": PSNR + gain}
        runs = [row for label in labels for row in runs_of(label, **more)] + list(runs)
        scores = [row for label, psnr in labels.items() for row in scores_of(label, psnr)] + list(scores)
        pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
        pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
        return folder

    return study


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    (begin, end), speed = BLOCKS["claims"], "\n".join(BLOCKS["speed"])
    file.write_text(f"# Title\n\n{begin}\nStale.\n{end}\n\nThe rest.\n{speed}\n")
    return file


def cells(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def point(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(f"- **{name}")]
    return line


@pytest.mark.parametrize("gain, ours, expected", [
    (0.25, "+0.250 [+0.250, +0.250] dB", "not reproduced"), (4.5, "+4.500 [+4.500, +4.500] dB", "reproduced")])
def test_a_claim_stands_with_theirs_ours_interval_verdict_and_what_it_rests_on(make, gain, ours, expected):
    folder = make(gain=gain)
    text, overview = report.block(folder), report.overview(folder)
    assert cells(text, "Adding the affinity module")[1:] == ["4.2056 dB", ours, expected]
    assert cells(overview, "Adding the affinity module")[1:] == [
        "4.2056 dB", ours, expected, f"sots_indoor, 3 of 500 pairs, 2 seeds; {gain / 4.2056:.2g} times the printed "
        "size, of the same sign; at this budget: trained 1500 steps of 1"]
    assert point(text, "Found") == (f"- **Found.** After 1,500 images each, framework minus student is {ours} as "
                                    f"released, {expected} at this budget.")
    assert point(text, "How good") == (
        "- **How good the student is.** The 32.1412 dB are not tested here. The student alone saw 1,500 images, "
        "0.054 % as many as in the published recipe and 0.0034 % as many pixels, and scores 16.10 dB, SSIM 0.8000, "
        "over 3 of the 500 SOTS-indoor pairs.")
    assert f"\n| as released | {ours.removesuffix(' dB')} | better |  |  |\n" in overview


@pytest.mark.parametrize("better, shown, told", [  # by how much each of the seeds is better on validation scenes
    ((0.1, 0.3), "+0.200 [-1.071, +1.471]", "0 of 1 forms gain there with the whole interval."),
    ((0.2, 0.2), "+0.200 [+0.200, +0.200]", "1 of 1 forms gain there with the whole interval."),
    ((0.2,), "+0.200", "")])
def test_a_gain_on_the_test_set_stands_beside_the_same_on_validation_scenes(make, better, shown, told):
    student = np.array([20.0, 20.25])[:len(better)]  # a third seed of one of them has no counterpart
    best = {"student": student, "framework-black_teacher": [*(student + better), 30.0]}
    runs = [row | {"best_validation_psnr_rgb": psnr, "validation_pairs": 16} for label, values in best.items()
            for row, psnr in zip(runs_of(label, 3), values)]
    folder = make(scores=scores_of("framework-black_teacher", PSNR + 0.5))
    pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
    text = report.overview(folder)
    assert cells(text, "black image as teacher")[1:4] == ["+0.500 [+0.500, +0.500]", "better", shown]
    assert told in text and ("The validation scenes are 16 pairs that no run was trained on" in text) == bool(told)


def test_the_trained_teacher_is_compared_with_the_controls_that_ran(make):
    gains = {"framework-as_released-adaptive": 0.0, "framework-untrained_teacher": 0.5, "framework-black_teacher": 0.25}
    runs = [row for label in gains for row in runs_of(label)]
    scores = [row for label, gain in gains.items() for row in scores_of(label, PSNR + gain)]
    folder = make(runs=runs, scores=scores)
    assert point(report.block(folder), "Found").endswith(
        "With a black image as teacher and an adaptive weight it is +0.250 [+0.250, +0.250] dB, with the trained "
        "teacher at that weight +0.000 [+0.000, +0.000] dB.")
    assert ("Framework with the trained teacher minus framework with an untrained one, whose output is nearly black "
            "-0.500 [-0.500, -0.500] dB, with a black image -0.250 [-0.250, -0.250] dB, all with adaptive weight. "
            "Verdicts on gains") in report.overview(folder)
    without = make("budget-nyu")
    assert "black" not in point(report.block(without), "Found") and "minus framework" not in report.overview(without)


def test_both_readings_are_told_with_their_terms_part_in_the_gradient(make):
    label = "framework-as_described"
    folder = make(runs=runs_of(label), scores=scores_of(label, PSNR - 4))
    shares = [{"run": f"{label}-s{seed}", "label": label, "seed": seed, "step": 1, "images": 1, "epoch": 0.1,
               "affinity_share": 0.99} for seed in (0, 1)]
    pd.DataFrame(shares).to_csv(folder / "curves.csv", index=False)
    assert ("+0.000 [+0.000, +0.000] dB as released, not reproduced at this budget; -4.000 [-4.000, -4.000] dB as "
            "described (its term: 99 % of the gradient).") in point(report.block(folder), "Found")


def test_the_chart_of_the_gains_is_shown_where_there_is_one_from_where_the_text_stands(make):
    folder, link = make(), "(results/cpu-nyu/figures/gains.png)"
    assert link not in report.block(folder)
    (folder / "figures").mkdir()
    (folder / "figures" / "gains.png").touch()
    assert link in report.block(folder) and "(cpu-nyu/figures/gains.png)" in report.overview(folder)


def test_the_distances_are_compared_in_each_reading_that_ran(make):
    labels = {"framework-as_described": -4.0, "framework-as_described-kl": -1.0, "framework-as_released-kl": 0.25}
    runs = [row for label in labels for row in runs_of(label)]
    scores = [row for label, gain in labels.items() for row in scores_of(label, PSNR + gain)]
    line = point(report.overview(make(gain=0.5, runs=runs, scores=scores)), "The distance between affinities")
    assert ("L2 minus KL (paper: +2.0137) as released +0.250 [+0.250, +0.250], as described -3.000 [-3.000, -3.000]."
            in line) and "L1" not in line
    assert "The distance between affinities" not in report.overview(make("budget-nyu"))


def test_a_low_score_at_a_small_budget_is_shown_but_not_held_against_the_paper(make):
    claim = verdict.verdicts(make()).set_index("id").loc["student_psnr"]
    assert claim.verdict == NOT_TESTED and "fewer images than the paper" in claim.why
    assert round(claim.ours, 2) == 16.10


def test_the_best_student_and_the_longest_pair_stand_beside_the_paper_s_score(make, monkeypatch):
    runs = [row for label in ("longest-student", "longest-framework") for row in runs_of(label, 1, 3000, 2)]
    runs += runs_of("dark_channel_prior-all_pairs", 1, training_images=np.nan)
    psnr = {"longest-student": 20.0, "longest-framework": 21.0, "dark_channel_prior-all_pairs": 19.0}
    folder = make(runs=runs, scores=[row for label, one in psnr.items() for row in scores_of(label, [[one] * 3])])
    line = point(report.block(folder), "How good the student is")
    assert "saw 6,000 images, 0.21 % as many as in the published recipe" in line and "ships" not in line
    assert "scores 20.00 dB, SSIM 0.8000, over 3 of the 500 SOTS-indoor pairs" in line
    assert "(dark channel prior, untrained: 19.00 dB, 0.8000)." in line
    assert line.endswith("In the pair trained longest, with the module minus without: +1.000 [+1.000, +1.000] dB, SSIM "
                         "+0.0000 [+0.0000, +0.0000], one run each.")
    monkeypatch.setattr(model_card, "shipped", lambda study: "longest-student")
    assert "0.8000); dehazelib ships it. In the pair" in point(report.block(folder), "How good the student is")


def test_the_block_counts_all_claims_and_shows_the_headlines(make):
    folder = make()
    text, claims, overview = report.block(folder), verdict.verdicts(folder), report.overview(folder)
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(report.HEADLINE) + 2
    assert report.HEADING in text and "**What the module gains**" not in text  # no chart is drawn
    every = [(claims.verdict == name).sum() for name in VERDICTS]
    scores = claims[claims.quantity.isin(QUALITY)].verdict
    assert point(text, "All claims") == (
        f"- **All claims.** Of {len(claims)} taken from the paper {every[0]} are reproduced (none on scores), "
        f"{every[1]} are not reproduced (3 on scores), {every[2]} are undecided (none on scores), "
        f"{every[3]} are not tested here ({(scores == NOT_TESTED).sum()} on scores).")
    assert f"Of {len(claims)} claims taken from the paper {every[0]} are reproduced (0 on scores; " in overview
    assert f"{every[1]} are not reproduced (3 on scores, of which 3 are one gain in 3 units; " in overview
    assert f"{every[3]} are not tested here (" in overview


def test_the_counts_tell_scores_from_other_rows_and_from_the_papers_own_tables():
    claims = pd.DataFrame([("psnr_student", REPRODUCED), ("parameters_student", REPRODUCED),
                           ("rank_full_framework", REPRODUCED), ("rank_full_framework", NOT_REPRODUCED),
                           ("gflops_baselines", NOT_TESTED), ("gflops_baselines", UNDECIDED)],
                          columns=["quantity", "verdict"]).assign(why="")
    own = "on the paper's own tables and code)"
    assert report._counts(claims) == (
        f"3 are reproduced (1 on scores; 1 on size, computing and data; 1 {own}, "
        f"1 are not reproduced (0 on scores; 0 on size, computing and data; 1 {own}, "
        "1 are undecided (0 on scores; 1 on size, computing and data), "
        "1 are not tested here (0 on scores; 1 on size, computing and data)")


def test_the_budget_follows_the_rows(make):
    line = point(report.overview(make()), "Budget")
    assert "1,500 whole images, downsampled 4 times each way: 0.054 % of the published recipe's 2,798,000 " in line
    assert "0.0034 % of their pixels" in line
    assert "(200 epochs of 13,990)" in line
    assert ("by one recipe, neither the paper's nor the released code's (learning rate 0.004, cosine, augmentation "
            "flip, gradient clipped to 0.1); the readings differ in the module alone") in line
    assert "All 4 trained runs took 40 minutes on EPYC without a GPU, 1 thread each" in line
    assert "NYU Depth v2" in line and "not the original ITS files" in line
    other = point(report.overview(make("budget-nyu", steps=20000, batch=16, crop=128, reduce=1, gpu="H100", lr=1e-4,
                                    schedule="constant", augment="released", clip=0.0)), "Budget")
    assert "the released code's recipe (learning rate 0.0001, constant, augmentation released)" in other
    assert "320,000 windows of 128 x 128 pixels: 11 % of" in other and "on H100. " in other
    recipe = line[line.index(", by one recipe"):line.index(". All 4")]
    assert point(report.block(make("other-nyu")), "Budget") == line.replace(recipe, "")


def test_certainty_names_images_seeds_and_the_hazy_input(make):
    hazy = {"runs": runs_of("hazy", 1, training_images=np.nan), "scores": scores_of("hazy", [[11.0, 12.0, 13.0]])}
    line = point(report.block(make(**hazy)), "How sure")
    assert "3 of the 500 SOTS-indoor pairs" in line and "2 of the student, 1 or 2 of each row" in line
    assert "hazy input scores 12.00 dB" in line


def test_the_longest_run_counts_the_images_of_all_its_phases(make):
    first = runs_of("longest-student-phase1", 1, steps=1000, batch=2, reduce=8)
    last = runs_of("longest-student", 1, steps=500, batch=2, start="longest-student-phase1-s0")
    text = report.overview(make(runs=first + last, scores=scores_of("longest-student", [[20.0, 21.0, 22.0]])))
    assert "saw 3,000 images, downsampled 8, then 4 times: 0.11 %" in point(text, "The longest runs")
    assert "scores 21.00 dB" in text
    middle = runs_of("longest-student-phase2", 1, steps=1000, batch=2, reduce=8, start="longest-student-phase1-s0")
    whole = runs_of("longest-student", 1, steps=500, batch=2, reduce=1, start="longest-student-phase2-s0")
    scores = scores_of("longest-student", [[20.0, 21.0, 22.0]])
    text = report.overview(make("budget-nyu", runs=first + middle + whole, scores=scores))
    assert "saw 5,000 images, downsampled 8 times, then whole: " in point(text, "The longest runs")
    assert not findings.longest(report.Rows(make("other-nyu")))


def test_the_overview_lists_every_claim_as_decided_or_open(make):
    folder = make(gain=0.25)
    text, claims = report.overview(folder), verdict.verdicts(folder)
    shown, still_open = text.partition("## What stays open")[::2]
    for claim in claims.itertuples():
        assert (f"| {claim.claim} |" in shown) == (claim.verdict in (REPRODUCED, NOT_REPRODUCED))
        named = [line for line in still_open.splitlines() if claim.id in line.replace(",", "").split()]
        assert len(named) == (claim.verdict in (UNDECIDED, NOT_TESTED)), claim.id


def test_the_overview_says_what_was_run_for_how_long_and_on_which_data(make):
    text = report.overview(make(runs=runs_of("x-native", 1, task="super_resolution", steps=40, batch=4)))
    assert "| dehazing | 4 | 2 | 1,500 | 40.0 | student, framework-as_released |" in text
    assert "| super-resolution | 1 | 1 | 160 | 10.0 | x-native |" in text
    assert "manifest abc; commit c0ffee; torch 2.13." in text


def test_writing_changes_the_block_only_and_twice_gives_the_same_bytes(make, readme, results):
    folder = make()
    report.write(folder, readme)
    once = readme.read_text()
    begin, end = BLOCKS["claims"]
    assert once.startswith(f"# Title\n\n{begin}\n") and f"\n{end}\n\nThe rest.\n{BLOCKS['speed'][0]}\n" in once
    assert report.inside(once, "claims") == report.block(folder) and "Stale" not in once
    assert (results / "README.md").read_text() == report.overview(folder)
    made = {file.name: file.read_bytes() for file in (folder / "tables").iterdir()}
    assert {"table5.csv", "table9.md", "verdict.csv"} <= made.keys()
    report.write(folder, readme)
    assert readme.read_text() == once
    assert {file.name: file.read_bytes() for file in (folder / "tables").iterdir()} == made


def test_what_calculation_shows_is_linked_where_it_is(make):
    folder = make()
    assert "forensics" not in report.block(folder)
    (folder / "tables").mkdir()
    (folder / "tables" / "forensics.md").write_text("findings")
    assert "(results/cpu-nyu/tables/forensics.md)" in report.block(folder).splitlines()[-1]


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("text", ["", "{0}", "{1}\n{0}", "{0}{1}" * 2])
def test_markers_must_be_there_once_in_order(make, readme, name, text):
    others = "".join("".join(markers) for other, markers in BLOCKS.items() if other != name)
    text = text.format(*BLOCKS[name]) + others
    readme.write_text(text)
    with pytest.raises(ValueError, match="needs the lines"):
        report.write(make(), readme)
    assert readme.read_text() == text


def test_a_study_is_found_by_its_profile_or_its_folder(make):
    folder = make("cpu-nyu")
    assert report.find("cpu") == report.find("cpu-nyu") == folder
    other = make("cpu-its")
    with pytest.raises(ValueError, match="cpu-its or cpu-nyu"):
        report.find("cpu")
    assert report.find("cpu-its") == other


def test_a_study_without_student_is_refused(make):
    folder = make()
    pd.DataFrame(scores_of("hazy", PSNR)).to_csv(folder / "scores.csv", index=False)
    with pytest.raises(ValueError, match="no scores of the student"):
        report.block(folder)


def test_the_command_writes_both_files_and_says_where_a_study_is_missing(make, readme, results, capsys):
    assert cli.main(["report", "--readme", str(readme)]) == 1
    assert "No study cpu" in capsys.readouterr().err and not results.exists()
    folder = make()
    assert cli.main(["report", "--readme", str(readme)]) == 0
    assert report.inside(readme.read_text(), "claims") == report.block(folder) and (results / "README.md").exists()


def test_no_torch_is_needed(make):
    code = ("import sys; from pathlib import Path; from dehazelib import report\n"
            f"report.block(Path({str(make())!r}))\nassert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, check=True)


def test_the_teacher_stands_beside_resizing_and_the_prior_beside_the_student(make):
    names = {"dsc_mc_fsrcnn": 39.0, "bicubic": 44.0, "bilinear": np.inf}
    labels = {f"{name}-upsampled": psnr for name, psnr in names.items()} | {"dark_channel_prior": 19.0}
    scores = [row for label, psnr in labels.items() for row in scores_of(label, [[psnr] * 3])]
    runs = runs_of("dsc_mc_fsrcnn-upsampled", 1, steps=2000, batch=4) + [
        row for label in labels if label != "dsc_mc_fsrcnn-upsampled"
        for row in runs_of(label, 1, training_images=np.nan)]
    text = report.overview(make(runs=runs, scores=scores))
    line = point(text, "The teacher")
    assert ("saw 8,000 windows and doubles images at 39.00 dB; "
            "bicubic resizing does so at 44.00, bilinear without error") in line
    assert "The dark channel prior, which needs no training, scores 19.00 dB, SSIM 0.8000." in point(text, "How sure")


def test_the_frameworks_teacher_is_that_of_the_first_seed(make):
    label = "dsc_mc_fsrcnn-upsampled"
    runs, scores = runs_of(label, 2, steps=2000, batch=4), scores_of(label, [[39.0] * 3, [41.0] * 3])
    line = point(report.overview(make(runs=runs, scores=scores)), "The teacher")
    assert "doubles images at 39.00 dB (mean over 2 seeds: 40.00)" in line


def test_the_longest_run_is_told_with_and_without_the_module_and_shipped_only_if_it_is(make, monkeypatch):
    rows = [row for label in ("longest-student", "longest-framework") for row in runs_of(label, 1, steps=500, batch=2)]
    scores = scores_of("longest-student", [[20.0, 21.0, 22.0]]) + scores_of("longest-framework", [[20.5, 21.5, 22.5]])
    folder = make(runs=rows, scores=scores)
    line = point(report.overview(folder), "The longest runs")
    assert ("with the module as released: 21.50 dB, SSIM 0.8000, differences of +0.500 [+0.500, +0.500] dB and "
            "+0.0000 [+0.0000, +0.0000], intervals over scenes") in line
    assert "ships" not in line
    monkeypatch.setattr(model_card, "shipped", lambda study: "longest-student")
    assert "Its weights are those that dehazelib ships." in point(report.overview(folder), "The longest runs")


def test_the_student_gone_on_alone_is_told_and_whose_weights_are_shipped(make, monkeypatch):
    monkeypatch.setattr(model_card, "shipped", lambda study: "onward-student")
    pair = [row for label in ("longest-student", "longest-framework")
            for row in runs_of(label, 1, steps=500, batch=2, held_out_psnr_rgb=21.0)]
    more = runs_of("onward-student", 1, steps=300, batch=2, start="longest-student-s0", held_out_psnr_rgb=21.5)
    scores = [row for label, psnr in (("longest-student", 20.0), ("longest-framework", 20.5), ("onward-student", 22.0))
              for row in scores_of(label, [[psnr] * 3])]
    line = point(report.overview(make(runs=pair + more, scores=scores)), "The longest runs")
    assert "The student alone saw 1,000 images, downsampled 4 times: 0.036 % " in line
    assert "20.00 dB, SSIM 0.8000" in line
    assert line.endswith(
        "Gone on alone for 600 images more, the student scores 22.00 dB, SSIM 0.8000; on all validation pairs, which "
        "decide what is shipped, 21.50 dB, before 21.00. Its weights are those that dehazelib ships.")
    assert line.count("ships") == 1


def test_what_stopping_by_the_ground_truth_adds_is_told_where_both_ran(make):
    runs = [row for label in ("zid", "zid_oracle") for row in runs_of(label, 1, steps=500, training_images=np.nan)]
    scores = [row for label, psnr in (("zid", 12.0), ("zid_oracle", 18.0)) for row in scores_of(label, [[psnr] * 3])]
    line = point(report.overview(make(runs=runs, scores=scores)), "Stopped by the ground truth")
    assert "in 500 steps, scores 12.00 dB after the last one, and 18.00 where" in line
    assert line.endswith("+6.00 [+6.00, +6.00] dB, over 3 of the 500 SOTS-indoor pairs.")
    assert "Stopped by" not in report.overview(make("budget-nyu", runs=runs[:1], scores=scores[:3]))


def test_where_the_error_lies_follows_from_the_protocols(make):
    folder = make()
    assert "Where the error lies" not in report.overview(folder)
    rows = [{"run": "r", "label": "longest-student", "seed": 0, "test_set": "sots_indoor", "image": f"{image}_1",
             "protocol": name, "value": value + image}
            for image in (0, 1)
            for name, value in (("psnr_rgb", 20.0), ("psnr_rgb_offset", 25.0), ("psnr_rgb_details", 33.0))]
    pd.DataFrame(rows).to_csv(folder / "protocols.csv", index=False)
    line = point(report.overview(folder), "Where the error lies")
    assert "On 2 pairs the best student scores 20.50 dB" in line
    assert "25.50, with that of every 20x20 block 33.50" in line
