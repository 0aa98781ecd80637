"""SSID, ZID, DCPDN, Cycle-Dehaze, 4K-Dehazing, gUNet and DehazeFormer are what their publications say."""

from dataclasses import dataclass
from typing import Callable

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dehazelib.networks import parameters
from dehazelib.networks.cycle_dehaze import CycleDehaze, CycleDehazeObjective, reduce, with_details_of
from dehazelib.networks.dcpdn import DCPDN, DCPDNObjective, scattering_truth
from dehazelib.networks.dehazeformer import DehazeFormer, WindowAttention
from dehazelib.networks.dehazing_4k import Dehazing4K, slice_grid
from dehazelib.networks.gunet import GUNet
from dehazelib.networks.ssid import SSID, SSIDObjective
from dehazelib.networks.zid import ZID, dehaze_with_oracle_stopping

PAPER = (460, 620)


@dataclass
class Case:
    build: Callable[..., nn.Module]  # with fewer channels than published where that would be slow
    unused: str = ""  # the part whose parameters dehazing never uses
    batch: int = 2  # for training


CASES = {
    "ssid": Case(lambda: SSID(16)),
    "cycle_dehaze": Case(lambda: CycleDehaze(width=16), "discriminator"),
    "cycle_dehaze_published": Case(lambda: CycleDehaze(2, True, False, True, width=4)),
    "dcpdn": Case(lambda: DCPDN(unused_parts=False)),
    "dehazing_4k": Case(lambda: Dehazing4K(2), "unused", batch=1),
    "gunet": Case(GUNet),
    "dehazeformer": Case(DehazeFormer),
}
every_network = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# What runs as one kernel on a CPU but is written out as smaller operations on the meta device.
KERNELS = {"aten::native_batch_norm", "aten::leaky_relu", "aten::_prelu_kernel", "aten::pow", "aten::addmm",
           "aten::upsample_bilinear2d", "aten::upsample_bicubic2d"}


def inside_kernel(event) -> bool:
    parent = event.cpu_parent
    return parent is not None and (parent.name in KERNELS or inside_kernel(parent))


def profiler_gflops(graph: Callable, hazy: torch.Tensor) -> float:
    """Returns the paper's figure: 2 per multiply-accumulate, 1 per mul/add, 0 for transposed convolutions."""
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.no_grad(), torch.profiler.profile(activities=[cpu], with_flops=True) as profile:
        graph(hazy)
    return sum(event.flops or 0 for event in profile.events() if not inside_kernel(event)) / 1e9


def on_meta(build: Callable[..., nn.Module], *size: int) -> tuple[nn.Module, torch.Tensor]:
    with torch.device("meta"):
        return build().eval(), torch.rand(1, 3, *size)


@pytest.mark.parametrize("build, count", [
    (SSID, 9_231_491), (ZID, 42_950_552),
    (DCPDN, 66_889_917), (lambda: DCPDN(unused_parts=False), 12_439_726),
    (CycleDehaze, 10_602_436), (lambda: CycleDehaze(discriminator=False), 7_837_699),
    (lambda: CycleDehaze(6, True, False), 7_841_408), (lambda: CycleDehaze(9, True, False), 11_383_424),
    (Dehazing4K, 34_547_655), (GUNet, 844_899), (lambda: GUNet("s"), 1_477_059),
    (DehazeFormer, 687_404), (lambda: DehazeFormer("s"), 1_284_884), (lambda: DehazeFormer("b"), 2_517_612),
])
def test_parameter_counts_are_the_published_ones(build, count):
    with torch.device("meta"):
        assert parameters(build()) == count


def test_zid_counts_depend_on_the_image_size():
    assert parameters(ZID(size=(448, 608))) == parameters(ZID()) == 42_950_552
    assert parameters(ZID(size=(480, 640))) == 48_190_360


@every_network
def test_meta_device_counts_the_same_operations_as_the_cpu(case):
    on_cpu = profiler_gflops(case.build().eval(), torch.rand(1, 3, 32, 32))
    assert profiler_gflops(*on_meta(case.build, 32, 32)) == pytest.approx(on_cpu, rel=1e-6)


@pytest.mark.parametrize("build, size, printed", [
    (CycleDehaze, PAPER, "311.746"), (Dehazing4K, PAPER, "210.715"),  # Table 9
    (SSID, PAPER, "788.96"), (lambda: DCPDN(unused_parts=False), (512, 512), "57.50"),
])
def test_profiler_gflops_are_the_printed_ones(build, size, printed):
    network, hazy = on_meta(build, *size)
    gflops = profiler_gflops(getattr(network, "table_graph", network), hazy)
    assert f"{gflops:.{len(printed.split('.')[1])}f}" == printed


@pytest.mark.parametrize("build, size, printed", [(GUNet, PAPER, "24.4"), (DehazeFormer, PAPER, "57.38")])
def test_true_gflops_are_the_known_ones(build, size, printed):
    network, hazy = on_meta(build, *size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(hazy)
    assert f"{counter.get_total_flops() / 1e9:.{len(printed.split('.')[1])}f}" == printed


@every_network
@pytest.mark.parametrize("size", [PAPER, (463, 621)])
def test_full_size_output_has_the_size_of_the_input(case, size):
    network, hazy = on_meta(case.build, *size)
    with torch.no_grad():
        assert network(hazy).shape == hazy.shape


@every_network
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (35, 53)])
def test_small_output_has_the_size_of_the_input_and_is_finite(case, size):
    hazy = torch.rand(1, 3, *size)
    with torch.no_grad():
        dehazed = case.build().eval()(hazy)
    assert dehazed.shape == hazy.shape and dehazed.isfinite().all()


@every_network
def test_gradients_reach_every_parameter_that_takes_part_and_are_finite(case):
    network = case.build()
    F.l1_loss(network(torch.rand(2, 3, 64, 64)), torch.rand(2, 3, 64, 64)).backward()
    for name, parameter in network.named_parameters():
        if name.split(".")[0] == case.unused:
            assert parameter.grad is None, name
        else:
            assert parameter.grad.isfinite().all(), name


@every_network
def test_a_batch_equals_its_items_in_eval_mode(case):
    network, hazy = case.build().eval(), torch.rand(2, 3, 40, 48)
    with torch.no_grad():
        items = torch.cat([network(image) for image in hazy.split(1)])
        assert torch.allclose(network(hazy), items, atol=1e-5)
    assert not torch.allclose(items[0], items[1], atol=1e-3)


@every_network
def test_saved_weights_give_the_same_output(case, tmp_path):
    network, other, hazy = case.build().eval(), case.build().eval(), torch.rand(1, 3, 40, 48)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        dehazed = network(hazy)
        assert not torch.equal(other(hazy), dehazed)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(other(hazy), dehazed)


@every_network
def test_twenty_adam_steps_lower_the_loss(case):
    network, (hazy, clear) = case.build(), hazy_pair(case.batch, 32)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = F.mse_loss(network(hazy), clear)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def hazy_pair(batch: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns smooth random images with haze (transmission 0.3 to 0.9, grey airlight 0.8) and without."""
    clear = F.interpolate(torch.rand(batch, 3, 8, 8), (side, side), mode="bilinear")
    transmission = torch.linspace(0.3, 0.9, side).expand(batch, 1, side, side)
    return clear * transmission + 0.8 * (1 - transmission), clear


OBJECTIVES = [
    (SSIDObjective, lambda: SSID(8)), (CycleDehazeObjective, lambda: CycleDehaze(width=8)),
    (CycleDehazeObjective, lambda: CycleDehaze(2, True, False, width=8)),
    (DCPDNObjective, lambda: DCPDN(unused_parts=False)),
]


@pytest.mark.parametrize("objective, build", OBJECTIVES)
def test_each_group_of_an_objective_trains_its_own_parameters(objective, build):
    objective = objective(build())
    hazy, clear = hazy_pair(2, 64)
    groups = objective.groups()
    grouped = [p for group in groups for p in group]
    assert len(grouped) == len(set(grouped)) and set(grouped) == set(objective.parameters())
    for number, group in enumerate(groups):
        objective.zero_grad()
        loss = objective(number, hazy, clear)
        loss.backward()
        assert loss.shape == () and all(p.grad.isfinite().all() for p in group)
        if number > 0:  # a discriminator's loss leaves the network alone
            assert all(p.grad is None for p in groups[0])


@pytest.mark.parametrize("objective, build", OBJECTIVES)
def test_the_network_s_steps_lower_its_own_objective(objective, build):
    objective = objective(build())
    hazy, clear = hazy_pair(2, 32)
    optimizer = torch.optim.Adam(objective.groups()[0], lr=1e-3)
    losses = []
    for _ in range(8):
        loss = objective(0, hazy, clear)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("objective, build", OBJECTIVES)
def test_a_discriminator_learns_to_tell_real_from_dehazed(objective, build):
    objective = objective(build())
    hazy, clear = hazy_pair(2, 32)
    optimizer = torch.optim.Adam(objective.groups()[1], lr=1e-4)
    losses = []
    for _ in range(8):
        loss = objective(1, hazy, clear)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_scattering_truth_recovers_what_the_haze_was_made_with():
    hazy, clear = hazy_pair(2, 64)
    transmission, airlight = scattering_truth(hazy, clear)
    assert torch.allclose(airlight, torch.tensor(0.8), atol=1e-4)
    expected = torch.linspace(0.3, 0.9, 64).expand(2, 1, 64, 64)
    assert (transmission - expected).abs().mean() < 1e-4


def test_a_pyramid_restores_the_image_from_its_own_coarsest_level():
    hazy = coarsest = torch.rand(1, 3, 61, 83)
    for _ in range(4):
        coarsest = reduce(coarsest)
    assert coarsest.shape == (1, 3, 4, 6)
    assert torch.allclose(with_details_of(hazy, coarsest), hazy, atol=1e-5)


def test_table_graph_of_cycle_dehaze_needs_the_discriminator():
    dehazed, scores = CycleDehaze(width=8).table_graph(torch.rand(1, 3, 64, 64))
    assert dehazed.shape == (1, 3, 64, 64) and scores.shape == (1, 1, 6, 6)
    with pytest.raises(ValueError, match="discriminator=True"):
        CycleDehaze(width=8, discriminator=False).table_graph(torch.rand(1, 3, 64, 64))


def test_a_bilateral_grid_is_read_at_the_pixel_and_its_guide():
    rows, columns, depths = torch.rand(3, 12, 1, 1, 1)
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 3, indexing="ij")
    grid = (depths * z + rows * y + columns * x)[None]  # linear, so trilinear reading is exact
    depth = torch.rand(1, 1, 33, 47) * 2 - 1
    v, u = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 47), indexing="ij")
    expected = (depths[..., 0] * depth[0] + rows[..., 0] * v + columns[..., 0] * u)[None]
    assert torch.allclose(slice_grid(grid, depth), expected, atol=1e-5)


@pytest.mark.parametrize("shifted", [False, True])
def test_window_attention_is_scaled_dot_product_attention_within_each_window(shifted):
    attention = WindowAttention(12, heads=2, shifted=shifted)
    qk, v = torch.rand(1, 24, 24, 24), torch.rand(1, 12, 24, 24)
    result = attention(qk, v)
    first = 4 if shifted else 8  # a window that lies inside the image
    window = [t[..., first : first + 8, first : first + 8].flatten(2) for t in (*qk.chunk(2, 1), v)]
    q, k, v = (t.unflatten(1, (2, 6)).transpose(2, 3) for t in window)  # (1, heads, 64, 6)
    bias = attention.position_bias(attention.positions).permute(2, 0, 1)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
    expected = expected.transpose(2, 3).reshape(1, 12, 8, 8)
    assert torch.allclose(result[..., first : first + 8, first : first + 8], expected, atol=1e-5)


@pytest.mark.parametrize("network", [GUNet, DehazeFormer])
def test_an_unknown_size_is_refused_with_the_known_ones(network):
    with pytest.raises(ValueError, match="'huge': use one of t, s"):
        network("huge")


def test_zid_fits_the_image_without_ground_truth_and_without_touching_other_randomness():
    hazy, _ = hazy_pair(1, 64)
    model, state = ZID(steps=12, size=(64, 64)), torch.get_rng_state()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = [loss for loss, _, _ in model.fit(hazy)]
    assert losses[-1] < 0.9 * losses[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("size", [(64, 64), (64, 70), (37, 100)])
def test_zid_returns_the_size_of_its_input_in_any_grad_mode(size):
    hazy, model = torch.rand(1, 3, *size), ZID(steps=2, size=(64, 64))
    with torch.inference_mode():
        dehazed = model(hazy)
    assert dehazed.shape == hazy.shape and 0 <= dehazed.min() <= dehazed.max() <= 1
    assert torch.equal(model(hazy), dehazed) and torch.is_grad_enabled()


def test_zid_dehazes_a_batch_like_its_items_from_saved_weights(tmp_path):
    hazy, model, other = torch.rand(2, 3, 64, 64), ZID(2, size=(64, 64)), ZID(2, size=(64, 64))
    for parameter in model.decomposition.transmission.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    dehazed = model(hazy)
    assert torch.equal(dehazed, torch.cat([model(image) for image in hazy.split(1)]))
    assert not torch.equal(other(hazy), dehazed)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(hazy), dehazed)


def test_stopping_zid_by_the_ground_truth_is_never_worse_than_any_looked_at_step():
    hazy, clear = hazy_pair(2, 64)
    model = ZID(steps=6, size=(64, 64))
    best = dehaze_with_oracle_stopping(model, hazy, clear, every=1)
    for image, truth, chosen in zip(model(hazy), clear, best):
        assert F.mse_loss(chosen, truth) <= F.mse_loss(image, truth)


def test_zid_needs_a_step():
    with pytest.raises(ValueError, match="at least one step"):
        ZID(steps=0, size=(64, 64))
