"""ZID, DCPDN, Cycle-Dehaze, 4K-Dehazing, gUNet and DehazeFormer: the parts that define them."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dehazelib.evaluation.cost import profiler_gflops
from dehazelib.networks.cycle_dehaze import CycleDehaze
from dehazelib.networks.dcpdn import scattering_truth
from dehazelib.networks.dehazeformer import WindowAttention
from dehazelib.networks.dehazing_4k import slice_grid
from dehazelib.networks.zid import ZID, Hourglass, OracleStoppedZID, dehaze_with_oracle_stopping


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def hazy_pair(batch: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns smooth random images with haze (transmission 0.3 to 0.9, grey airlight 0.8) and without."""
    clear = F.interpolate(torch.rand(batch, 3, 8, 8), (side, side), mode="bilinear")
    transmission = torch.linspace(0.3, 0.9, side).expand(batch, 1, side, side)
    return clear * transmission + 0.8 * (1 - transmission), clear


def test_scattering_truth_recovers_what_the_haze_was_made_with():
    hazy, clear = hazy_pair(2, 64)
    transmission, airlight = scattering_truth(hazy, clear)
    assert torch.allclose(airlight, torch.tensor(0.8), atol=1e-4)
    expected = torch.linspace(0.3, 0.9, 64).expand(2, 1, 64, 64)
    assert (transmission - expected).abs().mean() < 1e-4


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


def test_the_catalogue_s_oracle_looks_at_the_ground_truth_every_five_steps():
    (hazy, clear), model = hazy_pair(1, 64), OracleStoppedZID(steps=6, size=(64, 64))
    assert torch.equal(model(hazy, clear), dehaze_with_oracle_stopping(model, hazy, clear, every=5))


def test_zid_s_two_image_networks_cost_7_23_gflops_a_pass():
    with torch.device("meta"):
        hazy = torch.rand(1, 3, 448, 608)
        gflops = [profiler_gflops(Hourglass(outputs), hazy) for outputs in (3, 1)]
    assert round(sum(gflops), 2) == 7.23


def test_zid_needs_a_step():
    with pytest.raises(ValueError, match="at least one step"):
        ZID(steps=0, size=(64, 64))
