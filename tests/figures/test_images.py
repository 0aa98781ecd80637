"""Pictures of images show every image with its labels; the slider embeds both of its pictures."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dehazelib import figures


def picture(seed=0, side=32):
    return np.random.default_rng(seed).random((side, side, 3))


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


def test_the_error_overlay_finds_the_error_and_states_its_psnr(texts):
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


def test_the_slider_embeds_both_pictures_and_names_them():
    before, after = np.zeros((24, 32, 3), np.uint8), np.full((24, 32, 3), 200, np.uint8)
    page = figures.slider(before, after, "hazy <input>", "dehazed")
    found = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([\w+/=]+)", page)]
    assert [(image.size, image.getpixel((5, 5))) for image in found] == [((32, 24), (0,) * 3), ((32, 24), (200,) * 3)]
    assert "hazy &lt;input&gt;" in page and "<input>" not in page and "<script" not in page
    assert 'type="range"' in page and "scripting: none" in page


@pytest.mark.parametrize("after, message", [
    (np.zeros((24, 32, 3)), "uint8"), (np.zeros((24, 31, 3), np.uint8), "alike"), (np.zeros((24, 32), np.uint8), "3")])
def test_the_slider_refuses_other_arrays(after, message):
    with pytest.raises(ValueError, match=message):
        figures.slider(np.zeros((24, 32, 3), np.uint8), after)
