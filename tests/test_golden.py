"""What refactoring must not change: golden data, compared as data. See golden_facts.py."""

import json
import math

import pytest

import golden_facts

RELATIVE, ABSOLUTE = 1e-9, 1e-10
TOLERANCES = {"room": 0.01, "shipped_student": 1e-4}  # absolute, where the kind of processor decides the last digits


def differences(made, golden, absolute: float, where: str = "") -> list[str]:
    """Returns one line for each place in which two structures of plain values differ."""
    if isinstance(made, dict) and isinstance(golden, dict):
        lost = [f"{where}/{key}: only in the golden data" for key in golden.keys() - made.keys()]
        new = [f"{where}/{key}: not in the golden data" for key in made.keys() - golden.keys()]
        both = [differences(made[key], golden[key], absolute, f"{where}/{key}") for key in golden if key in made]
        return sum(both, lost + new)
    if isinstance(made, (list, tuple)) and isinstance(golden, list) and len(made) == len(golden):
        both = [differences(a, b, absolute, f"{where}/{i}") for i, (a, b) in enumerate(zip(made, golden))]
        return sum(both, [])
    if isinstance(made, float) and isinstance(golden, float):
        same = math.isclose(made, golden, rel_tol=RELATIVE, abs_tol=absolute)
    else:
        same = made == golden and type(made) is type(golden)
    return [] if same else [f"{where}: {made!r}, golden {golden!r}"]


@pytest.mark.parametrize("name", golden_facts.FACTS)
def test_a_fact_is_as_in_the_golden_data(name):
    golden = json.loads((golden_facts.GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = differences(golden_facts.FACTS[name](), golden, TOLERANCES.get(name, ABSOLUTE))
    assert not found, f"{len(found)} differences from tests/golden/{name}.json:\n" + "\n".join(sorted(found)[:20])


def test_every_golden_file_has_its_fact():
    assert {file.stem for file in golden_facts.GOLDEN.iterdir()} == set(golden_facts.FACTS)


def test_every_committed_run_reads_back_to_the_id_of_its_folder():
    ids = golden_facts.committed_runs()
    assert ids and all(folder == made for folder, made in ids.items())


@pytest.mark.parametrize("made", [
    {"a": [1.0, "x"]}, {"a": [1.0, "x", 2], "b": 1}, {"a": [1.0 + 1e-8, "x", 2]}, {"a": [1.0, "x", None]}, {}])
def test_a_difference_is_found(made):
    golden = {"a": [1.0, "x", 2]}
    assert differences(made, golden, ABSOLUTE)
    assert not differences({"a": [1.0 + 1e-12, "x", 2]}, golden, ABSOLUTE)
