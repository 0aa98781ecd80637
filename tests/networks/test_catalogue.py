"""Every network of the catalogue has its table's size and cost, and what training and testing rely on."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dehazelib import networks
from dehazelib.distillation.objectives import Objective, Reconstruction
from dehazelib.evaluation import cost as compute
from dehazelib.networks import CATALOGUE, ENTRIES, Entry, parameters

NETWORKS = [entry.name for entry in ENTRIES if entry.role != "control" and entry.name != "zid_oracle"]
CONTROLS = [entry.name for entry in ENTRIES if entry.role == "control"]

# Other forms by their parameters: as published where the table measured something else.
OTHER_SIZES = [
    ("mscnn", {"form": "official"}, 8_435),
    ("ffa_net", {"inner_blocks": 19}, 4_455_913),
    ("zid", {"size": (480, 640)}, 48_190_360),  # of another image size
]

# The same code with fewer channels or blocks, for what has to be computed.
SMALL = {
    "ssid": {"width": 16}, "cycle_dehaze": {"width": 8}, "msbdn": {"bottleneck_blocks": 1},
    "ffa_net": {"inner_blocks": 1}, "pfdn": {"blocks": 1}, "dehazing_4k": {"width": 2}, "srresnet": {"blocks": 4},
    "drn_s": {"blocks": 2},
}
TRAINED = {name: (name, SMALL.get(name, {})) for name in NETWORKS if name != "zid"}
TRAINED["mscnn_official"] = "mscnn", {"form": "official"}
CASES = TRAINED | {name: (name, {}) for name in CONTROLS}  # ZID, fitted to each image, has tests of its own
# What takes no part in the image: a discriminator, the smaller images' last layers, a layer never run.
UNUSED = {"cycle_dehaze": ("discriminator.",), "drn_s": ("tails.0.", "tails.1."), "dehazing_4k": ("unused.",)}
OWN_OBJECTIVE = [case for case, (name, _) in TRAINED.items() if CATALOGUE[name].objective]
ADVERSARIAL = ("ssid", "dcpdn", "cycle_dehaze")  # a second group: discriminators


def build(case: str) -> nn.Module:
    name, options = CASES[case]
    network = networks.build(name, **options).eval()
    if name == "dcpdn":
        network.unused = nn.ModuleList()  # four fifths of its parameters, which never run
    return network


def entry_of(case: str) -> Entry:
    return CATALOGUE[CASES[case][0]]


def scale_of(network: nn.Module) -> int:
    return getattr(network, "scale", 1)


def pair(network: nn.Module, batch: int = 2, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns (input, target): smooth scenes behind haze that gets thinner to the right, or reduced."""
    clear = F.interpolate(torch.rand(batch, 3, 8, 8), (side, side), mode="bilinear")
    if scale_of(network) > 1:
        return F.avg_pool2d(clear, scale_of(network)), clear
    transmission = torch.linspace(0.3, 0.9, side)
    return clear * transmission + 0.8 * (1 - transmission), clear


def own_objective(case: str) -> Objective:
    return entry_of(case).objective(build(case).train())


def learn(case: str, objective: Objective, group: int, lr: float, steps: int) -> list[float]:
    """Returns the loss before each of some steps on the same batch, and after the last."""
    batch = pair(objective.network, 2 if case in ADVERSARIAL else 1)  # those mix or normalise over the images
    optimiser, losses = torch.optim.Adam(objective.groups()[group], lr), []
    for _ in range(steps + 1):
        torch.manual_seed(0)  # the same draws in each step where an objective or dropout draws
        loss = objective(group, *batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_an_unknown_name_is_refused_with_the_catalogue():
    with pytest.raises(ValueError, match="'ours'.*student"):
        networks.build("ours")


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES if entry.published_gflops])
def test_gflops_are_those_of_the_table(name):
    printed = float(CATALOGUE[name].published_gflops)
    assert abs(compute.counts(name)["gflops_profiler"] - printed) < 0.001  # rounded or truncated


@pytest.mark.parametrize("name, options, count", OTHER_SIZES)
def test_other_forms_have_their_known_parameters(name, options, count):
    with torch.device("meta"):
        assert parameters(networks.build(name, **options)) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAINED if name in NETWORKS])
def test_the_meta_device_counts_the_same_operations_as_the_cpu(name):
    low = torch.rand(1, 3, 32, 32)
    with torch.device("meta"):
        counted = compute.profiler_gflops(build(name), torch.rand(low.shape))
    assert counted == pytest.approx(compute.profiler_gflops(build(name), low), rel=1e-6) != 0


@pytest.mark.parametrize("case", CASES)
def test_a_small_output_of_any_size_is_finite_and_a_batch_equals_its_items(case):
    network = build(case)
    scale = scale_of(network)
    low = F.interpolate(torch.rand(2, 3, 8, 8), (35 // scale, 53 // scale), mode="bilinear")
    with torch.no_grad():
        together, alone = network(low), torch.cat([network(image[None]) for image in low])
    assert together.shape == (2, 3, low.shape[2] * scale, low.shape[3] * scale) and together.isfinite().all()
    if case != "black":  # whose items are all the same
        error = (together - alone).abs().max()
        assert error < 1e-4 * together.abs().max() and error < 0.01 * (alone[0] - alone[1]).abs().max()


@pytest.mark.parametrize("case", TRAINED)
def test_every_parameter_that_takes_part_receives_a_finite_gradient(case):
    network = build(case).train()
    inputs, target = pair(network)
    F.mse_loss(network(inputs), target).backward()
    for name, parameter in network.named_parameters():
        if name.startswith(UNUSED.get(case, ())):
            assert parameter.grad is None, name
        else:
            assert parameter.grad.isfinite().all(), name
    assert next(network.parameters()).grad.abs().max() > 0  # all the way back to the first layer


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINED)
def test_a_few_steps_on_one_batch_lower_the_loss_it_is_trained_by(case):
    own = entry_of(case).objective
    objective = own_objective(case) if own else Reconstruction(build(case).train(), "mse")
    losses = learn(case, objective, 0, entry_of(case).lr, steps=8)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("case", ADVERSARIAL)
def test_a_discriminator_learns_to_tell_real_from_dehazed(case):
    losses = learn(case, own_objective(case), 1, 1e-4, steps=8)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("case", OWN_OBJECTIVE)
def test_each_group_of_an_objective_trains_its_own_parameters(case):
    objective = own_objective(case)
    groups, batch = objective.groups(), pair(objective.network)
    if case in ADVERSARIAL:  # these take any size
        batch = [images[..., 1:] for images in pair(objective.network, side=70)]  # 70 x 69
    grouped = [parameter for group in groups for parameter in group]
    assert len(groups) == 1 + (case in ADVERSARIAL)
    assert len(grouped) == len(set(grouped)) and set(grouped) == set(objective.parameters())
    for number, group in enumerate(groups):
        objective.zero_grad()
        loss = objective(number, *batch)
        loss.backward()
        assert loss.shape == () and all(parameter.grad.isfinite().all() for parameter in group)
        if number > 0:  # a discriminator's loss leaves the network alone
            assert all(parameter.grad is None for parameter in groups[0])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name in networks.recipes()])
def test_the_recipe_of_the_authors_names_an_objective_exactly_where_the_catalogue_has_one(name):
    entry = CATALOGUE[name]
    assert (networks.recipes()[name].get("loss") == "objective") == (entry.objective is not None)
    assert entry.pairs or entry.objective
