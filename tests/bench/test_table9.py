"""Rows of Table 9: every network, the training graph, and only what this machine lacks."""

import json

import pandas as pd
import pytest
import torch

from dehazelib import networks
from dehazelib.bench import table9
from dehazelib.evaluation import cost
from dehazelib.profiling import memory
from dehazelib.report import rows as measured


@pytest.fixture(scope="module")
def table():
    return table9.measure(["aod_net", "fsrcnn_x4"], (32, 48), seconds=0)


def test_table_9_has_the_training_graph_and_each_network_as_it_runs(table):
    table = table[table.device == "cpu"]
    assert list(zip(table.name, table.form)) == [("full_framework", "training_graph"), ("aod_net", "deployed"),
                                                 ("fsrcnn_x4", "deployed")]
    assert list(zip(table.height, table.width)) == [(32, 48), (32, 48), (8, 12)]
    assert table.parameters.tolist()[:2] == [122_458, 1761]
    assert table.size_mb[1] == cost.size_mb(networks.build("aod_net"))
    assert table.size_torch_mb[1] == cost.size_torch_mb(networks.build("aod_net"))


def test_table_9_rows_have_what_the_study_reads_and_where_they_were_measured(table):
    assert set(measured.REQUIRED["compute"]) <= set(table)
    assert (table.latency_ms_low <= table.latency_ms).all() and (table.latency_ms <= table.latency_ms_high).all()
    assert (table.repeats >= 1).all() and (table.threads == torch.get_num_threads()).all()
    assert table.processor.notna().all() and (table.torch == torch.__version__).all()
    json.dumps(table.to_dict("records"))  # plain values only


def test_a_network_that_fits_each_image_is_measured_for_one_step():
    assert table9.form("zid") == "one_step" and table9.network("zid").steps == 1


def test_all_means_every_network_that_runs_on_an_image_alone(monkeypatch):
    printed = set(measured.published("table9").key) - {table9.GRAPH}
    assert printed | {"zid", "drn_s", "gunet_t"} <= set(table9.ALL)
    assert not {"zid_oracle", "hazy", "bicubic"} & set(table9.ALL)
    monkeypatch.setattr(table9, "ALL", ["aod_net", "student"])
    monkeypatch.setattr(memory, "in_fresh_processes", lambda function, calls: [0.0 for _ in calls])
    rows = table9.measure(["all"], (32, 32), seconds=0)
    assert list(dict.fromkeys(rows.name)) == ["full_framework", "aod_net", "student"]


def test_an_unknown_network_is_named_before_anything_runs():
    with pytest.raises(ValueError, match="No network 'aodnet' to measure.*aod_net"):
        table9.measure(["aodnet"])


def test_table9_measures_only_what_this_machine_lacks(tmp_path, monkeypatch):
    asked = []

    def measure(names):
        asked.append(names)
        facts = {"form": "deployed", "height": 460, "width": 620, "latency_ms": float(len(asked)),
                 **table9._machine("cpu")}
        return pd.DataFrame([{"name": name} | facts for name in [table9.GRAPH, *names]])

    monkeypatch.setattr(table9, "measure", measure)
    file = tmp_path / "compute.csv"
    table9.obtain(["aod_net"], file)
    assert table9.obtain(["aod_net"], file).latency_ms.tolist() == [1.0, 1.0] and asked == [["aod_net"]]
    rows = table9.obtain(["aod_net", "student"], file)
    assert asked[1:] == [["student"]] and set(rows.name) == {table9.GRAPH, "aod_net", "student"}
    other = pd.read_csv(file).assign(processor="another")
    other.to_csv(file, index=False)
    table9.obtain(["aod_net"], file)
    assert asked[2:] == [["aod_net"]]
    assert set(pd.read_csv(file).processor) == {"another", table9._machine("cpu")["processor"]}
