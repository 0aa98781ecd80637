"""Evaluation protocols differ as they say; a run keeps its rows, so that only missing images are computed."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional as F

from dehazelib.data.images import read_rgb
from dehazelib.data.sources import open_data
from dehazelib.evaluation import protocols
from dehazelib.evaluation import scores as evaluation
from dehazelib.evaluation.protocols import OF_IMAGES
from dehazelib.experiments.spec import Spec
from dehazelib.metrics import psnr_rgb
from dehazelib.training import runs

DATA = Path(os.environ.get("DEHAZE_DATA", "absent"))
HAZY = Spec(label="hazy", network="hazy", data="rooms")


@pytest.fixture
def images():
    """An image with noise and without, the latter as an 8-bit file has it, (1, 3, 46, 62)."""
    generator = torch.Generator().manual_seed(0)
    clear = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), (46, 62), mode="bilinear")
    clear = protocols.rounded(clear)
    return (clear + 0.05 * torch.randn(clear.shape, generator=generator)).clamp(0, 1), clear


def score(name, image, reference):
    return float(OF_IMAGES[name](image, reference))


# ------------------------------------------------------------------------------------------------ each protocol


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if not name.endswith("resized")])
def test_a_perfect_output_scores_best_and_noise_worse(name, images):
    noisy, clear = images
    assert score(name, clear, clear) == pytest.approx(np.inf if name.startswith("psnr") else 1)
    assert score(name, noisy, clear) < (32 if name.startswith("psnr") else 0.95)


def test_rounding_hides_an_error_below_half_a_grey_level():
    target = torch.full((1, 3, 40, 40), 128 / 255)
    assert score("psnr_rgb_8bit", target + 0.4 / 255, target) == np.inf
    assert score("psnr_rgb", target + 0.4 / 255, target) == pytest.approx(20 * np.log10(255 / 0.4), abs=0.01)
    assert score("psnr_rgb_8bit", target + 0.6 / 255, target) == pytest.approx(20 * np.log10(255), abs=0.01)


def test_what_is_left_without_block_errors_are_details():
    target = torch.full((1, 3, 50, 45), 0.5)
    ramp = torch.zeros(1, 3, 50, 45)
    ramp[..., :20, :20], ramp[..., 40:, 40:] = 0.1, -0.2  # one block, and the smaller one of the corner
    stripes = torch.zeros(50, 45)
    stripes[:, ::2], stripes[:, 1::2] = 0.01, -0.01
    assert score("psnr_rgb_details", target + ramp, target) > 100
    assert score("psnr_rgb_details", target + ramp + stripes, target) == pytest.approx(40, abs=0.05)
    assert score("psnr_rgb_offset", target + 0.1, target) > 100
    assert score("psnr_rgb", target + ramp, target) < score("psnr_rgb_offset", target + ramp, target) < 40


@pytest.mark.parametrize("colour, luma", [((0, 0, 0), 16), ((1, 1, 1), 235), ((1, 0, 0), 81.481), ((0, 0, 1), 40.966)])
def test_luma_has_the_levels_of_bt_601(colour, luma):
    image = torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert (protocols.luma(image) * 255).numpy() == pytest.approx(luma, abs=1e-3)


def test_a_grey_error_is_smaller_on_luma_by_its_narrower_range():
    target = torch.full((1, 3, 40, 40), 0.5)
    gain = score("psnr_y", target + 0.1, target) - score("psnr_rgb", target + 0.1, target)
    assert gain == pytest.approx(20 * np.log10(255 / 219), abs=1e-3)


@pytest.mark.parametrize("size, smaller", [((460, 620), 2), ((240, 320), 1), ((1280, 640), 2)])
def test_images_are_averaged_by_a_256th_of_their_shorter_side(size, smaller):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(protocols.averaged(image), F.avg_pool2d(image, smaller))


def test_the_pooled_psnr_is_that_of_the_mean_squared_error():
    assert protocols.pooled(pd.Series([10.0, 30.0])) == pytest.approx(-10 * np.log10((0.1 + 0.001) / 2))


def test_ssim_without_padding_is_the_mean_over_windows_inside_the_image(images):
    def explicit(x, y):
        mean_x, mean_y, xx, yy, xy = (gaussian_filter(z, 1.5, radius=5) for z in (x, y, x * x, y * y, x * y))
        ssim = (2 * mean_x * mean_y + 1e-4) * (2 * (xy - mean_x * mean_y) + 9e-4)
        ssim /= (mean_x**2 + mean_y**2 + 1e-4) * (xx - mean_x**2 + yy - mean_y**2 + 9e-4)
        return ssim[5:-5, 5:-5].mean()

    expected = np.mean([explicit(x, y) for x, y in zip(*(image[0].double().numpy() for image in images))])
    assert score("ssim_gauss11_rgb_valid", *images) == pytest.approx(expected, abs=1e-5)


def test_a_dynamic_range_of_two_flatters(images):
    assert score("ssim_uniform7_rgb_range2", *images) > score("ssim_uniform7_rgb", *images) + 0.01


def test_a_resized_frame_moves_its_content_by_up_to_ten_pixels_and_shows_the_white_edge():
    ramp = (torch.arange(620.0) / 620).expand(1, 3, 460, 620)
    seen = protocols.resized_frame(ramp)[0, 0, 230] * 620  # where the content of each column comes from
    columns = torch.arange(620.0)
    expected = (columns + 0.5) * 640 / 620 - 0.5 - 10
    torch.testing.assert_close(seen[12:-12], expected[12:-12], atol=0.05, rtol=0)
    assert (seen[[0, 3, -4, -1]] == 620).all()


@pytest.mark.skipif(not (DATA / "nyu/rgb").is_dir(), reason="no data")
@pytest.mark.parametrize("scene", [1, 300, 800, 1300])
def test_the_emulated_mistake_costs_what_the_genuine_one_costs(scene):
    frame = torch.from_numpy(read_rgb(DATA / f"nyu/rgb/{scene}.jpg")).permute(2, 0, 1)[None].float() / 255
    clear = frame[..., 10:-10, 10:-10]
    genuine = psnr_rgb(clear, F.interpolate(frame, (460, 620), mode="bilinear", antialias=True)).item()
    assert score("psnr_rgb_resized", clear, clear) == pytest.approx(genuine, abs=0.3) and genuine < 20


# ------------------------------------------------------------------------------------------------ measuring


def test_there_is_a_row_per_image_and_protocol_and_ours_are_those_of_every_other_table():
    pairs = open_data("rooms").tests["rooms"].subset(2)
    rows = protocols.protocol_scores(nn.Identity(), Spec(), pairs)
    assert len(rows) == 2 * len(OF_IMAGES) and set(rows.test_set) == {"rooms"}
    wide = rows.pivot(index="image", columns="protocol", values="value")
    plain = evaluation.scores(nn.Identity(), Spec(), pairs)
    for name in ("psnr_rgb", "ssim_gauss11_rgb", "ssim_uniform7_rgb"):
        assert wide[name].tolist() == plain.set_index("image")[name].loc[wide.index].tolist()


def test_only_missing_images_are_computed_and_the_study_holds_what_was_asked_for(tmp_path, monkeypatch):
    data, computed, whole = open_data("rooms"), [], protocols.protocol_scores
    monkeypatch.setattr(protocols, "protocol_scores",
                        lambda network, spec, rest: computed.append(len(rest)) or whole(network, spec, rest))
    one, pairs = runs.run(tmp_path / "runs", HAZY).train(data), data.tests["rooms"]
    three = protocols.measure([one], pairs.select(pairs.pairs[:3]), tmp_path)
    two = protocols.measure([one], pairs.select(pairs.pairs[2:4]), tmp_path)
    assert computed == [3, 1] and three.image.nunique() == 3
    written = pd.read_csv(tmp_path / "protocols.csv", dtype={"image": str})
    assert set(written.image) == set(two.image) == {pair.name for pair in pairs.pairs[2:4]}
    assert list(written) == ["run", "label", "seed", "test_set", "image", "protocol", "value"]
    old = pd.read_csv(one.folder / "protocols.csv")
    old[old.protocol != "psnr_y"].to_csv(one.folder / "protocols.csv", index=False)  # as an earlier version left it
    again = protocols.measure([one], pairs.select(pairs.pairs[:3]), tmp_path)
    pd.testing.assert_frame_equal(again.reset_index(drop=True), three.reset_index(drop=True))
    assert computed == [3, 1, 3]
