"""Diagrams count what the modules hold, and their text is readable."""

from itertools import combinations

import pytest

from dehazelib import figures
from dehazelib.networks import build, parameters


def drawings():
    teacher, student = build("dsc_mc_fsrcnn"), build("student")
    return [figures.figure1(teacher, student), figures.figure2(teacher), figures.figure3(student),
            figures.figure4(student, teacher)]


def test_text_in_the_diagrams_is_readable():
    for fig in drawings():
        fig.draw_without_rendering()
        notes = [note for note in fig.axes[0].texts if note.get_text()]
        boxes = [note.get_window_extent() for note in notes]
        assert not [one for one, other in combinations(boxes, 2) if one.overlaps(other)]
        assert min(note.get_fontsize() for note in notes) >= 9
        assert all(fig.bbox.contains(*corner) for box in boxes for corner in box.get_points())


def test_figure1_counts_both_networks_and_measures_the_images(texts):
    teacher = build("dsc_mc_fsrcnn").requires_grad_(False)  # a frozen teacher keeps its count
    found = " ".join(texts(figures.figure1(teacher, build("student"))))
    for number in ("96,007", "26,451", "122,458", "3×920×1240", "115×155", "17,825"):
        assert number in found


@pytest.mark.parametrize("name, total", [
    ("mc_fsrcnn", 38427), ("dsc_mc_fsrcnn", 26451), ("dscbn_mc_fsrcnn", 28179), ("relu_mc_fsrcnn", 37911)])
def test_the_stages_of_figure2_add_up_to_the_teacher(name, total, texts):
    found = texts(figures.figure2(build(name)))
    numbers = [text.strip().replace(",", "") for text in found]
    assert sum(int(number) for number in numbers if number.isdigit()) == total
    assert any(text.startswith(f"{total:,} parameters") for text in found)
    assert ("DSC 3×3, 12→12" in found) == name.startswith("dsc")
    assert {"relu_mc_fsrcnn": "ReLU", "dscbn_mc_fsrcnn": "BN, PReLU"}.get(name, "PReLU") in found


@pytest.mark.parametrize("options", [{}, {"inner_blocks": 2}, {"groups": 2, "inner_blocks": 1}])
def test_figure3_follows_the_student(options, texts):
    student = build("student", **options)
    found = texts(figures.figure3(student))
    assert any(f"{parameters(student):,} parameters" in text for text in found)
    assert f"inner block {options.get('inner_blocks', 6)}" in found
    assert sum(text.startswith("group ") and text[6:].isdigit() for text in found) == options.get("groups", 3)


def test_figure4_states_the_memory_of_both_variants(texts):
    found = texts(figures.figure4(build("student"), build("dsc_mc_fsrcnn")))
    assert found.count("17,825×17,825") == 2 and found.count("1.27 GB in float32") == 2
    assert {"4×4 → 115×155", "8×8 → 115×155", "168×460×620", "2.54 GB", "7.63 GB"} <= set(found)


def test_diagrams_refuse_networks_they_do_not_describe():
    with pytest.raises(ValueError, match="pass a MultiChannelFSRCNN"):
        figures.figure2(build("fsrcnn_x2"))
    with pytest.raises(ValueError, match="pass a Student"):
        figures.figure3(build("mc_fsrcnn"))
    with pytest.raises(ValueError, match="pairs"):
        figures.figure4(build("student"), build("bilinear"))
