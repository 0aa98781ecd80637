"""The folder of runs: loaded, scored once, collected into the study's rows."""

import dataclasses
import json
import threading
from hashlib import sha256

import pandas as pd
import pytest

from dehazelib.data.images import DataError
from dehazelib.data.sources import open_data
from dehazelib.experiments import plan
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import Spec
from dehazelib.training import runs
from dehazelib.training.checkpoint import CHECKPOINT, WEIGHTS
from dehazelib.training.collect import collect
from dehazelib.training.state import TrainingState


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEHAZE_RESULTS", str(tmp_path_factory.mktemp("results")))
        yield patch


@pytest.fixture(scope="module")
def settings(results):
    return Settings(student_steps=2, teacher_steps=2, student_crop=32, validations=1, test_pairs=2,
                    validation_pairs=1, student_batch=2)


@pytest.fixture(scope="module")
def finished(settings):
    specs = [plan.framework(settings, "as_released"), plan.student(settings), plan.controls(settings)[0]]
    return runs.train_or_load(settings, specs)


@pytest.mark.slow
def test_asking_for_a_framework_trains_its_teacher_first(settings, finished):
    teacher = runs.find(settings.runs_folder, finished[0].spec.teacher)
    assert teacher.done and teacher.spec.network == "dsc_mc_fsrcnn"


def test_a_finished_run_is_loaded_without_opening_data(settings, finished, monkeypatch):
    monkeypatch.setattr(runs, "open_data", lambda where: pytest.fail("the data were opened"))
    before = (finished[1].folder / WEIGHTS).stat().st_mtime_ns
    again = runs.train_or_load(settings, [finished[1].spec])
    assert (again[0].folder / WEIGHTS).stat().st_mtime_ns == before


def test_scores_are_kept_while_the_others_are_computed(settings, finished, monkeypatch):
    one, pairs, calls = finished[1], open_data("rooms").tests["motorcycle"], []
    whole, before = runs.scores, one.scores()
    runs.write_csv(before[before.test_set != "motorcycle"], one.folder / runs.SCORES)

    def killed(network, spec, rest):
        calls.append(len(rest))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(network, spec, rest)

    monkeypatch.setattr(runs.Run, "part", 2)
    monkeypatch.setattr(runs, "scores", killed)
    with pytest.raises(KeyboardInterrupt):
        one.score(pairs)
    assert calls == [2, 1] and (one.scores().test_set == "motorcycle").sum() == 2
    assert len(one.score(pairs)) == 3 and calls == [2, 1, 1]
    runs.write_csv(before, one.folder / runs.SCORES)


@pytest.mark.slow
def test_a_network_fitted_to_each_image_has_its_own_seed_and_minutes_and_fewer_of_the_same_pairs(settings, finished):
    few = settings.replace(test_pairs=4, zero_shot_steps=1, zero_shot_pairs=2)
    specs = [plan.baseline(few, "zid").replace(seed=seed) for seed in (0, 1)]
    first, second = runs.train_or_load(few, specs)
    wider = {pair.name for pair in open_data("rooms").tests["rooms"].subset(4).pairs}
    assert set(first.scores().image) == set(second.scores().image) < wider and len(first.scores()) == 2
    assert (first.scores().psnr_rgb != second.scores().psnr_rgb).all()
    minutes = first.provenance()["minutes"]
    whole = few.replace(zero_shot_pairs=0)
    assert minutes > 0 and first.scored(few) and not first.scored(whole)
    (again,) = runs.train_or_load(whole, specs[:1])
    assert set(again.scores().image) == wider and again.provenance()["minutes"] > minutes
    assert len(first.study_scores(few)) == 2 and len(first.study_scores(whole)) == 4
    assert not first.scored(few.replace(test_pairs=9))  # two of other pairs


def test_only_missing_images_are_scored(settings, finished, monkeypatch):
    one, pairs = finished[1], next(iter(open_data("rooms").tests.values()))
    known, computed = one.scores(), []
    whole = runs.scores
    monkeypatch.setattr(runs, "scores",
                        lambda network, spec, rest: computed.extend(rest.pairs) or whole(network, spec, rest))
    rows = one.score(pairs.subset(3))
    assert len(rows) == 3 and len(computed) == len(set(rows.image) - set(known[known.test_set == "rooms"].image)) > 0
    pd.testing.assert_frame_equal(one.scores().head(len(known)), known)


def test_a_study_collects_the_images_it_asked_for_and_no_others(settings, finished):
    collect(settings)
    rows = pd.read_csv(settings.folder / "scores.csv", dtype={"image": str})
    assert rows.groupby(["label", "test_set"]).image.nunique().loc["student"].to_dict() == {"motorcycle": 2, "rooms": 2}
    assert not rows.duplicated(["run", "test_set", "image"]).any()


def test_rows_carry_their_provenance(settings, finished):
    collect(settings)
    table = pd.read_csv(settings.folder / "runs.csv").set_index("label")
    wanted = ["manifest", "seed", "commit", "processor", "cores", "threads", "torch", "minutes", "peak_memory_mb",
              "steps", "lr"]
    assert table.loc["student", wanted].notna().all()
    weights = (finished[1].folder / WEIGHTS).read_bytes()
    assert finished[1].provenance()["weights_sha256"] == sha256(weights).hexdigest()
    assert table.loc["student", "parameters"] == 96_007 and table.loc["student", "training_images"] == 4
    environment = json.loads((settings.folder / "environment.json").read_text())
    assert environment["manifest"] == table.loc["student", "manifest"]


def test_a_run_is_refused_on_other_data(settings, finished):
    one = finished[1]
    (one.folder / "manifest.txt").write_text("ffffffffffff\n")
    with pytest.raises(DataError, match="was made of data with manifest ffffffffffff"):
        one.train(open_data("rooms"))
    (one.folder / "manifest.txt").write_text(open_data("rooms").manifest + "\n")


def test_a_control_is_refused_on_other_data_even_if_it_was_made_before_manifests_were_kept(settings, finished):
    one, data = finished[2], open_data("rooms")
    other = dataclasses.replace(data, manifest="ffffffffffff")
    assert (one.folder / "manifest.txt").read_text().strip() == data.manifest
    for _ in range(2):
        with pytest.raises(DataError, match=f"was made of data with manifest {data.manifest}, rooms has ffffffffffff"):
            one.train(other)
        (one.folder / "manifest.txt").unlink(missing_ok=True)
    assert one.train(data).manifest() == data.manifest


def test_a_study_takes_no_new_run_on_other_data_than_those_of_its_finished_runs(settings, finished, monkeypatch):
    other = dataclasses.replace(open_data("rooms"), manifest="ffffffffffff", where="/elsewhere")
    monkeypatch.setattr(runs, "open_data", lambda where: other)
    missing = plan.student(settings, seed=7)
    with pytest.raises(DataError, match="was made of data with manifest .*, /elsewhere has ffffffffffff"):
        runs.train_or_load(settings, [missing])
    assert not runs.run(settings.runs_folder, missing).folder.exists()
    assert len(runs.train_or_load(settings, [finished[1].spec])) == 1  # nothing is missing: nothing is opened


def test_a_run_that_another_process_trains_is_waited_for_and_loaded(tmp_path, monkeypatch, capfd):
    """A thread stands for the second process: the lock belongs to the open file."""
    monkeypatch.setattr(runs, "train", lambda *_: pytest.fail("it was trained twice"))
    one, data = runs.Run(tmp_path, Spec(steps=1)), open_data("rooms")
    second = threading.Thread(target=one.train, args=(data,))
    with one.locked():
        second.start()
        second.join(0.5)
        assert second.is_alive() and "another process works on it; waiting" in capfd.readouterr().err
        one.write_provenance(data, {})  # the first one has finished
    second.join(60)
    assert not second.is_alive() and one.done


def test_only_the_first_of_several_processes_writes_specification_and_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda *_: {})
    monkeypatch.setenv("RANK", "1")
    one = runs.Run(tmp_path, Spec(steps=1)).train(open_data("rooms"))
    assert list(one.folder.iterdir()) == []


def test_a_run_comes_after_all_runs_that_it_goes_on_from_and_their_teachers(settings):
    phases = settings.replace(longest=[{"steps": 1}] * 4)
    every = plan.every(phases)
    last = next(spec for spec in every if spec.label == "longest-framework")
    order = [spec.label for spec in runs.with_predecessors([last], every)]
    phases_before = [f"longest-framework-phase{i}" for i in (1, 2, 3)]
    assert order == ["dsc_mc_fsrcnn-upsampled", *phases_before, "longest-framework"]
    assert runs.with_predecessors([last, *every], every)[:5] == runs.with_predecessors([last], every)


def test_what_a_finished_run_started_from_is_not_trained_for_those_that_go_on_from_it(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    stages = settings.replace(longest=[{"steps": 1}, {"steps": 2}, {"steps": 3}])
    _, middle, last = plan.longest(stages)[:3]
    provenance = stages.runs_folder / middle.id / runs.PROVENANCE
    provenance.parent.mkdir(parents=True)
    provenance.write_text("{}")
    trained = []
    monkeypatch.setattr(runs.Run, "train", lambda run, *_: trained.append(run.spec))
    monkeypatch.setattr(runs.Run, "score_all", lambda *_: None)
    runs.train_or_load(stages, [last])
    assert trained == [last]


def test_runs_are_returned_in_the_order_they_were_asked_for(settings, finished):
    specs = [one.spec for one in finished] + [runs.find(settings.runs_folder, finished[0].spec.teacher).spec]
    assert [one.spec for one in runs.train_or_load(settings, specs)] == specs


def test_weights_that_are_not_there_are_missed_with_what_to_do(settings, finished, tmp_path):
    kept = finished[1].folder / WEIGHTS
    kept.rename(kept.with_suffix(".away"))
    asked = f"its rows were kept without weights: remove {finished[1].folder} to train"
    with pytest.raises(FileNotFoundError, match=asked):
        finished[1].network()
    kept.with_suffix(".away").rename(kept)
    with pytest.raises(FileNotFoundError, match="train the run first"):
        runs.Run(tmp_path, Spec()).network()


def test_damaged_weights_are_named_with_what_to_do(tmp_path):
    one = runs.Run(tmp_path, Spec())
    one.folder.mkdir()
    (one.folder / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(DataError, match=f"{WEIGHTS}: not a safetensors file .*: remove {one.folder} to train it again"):
        one.network()


def test_a_crash_after_the_last_step_loses_no_training(tmp_path, monkeypatch):
    one = runs.Run(tmp_path, Spec(network="aod_net", steps=2, batch=1, crop=16, validation_pairs=1))
    data = open_data("rooms")
    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write_provenance", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            one.train(data)
    weights = (one.folder / WEIGHTS).read_bytes()
    assert (one.folder / CHECKPOINT).exists() and not one.done
    monkeypatch.setattr(TrainingState, "update", lambda *_: pytest.fail("it was trained again"))
    one.train(data)
    assert one.done and (one.folder / WEIGHTS).read_bytes() == weights and not (one.folder / CHECKPOINT).exists()


def test_an_unknown_run_names_those_that_are_there(settings, finished):
    with pytest.raises(FileNotFoundError, match="No run nothing-s0-00000000 in .*student-s0"):
        runs.find(settings.runs_folder, "nothing-s0-00000000")


def test_the_last_of_the_longest_runs_are_scored_on_all_pairs_the_others_on_some():
    settings = Settings(longest=[{"steps": 1}, {"steps": 1}], onward=[{"steps": 1}])
    data = open_data("rooms")
    everything = len(next(iter(data.tests.values())))
    counts = {spec.label: len(runs.test_sets(settings, data, spec)[0]) for spec in plan.longest(settings)}
    whole = {label for label, count in counts.items() if count == everything}
    assert whole == {*plan.LONG, plan.HAZY_ALL, plan.PRIOR_ALL} and settings.test_pairs < everything


def test_the_mean_over_all_validation_pairs_is_in_the_rows_once_they_are_scored(settings):
    data = open_data("rooms")
    (one,) = runs.train_or_load(settings, [plan.student(settings)])
    held_out = one.score(data.validation).psnr_rgb.mean()
    collect(settings)
    rows = pd.read_csv(settings.folder / "runs.csv").set_index("run")
    assert rows.held_out_psnr_rgb[one.spec.id] == pytest.approx(held_out)
    kept = pd.read_csv(settings.folder / "scores.csv")
    assert not kept.test_set.str.endswith("_validation").any(), "validation scenes are no test scenes"
