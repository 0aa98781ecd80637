"""The full framework (section 3.3, Figs 1 and 4): a frozen super-resolution teacher guides the student's training."""

import torch
from torch import Tensor, nn

from dehazelib.distillation.affinity import affinity_loss, grid_size
from dehazelib.distillation.objectives import LOSSES, Objective
from dehazelib.profiling import processes
from dehazelib.resampling import reduced

POOL = 0.25  # of the input image's resolution
MEASURE_EVERY = 20  # steps between measurements of the two gradients


class Framework(Objective):
    """Equation (15): reconstruction loss + w_FA x affinity loss between the student and a frozen teacher.

    network: the student. teacher: maps the clear image to a super-resolved one, averaged over cells (the option
      `cell` of an FSRCNN and of its substitutes), and is never trained.
    features: "outputs" compares the two final 3-channel images (as released; works with any network);
      "intermediate" compares three depths, the teacher's first, expanded and output features with the student's groups
      1, 2 and 3, and takes the mean (as described).
    distance, fused: see affinity.affinity_distance. weight: w_FA. share: above 0, w_FA adapts so that the affinity term
      holds this share, ||w g_FA|| / (||g|| + ||w g_FA||), of the gradient norms (exponential mean over measurements).
    teacher_input: "native" feeds the clear image itself (HR teacher), "half" the image at half its size (LR teacher).
    Both gradient norms are measured every MEASURE_EVERY steps, over all of the student's parameters. Where several
    processes share out each batch, loss and norms are those of the whole batch.
    """

    def __init__(self, network: nn.Module, teacher: nn.Module, *, loss: str = "mse", features: str = "outputs",
                 distance: str = "l2_norm", weight: float = 0.25, share: float = 0.0, teacher_input: str = "native",
                 fused: bool = False):
        super().__init__(network)
        if not 0 <= share < 1:
            raise ValueError(f"The affinity term's share of the gradient must lie in [0, 1), not {share}.")
        if loss not in LOSSES:
            raise ValueError(f"No loss {loss!r} for the framework: use one of {', '.join(LOSSES)}.")
        self.teacher = teacher.requires_grad_(False).eval()
        self.loss, self.features, self.distance = LOSSES[loss], features, distance
        self.share, self.teacher_input, self.fused = share, teacher_input, fused
        self.register_buffer("weight", torch.tensor(weight))
        self.steps = 0  # counted here, not in the buffer: a GPU would have to be waited for
        self.register_buffer("calls", torch.tensor(0))  # the same, as a checkpoint keeps it
        self.register_buffer("norms", torch.zeros(2))  # ||g reconstruction||, ||g affinity|| without its weight

    def train(self, mode: bool = True) -> "Framework":
        super().train(mode)
        self.teacher.eval()  # frozen: batch norm too
        return self

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        reconstruction, affinity = self.terms(inputs, target)
        if self.steps % MEASURE_EVERY == 0:
            self._measure(reconstruction, affinity)
        self.steps += 1
        return reconstruction + self.weight * affinity

    def state_dict(self, *args, **options) -> dict:
        self.calls.fill_(self.steps)
        return super().state_dict(*args, **options)

    def load_state_dict(self, *args, **options):
        result = super().load_state_dict(*args, **options)
        self.steps = int(self.calls)
        return result

    def terms(self, hazy: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the reconstruction loss and the affinity loss L_FA, both scalars, for (B, 3, H, W) images."""
        size = hazy.shape[-2:]
        with torch.no_grad():
            low = clear if self.teacher_input == "native" else reduced(clear)
            cell = low.shape[-2] // grid_size(size, POOL)[0]  # pixels of low, each way
            guide, guide_features = self.teacher(low, return_features=True, cell=cell)
        if self.features == "outputs":
            dehazed = self.network(hazy)
            matched = [(dehazed, guide)]
        else:
            dehazed, groups = self.network(hazy, return_features=True)
            if len(groups) != len(guide_features) + 1:
                raise ValueError("features=intermediate needs a teacher with first and expanded features: an FSRCNN, "
                                 "not an interpolation; use features=outputs.")
            matched = list(zip(groups, [*guide_features, guide]))
        distances = torch.stack([
            affinity_loss(s, t, distance=self.distance, pool=POOL, input_size=size, fused=self.fused)
            for s, t in matched])
        if self.distance == "l2_norm":
            distances = of_all_processes(distances)
        return self.loss(dehazed, clear), distances.mean()

    def _measure(self, reconstruction: Tensor, affinity: Tensor) -> None:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        norms = []
        for term in (reconstruction, affinity):
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            gradients = [processes.mean(g) for g in gradients if g is not None]
            norms.append(torch.stack([g.float().square().sum() for g in gradients]).sum().sqrt())
        self.norms.copy_(torch.stack(norms).detach())
        if self.share > 0 and self.norms[1] > 0:
            wanted = self.share / (1 - self.share) * self.norms[0] / self.norms[1]
            self.weight.copy_(wanted if self.steps == 0 else 0.9 * self.weight + 0.1 * wanted)

    def measurements(self) -> dict[str, float]:
        """Returns w_FA, both gradient norms (the affinity one weighted) and the affinity term's share of them."""
        weight, (reconstruction, affinity) = self.weight.item(), self.norms.tolist()
        total = reconstruction + weight * affinity
        return {
            "affinity_weight": weight,
            "gradient_norm_reconstruction": reconstruction,
            "gradient_norm_affinity": weight * affinity,
            "affinity_share": weight * affinity / total if total else 0.0,
        }


def of_all_processes(norms: Tensor) -> Tensor:
    """Returns terms whose mean over the processes is, in value and gradient, the norm over all processes' images.

    norms: over this process's own images; alone, it is returned as is. A mean over equal parts of a batch is the mean
    over the batch, and needs none of this; but the square root of a sum over P parts, s = sqrt(n_1^2 + ... + n_P^2), is
    about sqrt(P) times the mean of the n_p: so n_p is multiplied by the constant P n_p / s.
    """
    count = processes.processes()
    if count == 1:
        return norms
    own = norms.detach()
    whole = (count * processes.mean(own.square())).sqrt().clamp_min(torch.finfo(own.dtype).tiny)
    return norms * (count * own / whole)
