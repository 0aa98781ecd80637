"""The fused kernels equal the tiled passes: on a GPU as compiled, elsewhere in Triton's interpreter; they compile."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

triton = pytest.importorskip("triton", reason="Triton is for Linux only")

from dehazelib.distillation import kernels as affinity_fused  # noqa: E402
from dehazelib.distillation.affinity import ENTRYWISE, affinity_distance, affinity_distance_reference  # noqa: E402
from dehazelib.experiments.spec import Spec  # noqa: E402
from dehazelib.training.autotune import Tuning, candidates  # noqa: E402
from dehazelib.training.state import objective  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # there in the interpreter: see conftest.py
CHANNELS = [(3, 3), (5, 7), (7, 5), (20, 20)]
BLOCK = affinity_fused.BLOCK


def pair(channels=(3, 3), pixels=150, batch=2, apart=0.1):
    generator = torch.Generator().manual_seed(0)
    both = torch.rand(batch, max(channels), pixels, generator=generator)
    student = both[:, : channels[0]] + apart * torch.randn(batch, channels[0], pixels, generator=generator)
    return student.to(DEVICE), both[:, : channels[1]].to(DEVICE)


def value_and_gradient(function, student, *args, **options):
    student = student.clone().requires_grad_()
    value = function(student, *args, **options)
    value.backward()
    return value.detach(), student.grad


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("pixels", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 22])
@pytest.mark.parametrize("distance", ENTRYWISE)
def test_value_and_gradient_equal_the_literal_form_in_float64(distance, pixels, channels):
    student, teacher = pair(channels, pixels)
    expected, slope = value_and_gradient(affinity_distance_reference, student.double(), teacher.double(), distance)
    value, gradient = value_and_gradient(affinity_distance, student, teacher, distance, fused=True)
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=5e-7)
    assert value.dtype == gradient.dtype == torch.float32 and gradient.shape == student.shape
    if slope.norm() > 0:  # a single pixel's softmax is 1 whatever its affinity
        assert relative(gradient.double(), slope) < 2e-6
    else:
        assert gradient.abs().max() < 1e-7


@pytest.mark.parametrize("distance", ENTRYWISE)
def test_they_stay_accurate_near_agreement_and_are_zero_in_it(distance):
    student, teacher = pair(apart=1e-5)
    expected = affinity_distance_reference(student.double(), teacher.double(), distance)
    torch.testing.assert_close(affinity_distance(student, teacher, distance, fused=True).double(), expected,
                               rtol=1e-5, atol=5e-7)
    value, gradient = value_and_gradient(affinity_distance, teacher, teacher.clone(), distance, fused=True)
    assert value.abs() < 1e-7 and gradient.abs().max() < 1e-9


def test_large_affinities_do_not_overflow():
    student, teacher = (30 * part for part in pair())
    expected = affinity_distance_reference(student.double(), teacher.double(), "kl")
    found = affinity_distance(student, teacher, "kl", fused=True)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # of the interpreter
@pytest.mark.parametrize("distance", ENTRYWISE)
def test_features_that_are_not_finite_give_a_loss_that_is_not(distance):
    student, teacher = pair()
    student[0, 0, 5] = float("nan")
    assert affinity_distance(student, teacher, distance, fused=True).isnan()


def test_other_precisions_are_refused_in_one_line():
    student, teacher = pair()
    with pytest.raises(ValueError, match="take float32 on CUDA, not torch.float64 on .*: leave out fused=True"):
        affinity_distance(student.double(), teacher.double(), "l1", fused=True)


def test_more_channels_than_shared_memory_holds_are_refused_in_one_line():
    affinity_distance(*pair((64, 64), pixels=5), "l1", fused=True)
    for channels in ((16, 168), (65, 3)):
        with pytest.raises(ValueError, match=f"take up to 64 channels, not {max(channels)}: leave out fused=True"):
            affinity_distance(*pair(channels), "l1", fused=True)


@pytest.mark.parametrize("error", [triton.errors.TritonError("out of registers"), AssertionError("libcuda.so"),
                                   subprocess.CalledProcessError(1, "gcc")])
def test_a_kernel_that_does_not_run_is_an_error_that_autotuning_passes_over(monkeypatch, error):
    class Broken:
        def __getitem__(self, grid):
            raise error

    monkeypatch.setattr(affinity_fused, "_l1_kernel", Broken())
    monkeypatch.setattr(affinity_fused, "check", lambda *features: None)
    with pytest.raises(RuntimeError, match="does not run here: .*(out of registers|libcuda|gcc)"):
        affinity_distance(*pair(), "l1", fused=True)


@pytest.mark.parametrize("features, distance, both", [
    ("outputs", "l1", True), ("outputs", "kl", True), ("outputs", "l2_norm", False), ("intermediate", "l1", False)])
def test_autotuning_tries_tiles_and_kernels_where_they_differ(features, distance, both):
    tunings = candidates(Spec(features=features, distance=distance, teacher="bilinear"))
    plain = [tuning for tuning in tunings.values() if not tuning.fused_affinity]
    fused = [tuning for tuning in tunings.values() if tuning.fused_affinity]
    assert fused == [replace(tuning, fused_affinity=True) for tuning in plain] * both and Tuning(True) in plain


def test_a_framework_tuned_so_computes_its_loss_by_the_kernels(monkeypatch):
    from dehazelib import networks

    calls = []
    kernels = affinity_fused.l1_pass
    monkeypatch.setattr(affinity_fused, "l1_pass",
                        lambda *args, **options: calls.append(1) or kernels(*args, **options))
    spec = Spec(features="outputs", distance="l1", teacher="bilinear")
    torch.manual_seed(0)
    batch = [images.to(DEVICE) for images in (torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24))]
    losses = []
    for fused in (False, True):
        torch.manual_seed(0)
        whole = objective(spec, networks.build("student"), networks.build("bilinear"), fused).to(DEVICE)
        losses.append(whole(0, *batch).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-6) and len(calls) == 2  # images, of the second framework


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dehazelib.distillation import kernels as fused

types = dict.fromkeys(("student", "left", "right", "gradient", "peaks", "inverse_mass", "mean"), "*fp32")
types |= {"sums": "*fp64", "rows": "i32", "pixels": "i32"}
capability, channels, inner = map(int, sys.argv[1:])
for kernel in (fused._l1_kernel, fused._kl_rows_kernel, fused._kl_gradient_kernel):
    constants = {"CHANNELS": channels, "INNER": inner, "BLOCK": fused.BLOCK, "GRADIENT": True}
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    source = ASTSource(kernel, {name: types.get(name, "constexpr") for name in kernel.arg_names}, constants)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": fused.WARPS})
    print(kernel.__name__, len(made.asm["cubin"]), "mma" in made.asm["ptx"], made.metadata.shared)
"""


@pytest.mark.slow
@pytest.mark.parametrize("capability, channels, inner", [
    (80, 16, 16), (90, 16, 16), (80, affinity_fused.WIDEST // 2, affinity_fused.WIDEST)])
def test_the_kernels_compile_for_a_gpu_without_reduced_precision(capability, channels, inner, tmp_path):
    """A100 and H100/H200; no GPU is needed to compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE, *map(str, (capability, channels, inner))], text=True,
                          capture_output=True, env=environment | {"TRITON_CACHE_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2000:]
    kernels = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in kernels] == ["_l1_kernel", "_kl_rows_kernel", "_kl_gradient_kernel"]
    # tensor cores round to TF32
    assert all(int(size) > 10_000 and tensor_cores == "False" for _, size, tensor_cores, _ in kernels)
    assert max(int(shared) for *_, shared in kernels) <= 166_912  # an A100's; an H100 has 232,448 bytes
