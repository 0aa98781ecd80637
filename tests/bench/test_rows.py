"""A machine's new rows replace its earlier ones; other machines' rows stay."""

import pandas as pd
import pytest

from dehazelib import provenance
from dehazelib.bench.rows import PROVENANCE, by_machine, keep, replace


@pytest.fixture
def machine(monkeypatch):
    """Sets what provenance says this machine is."""

    def set_(processor, gpu=""):
        facts = {"processor": processor, "threads": 2, "gpu": gpu, "torch": "t", "commit": "c"}
        monkeypatch.setattr(provenance, "environment", lambda: facts)

    return set_


def timed(**ms):
    return pd.DataFrame([{"method": m, "repeat": i, "ms": float(t)} for m, ts in ms.items() for i, t in enumerate(ts)])


def test_kept_rows_replace_this_machine_s_and_leave_the_others(tmp_path, machine):
    for name, gpu, ms in (("fast", "", 1), ("slow", "", 9), ("slow", "GPU", 4), ("slow", "", 8)):
        machine(name, gpu)
        kept = keep(timed(a=[ms]), "speed", tmp_path)
    written = pd.read_csv(tmp_path / "speed.csv")
    assert list(written) == ["method", "repeat", "ms", *PROVENANCE] and len(kept) == len(written) == 3
    assert set(zip(written.processor, written.gpu.fillna(""), written.ms)) == {
        ("fast", "", 1), ("slow", "GPU", 4), ("slow", "", 8)}


def test_rows_of_no_known_machine_give_way(tmp_path, machine):
    machine("fast", "")
    timed(a=[1]).to_csv(tmp_path / "speed.csv", index=False)
    assert keep(timed(a=[2]), "speed", tmp_path).ms.tolist() == [2]
    assert pd.read_csv(tmp_path / "speed.csv").ms.tolist() == [2]


def test_machines_stand_side_by_side(tmp_path, machine):
    for name, gpu, ms in (("fast", "", [1, 2, 9]), ("slow", "GPU", [4])):
        machine(name, gpu)
        keep(timed(a=ms).assign(size=8), "speed", tmp_path)
    table = by_machine(pd.read_csv(tmp_path / "speed.csv"))
    assert table.to_dict("records") == [{"method": "a", "size": 8, "fast, 2 threads": 2, "GPU": 4}]


@pytest.mark.parametrize("changed, latencies", [({}, [2]), ({"height": 230}, [1, 2]), ({"device": "GPU"}, [1, 2])])
def test_rows_with_another_key_stay(tmp_path, changed, latencies):
    row = {"name": "student", "height": 460, "device": "cpu", "ms": 1.0}
    replace(pd.DataFrame([row]), tmp_path / "compute.csv", ["name", "height", "device"])
    rows = replace(pd.DataFrame([row | {"ms": 2.0} | changed]), tmp_path / "compute.csv", ["name", "height", "device"])
    assert rows.ms.tolist() == pd.read_csv(tmp_path / "compute.csv").ms.tolist() == latencies
