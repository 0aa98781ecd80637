"""The machine that a row was measured on."""

import pandas as pd
import pytest

from dehazelib.provenance import Machine


@pytest.mark.parametrize("row, machine, name", [
    ({"processor": "EPYC", "threads": 2, "gpu": ""}, Machine("EPYC", 2), "EPYC, 2 threads"),
    ({"processor": "EPYC", "threads": 1.0, "gpu": float("nan")}, Machine("EPYC", 1), "EPYC, 1 thread"),
    ({"processor": "Xeon", "threads": 8, "gpu": "H100"}, Machine("Xeon", 8, "H100"), "H100"),
    ({"processor": "Xeon", "threads": 8, "device": "H100"}, Machine("Xeon", 8, "H100"), "H100"),
    ({"processor": "Xeon", "device": "cpu"}, Machine("Xeon", 0), "Xeon"),
    ({"device": "cpu"}, Machine("", 0), "CPU")])
def test_a_machine_reads_from_any_kind_of_row(row, machine, name):
    frame = pd.DataFrame([row])
    assert Machine.of(row) == Machine.of(frame.iloc[0]) == Machine.of(next(frame.itertuples())) == machine
    assert str(machine) == name
