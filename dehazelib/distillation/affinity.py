"""The feature affinity loss: how differently two feature maps relate their pixels to each other.

A feature map of N pixels, flattened to X (channels x N), has the affinity matrix X^T X (N x N): the inner
product of every pixel with every other. The loss compares the student's affinities H with the teacher's, C.
At 460x620 pixels pooled by 4, N = 17,825 and one such matrix fills 1.27 GB, so none is ever formed:

    X, Y   student and teacher features (both channels x N),  S = X + Y,  D = X - Y
    H - C  = X^T X - Y^T Y = (S^T D + D^T S) / 2,  small where D is, not by cancellation

The squared differences then add up from products of channels alone. The absolute differences and the
Kullback-Leibler divergence need every entry: one pass over tiles of rows yields the loss and its gradient,
in memory linear in N. On CUDA the kernels of kernels.py can take the place of the tiles.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

DISTANCES = ("l2_norm", "l2", "l1", "kl")
ENTRYWISE = ("l1", "kl")  # those that need every entry of H and C


def affinity_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    distance: str = "l2_norm",
    pool: float = 0.25,
    input_size: tuple[int, int] | None = None,
    fused: bool = False,
) -> Tensor:
    """Scalar loss between the affinities of two feature maps, both pooled to the same grid.

    student: (B, C, H, W), features of the hazy image; receives the gradient.
    teacher: (B, D, H2, W2), features of the clear image, detached; its size may be any multiple of the grid.
    distance, fused: see `affinity_distance`.
    pool: grid size relative to the input image, in (0, 1].
    input_size: (height, width) of the input image in pixels; default: the student map's size.
    Raises ValueError when a map cannot be pooled to the grid or the batches differ.
    Source: equations (7)-(12), "pooled by 0.25 against the input map resolution"; the authors' code compares
    the networks' outputs, pooling the student's by 4 and the twice as large teacher's by 8.
    """
    if not 0 < pool <= 1:
        raise ValueError(f"pool must lie in (0, 1], got {pool}")
    grid = grid_size(input_size or student.shape[-2:], pool)
    dtype = _working_dtype(student, teacher)
    student, teacher = (pooled(features.to(dtype), grid) for features in (student, teacher))
    return affinity_distance(student, teacher, distance, fused=fused)


def grid_size(size: tuple[int, int], pool: float) -> tuple[int, int]:
    """Returns (height, width) of the grid to which the maps of an image of this (height, width) are pooled.

    Raises ValueError if it is empty.
    """
    rows, columns = (math.floor(side * pool + 1e-9) for side in size)  # 0.29 * 100 is 28.999...
    _check_grid(rows, columns)
    return rows, columns


def pooled(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, C, N) features averaged over k x k pixels and flattened, N = grid height x grid width.

    features: (B, C, H, W).
    grid: (height, width); k = H // height = W // width. Pixels beyond the last full cell are left out.
    Raises ValueError when no such k exists.
    Source: equations (7) and (8).
    """
    if features.dim() != 4:
        raise ValueError(f"features must be (batch, channels, height, width), got {tuple(features.shape)}")
    (height, width), (rows, columns) = features.shape[-2:], grid
    _check_grid(rows, columns)
    factor = height // rows
    if factor < 1 or factor != width // columns:
        raise ValueError(
            f"a {height}x{width} feature map cannot be averaged to the grid {rows}x{columns} by one integer "
            f"factor (rows give {height // rows}, columns {width // columns}): check input_size and pool"
        )
    cells = F.avg_pool2d(features, factor)  # (B, C, >= rows, >= columns)
    return cells[..., :rows, :columns].flatten(2)  # (B, C, N)


def affinity_distance(
    student: Tensor, teacher: Tensor, distance: str, *, tile_elements: int = 2**21, fused: bool = False
) -> Tensor:
    """Scalar distance between H = student^T student and C = teacher^T teacher, without forming either.

    The result has the inputs' precision (float32 for half precision). The teacher is a constant and gets no
    gradient.

    student: (B, C, N). teacher: (B, D, N); the channel counts may differ.
    distance: "l2_norm"  Frobenius norm of H - C over the whole batch, divided by N^2 (as released);
              "l2"       mean of (H - C)^2 over batch and entries, equation (12);
              "l1"       mean of |H - C| over batch and entries;
              "kl"       equation (11), KL(H || C), mean over batch and rows. The paper leaves open how
                         affinities become distributions; here each row passes through a softmax over
                         its N entries.
                         For features of order 1 a float32 value is good to about 1e-7 absolute, its
                         gradient to 1e-6 relative.
    tile_elements: entries in each of the tiles "l1" and "kl" work in; changes speed and memory only.
    fused: compute "l1" and "kl" by the Triton kernels of kernels.py instead of tiles.
    Raises ValueError for an unknown distance, shapes that do not match, a teacher that requires a gradient, or
    features that the fused kernels do not take; ImportError without Triton, RuntimeError where they do not run.
    Source: equations (9)-(12); "l2_norm": the authors' released feature affinity module.
    """
    _check(student, teacher, distance, tile_elements)
    dtype = _working_dtype(student, teacher)
    student, teacher = student.to(dtype), teacher.detach().to(dtype)
    with torch.autocast(student.device.type, enabled=False):
        if distance not in ENTRYWISE:
            return _squared(student, teacher, distance).to(dtype)
        one_pass = _one_pass(distance, student, teacher, tile_elements, fused)
        if torch.is_grad_enabled() and student.requires_grad:
            return _OnePass.apply(student, teacher, one_pass)
        return _over_images(student, teacher, one_pass, with_gradient=False)[0]


def affinity_distance_reference(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """The same scalar as `affinity_distance`, written literally with N x N matrices in the inputs' precision.

    For tests and benchmarks: memory grows with N^2, and float32 sums over many entries are inaccurate.
    Source: equations (9)-(12).
    """
    _check(student, teacher, distance)
    hazy = student.mT @ student  # (B, N, N)
    clear = teacher.mT @ teacher  # (B, N, N)
    if distance == "l2_norm":
        return torch.linalg.vector_norm(hazy - clear) / hazy.shape[-1] ** 2
    if distance == "l2":
        return (hazy - clear).square().mean()
    if distance == "l1":
        return (hazy - clear).abs().mean()
    log_hazy, log_clear = hazy.log_softmax(-1), clear.log_softmax(-1)
    return (log_hazy.exp() * (log_hazy - log_clear)).sum(-1).mean()


def _check_grid(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise ValueError(f"the grid {rows}x{columns} is empty: use larger images or a larger pool")


def _check(student: Tensor, teacher: Tensor, distance: str, tile_elements: int = 1) -> None:
    if distance not in DISTANCES:
        raise ValueError(f"unknown distance {distance!r}: choose one of {', '.join(DISTANCES)}")
    shapes = f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
    if student.dim() != 3 or teacher.dim() != 3:
        raise ValueError(f"features must have shape (batch, channels, pixels): {shapes}")
    if student.shape[0] != teacher.shape[0] or student.shape[2] != teacher.shape[2]:
        raise ValueError(f"student and teacher must agree in batch and pixels: {shapes}")
    if 0 in student.shape or 0 in teacher.shape:
        raise ValueError(f"features must not be empty: {shapes}")
    if teacher.requires_grad and torch.is_grad_enabled():
        raise ValueError("the teacher is frozen and gets no gradient: pass teacher.detach()")
    if tile_elements < 1:
        raise ValueError(f"tile_elements must be positive, got {tile_elements}")


def _working_dtype(student: Tensor, teacher: Tensor) -> torch.dtype:
    """float32 for float32 and half precision, float64 when either input is."""
    if not (student.is_floating_point() and teacher.is_floating_point()):
        raise ValueError(f"features must be floating point, got {student.dtype} and {teacher.dtype}")
    return torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)


def _accumulator(features: Tensor) -> torch.dtype:
    """float64, or float32 on the one device type that lacks it."""
    return torch.float32 if features.device.type == "mps" else torch.float64


def _sum_and_difference(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """S and D, (B, channels, N); channels of zeros, which no affinity sees, fill up the map that has fewer."""
    missing = teacher.shape[1] - student.shape[1]
    student, teacher = (F.pad(x, (0, 0, 0, max(0, n))) for x, n in ((student, missing), (teacher, -missing)))
    return student + teacher, student - teacher


def _squared(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """The distances "l2_norm" and "l2": ||H - C||^2 = (<S S^T, D D^T> + <S D^T, (S D^T)^T>) / 2 for each image."""
    batch, _, pixels = student.shape
    s, d = _sum_and_difference(*(x.to(_accumulator(x)) for x in (student, teacher)))
    mixed = s @ d.mT  # (B, channels, channels)
    squares = ((s @ s.mT) * (d @ d.mT) + mixed * mixed.mT).sum() / 2
    if distance == "l2":
        return squares / (batch * pixels**2)
    return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt() / pixels**2  # at 0 a root has no gradient


def _one_pass(distance: str, student: Tensor, teacher: Tensor, tile_elements: int, fused: bool):
    """A function of one image's student features, left and right (see `_over_images`) and of whether its gradient is
    wanted, that returns its distance and the gradient (C, N)."""
    if fused:
        from dehazelib.distillation import kernels  # here: Triton is for Linux only

        kernels.check(student, teacher)
        return {"l1": kernels.l1_pass, "kl": kernels.kl_pass}[distance]
    rows = max(1, min(tile_elements // student.shape[2], student.shape[2]))
    return functools.partial({"l1": _l1_pass, "kl": _kl_pass}[distance], rows=rows)


class _OnePass(torch.autograd.Function):
    """The distance of a pass that has computed the gradient as well (no second derivative)."""

    @staticmethod
    def forward(ctx, student, teacher, one_pass):
        loss, gradient = _over_images(student, teacher, one_pass, with_gradient=True)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _over_images(student: Tensor, teacher: Tensor, one_pass, *, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Mean of the images' distances, and its gradient with respect to the student (B, C, N)."""
    s, d = _sum_and_difference(student.detach(), teacher)
    left, right = torch.cat([s, d], 1).mT / 2, torch.cat([d, s], 1)  # (B, N, K), (B, K, N): left @ right = H - C
    images = [one_pass(*image, with_gradient=with_gradient) for image in zip(student.detach(), left, right)]
    losses, gradients = zip(*images)
    return torch.stack(losses).mean().to(student.dtype), torch.stack(gradients) / len(images)


def _l1_pass(student: Tensor, left: Tensor, right: Tensor, *, rows: int, with_gradient: bool):
    """Mean |H - C| of one image and its gradient (C, N). left @ right = H - C; by symmetry half is enough."""
    pixels = student.shape[1]
    difference_buffer, magnitude_buffer = student.new_empty(2, rows * pixels)
    loss = student.new_zeros((), dtype=_accumulator(student))
    gradient = torch.zeros_like(student)
    for start in range(0, pixels, rows):
        stop = min(start + rows, pixels)
        height, shape = stop - start, (stop - start, pixels - start)
        difference = difference_buffer[: math.prod(shape)].view(shape)
        magnitude = magnitude_buffer[: math.prod(shape)].view(shape)
        torch.mm(left[start:stop], right[:, start:], out=difference)  # rows start..stop, columns start..N
        torch.abs(difference, out=magnitude)
        loss += magnitude[:, :height].sum(1).sum(dtype=loss.dtype)  # the block on the diagonal
        loss += magnitude[:, height:].sum(1).sum(dtype=loss.dtype) * 2  # the rest and its mirror image
        if with_gradient:
            signs = difference.sign_()
            gradient[:, start:] += student[:, start:stop] @ signs
            gradient[:, start:stop] += student[:, stop:] @ signs[:, height:].mT
    return loss / pixels**2, gradient * (2 / pixels**2)


def _kl_pass(student: Tensor, left: Tensor, right: Tensor, *, rows: int, with_gradient: bool):
    """Mean row-wise KL(softmax H || softmax C) of one image and its gradient (C, N). left @ right = H - C.

    With P the softmax of a row of H and m = sum P (H - C):  KL = m + logsumexp C - logsumexp H,
    dKL/dH = P (H - C - m) =: G, and dKL/dX = X (G + G^T), because X enters H twice.
    """
    pixels = student.shape[1]
    buffers = student.new_empty(3, rows, pixels)
    loss = student.new_zeros((), dtype=_accumulator(student))
    gradient = torch.zeros_like(student)
    for start in range(0, pixels, rows):
        stop = min(start + rows, pixels)
        hazy, difference, product = buffers[:, : stop - start]  # (rows, N) each
        some = student[:, start:stop]  # (C, rows)
        torch.mm(some.mT, student, out=hazy)
        torch.mm(left[start:stop], right, out=difference)
        clear = torch.sub(hazy, difference, out=product)
        _, log_clear = _exponentiate_(clear)
        mass, log_hazy = _exponentiate_(hazy)  # P = hazy / mass
        torch.mul(hazy, difference, out=product)
        mean = product.sum(1).to(loss.dtype) / mass  # (rows,)
        loss += (mean + log_clear - log_hazy).sum()
        if with_gradient:
            product.addcmul_(hazy, mean.to(hazy.dtype)[:, None], value=-1)  # G = product / mass
            gradient += (some / mass.to(some.dtype)) @ product
            gradient[:, start:stop] += (student @ product.mT) / mass.to(some.dtype)
    return (loss / pixels).clamp_min(0), gradient / pixels


def _exponentiate_(tile: Tensor) -> tuple[Tensor, Tensor]:
    """Row sums of exp(tile - row maximum), which replaces the tile, and the rows' logsumexp; both (rows,)."""
    peak = tile.amax(1, keepdim=True)
    mass = tile.sub_(peak).exp_().sum(1).to(_accumulator(tile))
    return mass, mass.log() + peak[:, 0]
