"""AOD-Net, LD-Net and LSID-FCNN: networks that estimate one map K, from which the clear image follows."""

import torch
from torch import Tensor, nn

from dehazelib.networks.layers import conv
from dehazelib.networks.physics import recover_from_k


class KNetwork(nn.Module):
    """Returns the dehazed image J = max(K I - K + 1, 0), (B, 3, H, W).

    hazy: (B, 3, H, W) RGB in [0, 1], any H and W.
    Subclasses name their LAYERS, each as (kernel, maps, read): `read` numbers the earlier layers whose maps it sees,
    0 being the image. A ReLU follows each; the maps of the last are K.
    Weights are drawn from N(0, 0.02), as by the authors, but the last bias starts at 1, near J = I: where it is drawn
    negative, K = max(., 0) would start at 0 everywhere, get no gradient and stay there.
    """

    LAYERS: tuple[tuple[int, int, tuple[int, ...]], ...]

    def __init__(self):
        super().__init__()
        maps, layers = [3], []
        for kernel, outputs, read in self.LAYERS:
            layers.append(conv(sum(maps[i] for i in read), outputs, kernel))
            maps.append(outputs)
        self.own(layers)
        for layer in layers:
            nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.ones_(layers[-1].bias)

    def own(self, layers: list[nn.Conv2d]) -> None:
        """Makes the layers the network's own, as conv1, conv2 ..."""
        for number, layer in enumerate(layers, 1):
            self.add_module(f"conv{number}", layer)

    def convolutions(self) -> list[nn.Conv2d]:
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def k(self, hazy: Tensor) -> Tensor:
        """Returns K, (B, 3, H, W), at least 0."""
        maps = [hazy]
        for layer, (_, _, read) in zip(self.convolutions(), self.LAYERS, strict=True):
            seen = [maps[i] for i in read]
            maps.append(torch.relu(layer(torch.cat(seen, 1) if len(seen) > 1 else seen[0])))
        return maps[-1]

    def forward(self, hazy: Tensor) -> Tensor:
        return recover_from_k(hazy, self.k(hazy))


class AODNet(KNetwork):
    """AOD-Net: 1,761 parameters (Table 5: 0.00176 M).

    Source: Li et al., "AOD-Net: All-in-One Dehazing Network", ICCV 2017; initialisation of the PyTorch port
    github.com/MayankSingal/PyTorch-Image-Dehazing.
    """

    LAYERS = (
        (1, 3, (0,)),
        (3, 3, (1,)),
        (5, 3, (1, 2)),
        (7, 3, (2, 3)),
        (3, 3, (1, 2, 3, 4)),
    )


class LDNet(KNetwork):
    """LD-Net (Light-DehazeNet): AOD-Net's idea with wider layers, 30,187 parameters; not in the tables.

    The publication's CLAHE after the network is left out, as it moves the image away from its ground truth.
    Source: Ullah et al., "Light-DehazeNet: A Novel Lightweight CNN Architecture for Single Image Dehazing", TIP 2021;
    layers of github.com/hayatkhan8660-maker/Light-DehazeNet.
    """

    LAYERS = (
        (1, 8, (0,)),
        (3, 8, (1,)),
        (5, 8, (2,)),
        (7, 16, (1, 3)),
        (3, 16, (4,)),
        (3, 16, (5,)),
        (3, 32, (4, 6)),
        (3, 3, (2, 5, 7)),
    )


class LSIDFCNN(KNetwork):
    """LSID-FCNN: a `reconstruction` of 4,290 parameters, sized from Table 5 (0.00429 M) and not from a source.

    No code and no layer list of LSID-FCNN was found, only that it has neither pooling nor fully connected layers: here
    five convolutions of three maps, each reading all before it. Its score does not test the published network.
    Source: Yang, Evans, "Improved single image dehazing methods for resource-constrained platforms", J. Real-Time Image
    Processing 2021 (abstract only); K from Li et al., ICCV 2017.
    """

    LAYERS = (
        (3, 3, (0,)),
        (5, 3, (1,)),
        (7, 3, (1, 2)),
        (7, 3, (1, 2, 3)),
        (7, 3, (1, 2, 3, 4)),
    )

    def own(self, layers: list[nn.Conv2d]) -> None:
        self.layers = nn.ModuleList(layers)
