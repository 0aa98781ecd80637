"""The deep networks of Tables 1 and 5: the parts that define them."""

import pytest
import torch
from torch.nn import functional as F

from dehazelib.networks import parameters
from dehazelib.networks.drn import DRN, DRNObjective, MeanShift
from dehazelib.networks.gcanet import GCANet, Smoothing, edge_map
from dehazelib.networks.gfn import GFN, GFNObjective, contrast_enhanced, white_balanced
from dehazelib.networks.griddehazenet import GridDehazeNet
from dehazelib.networks.msbdn import DenseFusion


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_table_five_counts_griddehazenet_without_its_fusion_coefficients():
    network = GridDehazeNet()
    assert parameters(network) - network.coefficients.numel() == 955_747


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


def test_gfn_refuses_to_train_on_crops_that_it_cannot_halve_twice():
    with pytest.raises(ValueError, match="multiples of 4"):
        GFNObjective(GFN())(0, torch.rand(1, 3, 33, 32), torch.rand(1, 3, 33, 32))
