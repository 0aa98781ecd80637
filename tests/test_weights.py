"""A trained student on photographs: what may be wrong with the weights or the photo, and what comes out."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dehazelib import networks, weights
from dehazelib.data.images import DataError
from dehazelib.weights import dehaze, dehaze_file, load

SIZE = (41, 30)  # width, height


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return networks.build("student").eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def identity(x):
    return x


def read(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.array(image)


def test_loaded_weights_are_those_saved_in_evaluation_mode(tmp_path, student):
    save_file(student.state_dict(), tmp_path / "student.safetensors")
    loaded, image = load(tmp_path / "student.safetensors"), torch.rand(1, 3, 32, 40)
    assert not loaded.training and torch.equal(loaded(image), student(image))


def test_other_networks_load_by_name(tmp_path):
    aod = networks.build("aod_net")
    save_file(aod.state_dict(), tmp_path / "w.safetensors")
    assert type(load(str(tmp_path / "w.safetensors"), "aod_net")) is type(aod)


def test_the_default_is_the_shipped_student(tmp_path, student, monkeypatch):
    save_file(student.state_dict(), tmp_path / "student.safetensors")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "student.safetensors")
    assert torch.equal(load().state_dict()["head.weight"], student.state_dict()["head.weight"])


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_absent_weights_are_named(tmp_path, make):
    make(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="none.safetensors: no such weights. Give --weights FILE"):
        load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="w.safetensors: not a safetensors file"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("head.bias"), r"head.bias is absent, the network has \(16,\)"),
    (lambda state: state.update({"head.bias": torch.zeros(8)}),
     r"head.bias is \(8,\), the network has \(16,\)"),
    (lambda state: state.update({"a": torch.zeros(2)}), r"a is \(2,\), the network has no such tensor"),
])
def test_the_first_tensor_that_does_not_fit_is_named(tmp_path, student, change, message):
    state = dict(student.state_dict())
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=f"w.safetensors does not hold a student: {message}"):
        load(tmp_path / "w.safetensors")


def test_the_weights_of_another_network_are_refused(tmp_path, student):
    save_file(networks.build("aod_net").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="does not hold a student"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("shape", [(3, 30, 41), (1, 3, 30, 41), (2, 3, 17, 8)])
def test_dehazed_images_keep_their_shape_and_range(student, shape):
    result = dehaze(student, torch.rand(shape))
    assert result.shape == shape and 0 <= result.min() and result.max() <= 1 and not result.requires_grad


@pytest.mark.parametrize("size", [(41, 30), (1, 1), (7, 64), (64, 5)])
def test_a_dehazed_photo_has_the_size_of_the_photo(tmp_path, student, size):
    Image.new("RGB", size, (200, 190, 180)).save(tmp_path / "photo.png")
    dehaze_file(student, tmp_path / "photo.png", tmp_path / "out.png")
    assert read(tmp_path / "out.png").shape == (size[1], size[0], 3)


def test_a_dehazed_photo_is_the_network_s_output_rounded_to_eight_bits(tmp_path, student, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(student, tmp_path / "photo.png", tmp_path / "out.png")
    with torch.no_grad():
        output = student(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1)
    expected = (output * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(read(tmp_path / "out.png"), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK"])
def test_photos_of_any_eight_bit_mode_are_read_in_their_colours(tmp_path, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "photo.tiff")
    dehaze_file(identity, tmp_path / "photo.tiff", tmp_path / "out.png")
    np.testing.assert_array_equal(read(tmp_path / "out.png"), np.array(image.convert("RGB")))


@pytest.mark.parametrize("name, form", [("photo.jpg", "JPEG"), ("PHOTO.JPEG", "JPEG"), ("photo.webp", "WEBP"),
                                        ("photo.bmp", "BMP"), ("photo without suffix", "PNG")])
def test_photos_of_any_common_format_are_read(tmp_path, pixels, name, form):
    Image.fromarray(pixels).save(tmp_path / name, format=form)
    dehaze_file(identity, tmp_path / name, tmp_path / "out.png")
    with Image.open(tmp_path / name) as photo:
        np.testing.assert_array_equal(read(tmp_path / "out.png"), np.array(photo.convert("RGB")))


def test_a_photo_taken_with_a_turned_camera_comes_out_upright(tmp_path, pixels):
    photo = Image.fromarray(pixels)
    exif = photo.getexif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees clockwise
    photo.save(tmp_path / "photo.png", exif=exif)
    dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out.png")
    np.testing.assert_array_equal(read(tmp_path / "out.png"), np.rot90(pixels, -1))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_a_photo_of_more_than_eight_bits_is_refused_rather_than_clipped(tmp_path, kind):
    Image.fromarray(np.full((30, 41), 700, kind)).save(tmp_path / "photo.tiff")
    with pytest.raises(DataError, match="photo.tiff: has more than 8 bits a channel"):
        dehaze_file(identity, tmp_path / "photo.tiff", tmp_path / "out.png")


def broken(path, pixels):
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize("make", [
    lambda path, _: path.write_text("no image"), lambda path, _: path.write_bytes(b""),
    lambda path, _: path.mkdir(), broken])
def test_what_is_no_image_is_named_and_leaves_nothing(tmp_path, pixels, make):
    make(tmp_path / "photo.png", pixels)
    with pytest.raises(DataError, match="photo.png: cannot be read as an image"):
        dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out" / "a.png")
    assert not (tmp_path / "out").exists()


def test_a_photo_too_large_to_be_one_is_named(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="photo.png: cannot be read .* exceeds limit"):
        dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out.png")


def test_an_absent_photo_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.png: no such file"):
        dehaze_file(identity, tmp_path / "none.png", tmp_path / "out.png")


def test_a_result_that_cannot_be_finished_leaves_the_earlier_one(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(identity, tmp_path / "photo.png", tmp_path / "new folder" / "out.png")
    before = (tmp_path / "new folder" / "out.png").read_bytes()

    def full_disk(self, path, format):
        path.write_bytes(b"half an image")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        dehaze_file(lambda x: 1 - x, tmp_path / "photo.png", tmp_path / "new folder" / "out.png")
    assert (tmp_path / "new folder" / "out.png").read_bytes() == before
