"""The deep networks of Tables 1, 5 and 9: sizes, costs, contract, and the parts that define them."""

from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from dehazelib.networks.drn import DRN, DRNObjective, MeanShift
from dehazelib.networks.ffa_net import FFANet
from dehazelib.networks.gcanet import GCANet, Smoothing, edge_map
from dehazelib.networks.gfn import GFN, GFNObjective, contrast_enhanced, white_balanced
from dehazelib.networks.griddehazenet import GridDehazeNet
from dehazelib.networks.msbdn import MSBDN, DenseFusion
from dehazelib.networks.srresnet import SRResNet
from dehazelib.networks.student import Student
from dehazelib.objectives import Reconstruction


@dataclass(frozen=True)
class Case:
    """One network at the size its table counts: 460 x 620 output, or padded up to `padding`."""

    builder: type
    parameters: int
    multiply_adds: float  # 2 x multiply-adds, GFLOPs
    profiler: float  # the paper's convention, GFLOPs
    options: dict = field(default_factory=dict)
    small: dict = field(default_factory=dict)  # the same code with fewer blocks, for training
    scale: int = 1
    padding: int = 1
    objective: type | None = None

    def build(self, **options) -> torch.nn.Module:
        torch.manual_seed(0)
        return self.builder(**{**self.options, **options}).eval()

    def padded(self, side: int) -> int:
        return -(-side // self.padding) * self.padding

    def images(self, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (input, target) for a target of the given size: smooth scenes behind haze, or reduced."""
        coarse = torch.rand(batch, 3, 5, 5, generator=torch.Generator().manual_seed(0))
        clear = F.interpolate(coarse, (height, width), mode="bilinear")
        if self.scale > 1:
            return F.avg_pool2d(clear, self.scale), clear
        return 0.4 * clear + 0.6 * 0.9, clear


CASES = {
    "ffa_net": Case(FFANet, 2_870_812, 1611.015, 1613.042, small={"blocks": 1}),
    "griddehazenet": Case(GridDehazeNet, 958_051, 162.851, 155.043),
    "gcanet": Case(GCANet, 702_818, 135.591, 126.301),
    "gfn": Case(GFN, 517_295, 132.187, 111.151, padding=8, objective=GFNObjective),
    "gfn_port": Case(GFN, 498_831, 131.519, 110.484, {"form": "port"}, padding=8, objective=GFNObjective),
    "msbdn": Case(MSBDN, 31_353_061, 215.897, 165.968, small={"bottleneck_blocks": 1}, padding=16),
    "srresnet": Case(SRResNet, 1_546_752, 79.078, 79.097, small={"blocks": 4}, scale=4),
    "srresnet_published": Case(
        SRResNet, 1_547_350, 79.078, 79.097, {"form": "published"}, small={"blocks": 4}, scale=4
    ),
    "drn": Case(DRN, 4_804_065, 424.451, 424.793, small={"blocks": 2}, scale=4, objective=DRNObjective),
}
every_network = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def profiled(graph, image: torch.Tensor) -> int:
    """Returns the profiler's count: 2 per multiply-add of convolutions, 1 per element of add and mul."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], with_flops=True) as record:
        graph(image)
    return sum(event.flops for event in record.key_averages() if event.flops)


@every_network
def test_parameter_count_is_that_of_the_source(case):
    assert count(case.build()) == case.parameters


@pytest.mark.parametrize("network, parameters", [
    (lambda: FFANet(blocks=19), 4_455_913),
    (lambda: DRN(scale=8, features=8), 5_403_000),
    (lambda: DRN(blocks=40, features=20), 9_825_893),
], ids=["ffa_net_19", "drn_s_x8", "drn_l_x4"])
def test_published_variants_have_their_parameter_counts(network, parameters):
    with torch.device("meta"):
        assert count(network()) == parameters


def test_table_five_counts_griddehazenet_without_its_fusion_coefficients():
    network = GridDehazeNet()
    assert count(network) - network.coefficients.numel() == 955_747


@every_network
def test_profiler_flops_are_those_of_the_table(case):
    """The count is affine in the pixels: two small runs fix the line, a third confirms it."""
    network = case.build()
    graph = getattr(network, "table_graph", network)
    few, more, most = (profiled(graph, case.images(32, width)[0]) for width in (32, 64, 96))
    assert most - more == more - few
    pixels = case.padded(460) * case.padded(620)
    flops = few + (more - few) * (pixels / 32**2 - 1)
    assert flops / 1e9 == pytest.approx(case.profiler, abs=0.0005)


@every_network
def test_multiply_adds_at_full_size(case):
    network = case.build().to("meta")
    image = torch.empty(1, 3, 460 // case.scale, 620 // case.scale, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    assert counter.get_total_flops() / 1e9 == pytest.approx(case.multiply_adds, abs=0.0005)


@every_network
@pytest.mark.parametrize("size", [(460, 620), (463, 621)])
def test_full_size_output_has_the_size_of_the_input(case, size):
    output = case.build().to("meta")(torch.empty(1, 3, *size, device="meta"))
    assert output.shape == (1, 3, case.scale * size[0], case.scale * size[1])


@every_network
@pytest.mark.parametrize("size", [(64, 64), (33, 45)])
def test_output_has_the_size_of_the_input(case, size):
    image = torch.rand(1, 3, size[0] // case.scale, size[1] // case.scale)
    with torch.no_grad():
        output = case.build(**case.small)(image)
    assert output.shape == (1, 3, case.scale * image.shape[2], case.scale * image.shape[3])
    assert output.isfinite().all()


@every_network
def test_every_parameter_receives_a_finite_gradient(case):
    network, (inputs, target) = case.build(), case.images(32, 32)
    objective = case.objective(network) if case.objective else Reconstruction(network, "mse")
    objective(0, inputs, target).backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@every_network
def test_a_batch_equals_its_items(case):
    network, (inputs, _) = case.build(), case.images(32, 32, batch=2)
    with torch.no_grad():
        together, alone = network(inputs), torch.cat([network(image[None]) for image in inputs])
    largest = together.abs().max()
    assert (together[0] - together[1]).abs().max() > 1e-3 * largest
    assert (together - alone).abs().max() < 1e-5 * largest


@every_network
def test_saved_weights_give_the_same_output(case, tmp_path):
    network, (inputs, _) = case.build(), case.images(32, 32)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = case.builder(**case.options).eval()
    with torch.no_grad():
        expected, before = network(inputs), other(inputs)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert not torch.equal(before, expected)
        assert torch.equal(other(inputs), expected)


@every_network
def test_twenty_steps_on_one_batch_lower_the_loss(case):
    network, (inputs, target) = case.build(**case.small).train(), case.images(32, 32)
    loss = network.RECIPE["loss"]
    assert (loss == "objective") == (case.objective is not None)
    objective = case.objective(network) if case.objective else Reconstruction(network, loss)
    optimiser = torch.optim.Adam(objective.groups()[0], lr=network.RECIPE["lr"])
    losses = []
    for _ in range(21):
        optimiser.zero_grad()
        losses.append(objective(0, inputs, target))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.95 * losses[0]


def test_the_student_is_ffa_net_at_a_quarter_width():
    student, narrow = Student().eval(), FFANet(blocks=6, channels=16).eval()
    assert count(student) == count(narrow)
    narrow.load_state_dict(dict(zip(narrow.state_dict(), student.state_dict().values())))
    hazy = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        torch.testing.assert_close(narrow(hazy), student(hazy))


def test_gcanet_edges_are_a_quarter_of_the_differences_to_four_neighbours():
    image = torch.zeros(1, 3, 3, 3)
    image[:, :, 1, 1] = 1
    expected = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    torch.testing.assert_close(edge_map(image)[0, 0], expected)


def test_gcanet_smoothing_starts_as_the_identity():
    x = torch.rand(1, 64, 9, 9)
    assert all(torch.equal(Smoothing(dilation)(x), x) for dilation in (2, 4))


def test_gcanet_without_residual_returns_the_hazy_image():
    network = GCANet()
    for parameter in network.decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    hazy = torch.rand(1, 3, 33, 45)
    assert torch.equal(network(hazy), hazy)


def test_griddehazenet_coefficients_choose_between_left_and_vertical_neighbours():
    network, hazy = GridDehazeNet().eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        both = network(hazy)
        network.coefficients[0, :, 1] = 0  # the top row no longer listens to the rows below it
        top_row_alone = network(hazy)
        for parameter in network.up.parameters():
            parameter.zero_()
        assert torch.equal(network(hazy), top_row_alone)
    assert not torch.allclose(both, top_row_alone)


def test_gfn_white_balance_makes_channel_means_equal_and_keeps_grey():
    grey = torch.rand(1, 1, 16, 16).expand(-1, 3, -1, -1)
    torch.testing.assert_close(white_balanced(grey, 0.0), grey)
    tinted = 0.5 * torch.rand(1, 3, 16, 16) * torch.tensor([1.0, 0.9, 0.8]).view(1, 3, 1, 1)
    means = white_balanced(tinted, 0.0).mean((0, 2, 3))
    torch.testing.assert_close(means, tinted.mean().expand(3))


def test_gfn_contrast_enhancement_has_zero_mean_and_the_published_gain():
    image = torch.rand(1, 3, 8, 8)
    enhanced, mean = contrast_enhanced(image), image.mean()
    assert enhanced.mean().abs() < 1e-6
    torch.testing.assert_close(enhanced, (1 + 2 * mean) * (image - mean))


def test_gfn_gates_blend_the_derived_images():
    network, hazy = GFN().eval(), torch.rand(1, 3, 32, 32)
    last = network.fine.gates[0]
    torch.nn.init.zeros_(last.weight)
    for chosen in range(3):
        last.bias.data = torch.eye(3)[chosen]
        derived = network.inputs(hazy)[:, 3 * chosen + 3 : 3 * chosen + 6]
        torch.testing.assert_close(network(hazy), derived)


def test_msbdn_fusion_leaves_alone_what_agrees_with_the_stored_feature():
    fusion = DenseFusion((32, 16))
    torch.nn.init.zeros_(fusion.inward[0][0].bias)
    x = torch.rand(1, 32, 8, 8)
    agreeing = fusion.outward[0](x)  # (1, 16, 16, 16)
    assert torch.equal(fusion(x, [agreeing]), x)
    assert not torch.allclose(fusion(x, [agreeing + 1]), x)


def test_drn_mean_shifts_cancel():
    image = 255 * torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(MeanShift(1)(MeanShift(-1)(image)), image)


def test_drn_gives_every_scale_and_returns_the_largest():
    network, low = DRN(blocks=1).eval(), torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        images = network.scales(low)
        assert [image.shape[-2:] for image in images] == [(9, 11), (18, 22), (36, 44)]
        assert torch.equal(network(low), images[-1])


def test_drn_objective_adds_the_weighted_way_back_down():
    network, low, high = DRN(blocks=1).eval(), torch.rand(1, 3, 8, 8), torch.rand(1, 3, 32, 32)
    objective = DRNObjective(network, dual_weight=0.0)
    with torch.no_grad():
        primal = objective(0, low, high)
        objective.dual_weight = 1.0
        for parameter in objective.duals.parameters():
            parameter.zero_()
        middle = F.interpolate(high, scale_factor=0.5, mode="bicubic", antialias=True)
        torch.testing.assert_close(objective(0, low, high) - primal, low.mean() + middle.abs().mean())


@pytest.mark.parametrize("mistake", [
    lambda: GFN(form="offical"),
    lambda: SRResNet(form="x"),
    lambda: DRN(scale=3),
    lambda: GFNObjective(GFN())(0, torch.rand(1, 3, 33, 32), torch.rand(1, 3, 33, 32)),
], ids=["gfn", "srresnet", "drn", "gfn_crop"])
def test_a_wrong_option_is_refused_with_what_to_use(mistake):
    with pytest.raises(ValueError, match="use |enlarges by 2|multiples of 4"):
        mistake()
