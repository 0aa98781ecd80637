"""A study's missing runs, shared out over worker processes; each takes one run after another in one start of Python.

On a CPU there is a worker for each core, with one thread: runs side by side finish sooner than one after the other with
all cores. On GPUs there is a worker for each.
"""

import contextlib
import functools
import multiprocessing
import os
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import torch

from dehazelib.evaluation.cost import SIZE, counts
from dehazelib.experiments import plan
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import SUBSTITUTES, Spec
from dehazelib.networks import CATALOGUE
from dehazelib.training import runs
from dehazelib.training.collect import collect
from dehazelib.training.progress import StageProgress

WORKER_GB = 3  # memory that a worker may need
IMAGE_SIZES = {"rooms": (240, 320)}  # of a study's images; others have the size of the paper's
ALL_PAIRS = 100  # of a test set, roughly
SCORING_GFLOPS = 10.0  # what the metrics of one image cost, in the time of as many GFLOPs of a network
LOG = "training.log"  # what the workers print, in the study's folder


def missing(settings: Settings) -> list[Spec]:
    """Returns the study's runs that are not trained and scored yet, in an order in which they can be trained."""
    every = plan.every(settings)
    return [spec for spec in runs.with_predecessors(every, every)
            if not runs.run(settings.runs_folder, spec).scored(settings)]


def train_missing(settings: Settings, workers: int = 0) -> dict[str, str]:
    """Trains and scores the study's missing runs and writes the study's rows. Returns id -> what went wrong, in one
    line, of the runs that failed and of those that need them; the others are finished.

    workers: number of processes; 0: as many as fit the machine. After Ctrl-C or SIGTERM the workers write checkpoints.
    """
    todo = missing(settings)
    failed = {}
    if todo:
        count = min(workers or fitting_workers(settings), len(todo))
        with StageProgress("training", "runs", len(todo), sum(workload(spec, settings) for spec in todo)) as progress:
            failed = _share_out(settings, todo, count, progress)
        collect(settings)
    return failed


def fitting_workers(settings: Settings) -> int:
    """Returns how many workers this machine has room for."""
    if settings.hardware.processes > 1:
        return 1  # each run takes all of them
    if settings.hardware.device.type == "cuda":
        return torch.cuda.device_count()
    return max(1, min(cores(), memory_gb() // WORKER_GB))


def cores() -> int:
    """Returns how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gb() -> int:
    """Returns the machine's memory in GB, rounded."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def workload(spec: Spec, settings: Settings) -> float:
    """Returns roughly how many GFLOPs a run takes to train and to score, to tell how much is left."""
    height, width = IMAGE_SIZES.get(settings.source, SIZE)
    size = height * width / (SIZE[0] * SIZE[1])  # of one image, where 1 is what GFLOPs are counted at
    forward = size * max(1.0, np.nan_to_num(counts(spec.network)["gflops"]))
    role = CATALOGUE[spec.network].role
    images = settings.test_pairs or ALL_PAIRS
    if role == "zero_shot":
        return images * (3 * spec.steps * forward + SCORING_GFLOPS)
    scoring = images * (forward + SCORING_GFLOPS)
    if role == "control":
        return scoring
    share = spec.crop**2 / (height * width) or 1 / spec.reduce**2  # of an image that a sample is
    step = 3 * forward
    if spec.teacher and spec.teacher not in SUBSTITUTES:
        step += size * counts(plan.TEACHER)["gflops"]
    training = spec.images(spec.steps) * share * step
    validated = spec.validations * (spec.validation_pairs + max(0, spec.track_test))
    return training + validated * forward + scoring


# ------------------------------------------------------------------------------------------------------- the parent


class Worker:
    """A process that trains the runs it is given, one after another."""

    def __init__(self, settings: Settings, gpu: int | None, threads: int):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, settings, gpu, threads), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process ends the connection
        self.settings, self.gpu, self.threads = settings, gpu, threads

    def give(self, spec: Spec) -> None:
        self.connection.send(spec.model_dump())

    def result(self) -> str | None:
        """Returns what went wrong with the run, "" if nothing, None if the process has ended."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return None

    def again(self) -> "Worker":
        """Returns another worker in this one's place."""
        return Worker(self.settings, self.gpu, self.threads)

    def end(self) -> None:
        """Ends an idle worker, or has a busy one write its checkpoint."""
        self.connection.close()
        self.process.terminate()


def _share_out(settings: Settings, todo: list[Spec], count: int, progress: StageProgress) -> dict[str, str]:
    """Returns id -> what went wrong, after all runs were given to `count` workers."""
    unfinished, failed = {spec.id: spec for spec in todo}, {}
    waiting = list(todo)
    with _workers(settings, count) as idle:
        busy = {}
        while waiting or busy:
            for spec in [spec for spec in waiting if _needed(spec) & set(failed)]:
                waiting.remove(spec)
                failed[spec.id] = f"needs {' and '.join(_needed(spec) & set(failed))}, which failed"
            while idle and (spec := _first_ready(waiting, unfinished)):
                waiting.remove(spec)
                worker = idle.pop()
                worker.give(spec)
                busy[worker.connection] = worker, spec
            for connection in wait(list(busy), timeout=1):
                worker, spec = busy.pop(connection)
                error = worker.result()
                if error is None:
                    error = f"its process ended with status {worker.process.exitcode}; is there enough memory?"
                    worker = worker.again()
                idle.append(worker)
                if error:
                    failed[spec.id] = error
                    progress.say(f"{spec.id}: {error}")
                else:
                    del unfinished[spec.id]
                progress.advance(workload(spec, settings))
            progress.show()
    return failed


def _first_ready(waiting: list[Spec], unfinished: dict[str, Spec]) -> Spec | None:
    """Returns the first run that needs no unfinished one."""
    return next((spec for spec in waiting if not _needed(spec) & set(unfinished)), None)


def _needed(spec: Spec) -> set[str]:
    """Returns the ids of a run's teacher and of the run that it starts from."""
    return {spec.teacher, spec.start.partition("@")[0]} - {"", *SUBSTITUTES}


@contextlib.contextmanager
def _workers(settings: Settings, count: int) -> Iterator[list[Worker]]:
    """Gives idle workers; in the end, also after Ctrl-C, waits until each has stopped with its checkpoint written."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    shared = settings.hardware.device.type == "cuda" and settings.hardware.processes == 1
    gpus = [number % torch.cuda.device_count() if shared else None for number in range(count)]
    started = [Worker(settings, gpu, max(1, cores() // count)) for gpu in gpus]
    try:
        yield list(started)
    finally:
        for worker in started:
            worker.end()
        for worker in started:
            worker.process.join()


# ------------------------------------------------------------------------------------------------------- the workers


def serve(connection: Connection, settings: Settings, gpu: int | None, threads: int) -> None:
    """Trains the runs that come in by a connection, and answers each with what went wrong, or ""; until it is closed.

    What they print goes to a file in the study's folder.
    """
    os.setsid()  # Ctrl-C is for the parent, which then ends this process
    _print_to(settings.folder / LOG)
    if gpu is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpu + 1)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[gpu]
    torch.set_num_threads(threads)
    opened = functools.cache(lambda: runs.open_study_data(settings))
    while True:
        try:
            spec = Spec(**connection.recv())
        except (EOFError, OSError):
            return
        try:
            runs.train_or_load(settings, [spec], opened)
            error = ""
        except KeyboardInterrupt:
            return
        except Exception as problem:  # of whatever kind: the other runs are to be trained
            traceback.print_exc()
            error = str(problem).partition("\n")[0] or type(problem).__name__
        try:
            connection.send(error)
        except OSError:  # the parent was killed
            return


def _print_to(file: Path) -> None:
    """Sends standard output and error to the end of a file."""
    with file.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
