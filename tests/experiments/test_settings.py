"""Settings: the profiles, a notebook's parameters, and what is refused."""

import pytest
import yaml

from dehazelib import paths
from dehazelib.experiments import settings as profiles

PROFILES = sorted(path.stem for path in paths.PROFILES.glob("*.yaml"))


def test_every_profile_loads_and_names_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("DEHAZE_DATA", str(tmp_path))
    assert set(PROFILES) == {"smoke", "demo", "cpu", "budget", "paper"}
    assert all(profiles.load(name).profile == name for name in PROFILES)


def test_a_profile_with_an_unset_variable_says_so(monkeypatch):
    monkeypatch.delenv("DEHAZE_DATA", raising=False)
    with pytest.raises(ValueError, match="export DEHAZE_DATA"):
        profiles.load("budget")


@pytest.mark.parametrize("given, message", [
    ({"sed": 1}, "Unknown parameter 'sed' .* did you mean seed"),
    ({"student_step": 5}, "did you mean student_steps"),
    ({"seed": "1"}, "seed .* must be int, not '1'"),
    ({"track_test": 1}, "track_test .* must be bool"),
    ({"recipe": "secret"}, "use one of modern, paper, released|use one of paper, released, modern"),
    ({"readings": ["as_told"]}, "as_told"),
    ({"baseline_changes": {"gcnet": {}}}, "baseline_changes has gcnet: use aod_net"),
    ({"zero_shot_pairs": -1}, "zero_shot_pairs is -1: give a number of pairs, or 0 for all"),
    ({"described_seeds": -1}, "described_seeds is -1: give a number, or 0 for ablation_seeds"),
    ({"baseline_recipe": "own"}, "baseline_recipe is 'own': use one of common, authors"),
    ({"precision": "16-mixed"}, "precision is '16-mixed': use one of 32-true, bf16-mixed"),
    ({"accelerator": "gpu"}, "accelerator is 'gpu': use one of auto, cpu, cuda, mps"),
])
def test_misspelt_or_mistyped_parameters_stop_with_a_clear_message(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        profiles.from_notebook(given)


def test_what_is_no_parameter_is_ignored_in_a_notebook():
    namespace = {"seed": 3, "_i1": "x", "In": [], "Out": {}, "profiles": profiles, "print": print}
    assert profiles.from_notebook(namespace).seed == 3


def test_a_profile_named_by_hand_without_its_settings_is_refused():
    with pytest.raises(ValueError, match=r"none of its settings is there: \w+ is .* = profiles.load\('demo'\) in the"):
        profiles.from_notebook({"profile": "demo", "data": "rooms", "seeds": 1})
    assert profiles.from_notebook(yaml.safe_load((paths.PROFILES / "demo.yaml").read_text())) == profiles.load("demo")
    changed = profiles.from_notebook({"profile": "demo", "student_steps": 5})
    assert (changed.name, changed.student_steps) == ("demo", 5)
    assert profiles.from_notebook({"profile": "mine", "seeds": 2}).name == "mine"


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ValueError, match="demo.*smoke"):
        profiles.load("huge")


def test_a_slow_network_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="single_seed has ffanet: use aod_net"):
        profiles.load("smoke", single_seed=["ffanet"])


def test_a_profile_that_is_no_yaml_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PROFILES", tmp_path)
    (tmp_path / "mine.yaml").write_text("seeds: [1\nprofile: mine\n")
    with pytest.raises(ValueError, match="mine.yaml is not YAML: [^\n]*$"):
        profiles.load("mine")
