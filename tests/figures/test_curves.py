"""Figures of training show what curves.csv says, and the line through a long run is what least squares give."""

import numpy as np
import pandas as pd
import pytest

from dehazelib import figures
from dehazelib.experiments import plan
from dehazelib.figures.curves import log_fit
from dehazelib.figures.style import looks


def curves(labels=("student", "framework-as_released")):
    rows = [(label, seed, images, 20 + seed + images / 100)
            for label in labels for seed in (0, 1, 2) for images in (100, 200)]
    frame = pd.DataFrame(rows, columns=["label", "seed", "images", "validation_psnr_rgb"])
    return frame.assign(affinity_share=np.where(frame.label.str.startswith("framework"), 0.001 * (1 + frame.seed), 0))


def teachers():
    return curves(("mc_fsrcnn-native", "fsrcnn_x2-native", "mc_fsrcnn-upsampled"))


def scores():
    values = {"mc_fsrcnn-native": 30.0, "bicubic-native": 31.0, "mc_fsrcnn-upsampled": np.inf}
    return pd.DataFrame([(label, 0, psnr) for label, psnr in values.items()], columns=["label", "seed", "psnr_rgb"])


def staged():
    """Three stages of a run, at half size, at full size and on crops of 8, and the table of their runs."""
    runs = pd.DataFrame({"run": ["a", "b", "c", "other"], "label": ["long-phase1", "long-phase2", "long", "student"],
                         "start": ["", "a", "b", ""], "crop": [0, 0, 8, 0], "reduce": [2, 1, 1, 1]})
    rows = [(run, step, 10 * step, step / 60, 20 + step / 100) for run in runs.run for step in (50, 100)]
    return pd.DataFrame(rows, columns=["run", "step", "images", "minutes", "test_psnr_rgb"]).assign(seed=0), runs


def heights(ax):
    return [list(line.get_ydata()) for line in ax.lines]


def test_a_learning_curve_is_the_mean_over_seeds_in_a_band_to_the_extremes(texts):
    (ax,) = figures.learning_curves(curves()).axes
    assert heights(ax) == [[22, 23]] * 2  # seeds 0, 1, 2
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (21, 24)
    assert ax.get_xlabel() == "training images seen" and ax.get_ylabel() == "validation PSNR (dB)"
    found = texts(ax.figure)
    assert {"student alone", "module as released"} <= set(found)
    assert any("mean of 3 seeds; band: from the lowest seed to the highest" in text for text in found)
    assert any("as released: as in the authors' code" in text for text in found)


def test_no_curve_is_an_error_in_one_line():
    with pytest.raises(ValueError, match="none of 12 rows has a number in images and validation_psnr_rgb"):
        figures.learning_curves(curves().assign(validation_psnr_rgb=np.nan))


def test_each_panel_compares_one_label_with_the_student():
    fig = figures.compared_curves(curves(("framework-as_described", "student", "framework-as_released")))
    assert [ax.get_title() for ax in fig.axes] == ["module as released", "module as described"]
    assert [len(ax.lines) for ax in fig.axes] == [2, 2]
    (alone,) = figures.compared_curves(curves(["framework-as_released"])).axes
    assert len(alone.lines) == 1


def test_the_gradient_share_is_the_median_on_a_log_scale_with_the_target():
    (ax,) = figures.gradient_share(curves(), target=0.1).axes  # the student has no affinity term
    assert ax.get_yscale() == "log" and heights(ax) == [[0.002, 0.002], [0.1, 0.1]]


def test_teachers_have_curves_on_validation_scenes_beside_scores_on_test_scenes(texts):
    validation, test, _, upsampled_test = figures.teacher_curves(teachers(), scores()).axes
    assert "Tables 1 and 3" in validation.get_title() and "test" in test.get_title()
    assert [31, 31] in heights(test) and [30] in heights(test) and [31, 31] not in heights(validation)
    assert "bicubic\n31.0 dB" in texts(test) and not upsampled_test.lines  # infinite, or not scored
    controls = pd.DataFrame({"label": ["bicubic-native"], "psnr_rgb": [29.0]})
    assert [29, 29] in heights(figures.teacher_curves(teachers(), scores(), controls).axes[0])
    with pytest.raises(ValueError, match="one test set"):
        figures.teacher_curves(teachers(), scores().assign(test_set=["a", "b", "c"]))


def test_stages_are_followed_from_the_last_to_the_first_and_count_on():
    found = figures.stages(*staged(), "long")
    assert found.stage.tolist() == [1, 1, 2, 2, 3, 3] and set(found.label) == {"long"}
    assert found.step.tolist() == [50, 100, 150, 200, 250, 300] and found.images.iloc[-1] == 3000
    image = 460 * 620
    assert found.pixels.tolist() == [500 * image / 4, 1000 * image / 4, 1000 * image / 4 + 500 * image,
                                     1250 * image, 1250 * image + 500 * 64, 1250 * image + 1000 * 64]
    assert figures.stages(*staged(), "absent").empty
    (ax,) = figures.learning_curves(found, y="test_psnr_rgb", x="step").axes
    assert [line.get_xdata()[0] for line in ax.lines[1:]] == [100, 200]  # where stages 2 and 3 begin


def test_the_fit_and_its_interval_are_those_of_ordinary_least_squares():
    x, y = pd.Series([1.0, 2.0, 4.0, 8.0]), pd.Series([10.0, 11.5, 11.9, 13.2])
    middle, low, high = (float(values[0]) for values in log_fit(x, y, np.array([1024.0])))
    design = np.stack([np.ones(4), np.log2(x)], 1)  # the same from the normal equations
    inverse, place = np.linalg.inv(design.T @ design), np.array([1, 10])
    coefficients = inverse @ design.T @ y
    variance = ((y - design @ coefficients) ** 2).sum() / 2
    half = 4.302652729911275 * np.sqrt(variance * (1 + place @ inverse @ place))  # t(0.975, 2)
    assert middle == pytest.approx(place @ coefficients)
    assert (high - middle, middle - low) == (pytest.approx(half), pytest.approx(half))


def test_psnr_against_pixels_marks_what_is_extrapolated_and_what_is_printed(texts):
    curve = pd.DataFrame({"stage": [1, 1, 2, 3], "pixels": [1e6, 2e6, 4e6, 8e6],
                          "test_psnr_rgb": [15.0, 20.0, 21.0, 22.0]})
    fig = figures.scaling(curve, {"student alone": 27.94}, 8192e6)
    (ax,) = fig.axes
    assert ax.get_xscale() == "log" and {"student alone:\n27.94 dB", "extrapolation, not measured"} <= set(texts(fig))
    assert ax.get_title() == "log-linear extrapolation, 1,024-fold, to the paper's 8 gigapixels: 32.0 dB [32.0, 32.0]"
    ends = next(line for line in ax.lines if line.get_label().startswith("end of a stage"))
    assert ends.get_ydata().tolist() == [20, 21, 22]
    with pytest.raises(ValueError, match="at least three stages, not of 2"):
        figures.scaling(curve[curve.stage < 3], {}, 1e9)


def test_the_rows_of_table_1_can_be_told_apart_without_their_lines():
    labels = [f"{name}-native" for name in (*plan.NATIVE, *plan.COMPARED["native"])]
    marks = [(look["color"], look["marker"]) for look in looks(labels).values()]
    assert len(set(marks)) == len(labels) == 8
