"""Which runs each table and figure needs: lists of specifications, made from settings. Light: no torch."""

import math

from dehazelib.experiments.settings import BASELINES, READINGS, RECIPES, SR_BASELINES, Settings
from dehazelib.experiments.spec import IMAGE, Spec
from dehazelib.experiments.variant import SUBSTITUTE_TEACHERS, Variant

EPOCH_IMAGES = {  # of a dehazing and of a super-resolution epoch: ITS has ten hazy images per scene
    "dehazing": {"rooms": 48, "nyu": 13990, "its": 13990},
    "super_resolution": {"rooms": 48, "nyu": 1399, "its": 1399},
}
NATIVE = ("fsrcnn_x2", "fsrcnn_x4", "mc_fsrcnn", "relu_mc_fsrcnn", "dscbn_mc_fsrcnn", "dsc_mc_fsrcnn")  # Tables 1, 3
UPSAMPLED = ("fsrcnn_x2", "mc_fsrcnn", "relu_mc_fsrcnn", "dscbn_mc_fsrcnn", "dsc_mc_fsrcnn")  # Tables 2, 4
COMPARED = {"native": SR_BASELINES, "upsampled": ("drn_s",)}  # Tables 1, 2
INTERPOLATIONS = {"native": ("bilinear", "bicubic", "bilinear_x4", "bicubic_x4"), "upsampled": ("bilinear", "bicubic")}
TEACHER = "dsc_mc_fsrcnn"
ADAPTIVE_SHARE = 0.1
PAPER_WEIGHT = 0.25  # w_FA, Table 7
LONGEST = ("longest-student", "longest-framework")  # labels of the longest pair
ONWARD = "onward-student"  # label of the run that goes on from the first of them alone
LONG = (*LONGEST, ONWARD)
TRUNK = "trunk-student-decay"  # label of the end of the long run of results/plan.md
HAZY_ALL, PRIOR_ALL = "hazy-all_pairs", "dark_channel_prior-all_pairs"  # their controls
SEARCH = "search-"  # how the labels of the search's runs begin
BATCH = 2  # of the paper's training; its w_FA belongs to this and to its images


# ------------------------------------------------------------------------------------------------ single runs


def teacher(settings: Settings, network: str = TEACHER, target: str = "upsampled", seed: int | None = None) -> Spec:
    """Returns one super-resolution run; by default the teacher of the full framework (460x620 -> 920x1240)."""
    steps = settings.sr_baseline_steps if network in SR_BASELINES else settings.teacher_steps
    options = _training(settings, "super_resolution", steps, settings.teacher_batch, settings.teacher_crop)
    if settings.recipe == "modern":
        options |= {"clip": 1.0}
    if network in SR_BASELINES:
        options |= {"lr": 1e-3, "warmup": 0}
    return Spec(label=Variant(network=network, target=target).label, network=network, target=target,
                seed=settings.seed if seed is None else seed,
                loss="channel_mse" if network.endswith("mc_fsrcnn") else "mse", **options)


def student(settings: Settings, seed: int | None = None) -> Spec:
    """Returns the student trained alone."""
    tracked = (settings.test_pairs or -1) if settings.track_test else 0
    return Spec(label="student", network="student", track_test=tracked,
                seed=settings.seed if seed is None else seed, **_student_training(settings))


def framework(settings: Settings, reading: str, seed: int | None = None, change: str = "", **options) -> Spec:
    """Returns the student trained in the full framework, with the affinity module as described or as released.
    Equation (15)."""
    label = Variant(form=reading, change=change).label
    return _guided(settings, student(settings, seed), reading, **options).replace(label=label)


def baseline(settings: Settings, name: str, seed: int | None = None) -> Spec:
    """Returns one network of Table 5 at the common budget; by the common recipe or its authors', with its own changes
    (settings)."""
    from dehazelib.networks import CATALOGUE, recipes  # imports torch

    entry = CATALOGUE[name]
    recipe = {"lr": entry.lr, "clip": 1.0}
    if entry.role == "zero_shot":
        recipe |= {"steps": settings.zero_shot_steps}
    elif settings.baseline_recipe == "authors":
        recipe |= _authors_recipe(recipes().get(name, {}))
    elif not entry.pairs:
        recipe |= {"loss": "objective"}
    options = _baseline_training(settings) | recipe | settings.baseline_changes.get(name, {})
    return Spec(**{"label": name, "network": name, "seed": settings.seed if seed is None else seed} | options)


def _authors_recipe(known: dict) -> dict:
    beta1, beta2 = known.get("betas", (0.9, 0.999))
    own = {name: known[name] for name in ("optimizer", "lr", "weight_decay", "loss") if name in known}
    return {"beta1": beta1, "beta2": beta2, **own}


# ------------------------------------------------------------------------------------------------ lists of runs


def teachers(settings: Settings) -> list[Spec]:
    """Returns the super-resolution runs of Tables 1 to 4, both tasks, all variants."""
    runs = []
    for target, variants in (("native", NATIVE), ("upsampled", UPSAMPLED)):
        for network in (*variants, *(name for name in COMPARED[target] if name in settings.sr_baselines)):
            for seed in _seeds(settings, settings.teacher_seeds, network):
                runs.append(teacher(settings, network, target, seed))
    return runs


def interpolations(settings: Settings) -> list[Spec]:
    """Returns the controls of Tables 1 to 4."""
    return [Spec(label=Variant(network=name, target=target).label, network=name, task="super_resolution",
                 target=target, data=settings.source)
            for target, names in INTERPOLATIONS.items() for name in names]


def central(settings: Settings) -> list[Spec]:
    """Returns the central comparison: the student alone and the full framework in both readings, all seeds."""
    seeds = _seeds(settings, settings.seeds)
    alone = [student(settings, seed) for seed in seeds]
    return alone + [framework(settings, reading, seed) for reading in ("as_released", "as_described") for seed in seeds]


def controls(settings: Settings) -> list[Spec]:
    """Returns what the paper lacks: hazy input; adaptive weight; bilinear upsampling, an untrained network and a black
    image as teacher."""
    runs = [_control(settings, "hazy")]
    for seed in _seeds(settings, settings.control_seeds):
        for reading in READINGS:
            runs.append(framework(settings, reading, seed, "adaptive", affinity_share=ADAPTIVE_SHARE))
        for name in SUBSTITUTE_TEACHERS:
            teacher_id = f"untrained:{TEACHER}" if name == "untrained" else name
            run = framework(settings, "as_released", seed, affinity_share=ADAPTIVE_SHARE, teacher=teacher_id)
            runs.append(run.replace(label=Variant(form="as_released", teacher=name).label))
    return runs


def ablations(settings: Settings) -> list[Spec]:
    """Returns the rows of Tables 6, 7 and 8 that are not in the central comparison."""
    changes = {
        "lr": {"teacher": teacher(settings, target="native").id, "teacher_input": "half"},
        "w0.50": {"affinity_weight": 0.50},
        "w0.75": {"affinity_weight": 0.75},
        "l1": {"distance": "l1"},
        "kl": {"distance": "kl"},
    }
    counts = {"as_released": settings.ablation_seeds,
              "as_described": settings.described_seeds or settings.ablation_seeds}
    return [framework(settings, reading, seed, name, **changes[name]) for reading in settings.readings
            for name in settings.ablations for seed in _seeds(settings, counts[reading])]


def baselines(settings: Settings) -> list[Spec]:
    """Returns Table 5's other networks, and ours at their budget if it is another than the student's own, so that no
    comparison mixes budgets."""
    names = BASELINES if "all" in settings.baselines else settings.baselines
    runs = [_control(settings, "dark_channel_prior")]
    for name in names:
        runs += _with_seeds(settings, name)
    ours = [(settings.student_steps, settings.student_batch, settings.student_crop)]
    if names and (settings.baseline_steps, settings.baseline_batch, settings.baseline_crop) not in ours:
        runs += _ours_at_equal_budget(settings)
    return runs


def _ours_at_equal_budget(settings: Settings) -> list[Spec]:
    alone = Spec(network="student", **_baseline_training(settings))
    seeds = _seeds(settings, settings.baseline_seeds)
    guided = _guided(settings, alone, "as_released")
    return [run.replace(label=Variant(form=form, equal_budget=True).label, seed=seed)
            for run, form in ((alone, ""), (guided, "as_released")) for seed in seeds]


def plug_and_play(settings: Settings) -> list[Spec]:
    """Returns other networks with and without the affinity module (on the outputs, adaptive weight), equal budgets."""
    module = {"teacher": teacher(settings).id, **READINGS["as_released"], "affinity_share": ADAPTIVE_SHARE}
    names = list(settings.plug_and_play)
    if settings.student not in ("student", *names):
        names.append(settings.student)
    runs = []
    for name in names:
        label = Variant(network=name, form="as_released").label
        for alone in _with_seeds(settings, name):
            runs += [alone, alone.replace(label=label, **module)]
    return runs


def search(settings: Settings) -> list[Spec]:
    """Returns the runs of the search for a recipe: compared on validation scenes, never scored on a test set."""
    return [_changed(settings, student(settings), changes).replace(label=Variant(searched=True, change=name).label)
            for name, changes in settings.search.items()]


def longest(settings: Settings) -> list[Spec]:
    """Returns the stages of the longest pair, the student alone and with the module as released; those by which the
    student then goes on alone; and the controls of all three.

    The last stages, labelled longest-student, longest-framework and onward-student, and the controls are scored on all
    test pairs. Raises ValueError if the student is to go on from no pair.
    """
    if settings.onward and not settings.longest:
        raise ValueError("onward goes on from the longest pair, but longest names no phases of it.")
    if not settings.longest:
        return []
    alone = _chain(settings, Variant(long="longest"), settings.longest)
    guided = _chain(settings, Variant(long="longest", form="as_released"), settings.longest)
    onward = _chain(settings, Variant(long="onward"), settings.onward, start=alone[-1].id)
    controls = [_control(settings, name, all_pairs=True) for name in ("hazy", "dark_channel_prior")]
    return [*alone, *guided, *onward, *controls]


def _chain(settings: Settings, variant: Variant, stages: list[dict], start: str = "") -> list[Spec]:
    """Returns a run for each stage, each starting from the weights of the one before, the first from run `start`."""
    runs = []
    for number, changes in enumerate(stages, 1):
        run = _changed(settings, student(settings), changes)
        if variant.guided:
            run = _guided(settings, run, variant.form)
        stage = 0 if number == len(stages) else number
        runs.append(run.replace(label=Variant(long=variant.long, form=variant.form, stage=stage).label, start=start))
        start = runs[-1].id
    return runs


STAGES = {  # in order: what comes later may need what comes before
    "teachers": lambda settings: teachers(settings) + interpolations(settings),
    "central": central,
    "controls": controls,
    "ablations": ablations,
    "baselines": baselines,
    "plug_and_play": plug_and_play,
    "search": search,
    "longest": longest,
}


def every(settings: Settings) -> list[Spec]:
    """Returns all runs of the study, in an order in which they can be trained."""
    return list(dict.fromkeys(run for stage in STAGES.values() for run in stage(settings)))


def is_scored(spec: Spec) -> bool:
    """Returns whether a run is for the test sets; those of the search and the stages of the longest runs are not."""
    return Variant.of(spec.label).scored


# ------------------------------------------------------------------------------------------------ their options


def _training(settings: Settings, task: str, steps: int, batch: int, crop: int) -> dict:
    """Returns the options that the recipe and a budget amount to, for a run of a task."""
    recipe = dict(RECIPES[settings.recipe])
    epochs, share = recipe.pop("decay_epochs", 0), recipe.pop("warmup_share", 0)
    return recipe | {
        "task": task, "data": settings.source, "train_scenes": settings.train_scenes,
        "steps": steps, "batch": batch, "crop": crop, "warmup": round(share * steps),
        "decay_steps": epochs * EPOCH_IMAGES[task][settings.source] // batch,
        "validations": settings.validations, "validation_pairs": settings.validation_pairs,
        "precision": settings.precision,
    }


def _student_training(settings: Settings) -> dict:
    options = _training(settings, "dehazing", settings.student_steps, settings.student_batch, settings.student_crop)
    return options | {"reduce": settings.student_reduce}


def _baseline_training(settings: Settings) -> dict:
    """Returns the budget of Table 5's other networks, by the student's recipe."""
    options = _training(settings, "dehazing", settings.baseline_steps, settings.baseline_batch, settings.baseline_crop)
    return options | {"reduce": settings.student_reduce, "validations": 1, "validation_pairs": 1}


def _guided(settings: Settings, spec: Spec, reading: str, **options) -> Spec:
    """Returns a student's specification with the affinity module, its weight as strong as on the paper's images."""
    module = {"teacher": teacher(settings).id, "affinity_weight": PAPER_WEIGHT, **READINGS[reading], **options}
    spec = spec.replace(**module)
    strength = _released_strength(spec) if spec.distance == "l2_norm" else 1
    return spec.replace(affinity_weight=spec.affinity_weight * strength)


def _released_strength(spec: Spec) -> float:
    """Returns what w_FA of the released norm is multiplied by, so that it weighs on these images as on the paper's.

    A norm over B images, divided by N^2, falls like sqrt(B) / N, N the pooled pixels: on 64-pixel windows the
    released term would otherwise be about 70 times as strong as on whole images. 1 for the paper's images and batch.
    """
    sides = [spec.crop or side // spec.reduce for side in IMAGE]
    pixels, paper = (height // 4 * (width // 4) for height, width in (sides, IMAGE))
    return pixels / paper * math.sqrt(BATCH / spec.batch)


def _changed(settings: Settings, spec: Spec, changes: dict) -> Spec:
    """Returns the specification with changes; the warm-up keeps its share of the steps unless it is given."""
    share = RECIPES[settings.recipe].get("warmup_share", 0)
    return spec.replace(**{"warmup": round(share * changes.get("steps", spec.steps)), **changes})


def _control(settings: Settings, network: str, all_pairs: bool = False) -> Spec:
    return Spec(label=Variant(network=network, all_pairs=all_pairs).label, network=network, data=settings.source)


def _with_seeds(settings: Settings, name: str) -> list[Spec]:
    """Returns one network of Table 5 with each seed that the study asks for."""
    return [baseline(settings, name, seed) for seed in _seeds(settings, settings.baseline_seeds, name)]


def _seeds(settings: Settings, count: int, network: str = "") -> range:
    count = 1 if network in settings.single_seed else count
    return range(settings.seed, settings.seed + count)
