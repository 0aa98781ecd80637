"""A trained network on images of any size: what may be wrong with weights, and in strips the same result."""

import pytest
import torch
from safetensors.torch import save_file

from dehazelib import networks, paths
from dehazelib.data.images import DataError
from dehazelib.deploy import inference
from dehazelib.deploy.inference import by_strips, load, run


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return networks.build("student").eval()


def test_loaded_weights_are_those_saved_in_evaluation_mode(tmp_path, student):
    save_file(student.state_dict(), tmp_path / "student.safetensors")
    loaded, image = load(tmp_path / "student.safetensors"), torch.rand(1, 3, 32, 40)
    assert not loaded.training and torch.equal(loaded(image), student(image))


def test_sets_of_weights_that_come_along_load_by_name(tmp_path, student, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    other = networks.build("student")
    for name, network in (("photo", student), ("other", other)):
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    for weights, network in ((None, student), ("photo", student), ("other", other)):
        assert torch.equal(load(weights).state_dict()["head.weight"], network.state_dict()["head.weight"])
    with pytest.raises(FileNotFoundError, match="another: no such weights.* come along: other, photo"):
        load("another")


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(tmp_path, student, value):
    state = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    state["tail.1.bias"][2] = value
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="w.safetensors: tail.1.bias holds values that are not finite"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("gpu", [True, False])
def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert inference.chosen_device() == ("cuda" if gpu else "cpu") and inference.chosen_device("cpu") == "cpu"
    if gpu:
        assert inference.chosen_device("cuda") == "cuda"
    else:
        with pytest.raises(ValueError, match="There is no CUDA GPU here"):
            inference.chosen_device("cuda")


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


@pytest.mark.parametrize("kind, levels", [(torch.uint8, 255), (torch.uint16, 65535)])
def test_strips_of_whole_numbers_give_the_rounded_result(student, kind, levels):
    image = (hazy(1, 30, 41) * levels).round().to(kind)
    expected = (whole(student, image.float() / levels) * levels).round()
    for result in (by_strips(student, image, 7), run(student, image)):
        assert result.dtype == kind and (result.float() - expected).abs().max() <= max(1, levels / 20_000)
        assert ((result.float() - expected).abs() > levels / 50_000).float().mean() < 0.001


@pytest.mark.parametrize("float32_pixels, kept", [(4000, torch.float32), (3999, torch.float16)])
def test_very_large_images_run_in_half_precision(student, monkeypatch, float32_pixels, kept):
    calls = []
    monkeypatch.setattr(inference, "FLOAT32_PIXELS", float32_pixels)
    monkeypatch.setattr(inference, "STRIP_ROWS", 4)
    monkeypatch.setitem(inference.STRIP_PIXELS, "cpu", 500)
    monkeypatch.setattr(inference, "by_strips", lambda *given: calls.append(given[2:4]) or by_strips(*given))
    image = hazy(1, 50, 80)
    assert gap(run(student, image), whole(student, image)) < 0.2
    assert calls == [(6, kept)]


@pytest.mark.parametrize("kind, tolerance", [(torch.float64, 0.01), (torch.float16, 4), (torch.bfloat16, 30)])
def test_a_network_computes_in_its_own_precision_at_any_size(student, kind, tolerance):
    image, network = hazy(1, 50, 80), networks.build("student").eval()
    network.load_state_dict(student.state_dict())
    result = run(network.to(kind), image)
    assert result.dtype == torch.float32 and gap(result, whole(student, image)) < tolerance


def test_weights_load_and_run_whatever_the_default_precision(tmp_path, student):
    save_file(student.state_dict(), tmp_path / "w.safetensors")
    image = hazy(1, 40, 30)
    torch.set_default_dtype(torch.float64)
    try:
        result = by_strips(load(tmp_path / "w.safetensors"), image, 16)
    finally:
        torch.set_default_dtype(torch.float32)
    assert gap(result, whole(student, image)) < 0.01


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_strength_blends_the_result_with_the_image(student, kind):
    image, unit = hazy(1, 50, 80), 1
    if kind == torch.uint8:
        image, unit = (255 * image).byte(), 255
    none, some, all_of_it = (run(student, image, strength).float() for strength in (0, 0.3, 1))
    assert torch.equal(none, image.float()) and torch.equal(all_of_it, run(student, image).float())
    assert (some - (0.7 * none + 0.3 * all_of_it)).abs().max() <= 0.8 / (255 / unit)


def test_strips_are_counted(student):
    calls = []
    by_strips(student, hazy(1, 50, 20), 16, tick=lambda *given: calls.append(given))
    assert calls == [(i + 1, 20 * 4) for i in range(20 * 4)]  # 20 sweeps, 4 strips


def test_features_beyond_half_precision_are_an_error_not_a_black_photo(student):
    image, strong = hazy(1, 40, 30), networks.build("student").eval()
    strong.load_state_dict(student.state_dict())
    with torch.no_grad():
        strong.head.weight *= 1e6
    assert by_strips(strong, image, 16).isfinite().all()
    with pytest.raises(FloatingPointError, match="features are not finite in torch.float16: check its weights"):
        by_strips(strong, image, 16, torch.float16)


@pytest.mark.parametrize("name", ["head.bias", "groups.0.body.0.pixel_attention.mlp.2.bias",
                                  "groups.2.body.5.pixel_attention.mlp.2.bias", "pixel_attention.mlp.2.bias",
                                  "tail.1.bias"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_what_is_not_finite_is_an_error_at_any_size(name, kind):
    broken = networks.build("student").eval()
    dict(broken.named_parameters())[name].data[0] = float("nan")
    with pytest.raises(FloatingPointError, match="not finite.*: check its weights"):
        run(broken, (255 * hazy(1, 40, 24)).to(kind) if kind == torch.uint8 else hazy(1, 40, 24))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("of_image, of_network", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_image_and_network_may_be_on_different_devices(student, of_image, of_network):
    image = hazy(1, 50, 80)
    network = networks.build("student").eval()
    network.load_state_dict(student.state_dict())
    result = run(network.to(of_network), image.to(of_image))
    assert result.device.type == of_image and gap(result.cpu(), whole(student, image)) < 3
    assert next(network.parameters()).device.type == of_network
