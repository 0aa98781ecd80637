"""What must hold for any input, tried with many: FAULTS_EXAMPLES says how many of each (default: 20)."""

import io
import math
import os
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from PIL import Image

from dehazelib import haze
from dehazelib.data.images import DataError, read_depth_png, read_rgb, rgb_size
from dehazelib.deploy.inference import by_strips
from dehazelib.deploy.photos import read_photo
from dehazelib.distillation.affinity import DISTANCES, affinity_distance, affinity_distance_reference
from dehazelib.experiments.options import OptionError
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import Spec, read_run
from dehazelib.networks.student import Student
from dehazelib.report.interval import Interval
from dehazelib.report.statistics import paired_bootstrap
from dehazelib.training import runs

settings.register_profile("faults", max_examples=int(os.environ.get("FAULTS_EXAMPLES", 20)), deadline=None,
                          derandomize=True, database=None, suppress_health_check=list(HealthCheck))
settings.load_profile("faults")

pytestmark = pytest.mark.slow
positive = some.integers(1, 10**6)
share = some.floats(0, 1)
finite = some.floats(allow_nan=False, allow_infinity=False)
OPTIONS = {
    "label": some.text("abcdefgh_-", min_size=1, max_size=9), "seed": some.integers(-5, 10**9), "steps": positive,
    "batch": positive, "crop": positive, "lr": finite, "clip": some.floats(0, 1e9), "ema": share,
    "affinity_weight": finite, "loss": some.sampled_from(["mse", "l1", "smooth_l1"]), "channels_last": some.booleans(),
    "schedule": some.sampled_from(["constant", "cosine"]), "start": some.text(max_size=5),
    "scales": some.sampled_from(["", "4 2 1"]),
}


@given(some.fixed_dictionaries({}, optional=OPTIONS))
def test_a_specification_is_read_back_from_its_yaml_with_its_id(tmp_path_factory, options):
    spec = Spec(**options)
    folder = tmp_path_factory.mktemp("runs") / spec.id
    folder.mkdir()
    (folder / "spec.yaml").write_text(spec.text(), encoding="utf-8")
    assert read_run(folder) == spec and read_run(folder).id == spec.id


anything = some.recursive(some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
                          lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner,
                                                                                          max_size=3), max_leaves=5)


@example({"plug_and_play": "\x85"})  # a line's end
@given(some.dictionaries(some.sampled_from([*Settings.model_fields]) | some.text(max_size=6), anything, max_size=3))
def test_settings_from_anything_are_taken_or_refused_in_one_line(given_):
    try:
        taken = Settings.load("smoke", overrides=given_)
    except ValueError as error:
        assert isinstance(error, OptionError) or "data" in given_
        assert len(str(error).splitlines()) == 1
    else:
        assert all(getattr(taken, name) == value for name, value in given_.items() if name != "data")


# ------------------------------------------------------------------------------------------------------------- images


@cache
def encoded(form: str, mode: str) -> bytes:
    file, colours = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(colours).convert(mode).save(file, form, exif=_exif())
    return file.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("read", [read_rgb, rgb_size, read_depth_png, read_photo])
@pytest.mark.parametrize("form, mode", [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("WEBP", "RGB"),
                                        ("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "I;16")])
@given(changes=some.lists(some.tuples(share, some.integers(0, 255)), max_size=4), length=share)
def test_a_damaged_image_is_read_or_named(tmp_path_factory, read, form, mode, changes, length):
    content = bytearray(encoded(form, "I" if mode == "I;16" else mode))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    file = tmp_path_factory.getbasetemp() / f"image.{form.lower()}"
    file.write_bytes(content[:max(1, int(len(content) * min(1, 2 * length)))])
    try:
        read(file)
    except DataError as error:
        assert str(error).startswith(str(file))


@given(some.binary(max_size=200))
def test_what_is_no_image_is_named(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "noise.png"
    file.write_bytes(content)
    for read in (read_rgb, read_depth_png, read_photo):
        with pytest.raises(DataError, match="noise.png"):
            read(file)


@cache
def student() -> Student:
    torch.manual_seed(0)
    return Student(16, 2, 1).double().eval()


@given(height=some.integers(1, 40), width=some.integers(1, 24), rows=some.integers(1, 50), seed=some.integers(0, 99))
def test_strips_of_any_height_give_what_the_whole_image_gives(height, width, rows, seed):
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        whole = student()(image).clamp(0, 1)
    torch.testing.assert_close(by_strips(student(), image, rows, torch.float64), whole, rtol=0, atol=1e-9)


@given(some.integers(0, 99), some.floats(0, 1), some.floats(0, 2))
def test_haze_that_was_added_is_removed(seed, airlight, beta):
    rng = np.random.default_rng(seed)
    clear, depth = rng.random((3, 5, 7)), rng.random((1, 5, 7))
    transmission = haze.transmission(depth, beta)
    hazy = haze.add_haze(clear, transmission, airlight)
    assert hazy.min() >= 0 and hazy.max() <= 1
    np.testing.assert_allclose(haze.remove_haze(hazy, transmission, airlight), clear, atol=1e-12)


# ------------------------------------------------------------------------------------------- affinity and statistics


@pytest.mark.parametrize("distance", DISTANCES)
@given(batch=some.integers(1, 3), ours=some.integers(1, 5), theirs=some.integers(1, 5), pixels=some.integers(1, 30),
       tile=some.integers(1, 1000), seed=some.integers(0, 99))
def test_affinity_distances_of_any_shape_are_those_of_the_reference(distance, batch, ours, theirs, pixels, tile, seed):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(batch, ours, pixels, generator=generator, dtype=torch.float64)
    b = torch.randn(batch, theirs, pixels, generator=generator, dtype=torch.float64)
    expected = affinity_distance_reference(a, b, distance)
    exact = affinity_distance(a, b, distance, tile_elements=tile)
    single = affinity_distance(a.float(), b.float(), distance, tile_elements=tile)
    torch.testing.assert_close(exact, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(single.double(), expected, rtol=1e-3, atol=1e-5)


@given(some.floats(-1e6, 1e6), some.floats(0, 1e3), some.floats(0.01, 100))
def test_an_interval_keeps_its_order_and_says_its_sign(value, half, factor):
    interval = Interval(value, value - half, value + half)
    scaled = interval.times(factor)
    assert scaled.low <= scaled.value <= scaled.high and scaled.sign() == interval.sign()
    assert interval.sign() == (1 if value - half > 0 else -1 if value + half < 0 else 0)
    assert interval.text("dB").endswith(" dB") and not math.isnan(float(interval.text().split(" ")[0].replace(",", "")))


@given(some.lists(some.integers(-50, 50), min_size=2, max_size=2), some.integers(0, 999))
def test_the_bootstrap_has_the_limits_of_all_draws_of_two_scenes(gaps, seed):
    """One seed and two scenes: a draw has the first scene twice, once or never, with chances 1/4, 1/2, 1/4."""
    low, high = sorted(map(float, gaps))
    rows = pd.DataFrame({"seed": 0, "image": ["1_1", "2_1"], "psnr_rgb": [0.0, 0.0]})
    other = rows.assign(psnr_rgb=gaps)
    found = paired_bootstrap(other, rows, "psnr_rgb", np.random.default_rng(seed), repeats=400)
    assert found == Interval(sum(gaps) / 2, low, high)


@given(some.lists(some.integers(0, 9), unique=True, min_size=1, max_size=8), some.data())
def test_scores_that_are_added_in_any_parts_are_all_there_once(tmp_path_factory, images, data):
    cuts = data.draw(some.lists(some.integers(0, len(images)), max_size=3).map(sorted))
    one = runs.Run(tmp_path_factory.mktemp("runs"), Spec(steps=1))
    one.folder.mkdir()
    rows = pd.DataFrame({"test_set": "rooms", "image": [f"{i}_1" for i in images], "psnr_rgb": 20.5,
                         "ssim_gauss11_rgb": 0.1, "ssim_uniform7_rgb": 0.2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "scores", lambda network, spec, pairs: pairs)
        for start, stop in zip([0, *cuts], [*cuts, len(images)]):
            if stop > start:
                one.score_part(None, rows[start:stop])
    pd.testing.assert_frame_equal(one.scores(), rows)
