"""A run's specification: everything that decides a run's result, and nothing else. Light: no torch."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

PRECISIONS = ("32-true", "bf16-mixed")  # Lightning Fabric's names; float16 would need scaled losses everywhere
SUBSTITUTES = ("bilinear", "bicubic", "black")  # networks without parameters that can stand in for a teacher
LATER = ()  # options added after runs were committed: only values other than the default enter a run's id


@dataclass(frozen=True)
class Spec:
    """One training run. Its `id` (a readable label and a content hash) names its folder."""

    label: str = "student"  # what tables and figures call the run; seeds share it
    network: str = "student"  # a name of the catalogue
    task: str = "dehazing"  # dehazing, super_resolution
    target: str = ""  # super_resolution only: native (image halved, then restored), upsampled (image doubled)
    data: str = "rooms"  # rooms, nyu, its
    train_scenes: int = 0  # use only the first so many training scenes; 0: all
    seed: int = 0

    # objective
    loss: str = "mse"  # mse, l1, smooth_l1, channel_mse, or objective: the network authors' own
    features: str = "none"  # affinity module: none, outputs (as released), intermediate (as described)
    distance: str = "l2_norm"  # l2_norm (as released), l2 (equation 12), l1, kl
    affinity_weight: float = 0.25  # w_FA of equation (15)
    affinity_share: float = 0.0  # above 0: w_FA adapts to hold this share of the gradient
    teacher: str = ""  # id of a super-resolution run, or one of SUBSTITUTES, or untrained:NETWORK
    teacher_input: str = "native"  # native (HR teacher: image -> twice its size), half (LR teacher: half size -> image)

    # optimisation
    start: str = ""  # id of the run whose weights to start from; empty: fresh ones
    steps: int = 100
    batch: int = 4
    crop: int = 64  # pixels; 0: whole images
    reduce: int = 1  # train on images averaged over so many pixels each way, before cropping; scores are at full size
    augment: str = "flip"  # none, flip, flip_rotate (crops only), released (black bars, see data/stream.py)
    optimizer: str = "adam"  # adam, adamw
    beta1: float = 0.9
    beta2: float = 0.999
    lr: float = 2e-3
    schedule: str = "cosine"  # constant, step, cosine
    warmup: int = 0  # steps of linear warm-up
    decay: float = 0.98  # schedule=step: factor ...
    decay_steps: int = 0  # ... every so many steps
    weight_decay: float = 0.0
    clip: float = 0.0  # gradient norm; 0: none
    ema: float = 0.0  # decay of the weight average that is validated and kept; 0: none

    # selection, always on held-out training scenes
    validations: int = 4  # evenly spaced over the run
    validation_pairs: int = 8
    track_test: int = 0  # also log the PSNR of so many test pairs at each validation: what selecting on the test set
    # would claim; -1: all, 0: off

    # arithmetic
    precision: str = "32-true"  # 32-true, bf16-mixed
    channels_last: bool = True

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is float and type(value) is int:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not field.type:
                raise TypeError(f"Spec.{field.name} must be {field.type.__name__}, not {value!r}.")
        allowed = {
            "task": ("dehazing", "super_resolution"),
            "target": ("", "native", "upsampled"),
            "loss": ("mse", "l1", "smooth_l1", "channel_mse", "objective"),
            "features": ("none", "outputs", "intermediate"),
            "distance": ("l2_norm", "l2", "l1", "kl"),
            "teacher_input": ("native", "half"),
            "augment": ("none", "flip", "flip_rotate", "released"),
            "optimizer": ("adam", "adamw"),
            "schedule": ("constant", "step", "cosine"),
            "precision": PRECISIONS,
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"Spec.{name} is {getattr(self, name)!r}: use one of {', '.join(map(repr, values))}.")
        if (self.task == "super_resolution") != bool(self.target):
            raise ValueError("Spec.target is for super_resolution, and super_resolution needs it.")
        if (self.features != "none") != bool(self.teacher):
            raise ValueError("Spec.teacher and Spec.features go together: the affinity module needs both.")
        if self.features != "none" and self.loss == "objective":
            raise ValueError("Spec.loss is 'objective', the network authors' own: "
                             "the affinity module needs a plain loss.")
        if min(self.crop, self.train_scenes) < 0:
            raise ValueError("Spec.crop and train_scenes must be at least 0, which means all.")
        if self.schedule == "step" and self.decay_steps < 1:
            raise ValueError("Spec.decay_steps must be at least 1 with schedule 'step'.")
        if min(self.steps, self.batch, self.reduce, self.validations, self.validation_pairs) < 1:
            raise ValueError("Spec.steps, batch, reduce, validations and validation_pairs must be at least 1.")

    @property
    def id(self) -> str:
        """Returns label, seed and the first 8 hex digits of the SHA-256 of the specification."""
        counted = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                   if f.name not in LATER or getattr(self, f.name) != f.default}
        digest = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
        return f"{self.label}-s{self.seed}-{digest[:8]}"

    def replace(self, **changes) -> "Spec":
        return dataclasses.replace(self, **changes)

    def text(self) -> str:
        """Returns the specification as YAML, in the order of the fields."""
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)


def read(path: Path) -> Spec:
    """Returns the specification in a spec.yaml. Raises ValueError naming an unknown or mistyped option."""
    values = yaml.safe_load(Path(path).read_text())
    known = {field.name for field in dataclasses.fields(Spec)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{path}: unknown option {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    return Spec(**values)
