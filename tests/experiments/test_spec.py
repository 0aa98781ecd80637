"""Specifications: identities of runs, and what is refused."""

import pytest

from dehazelib.experiments.spec import LATER, Spec, read


def test_an_id_depends_on_every_option():
    one = Spec()
    assert one.id != one.replace(lr=1e-4).id and one.id != one.replace(seed=1).id
    assert one.id == Spec().id and one.id.startswith("student-s0-")


def test_equal_specifications_are_one_key():
    assert {Spec(lr=1.0): "a"}[Spec(lr=1)] == "a" and Spec(lr=1).id == Spec(lr=1.0).id
    assert len({Spec(), Spec(), Spec(seed=1)}) == 2
    with pytest.raises(ValueError, match="frozen"):
        Spec().seed = 1


def test_an_option_added_later_leaves_the_ids_of_earlier_runs_alone(monkeypatch):
    run = Spec()
    with_all, other = run.id, run.replace(reduce=2).id
    monkeypatch.setattr("dehazelib.experiments.spec.LATER", (*LATER, "reduce"))
    without = run.id
    assert without != with_all and run.replace(reduce=2).id == other
    monkeypatch.setattr("dehazelib.experiments.spec.LATER", (*LATER, "reduce", "start"))
    assert run.id != without and run.replace(start="x", reduce=2).id == run.replace(reduce=2, start="x").id


def test_a_specification_survives_its_file(tmp_path):
    spec = Spec(lr=1e-5, affinity_weight=0.5, network="gcanet", label="x")
    (tmp_path / "spec.yaml").write_text(spec.text())
    assert read(tmp_path / "spec.yaml") == spec
    (tmp_path / "spec.yaml").write_text(spec.text() + "step: 1\n")
    with pytest.raises(ValueError, match=f"^{tmp_path}/spec.yaml: Unknown option of a run 'step': did you mean steps"):
        read(tmp_path / "spec.yaml")


@pytest.mark.parametrize("changes, message", [
    ({"features": "all"}, "features is 'all': use one of none, outputs"),
    ({"precision": "16-mixed"}, "use one of 32-true, bf16-mixed"),
    ({"features": "outputs"}, "go together"), ({"steps": 0}, "steps is 0: it must be greater than 0"),
    ({"features": "outputs", "teacher": "black", "loss": "objective"}, "needs a plain loss"),
    ({"crop": -4}, "greater than or equal to 0"), ({"train_scenes": -9}, "greater than or equal to 0"),
    ({"schedule": "step"}, "decay_steps"), ({"target": "native"}, "super_resolution"),
    ({"seed": 1.5}, "seed must be a whole number"), ({"optimizer": "lion"}, "use one of adam, adamw"),
    ({"lr": float("nan")}, "lr must be a finite number"), ({"lr": "1e-3"}, "write 0.001"),
])
def test_a_wrong_specification_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Spec(**changes)
