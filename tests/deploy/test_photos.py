"""A trained student on photographs: what may be wrong with weights or photo, what comes out, and in strips the same."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps
from safetensors.torch import save_file

import dehazelib
from dehazelib import networks, paths
from dehazelib.bench import inference as bench
from dehazelib.bench import photo
from dehazelib.data.images import DataError
from dehazelib.data.pairs import Frames, Pair, Pairs
from dehazelib.deploy import photos as inference
from dehazelib.deploy.photos import by_strips, dehaze, dehaze_file, load
from dehazelib.profiling.allocator import can_keep

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
    monkeypatch.setattr(inference, "SHIPPED", tmp_path / "student.safetensors")
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
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_a_dehazed_tensor_keeps_its_shape_and_kind_and_lies_in_the_range(student, shape, kind):
    result = dehaze(torch.rand(shape, dtype=kind), student)
    assert (result.shape, result.dtype) == (shape, kind)
    assert 0 <= result.min() and result.max() <= 1 and not result.requires_grad


def test_all_forms_of_an_image_give_the_same_result(student, pixels):
    array = dehaze(pixels, student)
    image = dehaze(Image.fromarray(pixels), student)
    tensor = dehaze(torch.from_numpy(pixels).permute(2, 0, 1) / 255, student)
    assert (array.dtype, array.shape, image.mode, image.size) == (np.uint8, pixels.shape, "RGB", SIZE)
    np.testing.assert_array_equal(np.array(image), array)
    np.testing.assert_array_equal((tensor * 255).round().byte().permute(1, 2, 0).numpy(), array)


class Elsewhere(torch.nn.Module):
    """A network on the device meta, which nothing can be copied back from; its output is on `output`."""

    def __init__(self, output):
        super().__init__()
        self.weight, self.output = torch.nn.Parameter(torch.zeros(1, device="meta")), output

    def forward(self, image):
        assert image.device.type == "meta"
        return torch.ones(image.shape, device=self.output)


@pytest.mark.parametrize("image", [torch.rand(3, 30, 41), np.zeros((30, 41, 3), np.uint8), Image.new("RGB", SIZE)],
                         ids=lambda image: type(image).__name__)
def test_an_image_goes_to_where_its_network_is_and_the_result_back(image):
    assert type(dehaze(image, Elsewhere("cpu"))) is type(image)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        dehaze(image, Elsewhere("meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("whole_pixels", [4_000_000, 0])
@pytest.mark.parametrize("of_image, of_network", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_image_and_network_may_be_on_different_devices(student, monkeypatch, whole_pixels, of_image, of_network):
    for kind in ("cpu", "cuda"):
        monkeypatch.setitem(inference.WHOLE_PIXELS, kind, whole_pixels)
    image = hazy(1, 50, 80)
    network = networks.build("student").eval()
    network.load_state_dict(student.state_dict())
    result = dehaze(image.to(of_image), network.to(of_network))
    assert result.device.type == of_image and gap(result.cpu(), whole(student, image)) < 3
    assert next(network.parameters()).device.type == of_network


@pytest.mark.parametrize("gpu", [True, False])
def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert inference.chosen_device() == ("cuda" if gpu else "cpu") and inference.chosen_device("cpu") == "cpu"
    if gpu:
        assert inference.chosen_device("cuda") == "cuda"
    else:
        with pytest.raises(ValueError, match="There is no CUDA GPU here"):
            inference.chosen_device("cuda")


def test_an_image_is_left_as_it_was(student, pixels):
    before, tensor = pixels.copy(), torch.rand(3, 30, 41)
    given = tensor.clone()
    dehaze(pixels, student), dehaze(tensor, student)
    assert np.array_equal(pixels, before) and torch.equal(tensor, given)


@pytest.mark.parametrize("change", [np.flipud, lambda pixels: pixels.swapaxes(0, 1), lambda pixels: pixels[::2, 1:]])
def test_arrays_of_any_memory_layout_are_read(student, pixels, change):
    np.testing.assert_array_equal(dehaze(change(pixels), student), dehaze(change(pixels).copy(), student))


def test_the_package_dehazes_with_a_file_and_imports_torch_only_then(tmp_path, student, pixels):
    save_file(student.state_dict(), tmp_path / "w.safetensors")
    np.testing.assert_array_equal(dehazelib.dehaze(pixels, tmp_path / "w.safetensors"), dehaze(pixels, student))
    code = "import sys, dehazelib; dehazelib.dehaze; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.ROOT)


def test_the_package_dehazes_with_the_shipped_weights(tmp_path, student, pixels, monkeypatch):
    monkeypatch.setattr(inference, "SHIPPED", tmp_path / "student.safetensors")
    with pytest.raises(FileNotFoundError, match="student.safetensors: no such weights. Give --weights FILE"):
        dehazelib.dehaze(pixels)
    save_file(student.state_dict(), tmp_path / "student.safetensors")
    np.testing.assert_array_equal(dehazelib.dehaze(pixels), dehaze(pixels, student))


@pytest.mark.parametrize("image, message", [
    (np.zeros((4, 5, 3)), r"must be uint8 \(height, width, 3\), not float64 \(4, 5, 3\)"),
    (np.zeros((3, 4, 5), np.uint8), r"not uint8 \(3, 4, 5\)"),
    (np.zeros((4, 5), np.uint8), r"not uint8 \(4, 5\)"),
    (np.zeros((0, 5, 3), np.uint8), r"not uint8 \(0, 5, 3\)"),
    (torch.zeros(3, 4, 5, dtype=torch.uint8), r"must be of floats .* not torch.uint8 \(3, 4, 5\)"),
    (torch.zeros(4, 5, 3), r"not torch.float32 \(4, 5, 3\)"),
    (torch.zeros(0, 3, 4, 5), r"not torch.float32 \(0, 3, 4, 5\)"),
    (torch.full((3, 4, 5), 255.0), r"must lie in \[0, 1\]; this one has values from 255 to 255"),
    (torch.full((3, 4, 5), float("nan")), r"must lie in \[0, 1\]"),
    (Image.new("I;16", (5, 4)), r"more than 8 bits a channel \(mode I;16\)"),
], ids=str)
def test_what_is_no_image_is_refused_in_one_line(image, message):
    with pytest.raises(ValueError, match=message):
        dehaze(image, identity)


def test_a_path_is_not_taken_for_an_image():
    with pytest.raises(TypeError, match="must be a PIL image, a NumPy array or a tensor, not str"):
        dehaze("photo.jpg", identity)


def hazy(batch, height, width):
    """Returns a random image whose light falls off to one side, so that no strip has the average of the whole."""
    light = torch.linspace(0.5, 0.7, height).view(1, 1, -1, 1)
    return light + 0.1 * torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def whole(student, image):
    with torch.no_grad():
        return student(image).clamp(0, 1)


def gap(one, other):
    """Returns the largest difference, in steps of 8 bits."""
    return 255 * (one - other).abs().max().item()


def test_strips_on_their_own_would_be_wrong(student):
    image = hazy(1, 97, 131)
    naive = torch.cat([whole(student, strip) for strip in image.split(16, 2)], 2)
    assert gap(naive, whole(student, image)) > 10


@pytest.mark.parametrize("shape", [(1, 97, 131), (2, 64, 33), (1, 1, 7), (1, 5, 1)])
@pytest.mark.parametrize("rows", [1, 2, 3, 16, 50, 97, 200])
def test_strips_give_what_the_whole_image_gives(student, shape, rows):
    image = hazy(*shape)
    expected = whole(student, image)
    assert gap(by_strips(student, image, rows), expected) < 0.01
    assert gap(by_strips(student, image, rows, torch.float16), expected) < 0.2


def test_strips_of_eight_bits_give_the_rounded_result(student, pixels):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    expected = (whole(student, image / 255) * 255).round()
    result = by_strips(student, image, 7)
    assert result.dtype == torch.uint8 and (result - expected).abs().max() <= 1
    assert (result != expected).float().mean() < 0.001


@pytest.mark.parametrize("whole_pixels, float32_pixels, expected", [
    (4000, 4000, []), (3999, 4000, [(6, torch.float32)]), (3999, 3999, [(6, torch.float16)])])
def test_large_images_run_in_strips_and_very_large_ones_in_half_precision(
        student, monkeypatch, whole_pixels, float32_pixels, expected):
    calls = []
    monkeypatch.setitem(inference.WHOLE_PIXELS, "cpu", whole_pixels)
    monkeypatch.setattr(inference, "FLOAT32_PIXELS", float32_pixels)
    monkeypatch.setattr(inference, "STRIP_ROWS", 4)
    monkeypatch.setitem(inference.STRIP_PIXELS, "cpu", 500)
    monkeypatch.setattr(inference, "by_strips", lambda *given: calls.append(given[2:]) or by_strips(*given))
    image = hazy(1, 50, 80)
    assert gap(dehaze(image, student), whole(student, image)) < 0.2
    assert calls == expected


def test_features_beyond_half_precision_are_an_error_not_a_black_photo(student):
    image, strong = hazy(1, 40, 30), networks.build("student").eval()
    strong.load_state_dict(student.state_dict())
    with torch.no_grad():
        strong.head.weight *= 1e6
    assert by_strips(strong, image, 16).isfinite().all()
    with pytest.raises(FloatingPointError, match="features are not finite in torch.float16: check its weights"):
        by_strips(strong, image, 16, torch.float16)


@pytest.mark.parametrize("group, block", [(0, 0), (2, 5)])
def test_what_an_attention_makes_not_finite_is_found_in_the_layer_after_it(group, block):
    broken = networks.build("student").eval()
    with torch.no_grad():
        broken.groups[group].body[block].pixel_attention.mlp[2].bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="features are not finite"):
        by_strips(broken, torch.rand(1, 3, 40, 24), 16)


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


@pytest.mark.parametrize("orientation", range(10))
def test_a_photo_taken_with_a_turned_camera_comes_out_upright(tmp_path, pixels, orientation):
    photo = Image.fromarray(pixels)
    exif = photo.getexif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "photo.png", exif=exif)
    dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out.png")
    with Image.open(tmp_path / "photo.png") as opened:
        np.testing.assert_array_equal(read(tmp_path / "out.png"), np.array(ImageOps.exif_transpose(opened)))


def test_a_sound_photo_with_damaged_exif_data_is_dehazed(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "photo.png")

    def damaged(_):
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr(Image.Image, "getexif", damaged)
    dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out.png")
    monkeypatch.undo()
    np.testing.assert_array_equal(read(tmp_path / "out.png"), pixels)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_a_photo_of_more_than_eight_bits_is_refused_rather_than_clipped(tmp_path, kind):
    Image.fromarray(np.full((30, 41), 700, kind)).save(tmp_path / "photo.tiff")
    with pytest.raises(DataError, match="photo.tiff: has more than 8 bits a channel"):
        dehaze_file(identity, tmp_path / "photo.tiff", tmp_path / "out.png")


@pytest.mark.parametrize("name", ["photo.png", "photo.tiff", "planar.tiff", "photo.ppm"])
def test_colours_of_sixteen_bits_are_refused_rather_than_cut_to_eight(tmp_path, name):
    write_deep(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: has more than 8 bits a channel"):
        dehaze_file(identity, tmp_path / name, tmp_path / "out.png")
    with Image.open(tmp_path / name) as photo, pytest.raises(ValueError, match="more than 8 bits"):
        dehaze(photo, identity)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def write_deep(path):
    """A 16-bit colour image; Pillow reads but does not write them."""
    pixels = np.full((30, 41, 3), 0x12FF, np.uint16)
    if path.suffix == ".ppm":
        return path.write_bytes(b"P6 41 30 65535\n" + pixels.astype(">u2").tobytes())
    if path.name == "planar.tiff":
        return tifffile.imwrite(path, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    if path.suffix == ".tiff":
        return tifffile.imwrite(path, pixels, photometric="rgb")
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 41, 30, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks))


@pytest.mark.parametrize("mode, kept", [("RGB", True), ("L", False), ("CMYK", False)])
def test_the_colour_profile_goes_along_where_it_describes_rgb(tmp_path, pixels, mode, kept):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).convert(mode).save(tmp_path / "photo.jpg", icc_profile=profile)
    dehaze_file(identity, tmp_path / "photo.jpg", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as result:
        assert result.info.get("icc_profile") == (profile if kept else None)


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
    with pytest.raises(DataError, match="photo.png: has more than 200 pixels; reduce it first"):
        dehaze_file(identity, tmp_path / "photo.png", tmp_path / "out.png")


def test_an_absent_photo_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.png: no such file"):
        dehaze_file(identity, tmp_path / "none.png", tmp_path / "out.png")


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


def test_a_benchmark_leaves_larger_images_to_the_reference_and_the_quickest(monkeypatch):
    ms = {"eager": 900.0, "quick": 100.0, "middle": 300.0, bench.KEPT: 700.0}

    def compare(calls, *_, **__):
        return pd.DataFrame([{"method": name, "repeat": 0, "ms": ms[name]} for name in calls])

    monkeypatch.setattr(bench.timing, "compare", compare)
    sizes = [(8, 8), (16, 16), (24, 24)]
    methods = dict.fromkeys(ms, identity)
    rows = bench.times(methods, sizes, "cpu", repeats=1, seconds=2.0)
    large = ["eager", bench.KEPT, "quick"]
    assert rows.groupby("height").method.agg(list).to_dict() == {8: list(ms), 16: large, 24: large}
    rows = bench.times(methods, sizes, "cpu", repeats=1, seconds=1.0)  # eager takes longer than half of that
    assert rows.groupby("height").method.agg(list).to_dict() == {8: list(ms), 16: large[1:], 24: large[1:]}
    del methods[bench.KEPT]  # without it there is nothing else to compare with
    rows = bench.times(methods, sizes, "cpu", repeats=1, seconds=1.0)
    assert rows[rows.height == 24].method.tolist() == ["eager", "quick"]


def test_compiled_runtimes_are_warm_when_they_are_timed(monkeypatch):
    calls, said = [], []
    monkeypatch.setattr(bench.timing, "compare", lambda methods, *_, warm: said.append(warm) or pd.DataFrame(
        [{"method": name, "repeat": 0, "ms": 1.0} for name in methods]))
    methods = {"eager": calls.append, "torch.compile": calls.append}
    bench.times(methods, [(8, 8)], "cpu", repeats=1, seconds=1.0)
    assert said == [["torch.compile"]] and len(calls) == 1


def test_a_runtime_that_fails_is_left_out_with_a_line(monkeypatch, capsys):
    def fails(image):
        raise RuntimeError("no compiler\nand more")

    methods = {"eager": identity, "torch.compile": fails, "torch.compile, bf16": identity}
    rows = bench.times(methods, [(8, 8), (16, 16)], "cpu", repeats=1, seconds=1.0)
    assert set(rows.method) == {"eager", "torch.compile, bf16"}
    assert capsys.readouterr().err == "torch.compile is left out at 8x8: no compiler\n"


def test_a_photograph_s_memory_and_time_are_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    table = photo.run((50, 60))
    assert table.peak_mb.between(50, 5000).all() and (table.seconds > 0).all()
    assert pd.read_csv(tmp_path / "benchmarks" / "photo.csv").height.tolist() == [50]


def test_ratios_are_to_eager_or_else_to_eager_with_freed_memory_kept():
    rows = pd.DataFrame([{"device": "cpu", "height": 8, "width": 8, "method": name, "repeat": 0, "ms": ms}
                         for name, ms in (("eager", 900.0), (bench.KEPT, 300.0), ("quick", 100.0))])
    both, kept = bench._against_eager(rows), bench._against_eager(rows[1:])
    assert both.ratio.tolist() == [1, 3, 9] and set(both.against) == {"eager"}
    assert kept.ratio.tolist() == [1, 3] and set(kept.against) == {bench.KEPT}


def test_a_runtime_s_accuracy_is_its_change_on_the_same_image():
    clear = np.full((1, 8, 8, 3), 100, np.uint8)
    pairs = Pairs.of_frames("test", [Pair("0", 0, airlight=1.0, beta=1.0)],
                            Frames(clear, np.full((1, 8, 8), 65535, np.uint16), {0: 0}))
    truth = torch.full((1, 3, 8, 8), 100 / 255)
    methods = {bench.REFERENCE: lambda image: truth + 0.1, "worse": lambda image: truth + 0.2}
    table = bench.accuracy(methods, pairs, "cpu").set_index("method")
    assert table.psnr_rgb.tolist() == pytest.approx([20.0, 20 - 20 * np.log10(2)], abs=1e-4)
    assert table.psnr_change_db.tolist() == pytest.approx([0, -20 * np.log10(2)], abs=1e-4)


def test_a_benchmark_times_runtimes_that_all_dehaze(student, tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    monkeypatch.setattr(inference, "SHIPPED", tmp_path / "absent.safetensors")
    monkeypatch.setattr(bench, "runtimes", lambda network, device, folder: {
        bench.REFERENCE: network.to(device), "strips": lambda image: dehaze(image, network)})
    table = bench.run(sizes=[(8, 9), (16, 18)], repeats=1)
    methods = {bench.REFERENCE, "strips"} | ({bench.KEPT} if can_keep() else set())
    assert table[table.device == "cpu"].height.tolist()[: len(methods) + 1] == [8] * len(methods) + [16]
    kept = pd.read_csv(tmp_path / "benchmarks" / "inference.csv")
    assert set(kept.method) == methods and (kept.ms > 0).all()
