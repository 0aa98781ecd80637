"""Each finding, from an independent calculation or by what must follow from it."""

import numpy as np
import pytest
import torch

from dehazelib import networks
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.evaluation import cost as compute
from dehazelib.report import audit


def pairs(height, width, count=2):
    """Smooth random images behind haze; nothing is read from disk."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    images = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    depth = np.linspace(0, 1, width, dtype=np.float32) * np.ones((height, 1), np.float32)
    made = [Pair(f"{i}_1", i, airlight=1.0, beta=1.0) for i in range(count)]
    return Pairs("made", made, images.__getitem__, lambda scene: depth)


def computed(table):
    assert list(table.columns) == audit.COLUMNS and (table.how != "").all()
    return table.set_index("finding").computed


def test_every_row_of_table_9_follows_from_the_profiler_to_the_printed_digit():
    table = audit.table9_method()
    assert len(table) == 8 and (table.agrees == "yes").all()
    how = table.set_index("finding").how
    assert how["Cycle-Dehaze: GFLOPs"].endswith("of the same graph 332.745, of the network that dehazes 305.114")
    assert how["DeHazeNet: GFLOPs"].endswith("of the same graph 4.589, of the network that dehazes 4.700")
    assert how["AOD-Net: GFLOPs"].endswith("of the same graph 0.996")


def test_the_true_count_of_cycle_dehaze_has_both_of_its_parts():
    image = torch.rand(1, 3, 460, 620, device="meta")
    with torch.device("meta"):
        whole = networks.build("cycle_dehaze").eval()
    parts = sum(compute.true_gflops(part, image) for part in (whole.generator, whole.discriminator))
    assert audit.true_gflops("cycle_dehaze") == pytest.approx(parts)


def test_ours_in_table_9_is_the_training_graph_and_not_what_is_deployed():
    table = audit.training_graph()
    assert table.agrees.tolist() == ["yes", "yes", "no", "no", "no"]
    assert table.computed.tolist() == pytest.approx([0.122458, 64.03988, 306.151, 0.096007, 53.690], abs=5e-4)
    assert "6.537" in table.how[1] and "3.813" in table.how[1]


def test_ffa_net_of_the_tables_has_12_blocks_a_group_not_19():
    table = audit.ffa_net_blocks()
    assert table.agrees.tolist() == ["yes", "yes", "no", "no"]
    assert table.computed.tolist()[::2] == [2.870812, 4.455913]


def test_cycle_dehaze_of_the_tables_includes_its_discriminator():
    table = audit.cycle_dehaze_discriminator()
    assert table.agrees.tolist() == ["yes", "yes", "no", "no"]
    assert table.computed.tolist()[::2] == [10.602436, 7.837699]


def test_bilinear_interpolation_is_exact_on_the_upsampled_target_only():
    table = audit.bilinear_target(pairs(32, 40))
    native, upsampled = table.computed
    assert 5 < native < 60 and upsampled == np.inf
    assert table.printed.tolist() == ["", "MC-FSRCNN 67.18"] and "other images than the paper's" in table.how[0]


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
    table = audit.gradient_share(made)
    assert torch.equal(torch.get_rng_state(), state)
    share = computed(table)
    assert len(share) == 5 and share.between(0, 1, inclusive="neither").all()
    assert share.iloc[0] < share.iloc[1:].min()  # least at initialisation
    assert share[share.index.str.contains("haze")].is_monotonic_increasing  # the better the output, the more
    with pytest.raises(ValueError, match="below 460 x 620"):
        audit.gradient_share(pairs(64, 64))


def test_an_untrained_teacher_shows_black():
    level, = computed(audit.untrained_teacher(pairs(64, 64)))
    assert 0 < level < 5


def test_half_the_turned_images_carry_black_bars():
    share, black = computed(audit.black_bars(400))
    assert 42 < share < 58 and black == pytest.approx(100 * (62 - 46) / 62)
    assert computed(audit.black_bars(40, seed=1)).equals(computed(audit.black_bars(40, seed=1)))


def test_the_literal_form_loses_digits_in_32_bits_and_the_other_does_not():
    table = audit.float32_norm(pairs(256, 256), sides=(256,))
    literal, products = computed(table).abs()
    assert "N = 4,096" in table.finding[0] and products < 1e-4 and literal > 10 * products


def test_headline_numbers_follow_from_the_printed_cells():
    table = audit.headline_arithmetic()
    assert table.computed.round(2).tolist() == [15.05, 3.63, 23.53, 0]
    assert table.agrees.tolist() == ["yes", "yes", "", ""]
    assert table.how[3] == "so large within 25 %, as printed: FFA-Net, -0.1 %"


def test_cells_that_contradict_the_networks_or_one_another():
    found = audit.inconsistencies().set_index("finding")
    assert found.computed.round(3).tolist() == [37.911, 28.179, 29.571, 4.804, 1, 0, 27.76, 0.75, 12, 0, 3]
    assert found.agrees.tolist() == ["no", "no", "yes", "yes", "", "", "", "no", "no", "", ""]
    assert "460 x 620, 460 x 620, 460 x 620" in found.how.iloc[4]
    assert "the highest SSIM is that of 0.25; " in found.how.iloc[7]


def test_facts_of_the_networks_that_claims_rest_on_too():
    assert audit.normalised_twice() == 3 * 2 * (56 + (3 * 56 + 12) + 4 * (4 * 12) + (3 * 12 + 56))
    assert audit.student_sides() == [(460, 620)] * 3


@pytest.mark.parametrize("printed, value, agrees", [
    ("0.122", 0.122458, "yes"), ("0.122", 0.1231, "no"), ("15", 15.05, "yes"), ("", 1.0, ""), ("a 2", 2.0, "")])
def test_a_number_agrees_within_its_last_printed_digit(printed, value, agrees):
    assert audit.finding("finding", printed, value, "how")["agrees"] == agrees
