"""A study's missing runs in worker processes: what is needed comes first, one failure leaves the others alone."""

import contextlib

import pytest

from dehazelib.experiments import plan
from dehazelib.experiments.settings import Settings
from dehazelib.training import queue, runs
from dehazelib.training.progress import StageProgress


class Idle:
    """A worker that finishes each run at once, and says that some failed."""

    def __init__(self, given: list, failing: str):
        self.given, self.failing, self.connection = given, failing, self

    def give(self, spec):
        self.given.append(spec.id)

    def result(self):
        return "no luck" if self.failing and self.given[-1].startswith(self.failing) else ""


@pytest.fixture
def share_out(monkeypatch):
    """Gives a function that shares a smoke study's runs out to one such worker: ids in their order, failures."""
    def share(failing=""):
        settings, given = Settings.load("smoke"), []
        monkeypatch.setattr(queue, "_workers", lambda *_: contextlib.nullcontext([Idle(given, failing)]))
        monkeypatch.setattr(queue, "wait", lambda connections, timeout: connections)
        monkeypatch.setattr(queue, "workload", lambda spec, settings: 1.0)
        todo = runs.with_predecessors(plan.every(settings), plan.every(settings))
        with StageProgress("training", "runs", len(todo), len(todo)) as progress:
            return given, queue._share_out(settings, todo, 1, progress), progress
    return share


def test_every_run_is_given_once_and_after_its_teacher(share_out):
    given, failed, progress = share_out()
    settings = Settings.load("smoke")
    assert not failed and progress.done == len(given) == len(set(given)) == len(plan.every(settings))
    for spec in plan.every(settings):
        if spec.teacher in given:
            assert given.index(spec.teacher) < given.index(spec.id)


def test_after_a_failure_the_others_are_finished_and_those_that_need_it_say_so(share_out, capsys):
    teacher = plan.teacher(Settings.load("smoke"))
    given, failed, _ = share_out(teacher.id)
    dependent = [spec.id for spec in plan.every(Settings.load("smoke")) if spec.teacher == teacher.id]
    assert failed == {teacher.id: "no luck"} | dict.fromkeys(dependent, f"needs {teacher.id}, which failed")
    assert not set(dependent) & set(given) and "student-s0" in " ".join(given)
    assert "".join(capsys.readouterr()).count("no luck") == 1


def test_the_time_left_goes_by_the_work_that_is_left(monkeypatch):
    progress = StageProgress("training", "runs", 3, 10.0)
    assert progress.line() == "0 of 3 runs done"
    progress.started -= 120
    progress.advance(4.0)
    assert progress.line() == "1 of 3 runs done, about 4 min left"  # 6 of 10 at 4 in two minutes: three, rounded up
    progress.bar.close()


def test_more_steps_and_pixels_are_more_work():
    settings = Settings.load("smoke")
    student = plan.student(settings)
    assert queue.workload(student.replace(steps=100), settings) > queue.workload(student, settings)
    assert queue.workload(student.replace(crop=0), settings) > queue.workload(student, settings)


@pytest.mark.slow
def test_two_workers_train_what_is_missing_and_a_second_time_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path))
    monkeypatch.setattr(plan, "STAGES", {"central": lambda settings: [plan.student(settings)],
                                         "controls": lambda settings: [plan.controls(settings)[0]]})
    changes = {"student_steps": 1, "student_crop": 16, "validations": 1, "validation_pairs": 1, "test_pairs": 1}
    settings = Settings.load("smoke", overrides=changes)
    assert queue.train_missing(settings, workers=2) == {}
    assert queue.missing(settings) == [] and (settings.folder / "scores.csv").exists()
    began = (settings.folder / queue.LOG).stat().st_mtime_ns
    assert queue.train_missing(settings, workers=2) == {}
    assert (settings.folder / queue.LOG).stat().st_mtime_ns == began
