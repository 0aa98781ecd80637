"""LD-Net (Light-DehazeNet): AOD-Net's idea with wider layers, 30,187 parameters; not in the tables."""

import torch
from torch import Tensor

from dehazelib.networks.aod_net import KNetwork, conv


class LDNet(KNetwork):
    """Returns the dehazed image, (B, 3, H, W), at least 0 (final ReLU).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W. initialisation: see KNetwork.
    The publication's colour step after the network (CLAHE on the lightness) is left out, as it moves the
    image away from its ground truth. Source: Ullah et al., "Light-DehazeNet: A Novel Lightweight CNN
    Architecture for Single Image Dehazing", TIP 2021; layers and training of
    github.com/hayatkhan8660-maker/Light-DehazeNet (gradient norm clipped at 0.1; the learning rate is an
    argument there, 1e-4 is AOD-Net's).
    """

    RECIPE = {"optimizer": "adam", "lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 1e-4, "batch": 8,
              "crop": None, "loss": "mse", "source": "official repository, run_experiment.py"}

    def __init__(self, initialisation: str = "identity"):
        super().__init__()
        self.conv1 = conv(3, 8, 1)
        self.conv2 = conv(8, 8, 3)
        self.conv3 = conv(8, 8, 5)
        self.conv4 = conv(16, 16, 7)
        self.conv5 = conv(16, 16, 3)
        self.conv6 = conv(16, 16, 3)
        self.conv7 = conv(32, 32, 3)
        self.conv8 = conv(56, 3, 3)
        self.initialise(self.conv8, initialisation)

    def k(self, hazy: Tensor) -> Tensor:
        x1 = torch.relu(self.conv1(hazy))  # (B, 8, H, W)
        x2 = torch.relu(self.conv2(x1))
        x3 = torch.relu(self.conv3(x2))
        x4 = torch.relu(self.conv4(torch.cat([x1, x3], 1)))  # (B, 16, H, W)
        x5 = torch.relu(self.conv5(x4))
        x6 = torch.relu(self.conv6(x5))
        x7 = torch.relu(self.conv7(torch.cat([x4, x6], 1)))  # (B, 32, H, W)
        return torch.relu(self.conv8(torch.cat([x2, x5, x7], 1)))  # (B, 3, H, W)
