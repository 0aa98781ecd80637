"""LSID-FCNN: a reconstruction sized from the table, not from a source (Table 5, 0.00429 M parameters)."""

import torch
from torch import Tensor, nn

from dehazelib.networks.aod_net import KNetwork, conv

KERNELS = (3, 5, 7, 7, 7)


class LSIDFCNN(KNetwork):
    """Returns the dehazed image, (B, 3, H, W), at least 0 (final ReLU). This is a `reconstruction`.

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. initialisation: see KNetwork.
    No code and no layer list of LSID-FCNN was found. Its abstract promises a lightweight end-to-end network
    without pooling and without fully connected layers, and Table 5 prints 0.00429 M parameters. This
    regressor of AOD-Net's K keeps to both: five convolutions of three maps each, every one reading all maps
    before it, exactly 4,290 parameters. What it scores says what such a size can do; it does not test the
    published network.
    Source: Yang, Evans, "Improved single image dehazing methods for resource-constrained platforms", J.
    Real-Time Image Processing 2021 (abstract only); K from Li et al., ICCV 2017.
    """

    RECIPE = {"optimizer": None, "lr": None, "betas": None, "weight_decay": None, "batch": None, "crop": None,
              "loss": "mse", "source": "unknown; loss as for AOD-Net"}

    def __init__(self, initialisation: str = "identity"):
        super().__init__()
        self.layers = nn.ModuleList(conv(3 * max(1, i), 3, kernel) for i, kernel in enumerate(KERNELS))
        self.initialise(self.layers[-1], initialisation)

    def k(self, hazy: Tensor) -> Tensor:
        maps = []  # each (B, 3, H, W)
        for layer in self.layers:
            maps.append(torch.relu(layer(torch.cat(maps, 1) if maps else hazy)))
        return maps[-1]
