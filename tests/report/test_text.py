"""Pages follow the rows of any study: numbers are the rows', paragraphs without rows are left out."""

import numpy as np
import pandas as pd
import pytest

from builders import curve, folder, score
from dehazelib import cli, paths
from dehazelib.report import facts, text
from dehazelib.report.rows import Rows

OPTIONS = {"manifest": "abc", "commit": "c0ffee", "processor": "EPYC", "gpu": "", "torch": "2.13", "minutes": 10.0,
           "threads": 1, "data": "nyu", "task": "dehazing", "network": "student", "parameters": 96007, "crop": 0,
           "reduce": 4, "teacher": "", "start": "", "lr": 0.004, "schedule": "cosine", "augment": "flip", "clip": 0.1,
           "loss": "mse", "steps": 1500, "batch": 1, "training_images": 1500.0}
PSNR = np.array([[15.0, 16.0, 17.0], [15.2, 16.2, 17.2]])  # seeds x images
RECIPE = 2_798_000 * 460 * 620  # pixels that the published recipe trains on
COMMITTED = paths.ROOT / "results" / "cpu-nyu"


def runs_of(label, seeds=2, **more):
    return [OPTIONS | {"run": f"{label}-s{seed}", "label": label, "seed": seed} | more for seed in range(seeds)]


def scores_of(label, psnr, test_set="sots_indoor"):
    names = [f"14{i:02d}_{2 * i + 1}" for i in range(np.shape(psnr)[1])]
    return score(label, psnr, test_set, ssim=0.8, names=names)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def make(results):
    """Writes a study of student and framework with this gain in dB, and more rows; returns its folder."""

    def study(name="cpu-nyu", gain=0.0, runs=(), scores=(), test_set="sots_indoor", files=(), **more):
        labels = {"student": PSNR, "framework-as_released": PSNR + gain}
        runs = [row for label in labels for row in runs_of(label, **more)] + list(runs)
        scores = [row for label, psnr in labels.items() for row in scores_of(label, psnr, test_set)] + list(scores)
        return folder(results / name, runs=runs, scores=scores, **dict(files))

    return study


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n\n{text.BEGIN}\nStale.\n{text.END}\n\nThe rest.\n")
    return file


# ------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.skipif(not COMMITTED.exists(), reason="the study is not in this checkout")
def test_the_sentences_of_judgement_hold_for_the_committed_rows():
    broken = [premise for premise, holds in facts.judgement(Rows(COMMITTED)).items() if not holds]
    assert not broken, f"rewrite templates/claims.md.j2: no longer true that {', '.join(broken)}"


def test_no_judgement_is_passed_on_other_rows(make):
    rows = Rows(make(gain=4.0))
    assert not all(facts.judgement(rows).values())
    block = text.claims_block(rows)
    assert "Why, at any budget" not in block and "+4.000 [+4.000, +4.000] dB more" in block


@pytest.mark.parametrize("stages, images, pixels, minutes, scales", [
    # images, downsampling and more of each run, which goes on from the one before
    ([{"training_images": 2000.0, "reduce": 8}, {"training_images": 1000.0, "reduce": 2, "start": "stage0-s0"}],
     3000, 2000 * 57 * 77 + 1000 * 230 * 310, 20, [(8,), (2,)]),
    ([{"training_images": 2000.0, "steps": 1000, "minutes": 20.0},  # left at a quarter of its steps
      {"training_images": 500.0, "minutes": 5.0, "start": "stage0-s0@250"}], 1000, 1000 * 115 * 155, 10, [(4,)]),
    ([{"training_images": 900.0, "reduce": 2, "batch": 2, "scales": "2 4 1"}],  # 2, 8 and 1 images a step
     900, 900 * (2 * 230 * 310 + 8 * 115 * 155 + 460 * 620) / 11, 10, [(2, 4, 1)]),
    ([{"crop": 64, "reduce": 1}], 1500, 1500 * 64 * 64, 10, [(1,)])])
def test_a_budget_counts_images_and_pixels_of_all_stages(make, stages, images, pixels, minutes, scales):
    runs = [row for i, options in enumerate(stages) for row in runs_of(f"stage{i}", 1, **options)]
    budget = facts.budget(Rows(make(runs=runs)), f"stage{len(stages) - 1}")
    assert (budget["images"], budget["minutes"], budget["scales"]) == (images, minutes, scales)
    assert budget["pixel_share"] == pytest.approx(pixels / RECIPE)


@pytest.mark.parametrize("options, owner", [
    ({}, ""), ({"lr": 1e-4, "schedule": "constant", "augment": "released"}, "the released code's")])
def test_a_recipe_has_an_owner_or_none(make, options, owner):
    assert facts.what_was_run(Rows(make(**options)))["owner"] == owner


def test_gains_stand_beside_those_on_validation_scenes_and_the_share_of_the_gradient(make):
    label = "framework-black_teacher"
    runs = runs_of(label, best_validation_psnr_rgb=20.5) + runs_of("student", best_validation_psnr_rgb=20.0)
    study = folder(make(scores=scores_of(label, PSNR + 0.5)), runs=runs, curves=curve(label, affinity_share=[0.1]))
    (black,) = [one for one in facts.gains(Rows(study)) if "black" in one["form"]]
    assert tuple(black["gain"]) == pytest.approx((0.5, 0.5, 0.5)) and black["verdict"] == "better"
    assert tuple(black["validation"]) == pytest.approx((0.5, 0.5, 0.5)) and black["share"] == pytest.approx(10)


def test_the_teacher_is_that_of_the_first_seed(make):
    label = "dsc_mc_fsrcnn-upsampled"
    study = make(runs=runs_of(label), scores=scores_of(label, [[39.0] * 3, [41.0] * 3]))
    assert facts.what_it_shows(Rows(study))["teacher"] == {"images": 1500, "psnr": 39, "mean": 40, "seeds": 2}


def test_odd_levels_are_recognised_and_easier_by_the_curve_through_them(make):
    """PSNR 20 - level: odd levels have a mean level of 5, all ten of 5.5."""
    psnr = [[20.0 - level for level in (1, 3, 5, 7, 9)]]
    rows = Rows(make(scores=scores_of("longest-student", psnr) + scores_of("hazy", [[10.0]])))
    assert facts.tested(rows, "student") == {"images": 3, "seeds": 2, "odd": True}
    assert facts.easier(rows, "longest-student") == pytest.approx(0.5) and np.isnan(facts.easier(rows, "hazy"))
    rows.scores.loc[rows.scores.label == "hazy", "image"] = "1400_2"
    rows.of.cache_clear()
    assert not facts.tested(rows, "hazy")["odd"]


def test_the_noise_of_one_training_pools_the_forms_with_hardly_any_gradient(make):
    study = make(gain=0.5, scores=scores_of("framework-black_teacher", PSNR + 9))
    assert facts.one_training(Rows(study)) == {}
    curves = curve("framework-as_released", affinity_share=[0.0002]) + curve(
        "framework-black_teacher", affinity_share=[0.1])
    pooled = facts.one_training(Rows(folder(study, curves=curves)))
    assert (pooled["runs"], pooled["labels"]) == (4, ["student", "framework-as_released"])
    assert (pooled["low"], pooled["high"]) == pytest.approx((16, 16.7))
    assert pooled["sd"] == pytest.approx(np.std([16, 16.2, 16.5, 16.7], ddof=1))


# --------------------------------------------------------------------------------------------------------- the pages


FULL = {  # label -> PSNR
    "longest-student": 20.0, "longest-framework": 20.5, "onward-student": 22.0, "trunk-student-decay": 23.0,
    "zid": 12.0, "zid_oracle": 18.0, "hazy": 11.0, "dark_channel_prior": 19.0,
    "framework-as_described": 14.0, "framework-as_described-l1": 15.0, "framework-as_released-adaptive": 16.0,
    "framework-black_teacher": 17.0, "dsc_mc_fsrcnn-upsampled": 39.0, "bicubic-upsampled": 44.0,
    "bilinear-upsampled": np.inf}


def test_the_results_page_has_a_section_for_what_was_run_only(make):
    empty = text.results_page(Rows(make("small-nyu")))
    values = {"psnr_rgb": 20.0, "psnr_rgb_offset": 25.0, "psnr_rgb_details": 33.0}
    protocols = [{"run": "r", "label": "longest-student", "seed": 0, "test_set": "sots_indoor", "image": "1400_1",
                  "protocol": name, "value": value} for name, value in values.items()]
    full = text.results_page(Rows(make(
        runs=[row for label in FULL for row in runs_of(label, 1)], files={"protocols": protocols},
        scores=[row for label, psnr in FULL.items() for row in scores_of(label, [[psnr] * 3])])))
    for section in ("The distance between affinities", "The teacher", "The longest runs", "Where the error lies",
                    "Stopping by the ground truth", "Controls without training"):
        assert f"### {section}" in full and f"### {section}" not in empty
    assert "### What the module gains" in empty and "\n\n\n" not in full + empty


@pytest.mark.parametrize("options", [{"gain": 0.25}, {"crop": 64, "reduce": 1}, {"gpu": "H100", "clip": 0.0}])
def test_a_small_study_on_the_embedded_rooms_has_all_pages(make, readme, results, options):
    study = make("demo", test_set="rooms", data="rooms", **options)
    text.write(study, readme)
    page = (results / "README.md").read_text()
    assert "images of the embedded rooms" in page and "SOTS-indoor" not in page.partition("## Claims of the paper")[0]
    assert " nan" not in page + readme.read_text()
    assert {"table5.csv", "table9.md", "verdict.csv"} <= {file.name for file in (study / "tables").iterdir()}


def test_the_command_changes_the_block_only_and_says_where_a_study_is_missing(make, readme, results, capsys):
    assert cli.main(["report", "--readme", str(readme)]) == 1
    assert "No study cpu" in capsys.readouterr().err and not results.exists()
    study = make()
    assert cli.main(["report", "--readme", str(readme)]) == 0
    once = readme.read_text()
    assert once.startswith("# Title\n\n<!-- claims") and "\n\nThe rest.\n" in once and "Stale" not in once
    text.write(study, readme)
    assert readme.read_text() == once


@pytest.mark.parametrize("content", ["", "{0}", "{1}\n{0}", "{0}{1}" * 2])
def test_markers_must_be_there_once_in_order(make, readme, content):
    content = content.format(text.BEGIN, text.END)
    readme.write_text(content)
    with pytest.raises(ValueError, match="needs the lines"):
        text.write(make(), readme)
    assert readme.read_text() == content


def test_a_study_is_found_by_its_profile_or_its_folder(make):
    study = make("cpu-nyu")
    assert text.find("cpu") == text.find("cpu-nyu") == study
    other = make("cpu-its")
    with pytest.raises(ValueError, match="cpu-its or cpu-nyu"):
        text.find("cpu")
    assert text.find("cpu-its") == other


def test_a_study_without_student_is_refused(make):
    study = folder(make(), scores=scores_of("hazy", PSNR))
    with pytest.raises(ValueError, match="no scores of the student"):
        text.results_page(Rows(study))


# ---------------------------------------------------------------------------------------------------- the model card


LAST = runs_of("longest-student-phase1", 1, training_images=1000.0, minutes=9.0) + runs_of(
    "longest-student", 1, reduce=2, training_images=200.0, minutes=5.0, held_out_psnr_rgb=21.0,
    start="longest-student-phase1-s0")


def test_the_card_has_the_facts_of_the_run_its_phases_and_scores(make, monkeypatch):
    monkeypatch.setattr(facts, "shipped", lambda rows: "longest-student")
    rows = Rows(make(runs=LAST, scores=scores_of("longest-student", [[21.0, 22.0, 23.0]])))
    card = facts.card(rows)
    assert [phase["label"] for phase in card["phases"]] == ["longest-student-phase1", "longest-student"]
    assert (card["last"]["run"], card["minutes"]) == ("longest-student-s0", 14)
    assert card["levels"].to_dict() == {1: 21, 3: 22, 5: 23}
    assert facts.distribution(rows, "longest-student")["worst"] == 21
    shown = text.model_card(rows)
    assert shown.startswith("---\nlicense: mit\n") and "`longest-student-s0`" in shown and "1,200 images" in shown


def test_the_card_compares_the_sets_of_weights_on_photographs(make, monkeypatch):
    monkeypatch.setattr(facts, "shipped", lambda rows: "longest-student")
    measures = ["clear_psnr", "black_level", "noise_ratio", "zero_share", "camera_psnr", "camera_input_psnr",
                "sots_indoor_psnr"]
    rows = [{"weights": weights, "measure": measure, "images": 50, "mean": mean, "worst": mean / 2}
            for weights, mean in (("sots", 0.25), ("photo", 32.0)) for measure in measures]
    study = make(runs=LAST, scores=scores_of("longest-student", [[21.0, 22.0, 23.0]]))
    pd.DataFrame(rows).to_csv(study / "photographs.csv", index=False)
    shown = text.model_card(Rows(study)).splitlines()
    assert "| a clear picture, to itself (dB) | at least 30 | 0.2 (0.1) | 32.0 (16.0) |" in shown
    assert "| channel values at 0 |  | 25.00 % (12.50 %) | 3,200.00 % (1,600.00 %) |" in shown


@pytest.mark.parametrize("validation, label", [(21.5, "onward-student"), (20.5, "longest-student")])
def test_the_card_is_that_of_the_student_best_on_validation_scenes(make, monkeypatch, validation, label):
    monkeypatch.setattr(facts, "shipped", lambda rows: "")
    onward = runs_of("onward-student", 1, start="longest-student-s0", held_out_psnr_rgb=validation)
    scores = scores_of("longest-student", [[21.0, 22.0, 23.0]]) + scores_of("onward-student", [[24.0] * 3])
    assert facts.card(Rows(make(runs=LAST + onward, scores=scores)))["label"] == label
    with pytest.raises(ValueError, match="no scores of longest-student"):
        text.model_card(Rows(make("without")))
