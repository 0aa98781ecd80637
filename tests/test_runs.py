"""The cabinet of runs: loaded, scored once, collected into the study's rows."""

import json

import pandas as pd
import pytest

from dehazelib import runs, study
from dehazelib.data.images import DataError
from dehazelib.data.pairs import open_data
from dehazelib.training import WEIGHTS


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEHAZE_RESULTS", str(tmp_path_factory.mktemp("results")))
        yield patch


@pytest.fixture(scope="module")
def settings(results):
    return study.load("smoke", student_steps=2, teacher_steps=2, student_crop=32, validations=1, test_pairs=2,
                      validation_pairs=1, student_batch=2)


@pytest.fixture(scope="module")
def finished(settings):
    specs = [study.framework(settings, "as_released"), study.student(settings), study.controls(settings)[0]]
    return runs.obtain(settings, specs)


def test_asking_for_a_framework_trains_its_teacher_first(settings, finished):
    teacher = runs.find(settings.cabinet, finished[0].spec.teacher)
    assert teacher.done and teacher.spec.network == "dsc_mc_fsrcnn"


def test_a_finished_run_is_loaded_without_opening_data(settings, finished, monkeypatch):
    monkeypatch.setattr(runs, "open_data", lambda where: pytest.fail("the data were opened"))
    before = (finished[1].folder / WEIGHTS).stat().st_mtime_ns
    again = runs.obtain(settings, [finished[1].spec])
    assert (again[0].folder / WEIGHTS).stat().st_mtime_ns == before


def test_only_missing_images_are_scored(settings, finished, monkeypatch):
    one, pairs = finished[1], next(iter(open_data("rooms").tests.values()))
    known, computed = one.scores(), []
    whole = runs.scores
    monkeypatch.setattr(runs, "scores", lambda network, spec, rest: computed.extend(rest.pairs) or whole(network, spec, rest))
    rows = one.score(pairs.some(3))
    assert len(rows) == 3 and len(computed) == len(set(rows.image) - set(known[known.test_set == "rooms"].image)) > 0
    pd.testing.assert_frame_equal(one.scores().head(len(known)), known)


def test_a_study_collects_the_images_it_asked_for_and_no_others(settings, finished):
    runs.collect(settings)
    rows = pd.read_csv(settings.folder / "scores.csv", dtype={"image": str})
    assert rows.groupby(["label", "test_set"]).image.nunique().loc["student"].to_dict() == {"motorcycle": 2, "rooms": 2}
    assert not rows.duplicated(["run", "test_set", "image"]).any()


def test_rows_carry_their_provenance(settings, finished):
    runs.collect(settings)
    table = pd.read_csv(settings.folder / "runs.csv").set_index("label")
    wanted = ["manifest", "seed", "commit", "processor", "torch", "minutes", "peak_memory_mb", "steps", "lr"]
    assert table.loc["student", wanted].notna().all()
    assert table.loc["student", "parameters"] == 96_007 and table.loc["student", "training_images"] == 4
    environment = json.loads((settings.folder / "environment.json").read_text())
    assert environment["manifest"] == table.loc["student", "manifest"]


def test_collecting_twice_writes_the_same_bytes(settings, finished):
    names = ("scores.csv", "runs.csv", "curves.csv", "environment.json")
    runs.collect(settings)
    first = [(settings.folder / name).read_bytes() for name in names]
    runs.collect(settings)
    assert first == [(settings.folder / name).read_bytes() for name in names]


def test_a_run_is_refused_on_other_data(settings, finished):
    one = finished[1]
    (one.folder / "manifest.txt").write_text("ffffffffffff\n")
    with pytest.raises(DataError, match="was trained on data with manifest ffffffffffff"):
        one.train(open_data("rooms"))
    (one.folder / "manifest.txt").write_text(open_data("rooms").manifest + "\n")


def test_an_unknown_run_names_those_that_are_there(settings, finished):
    with pytest.raises(FileNotFoundError, match="No run nothing-s0-00000000 in .*student-s0"):
        runs.find(settings.cabinet, "nothing-s0-00000000")


def test_the_hazy_input_scores_as_a_run_without_training(finished):
    assert len(finished[2].scores()) == 4 and finished[2].log().empty
