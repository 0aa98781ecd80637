"""The parts that define each network, against the formulas of its authors."""


import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dehazelib.networks.dcpdn import scattering_truth
from dehazelib.networks.dehazeformer import WindowAttention
from dehazelib.networks.dehazenet import DehazeNet, PatchTransmission
from dehazelib.networks.dehazing_4k import slice_grid
from dehazelib.networks.drn import DRN, DRNObjective
from dehazelib.networks.famed_net import DeepSupervision, FAMEDNet, shrink
from dehazelib.networks.gcanet import edge_map
from dehazelib.networks.gfn import GFN, GFNObjective, contrast_enhanced
from dehazelib.networks.griddehazenet import GridDehazeNet
from dehazelib.networks.k_networks import LSIDFCNN, AODNet, LDNet
from dehazelib.networks.msbdn import DenseFusion
from dehazelib.networks.mscnn import MSCNN


@pytest.mark.parametrize("builder", [AODNet, LDNet, LSIDFCNN, FAMEDNet])
@torch.no_grad()
def test_no_colour_starts_dead(builder, pair):
    hazy, _ = pair()
    for number in range(8):
        torch.manual_seed(number)
        network = builder().eval()
        k = network.fuse(network.scales(hazy)) if builder is FAMEDNet else network.k(hazy)
        assert (k.amax((0, 2, 3)) > 0).all()


@torch.no_grad()
def test_k_networks_join_the_maps_that_their_publications_say(pair):
    hazy, _ = pair(1)
    aod, light, dense = AODNet(), LDNet(), LSIDFCNN()

    def run(layer, *maps):
        return torch.relu(layer(torch.cat(maps, 1)))

    x1 = run(aod.conv1, hazy)
    x2 = run(aod.conv2, x1)
    x3 = run(aod.conv3, x1, x2)
    x4 = run(aod.conv4, x2, x3)
    assert torch.equal(aod.k(hazy), run(aod.conv5, x1, x2, x3, x4))
    x1 = run(light.conv1, hazy)
    x2 = run(light.conv2, x1)
    x4 = run(light.conv4, x1, run(light.conv3, x2))
    x5 = run(light.conv5, x4)
    x7 = run(light.conv7, x4, run(light.conv6, x5))
    assert torch.equal(light.k(hazy), run(light.conv8, x2, x5, x7))
    maps = [run(dense.layers[0], hazy)]
    for layer in dense.layers[1:]:
        maps.append(run(layer, *maps))
    assert torch.equal(dense.k(hazy), maps[-1])


def test_dehazenet_sees_the_same_inside_an_image_as_in_patches(pair):
    network, (hazy, _) = DehazeNet(), pair()
    nn.init.normal_(network.regression.weight, 0, 0.05)  # spread t over its range
    whole, patches = network.transmission(hazy), network.table_graph(hazy)
    whole = whole[..., 7:-8, 7:-8]  # patch (y, x) belongs to pixel (y + 7, x + 7)
    inside = slice(5, -5)
    assert patches.std() > 0.01
    torch.testing.assert_close(whole[..., inside, inside], patches[..., inside, inside])


def test_patch_transmission_trains_on_clear_images_alone(pair):
    objective, (hazy, clear) = PatchTransmission(DehazeNet()), pair()
    losses = []
    for image in (hazy, torch.zeros_like(hazy)):
        torch.manual_seed(1)
        losses.append(objective(0, image, clear))
    assert losses[0] == losses[1] > 0


@pytest.mark.parametrize("form", ["port", "official"])
def test_mscnn_fine_network_reads_the_coarse_map(form):
    network, image = MSCNN(form), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network.transmission(image)
        network.coarse[-2].bias += 3
        assert (network.transmission(image) - before).abs().max() > 1e-4


def test_famed_net_scales_are_a_half_and_a_quarter_with_aligned_corners():
    image = torch.rand(1, 3, 33, 46)
    for factor, size in ((1, (33, 46)), (2, (17, 23)), (4, (9, 12))):
        small = shrink(image, factor)
        assert small.shape[2:] == size
        assert torch.equal(small[..., 0, 0], image[..., 0, 0])


def test_deep_supervision_reaches_every_scale_even_without_the_fusion(pair):
    network, (hazy, clear) = FAMEDNet().train(), pair()
    nn.init.zeros_(network.fusion.weight)
    DeepSupervision(network)(0, hazy, clear).backward()
    assert all(encoder.conv1[0].weight.grad.abs().max() > 0 for encoder in network.encoders)


def test_gcanet_edges_are_a_quarter_of_the_differences_to_four_neighbours():
    image = torch.zeros(1, 3, 3, 3)
    image[:, :, 1, 1] = 1
    expected = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    torch.testing.assert_close(edge_map(image)[0, 0], expected)


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


def test_dcpdn_recovers_what_the_haze_was_made_with(pair):
    transmission, airlight = scattering_truth(*pair(2, 64, 64))
    assert torch.allclose(airlight, torch.tensor(0.9), atol=1e-4)
    expected = torch.linspace(0.9, 0.3, 64).expand(2, 1, 64, 64)
    assert (transmission - expected).abs().mean() < 1e-4


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
