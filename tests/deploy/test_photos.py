"""Photographs: read as they are looked at, dehazed through each door alike, written with what belongs to them."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from safetensors.torch import save_file

import dehazelib
from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.deploy import photos
from dehazelib.deploy.photos import Photo, dehaze, dehaze_file, read_photo, write_photo

SIZE = (41, 30)  # width, height
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return networks.build("student").eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def identity(x):
    return x


def deep_pixels(channels=3):
    return np.random.default_rng(1).integers(0, 65536, (SIZE[1], SIZE[0], channels), dtype=np.uint16)


def read(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.array(image)


def camera_data(orientation=1):
    exif = Image.Exif()
    exif[0x0112], exif[0x0132], exif[0x010F] = orientation, "2026:01:02 03:04:05", "Maker"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time
    exif.get_ifd(0x8825)[1] = "N"
    return exif


# ------------------------------------------------------------------------------------------------- images in Python


def test_all_forms_of_an_image_give_the_same_result(student, pixels):
    array = dehaze(pixels, student)
    image = dehaze(Image.fromarray(pixels), student)
    tensor = dehaze(torch.from_numpy(pixels).permute(2, 0, 1) / 255, student)
    assert (array.dtype, array.shape, image.mode, image.size) == (np.uint8, pixels.shape, "RGB", SIZE)
    np.testing.assert_array_equal(np.array(image), array)
    np.testing.assert_array_equal((tensor * 255).round().byte().permute(1, 2, 0).numpy(), array)


def test_an_array_of_sixteen_bits_keeps_its_type(student):
    given = deep_pixels() // 4 + 30_000
    result = dehaze(given, student)
    tensor = dehaze(torch.from_numpy(given / 65535).permute(2, 0, 1).float(), student)
    assert result.dtype == np.uint16 and np.abs(result / 65535 - tensor.permute(1, 2, 0).numpy()).max() < 1e-4


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_is_the_same_through_each_door(tmp_path, student, pixels, strength):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(student, tmp_path / "photo.png", tmp_path / "out.png", strength)
    result = dehazelib.dehaze(pixels, student, strength)
    np.testing.assert_array_equal(read(tmp_path / "out.png"), result)
    np.testing.assert_array_equal(dehaze(Image.fromarray(pixels), student, strength), result)
    mixed = (1 - strength) * pixels.astype(float) + strength * dehaze(pixels, student).astype(float)
    assert np.abs(result - mixed).max() <= 1


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_that_is_none_is_refused(pixels, strength):
    with pytest.raises(ValueError, match="strength is .*: give a number from 0"):
        dehaze(pixels, identity, strength)


def test_the_package_dehazes_with_a_file_and_imports_torch_only_then(tmp_path, student, pixels):
    save_file(student.state_dict(), tmp_path / "w.safetensors")
    np.testing.assert_array_equal(dehazelib.dehaze(pixels, tmp_path / "w.safetensors"), dehaze(pixels, student))
    code = "import sys, dehazelib; dehazelib.dehaze; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.ROOT)


@pytest.mark.parametrize("image, message", [
    (np.zeros((4, 5, 3)), r"must be uint8 or uint16 \(height, width, 3\), not float64 \(4, 5, 3\)"),
    (np.zeros((3, 4, 5), np.uint8), r"not uint8 \(3, 4, 5\)"),
    (np.zeros((4, 5), np.uint8), r"not uint8 \(4, 5\)"),
    (np.zeros((0, 5, 3), np.uint8), r"not uint8 \(0, 5, 3\)"),
    (torch.zeros(3, 4, 5, dtype=torch.uint8), r"must be of floats .* not torch.uint8 \(3, 4, 5\)"),
    (torch.zeros(4, 5, 3), r"not torch.float32 \(4, 5, 3\)"),
    (torch.zeros(0, 3, 4, 5), r"not torch.float32 \(0, 3, 4, 5\)"),
    (torch.full((3, 4, 5), 255.0), r"must lie in \[0, 1\]; this one has values from 255 to 255"),
    (torch.full((3, 4, 5), float("nan")), r"must lie in \[0, 1\]"),
    (Image.new("I;16", (5, 4)), r"more than 8 bits a channel \(mode I;16\)"),
], ids=lambda value: value if isinstance(value, str) else type(value).__name__)
def test_what_is_no_image_is_refused_in_one_line(image, message):
    with pytest.raises(ValueError, match=message):
        dehaze(image, identity)


# ----------------------------------------------------------------------------------------------------------- colours


def test_a_dehazed_photo_is_the_network_s_output_rounded_to_eight_bits(tmp_path, student, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(student, tmp_path / "photo.png", tmp_path / "out.png")
    with torch.no_grad():
        output = student(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1)
    expected = (output * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(read(tmp_path / "out.png"), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr"])
def test_photos_of_any_eight_bit_mode_are_read_in_their_colours(tmp_path, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "photo.tiff")
    for photo in (read_photo(tmp_path / "photo.tiff"), photos.from_image(image)):
        np.testing.assert_array_equal(photo.pixels, np.array(image.convert("RGB")))
        assert photo.alpha is None


def icc(kind, space, connection, **tags):
    """Returns a colour profile with these tags; a tag's data are whole words."""
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", start + len(data), len(content))
        data += content
    d50 = struct.pack(">iii", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s12x4s28x12s48x", start + len(data), b"", 0x02400000, kind, space, connection,
                         b"acsp", d50)
    return header + struct.pack(">I", len(tags)) + table + data


def linear_grey():
    return icc(b"mntr", b"GRAY", b"XYZ ", wtpt=b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061),
               kTRC=b"curv" + bytes(8))


def cmyk_whose_cyan_is_black():
    """A profile by which colours get as dark as their cyan says, and the other inks do not show."""
    ramp = bytes(range(256))
    corners = b"".join(bytes([0 if number & 8 else 255, 128, 128]) for number in range(16))  # Lab, cyan slowest
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    return icc(b"prtr", b"CMYK", b"Lab ", A2B0=lut + 4 * ramp + corners + 3 * ramp)


@pytest.mark.parametrize("mode, profile, colour, expected", [
    ("L", linear_grey(), 128, 188),  # 128 / 255 as linear light is 188 / 255 in sRGB
    ("LA", linear_grey(), (128, 255), 188),
    ("CMYK", cmyk_whose_cyan_is_black(), (0, 200, 200, 200), 255),
    ("CMYK", cmyk_whose_cyan_is_black(), (255, 0, 0, 0), 0),
    ("CMYK", cmyk_whose_cyan_is_black(), (128, 0, 0, 0), 118),  # L* of 49.8
])
def test_colours_that_are_not_rgb_are_converted_by_their_profile(tmp_path, mode, profile, colour, expected):
    image = Image.new(mode, SIZE, colour)
    image.save(tmp_path / "photo.tif", icc_profile=profile)
    image.info["icc_profile"] = profile
    for photo in (read_photo(tmp_path / "photo.tif"), photos.from_image(image)):
        assert np.abs(photo.pixels.astype(int) - expected).max() <= 1 and "icc_profile" not in photo.info
        assert (photo.alpha is None) == (mode != "LA")


@pytest.mark.parametrize("mode, profile, kept", [
    ("RGB", SRGB, True), ("RGBA", SRGB, True), ("P", SRGB, True), ("L", SRGB, False), ("CMYK", SRGB, False),
    ("RGB", b"damaged", False), ("RGB", b"", False)])
def test_the_colour_profile_goes_along_where_it_describes_rgb(tmp_path, pixels, mode, profile, kept):
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "photo.tif", icc_profile=profile)
    dehaze_file(identity, tmp_path / "photo.tif", tmp_path / "out.png")
    with Image.open(tmp_path / "photo.tif") as photo, Image.open(tmp_path / "out.png") as result:
        for one in (result, dehaze(photo, identity)):
            assert one.info.get("icc_profile") == (profile if kept else None)


# ------------------------------------------------------------------------------------------------------ transparency


def hidden(mode, value):
    """Returns an image that is transparent to the left, over hidden colours of this value."""
    y, x = np.mgrid[0:30, 0:41]
    grey = np.where(x < 20, value, 100 + 3 * x + y).astype(np.uint8)
    alpha = np.where(x < 20, 0, np.where(x > 30, 255, 128)).astype(np.uint8)
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    return image.convert(mode), alpha


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_stays_and_what_it_hides_changes_nothing(tmp_path, student, mode):
    results = []
    for value in (0, 255):
        image, alpha = hidden(mode, value)
        image.save(tmp_path / "photo.png")
        dehaze_file(student, tmp_path / "photo.png", tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as result:
            assert result.mode == "RGBA"
            results.append(np.array(result))
        np.testing.assert_array_equal(np.array(dehaze(image, student)), results[-1])
        np.testing.assert_array_equal(results[-1][..., 3], alpha)
    np.testing.assert_array_equal(results[0], results[1])


def test_a_transparent_colour_of_a_palette_is_transparency(tmp_path):
    image = Image.new("P", SIZE)
    image.putpalette([200, 10, 10, 10, 200, 10])
    image.paste(1, (10, 0, 41, 30))
    image.save(tmp_path / "photo.png", transparency=0)
    photo = read_photo(tmp_path / "photo.png")
    assert (photo.alpha[:, :10] == 0).all() and (photo.alpha[:, 10:] == 255).all()
    assert (photo.pixels[:, 10:] == (10, 200, 10)).all()


# ---------------------------------------------------------------------------------------- orientation and other data


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.tif", "deep.png", "deep.tif"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_photo_taken_with_a_turned_camera_comes_out_upright(tmp_path, pixels, name, orientation):
    info = {"exif": camera_data(orientation).tobytes()}
    if name.startswith("deep"):
        write_photo(Photo(deep_pixels(), None, info), tmp_path / name)
    else:
        Image.fromarray(pixels).save(tmp_path / name, exif=info["exif"])
    with Image.open(tmp_path / name) as opened:
        expected = np.array(ImageOps.exif_transpose(opened))
    photo = read_photo(tmp_path / name)
    eight = photo.pixels >> 8 if photo.pixels.dtype == np.uint16 else photo.pixels
    np.testing.assert_array_equal(eight, expected)
    exif = Image.Exif()
    exif.load(photo.info["exif"])
    assert 0x0112 not in exif


def test_an_image_in_python_comes_back_upright_with_its_data_and_is_left_as_it_was():
    file = io.BytesIO()
    Image.new("RGB", SIZE, (150, 150, 160)).save(file, "JPEG", exif=camera_data(6), icc_profile=SRGB, dpi=(300, 300))
    image = Image.open(file)
    before = dict(image.getexif())
    result = dehaze(image, identity)
    assert result.size == (30, 41) and result.info["icc_profile"] == SRGB and result.info["dpi"] == (300, 300)
    assert result.getexif()[0x010F] == "Maker" and 0x0112 not in result.getexif()
    assert image.size == SIZE and dict(image.getexif()) == before and before[0x0112] == 6


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.tif", "out.webp"])
@pytest.mark.parametrize("deep", [False, True])
def test_camera_date_place_profile_and_resolution_are_in_the_result(tmp_path, pixels, name, deep):
    before = tmp_path / "photo.tif"
    info = {"exif": camera_data(3).tobytes(), "icc_profile": SRGB, "dpi": (300.0, 300.0)}
    write_photo(Photo(deep_pixels() if deep else pixels, None, info), before)
    dehaze_file(identity, before, tmp_path / name)
    with Image.open(tmp_path / name) as result:
        exif = result.getexif()
        assert exif[0x0132] == "2026:01:02 03:04:05" and exif.get_ifd(0x8825)[1] == "N"
        assert float(exif.get_ifd(0x8769)[0x829A]) == 0.01 and exif.get(0x0112, 1) == 1
        assert result.info["icc_profile"] == SRGB and result.size == SIZE
        if name != "out.webp":  # which has no place for it
            assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


# ------------------------------------------------------------------------------------------------------ sixteen bits


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
def test_sixteen_bits_come_back_as_they_were_written_and_as_others_read_them(tmp_path, name, channels):
    values = deep_pixels(channels)
    photo = Photo(values[..., :3], values[..., 3] if channels == 4 else None)
    write_photo(photo, tmp_path / name)
    again = read_photo(tmp_path / name)
    np.testing.assert_array_equal(again.channels(), values)
    with Image.open(tmp_path / name) as opened:
        np.testing.assert_array_equal(np.array(opened), values >> 8)
    if name == "photo.tif":
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name), values)


@pytest.mark.parametrize("options", [
    {}, {"byteorder": ">"}, {"compression": "zlib", "predictor": 2}, {"compression": "zlib", "byteorder": ">"},
    {"tile": (16, 16)}, {"rowsperstrip": 7}], ids=str)
def test_sixteen_bit_tiffs_of_other_programs_are_read(tmp_path, options):
    tifffile.imwrite(tmp_path / "photo.tif", deep_pixels(), photometric="rgb", **options)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.tif").pixels, deep_pixels())


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_of_sixteen_bits_is_read(tmp_path, photometric):
    grey = deep_pixels(1)[..., 0]
    tifffile.imwrite(tmp_path / "photo.tif", grey, photometric=photometric)
    expected = grey if photometric == "minisblack" else 65535 - grey
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.tif").pixels, np.dstack([expected] * 3))
    Image.fromarray(grey).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png").pixels, np.dstack([grey] * 3))


@pytest.mark.parametrize("name", ["planar.tif", "photo.ppm", "cmyk.tif", "float.tif", "whole.tif"])
def test_deep_colours_that_cannot_be_read_whole_are_refused_rather_than_cut(tmp_path, name):
    pixels, file = deep_pixels(), tmp_path / name
    if name == "planar.tif":
        tifffile.imwrite(file, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    elif name == "photo.ppm":
        file.write_bytes(b"P6 41 30 65535\n" + pixels.astype(">u2").tobytes())
    elif name == "cmyk.tif":
        tifffile.imwrite(file, deep_pixels(4), photometric="separated")
    else:
        Image.fromarray(pixels[..., 0].astype(np.float32 if name == "float.tif" else np.int32)).save(file)
    with pytest.raises(DataError, match=f"{name}: cannot be read as an image .16 bits a channel are read from"):
        dehaze_file(identity, file, tmp_path / "out.png")
    with Image.open(file) as photo, pytest.raises(ValueError, match="more than 8 bits a channel"):
        dehaze(photo, identity)
    assert [file.name for file in tmp_path.iterdir()] == [name]


# ------------------------------------------------------------------------------------------------ what cannot be read


def raw_file(path, *entries):
    """Writes a TIFF with these tags whose picture is 41 x 30."""
    tags = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in [(256, 41), (257, 30), (258, (8, 8, 8)), (259, 1), (262, 2), (273, 0), (277, 3), (278, 30),
                       (279, 3690), *entries]:
        tags[tag] = value
    with path.open("wb") as file:
        tags.save(file)
        file.write(bytes(3690))


@pytest.mark.parametrize("name, entries", [
    ("shot.nef", []), ("SHOT.CR2", []), ("shot.dng", []), ("preview.tif", [(254, 1)]),
    ("dng.tif", [(50706, b"\1\4\0\0")])])
def test_a_camera_s_raw_file_is_not_taken_for_its_preview(tmp_path, name, entries):
    raw_file(tmp_path / name, *entries)
    with pytest.raises(DataError, match=f"{name}: .*raw file: develop it first"):
        read_photo(tmp_path / name)


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg"])  # phones also give the second name
def test_heic_gets_a_hint(tmp_path, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(DataError, match=f"{name}: is HEIC, which cannot be read here: convert it"):
        read_photo(tmp_path / name)


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


def test_a_photo_too_large_to_be_one_is_named_and_half_of_that_is_no_attack(tmp_path, pixels, monkeypatch, recwarn):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_photo(tmp_path / "photo.png").size == SIZE and not recwarn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="photo.png: has more than 200 pixels; reduce it first"):
        read_photo(tmp_path / "photo.png")


def test_an_absent_photo_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.png: no such file"):
        dehaze_file(identity, tmp_path / "none.png", tmp_path / "out.png")


# ----------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("name, form", [("out.png", "PNG"), ("out.JPG", "JPEG"), ("out.jpeg", "JPEG"),
                                        ("out.webp", "WEBP"), ("out.tif", "TIFF"), ("out.bmp", "BMP")])
def test_the_name_of_a_result_says_its_format(tmp_path, pixels, name, form):
    write_photo(Photo(pixels), tmp_path / name)
    with Image.open(tmp_path / name) as result:
        assert result.format == form and result.size == SIZE


def test_a_format_that_cannot_be_written_is_refused(tmp_path, pixels):
    with pytest.raises(ValueError, match="out.gif: the name of a result ends in one of .png .jpg"):
        write_photo(Photo(pixels), tmp_path / "out.gif")


def test_side_by_side_the_photo_is_left_of_its_result(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(lambda image: 1 - image, tmp_path / "photo.png", tmp_path / "out.png", side_by_side=True)
    np.testing.assert_array_equal(read(tmp_path / "out.png"), np.concatenate([pixels, 255 - pixels], 1))


def test_a_result_that_cannot_be_finished_leaves_the_earlier_one(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    dehaze_file(identity, tmp_path / "photo.png", tmp_path / "new folder" / "out.png")
    before = (tmp_path / "new folder" / "out.png").read_bytes()

    def full_disk(self, path, **options):
        path.write_bytes(b"half an image")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        dehaze_file(lambda x: 1 - x, tmp_path / "photo.png", tmp_path / "new folder" / "out.png")
    assert (tmp_path / "new folder" / "out.png").read_bytes() == before
    assert [file.name for file in (tmp_path / "new folder").iterdir()] == ["out.png"]
