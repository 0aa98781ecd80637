"""What refactoring must not change: facts about the library, computed from it and kept under tests/golden/.

    python tests/golden_facts.py [NAME ...]   rewrites all golden files, or those named

A deliberate change is rewritten and committed alone, with the reason. Every fact is a dict of plain values, and each of
its keys has one line of the file. Of the golden tests only this file imports the library.
"""

import argparse
import functools
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from dehazelib import cli, networks, paths
from dehazelib.data import nyu
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.rooms import scenes as rooms
from dehazelib.data.stream import Stream
from dehazelib.deploy.photos import load
from dehazelib.evaluation import cost
from dehazelib.experiments import plan
from dehazelib.experiments import settings as profiles
from dehazelib.experiments.spec import Spec, read
from dehazelib.networks import official
from dehazelib.report import claims, tables
from dehazelib.report.rows import Rows
from dehazelib.training.state import learning_rate

GOLDEN = Path(__file__).parent / "golden"
STUDY = paths.ROOT / "results" / "cpu-nyu"
PROFILES = {"smoke": "rooms", "demo": "rooms", "cpu": "nyu", "budget": "nyu", "paper": "nyu"}  # and their data
FOLDER = tempfile.TemporaryDirectory()  # for a folder that looks like NYU Depth v2


# ------------------------------------------------------------------------------------------------- what is to be run


def runs() -> dict:
    """Returns profile/stage -> ids of its runs, and profile/every -> number and hash of all of them, in order."""
    result = {}
    for name, settings in _settings().items():
        for stage, make in plan.STAGES.items():
            result[f"{name}/{stage}"] = [spec.id for spec in make(settings)]
        every = [spec.id for spec in plan.every(settings)]
        result[f"{name}/every"] = [len(every), _hash(every)]
    return result


def specifications() -> dict:
    """Returns id -> hash of the specification's YAML text, for every run of the profiles; and all default options."""
    texts = {spec.id: _hash([spec.text()]) for settings in _settings().values() for spec in plan.every(settings)}
    return {"defaults": Spec().model_dump()} | texts


def committed_runs() -> dict:
    """Returns folder of a committed run -> the id of the specification in it. No golden file: they must be equal."""
    return {file.parent.name: read(file).id for file in sorted(STUDY.glob("runs/*/spec.yaml"))}


def learning_rates() -> dict:
    """Returns schedule -> the learning rate at some of its 100 steps."""
    schedules = {
        "constant": Spec(schedule="constant", lr=1e-4),
        "constant, warm-up": Spec(schedule="constant", lr=1e-4, warmup=10),
        "step": Spec(schedule="step", lr=1e-5, decay=0.98, decay_steps=10),
        "cosine": Spec(schedule="cosine", lr=2e-3),
        "cosine, warm-up": Spec(schedule="cosine", lr=4e-3, warmup=5),
    }
    return {name: [learning_rate(spec, step) for step in (0, 1, 4, 5, 9, 10, 37, 50, 98, 99)]
            for name, spec in schedules.items()}


@functools.cache
def _settings() -> dict[str, profiles.Settings]:
    for kind in ("rgb", "depth"):
        (Path(FOLDER.name) / "nyu" / kind).mkdir(parents=True)
        (Path(FOLDER.name) / "nyu" / kind / "1.png").touch()
    where = {"rooms": "rooms", "nyu": FOLDER.name}
    result = {name: profiles.Settings.load(name, data=where[data]) for name, data in PROFILES.items()}
    assert {name: settings.source for name, settings in result.items()} == PROFILES
    return result


# --------------------------------------------------------------------------------------------------------- the data


def splits() -> dict:
    """Returns each list of NYU ids: how many, first, last, hash."""
    lists = {file.stem: np.loadtxt(file, dtype=int).tolist() for file in sorted(nyu.SPLITS.glob("*.txt"))}
    return {name: [len(ids), ids[0], ids[-1], _hash(map(str, ids))] for name, ids in lists.items()}


def room() -> dict:
    """Returns version and splits of the embedded rooms, and one room averaged over cells of 40 x 40 pixels.

    Not a hash: between kinds of processor, rounding changes a few pixels by one level.
    """
    image, depth = rooms.scene("train", 0)
    return {"version": rooms.ROOMS_VERSION, "splits": rooms.SPLITS, "image": _cells(image, 40).tolist(),
            "depth": _cells(depth, 40).tolist()}


def samples() -> dict:
    """Returns the parameters of samples 0 to 5 of two seeds: scene, window, airlight, beta, flip, turns."""
    clear = np.zeros((3, 24, 32, 3), np.uint8)
    fresh = [Pair(str(scene), scene) for scene in range(3)]
    fixed = [Pair(f"{scene}_{i}", scene, airlight=0.7 + i / 10, beta=1.0 + i) for scene in range(3) for i in range(2)]
    result = {}
    for kind, pairs in (("fresh haze", fresh), ("fixed haze", fixed)):
        data = Pairs("tiny", pairs, clear.__getitem__, lambda scene: clear[scene, ..., 0] / np.float32(255))
        for augment in ("none", "flip", "flip_rotate", "released"):
            for seed in (0, 1):
                stream = Stream(Spec(steps=10, batch=2, crop=16, augment=augment, seed=seed), data)
                for k in range(6):
                    result[f"{kind}, {augment}, seed {seed}, sample {k}"] = _parameters(stream, k)
    return result


def _parameters(stream: Stream, k: int) -> list:
    one = stream.sample_parameters(k)
    rows, columns = one.window
    return [stream.pairs.pairs[one.index].name, [rows.start, rows.stop, columns.start, columns.stop],
            float(one.airlight), float(one.beta), bool(one.flip), one.turns]


# ------------------------------------------------------------------------------------------------------ the networks


def weights() -> dict:
    """Returns network -> its number of trainable parameters and the hash of the names and shapes in its weight file;
    of the student and the teachers also these names and shapes."""
    result = {}
    with torch.device("meta"):
        for name in networks.CATALOGUE:
            network = networks.build(name)
            shapes = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
            lines = sorted(f"{key} {tuple(shape)}" for key, shape in shapes.items())
            result[name] = [networks.parameters(network), _hash(lines)]
            if name == "student" or "fsrcnn" in name:
                result[f"{name}, names"] = shapes
    return result


def published_names() -> dict:
    """Returns network, kind of file -> how many tensors its published file holds, and the hash of their names and
    shapes, as we look for them."""
    result, rules = {}, yaml.safe_load(official.NAMES.read_text(encoding="utf-8"))
    with torch.device("meta"):
        for (name, kind), (_, options) in official.PUBLISHED.items():
            wanted = official.wanted(networks.build(name, **options), rules.get(f"{name} {kind}", {}))
            lines = sorted(f"{theirs} {tuple(tensor.shape)}" for theirs, tensor in wanted.items())
            result[f"{name} {kind}"] = [len(lines), _hash(lines)]
    return result


def costs() -> dict:
    """Returns parameters and both counts of GFLOPs, as in Table 9."""
    teacher = networks.build("dsc_mc_fsrcnn").to("meta").eval()
    image = torch.rand(1, 3, *cost.SIZE, device="meta")
    trained = [entry.name for entry in networks.ENTRIES if entry.role != "control"]
    return {name: cost.counts(name) for name in trained} | {
        "full_framework": cost.training_graph_counts(),
        "dsc_mc_fsrcnn, whole image": {"gflops_profiler": cost.profiler_gflops(teacher, image),
                                       "gflops": cost.true_gflops(teacher, image)}}


def shipped_student() -> dict:
    """Returns what the shipped student makes of a ramp, averaged over cells of 8 x 8 pixels."""
    rows, columns = np.mgrid[0:1:24j, 0:1:32j].astype(np.float32)
    ramp = torch.from_numpy(np.stack([rows, columns, (rows + columns) / 2]))[None]
    with torch.no_grad():
        dehazed = load("sots")(ramp)[0]
    return {"dehazed": _cells(dehazed.permute(1, 2, 0).numpy(), 8).tolist()}


# ----------------------------------------------------------------------------------------------- the committed study


def scores() -> dict:
    """Returns test set -> number and hash of its rows: run, image and PSNR to six decimals."""
    table = pd.read_csv(STUDY / "scores.csv", dtype={"image": str})
    lines = {name: sorted(f"{row.run},{row.image},{row.psnr_rgb:.6f}" for row in rows.itertuples())
             for name, rows in table.groupby("test_set")}
    return {name: [len(rows), _hash(rows)] for name, rows in lines.items()}


def verdicts() -> dict:
    """Returns claim -> verdict, ours, its limits and the paper's value."""
    return {one.claim.id: [str(one.status), *map(_plain, map(float, (*one.interval, one.claim.printed)))]
            for one in claims.verdicts(_measured())}


def summaries() -> dict:
    """Returns label, test set -> means over seeds, limits, and what they rest on."""
    measured = _measured()
    labels = measured.scores[["label", "test_set"]].drop_duplicates().sort_values(["label", "test_set"])
    return {f"{label}, {test_set}": {name: _plain(value) for name, value in measured.summary(label, test_set).items()}
            for label, test_set in labels.to_numpy()}


def table_numbers() -> dict:
    """Returns table/column -> its numbers from top to bottom, for every column of numbers."""
    result = {}
    for name in tables.TABLES:
        table = tables.table(name, _measured())
        for column in table.select_dtypes("number"):
            result[f"{name}/{column}"] = [_plain(value) for value in table[column]]
    return result


@functools.cache
def _measured() -> Rows:
    return Rows(STUDY)


# -------------------------------------------------------------------------------------------------- the command line


def commands() -> dict:
    """Returns command -> its options by name: how each is written, its choices, its default."""
    return dict(_commands(cli.parser(), ""))


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterable[tuple[str, dict]]:
    options = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from _commands(command, f"{name} {word}".strip())
        elif action.dest != "help":
            options[action.dest] = {
                "flags": list(action.option_strings), "nargs": action.nargs, "required": action.required,
                "choices": list(action.choices) if action.choices else None, "default": _default(action.default)}
    if options:
        yield name, options


def _default(value):
    return value.relative_to(paths.ROOT).as_posix() if isinstance(value, Path) else value


# ------------------------------------------------------------------------------------------------------------ helpers


FACTS = {function.__name__: function for function in (
    runs, specifications, learning_rates, splits, room, samples, weights, published_names, costs, shipped_student,
    scores, verdicts, summaries, table_numbers, commands)}


def write(name: str) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in FACTS[name]().items()]
    (GOLDEN / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _cells(image: np.ndarray, side: int) -> np.ndarray:
    """Returns (H, W, ...) averaged over side x side pixels, rounded to six decimals."""
    height, width = (length // side for length in image.shape[:2])
    cells = image.astype(np.float64).reshape(height, side, width, side, *image.shape[2:])
    return cells.mean((1, 3)).round(6)


def _plain(value):
    """Returns a cell as JSON knows it: a missing number is None, an infinite one text."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    if math.isinf(value):
        return str(float(value))
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


if __name__ == "__main__":
    for fact in sys.argv[1:] or FACTS:
        write(fact)
