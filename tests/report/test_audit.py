"""Each finding, from an independent calculation or by what must follow from it."""

import numpy as np
import pytest
import torch

from dehazelib import networks
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.evaluation import cost
from dehazelib.report import audit


def pairs(height, width, count=2):
    """Smooth random images behind haze; nothing is read from disk."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    images = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    depth = np.linspace(0, 1, width, dtype=np.float32) * np.ones((height, 1), np.float32)
    made = [Pair(f"{i}_1", i, airlight=1.0, beta=1.0) for i in range(count)]
    return Pairs("made", made, images.__getitem__, lambda scene: depth)


@pytest.mark.parametrize("section, computed, agree", [
    ("graph", [0.122458, 64.03988, 306.151, 0.096007, 53.690], "yes yes no no no"),  # deployed is not what is printed
    ("ffa_net", [2.870812, 1613.042, 4.455913, 2503.564], "yes yes no no"),  # 12 blocks a group, not 19
    ("cycle_dehaze", [10.602436, 311.746, 7.837699, 284.115], "yes yes no no"),  # with its discriminator
    ("headline", [15.054626, 3.634609, 23.532787, 0], "yes yes - -"),
    ("inconsistencies", [37.911, 28.179, 29.571, 4.804065, 1, 0, 27.76, 0.75, 12, 0, 3],
     "no no yes yes - - - no no - -"),
    ("earlier", [19.06, 21.14, 19.82, 22.3, 30.23, 36.39, 32.68], "yes no yes no yes no yes")])
def test_what_the_printed_numbers_are_and_whether_ours_agree(section, computed, agree):
    table = audit.findings(section)
    assert list(table.columns) == audit.COLUMNS and (table.how != "").all()
    assert table.computed.tolist() == pytest.approx(computed, abs=6e-4)
    assert table.agrees.replace("", "-").tolist() == agree.split()


@pytest.mark.slow
def test_every_row_of_table_9_follows_from_the_profiler_to_the_printed_digit():
    table = audit.findings("table9")
    assert len(table) == 8 and (table.agrees == "yes").all()
    how = table.set_index("finding").how
    assert how["Cycle-Dehaze: GFLOPs"].endswith("of the same graph 332.745, of the network that dehazes 305.114")
    assert how["AOD-Net: GFLOPs"].endswith("of the same graph 0.996")


def test_the_true_count_of_cycle_dehaze_has_both_of_its_parts():
    image = torch.rand(1, 3, 460, 620, device="meta")
    with torch.device("meta"):
        whole = networks.build("cycle_dehaze").eval()
    parts = sum(cost.true_gflops(part, image) for part in (whole.generator, whole.discriminator))
    assert audit.true_gflops("cycle_dehaze") == pytest.approx(parts)


def test_bilinear_interpolation_is_exact_on_the_upsampled_target_only():
    native, upsampled = audit.findings("bilinear", pairs(32, 40)).computed
    assert 5 < native < 60 and upsampled == np.inf


def test_the_gradient_share_equals_that_of_the_literal_form():
    torch.manual_seed(0)
    clear = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    output = (clear + 0.1 * torch.randn_like(clear)).requires_grad_()
    teacher = torch.nn.functional.interpolate(clear, scale_factor=2, mode="bilinear")
    low, high = (torch.nn.functional.avg_pool2d(x, k).flatten(2) for x, k in ((output, 4), (teacher, 8)))
    norm = (low.mT @ low - high.mT @ high).square().sum().sqrt() / low.shape[-1] ** 2
    affinity, = torch.autograd.grad(0.25 * norm, output)
    reconstruction = 2 * (output - clear) / output.numel()
    expected = (affinity.norm() / reconstruction.norm()).item()
    assert audit.gradient_ratio(output, clear) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_the_module_holds_less_than_one_percent_of_the_gradient_of_whole_images():
    made, state = pairs(464, 624), torch.get_rng_state()
    table = audit.findings("gradient", made).set_index("finding").computed
    assert torch.equal(torch.get_rng_state(), state)
    assert len(table) == 5 and table.between(0, 1, inclusive="neither").all()
    assert table.iloc[0] < table.iloc[1:].min()  # least at initialisation
    assert table[table.index.str.contains("haze")].is_monotonic_increasing  # the better the output, the more
    with pytest.raises(ValueError, match="below 460 x 620"):
        audit.gradient_shares(pairs(64, 64))


def test_an_untrained_teacher_shows_black():
    assert 0 < max(audit.untrained_teacher(pairs(64, 64))) < 5


def test_half_the_turned_images_carry_black_bars():
    shares = np.array(audit.black_bars(400))
    assert 0.42 < (shares > 0).mean() < 0.58 and shares.max() == pytest.approx((62 - 46) / 62)


def test_the_literal_form_loses_digits_in_32_bits_and_the_other_does_not():
    (_, n, literal), (_, _, products) = audit.float32_errors(pairs(256, 256), sides=(256,))
    assert n == 4096 and abs(products) < 1e-4 and abs(literal) > 10 * abs(products)


def test_facts_of_the_networks_that_claims_rest_on_too():
    assert audit.normalised_twice() == 3 * 2 * (56 + (3 * 56 + 12) + 4 * (4 * 12) + (3 * 12 + 56))
    assert audit.student_sides() == [(460, 620)] * 3


@pytest.mark.parametrize("printed, value, agrees", [
    ("0.122", 0.122458, "yes"), ("0.122", 0.1231, "no"), ("15", 15.05, "yes"), ("", 1.0, ""), ("a 2", 2.0, "")])
def test_a_number_agrees_within_its_last_printed_digit(printed, value, agrees):
    assert audit.agrees(printed, value) == agrees
