"""The catalogue: every network by name, with its role and the size its table printed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from dehazelib.networks.fsrcnn import FSRCNN, MultiChannelFSRCNN
from dehazelib.networks.interpolation import Interpolation
from dehazelib.networks.student import Student


@dataclass(frozen=True)
class Entry:
    """One network of the study. `published_parameters` is the figure as printed in the paper's table."""

    name: str
    title: str
    role: str  # "dehazing", "super_resolution" or "control"
    builder: Callable[..., nn.Module]
    options: dict = field(default_factory=dict)
    published_parameters: str = ""

    def build(self, **options) -> nn.Module:
        return self.builder(**{**self.options, **options})


ENTRIES = (
    Entry("student", "Ours [Student]", "dehazing", Student, {}, "0.096 M"),
    Entry("fsrcnn_x2", "FSRCNN-2x", "super_resolution", FSRCNN, {"scale": 2}, "24.68 K"),
    Entry("fsrcnn_x4", "FSRCNN-4x", "super_resolution", FSRCNN, {"scale": 4}, "24.68 K"),
    Entry("mc_fsrcnn", "MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {}, "38.42 K"),
    Entry("relu_mc_fsrcnn", "ReLU-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"activation": "relu"}, "38.42 K"),
    Entry("dscbn_mc_fsrcnn", "DSCBN-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"convolution": "dscbn"}, "29.57 K"),
    Entry("dsc_mc_fsrcnn", "DSC-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"convolution": "dsc"}, "26.45 K"),
    Entry("bilinear", "Bilinear", "control", Interpolation, {"mode": "bilinear"}),
    Entry("bicubic", "Bicubic", "control", Interpolation, {"mode": "bicubic"}),
    Entry("hazy", "Hazy input", "control", nn.Identity),
)
CATALOGUE = {entry.name: entry for entry in ENTRIES}


def build(name: str, **options) -> nn.Module:
    """Returns a freshly initialised network. Raises ValueError naming the catalogue if there is no such name."""
    if name not in CATALOGUE:
        raise ValueError(f"No network {name!r}. The catalogue has: {', '.join(CATALOGUE)}.")
    return CATALOGUE[name].build(**options)


def parameters(network: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
