# The study as a workflow: runs (training and scoring) in jobs, then the notebooks, one after the other.
#
#   snakemake --cores all --config profile=demo                        one machine, one process per stage
#   snakemake --cores all --config profile=budget data=/path gpus=4    one machine, each stage split over its GPUs
#   snakemake --executor slurm --jobs 50 --retries 3 --config profile=budget data=/shared/path runs_per_job=1 \
#       gpus_per_job=1                                                 a cluster, a GPU for each job
#
# --config takes a profile, data, any other setting, and the options of the class Workflow below.
#
# A run is a folder in results/<study>/runs and knows by itself whether it is finished, so a job that was killed goes on
# where it stood when it is tried again. The job's stamp is named after the contents of its runs' specifications: other
# settings, other stamps.

import hashlib
import os
import shlex
import sys

import yaml
from pydantic import NonNegativeInt

from dehazelib import paths
from dehazelib.experiments import plan
from dehazelib.experiments.options import one_line
from dehazelib.experiments.settings import Settings, profile_file
from snakemake.exceptions import WorkflowError


class Workflow(Settings):
    """The settings, and how their runs are shared out."""

    gpus: NonNegativeInt = 0  # of this machine
    gpus_per_job: NonNegativeInt = 0  # of a cluster
    runs_per_job: NonNegativeInt = 0  # 0: a job for each stage, or for each stage and GPU


def typed(value, inside=False):
    """Returns a value of --config with the numbers in its lists and mappings, which snakemake leaves as text."""
    if isinstance(value, dict):
        return {name: typed(one, inside=True) for name, one in value.items()}
    if isinstance(value, list):
        return [typed(one, inside=True) for one in value]
    return yaml.safe_load(value) if inside and isinstance(value, str) else value


GIVEN = {name: typed(value) for name, value in config.items()}
PROFILE = GIVEN.pop("profile", "smoke")
try:
    SETTINGS = Workflow.load(PROFILE, overrides=GIVEN)
except ValueError as error:
    raise WorkflowError(str(error)) from None
CHANGES = {name: getattr(SETTINGS, name) for name in GIVEN if name in Settings.model_fields}
GPUS = SETTINGS.gpus
VISIBLE = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(GPUS)))).split(",") if gpu]
if GPUS > len(VISIBLE):
    raise ValueError(f"gpus={GPUS}, but CUDA_VISIBLE_DEVICES names {len(VISIBLE)}: {','.join(VISIBLE)}.")
CORES = workflow.resource_settings.cores  # None on a cluster, where --jobs is given instead
FOLDER = SETTINGS.folder
PROFILE_FILE = str(profile_file(PROFILE).resolve())
NAMED = PROFILE if PROFILE_FILE.startswith(str(paths.PROFILES)) else PROFILE_FILE
SET = shlex.join(["--profile", NAMED, "--set", *(f"{name}={one_line(value)}" for name, value in CHANGES.items())])
PARAMETERS = shlex.quote(one_line({"profile": NAMED, "overrides": CHANGES}))
PYTHON = shlex.quote(sys.executable)
NOTEBOOKS = sorted(path.stem for path in paths.NOTEBOOKS.glob("0*.ipynb"))
NEEDS = {  # stages whose runs a notebook shows
    "02_teacher_super_resolution": ["teachers"],
    "03_student_dehazing": ["central", "controls", "search", "longest", "baselines"],
    "04_affinity_ablations": ["central", "controls", "ablations", "plug_and_play"],
    "05_compute_benchmarks": ["central", "baselines"],
}


def split(stage, ids):
    """Returns the stage's jobs, name -> ids of runs. The longest runs go on from one another, so they are one job."""
    size = SETTINGS.runs_per_job or -(-len(ids) // max(1, GPUS))
    size = len(ids) if stage == "longest" else size
    parts = [ids[i : i + size] for i in range(0, len(ids), size or 1)]
    return {f"{stage}-{i}-{hashlib.sha256(' '.join(part).encode()).hexdigest()[:8]}": part
            for i, part in enumerate(parts)}


LISTED = {stage: [spec.id for spec in runs(SETTINGS)] for stage, runs in plan.STAGES.items()}
FIRST = {run: stage for stage in reversed(LISTED) for run in LISTED[stage]}  # stages may share a run; one makes it
RUNS = {}
for stage, ids in LISTED.items():
    RUNS |= split(stage, [run for run in dict.fromkeys(ids) if FIRST[run] == stage])
JOB = {run: job for job, ids in RUNS.items() for run in ids}
GPU = {job: i % GPUS for i, job in enumerate(RUNS)} if GPUS else {}
STAMP = str(FOLDER / "jobs" / "{job}.done")

for gpu in range(GPUS):
    workflow.register_resource(f"gpu{gpu}", 1)  # one job at a time on each


def stamps(*stages):
    """Returns the stamps of the jobs that make the stages' runs."""
    return [STAMP.format(job=job) for job in dict.fromkeys(JOB[run] for stage in stages for run in LISTED[stage])]


def before(name):
    """Returns the notebooks that run before this one, which is run again if one of them is: the verdict reads what all
    wrote."""
    return [str(FOLDER / "notebooks" / f"{other}.ipynb") for other in NOTEBOOKS if other < name]


localrules: all, notebook


rule all:
    input:
        stamps(*plan.STAGES),
        expand(str(FOLDER / "notebooks" / "{name}.ipynb"), name=NOTEBOOKS),


rule runs:
    input:
        lambda w: [] if w.job.startswith("teachers-") else stamps("teachers"),
    output:
        touch(STAMP),
    params:
        ids=lambda w: " ".join(map(shlex.quote, RUNS[w.job])),
        gpu=lambda w: f"CUDA_VISIBLE_DEVICES={shlex.quote(VISIBLE[GPU[w.job]])}" if GPUS else "",
    threads: lambda w: 4 if workflow.non_local_exec or workflow.remote_exec else max(1, (CORES or 1) // max(1, GPUS))
    resources:
        mem_mb=8000,
        runtime=600,
        gpu=SETTINGS.gpus_per_job,  # what a cluster is asked for
        **{f"gpu{n}": lambda w, n=n: int(GPU[w.job] == n) for n in range(GPUS)},
    shell:
        "{params.gpu} {PYTHON} -m dehazelib train {params.ids} {SET}"


# One at a time per machine: each takes all cores, waits for the one before, and finds its runs finished.
rule notebook:
    input:
        notebook=str(paths.NOTEBOOKS / "{name}.ipynb"),
        profile=PROFILE_FILE,
        runs=lambda w: stamps(*(plan.STAGES if w.name.startswith("06") else NEEDS.get(w.name, []))),
        before=lambda w: before(w.name),
    output:
        str(FOLDER / "notebooks" / "{name,0[^/]*}.ipynb"),
    params:
        running=lambda w: shlex.quote(str(FOLDER / "notebooks" / f"{w.name}.running.ipynb")),
    threads: CORES or workflow.resource_settings.local_cores
    shell:
        "{PYTHON} -m papermill {input.notebook:q} {params.running} -y {PARAMETERS}"
        " -k python3 --cwd {paths.NOTEBOOKS:q} --no-progress-bar --log-level ERROR && mv {params.running} {output:q}"
