"""A run that is killed or stopped, wherever it is, ends with the same weights and rows once it is started again."""

import pytest

from tests.faults.injection import SAVING, Faults, command, disturbed, events, forked, killed_after, undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name, share", [
    ("step", 0.05), ("step", 0.4), ("step", 0.99), ("validation", 0.5), ("scoring", 0.9), ("open", 0.3),
    ("write", 0.5), ("fsync", 0.7), ("rename", 0.2), ("rename", 0.97),
])
def test_a_killed_command_is_completed_by_the_same_command(tmp_path, name, share):
    places = events(name)
    at = places[int(share * len(places))]
    assert disturbed(tmp_path, lambda: command(tmp_path, Faults(at, "SIGKILL"))) == ""


@pytest.mark.parametrize("share", [0.35, 0.8])
def test_so_is_one_that_is_killed_at_some_moment(tmp_path, share):
    assert disturbed(tmp_path, lambda: killed_after(tmp_path, share * undisturbed()[2])) == ""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stopped_command_says_how_to_go_on_and_does(tmp_path, name):
    stopped = Faults(events("step")[20], name)
    status, said = forked(lambda: command(tmp_path / "stopped", stopped))
    assert status == 130 and said.splitlines()[-1].endswith("the same command goes on from there.")
    assert "Traceback" not in said
    assert disturbed(tmp_path / "results", lambda: command(tmp_path / "results", stopped)) == ""


def test_all_the_places_are_there():
    assert set(SAVING) | {"step", "validation", "scoring"} == set(undisturbed()[1])
