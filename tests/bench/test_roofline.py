"""A pass by its operations: their work, and the probes of the machine's peak."""

import pandas as pd
import pytest
import torch

from dehazelib import networks
from dehazelib.bench import roofline
from dehazelib.evaluation import cost


def test_layers_add_up_to_the_student_s_multiply_adds():
    table = roofline.layers(size=(16, 24), repeats=1)
    convolutions = table[table.name.str.startswith("conv")]
    assert set(table.columns) == {"name", "device", "repeat", "gflop", "mb", "ms", "kind"}
    expected = cost.true_gflops(networks.build("student"), torch.rand(1, 3, 16, 24))
    assert convolutions.gflop.sum() == pytest.approx(expected, rel=1e-9)
    assert {"conv 3x3, 16 to 16", "conv of one pixel", "add", "mul", "relu", "mean"} <= set(table.name)
    one = table.set_index("name").loc["conv 3x3, 3 to 16"]
    assert one.mb == pytest.approx(4e-6 * (3 * 16 * 24 + 16 * 16 * 24 + 16 * 3 * 9 + 16))  # input, output, weight, bias
    assert (table.ms > 0).all()


def test_the_backward_pass_of_a_convolution_counts_both_of_its_products():
    image, layer = torch.rand(2, 3, 9, 8, requires_grad=True), torch.nn.Conv2d(3, 4, 3, padding=1)
    table = roofline.operations(lambda: layer(image).sum().backward(), repeats=2).set_index("name")
    forward, backward = (table.loc[f"{name}conv 3x3, 3 to 4"] for name in ("", "backward of "))
    assert forward.repeat.tolist() == [0, 1]
    assert forward.gflop.tolist() == [pytest.approx(2e-9 * 2 * 72 * 27 * 4)] * 2
    assert backward.gflop.tolist() == [pytest.approx(2 * forward.gflop.iloc[0])] * 2


def test_probes_state_their_work_and_are_kept_with_the_layers(monkeypatch, tmp_path):
    for name, value in {"MATRIX": {"cpu": 8, "cuda": 8}, "CHANNELS": 2, "ARRAY": {"cpu": 16, "cuda": 16}}.items():
        monkeypatch.setattr(roofline, name, value)
    table = roofline.run(tmp_path, (16, 24))
    assert len(pd.read_csv(tmp_path / "roofline.csv")) == len(table)
    probes = table[(table.kind == "probe") & (table.device == "cpu")].drop_duplicates("name").set_index("name")
    assert probes.gflop["matrix product"] == pytest.approx(2e-9 * 8**3)
    assert probes.mb["memory"] == pytest.approx(12e-6 * 16)
    assert set(table.kind) == {"layer", "probe"}
