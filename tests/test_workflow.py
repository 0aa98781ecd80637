"""Set-up and workflow: one list of dependencies, a Snakefile that plans the same study on one machine and a cluster."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

from dehazelib import paths, workflow

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
EVERYTHING = [*PROJECT["dependencies"], *EXTRAS["export"], *EXTRAS["video"], *EXTRAS["study"]]


def test_conda_and_pip_install_the_same_set():
    environment = yaml.safe_load((paths.ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [item["pip"] for item in environment if isinstance(item, dict)]
    assert pip == [*EVERYTHING, "--editable ."]  # conda makes these lines of a requirements file
    assert f"python{PROJECT['requires-python']}" in environment


def test_the_lock_pins_every_dependency():
    lines = (paths.ROOT / "requirements.lock").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    names = {item.split("=")[0].split(">")[0].lower() for item in EVERYTHING}
    assert names <= pinned and "torch==2.13.0" in lines
    assert not any("torchvision" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("arguments, extras", [
    (["dehaze", "photo.png", "-o", "out"], ["export", "video", "study"]),
    (["export", "student.onnx"], ["video", "study"])])
def test_photographs_and_export_need_only_their_part_of_the_packages(tmp_path, arguments, extras):
    of = [{"pillow": "PIL", "scikit-image": "skimage"}.get(name, name.replace("-", "_"))
          for extra in extras for name in (re.split("[=><;]", item)[0] for item in EXTRAS[extra])]
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "photo.png")
    code = ("import sys; sys.modules |= dict.fromkeys(sys.argv.pop(1).split(',')); from dehazelib import cli; "
            "sys.exit(cli.main(sys.argv[1:]))")
    command = [sys.executable, "-c", code, ",".join(of)]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "photo.png").exists() or (tmp_path / "student.onnx").exists()
    refused = subprocess.run([*command, "networks"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1 and "pandas" in refused.stderr and "pip install" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_whole_study_says_that_it_needs_the_project_s_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "absent")
    with pytest.raises(ValueError, match="needs its notebooks .* in the project's folder"):
        workflow.run_study("smoke")


def plan(tmp_path, *arguments, **environment):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile"),
               "--directory", str(tmp_path), "--dry-run", *arguments]
    ours = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(command, capture_output=True, text=True,
                          env=ours | {"DEHAZE_RESULTS": str(tmp_path / "results")} | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def jobs(text: str, rule: str) -> int:
    return sum(line.split() == ["rule", f"{rule}:"] or line.split() == ["localrule", f"{rule}:"]
               for line in text.splitlines())


def trained(text: str) -> list[list[str]]:
    """Returns what each job trains, and what comes before its command."""
    return [line.replace("Shell command:", "").split() for line in text.splitlines() if " -m dehazelib train " in line]


@pytest.fixture
def real(tmp_path):
    """A folder that passes for real images as long as none is opened."""
    for file in ("nyu/rgb/1.jpg", "nyu/depth/1.png", "SOTS/indoor/gt/1400.png", "SOTS/indoor/hazy/1400_1.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


@pytest.mark.slow
def test_one_machine_plans_one_process_per_stage_and_a_run_of_two_stages_once(tmp_path):
    text = plan(tmp_path, "--cores", "2", "--printshellcmds", "--config", "profile=smoke")
    assert jobs(text, "notebook") == 6 and jobs(text, "runs") == 6
    planned = [word for line in trained(text) for word in line if "-s0-" in word]
    assert len(planned) == len(set(planned)) and sum(run.startswith("aod_net-s0-") for run in planned) == 1


@pytest.mark.slow
def test_all_notebooks_run_again_when_the_profile_is_newer(tmp_path):
    arguments = ("--cores", "2", "--rerun-triggers", "mtime", "--config", "profile=smoke")
    for line in plan(tmp_path, *arguments).splitlines():
        if line.strip().startswith("output: "):
            file = Path(line.split()[1])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            os.utime(file, (1e9, 1e9))
    assert jobs(plan(tmp_path, *arguments), "notebook") == 6


def test_a_cluster_plans_one_job_per_run_without_a_gpu_unless_told_to(tmp_path):
    text = plan(tmp_path, "--executor", "slurm", "--jobs", "10", "--config", "profile=smoke", "runs_per_job=1")
    assert jobs(text, "notebook") == 6 and jobs(text, "runs") > 30
    assert re.findall(r" gpu=(\d+)", text) == ["0"] * jobs(text, "runs")


@pytest.mark.slow
def test_a_cluster_needs_no_number_of_cores(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile"), "--directory",
               str(tmp_path), "--executor", "slurm", "--jobs", "10", "--config", "profile=smoke", "--summary"]
    done = subprocess.run(command, capture_output=True, text=True,
                          env=os.environ | {"DEHAZE_RESULTS": str(tmp_path / "results")})
    assert done.returncode == 0 and "06_verdict.ipynb" in done.stdout, done.stderr  # a dry run would take one core


@pytest.mark.slow
def test_the_command_for_a_cluster_asks_for_a_gpu_for_each_job_and_keeps_chains_of_runs_together(tmp_path, real):
    page = (paths.ROOT / "notebooks" / "README.md").read_text()
    (line,) = [line for line in page.splitlines() if "--executor slurm" in line]
    line = line.replace("/shared/folder", str(real)).replace("profile=budget", "profile=cpu")  # which has chains
    text = plan(tmp_path, *shlex.split(line)[1:], "--printshellcmds")
    assert re.findall(r" gpu=(\d+)", text) == ["1"] * jobs(text, "runs") and jobs(text, "runs") > 100
    made = [[word for word in line if re.search(r"-s\d-", word)] for line in trained(text)]
    planned = [run for job in made for run in job]
    assert len(planned) == len(set(planned))
    (longest,) = [job for job in made if any(run.startswith("longest-") for run in job)]
    labels = {run.rpartition("-s0-")[0] for run in longest}
    assert labels >= {"longest-student-phase1", "longest-student", "longest-framework", "onward-student"}


@pytest.mark.slow
def test_gpus_are_given_out_in_turn_among_those_that_the_caller_may_use(tmp_path):
    arguments = ("--cores", "8", "--config", "profile=demo", "gpus=4", "--printshellcmds")
    text = plan(tmp_path, *arguments, CUDA_VISIBLE_DEVICES="5,6,7,GPU-3a")
    given = [line[0].removeprefix("CUDA_VISIBLE_DEVICES=") for line in trained(text)]
    counts = [given.count(gpu) for gpu in ("5", "6", "7", "GPU-3a")]
    assert 3 * 6 <= sum(counts) == len(given) <= 4 * 6 and max(counts) - min(counts) <= 1
    held = {line.split("gpu0=")[1] for line in text.splitlines() if "gpu0=" in line and "runtime=" in line}
    assert {tuple(int(part.rstrip(",").split("=")[-1]) for part in rest.split()[:4]) for rest in held} == {
        (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)}
    with pytest.raises(AssertionError, match="gpus=4, but CUDA_VISIBLE_DEVICES names 1: 5."):
        plan(tmp_path, *arguments, CUDA_VISIBLE_DEVICES="5")


@pytest.mark.slow
@pytest.mark.parametrize("setting, message", [
    ("profile=huge", "No profile 'huge'"), ("data=/nowhere/at/all", "/nowhere/at/all: no such data root"),
    ("profil=demo", "did you mean profile?"), ("gpu=4", "did you mean gpus?"), ("gpus=all", "must be a whole number"),
    ("student_stepz=1", "did you mean student_steps?"), ("search={a: {lr: 1e-3}}", "write 0.001")])
def test_a_wrong_setting_stops_the_plan(tmp_path, setting, message):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile"),
               "--directory", str(tmp_path), "--dry-run", "--cores", "1", "--config", setting]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and message in done.stderr + done.stdout


def test_settings_reach_the_commands_of_the_plan_as_they_were_given(tmp_path, real):
    folder = real / "my data"
    folder.mkdir()
    for name in ("nyu", "SOTS"):
        (real / name).rename(folder / name)
    text = plan(tmp_path, "--cores", "2", "--printshellcmds", "--config", f"data={folder}",
                "baseline_changes={aod_net: {lr: 0.00001}}")
    (notebook,) = [line for line in text.splitlines() if "papermill" in line and "06_verdict" in line]
    given = yaml.safe_load(shlex.split(notebook)[shlex.split(notebook).index("-y") + 1])
    changes = {"aod_net": {"lr": 1e-5}}
    assert given == {"profile": "smoke", "overrides": {"data": str(folder), "baseline_changes": changes}}
    command = next(line for line in text.splitlines() if " -m dehazelib train " in line)
    set_ = shlex.split(command)[shlex.split(command).index("--set") + 1:]
    assert set_ == [f"data={folder}", "baseline_changes={aod_net: {lr: 1.0e-05}}"]


@pytest.mark.parametrize("given", ["rooms", "~/my data", "/a folder/it's here"])
def test_make_hands_over_the_data_folder_as_it_was_given(given):
    done = subprocess.run(["make", "--dry-run", "--always-make", "study", f"DATA={given}"], cwd=paths.ROOT,
                          capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if "dehazelib study" in line]
    assert shlex.split(line)[-2:] == ["--data", given]
