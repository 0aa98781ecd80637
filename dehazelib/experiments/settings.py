"""Settings of the study: what a profile or a notebook's parameters cell can set, what is refused. Light: no torch."""

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dehazelib import paths
from dehazelib.experiments.spec import PRECISIONS

READINGS = {  # of the affinity module: the paper's text, the authors' code
    "as_described": {"features": "intermediate", "distance": "l2"},
    "as_released": {"features": "outputs", "distance": "l2_norm"},
}
RECIPES = {  # of training: the paper's text, the authors' code, and one for limited time
    "paper": {"lr": 1e-5, "schedule": "step", "decay": 0.98, "decay_epochs": 10, "augment": "none"},
    "released": {"lr": 1e-4, "schedule": "constant", "clip": 0.1, "augment": "released"},
    "modern": {"lr": 4e-3, "schedule": "cosine", "warmup_share": 0.05, "clip": 0.1, "augment": "flip"},
}
BASELINES = (  # Table 5, and after it today's light alternatives
    "aod_net", "ssid", "zid", "zid_oracle", "lsid_fcnn", "mscnn", "dehazenet", "famed_net", "gfn", "gcanet", "dcpdn",
    "cycle_dehaze", "msbdn", "ffa_net", "pfdn", "dehazing_4k", "griddehazenet", "ld_net", "gunet_t", "dehazeformer_t",
)
SR_BASELINES = ("srresnet", "drn_s")  # Tables 1 and 2


@dataclass(frozen=True)
class Settings:
    """Everything a profile or a notebook's parameters can set. The defaults are the profile "smoke"."""

    profile: str = "smoke"  # results go to results/<profile>, or results/<profile>-<source> with real images
    data: str = "rooms"  # rooms (embedded), or a folder with SOTS-indoor, and ITS or NYU; may name $DEHAZE_DATA
    seed: int = 0  # first seed
    seeds: int = 1  # number of seeds of the central comparison
    control_seeds: int = 1  # number of seeds of the controls
    teacher_seeds: int = 1  # number of seeds of the teachers, Tables 1 to 4; the first one guides every framework
    ablation_seeds: int = 1  # number of seeds of Tables 6 to 8
    described_seeds: int = 0  # the same of their rows as described, if another; 0: ablation_seeds
    ablations: list = field(default_factory=lambda: ["lr", "w0.50", "w0.75", "l1", "kl"])  # trained rows of Tables 6-8
    recipe: str = "modern"  # modern, paper, released: see RECIPES
    readings: list = field(default_factory=lambda: ["as_released"])  # of the paper, for Tables 6 to 8
    teacher_steps: int = 12
    teacher_batch: int = 4
    teacher_crop: int = 32  # pixels of the clear image; 0: whole images
    student_steps: int = 12
    student_batch: int = 4
    student_crop: int = 48  # pixels; 0: whole images
    student_reduce: int = 1  # train on images averaged over so many pixels each way; scores are at full size
    search: dict = field(default_factory=dict)  # name -> changes to the student's spec; compared on validation scenes
    # phases of the longest pair, student and framework, each a dict of changes; each goes on from the one before
    longest: list = field(default_factory=list)
    onward: list = field(default_factory=list)  # phases by which the student then goes on alone
    student: str = "student"  # a network of the catalogue to try with and without the affinity module, too
    plug_and_play: list = field(default_factory=lambda: ["aod_net"])  # more such networks
    baselines: list = field(default_factory=lambda: ["aod_net", "dehazenet"])  # trained rows of Table 5; ["all"] or []
    sr_baselines: list = field(default_factory=list)  # rows of Tables 1 and 2 to train: srresnet, drn_s
    sr_baseline_steps: int = 4  # of teacher_batch images
    baseline_seeds: int = 1  # number of seeds of Table 5's networks, and of the plug-and-play comparison
    single_seed: list = field(default_factory=list)  # networks that are trained with the first seed only
    baseline_recipe: str = "common"  # common: one loss and optimiser for all; authors: each network's own, where known
    baseline_changes: dict = field(default_factory=dict)  # network -> changes to its spec, beside the common ones
    baseline_steps: int = 4
    baseline_batch: int = 2
    baseline_crop: int = 48
    zero_shot_steps: int = 2  # per image, for ZID (its authors: 500)
    zero_shot_pairs: int = 0  # of the test pairs, for ZID, which takes minutes for one; 0: all of them
    benchmarks: list = field(default_factory=lambda: ["aod_net", "dehazenet", "student", "dsc_mc_fsrcnn", "mc_fsrcnn"])
    affinity_pixels: list = field(default_factory=lambda: [256, 1024, 4096])  # sizes N of the affinity loss to measure
    train_scenes: int = 0  # train on the first so many scenes; 0: all
    validations: int = 2  # per run
    validation_pairs: int = 2
    test_pairs: int = 4  # of the reported test set, evenly spread; 0: all
    track_test: bool = False  # also report what selecting on the test set would claim
    precision: str = "32-true"  # 32-true, bf16-mixed
    accelerator: str = "auto"  # auto, cpu, cuda, mps
    devices: int = 1  # processes per node
    num_nodes: int = 1
    workers: int = 0  # data loading processes, where the scenes are not held on the device
    resident: bool = True  # hold decoded scenes on the device and make batches there, where they fit
    autotune: bool = True  # on a GPU, time layouts, compilation and kernels before the first run of a kind

    def __post_init__(self):
        check(dataclasses.asdict(self), f"profile {self.profile}")
        allowed = {"recipe": RECIPES, "baseline_recipe": ("common", "authors"), "precision": PRECISIONS,
                   "accelerator": ("auto", "cpu", "cuda", "mps")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}: use one of {', '.join(values)}.")
        if unknown := set(self.readings) - set(READINGS):
            raise ValueError(f"readings has {', '.join(sorted(map(str, unknown)))}: use {', '.join(READINGS)}.")
        sizes = ("seeds", "control_seeds", "teacher_seeds", "ablation_seeds", "baseline_seeds", "teacher_batch",
                 "student_batch", "baseline_batch", "devices", "num_nodes")
        if small := [name for name in sizes if getattr(self, name) < 1]:
            raise ValueError(f"{small[0]} is {getattr(self, small[0])}: it must be at least 1.")
        others = (*BASELINES, *SR_BASELINES)
        for name, known in (("single_seed", others), ("baseline_changes", BASELINES)):
            if unknown := set(getattr(self, name)) - {*known, *self.plug_and_play, self.student}:
                raise ValueError(f"{name} has {', '.join(sorted(map(str, unknown)))}: use {', '.join(known)}.")
        for name in ("test_pairs", "zero_shot_pairs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number of pairs, or 0 for all.")
        if self.described_seeds < 0:
            raise ValueError(f"described_seeds is {self.described_seeds}: give a number, or 0 for ablation_seeds.")
        object.__setattr__(self, "data", _data(self.data))

    @property
    def source(self) -> str:
        """Returns rooms, nyu or its: what the data folder holds."""
        if self.data == "rooms":
            return "rooms"
        from dehazelib.data.sources import source  # imports torch, which the embedded set does not need here

        return source(self.data)

    @property
    def name(self) -> str:
        """Returns the study's name, that of its folder."""
        return self.profile if self.source == "rooms" else f"{self.profile}-{self.source}"

    @property
    def folder(self) -> Path:
        return paths.results() / self.name

    @property
    def cabinet(self) -> Path:
        return self.folder / "runs"


def load(profile: str, **changes) -> Settings:
    """Returns the settings of a profile, with changes. Raises ValueError naming an unknown profile or setting."""
    if not _file(profile).exists():
        have = sorted(p.stem for p in paths.PROFILES.glob("*.yaml"))
        raise ValueError(f"No profile {profile!r}. There are: {', '.join(have)} (notebooks/profiles).")
    return _settings(_read(profile) | changes, f"profile {profile}")


def from_notebook(namespace: Mapping) -> Settings:
    """Returns the settings that a notebook's parameters cell and papermill have put into globals().

    Raises ValueError for a name that is no setting (papermill itself only warns) and TypeError for a changed type;
    ValueError, too, if only the profile's name was changed, by hand, so that its settings are not there.
    """
    literals = (bool, int, float, str, list, dict, type(None))
    given = {k: v for k, v in namespace.items()
             if type(v) in literals and not k.startswith("_") and k not in ("In", "Out")}
    check(given, "the notebook's parameters", " If a later cell made this variable, restart the kernel.")
    _check_loaded(given)
    return Settings(**given)


def check(given: Mapping, where: str, after: str = "") -> None:
    """Raises ValueError or TypeError, in one line, if a name or a type does not fit Settings."""
    types = {f.name: f.type for f in dataclasses.fields(Settings)}
    for name, value in given.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, 1)
            hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(types)}."
            raise ValueError(f"Unknown parameter {name!r} in {where}: {hint}{after}")
        if type(value) is not types[name]:
            raise TypeError(f"Parameter {name} in {where} must be {types[name].__name__}, not {value!r}.")


def _file(profile: str) -> Path:
    return paths.PROFILES / f"{profile}.yaml"


def _read(profile: str) -> dict:
    try:
        return yaml.safe_load(_file(profile).read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{_file(profile)} is not YAML: {' '.join(str(error).split())}") from None


def _check_loaded(given: Mapping) -> None:
    """Raises ValueError if a profile is named, but everything that it changes still has its default."""
    profile, defaults = given.get("profile", "smoke"), dataclasses.asdict(Settings())
    changes = {name: value for name, value in (_read(profile) if _file(profile).exists() else {}).items()
               if name not in ("profile", "data") and value != defaults.get(name)}
    if changes and all(given.get(name, defaults.get(name)) == defaults.get(name) for name in changes):
        name = next(iter(changes))
        raise ValueError(
            f"profile is {profile!r}, but none of its settings is there: {name} is {defaults.get(name)!r}, not "
            f"{changes[name]!r}. By hand, write settings = profiles.load({profile!r}) in the place of this line, with "
            "data=\"/folder\" for real images; with papermill, give -f and the profile's file.")


def _settings(given: Mapping, where: str) -> Settings:
    check(given, where)
    return Settings(**given)


def _data(where: str) -> str:
    expanded = os.path.expandvars(where)
    if "$" in expanded:
        raise ValueError(f"data is {where!r}, but the variable is not set: export DEHAZE_DATA=/folder, "
                         "or give data itself.")
    return expanded if expanded == "rooms" else str(Path(expanded).expanduser().resolve())
