"""Figures say what their data say, repeat byte for byte, and diagrams count what the modules hold."""

import subprocess
import sys
from itertools import combinations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from dehazelib.figures import diagrams  # noqa: E402
from dehazelib.figures import scores as figures
from dehazelib.networks import build  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def picture(seed=0, side=32):
    return np.random.default_rng(seed).random((side, side, 3))


def scores():
    means = {"student": 22.0, "aod_net": 19.0, "hazy": 12.0}
    rows = [(label, seed, image, psnr + seed)
            for label, psnr in means.items() for seed in (0, 1) for image in ("a", "b")]
    return pd.DataFrame(rows, columns=["label", "seed", "image", "psnr_rgb"])


def table5():
    return pd.DataFrame({
        "model": ["AOD-Net", "GCANet", "Ours", "Hazy input"], "key": ["aod_net", "gcanet", "full", "hazy"],
        "parameters": [1761, 702818, 122458, 0], "psnr_published": [19.064, 30.230, 32.1412, np.nan],
        "psnr_rgb": [18.0, np.nan, 22.0, 12.0], "psnr_low": [17.5, np.nan, np.nan, np.nan],
        "psnr_high": [18.5, np.nan, np.nan, np.nan]})


def compared():
    return pd.DataFrame({
        "label": ["student", "framework-as_released", "framework-as_described", "framework-black_teacher"],
        "difference": [np.nan, 0.1, -4.0, 0.5], "difference_low": [np.nan, -0.3, -5.0, np.nan],
        "difference_high": [np.nan, 0.5, -3.0, np.nan], "verdict": ["", "undecided", "worse", "one seed"],
        "validation_difference": [np.nan, 0.2, np.nan, 0.1], "validation_low": [np.nan, 0.1, np.nan, np.nan],
        "validation_high": [np.nan, 0.3, np.nan, np.nan]})


TABLE_FIGURES = {
    "gains": (lambda t: figures.gains(t, 4.2), compared),
    "scores_by_label": (lambda t: figures.scores_by_label(t), scores),
    "pareto": (lambda t: figures.pareto(t), table5),
}


def texts(fig):
    return [text.get_text() for text in fig.findobj(plt.Text) if text.get_text()]


def overlapping(notes, fig):
    fig.draw_without_rendering()
    boxes = [(note.get_text(), note.get_window_extent()) for note in notes if note.get_text()]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


# ---------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("name", TABLE_FIGURES)
def test_drawing_and_saving_again_gives_the_same_bytes(name, tmp_path):
    draw, table = TABLE_FIGURES[name]
    first, second = (figures.save(draw(table()), tmp_path / folder / "a.png").read_bytes() for folder in "12")
    assert first == second and first.startswith(b"\x89PNG")


def test_save_closes_the_figure_and_leaves_only_the_png(tmp_path):
    fig = figures.image_grid([("a", [picture()])])
    path = figures.save(fig, tmp_path / "new" / "a.png")
    assert not plt.fignum_exists(fig.number) and list(path.parent.iterdir()) == [path]
    with pytest.raises(ValueError, match="give a name ending in .png"):
        figures.save(fig, tmp_path / "a.pdf")


@pytest.mark.parametrize("name", TABLE_FIGURES)
def test_a_missing_column_is_named(name):
    draw, table = TABLE_FIGURES[name]
    column = table().columns[-1]
    with pytest.raises(ValueError, match=f"{name} needs the column '{column}'"):
        draw(table().drop(columns=column))


@pytest.mark.parametrize("name", TABLE_FIGURES)
def test_a_table_without_rows_is_refused(name):
    draw, table = TABLE_FIGURES[name]
    with pytest.raises(ValueError, match="no rows to draw"):
        draw(table().iloc[:0])


def test_gains_stand_in_the_tables_order_with_their_intervals_beside_the_printed_one():
    fig = figures.gains(compared(), 4.2)
    (ax,) = fig.axes
    names = ["module as released", "module as described", "module, black teacher, adaptive"]  # not the student's
    assert [tick.get_text() for tick in ax.get_yticklabels()][::-1] == names
    spans = {round(at, 1): [low, high] for bars in ax.collections for (low, at), (high, _) in bars.get_segments()}
    assert [spans[row] for row in (2, 1)] == [pytest.approx([-0.3, 0.5]), [-5.0, -3.0]]
    assert spans[0] == [0.5, 0.5], "a difference without limits has no whisker"
    held_out = {at: span for at, span in spans.items() if at % 1}  # below the marks of the test set
    assert held_out == {1.7: pytest.approx([0.1, 0.3]), -0.3: [0.1, 0.1]}
    assert [*ax.lines[1].get_xdata()] == [4.2, 4.2]
    drawn = [text.get_text() for text in fig.legends[0].get_texts()]
    assert drawn == ["the paper's +4.2 dB", "worse", "one seed", "undecided", "on validation scenes"]
    without = compared().assign(validation_difference=np.nan)
    labels = [text.get_text() for text in figures.gains(without, 4.2).legends[0].get_texts()]
    assert labels == drawn[:-1]


def test_the_figures_need_no_torch():
    code = "import sys, dehazelib.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_image_grid_shows_every_image_with_its_labels():
    rows = [("hazy input", [picture(0), picture(1)]), ("depth", [picture(2)[..., 0], picture(3)])]
    fig = figures.image_grid(rows, ["one", "two"], [["1 dB", "2 dB"], ["3 m", "4 dB"]])
    assert [ax.get_ylabel() for ax in fig.axes] == ["hazy input", "", "depth", ""]
    assert [ax.get_title() for ax in fig.axes] == ["one", "two", "", ""]
    assert [ax.get_xlabel() for ax in fig.axes] == ["1 dB", "2 dB", "3 m", "4 dB"]
    assert np.array_equal(fig.axes[1].images[0].get_array(), picture(1))


@pytest.mark.parametrize("rows, message", [
    ([("a", [picture()]), ("b", [])], "equally many"), ([], "equally many"),
    ([("a", [picture() + 0.5])], "clamp"), ([("a", [picture() * np.nan])], "finite"),
    ([("a", [picture()[..., :2]])], r"\(H, W, 3\)")])
def test_an_image_grid_refuses_what_it_cannot_show(rows, message):
    with pytest.raises(ValueError, match=message):
        figures.image_grid(rows)


def test_dehazed_images_are_titled_with_scene_and_level_under_the_run_and_its_mean():
    rows = [(name, [picture(0), picture(1)]) for name in ("hazy input", "dehazed", "ground truth")]
    captions = [["9.0 dB", "8.0 dB"], ["20.0 dB", "21.0 dB"], ["1400_1", "room"]]
    fig = figures.dehazed(rows, captions, "framework-as_released", 3, pd.Series([20.0, 21.0, 22.0]))
    assert [ax.get_title() for ax in fig.axes[:2]] == ["scene 1400, level 1", "room"]
    assert [ax.get_xlabel() for ax in fig.axes[2:]] == ["20.0 dB", "21.0 dB", "", ""]
    assert fig.get_suptitle() == "module as released, seed 3: mean 21.00 dB over 3 test images"


def test_the_data_set_figure_states_airlight_and_scattering_of_every_hazy_image():
    example = {"name": "room", "clear": picture(), "depth": 1 + picture()[..., 0],
               "transmission": picture()[..., 1], "hazy": [(picture(1), 0.8, 1.2), (picture(2), 1.0, 0.6)]}
    fig = figures.dataset([example, example])
    assert [ax.get_title() for ax in fig.axes[:5]] == ["clear", "depth", "transmission", "hazy", "hazy"]
    assert [ax.get_xlabel() for ax in fig.axes[8:]] == ["A = 0.80, β = 1.20", "A = 1.00, β = 0.60"]
    with pytest.raises(ValueError, match="example 1 lacks depth"):
        figures.dataset([example, {k: v for k, v in example.items() if k != "depth"}])


def test_the_error_overlay_finds_the_error_and_states_its_psnr():
    target = np.full((60, 60, 3), 0.5)
    output = target.copy()
    output[40:50, 5:15] += 0.25
    fig = figures.error_overlay(target[::2, ::2], output, target, "toy")
    frame = fig.axes[2].patches[0]
    left, top = frame.get_x() + 0.5, frame.get_y() + 0.5
    assert left <= 5 and left + frame.get_width() >= 15 and top <= 40 and top + frame.get_height() >= 50
    assert "toy: 27.60 dB" in texts(fig)  # 10 log10(1 / (0.25^2 * 100 / 3600))
    assert fig.axes[4].images[0].get_array().shape == (6, 6, 3)  # the input's zoom: half of 12 x 12 pixels
    assert "toy: ∞ dB" in texts(figures.error_overlay(target, target, target, "toy"))
    with pytest.raises(ValueError, match="alike"):
        figures.error_overlay(target, output[:50], target, "toy")


def test_scores_are_sorted_and_the_hazy_input_is_a_line():
    exact = scores().query("label == 'student'").assign(label="exact", psnr_rgb=np.inf)
    ax = figures.scores_by_label(pd.concat([scores(), exact])).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["AOD-Net", "student alone", "exact (∞ dB)"]
    assert ax.get_xlabel() == "mean PSNR over 2 test images (dB)"
    assert {"hazy input 12.50 dB", "mean and 95 % interval (Student's t) over 2 seeds"} <= set(texts(ax.figure))
    whisker = next(line for line in ax.lines if list(line.get_ydata()) == [0, 0] and line.get_ls() == "-")
    assert np.allclose(whisker.get_xdata(), [19.5 - 6.3531, 19.5 + 6.3531], atol=1e-3)  # t(0.975, 1) / 2


def test_only_labels_scored_on_the_students_images_are_shown_and_one_run_is_named():
    more = pd.DataFrame([("hazy-all_pairs", 0, image, 13.0) for image in "abc"], columns=list(scores()))
    one = scores().query("label == 'student' and seed == 0").assign(label="dark_channel_prior")
    ax = figures.scores_by_label(pd.concat([scores(), more, one])).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["AOD-Net", "dark channel prior (one run)", "student alone"]


def test_a_figure_of_two_test_sets_is_refused():
    with pytest.raises(ValueError, match="select one"):
        figures.scores_by_label(scores().assign(test_set=["rooms", "motorcycle"] * 6))


def test_the_pareto_figure_leaves_out_what_was_not_run():
    published, ours = figures.pareto(table5()).axes
    names = [[text.get_text() for text in ax.texts] for ax in (published, ours)]
    assert names == [["Ours", "AOD-Net", "GCANet"], ["Hazy\ninput", "Ours", "AOD-Net"]]
    assert published.get_xscale() == ours.get_xscale() == "log"
    assert [12.0, 12.0] in [list(line.get_ydata()) for line in ours.lines]
    assert published.lines[0].get_markerfacecolor() == "white"


def test_without_a_measured_network_the_published_panel_stands_alone_and_says_so():
    (published,) = figures.pareto(table5().assign(psnr_rgb=[np.nan, np.nan, np.nan, 12.0])).axes
    assert "none measured here" in published.get_title() and len(published.texts) == 3


def test_a_method_without_parameters_is_a_line_whether_zero_or_empty():
    table = table5().assign(parameters=[1761, 702818, 122458, np.nan])
    ours = figures.pareto(table).axes[1]
    assert [12.0, 12.0] in [list(line.get_ydata()) for line in ours.lines]


def test_names_do_not_repeat_the_budget_that_the_title_names():
    table = table5().replace({"model": {"Ours": "Ours, budget of the baselines"}})
    assert "Ours" in [text.get_text() for text in figures.pareto(table).axes[1].texts]


def test_the_pareto_figure_can_show_compute_instead_of_parameters():
    table = table5().assign(gflops=lambda t: t.parameters / 1e3)
    axes = figures.pareto(table, cost="gflops").axes
    assert all(ax.get_xlabel().startswith("GFLOPs") and ax.get_xscale() == "log" for ax in axes)
    with pytest.raises(ValueError, match="gflops"):
        figures.pareto(table5(), cost="gflops")


def test_names_in_the_pareto_figure_do_not_overlap():
    names = [f"network {i}" for i in range(6)]
    close = pd.concat([table5().iloc[[0]]] * 6).assign(model=names, psnr_published=19.0)
    close["parameters"] *= np.linspace(1, 1.5, 6)
    fig = figures.pareto(pd.concat([close, table5()]))
    assert not overlapping(fig.axes[0].texts, fig)


# --------------------------------------------------------------------------------------------------- diagrams


def drawings():
    teacher, student = build("dsc_mc_fsrcnn"), build("student")
    return [diagrams.figure1(teacher, student), diagrams.figure2(teacher), diagrams.figure3(student),
            diagrams.figure4(student, teacher)]


def test_text_in_the_diagrams_is_readable():
    for fig in drawings():
        notes = [note for note in fig.axes[0].texts if note.get_text()]
        assert not overlapping(notes, fig)
        assert min(note.get_fontsize() for note in notes) >= 9
        corners = [corner for note in notes for corner in note.get_window_extent().get_points()]
        assert all(fig.bbox.contains(*corner) for corner in corners)


def test_diagrams_repeat_byte_for_byte(tmp_path):
    once, again = ([figures.save(fig, tmp_path / f"{i}.png").read_bytes() for i, fig in enumerate(drawings())]
                   for _ in range(2))
    assert once == again


def test_figure1_counts_both_networks_and_measures_the_images():
    found = " ".join(texts(diagrams.figure1(build("dsc_mc_fsrcnn"), build("student"))))
    for number in ("96,007", "26,451", "122,458", "3×920×1240", "115×155", "17,825"):
        assert number in found


def test_a_frozen_teacher_keeps_its_count():
    teacher = build("dsc_mc_fsrcnn").requires_grad_(False)
    assert "26,451 parameters" in texts(diagrams.figure1(teacher, build("student")))


@pytest.mark.parametrize("name, total", [
    ("mc_fsrcnn", 38427), ("dsc_mc_fsrcnn", 26451), ("dscbn_mc_fsrcnn", 28179), ("relu_mc_fsrcnn", 37911)])
def test_the_stages_of_figure2_add_up_to_the_teacher(name, total):
    found = texts(diagrams.figure2(build(name)))
    assert sum(int(text.replace(",", "")) for text in found if text.replace(",", "").isdigit()) == total
    assert any(text.startswith(f"{total:,} parameters") for text in found)
    assert ("DSC 3×3, 12→12" in found) == name.startswith("dsc")
    assert {"relu_mc_fsrcnn": "ReLU", "dscbn_mc_fsrcnn": "BN, PReLU"}.get(name, "PReLU") in found


@pytest.mark.parametrize("options", [{}, {"inner_blocks": 2}, {"groups": 2, "inner_blocks": 1}])
def test_figure3_follows_the_student(options):
    student = build("student", **options)
    found = texts(diagrams.figure3(student))
    assert any(f"{diagrams.count(student):,} parameters" in text for text in found)
    assert f"inner block {options.get('inner_blocks', 6)}" in found
    assert sum(text.startswith("group ") and text[6:].isdigit() for text in found) == options.get("groups", 3)


def test_figure4_states_the_memory_of_both_readings():
    found = texts(diagrams.figure4(build("student"), build("dsc_mc_fsrcnn")))
    assert found.count("17,825×17,825") == 2 and found.count("1.27 GB in float32") == 2
    assert {"4×4 → 115×155", "8×8 → 115×155", "168×460×620", "2.54 GB", "7.63 GB"} <= set(found)


def test_diagrams_refuse_networks_they_do_not_describe():
    with pytest.raises(ValueError, match="pass a MultiChannelFSRCNN"):
        diagrams.figure2(build("fsrcnn_x2"))
    with pytest.raises(ValueError, match="pass a Student"):
        diagrams.figure3(build("mc_fsrcnn"))
    with pytest.raises(ValueError, match="pairs"):
        diagrams.figure4(build("student"), build("bilinear"))
