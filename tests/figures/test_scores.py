"""Figures of scores show the numbers of their tables; names of points do not overlap; files repeat byte for byte."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from dehazelib import figures


def scores():
    means = {"student": 22.0, "aod_net": 19.0, "hazy": 12.0}
    rows = [(label, seed, image, psnr + seed)
            for label, psnr in means.items() for seed in (0, 1) for image in ("a", "b")]
    return pd.DataFrame(rows, columns=["label", "seed", "image", "psnr_rgb"])


def table5():
    return pd.DataFrame({
        "model": ["AOD-Net", "GCANet", "Ours", "Hazy input"], "parameters": [1761, 702818, 122458, 0],
        "psnr_published": [19.064, 30.230, 32.1412, np.nan], "psnr_rgb": [18.0, np.nan, 22.0, 12.0],
        "psnr_low": [17.5, np.nan, np.nan, np.nan], "psnr_high": [18.5, np.nan, np.nan, np.nan]})


def controls():
    labels = ["student", "framework-as_released", "framework-as_described", "framework-black_teacher"]
    return pd.DataFrame({
        "label": labels, "difference": [np.nan, 0.1, -4.0, 0.5], "difference_low": [np.nan, -0.3, -5.0, np.nan],
        "difference_high": [np.nan, 0.5, -3.0, np.nan], "validation_difference": [np.nan, 0.2, np.nan, 0.1],
        "validation_low": [np.nan, 0.1, np.nan, np.nan], "validation_high": [np.nan, 0.3, np.nan, np.nan]})


def spans(ax):
    """Returns the whiskers as (low, high), by the row that they are on, to one decimal."""
    return {round(float(at), 1): (round(float(low), 2), round(float(high), 2))
            for bars in ax.collections if hasattr(bars, "get_segments") for (low, at), (high, _) in bars.get_segments()}


def names(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_a_saved_figure_is_closed_and_has_the_same_bytes_each_time(tmp_path):
    files = [figures.save(figures.pareto(table5()), tmp_path / folder / "a.png") for folder in "12"]
    assert files[0].read_bytes() == files[1].read_bytes() and list(files[0].parent.iterdir()) == [files[0]]
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="give a name ending in .png"):
        figures.save(figures.pareto(table5()), tmp_path / "a.pdf")


def test_gains_as_described_have_a_panel_and_a_scale_of_their_own(texts):
    released, described = figures.gains(controls(), 4.2).axes
    assert names(released)[::-1] == ["module as released", "zero teacher, adaptive weight"]  # not the student
    assert names(described) == ["module as described"]
    assert spans(released) == {1.1: (-0.3, 0.5), 0.8: (0.1, 0.3), 0.1: (0.5, 0.5), -0.2: (0.1, 0.1)}
    assert spans(described) == {0.1: (-5, -3)}
    assert "off the scale" in released.get_title(loc="right") and released.get_xlim()[1] < 1
    assert [4.2, 4.2] in [list(line.get_xdata()) for line in described.lines]
    assert any("as described: as in the paper's text" in text for text in texts(released.figure))


def test_gains_of_one_variant_have_one_panel_and_without_rows_there_is_no_figure():
    assert len(figures.gains(controls()[controls().label != "framework-as_described"], 4.2).axes) == 1
    with pytest.raises(ValueError, match="none of 1 rows has a number in difference"):
        figures.gains(controls().iloc[:1], 4.2)


def test_gain_by_budget_stands_beside_the_printed_gain(texts):
    fig = figures.gain_by_budget(controls().assign(pixels=[1e6, 1e7, 1e8, 1e9]), 4.2056, 8e11)
    (ax,) = fig.axes
    assert ax.get_xscale() == "log" and "+4.21 dB" in texts(fig)
    assert [(1e7, 0.1)] in [[tuple(map(float, point)) for point in line.get_xydata()] for line in ax.lines]


def test_scores_are_sorted_and_the_hazy_input_is_a_line(texts):
    exact = scores().query("label == 'student'").assign(label="exact", psnr_rgb=np.inf)
    ax = figures.scores_by_label(pd.concat([scores(), exact])).axes[0]
    assert names(ax) == ["exact (∞ dB)", "student alone", "AOD-Net"]
    assert ax.get_xlabel() == "mean PSNR over 2 test images (dB)" and "hazy input 12.50 dB" in texts(ax.figure)
    whiskers = [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    expected = [19.5 - 6.3531, 19.5 + 6.3531]  # t(0.975, 1) / 2
    assert any(np.allclose(whisker, expected, atol=1e-3) for whisker in whiskers)


def test_only_labels_scored_on_the_students_images_are_shown_and_fewer_seeds_are_named():
    more = pd.DataFrame([("hazy-all_pairs", 0, image, 13.0) for image in "abc"], columns=list(scores()))
    one = scores().query("label == 'student' and seed == 0").assign(label="dark_channel_prior")
    ax = figures.scores_by_label(pd.concat([scores(), more, one])).axes[0]
    assert sorted(names(ax)) == ["AOD-Net", "dark channel prior (n = 1)", "student alone"]
    with pytest.raises(ValueError, match="one test set"):
        figures.scores_by_label(scores().assign(test_set=["rooms", "motorcycle"] * 6))


def test_haze_levels_are_lines_in_bands_with_their_scattering_coefficients(texts):
    table = pd.DataFrame({"label": ["student"] * 2 + ["hazy"] * 2, "level": [1, 5] * 2, "beta": [0.6, 1.0] * 2,
                          "psnr_rgb": [25.0, 22.0, 15.0, 12.0], "psnr_low": [24.0, 21.0, np.nan, np.nan],
                          "psnr_high": [26.0, 23.0, np.nan, np.nan], "seeds": [3, 3, 1, 1], "images": 50})
    fig = figures.haze_levels(table)
    (ax,) = fig.axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[25, 22], [15, 12]]
    assert {"1\nβ = 0.6", "5\nβ = 1"} <= set(texts(fig)) and "50 images per level" in ax.get_xlabel()


def test_the_pareto_figure_leaves_out_what_was_not_run(texts):
    published, ours = figures.pareto(table5()).axes
    assert {"Ours", "AOD-Net", "GCANet"} <= set(texts(published)) and "GCANet" not in texts(ours)
    assert published.get_xscale() == "log" and published.lines[0].get_markerfacecolor() == "white"
    assert [12, 12] in [list(line.get_ydata()) for line in ours.lines]  # without parameters: a line
    assert "Hazy\ninput" in texts(ours)
    (alone,) = figures.pareto(table5().assign(psnr_rgb=[np.nan, np.nan, np.nan, 12.0])).axes
    assert alone.get_title().startswith("published")


def test_names_of_points_do_not_overlap():
    close = pd.concat([table5().iloc[[0]]] * 6).assign(model=[f"network {i}" for i in range(6)], psnr_published=19.0)
    close["parameters"] *= np.linspace(1, 1.5, 6)
    fig = figures.pareto(pd.concat([close, table5()]))
    fig.draw_without_rendering()
    boxes = [text.get_window_extent() for text in fig.axes[0].texts]
    assert len(boxes) == 9 and not any(one.overlaps(other) for one, other in combinations(boxes, 2))
