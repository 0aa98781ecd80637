"""Labels of runs are made and read in one place."""

import json

import pytest

from dehazelib import paths
from dehazelib.experiments.variant import Variant


def labels():
    committed = [path.parent.name.rpartition("-s")[0] for path in paths.ROOT.glob("results/cpu-nyu/runs/*/spec.yaml")]
    golden = json.loads((paths.ROOT / "tests/golden/runs.json").read_text())
    planned = [run.rpartition("-s")[0] for stage, runs in golden.items() if "every" not in stage for run in runs]
    return sorted({*committed, *planned})


def test_every_label_says_what_it_was_made_from():
    assert len(labels()) > 90
    for label in labels():
        assert Variant.of(label).label == label


@pytest.mark.parametrize("label, variant", [
    ("student", Variant()),
    ("framework-as_released", Variant(form="as_released")),
    ("framework-as_described-w0.50", Variant(form="as_described", change="w0.50")),
    ("framework-black_teacher", Variant(form="as_released", teacher="black")),
    ("student-equal_budget", Variant(equal_budget=True)),
    ("framework-equal_budget", Variant(form="as_released", equal_budget=True)),
    ("longest-framework-phase12", Variant(form="as_released", long="longest", stage=12)),
    ("onward-student", Variant(long="onward")),
    ("search-lr0.002", Variant(searched=True, change="lr0.002")),
    ("aod_net-affinity", Variant(network="aod_net", form="as_released")),
    ("hazy-all_pairs", Variant(network="hazy", all_pairs=True)),
    ("fsrcnn_x2-native", Variant(network="fsrcnn_x2", target="native")),
])
def test_a_label_is_read_as_it_is_made(label, variant):
    assert Variant.of(label) == variant and variant.label == label


def test_what_follows_from_a_variant():
    of = Variant.of
    assert of("framework-as_released-adaptive").adaptive and of("framework-bilinear_teacher").adaptive
    assert of("mscnn-affinity").adaptive and not of("framework-as_released").adaptive and not of("student").adaptive
    assert of("framework-bilinear_teacher").central and not of("framework-equal_budget").central
    assert not of("search-l1").central and not of("longest-framework").central and not of("hazy").central
    assert not of("search-l1").scored and not of("longest-student-phase1").scored and of("longest-student").scored
    assert of("onward-student").on_all_pairs and of("hazy-all_pairs").on_all_pairs and not of("hazy").on_all_pairs


def test_what_is_no_label_is_refused():
    with pytest.raises(ValueError, match="'no label' is no label of a run"):
        Variant.of("no label")
