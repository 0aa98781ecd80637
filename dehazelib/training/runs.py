"""A folder of runs: ask for one by its specification, and it is loaded, resumed or trained."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dehazelib import networks, provenance
from dehazelib.data.images import DataError
from dehazelib.data.manifest import changed
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.sources import Data, open_data
from dehazelib.evaluation.scores import scores, task_pairs
from dehazelib.experiments import plan
from dehazelib.experiments import spec as specification
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import SUBSTITUTES, Spec
from dehazelib.experiments.variant import Variant
from dehazelib.files import held, read_csv, read_json, sha256, sweep, write_csv, write_text
from dehazelib.profiling import processes
from dehazelib.training.checkpoint import CHECKPOINT, LOG, WEIGHTS, step_of
from dehazelib.training.launch import launch
from dehazelib.training.loop import train

SPEC, SCORES, PROVENANCE, MANIFEST = "spec.yaml", "scores.csv", "provenance.json", "manifest.txt"
SCORE_TYPES = {"image": str, "psnr_rgb": float, "ssim_gauss11_rgb": float, "ssim_uniform7_rgb": float}
LOCK = "lock.writing"  # held by the process that trains or scores the run; git ignores *.writing


class Run:
    """One run: a folder with spec.yaml, log.csv, weights.safetensors, scores.csv and provenance.json."""

    part = 10  # images scored between two writings of scores.csv

    def __init__(self, runs_folder: Path, spec: Spec):
        self.runs_folder, self.spec, self.folder = Path(runs_folder), spec, Path(runs_folder) / spec.id

    @property
    def done(self) -> bool:
        return (self.folder / PROVENANCE).exists()

    def train(self, data: Data, hardware: Hardware = Hardware()) -> "Run":
        """Returns this run, trained: loaded, resumed or trained from the start; waits while another process trains it.
        Raises DataError if the run was begun on other files than `data` holds."""
        self.check_manifest(data)
        if self.done:
            (self.folder / CHECKPOINT).unlink(missing_ok=True)  # of a process killed just before it had removed it
            return self
        with self.begun(data) as lock:
            if self.done:  # another process has made it meanwhile
                return self
            if hardware.processes > 1:
                launch(self.runs_folder, self.spec, data.where, hardware, lock)
            else:
                self.train_here(data, hardware)
        return self

    @contextlib.contextmanager
    def begun(self, data: Data) -> Iterator[IO | None]:
        """Locks the run, with specification and manifest in its folder. Gives what `held` gives."""
        with self.locked() as lock:
            self.check_manifest(data)
            if processes.rank() == 0:
                write_text(self.folder / SPEC, self.spec.text())
                write_text(self.folder / MANIFEST, data.manifest + "\n")
            yield lock

    @contextlib.contextmanager
    def locked(self) -> Iterator[IO | None]:
        """Keeps other processes from training or scoring the run. Gives what `held` gives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder / LOCK, self.spec.id) if processes.rank() == 0 else contextlib.nullcontext() as lock:
            if lock:
                sweep(self.folder)
            yield lock

    def check_manifest(self, data: Data) -> None:
        """Raises DataError if the run was begun on other files than these data."""
        manifest = self.manifest()
        if manifest and manifest != data.manifest:
            names = changed(manifest, data.manifest)
            which = f" ({len(names)} files changed, first {names[0]})" if names else ""
            raise DataError(f"{self.folder} was made of data with manifest {manifest}, {data.where} has "
                            f"{data.manifest}{which}. Use the same files, or set DEHAZE_RESULTS to another folder to "
                            "train all runs afresh.")

    def manifest(self) -> str:
        """Returns the manifest id of the files that the run was begun on; empty if it was not begun."""
        file = self.folder / MANIFEST
        if file.exists():
            return file.read_text().strip()
        return self.provenance().get("manifest", "") if (self.folder / PROVENANCE).exists() else ""

    def train_here(self, data: Data, hardware: Hardware) -> None:
        """Trains in this process, which may be one of several; the first one writes the provenance."""
        start, _, step = self.spec.start.partition("@")
        weights = find(self.runs_folder, start).weights() if start and not step else None
        branch = find(self.runs_folder, start).kept_checkpoint(int(step)) if step else None
        cost = train(self.spec, data, self.folder, self.teacher(), hardware, weights, branch)
        if processes.rank() == 0:
            self.write_provenance(data, cost | {"weights_sha256": sha256(self.folder / WEIGHTS)})
            (self.folder / CHECKPOINT).unlink(missing_ok=True)  # not before: a crash in between would lose the run

    def keep_checkpoint(self) -> int:
        """Copies the checkpoint of a run that goes on, for branches to start from, and returns the step it was made at.
        Raises FileNotFoundError if there is none."""
        copy = self.folder / "copy.writing"
        shutil.copy(self.folder / CHECKPOINT, copy)
        step = step_of(copy)
        copy.rename(self._kept(step))
        return step

    def kept_checkpoint(self, step: int) -> Path:
        """Returns the file of the checkpoint that was kept at a step. Raises FileNotFoundError naming those kept."""
        file = self._kept(step)
        if not file.exists():
            have = sorted(p.name for p in self.folder.glob(self._kept("*").name))
            raise FileNotFoundError(f"{file} is missing. Kept were: {', '.join(have) or 'none'}.")
        return file

    def _kept(self, step: int | str) -> Path:
        return self.folder / f"checkpoint-{step}.safetensors"

    def write_provenance(self, data: Data, facts: dict) -> None:
        """Writes where the run comes from; with that it is done."""
        environment = provenance.environment() | ({"gpu": ""} if facts.get("device") == "cpu" else {})  # was not used
        facts = {"run": self.spec.id, "manifest": data.manifest, "seed": self.spec.seed, **facts, **environment}
        write_text(self.folder / PROVENANCE, json.dumps(facts, indent=1) + "\n")

    def teacher(self) -> nn.Module | None:
        """Returns the frozen network that guides this run, or None. Raises FileNotFoundError if not trained yet."""
        name = self.spec.teacher
        if not name:
            return None
        if name in SUBSTITUTES:
            return networks.build(name)
        if name.startswith("untrained:"):
            torch.manual_seed(self.spec.seed)
            return networks.build(name.removeprefix("untrained:"))
        return find(self.runs_folder, name).network()

    def network(self) -> nn.Module:
        """Returns the trained network, in evaluation mode on the CPU. Raises FileNotFoundError as `weights` does."""
        network = networks.build(self.spec.network)
        network.load_state_dict(self.weights())
        layout = torch.channels_last if self.spec.channels_last else torch.contiguous_format
        return network.to(memory_format=layout).eval()

    def weights(self) -> dict[str, Tensor]:
        """Returns the trained network's state. Raises FileNotFoundError or DataError, saying what to do, if it is not
        there, damaged, or not what was trained."""
        file = self.folder / WEIGHTS
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: " + (
                f"its rows were kept without weights: remove {self.folder} to train it again." if self.done else
                f"train the run first (dehazelib train {self.spec.id})."))
        trained = self.provenance().get("weights_sha256") if self.done else None  # earlier versions noted none
        if trained and trained != sha256(file):
            raise DataError(f"{file}: not what was trained (its SHA-256 is another than in {PROVENANCE}): "
                            f"{self._again}.")
        try:
            return load_file(file)
        except SafetensorError as error:
            raise DataError(f"{file}: not a safetensors file ({error}): "
                            f"remove {self.folder} to train it again.") from None

    def score(self, pairs: Pairs, hardware: Hardware = Hardware()) -> pd.DataFrame:
        """Returns this run's per-image scores on a set, computing only the images that are not in scores.csv yet."""
        if self.unscored(pairs):
            network = self.network().to(hardware.device)
            with self.locked():
                missing = self.unscored(pairs)  # another process may have scored them meanwhile
                for start in range(0, len(missing), self.part):
                    self.score_part(network, pairs.select(missing[start:start + self.part]))
        known, names = self.scores(), {pair.name for pair in task_pairs(self.spec, pairs).pairs}
        return known[(known.test_set == pairs.name) & known.image.isin(names)]

    def score_part(self, network: nn.Module, pairs: Pairs) -> None:
        """Adds the scores of some pairs to scores.csv."""
        new, known = scores(network, self.spec, pairs), self.scores()
        write_csv(pd.concat([known, new]) if len(known) else new, self.folder / SCORES)

    def unscored(self, pairs: Pairs) -> list[Pair]:
        """Returns the pairs of a set that are not in scores.csv yet."""
        known = self.scores()
        have = set(known.image[known.test_set == pairs.name])
        return [pair for pair in task_pairs(self.spec, pairs).pairs if pair.name not in have]

    def scores(self) -> pd.DataFrame:
        """Returns all per-image scores so far: test_set, image, psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb.

        Raises ValueError, saying what to do, if their file is damaged.
        """
        file = self.folder / SCORES
        if not file.exists():
            return pd.DataFrame({"test_set": [], "image": []})
        remedy = f"remove it and {self.folder / 'scored-*.json'} to score the images again"
        rows = read_csv(file, remedy, dtype=SCORE_TYPES)
        if rows.duplicated(["test_set", "image"]).any():
            raise ValueError(f"{file}: damaged (an image is there twice): {remedy}.")
        return rows

    def scored(self, settings: Settings) -> bool:
        """Returns whether the run is finished and scored on as many test images as the study asks for."""
        if not plan.is_scored(self.spec):
            return self.done
        return self.done and self._scored_list(settings).exists()

    def score_all(self, settings: Settings, data: Data) -> None:
        """Scores the run on every test image that the study asks for, and notes which these are."""
        if not plan.is_scored(self.spec):
            return
        images = {pairs.name: self.score(pairs, settings.hardware).image.tolist()
                  for pairs in test_sets(settings, data, self.spec)}
        with self.locked():
            write_text(self._scored_list(settings), json.dumps(images) + "\n")

    def study_scores(self, settings: Settings) -> pd.DataFrame:
        """Returns the scores on the images that the study asks for, out of all that there are."""
        if not plan.is_scored(self.spec):
            return self.scores().iloc[:0]
        scored = read_json(self._scored_list(settings), "remove it to have it written again")
        wanted = {(test_set, image) for test_set, images in scored.items() for image in images}
        rows = self.scores()
        return rows[[key in wanted for key in zip(rows.test_set, rows.image)]]

    def _scored_list(self, settings: Settings) -> Path:
        return self.folder / f"scored-{settings.test_pairs}.json"

    def log(self) -> pd.DataFrame:
        """Returns the learning curve, one row per validation. Raises FileNotFoundError or ValueError, saying what to
        do, if it is not there or damaged."""
        return read_csv(self.folder / LOG, self._again)

    def provenance(self) -> dict:
        return read_json(self.folder / PROVENANCE, self._again)

    @property
    def _again(self) -> str:
        return f"fetch it again, or remove {self.folder} to train the run again"


class Control(Run):
    """A network without training, a control. Scored like a run, never trained."""

    @property
    def done(self) -> bool:
        return True

    def train(self, data: Data, hardware: Hardware = Hardware()) -> "Control":
        self.check_manifest(data)
        if not (self.folder / PROVENANCE).exists():
            with self.begun(data):
                if processes.rank() == 0 and not (self.folder / PROVENANCE).exists():  # another process's meanwhile
                    self.write_provenance(data, {"minutes": 0.0})
        return self

    def network(self) -> nn.Module:
        return networks.build(self.spec.network).eval()

    def log(self) -> pd.DataFrame:
        return pd.DataFrame()


class ZeroShot(Control):
    """A network that is fitted to each image when it is scored, which takes minutes for one."""

    part = 1

    def network(self) -> nn.Module:
        return networks.build(self.spec.network, steps=self.spec.steps, seed=self.spec.seed).eval()

    def score_part(self, network: nn.Module, pairs: Pairs) -> None:
        """Adds the scores of some pairs to scores.csv, and what fitting them took to the run's minutes."""
        started = time.monotonic()
        super().score_part(network, pairs)
        if (self.folder / PROVENANCE).exists():  # it is scored alone otherwise
            facts = self.provenance()
            facts["minutes"] += (time.monotonic() - started) / 60
            write_text(self.folder / PROVENANCE, json.dumps(facts, indent=1) + "\n")

    def _scored_list(self, settings: Settings) -> Path:
        if not settings.zero_shot_pairs:
            return super()._scored_list(settings)
        return self.folder / f"scored-{settings.test_pairs}-{settings.zero_shot_pairs}.json"


def run(runs_folder: Path, spec: Spec) -> Run:
    """Returns the run (or control) of a specification; nothing is trained yet."""
    role = networks.CATALOGUE[spec.network].role if spec.network in networks.CATALOGUE else ""
    return {"control": Control, "zero_shot": ZeroShot}.get(role, Run)(runs_folder, spec)


def find(runs_folder: Path, run_id: str) -> Run:
    """Returns the run with this id. Raises FileNotFoundError naming the ids that are there."""
    file = Path(runs_folder) / run_id / SPEC
    if not file.exists():
        have = sorted(p.parent.name for p in Path(runs_folder).glob(f"*/{SPEC}"))
        raise FileNotFoundError(f"No run {run_id} in {runs_folder}. It holds: {', '.join(have) or 'nothing'}.")
    return run(runs_folder, specification.read_run(file.parent))


# ------------------------------------------------------------------------------------------- a study's runs, in one go


def train_or_load(settings: Settings, specs: list[Spec], opened: Callable[[], Data] | None = None) -> list[Run]:
    """Returns the runs of these specifications, trained (with the runs they need) and scored on every test set.

    Finished runs are only loaded. opened: gives the study's data, asked only if something is missing. Raises DataError
    if other runs of the study were made of other files.
    """
    data, finished = None, {}
    planned = {spec: run(settings.runs_folder, spec) for spec in plan.every(settings)}
    missing = [spec for spec, one in planned.items() if not one.scored(settings)]
    trained = {spec for spec, one in planned.items() if one.done}
    for spec in with_predecessors(specs, missing, trained):
        one = run(settings.runs_folder, spec)
        if not one.scored(settings):
            if data is None:
                data = opened() if opened else open_study_data(settings)
            one.train(data, settings.hardware)
            if processes.rank() > 0:
                continue
            one.score_all(settings, data)
        finished[spec] = one
    return [finished[spec] for spec in dict.fromkeys(specs) if spec in finished]


def open_study_data(settings: Settings) -> Data:
    """Returns a study's data. Raises DataError if it has runs that were made of other files."""
    data = open_data(settings.data)
    for spec in plan.every(settings):
        run(settings.runs_folder, spec).check_manifest(data)
    return data


def with_predecessors(specs: list[Spec], missing: list[Spec], trained: Collection[Spec] = ()) -> list[Spec]:
    """Returns the specifications and those of `missing` that they need, in an order in which they can be trained.

    A run needs its teacher and the run whose weights it starts from, and these need theirs. trained: those that need
    none any more.
    """
    known, ordered = {spec.id: spec for spec in missing}, {}

    def add(spec: Spec) -> None:
        names = () if spec in trained else (spec.teacher, spec.start.partition("@")[0])
        for name in names:
            if name in known:
                add(known[name])
        ordered[spec] = None

    for spec in specs:
        add(spec)
    return list(ordered)


def test_sets(settings: Settings, data: Data, spec: Spec) -> list[Pairs]:
    """Returns the test sets that a run is scored on: the reported one, and for our dehazers the others too."""
    count = 0 if Variant.of(spec.label).on_all_pairs else settings.test_pairs
    everything = [pairs.subset(count) for pairs in data.tests.values()]
    if networks.CATALOGUE[spec.network].role == "zero_shot":
        return [everything[0].subset(settings.zero_shot_pairs)]
    return everything if spec.network in ("student", "hazy") else everything[:1]
