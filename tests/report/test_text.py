"""Pages follow the rows of any study: numbers are the rows', paragraphs without rows are left out."""

import numpy as np
import pandas as pd
import pytest

from dehazelib import cli, paths
from dehazelib.report import facts, text
from dehazelib.report.rows import Rows

OPTIONS = {"manifest": "abc", "commit": "c0ffee", "processor": "EPYC", "gpu": "", "torch": "2.13", "minutes": 10.0,
           "threads": 1, "data": "nyu", "task": "dehazing", "network": "student", "parameters": 96007, "crop": 0,
           "reduce": 4, "teacher": "", "start": "", "lr": 0.004, "schedule": "cosine", "augment": "flip", "clip": 0.1,
           "loss": "mse", "steps": 1500, "batch": 1, "training_images": 1500.0}
PSNR = np.array([[15.0, 16.0, 17.0], [15.2, 16.2, 17.2]])  # seeds x images
COMMITTED = paths.ROOT / "results" / "cpu-nyu"


def runs_of(label, seeds=2, **more):
    return [OPTIONS | {"run": f"{label}-s{seed}", "label": label, "seed": seed} | more for seed in range(seeds)]


def scores_of(label, psnr, test_set="sots_indoor"):
    return [{"run": f"{label}-s{seed}", "label": label, "network": "student", "task": "dehazing", "seed": seed,
             "test_set": test_set, "image": f"14{i:02d}_{2 * i + 1}", "psnr_rgb": value, "ssim_gauss11_rgb": 0.8,
             "ssim_uniform7_rgb": 0.8}
            for seed, row in enumerate(np.asarray(psnr)) for i, value in enumerate(row)]


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def make(results):
    """Writes a study of student and framework with this gain in dB, and more runs and scores; returns its folder."""

    def study(name="cpu-nyu", gain=0.0, runs=(), scores=(), test_set="sots_indoor", **more):
        folder = results / name
        folder.mkdir(parents=True)
        labels = {"student": PSNR, "framework-as_released": PSNR + gain}
        runs = [row for label in labels for row in runs_of(label, **more)] + list(runs)
        scores = [row for label, psnr in labels.items() for row in scores_of(label, psnr, test_set)] + list(scores)
        pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
        pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
        return folder

    return study


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n\n{text.BEGIN}\nStale.\n{text.END}\n\nThe rest.\n")
    return file


# --------------------------------------------------------------------------------------------------------- judgement


@pytest.mark.skipif(not COMMITTED.exists(), reason="the study is not in this checkout")
def test_the_sentences_of_judgement_hold_for_the_committed_rows():
    broken = [premise for premise, holds in facts.judgement(Rows(COMMITTED)).items() if not holds]
    assert not broken, f"rewrite templates/claims.md.j2: no longer true that {', '.join(broken)}"


def test_no_judgement_is_passed_on_other_rows(make):
    rows = Rows(make(gain=4.0))
    assert not all(facts.judgement(rows).values())
    block = text.claims_block(rows)
    assert "Why, at any budget" not in block and "+4.000 [+4.000, +4.000] dB more" in block


# ------------------------------------------------------------------------------------------------------- the numbers


def test_a_budget_counts_images_and_pixels_of_all_phases_against_the_published_recipe(make):
    first = runs_of("long-phase1", 1, training_images=2000.0, reduce=8)
    last = runs_of("long", 1, training_images=1000.0, start="long-phase1-s0", reduce=2)
    budget = facts.budget(Rows(make(runs=first + last)), "long")
    assert (budget["images"], budget["recipe"], budget["minutes"]) == (3000, 200 * 13990, 20)
    assert budget["scales"] == [(8,), (2,)]
    pixels = 2000 * (460 // 8) * (620 // 8) + 1000 * 230 * 310
    assert budget["pixel_share"] == pytest.approx(pixels / (2798000 * 460 * 620))


def test_a_run_that_starts_within_another_counts_the_images_up_to_there(make):
    first = runs_of("trunk-student", 1, training_images=2000.0, steps=1000, minutes=20.0)
    last = runs_of("trunk-student-decay", 1, training_images=500.0, start="trunk-student-s0@250", minutes=5.0)
    budget = facts.budget(Rows(make(runs=first + last)), "trunk-student-decay")
    assert (budget["images"], budget["minutes"]) == (1000, 10)


def test_scales_in_turn_count_by_the_images_of_each(make):
    runs = runs_of("trunk", 1, training_images=900.0, reduce=2, batch=2, scales="2 4 1")  # 2, 8 and 1 images a step
    budget = facts.budget(Rows(make(runs=runs)), "trunk")
    assert budget["scales"] == [(2, 4, 1)]
    mean = (2 * 230 * 310 + 8 * 115 * 155 + 460 * 620) / 11
    assert budget["pixel_share"] == pytest.approx(900 * mean / (2798000 * 460 * 620))


def test_windows_count_by_their_own_pixels(make):
    budget = facts.budget(Rows(make(crop=64, reduce=1)), "student")
    assert budget["pixel_share"] == pytest.approx(1500 * 64 * 64 / (2798000 * 460 * 620))


@pytest.mark.parametrize("options, owner", [
    ({}, ""), ({"lr": 1e-4, "schedule": "constant", "augment": "released"}, "the released code's")])
def test_a_recipe_has_an_owner_or_none(make, options, owner):
    assert facts.what_was_run(Rows(make(**options)))["owner"] == owner


def test_gains_stand_beside_those_on_validation_scenes_and_the_share_of_the_gradient(make):
    label = "framework-black_teacher"
    runs = runs_of(label, best_validation_psnr_rgb=20.5) + runs_of("student", best_validation_psnr_rgb=20.0)
    folder = make(scores=scores_of(label, PSNR + 0.5))
    pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
    curve = {"run": "r", "label": label, "seed": 0, "step": 1, "images": 1, "epoch": 0.1, "affinity_share": 0.1}
    pd.DataFrame([curve]).to_csv(folder / "curves.csv", index=False)
    (black,) = [one for one in facts.gains(Rows(folder)) if "black" in one["form"]]
    assert tuple(black["gain"]) == pytest.approx((0.5, 0.5, 0.5)) and black["verdict"] == "better"
    assert tuple(black["validation"]) == pytest.approx((0.5, 0.5, 0.5)) and black["share"] == pytest.approx(10)


def test_the_teacher_is_that_of_the_first_seed(make):
    label = "dsc_mc_fsrcnn-upsampled"
    folder = make(runs=runs_of(label), scores=scores_of(label, [[39.0] * 3, [41.0] * 3]))
    assert facts.what_it_shows(Rows(folder))["teacher"] == {"images": 1500, "psnr": 39, "mean": 40, "seeds": 2}


def test_odd_haze_levels_are_recognised(make):
    rows = Rows(make(scores=scores_of("hazy", [[10.0]])))
    assert facts.tested(rows, "student") == {"images": 3, "seeds": 2, "odd": True}
    rows.scores.loc[rows.scores.label == "hazy", "image"] = "1400_2"
    assert not facts.tested(rows, "hazy")["odd"]


def test_odd_levels_are_easier_by_the_curve_through_them(make):
    """PSNR 20 - level: odd levels have a mean level of 5, all ten of 5.5."""
    psnr = [[20.0 - level for level in (1, 3, 5, 7, 9)]]
    rows = Rows(make(scores=scores_of("longest-student", psnr) + scores_of("hazy", [[10.0]])))
    assert facts.easier(rows, "longest-student") == pytest.approx(0.5) and np.isnan(facts.easier(rows, "hazy"))


def test_the_noise_of_one_training_pools_the_forms_with_hardly_any_gradient(make):
    folder = make(gain=0.5, scores=scores_of("framework-black_teacher", PSNR + 9))
    curves = [{"run": "r", "label": label, "seed": 0, "step": 1, "images": 1, "epoch": 0.1, "affinity_share": share}
              for label, share in (("framework-as_released", 0.0002), ("framework-black_teacher", 0.1))]
    assert facts.one_training(Rows(folder)) == {}
    pd.DataFrame(curves).to_csv(folder / "curves.csv", index=False)
    pooled = facts.one_training(Rows(folder))
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
    folder = make(runs=[row for label in FULL for row in runs_of(label, 1)],
                  scores=[row for label, psnr in FULL.items() for row in scores_of(label, [[psnr] * 3])])
    values = {"psnr_rgb": 20.0, "psnr_rgb_offset": 25.0, "psnr_rgb_details": 33.0}
    pd.DataFrame([{"run": "r", "label": "longest-student", "seed": 0, "test_set": "sots_indoor", "image": "1400_1",
                   "protocol": name, "value": value} for name, value in values.items()]
                 ).to_csv(folder / "protocols.csv", index=False)
    full = text.results_page(Rows(folder))
    for section in ("The distance between affinities", "The teacher", "The longest runs", "Where the error lies",
                    "Stopping by the ground truth", "Controls without training"):
        assert f"### {section}" in full and f"### {section}" not in empty
    for words in ("Continued alone", "planned beforehand", "free of error", "+0.500 dB and +0.0000"):
        assert words in full and words not in empty
    assert "### What the module gains" in empty
    assert "\n\n\n" not in full and "\n\n\n" not in empty


@pytest.mark.parametrize("options", [{}, {"gain": 0.25}, {"crop": 64, "reduce": 1}, {"gpu": "H100", "clip": 0.0}])
def test_a_small_study_on_the_embedded_rooms_has_all_pages(make, readme, results, options):
    folder = make("demo", test_set="rooms", data="rooms", **options)
    text.write(folder, readme)
    page = (results / "README.md").read_text()
    assert "images of the embedded rooms" in page and "SOTS-indoor" not in page.partition("## Claims of the paper")[0]
    assert " nan" not in page + readme.read_text()
    assert {"table5.csv", "table9.md", "verdict.csv"} <= {file.name for file in (folder / "tables").iterdir()}


def test_writing_changes_the_block_only_and_twice_gives_the_same_bytes(make, readme):
    folder = make()
    text.write(folder, readme)
    once = readme.read_text()
    assert once.startswith("# Title\n\n<!-- claims") and "\n\nThe rest.\n" in once and "Stale" not in once
    text.write(folder, readme)
    assert readme.read_text() == once


@pytest.mark.parametrize("content", ["", "{0}", "{1}\n{0}", "{0}{1}" * 2])
def test_markers_must_be_there_once_in_order(make, readme, content):
    content = content.format(text.BEGIN, text.END)
    readme.write_text(content)
    with pytest.raises(ValueError, match="needs the lines"):
        text.write(make(), readme)
    assert readme.read_text() == content


def test_a_study_is_found_by_its_profile_or_its_folder(make):
    folder = make("cpu-nyu")
    assert text.find("cpu") == text.find("cpu-nyu") == folder
    other = make("cpu-its")
    with pytest.raises(ValueError, match="cpu-its or cpu-nyu"):
        text.find("cpu")
    assert text.find("cpu-its") == other


def test_a_study_without_student_is_refused(make):
    folder = make()
    pd.DataFrame(scores_of("hazy", PSNR)).to_csv(folder / "scores.csv", index=False)
    with pytest.raises(ValueError, match="no scores of the student"):
        text.results_page(Rows(folder))


def test_the_command_writes_its_pages_and_says_where_a_study_is_missing(make, readme, results, capsys):
    assert cli.main(["report", "--readme", str(readme)]) == 1
    assert "No study cpu" in capsys.readouterr().err and not results.exists()
    make()
    assert cli.main(["report", "--readme", str(readme)]) == 0
    assert "## Claimed and found" in readme.read_text() and (results / "README.md").exists()


# ---------------------------------------------------------------------------------------------------- the model card


@pytest.fixture
def longest(make):
    first = runs_of("longest-student-phase1", 1, reduce=4, training_images=1000.0, minutes=9.0)
    last = runs_of("longest-student", 1, reduce=2, training_images=200.0, minutes=5.0, held_out_psnr_rgb=21.0,
                   start="longest-student-phase1-s0")
    return make(runs=first + last, scores=scores_of("longest-student", [[21.0, 22.0, 23.0]]))


def test_the_card_has_the_facts_of_the_run_its_phases_and_scores(longest, monkeypatch):
    monkeypatch.setattr(facts, "shipped", lambda rows: "longest-student")
    rows = Rows(longest)
    card = facts.card(rows)
    assert [phase["label"] for phase in card["phases"]] == ["longest-student-phase1", "longest-student"]
    assert (card["last"]["run"], card["minutes"]) == ("longest-student-s0", 14)
    assert card["levels"].to_dict() == {1: 21, 3: 22, 5: 23}
    assert facts.distribution(rows, "longest-student")["worst"] == 21
    shown = text.model_card(rows)
    assert shown.startswith("---\nlicense: mit\n") and "`longest-student-s0`" in shown and "1,200 images" in shown


@pytest.mark.parametrize("validation, label", [(21.5, "onward-student"), (20.5, "longest-student")])
def test_the_card_is_that_of_the_student_best_on_validation_scenes(longest, monkeypatch, validation, label):
    monkeypatch.setattr(facts, "shipped", lambda rows: "")
    more = runs_of("onward-student", 1, start="longest-student-s0", held_out_psnr_rgb=validation)
    for name, rows in (("runs", more), ("scores", scores_of("onward-student", [[24.0] * 3]))):
        file = longest / f"{name}.csv"
        pd.concat([pd.read_csv(file), pd.DataFrame(rows)]).to_csv(file, index=False)
    assert facts.card(Rows(longest))["label"] == label


def test_a_study_without_the_longest_run_has_no_card(make, monkeypatch):
    monkeypatch.setattr(facts, "shipped", lambda rows: "")
    with pytest.raises(ValueError, match="no scores of longest-student"):
        text.model_card(Rows(make()))
