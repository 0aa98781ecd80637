"""Figures of the training say what curves.csv says, name their bands, and repeat byte for byte."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from dehazelib.experiments import plan as study  # noqa: E402
from dehazelib.figures import curves as figures_curves
from dehazelib.figures import scores as figures
from dehazelib.figures import style as figure_style  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def curves(labels=("student", "framework-as_released")):
    rows = [(label, seed, images, 20 + seed + images / 100)
            for label in labels for seed in (0, 1, 2) for images in (100, 200)]
    frame = pd.DataFrame(rows, columns=["label", "seed", "images", "validation_psnr_rgb"])
    pushed = frame.label.str.startswith("framework")
    return frame.assign(affinity_share=np.where(pushed, 0.001 * (1 + frame.seed), np.nan))


def teachers():
    return curves(("mc_fsrcnn-native", "fsrcnn_x2-native", "mc_fsrcnn-upsampled"))


def scores():
    values = {"mc_fsrcnn-native": 30.0, "bicubic-native": 31.0, "bicubic_x4-native": 25.0,
              "mc_fsrcnn-upsampled": np.inf}
    return pd.DataFrame([(label, 0, psnr) for label, psnr in values.items()], columns=["label", "seed", "psnr_rgb"])


DRAWINGS = {
    "learning_curves": (figures_curves.learning_curves, curves),
    "compared_curves": (figures_curves.compared_curves, curves),
    "gradient_share": (lambda t: figures_curves.gradient_share(t, 0.1), curves),
    "teacher_curves": (lambda t: figures_curves.teacher_curves(t, scores()), teachers),
}


def texts(fig):
    return [text.get_text() for text in fig.findobj(plt.Text) if text.get_text()]


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_and_saving_again_gives_the_same_bytes(name, tmp_path):
    draw, table = DRAWINGS[name]
    first, second = (figures.save(draw(table()), tmp_path / folder / "a.png").read_bytes() for folder in "12")
    assert first == second and first.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_missing_column_is_named_and_a_table_without_rows_is_refused(name):
    draw, table = DRAWINGS[name]
    with pytest.raises(ValueError, match=f"{name} needs the column 'seed'"):
        draw(table().drop(columns="seed"))
    with pytest.raises(ValueError, match="no rows to draw"):
        draw(table().iloc[:0])


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_figure_names_its_band_and_one_seed_has_none(name):
    draw, table = DRAWINGS[name]
    assert any("of 3 seeds; band: from the lowest seed to the highest" in text for text in texts(draw(table())))
    one = draw(table()[table().seed == 0])
    assert any("one seed each" in text for text in texts(one)) and not any(ax.collections for ax in one.axes)


def test_a_learning_curve_is_the_mean_over_seeds_in_a_band_to_the_extremes():
    (ax,) = figures_curves.learning_curves(curves()).axes
    assert [line.get_ydata().tolist() for line in ax.lines] == [[22, 23]] * 2  # seeds 0, 1, 2
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (21, 24)
    assert ax.get_xlabel() == "training images seen" and ax.get_ylabel() == "validation PSNR (dB)"
    names = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert names == ["student alone", "module as released"]


def test_later_phases_begin_at_a_line():
    longest = curves(("longest-student", "longest-framework")).assign(step=lambda t: t.images / 10)
    assert not any("phase" in text for text in texts(figures_curves.learning_curves(longest)))
    fig = figures_curves.learning_curves(longest.assign(phase=longest.images // 100), x="step")
    (ax,) = fig.axes
    assert [10, 10] in [list(line.get_xdata()) for line in ax.lines] and ax.get_xlabel() == "training steps"
    assert [text.get_text() for text in ax.texts] == ["phase 2"]


def test_each_panel_compares_one_label_with_the_student():
    fig = figures_curves.compared_curves(curves(("framework-as_described", "student", "framework-as_released")))
    assert [ax.get_title() for ax in fig.axes] == ["module as released", "module as described"]
    assert [line.get_label() for line in fig.axes[0].lines] == ["student alone", "module as released"]
    (alone,) = figures_curves.compared_curves(curves(["framework-as_released"])).axes
    assert [line.get_label() for line in alone.lines] == ["module as released"]


def test_the_gradient_share_is_the_median_on_a_log_scale_with_the_target():
    fig = figures_curves.gradient_share(curves(), target=0.1)
    (ax,) = fig.axes  # the student has no affinity term
    assert ax.get_yscale() == "log" and "adaptive target 0.1" in texts(fig)
    assert [line.get_ydata() for line in ax.lines][0].tolist() == [0.002, 0.002]
    assert [0.1, 0.1] in [list(line.get_ydata()) for line in ax.lines]
    assert not any("target" in text for text in texts(figures_curves.gradient_share(curves())))


def test_teachers_have_a_panel_per_task_and_bicubic_resizing_is_a_named_line():
    native, upsampled = figures_curves.teacher_curves(teachers(), scores()).axes
    assert "Tables 1 and 3" in native.get_title() and "Tables 2 and 4" in upsampled.get_title()
    assert [text.get_text() for text in native.texts] == ["Bicubic\n31.0 dB", "Bicubic 4x\n25.0 dB"]
    assert [31, 31] in [list(line.get_ydata()) for line in native.lines]
    finished = [line for line in native.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_ydata()) for line in finished] == [[30]]
    assert len(upsampled.lines) == 1 and not upsampled.texts  # infinite, or not scored
    assert len(figures_curves.teacher_curves(teachers()).axes[0].lines) == 2


def test_the_rows_of_table_1_can_be_told_apart_without_their_lines():
    labels = [f"{name}-native" for name in (*study.NATIVE, *study.COMPARED["native"])]
    marks = [(look["color"], look["marker"]) for look in figure_style.looks(labels).values()]
    assert len(set(marks)) == len(labels) == 8


def test_a_network_looks_the_same_in_both_panels():
    native, upsampled = figures_curves.teacher_curves(teachers()).axes
    look = {line.get_label(): (line.get_color(), line.get_marker()) for line in native.lines}
    assert look["MC-FSRCNN"] == (upsampled.lines[0].get_color(), upsampled.lines[0].get_marker())
    assert len(set(look.values())) == 2
