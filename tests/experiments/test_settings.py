"""Settings: the profiles, and what is refused, in one line wherever it was given."""

import pytest
import torch
import yaml

from dehazelib import Study, paths
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.options import one_line
from dehazelib.experiments.settings import Settings

PROFILES = sorted(path.stem for path in paths.PROFILES.glob("*.yaml"))


def test_every_profile_loads_and_is_named_after_its_file(monkeypatch, tmp_path):
    monkeypatch.setenv("DEHAZE_DATA", str(tmp_path))
    assert set(PROFILES) == {"smoke", "demo", "cpu", "budget", "paper"}
    assert all(Settings.load(name).profile == name for name in PROFILES)


def test_a_profile_holds_only_differences_from_the_defaults():
    defaults = Settings()
    for file in paths.PROFILES.glob("*.yaml"):
        for name, value in (yaml.safe_load(file.read_text()) or {}).items():
            assert value != getattr(defaults, name), f"{file.name}: {name} is the default"


@pytest.mark.parametrize("overrides, message", [
    ({"sed": 1}, "Unknown setting 'sed': did you mean seed?"),
    ({"student_step": 5}, "did you mean student_steps?"),
    ({"nothing_like_it": 1}, "use one of accelerator, devices,"),
    ({"seed": "1"}, "seed must be a whole number, and this is text: write 1."),
    ({"seed": "one"}, "seed must be a whole number, not 'one'."),
    ({"seed": 1.5}, "seed must be a whole number, not 1.5."),
    ({"seed": -1}, "seed is -1: it must be greater than or equal to 0"),
    ({"student_steps": 0}, "student_steps is 0: it must be greater than 0"),
    ({"test_pairs": -1}, "test_pairs is -1: it must be"),
    ({"track_test": 1}, "track_test must be true or false, not 1: write true."),
    ({"baselines": "aod_net"}, "baselines must be a list, and this is text: write [aod_net]."),
    ({"recipe": "moden"}, "recipe is 'moden': use one of paper, released, modern."),
    ({"readings": ["as_told"]}, "readings[0] is 'as_told'"),
    ({"ablations": ["w0.3"]}, "ablations[0] is 'w0.3': use one of lr, w0.50,"),
    ({"baselines": ["resnet"]}, "baselines[0] is 'resnet': use one of all, aod_net,"),
    ({"single_seed": ["ffanet"]}, "single_seed[0] is 'ffanet': did you mean ffa_net?"),
    ({"baseline_changes": {"gcnet": {}}}, "baseline_changes is 'gcnet': did you mean gcanet?"),
    ({"precision": "16-mixed"}, "precision is '16-mixed': use one of 32-true, bf16-mixed."),
    ({"accelerator": "gpu"}, "accelerator is 'gpu': use one of auto, cpu, cuda, mps."),
    ({"search": {"mine": {"lr": "1e-3"}}}, "search.mine.lr must be a number, and this is text: write 0.001."),
    ({"search": {"mine": {"lr": "1e-5"}}}, "write 1.0e-05."),
    ({"longest": [{"stepz": 1}]}, "'longest[0].stepz': did you mean steps?"),
    ({"longest": [{"steps": 1}, {"loss": "l3"}]}, "longest[1].loss is 'l3': use one of mse, l1,"),
    ({"data": 3}, "data must be text, not 3: write '3', with quotes."),
    ({"profile": "demo"}, "profile cannot be overridden"),
    ("student_steps=5", "overrides is 'student_steps=5': give settings by name"),
])
def test_what_does_not_fit_is_named_in_one_line_with_the_nearest_that_does(overrides, message):
    for load in (Settings.load, Study.open):
        with pytest.raises(ValueError) as error:
            load("smoke", overrides=overrides)
        assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text, message", [
    ("teacher_stepz: 1", "did you mean teacher_steps"), ("seeds: [1", "is not YAML"), ("- seeds", "NAME: VALUE"),
    ("search: {a: {lr: 1e-3}}", "write 0.001")])
def test_a_wrong_line_of_a_profile_is_named_with_its_file(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"^{tmp_path}/mine.yaml[^\n]*{message}[^\n]*$"):
        Settings.load(str(tmp_path / "mine.yaml"))


def test_a_profile_of_ones_own_is_given_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("seeds: 2\n")
    monkeypatch.chdir(tmp_path)
    for where in ("mine.yaml", tmp_path / "mine.yaml"):
        settings = Settings.load(str(where))
        assert (settings.name, settings.seeds) == ("mine", 2)


@pytest.mark.parametrize("profile", ["huge", "none.yaml", 3, ""])
def test_an_unknown_profile_is_named(profile):
    with pytest.raises(ValueError, match=f"{profile!r}: give its name|No profile {profile!r}. There are: .*demo"):
        Settings.load(profile)


def test_what_is_given_goes_before_the_profile():
    settings = Settings.load("demo", seed=3, overrides={"student_steps": 7, "seeds": 1})
    assert (settings.seed, settings.student_steps, settings.seeds) == (3, 7, 1)
    assert settings.teacher_steps == Settings.load("demo").teacher_steps != Settings().teacher_steps
    assert Settings.load("demo", data="rooms", seed=None) == Settings.load("demo")


def test_data_may_begin_with_a_tilde_or_name_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEHAZE_DATA", str(tmp_path / "my data"))
    assert Settings.load(data="~/my data").data == Settings.load("budget").data == str(tmp_path / "my data")
    assert Settings.load("budget", "rooms").data == "rooms"
    monkeypatch.delenv("DEHAZE_DATA")
    with pytest.raises(ValueError, match="budget.yaml: data is .*the variable is not set: export DEHAZE_DATA"):
        Settings.load("budget")


def test_the_hardware_is_the_part_of_the_settings_that_training_needs():
    settings = Settings.load(overrides={"devices": 2, "num_nodes": 3, "resident": False})
    assert settings.hardware == Hardware(devices=2, num_nodes=3, resident=False)
    assert settings.hardware.processes == 6


@pytest.mark.parametrize("value", [1e-5, 0.25, 3, True, None, "a: b", "~", {"a": [{"lr": 1e-3}, "é"]}, {}, []])
def test_a_value_as_a_line_of_yaml_reads_back_as_itself(value):
    assert yaml.safe_load(one_line(value)) == value and "\n" not in one_line(value)


@pytest.mark.parametrize("gpu", [True, False])
def test_the_accelerator_names_the_device_of_scoring_if_there_is_one(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: not gpu)
    here, absent = ("cuda", "mps") if gpu else ("mps", "cuda")
    devices = {name: Hardware(accelerator=name).device.type for name in ("auto", "cpu", here)}
    assert devices == {"auto": "cuda" if gpu else "cpu", "cpu": "cpu", here: here}
    with pytest.raises(ValueError, match=f"accelerator is {absent}, which this torch cannot use here: choose cpu"):
        Hardware(accelerator=absent).device
