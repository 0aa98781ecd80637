"""The catalogue: every network by name, with its role and the sizes its tables printed."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from torch import nn

from dehazelib.networks.cycle_dehaze import CycleDehaze, CycleDehazeObjective
from dehazelib.networks.dark_channel_prior import DarkChannelPrior
from dehazelib.networks.dcpdn import DCPDN, DCPDNObjective
from dehazelib.networks.dehazeformer import DehazeFormer
from dehazelib.networks.dehazenet import DehazeNet, PatchTransmission
from dehazelib.networks.dehazing_4k import Dehazing4K
from dehazelib.networks.drn import DRN, DRNObjective
from dehazelib.networks.famed_net import DeepSupervision, FAMEDNet
from dehazelib.networks.fsrcnn import FSRCNN, MultiChannelFSRCNN
from dehazelib.networks.gcanet import GCANet
from dehazelib.networks.gfn import GFN, GFNObjective
from dehazelib.networks.griddehazenet import GridDehazeNet
from dehazelib.networks.gunet import GUNet
from dehazelib.networks.interpolation import Black, Interpolation
from dehazelib.networks.k_networks import LSIDFCNN, AODNet, LDNet
from dehazelib.networks.msbdn import MSBDN
from dehazelib.networks.mscnn import MSCNN
from dehazelib.networks.pfdn import PFDN
from dehazelib.networks.srresnet import SRResNet
from dehazelib.networks.ssid import SSID, SSIDObjective
from dehazelib.networks.student import Student
from dehazelib.networks.zid import ZID, OracleStoppedZID


@dataclass(frozen=True)
class Entry:
    """One network of the study.

    The published figures are those printed in the paper's tables; empty where it prints none. `builder(**options)` is
    the form that the table measured; other forms are other options.
    """

    name: str
    title: str
    role: str  # dehazing, super_resolution, zero_shot (fits each image, trains on none), control (no parameters)
    builder: Callable[..., nn.Module]
    options: dict = field(default_factory=dict)
    published_parameters: str = ""
    published_gflops: str = ""
    objective: Callable[[nn.Module], nn.Module] | None = None  # the authors' own training objective, if they had one
    pairs: bool = True  # whether it can also learn from hazy/clear pairs by a plain loss
    lr: float = 1e-3  # of the study's common recipe; another for networks whose outputs have another scale
    reduction: int = 1  # the input is this many times smaller than the paper's 460x620 image

    def build(self, **options) -> nn.Module:
        return self.builder(**{**self.options, **options})


ENTRIES = (
    # Table 5, in its order
    Entry("aod_net", "AOD-Net", "dehazing", AODNet, {}, "0.00176 M", "0.998"),
    Entry("ssid", "SSID", "dehazing", SSID, {}, "9.232 M", "", SSIDObjective, pairs=False),
    Entry("zid", "ZID", "zero_shot", ZID, {}, "42.951 M"),
    Entry("zid_oracle", "ZID, stopped by the ground truth", "zero_shot", OracleStoppedZID),
    Entry("lsid_fcnn", "LSID-FCNN (reconstruction)", "dehazing", LSIDFCNN, {}, "0.00429 M"),
    Entry("mscnn", "MSCNN", "dehazing", MSCNN, {}, "0.00801 M"),
    Entry("dehazenet", "DeHazeNet", "dehazing", DehazeNet, {}, "0.00831 M", "4.588", PatchTransmission, lr=3e-4,
          pairs=False),  # on pairs it falls into t = 1, where its clamp passes no gradient
    Entry("famed_net", "FAMED-Net", "dehazing", FAMEDNet, {}, "0.018 M", "", DeepSupervision),
    Entry("gfn", "GFN", "dehazing", GFN, {}, "0.514 M", "", GFNObjective),
    Entry("gcanet", "GCANet", "dehazing", GCANet, {}, "0.703 M", "126.301", lr=1e-2),
    Entry("dcpdn", "DCPDN", "dehazing", DCPDN, {}, "66.902 M", "", DCPDNObjective),
    Entry("cycle_dehaze", "Cycle-Dehaze", "dehazing", CycleDehaze, {}, "10.602 M", "311.746", CycleDehazeObjective,
          pairs=False),
    Entry("msbdn", "MSBDN", "dehazing", MSBDN, {}, "31.353 M", "165.968"),
    Entry("ffa_net", "FFA-Net (3 x 12 blocks)", "dehazing", Student, {"channels": 64, "inner_blocks": 12},
          "2.871 M", "1613.042"),
    Entry("pfdn", "PFDN", "dehazing", PFDN, {}, "11.278 M"),
    Entry("dehazing_4k", "4K-Dehazing", "dehazing", Dehazing4K, {}, "34.547 M", "210.715"),
    Entry("griddehazenet", "GridDehazeNet", "dehazing", GridDehazeNet, {}, "0.956 M", "155.043"),
    Entry("student", "Ours [Student]", "dehazing", Student, {}, "0.096 M"),
    # today's light alternatives
    Entry("ld_net", "LD-Net", "dehazing", LDNet),
    Entry("gunet_t", "gUNet-T", "dehazing", GUNet),
    Entry("dehazeformer_t", "DehazeFormer-T", "dehazing", DehazeFormer),
    # Tables 1 to 4
    Entry("fsrcnn_x2", "FSRCNN-2x", "super_resolution", FSRCNN, {"scale": 2}, "24.68 K", reduction=2),
    Entry("fsrcnn_x4", "FSRCNN-4x", "super_resolution", FSRCNN, {"scale": 4}, "24.68 K", reduction=4),
    Entry("srresnet", "SR-ResNet", "super_resolution", SRResNet, {}, "1.5 M", reduction=4),
    Entry("drn_s", "DRN-S", "super_resolution", DRN, {}, "4.8 M", "", DRNObjective, reduction=4),
    Entry("mc_fsrcnn", "MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {}, "38.42 K", reduction=2),
    Entry("relu_mc_fsrcnn", "ReLU-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"activation": "relu"}, "38.42 K",
          reduction=2),
    Entry("dscbn_mc_fsrcnn", "DSCBN-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"convolution": "dscbn"},
          "29.57 K", reduction=2),
    Entry("dsc_mc_fsrcnn", "DSC-MC-FSRCNN", "super_resolution", MultiChannelFSRCNN, {"convolution": "dsc"}, "26.45 K",
          reduction=2),
    # controls
    Entry("bilinear", "Bilinear", "control", Interpolation, {"mode": "bilinear"}, reduction=2),
    Entry("bicubic", "Bicubic", "control", Interpolation, {"mode": "bicubic"}, reduction=2),
    Entry("bilinear_x4", "Bilinear 4x", "control", Interpolation, {"mode": "bilinear", "scale": 4}, reduction=4),
    Entry("bicubic_x4", "Bicubic 4x", "control", Interpolation, {"mode": "bicubic", "scale": 4}, reduction=4),
    Entry("black", "Black image", "control", Black, reduction=2),
    Entry("dark_channel_prior", "Dark channel prior", "control", DarkChannelPrior),
    Entry("hazy", "Hazy input", "control", nn.Identity),
)
CATALOGUE = {entry.name: entry for entry in ENTRIES}


def build(name: str, **options) -> nn.Module:
    """Returns a freshly initialised network. Raises ValueError naming the catalogue if there is no such name."""
    if name not in CATALOGUE:
        raise ValueError(f"No network {name!r}. The catalogue has: {', '.join(CATALOGUE)}.")
    return CATALOGUE[name].build(**options)


@functools.cache
def recipes() -> dict[str, dict]:
    """Returns network -> how its authors train it, as far as they say; see recipes.yaml."""
    return yaml.safe_load(Path(__file__).with_name("recipes.yaml").read_text(encoding="utf-8"))


def parameters(network: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@functools.cache
def count(name: str) -> int:
    """Returns the number of trainable parameters of a catalogue network, without allocating them."""
    with torch.device("meta"):
        return parameters(build(name))
