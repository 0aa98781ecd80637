"""The command line: exit status, one line for what is wrong, and files where they were asked for."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dehazelib import cli, networks, paths
from dehazelib.experiments.settings import Settings

TINY = ("student_steps=2 student_batch=1 student_crop=32 validations=1 validation_pairs=1 test_pairs=1 "
        "accelerator=cpu").split()
COMMANDS = ["", "data", "data check", "data make", "train", "score", "networks", "bench", "verdict", "report", "dehaze",
            "export"]


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEHAZE_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("DEHAZE_DATA", raising=False)
    return tmp_path / "results"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "student.safetensors"
    save_file(networks.build("student").state_dict(), file)
    return file


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (41, 30), (200, 190, 180)).save(path)
    return path


@pytest.fixture
def run(capsys):
    """Runs a command in this process; returns exit status, standard output and standard error."""

    def command(*arguments):
        status = cli.main([str(a) for a in arguments])
        return (status, *capsys.readouterr())

    return command


def fails(result, *parts):
    """Asserts exit status 1 and one line on standard error that holds all parts."""
    status, out, err = result
    assert status == 1 and err.startswith("dehazelib: ") and err.count("\n") == 1, err
    for part in parts:
        assert str(part) in err
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([*command.split(), "--help"])
    assert end.value.code == 0 and f"usage: dehazelib {command}".strip() in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "data", "nonsense", "train", "dehaze a.jpg", "networks --cvs",
                                     "dehaze a.jpg --ou out", "train none --prof smoke", "data check . --dee"])
def test_a_command_written_wrongly_gets_its_usage(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(command.split())
    assert end.value.code == 2 and "usage: dehazelib" in capsys.readouterr().err


def test_help_does_not_wait_for_torch():
    code = "import sys; from dehazelib import cli; cli.parser(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.ROOT)


@pytest.mark.parametrize("arguments, parts", [
    (["train", "studnet"], ["No run 'studnet' in the profile smoke: did you mean student?"]),
    (["score", "studnet"], ["No run 'studnet'"]),
    (["train", "all", "--profile", "huge"], ["No profile 'huge'", "smoke"]),
    (["verdict", "--profile", "huge"], ["No profile 'huge'"]),
    (["train", "all", "--set", "studnet_steps=3"], ["'studnet_steps'", "did you mean student_steps?"]),
    (["train", "all", "--set", "student_steps=many"], ["student_steps must be a whole number, not 'many'"]),
    (["train", "all", "--set", "lr"], ["--set lr: write NAME=VALUE"]),
    (["train", "all", "--set", "seed=[1"], ["--set seed=[1", "is not YAML"]),
    (["train", "all", "--set", "recipe=old"], ["recipe is 'old': use one of", "modern"]),
    (["train", "student", "--data", "/no/such/folder"], ["/no/such/folder: no such data root; create it or"]),
    (["train", "search", "--set", "search={mine: {lr: 1e-3}}"], ["search.mine.lr must be a number", "write 0.001"]),
    (["train", "student", "--data", "$DEHAZE_DATA"], ["the variable is not set"]),
    (["data", "check", "/no/such/folder"], ["/no/such/folder: no such data root"]),
    (["score", "student"], ["weights.safetensors is missing: train the run first (dehazelib train student-"]),
    (["score", "none.safetensors"], ["none.safetensors: no such weights"]),
    (["verdict"], ["holds no finished run of the study smoke"]),
    (["report"], ["No study cpu in", "which holds nothing", "make study PROFILE=cpu"]),
    (["dehaze", "a.jpg", "-o", "out", "--weights", "none.safetensors"], ["none.safetensors: no such"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_gets_one_line(run, results, arguments, parts):
    assert fails(run(*arguments), *parts) == ""
    assert not results.exists()


@pytest.mark.parametrize("network, message", [
    ("dsc_mc_fsrcnn", "enlarges images"), ("nix", "No network 'nix'"), ("aod_net", "does not hold a")])
def test_only_a_dehazing_network_s_own_weights_are_scored(run, weights, tmp_path, network, message):
    if network == "dsc_mc_fsrcnn":
        weights = tmp_path / "teacher.safetensors"
        save_file(networks.build(network).state_dict(), weights)
    fails(run("score", weights, "--network", network), message)


def test_data_without_anything_usable_fail_their_check(run, tmp_path):
    report = fails(run("data", "check", tmp_path), "holds nothing to score or train on")
    assert "ITS: download RESIDE-Standard" in report and "SOTS/indoor/gt" in report


def test_data_with_a_fault_fail_their_check(run, tmp_path):
    (tmp_path / "nyu" / "rgb").mkdir(parents=True), (tmp_path / "nyu" / "depth").mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "nyu/rgb/1.png")
    report = fails(run("data", "check", tmp_path), "1 problem(s), listed above")
    assert "1 ids have but one of rgb and depth" in report


def test_as_a_program_it_exits_with_its_status_and_one_line(photo, weights, tmp_path):
    def program(*arguments):
        return subprocess.run([sys.executable, "-m", "dehazelib", *map(str, arguments)], cwd=paths.ROOT,
                              capture_output=True, text=True)

    good = program("dehaze", photo, "-o", tmp_path / "out", "--weights", weights)
    assert good.returncode == 0 and good.stderr.startswith("dehazelib: 1 dehazed into")
    assert (tmp_path / "out" / "photo.png").exists()
    bad = program("train", "studnet")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
    assert "No run 'studnet'" in bad.stderr


def test_settings_are_the_profile_s_with_the_changes_given():
    changes = ["seed=3", "baselines=[aod_net]", "--set", "track_test=true", "precision=bf16-mixed"]
    command = ["train", "all", "--profile", "demo", "--data", "rooms", "--set", *changes]
    assert cli.opened(cli.parser().parse_args(command)).settings == Settings.load("demo", "rooms", 3, {
        "baselines": ["aod_net"], "track_test": True, "precision": "bf16-mixed"})
    assert cli.opened(cli.parser().parse_args(["train", "all"])).settings == Settings()


@pytest.mark.slow
def test_a_run_is_trained_once_scored_and_then_only_loaded(run, results):
    command = ["train", "student", "--set", *TINY]
    status, out, err = run(*command)
    assert status == 0 and out.startswith("student-s0-")
    assert "rooms (1 images)" in out and "motorcycle (1 images)" in out
    (folder,) = (results / "smoke" / "runs").iterdir()
    scores = pd.read_csv(folder / "scores.csv")
    first = scores.iloc[0]
    assert f"{first.psnr_rgb:.2f} dB, SSIM {first.ssim_gauss11_rgb:.4f}" in out and len(scores) == 2
    files = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert run(*command)[:2] == (0, out) and {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == files
    for what in (folder.name, folder / "weights.safetensors"):
        lines = out.replace(folder.name, str(what)).replace("; ", f"\n{what}: ")
        assert run("score", what, "--set", *TINY) == (0, lines, "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_ends_with_one_line_and_goes_on_later(tmp_path, number):
    command = [sys.executable, "-m", "dehazelib", "train", "student", "--set", *TINY, "student_steps=5000"]
    environment = os.environ | {"DEHAZE_CHECKPOINT_SECONDS": "0"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/smoke/runs/*/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.count("\n") == 1
    assert "of 5000. The checkpoint is written: the same command goes on from there." in said


@pytest.mark.slow
def test_the_catalogue_is_listed_with_counts_and_the_paper_s(run):
    status, out, err = run("networks", "--csv")
    table = pd.read_csv(io.StringIO(out))
    assert (status, err) == (0, "") and out.count("\n") == len(table) + 1
    assert list(table)[:4] == ["name", "role", "parameters", "published_parameters"]
    assert table.name.tolist() == [*networks.CATALOGUE, "full_framework"]
    counted = table.set_index("name").parameters
    ours = [counted[name] for name in ("student", "dsc_mc_fsrcnn", "full_framework")]
    assert ours == [96_007, 26_451, 122_458]
    assert np.isfinite(table.gflops[table.role != "control"]).all()
