"""The fastest way to run a training step on this machine: memory layout, compilation and the affinity loss's kernels,
timed once and remembered."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from dehazelib import paths, provenance
from dehazelib.distillation.affinity import ENTRYWISE
from dehazelib.experiments.spec import Spec
from dehazelib.files import held, read_json, write_text
from dehazelib.training.progress import say


@dataclass(frozen=True)
class Tuning:
    """How a network runs; it changes results by floating-point order alone."""

    channels_last: bool
    compiled: str = ""  # a mode of torch.compile: default, or reduce-overhead, which records CUDA graphs; empty: eager
    fused_affinity: bool = False  # the affinity loss by Triton kernels; otherwise in tiles


def candidates(spec: Spec) -> dict[str, Tuning]:
    """Returns what is worth timing on a GPU.

    The authors' objectives call parts of their networks, which compilation would leave eager; the framework's second
    backward pass is none of a recorded graph's; intermediate features have too many channels for the fused kernels.
    """
    tunings = {"contiguous": Tuning(False), "channels last": Tuning(True)}
    if spec.loss != "objective":
        tunings["compiled"] = Tuning(True, "default")
        if spec.features == "none":
            tunings["CUDA graphs"] = Tuning(True, "reduce-overhead")
    if spec.features == "outputs" and spec.distance in ENTRYWISE and find_spec("triton"):
        tunings |= {f"{name}, fused affinity": replace(tuning, fused_affinity=True) for name, tuning in tunings.items()}
    return tunings


def fastest(spec: Spec, shape: tuple, device: str, milliseconds: Callable[[Tuning], float]) -> Tuning:
    """Returns the fastest candidate for steps of this run's kind on this machine; times them unless the same candidates
    were timed before.

    shape: of the input batch. milliseconds(tuning): the time of one step; a candidate for which it raises RuntimeError
    is passed over, and its error is logged.
    """
    file = paths.cache() / "tuning.json"
    known = _read(file)
    plan = (spec.network, spec.loss, spec.features, spec.distance, spec.precision, "x".join(map(str, shape)))
    tunings = candidates(spec)
    key = " ".join((*plan, device, provenance.environment()["torch"], *tunings))
    if key not in known:
        found = _timed(tunings, milliseconds)
        file.parent.mkdir(parents=True, exist_ok=True)
        with held(file.with_suffix(".lock"), file.name):
            known = _read(file) | {key: found}  # other processes may have added theirs meanwhile
            write_text(file, json.dumps(known, indent=1) + "\n")
    return Tuning(**known[key]["choice"])


def _read(file: Path) -> dict:
    return read_json(file, "remove it") if file.exists() else {}


def _timed(tunings: dict[str, Tuning], milliseconds: Callable[[Tuning], float]) -> dict:
    times = {}
    for name, tuning in tunings.items():
        try:
            times[name] = milliseconds(tuning)
        except RuntimeError as error:
            say(f"autotune: {name} does not run here: {str(error).splitlines()[0]}")
    if not times:
        raise RuntimeError("autotune: no way to run this network works here; the errors are above.")
    choice = min(times, key=times.get)
    shown = ", ".join(f"{name} {ms:.2f}" for name, ms in times.items())
    say(f"autotune: {choice}, of {shown} ms a step")
    return {"choice": asdict(tunings[choice]), "ms": times}
