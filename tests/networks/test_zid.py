"""ZID fits networks to each image, without ground truth and without touching anything else."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dehazelib.networks.zid import ZID, OracleStoppedZID


def test_zid_fits_the_image_without_ground_truth_and_without_touching_other_randomness(pair):
    hazy, _ = pair(1, 64, 64)
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


@pytest.mark.slow
def test_stopping_zid_by_the_ground_truth_is_never_worse_than_any_looked_at_step(pair):
    hazy, clear = pair(2, 64, 64)
    oracle = OracleStoppedZID(steps=6, size=(64, 64))
    oracle.LOOK = 1
    for image, truth, chosen in zip(ZID(steps=6, size=(64, 64))(hazy), clear, oracle(hazy, clear)):
        assert F.mse_loss(chosen, truth) <= F.mse_loss(image, truth)


def test_zid_needs_a_step():
    with pytest.raises(ValueError, match="at least one step"):
        ZID(steps=0, size=(64, 64))
