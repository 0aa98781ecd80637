"""The model card says what the rows say, of all phases and all images."""

import pandas as pd
import pytest

from dehazelib.report import model_card

OPTIONS = {"network": "student", "seed": 0, "parameters": 96007, "teacher": "", "loss": "l1", "schedule": "cosine",
           "clip": 0.1, "data": "nyu", "manifest": "abc", "processor": "a CPU", "crop": 0, "lr": 0.004}


@pytest.fixture
def folder(tmp_path):
    runs = [{"run": "first", "label": "longest-student-phase1", "reduce": 4, "training_images": 1000, "minutes": 9.0,
             "start": ""},
            {"run": "last", "label": "longest-student", "reduce": 2, "training_images": 200, "minutes": 5.0,
             "start": "first"},
            {"run": "other", "label": "student", "reduce": 1, "training_images": 7, "minutes": 1.0, "start": ""}]
    pd.DataFrame([OPTIONS | run for run in runs]).to_csv(tmp_path / "runs.csv", index=False)
    scores = [{"run": label, "label": label, "network": "student", "seed": 0, "test_set": "sots_indoor",
               "image": f"1400_{i}", "psnr_rgb": base + i, "ssim_gauss11_rgb": 0.8, "ssim_uniform7_rgb": 0.8}
              for label, base in (("longest-student", 20.0), ("hazy-all_pairs", 10.0)) for i in (1, 2, 3)]
    pd.DataFrame(scores).to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path


def test_the_card_names_run_phases_and_scores(folder):
    text = model_card.card(folder)
    assert "96,007 parameters" in text and "Run `last`" in text and "All phases: 14 minutes on a CPU" in text
    assert "| longest-student-phase1 | 1,000 | whole images, reduced 4 times | 0.004 | 9.0 |" in text
    assert text.index("longest-student-phase1") < text.index("| longest-student |")
    assert "| hazy input | 3 of 500 | 12.00 | 0.8000 | 11.00 |" in text
    assert "| this student | 3 of 500 | 22.00 | 0.8000 | 21.00 |" in text
    assert "level 1 21.00, level 2 22.00, level 3 23.00" in text and "has seen 1,200 images" in text


@pytest.mark.parametrize("validation, better", [(21.5, True), (20.5, False)])
def test_the_card_is_that_of_the_student_gone_on_alone_if_it_is_better_on_validation_scenes(folder, validation, better):
    runs, scores = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "scores.csv")
    runs["held_out_psnr_rgb"] = 21.0
    onward = {"run": "onward", "label": "onward-student"}
    more = runs.tail(1).assign(**onward, start="last", training_images=50, minutes=2.0,
                               held_out_psnr_rgb=validation)
    pd.concat([runs, more]).to_csv(folder / "runs.csv", index=False)
    theirs = scores[scores.label == "longest-student"].assign(**onward, psnr_rgb=lambda s: s.psnr_rgb + 1)
    pd.concat([scores, theirs]).to_csv(folder / "scores.csv", index=False)
    text = model_card.card(folder)
    assert ("Run `onward`" in text) == better
    if not better:
        return
    assert "All phases: 16 minutes on a CPU" in text and "has seen 1,250 images" in text
    assert "| this student | 3 of 500 | 23.00 |" in text and "level 1 22.00" in text


def test_a_study_without_the_longest_run_has_no_card(folder):
    scores = pd.read_csv(folder / "scores.csv")
    scores[scores.label != "longest-student"].to_csv(folder / "scores.csv", index=False)
    with pytest.raises(ValueError, match="no scores of longest-student"):
        model_card.card(folder)
