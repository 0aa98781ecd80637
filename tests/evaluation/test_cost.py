"""What a network costs on any machine: both conventions of FLOPs by hand, and file size."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dehazelib import networks
from dehazelib.evaluation import cost as compute

HEIGHT, WIDTH = 10, 12
PIXELS = HEIGHT * WIDTH


def image(device="meta"):
    return torch.rand(1, 3, HEIGHT, WIDTH, device=device)


def operations(run, device="meta"):
    """Returns both counts as whole operations."""
    given = image(device)
    return tuple(round(count(run, given) * 1e9) for count in (compute.profiler_gflops, compute.true_gflops))


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("options, multiply_adds", [
    ({"out_channels": 8, "kernel_size": 3, "padding": 1}, PIXELS * 8 * 3 * 9),
    ({"out_channels": 8, "kernel_size": 1, "bias": False}, PIXELS * 8 * 3),
    ({"out_channels": 6, "kernel_size": 5, "padding": 2, "groups": 3}, PIXELS * 6 * 25),
    ({"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}, PIXELS // 4 * 4 * 3 * 9),
])
def test_a_convolution_counts_two_per_multiply_add_in_both_conventions(device, options, multiply_adds):
    layer = nn.Conv2d(3, **options, device=device)
    assert operations(layer, device) == (2 * multiply_adds, 2 * multiply_adds)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_transposed_convolution_is_free_to_the_profiler_only(device):
    layer = nn.ConvTranspose2d(3, 5, 9, stride=2, padding=4, output_padding=1, device=device)
    assert operations(layer, device) == (0, 2 * PIXELS * 3 * 5 * 81)


@pytest.mark.parametrize("run, profiled", [
    (lambda x: x + x, 3 * PIXELS),
    (lambda x: x * 2, 3 * PIXELS),
    (lambda x: x - x, 0),
    (lambda x: torch.relu(x).sigmoid() / 2, 0),
    (lambda x: nn.functional.avg_pool2d(x, 2), 0),
])
def test_the_profiler_counts_additions_and_multiplications_of_elements(run, profiled):
    assert operations(run) == (profiled, 0)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("layer", [
    nn.BatchNorm2d(3).eval(), nn.LeakyReLU(), nn.PReLU(), nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.Upsample(scale_factor=2, mode="bicubic")])
def test_what_a_kernel_is_made_of_does_not_count_on_any_device(device, layer):
    assert operations(layer.to_empty(device=device), device) == (0, 0)


def test_a_matrix_product_counts_two_per_multiply_add():
    expected = 2 * PIXELS**2 * 3
    assert operations(lambda x: x.flatten(2).mT @ x.flatten(2)) == (expected, expected)


def test_the_size_is_that_of_the_weight_file_in_mebibytes(tmp_path):
    student = networks.build("student")
    save_file(student.state_dict(), tmp_path / "weights.safetensors")
    assert compute.size_mb(student) == (tmp_path / "weights.safetensors").stat().st_size / 2**20
    assert 96_007 * 4 / 2**20 < compute.size_mb(student) < 1.1 * 96_007 * 4 / 2**20  # the rest are names
    torch.save(student.state_dict(), tmp_path / "weights.pt")
    assert compute.size_torch_mb(student) == pytest.approx((tmp_path / "weights.pt").stat().st_size / 2**20, rel=0.01)
