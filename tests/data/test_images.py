import numpy as np
import pytest
from PIL import Image

from dehazelib.data.images import (
    RESIDE_SIZE,
    DataError,
    centre_crop,
    depth_size,
    list_images,
    read_depth_png,
    read_rgb,
    rgb_size,
)
from image_folders import save


@pytest.mark.parametrize("suffix", ["png", "PNG", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"])
def test_every_format_is_listed_and_read(tmp_path, suffix):
    save(tmp_path / f"1.{suffix}", size=(31, 17), grey=90)
    (tmp_path / "notes.txt").touch(), (tmp_path / "._1.png").touch()
    path, = list_images(tmp_path)
    assert rgb_size(path) == (17, 31) and abs(read_rgb(path).astype(int) - 90).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_truncated_image_is_told(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"1.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=rf"1.{suffix}: .* fetch the file again"):
        read_rgb(path)


@pytest.mark.parametrize("image, found", [
    (Image.new("RGBA", (4, 4)), "mode RGBA"), (Image.new("CMYK", (4, 4)), "mode CMYK"),
    (Image.fromarray(np.zeros((4, 4), np.uint16)), "more than 8 bits a channel")])
def test_the_header_tells_what_is_no_8_bit_rgb(tmp_path, image, found):
    image.save(tmp_path / "1.tif")
    for read in (read_rgb, rgb_size):
        with pytest.raises(DataError, match=f"1.tif: expected an 8-bit RGB image, found {found}; convert it to RGB"):
            read(tmp_path / "1.tif")


@pytest.mark.parametrize("read", [read_rgb, rgb_size, read_depth_png, depth_size])
def test_absent_files_and_what_is_no_image_are_told(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="1.png: no such file"):
        read(tmp_path / "1.png")
    (tmp_path / "1.png").write_text("<html>404</html>")
    with pytest.raises(DataError, match="1.png: not an image that can be read"):
        read(tmp_path / "1.png")


@pytest.mark.parametrize("values, metres", [
    (np.array([[0, 255]], np.uint8), [[0.0196, 10.0157]]),  # 25.51 grey levels a metre, half a step
    (np.array([[1, 4321]], np.uint16), [[0.001, 4.321]])])
def test_depth_in_8_bits_spans_ten_metres_without_zero_and_in_16_is_millimetres(tmp_path, values, metres):
    Image.fromarray(values).save(tmp_path / "1.png")
    np.testing.assert_allclose(read_depth_png(tmp_path / "1.png"), metres, atol=1e-4)
    assert depth_size(tmp_path / "1.png") == (1, 2)


def test_unmeasured_and_coloured_depth_is_refused(tmp_path):
    Image.fromarray(np.array([[0, 4321]], np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match="1.png: 1 pixels have no depth; use NYU's filled-in"):
        read_depth_png(tmp_path / "1.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "2.png")
    for read in (read_depth_png, depth_size):
        with pytest.raises(DataError, match="2.png: expected a grey depth map .* found mode RGB"):
            read(tmp_path / "2.png")


def test_a_clear_image_loses_a_border_of_ten_pixels_or_nothing():
    image = np.arange(480 * 640).reshape(480, 640)
    np.testing.assert_array_equal(centre_crop(image, RESIDE_SIZE), image[10:470, 10:630])
    assert centre_crop(image, (480, 640)) is image
    with pytest.raises(DataError, match="gt: 640x480 pixels, expected 600x480 or 620x500 .*, never a resized file"):
        centre_crop(image, (480, 600), "gt")
