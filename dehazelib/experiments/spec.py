"""A run's specification: everything that decides a run's result, and nothing else. Light: no torch."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import yaml
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from dehazelib.experiments.options import OptionError, Options, read_mapping

IMAGE = (460, 620)  # height and width of the paper's images
SUBSTITUTES = ("bilinear", "bicubic", "black")  # networks without parameters that can stand in for a teacher
LATER = ("scales", "haze")  # options added after runs were committed: they enter a run's id unless they are the default

Precision = Literal["32-true", "bf16-mixed"]  # Lightning Fabric's; float16 would need scaled losses everywhere


class Spec(Options):
    """One training run. Its `id` (a readable label and a content hash) names its folder.

    The names, their order and their defaults make the ids of all runs there are: do not change them. An option that is
    added is listed in LATER.
    """

    noun: ClassVar[str] = "option of a run"

    label: str = "student"  # what tables and figures call the run; seeds share it
    network: str = "student"  # a name of the catalogue
    task: Literal["dehazing", "super_resolution"] = "dehazing"
    target: Literal["", "native", "upsampled"] = ""  # super_resolution only: image halved and restored, or doubled
    data: Literal["rooms", "nyu", "its"] = "rooms"
    haze: Literal["reside", "camera"] = "reside"  # camera: as photographs have it, data/camera.py
    train_scenes: NonNegativeInt = 0  # use only the first so many training scenes; 0: all
    seed: int = 0

    # objective
    loss: Literal["mse", "l1", "smooth_l1", "channel_mse", "objective"] = "mse"  # objective: the network authors' own
    features: Literal["none", "outputs", "intermediate"] = "none"  # affinity module: none, as released, as described
    distance: Literal["l2_norm", "l2", "l1", "kl"] = "l2_norm"  # l2_norm: as released, l2: equation 12
    affinity_weight: float = 0.25  # w_FA of equation (15)
    affinity_share: float = 0.0  # above 0: w_FA adapts to hold this share of the gradient
    teacher: str = ""  # id of a super-resolution run, or one of SUBSTITUTES, or untrained:NETWORK
    teacher_input: Literal["native", "half"] = "native"  # HR teacher: image -> twice its size; LR: half size -> image

    # optimisation
    start: str = ""  # id of the run whose weights to start from; empty: fresh ones. ID@STEP: the checkpoint that was
    # kept at that step, with the optimiser's moments
    steps: PositiveInt = 100
    batch: PositiveInt = 4
    crop: NonNegativeInt = 64  # pixels; 0: whole images
    reduce: PositiveInt = 1  # train on images averaged over so many pixels each way, then cropped; scores: at full size
    scales: str = ""  # factors like `reduce` that the steps take in turn, such as "4 2 1"; empty: `reduce` always.
    # Each step has as many images as make the pixels of `batch` images at `reduce`, but at least one
    augment: Literal["none", "flip", "flip_rotate", "released"] = "flip"  # flip_rotate: crops only; see data/stream.py
    optimizer: Literal["adam", "adamw"] = "adam"
    beta1: float = 0.9
    beta2: float = 0.999
    lr: float = 2e-3
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    warmup: NonNegativeInt = 0  # steps of linear warm-up
    decay: float = 0.98  # schedule=step: factor ...
    decay_steps: NonNegativeInt = 0  # ... every so many steps
    weight_decay: float = 0.0
    clip: NonNegativeFloat = 0.0  # gradient norm; 0: none
    ema: NonNegativeFloat = 0.0  # decay of the weight average that is validated and kept; 0: none

    # selection, always on held-out training scenes
    validations: PositiveInt = 4  # evenly spaced over the run
    validation_pairs: PositiveInt = 8
    track_test: int = 0  # also log the PSNR of so many test pairs at each validation: what selecting on the test set
    # would claim; -1: all, 0: off

    # arithmetic
    precision: Precision = "32-true"
    channels_last: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.task == "super_resolution") != bool(self.target):
            raise ValueError("target is for super_resolution, and super_resolution needs it.")
        if (self.features != "none") != bool(self.teacher):
            raise ValueError("teacher and features go together: the affinity module needs both.")
        if self.features != "none" and self.loss == "objective":
            raise ValueError("loss is 'objective', the network authors' own: the affinity module needs a plain loss.")
        if self.schedule == "step" and self.decay_steps < 1:
            raise ValueError("decay_steps must be at least 1 with schedule 'step'.")
        if not re.fullmatch(r"([1-9]\d*( [1-9]\d*)*)?", self.scales):
            raise ValueError(f"scales is {self.scales!r}: give whole numbers from 1 with single spaces, '4 2 1'.")
        return self

    @property
    def cycle(self) -> list[tuple[int, int]]:
        """Returns (factor, images) of the steps of one cycle, which the run repeats; without scales it is one step."""
        factors = [int(factor) for factor in self.scales.split()] or [self.reduce]
        return [(factor, max(1, round(self.batch * (factor / self.reduce) ** 2))) for factor in factors]

    def images(self, steps: int) -> int:
        """Returns how many images the first so many steps see."""
        sizes = [size for _, size in self.cycle]
        cycles, rest = divmod(steps, len(sizes))
        return cycles * sum(sizes) + sum(sizes[:rest])

    @property
    def pixels(self) -> float:
        """Returns the mean number of pixels of the images that it trains on."""
        if self.crop:
            return self.crop**2
        pixels = sum(count * (IMAGE[0] // factor) * (IMAGE[1] // factor) for factor, count in self.cycle)
        return pixels / sum(count for _, count in self.cycle)

    @property
    def id(self) -> str:
        """Returns label, seed and the first 8 hex digits of the SHA-256 of the specification."""
        digest = hashlib.sha256(json.dumps(self._counted(), sort_keys=True).encode()).hexdigest()
        return f"{self.label}-s{self.seed}-{digest[:8]}"

    def text(self) -> str:
        """Returns what the id counts as YAML, in the order of the fields."""
        return yaml.safe_dump(self._counted(), sort_keys=False)

    def _counted(self) -> dict:
        """Returns the options by name, those added later only where they are not the default."""
        return {name: value for name, value in self.model_dump().items()
                if name not in LATER or value != type(self).model_fields[name].default}


def read(path: Path) -> Spec:
    """Returns the specification in a spec.yaml. Raises ValueError naming the file and the wrong option."""
    try:
        return Spec(**read_mapping(Path(path)))
    except OptionError as error:
        raise ValueError(f"{path}: {error}") from None


def read_run(folder: Path) -> Spec:
    """Returns the specification in the folder of a run. Raises ValueError naming its file, also if it is another's."""
    file = Path(folder) / "spec.yaml"
    spec = read(file)
    if spec.id != file.parent.name:
        raise ValueError(f"{file} was changed, or its folder renamed: it specifies {spec.id}. Change it back, or "
                         "remove the folder to train the run again.")
    return spec


def of_row(row: Mapping) -> Spec:
    """Returns the part of the specification in a row of runs.csv that decides the sizes of its training images."""
    scales = row.get("scales", "")
    return Spec(crop=int(row["crop"]), reduce=int(row["reduce"]), batch=int(row.get("batch", 1)),
                scales=scales if isinstance(scales, str) else "")
