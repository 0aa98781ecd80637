"""Settings of a study: the only home of their defaults and of what is allowed. Light: no torch.

A profile (profiles/*.yaml, or a file of one's own) holds differences from the defaults, which are the profile "smoke".
"""

import inspect
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, field_validator
from typing_extensions import TypedDict

from dehazelib import paths
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.options import OptionError, read_mapping
from dehazelib.experiments.spec import Precision, Spec

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

Reading = Literal[*READINGS]
Baseline = Literal[*BASELINES]
TYPES = {name: kind for name, kind in inspect.get_annotations(Spec).items() if name in Spec.model_fields}
Changes = TypedDict("Changes", TYPES, total=False)  # some options of a run, and their values
Changes.__pydantic_config__ = Spec.model_config


class Settings(Hardware):
    """Everything that a profile or a user can set."""

    noun: ClassVar[str] = "setting"

    profile: str = "smoke"  # results go to results/<profile>, or results/<profile>-<source> with real images
    data: str = "rooms"  # rooms (embedded), or a folder with SOTS-indoor, and ITS or NYU; ~ and $DEHAZE_DATA are put in
    seed: NonNegativeInt = 0  # first seed
    seeds: PositiveInt = 1  # number of seeds of the central comparison
    recipe: Literal[*RECIPES] = "modern"
    train_scenes: NonNegativeInt = 0  # train on the first so many scenes; 0: all
    validations: PositiveInt = 2  # per run
    validation_pairs: PositiveInt = 2
    test_pairs: NonNegativeInt = 4  # of the reported test set, evenly spread; 0: all
    track_test: bool = False  # also report what selecting on the test set would claim
    precision: Precision = "32-true"

    # teachers, Tables 1 to 4
    teacher_seeds: PositiveInt = 1  # number of seeds; the first one guides every framework
    teacher_steps: PositiveInt = 12
    teacher_batch: PositiveInt = 4
    teacher_crop: NonNegativeInt = 32  # pixels of the clear image; 0: whole images
    sr_baselines: list[Literal[*SR_BASELINES]] = []  # rows of Tables 1 and 2 to train
    sr_baseline_steps: PositiveInt = 4  # of teacher_batch images

    # the student, alone and in the framework
    student_steps: PositiveInt = 12
    student_batch: PositiveInt = 4
    student_crop: NonNegativeInt = 48  # pixels; 0: whole images
    student_reduce: PositiveInt = 1  # train on images averaged over so many pixels each way; scores are at full size
    control_seeds: PositiveInt = 1  # number of seeds of the controls
    search: dict[str, Changes] = {}  # name -> changes to the student's recipe; compared on validation scenes
    longest: list[Changes] = []  # stages of the longest pair, student and framework; each continues the one before
    onward: list[Changes] = []  # stages by which the student alone is then continued

    # ablations, Tables 6 to 8
    readings: list[Reading] = ["as_released"]  # of the paper
    ablations: list[Literal["lr", "w0.50", "w0.75", "l1", "kl"]] = ["lr", "w0.50", "w0.75", "l1", "kl"]  # rows to train
    ablation_seeds: PositiveInt = 1  # number of seeds
    described_seeds: NonNegativeInt = 0  # the same of the rows as described, if another; 0: ablation_seeds

    # other networks, Table 5
    baselines: list[Literal["all", *BASELINES]] = ["aod_net", "dehazenet"]  # rows to train
    baseline_seeds: PositiveInt = 1  # number of seeds of each, also with the affinity module
    baseline_recipe: Literal["common", "authors"] = "common"  # one loss and optimiser for all, or each network's own
    baseline_changes: dict[Baseline, Changes] = {}  # network -> changes to its recipe
    baseline_steps: PositiveInt = 4
    baseline_batch: PositiveInt = 2
    baseline_crop: NonNegativeInt = 48
    single_seed: list[Literal[*BASELINES, *SR_BASELINES]] = []  # networks that are trained with the first seed only
    zero_shot_steps: PositiveInt = 2  # per image, for ZID (its authors: 500)
    zero_shot_pairs: NonNegativeInt = 0  # of the test pairs, for ZID, which takes minutes for one; 0: all of them
    student: Literal["student", *BASELINES] = "student"  # another network to try with and without the affinity module
    plug_and_play: list[Baseline] = ["aod_net"]  # more such networks

    # cost
    benchmarks: list[str] = ["aod_net", "dehazenet", "student", "dsc_mc_fsrcnn", "mc_fsrcnn"]  # or all
    affinity_pixels: list[PositiveInt] = [256, 1024, 4096]  # sizes N of the affinity loss to measure

    @classmethod
    def load(cls, profile: str = "smoke", data: str | None = None, seed: int | None = None,
             overrides: Mapping[str, Any] | None = None) -> Self:
        """Returns the settings of a profile with changes.

        profile: a name in dehazelib/experiments/profiles, or the path of a .yaml file. data, seed: None for the
        profile's own. overrides: setting -> value. Raises ValueError, in one line, for whatever does not fit.
        """
        if not isinstance(overrides or {}, Mapping):
            raise OptionError(f"overrides is {overrides!r}: give settings by name, such as {{student_steps: 50}}.")
        if "profile" in (overrides or {}):
            raise OptionError("profile cannot be overridden: give another profile instead.")
        file = profile_file(profile)
        common = {"data": data, "seed": seed}
        given = dict(overrides or {}) | {name: value for name, value in common.items() if value is not None}
        try:
            return cls(**{"profile": file.stem} | read_mapping(file) | given)
        except OptionError as error:
            if error.option in given:
                raise
            raise OptionError(f"{file}: {error}") from None

    @classmethod
    def known(cls, where: tuple) -> Iterable[str]:
        return Spec.model_fields if where else cls.model_fields

    @field_validator("data")
    @classmethod
    def _expanded(cls, data: str) -> str:
        return paths.data_root(data)

    @cached_property
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
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    @property
    def hardware(self) -> Hardware:
        """Returns the part of the settings that training and scoring need."""
        return Hardware(**{name: getattr(self, name) for name in Hardware.model_fields})


def profile_file(profile: str) -> Path:
    """Returns the file of a profile, given by name or as a path. Raises ValueError if there is none."""
    if not isinstance(profile, str):
        raise OptionError(f"profile is {profile!r}: give its name, such as demo.")
    given = Path(profile).expanduser()
    file = given if given.suffix in (".yaml", ".yml") else paths.PROFILES / f"{profile}.yaml"
    if not file.is_file():
        names = sorted(path.stem for path in paths.PROFILES.glob("*.yaml"))
        raise OptionError(f"No profile {profile!r}. There are: {', '.join(names)}; or give the path of a .yaml file.")
    return file
