"""A network and a test set give one row per image, and nothing else changes."""

import numpy as np
import pytest
import torch
from torch import nn

from dehazelib.data.pairs import Pair, Pairs
from dehazelib.evaluation import scores as evaluation
from dehazelib.experiments.spec import Spec
from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb
from dehazelib.networks.interpolation import Interpolation

DEHAZE = Spec()
ENLARGE = Spec(task="super_resolution", target="native")


@pytest.fixture
def pairs():
    """Two scenes of 32 x 40 with two haze levels each."""
    rng = np.random.default_rng(0)
    clear = rng.integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    depth = rng.random((2, 32, 40), dtype=np.float32)
    items = [Pair(f"{i}_{level}", i, airlight=1.0, beta=0.5 + level) for i in range(2) for level in (1, 2)]
    return Pairs("tiny", items, clear.__getitem__, depth.__getitem__)


class Shift(nn.Module):
    """Adds a constant; notes whether it was in training mode and whether gradients were on."""

    def __init__(self, by: float):
        super().__init__()
        self.by, self.seen = nn.Parameter(torch.tensor(by)), set()

    def forward(self, x):
        self.seen.add((self.training, torch.is_grad_enabled()))
        return x + self.by


def test_the_identity_network_scores_exactly_the_hazy_images(pairs):
    table = evaluation.scores(nn.Identity(), DEHAZE, pairs)
    for metric in (psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb):
        expected = [metric(hazy[None], clear[None]).item() for hazy, clear in (pairs[i] for i in range(4))]
        assert table[metric.__name__].tolist() == expected
    assert evaluation.mean_psnr(nn.Identity(), DEHAZE, pairs) == pytest.approx(table.psnr_rgb.mean())


def test_there_is_one_row_per_image_in_the_set_s_order(pairs):
    table = evaluation.scores(nn.Identity(), DEHAZE, pairs)
    assert list(table) == ["test_set", "image", "psnr_rgb", "ssim_gauss11_rgb", "ssim_uniform7_rgb"]
    assert table.image.tolist() == ["0_1", "0_2", "1_1", "1_2"] and set(table.test_set) == {"tiny"}


def test_super_resolution_scores_each_clear_scene_once(pairs):
    table = evaluation.scores(Interpolation(2, "bilinear"), ENLARGE, pairs)
    assert table.image.tolist() == ["0", "1"] and (table.psnr_rgb < 30).all()


def test_super_resolution_asks_for_the_scale_of_the_network(pairs):
    shapes = [(low.shape[-2:], output.shape[-2:]) for _, low, output, _ in
              evaluation.images(Interpolation(4, "bilinear"), ENLARGE, pairs)]
    assert shapes == [((8, 10), (32, 40))] * 2


def test_outputs_are_clamped_and_on_one_grid_with_their_targets(pairs):
    for _, hazy, output, target in evaluation.images(Shift(0.5), DEHAZE, pairs):
        assert hazy.shape == output.shape == target.shape == (1, 3, 32, 40)
        assert output.max() == 1 and torch.equal(output, (hazy + 0.5).clamp(0, 1))


@pytest.mark.parametrize("training", [True, False])
def test_networks_are_evaluated_without_gradients_and_left_in_their_mode(pairs, training):
    network = Shift(0.0).train(training)
    evaluation.scores(network, DEHAZE, pairs)
    assert network.seen == {(False, False)} and network.training is training


def test_the_mode_is_restored_when_evaluation_stops_early(pairs):
    network = Shift(0.0)
    stopped = evaluation.images(network, DEHAZE, pairs)
    next(stopped)
    assert not network.training
    stopped.close()
    assert network.training


def test_a_gpu_would_score_in_full_float32(pairs):
    class Noting(nn.Module):
        def forward(self, x):
            seen.append(torch.backends.cudnn.allow_tf32)
            return x

    seen, before = [], torch.backends.cudnn.allow_tf32
    evaluation.mean_psnr(Noting(), DEHAZE, pairs.subset(1))
    assert seen == [False] and torch.backends.cudnn.allow_tf32 is before


def test_only_a_network_that_needs_the_ground_truth_sees_it(pairs):
    class Oracle(nn.Module):
        needs_ground_truth = True

        def forward(self, hazy, clear):
            return clear

    assert np.isinf(evaluation.scores(Oracle(), DEHAZE, pairs).psnr_rgb).all()


def test_a_panel_shows_hazy_dehazed_and_clear_with_their_psnr(pairs):
    rows, captions = evaluation.panel(nn.Identity(), DEHAZE, pairs.subset(2))
    assert [name for name, _ in rows] == ["hazy input", "dehazed", "ground truth"]
    assert captions[0] == captions[1] and captions[2] == ["0_1", "1_2"]
    for drawn, (_, clear) in zip(rows[2][1], (pairs[0], pairs[3])):
        np.testing.assert_array_equal(drawn, clear.permute(1, 2, 0).numpy())
