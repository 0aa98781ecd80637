"""What one training step minimises: plain reconstruction here, the affinity framework in `framework.py`."""

from torch import Tensor, nn
from torch.nn import functional as F


def channel_mse(output: Tensor, target: Tensor) -> Tensor:
    """Returns the sum over colours of each colour's mean squared error: equation (13) "at the channel level"."""
    return (output - target).square().mean((0, 2, 3)).sum()


LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss, "channel_mse": channel_mse}


class Objective(nn.Module):
    """What one training step minimises. There is one optimiser per group, stepped in order.

    network: the network being trained. Subclasses keep whatever else training needs (a frozen teacher, discriminators)
    as submodules, so that a checkpoint of the objective is complete.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def groups(self) -> list[list[nn.Parameter]]:
        """Returns the parameters of each optimiser; by default one group, all of the network's."""
        return [[p for p in self.network.parameters() if p.requires_grad]]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        """Returns the scalar loss of one group. inputs: hazy or low-resolution images; both (B, 3, H, W) in [0, 1]."""
        raise TypeError(f"{type(self).__name__} must define forward(group, inputs, target).")

    def measurements(self) -> dict[str, float]:
        """Returns what should stand in the training log beside the loss, by column name; by default nothing."""
        return {}


class Reconstruction(Objective):
    """Mean error between the network's output and the target. Equations (13) and (14) with loss="mse"."""

    def __init__(self, network: nn.Module, loss: str = "mse"):
        super().__init__(network)
        if loss not in LOSSES:
            raise ValueError(f"No loss {loss!r}: use one of {', '.join(LOSSES)}.")
        self.loss = LOSSES[loss]

    def forward(self, group: int, inputs: Tensor, target: Tensor) -> Tensor:
        return self.loss(self.network(inputs), target)
