"""The affinity distances "l1" and "kl" as fused Triton kernels, for CUDA: no entry of an N x N matrix leaves the chip.

`affinity.py` defines the distances; its tiled passes are the reference that these kernels are tested against. They take
one image at a time:

    student  X (C, N),   left (N, K) and right (K, N) with  left right = H - C,   H = X^T X

One program owns BLOCK rows and walks over all columns, so every sum has one owner and a fixed order: results repeat
bit for bit. Products are summed in float32 (no TF32), row sums in float64.
"""

import contextlib
import subprocess

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor
from triton.errors import TritonError

BLOCK = 64  # rows of a program, and columns of a step
WARPS = 8  # of a program; with 4 the three kernels fill the registers of compute capability 9.0
LEAST = 16  # the shortest side that tl.dot takes
WIDEST = 128  # K with which a program fits the shared memory of an A100, 166,912 bytes: it takes up to 165,376
# What a kernel raises that cannot be compiled or launched: Triton's own; without Python's headers, C compiler or driver
FAILURES = (TritonError, subprocess.SubprocessError, OSError, ImportError, AssertionError)


def check(student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError if the kernels do not take these features, (B, C, N) and (B, D, N): they need float32 on a CUDA
    device, and few channels."""
    interpreted = not isinstance(_l1_kernel, triton.JITFunction)  # with TRITON_INTERPRET=1 they run on a CPU, for tests
    if student.dtype != torch.float32 or not (student.is_cuda or interpreted):
        raise ValueError(f"The fused affinity kernels take float32 on CUDA, not {student.dtype} on {student.device}: "
                         "leave out fused=True.")
    channels = max(student.shape[1], teacher.shape[1])
    if 2 * channels > WIDEST:
        raise ValueError(f"The fused affinity kernels take up to {WIDEST // 2} channels, not {channels}: "
                         "leave out fused=True.")


def l1_pass(student: Tensor, left: Tensor, right: Tensor, *, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Mean |H - C| of one image and its gradient (C, N), which is zero unless wanted.

    student: (C, N), left: (N, K), right: (K, N); float32, on one CUDA device.
    """
    channels, pixels = student.shape
    features, left, right = _laid_out(student.T), _laid_out(left), _laid_out(right.T)
    sums = features.new_zeros(len(features), dtype=torch.float64)
    gradient = torch.zeros_like(features)
    with _launching(features):
        _l1_kernel[(len(features) // BLOCK,)](
            features, left, right, sums, gradient, len(features),
            CHANNELS=features.shape[1], INNER=left.shape[1], GRADIENT=with_gradient, BLOCK=BLOCK, num_warps=WARPS,
        )
    return sums.sum() / pixels**2, gradient[:pixels, :channels].T * (2 / pixels**2)


def kl_pass(student: Tensor, left: Tensor, right: Tensor, *, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Mean row-wise KL(softmax H || softmax C) of one image and its gradient (C, N), which is zero unless wanted.

    student: (C, N), left: (N, K), right: (K, N); float32, on one CUDA device.
    """
    channels, pixels = student.shape
    features, left, right = _laid_out(student.T), _laid_out(left), _laid_out(right.T)
    rows = len(features)
    peaks = features.new_zeros(2, rows)  # of the rows of H and of C
    sums = features.new_zeros(3, rows, dtype=torch.float64)  # of exp(H - peak), exp(C - peak), exp(H - peak) (H - C)
    options = {"CHANNELS": features.shape[1], "INNER": left.shape[1], "BLOCK": BLOCK, "num_warps": WARPS}
    grid = (rows // BLOCK,)
    with _launching(features):
        _kl_rows_kernel[grid](features, left, right, peaks, sums, pixels, rows, **options)
    mass, clear_mass, product = sums
    mean = product / mass  # (rows,): of H - C under the softmax of H
    divergence = mean + clear_mass.log() + peaks[1] - mass.log() - peaks[0]
    gradient = torch.zeros_like(features)
    if with_gradient:
        inverse, mean = (1 / mass).float(), mean.float()
        with _launching(features):
            _kl_gradient_kernel[grid](features, left, right, peaks, inverse, mean, gradient, pixels, rows, **options)
    return (divergence[:pixels].sum() / pixels).clamp_min(0), gradient[:pixels, :channels].T / pixels


@contextlib.contextmanager
def _launching(features: Tensor):
    """Launches on the features' GPU, whichever is current; raises RuntimeError for a kernel that does not run here."""
    try:
        with torch.cuda.device_of(features):
            yield
    except FAILURES as error:
        raise RuntimeError(f"A fused affinity kernel does not run here: {error}") from error


def _laid_out(rows: Tensor) -> Tensor:
    """(N, K) with zeros added to whole blocks of rows and to a number of columns that tl.dot takes, contiguous."""
    pixels, width = rows.shape
    wide = max(LEAST, triton.next_power_of_2(width))
    return F.pad(rows, (0, wide - width, 0, -pixels % BLOCK)).contiguous()


@triton.jit
def _block(base, rows, WIDTH: tl.constexpr):
    """The rows `rows` of a contiguous (N, WIDTH) matrix."""
    return tl.load(base + rows[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :])


@triton.jit
def _product(a, b):
    """a b^T in float32."""
    return tl.dot(a, tl.trans(b), input_precision="ieee")


@triton.jit
def _l1_kernel(student, left, right, sums, gradient, rows, CHANNELS: tl.constexpr, INNER: tl.constexpr,
               GRADIENT: tl.constexpr, BLOCK: tl.constexpr):
    own = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    factor = _block(left, own, INNER)
    total = tl.zeros((BLOCK,), tl.float64)
    pull = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for start in range(0, rows, BLOCK):
        other = start + tl.arange(0, BLOCK)
        difference = _product(factor, _block(right, other, INNER))  # zero in the rows that only fill up
        total += tl.sum(tl.abs(difference), 1).to(tl.float64)
        if GRADIENT:
            signs = tl.where(difference > 0, 1.0, tl.where(difference < 0, -1.0, 0.0))
            pull += tl.dot(signs, _block(student, other, CHANNELS), input_precision="ieee")
    tl.store(sums + own, total)
    if GRADIENT:
        tl.store(gradient + own[:, None] * CHANNELS + tl.arange(0, CHANNELS)[None, :], pull)


@triton.jit
def _kl_rows_kernel(student, left, right, peaks, sums, pixels, rows, CHANNELS: tl.constexpr, INNER: tl.constexpr,
                    BLOCK: tl.constexpr):
    own = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    features, factor = _block(student, own, CHANNELS), _block(left, own, INNER)
    peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    clear_peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    mass = tl.zeros((BLOCK,), tl.float64)
    clear_mass = tl.zeros((BLOCK,), tl.float64)
    product = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, rows, BLOCK):
        other = start + tl.arange(0, BLOCK)
        real = (other < pixels)[None, :]
        hazy = _product(features, _block(student, other, CHANNELS))
        difference = _product(factor, _block(right, other, INNER))
        clear = tl.where(real, hazy - difference, float("-inf"))
        hazy = tl.where(real, hazy, float("-inf"))
        higher = tl.maximum(peak, tl.max(hazy, 1))
        weights = tl.exp(hazy - higher[:, None])
        shrink = tl.exp(peak - higher).to(tl.float64)
        mass = mass * shrink + tl.sum(weights, 1).to(tl.float64)
        product = product * shrink + tl.sum(weights * difference, 1).to(tl.float64)
        peak = higher
        higher = tl.maximum(clear_peak, tl.max(clear, 1))
        shrink = tl.exp(clear_peak - higher).to(tl.float64)
        clear_mass = clear_mass * shrink + tl.sum(tl.exp(clear - higher[:, None]), 1).to(tl.float64)
        clear_peak = higher
    tl.store(peaks + own, peak)
    tl.store(peaks + rows + own, clear_peak)
    tl.store(sums + own, mass)
    tl.store(sums + rows + own, clear_mass)
    tl.store(sums + 2 * rows + own, product)


@triton.jit
def _kl_gradient_kernel(student, left, right, peaks, inverse_mass, mean, gradient, pixels, rows,
                        CHANNELS: tl.constexpr, INNER: tl.constexpr, BLOCK: tl.constexpr):
    """dKL/dX = X (G + G^T) with G = P (H - C - mean): H and H - C are symmetric, so G^T needs only its rows' sums."""
    own = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    features, factor = _block(student, own, CHANNELS), _block(left, own, INNER)
    own_peak, own_inverse, own_mean = tl.load(peaks + own), tl.load(inverse_mass + own), tl.load(mean + own)
    pull = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for start in range(0, rows, BLOCK):
        other = start + tl.arange(0, BLOCK)
        columns = _block(student, other, CHANNELS)
        hazy = _product(features, columns)
        difference = _product(factor, _block(right, other, INNER))
        theirs = tl.exp(hazy - tl.load(peaks + other)[None, :]) * tl.load(inverse_mass + other)[None, :]
        theirs *= difference - tl.load(mean + other)[None, :]
        ours = tl.exp(hazy - own_peak[:, None]) * own_inverse[:, None] * (difference - own_mean[:, None])
        both = tl.where((other < pixels)[None, :], ours + theirs, 0.0)
        pull += tl.dot(both, columns, input_precision="ieee")
    tl.store(gradient + own[:, None] * CHANNELS + tl.arange(0, CHANNELS)[None, :], pull)
