"""AOD-Net: transmission and airlight regressed as one map K (Table 5, 0.00176 M parameters)."""

import torch
from torch import Tensor, nn

from dehazelib.networks.physics import recover_from_k

INITIALISATIONS = ("identity", "released")


def conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class KNetwork(nn.Module):
    """Returns J = K I - K + 1 with K estimated by `k(hazy)`. Subclasses call `initialise` last."""

    def initialise(self, last: nn.Conv2d, initialisation: str) -> None:
        """Draws all convolution weights from N(0, 0.02). `last` is the layer that gives K.

        "released" leaves the biases at PyTorch's uniform draw. A ReLU follows K, so a colour whose last bias
        is drawn negative starts at K = 0 everywhere, gets no gradient and stays white for good. "identity"
        sets the last bias to 1: K starts near 1, and the network at J = I. Raises ValueError for any other
        name.
        """
        if initialisation not in INITIALISATIONS:
            raise ValueError(f"No initialisation {initialisation!r}: use {' or '.join(INITIALISATIONS)}.")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
        if initialisation == "identity":
            nn.init.ones_(last.bias)

    def k(self, hazy: Tensor) -> Tensor:
        """Returns K, (B, 3, H, W), at least 0."""
        raise TypeError(f"{type(self).__name__} must define k(hazy).")

    def forward(self, hazy: Tensor) -> Tensor:
        return recover_from_k(hazy, self.k(hazy))


class AODNet(KNetwork):
    """Returns the dehazed image, (B, 3, H, W), at least 0 (final ReLU).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. 1,761 parameters. initialisation: see KNetwork.
    Source: Li et al., "AOD-Net: All-in-One Dehazing Network", ICCV 2017; initialisation and training of the
    PyTorch port github.com/MayankSingal/PyTorch-Image-Dehazing (which also clips the gradient norm at 0.1).
    """

    RECIPE = {"optimizer": "adam", "lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 1e-4, "batch": 8,
              "crop": None, "loss": "mse", "source": "PyTorch port (whole images resized to 480x640)"}

    def __init__(self, initialisation: str = "identity"):
        super().__init__()
        self.conv1 = conv(3, 3, 1)
        self.conv2 = conv(3, 3, 3)
        self.conv3 = conv(6, 3, 5)
        self.conv4 = conv(6, 3, 7)
        self.conv5 = conv(12, 3, 3)
        self.initialise(self.conv5, initialisation)

    def k(self, hazy: Tensor) -> Tensor:
        x1 = torch.relu(self.conv1(hazy))  # (B, 3, H, W), as all the others
        x2 = torch.relu(self.conv2(x1))
        x3 = torch.relu(self.conv3(torch.cat([x1, x2], 1)))
        x4 = torch.relu(self.conv4(torch.cat([x2, x3], 1)))
        return torch.relu(self.conv5(torch.cat([x1, x2, x3, x4], 1)))
