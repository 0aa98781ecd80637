"""Which runs each table and figure needs: lists of specifications, made from settings. Light: no torch."""

import math

from dehazelib.experiments.settings import BASELINES, READINGS, RECIPES, SR_BASELINES, Settings
from dehazelib.experiments.spec import Spec

EPOCH_IMAGES = {  # of a dehazing and of a super-resolution epoch: ITS has ten hazy images per scene
    "student": {"rooms": 48, "nyu": 13990, "its": 13990},
    "teacher": {"rooms": 48, "nyu": 1399, "its": 1399},
}
NATIVE = ("fsrcnn_x2", "fsrcnn_x4", "mc_fsrcnn", "relu_mc_fsrcnn", "dscbn_mc_fsrcnn", "dsc_mc_fsrcnn")  # Tables 1, 3
UPSAMPLED = ("fsrcnn_x2", "mc_fsrcnn", "relu_mc_fsrcnn", "dscbn_mc_fsrcnn", "dsc_mc_fsrcnn")  # Tables 2, 4
COMPARED = {"native": SR_BASELINES, "upsampled": ("drn_s",)}  # Tables 1, 2
INTERPOLATIONS = {"native": ("bilinear", "bicubic", "bilinear_x4", "bicubic_x4"), "upsampled": ("bilinear", "bicubic")}
TEACHER = "dsc_mc_fsrcnn"
ADAPTIVE_SHARE = 0.1
PAPER_WEIGHT = 0.25  # w_FA, Table 7
SEARCH = "search-"  # how the labels of the search's runs begin
LONGEST = ("longest-student", "longest-framework")  # labels of the longest pair
ONWARD = "onward-student"  # label of the run that goes on from the first of them alone
LONG = (*LONGEST, ONWARD)
HAZY_ALL, PRIOR_ALL = "hazy-all_pairs", "dark_channel_prior-all_pairs"  # their controls
IMAGE, BATCH = (460, 620), 2  # of the paper's training; its w_FA belongs to them


def teachers(settings: Settings) -> list[Spec]:
    """Returns the super-resolution runs of Tables 1 to 4, both tasks, all variants."""
    return [teacher(settings, network, target, seed)
            for target, variants in (("native", NATIVE), ("upsampled", UPSAMPLED))
            for network in (*variants, *(n for n in COMPARED[target] if n in settings.sr_baselines))
            for seed in _seeds(settings, 1 if network in settings.single_seed else settings.teacher_seeds)]


def teacher(settings: Settings, network: str = TEACHER, target: str = "upsampled", seed: int | None = None) -> Spec:
    """Returns one super-resolution run; by default the teacher of the full framework (460x620 -> 920x1240)."""
    seed = settings.seed if seed is None else seed
    loss = "channel_mse" if network.endswith("mc_fsrcnn") else "mse"
    options = _recipe(settings, "teacher")
    if settings.recipe == "modern":
        options["clip"] = 1.0
    if network in SR_BASELINES:
        options |= {"lr": 1e-3, "steps": settings.sr_baseline_steps, "warmup": 0}
    return Spec(label=f"{network}-{target}", network=network, task="super_resolution", target=target, seed=seed,
                loss=loss, **options)


def interpolations(settings: Settings) -> list[Spec]:
    """Returns the controls of Tables 1 to 4."""
    return [Spec(label=f"{name}-{target}", network=name, task="super_resolution", target=target, data=settings.source)
            for target, names in INTERPOLATIONS.items() for name in names]


def central(settings: Settings) -> list[Spec]:
    """Returns the central comparison: the student alone and the full framework in both readings, all seeds."""
    seeds = _seeds(settings, settings.seeds)
    return [student(settings, seed) for seed in seeds] + [
        framework(settings, reading, seed) for reading in ("as_released", "as_described") for seed in seeds]


def controls(settings: Settings) -> list[Spec]:
    """Returns what the paper lacks: adaptive weight; bilinear upsampling, an untrained network and a black image as
    teacher; hazy input."""
    runs = [Spec(label="hazy", network="hazy", data=settings.source)]
    for seed in _seeds(settings, settings.control_seeds):
        for reading in READINGS:
            runs.append(framework(settings, reading, seed, "adaptive", affinity_share=ADAPTIVE_SHARE))
        for name, substitute in (("bilinear", "bilinear"), ("untrained", f"untrained:{TEACHER}"), ("black", "black")):
            run = framework(settings, "as_released", seed, affinity_share=ADAPTIVE_SHARE, teacher=substitute)
            runs.append(run.replace(label=f"framework-{name}_teacher"))
    return runs


def ablations(settings: Settings) -> list[Spec]:
    """Returns the rows of Tables 6, 7 and 8 that are not in the central comparison."""
    lr_teacher = teacher(settings, target="native").id
    changes = {
        "lr": {"teacher": lr_teacher, "teacher_input": "half"},
        "w0.50": {"affinity_weight": 0.50},
        "w0.75": {"affinity_weight": 0.75},
        "l1": {"distance": "l1"},
        "kl": {"distance": "kl"},
    }
    if unknown := set(settings.ablations) - set(changes):
        raise ValueError(f"ablations has {', '.join(sorted(map(str, unknown)))}: use {', '.join(changes)}.")
    counts = {"as_described": settings.described_seeds or settings.ablation_seeds}
    return [framework(settings, reading, seed, suffix, **changes[suffix]) for reading in settings.readings
            for suffix in settings.ablations for seed in _seeds(settings, counts.get(reading, settings.ablation_seeds))]


def baselines(settings: Settings) -> list[Spec]:
    """Returns Table 5's other networks, and ours at their budget if it is another than the student's own, so that no
    comparison mixes budgets."""
    names = BASELINES if settings.baselines == ["all"] else settings.baselines
    prior = Spec(label="dark_channel_prior", network="dark_channel_prior", data=settings.source)
    if not names:
        return [prior]
    others, own = [run for name in names for run in _baselines(settings, name)], student(settings)
    ours = _budget(settings, own)
    if (ours.steps, ours.batch, ours.crop) == (own.steps, own.batch, own.crop):
        return [prior, *others]
    seeds = _seeds(settings, settings.baseline_seeds)
    guided = _guided(settings, ours, "as_released")
    return [prior, *others, *(ours.replace(label="student-equal_budget", seed=seed) for seed in seeds),
            *(guided.replace(label="framework-equal_budget", seed=seed) for seed in seeds)]


def baseline(settings: Settings, name: str) -> Spec:
    """Returns one network of Table 5 at the common budget; by the common recipe or its authors', with its own changes
    (settings)."""
    return _recipe_of(settings, name).replace(**settings.baseline_changes.get(name, {}))


def _recipe_of(settings: Settings, name: str) -> Spec:
    from dehazelib.networks import CATALOGUE, recipes  # imports torch

    if name not in CATALOGUE or CATALOGUE[name].role not in ("dehazing", "zero_shot"):
        raise ValueError(f"{name!r} is no dehazing network of the catalogue; see: dehazelib networks.")
    entry = CATALOGUE[name]
    spec = _budget(settings, student(settings)).replace(label=name, network=name, lr=entry.lr, clip=1.0)
    if entry.role == "zero_shot":
        return spec.replace(steps=settings.zero_shot_steps)
    if settings.baseline_recipe == "authors":
        known = recipes().get(name, {})
        beta1, beta2 = known.get("betas", (0.9, 0.999))
        own = {k: known[k] for k in ("optimizer", "lr", "weight_decay", "loss") if k in known}
        return spec.replace(beta1=beta1, beta2=beta2, **own)
    return spec if entry.pairs else spec.replace(loss="objective")


def plug_and_play(settings: Settings) -> list[Spec]:
    """Returns other networks with and without the affinity module (on the outputs, adaptive weight), equal budgets."""
    names = [*settings.plug_and_play, *([settings.student] if settings.student != "student" else [])]
    without = [run for name in dict.fromkeys(names) for run in _baselines(settings, name)]
    options = {"teacher": teacher(settings).id, **READINGS["as_released"], "affinity_share": ADAPTIVE_SHARE}
    return [run for spec in without for run in (spec, spec.replace(label=f"{spec.label}-affinity", **options))]


def _baselines(settings: Settings, name: str) -> list[Spec]:
    """Returns one network of Table 5 with each seed that the study asks for."""
    first = baseline(settings, name)
    count = 1 if name in settings.single_seed else settings.baseline_seeds
    return [first.replace(seed=seed) for seed in _seeds(settings, count)]


def _budget(settings: Settings, spec: Spec) -> Spec:
    budget = {"steps": settings.baseline_steps, "batch": settings.baseline_batch, "crop": settings.baseline_crop}
    return _changed(settings, spec, budget | {"validations": 1, "validation_pairs": 1, "track_test": 0})


def student(settings: Settings, seed: int | None = None) -> Spec:
    """Returns the student trained alone."""
    seed = settings.seed if seed is None else seed
    tracked = (settings.test_pairs or -1) if settings.track_test else 0
    return Spec(label="student", network="student", seed=seed, track_test=tracked, **_recipe(settings, "student"))


def framework(settings: Settings, reading: str, seed: int | None = None, suffix: str = "", **changes) -> Spec:
    """Returns the student trained in the full framework, in one reading of the paper. Equation (15)."""
    label = "-".join(filter(None, ("framework", reading, suffix)))
    return _guided(settings, student(settings, seed), reading, **changes).replace(label=label)


def _guided(settings: Settings, spec: Spec, reading: str, **changes) -> Spec:
    """Returns a student's specification with the affinity module, its weight as strong as on the paper's images."""
    options = {"teacher": teacher(settings).id, "affinity_weight": PAPER_WEIGHT, **READINGS[reading], **changes}
    spec = spec.replace(**options)
    strength = _released_strength(spec) if spec.distance == "l2_norm" else 1
    return spec.replace(affinity_weight=spec.affinity_weight * strength)


def search(settings: Settings) -> list[Spec]:
    """Returns the runs of the search for a recipe: compared on validation scenes, never scored on a test set."""
    return [_changed(settings, student(settings), changes).replace(label=f"{SEARCH}{name}")
            for name, changes in settings.search.items()]


def longest(settings: Settings) -> list[Spec]:
    """Returns the phases of the longest pair, the student alone and with the module as released; those by which the
    student then goes on alone; and the controls of all three.

    The last phases, labelled longest-student, longest-framework and onward-student, and the controls are scored on all
    test pairs. Raises ValueError if the student is to go on from no pair.
    """
    if settings.onward and not settings.longest:
        raise ValueError("onward goes on from the longest pair, but longest names no phases of it.")
    runs, last = [], {}
    for kind, phases in zip(LONG, (settings.longest, settings.longest, settings.onward)):
        before = last.get(LONGEST[0], "") if kind == ONWARD else ""
        for i, changes in enumerate(phases, 1):
            run = _changed(settings, student(settings), changes)
            run = _guided(settings, run, "as_released") if kind == LONGEST[1] else run
            runs.append(run.replace(label=kind if i == len(phases) else f"{kind}-phase{i}", start=before))
            before = last[kind] = runs[-1].id
    controls = [Spec(label=label, network=label.removesuffix("-all_pairs"), data=settings.source)
                for label in (HAZY_ALL, PRIOR_ALL)]
    return runs + controls if runs else []


def _changed(settings: Settings, spec: Spec, changes: dict) -> Spec:
    """Returns the specification with changes; the warm-up keeps its share of the steps unless it is given."""
    share = RECIPES[settings.recipe].get("warmup_share", 0)
    return spec.replace(**{"warmup": round(share * changes.get("steps", spec.steps)), **changes})


def is_scored(spec: Spec) -> bool:
    """Returns whether a run is for the test sets; those of the search and the phases of the longest runs are not."""
    return not (spec.label.startswith(SEARCH) or spec.label.startswith(LONG) and spec.label not in LONG)


def _released_strength(spec: Spec) -> float:
    """Returns what w_FA of the released norm is multiplied by, so that it pushes on these images as on the paper's.

    A norm over B images, divided by N^2, falls like sqrt(B) / N, N the pooled pixels: on 64-pixel windows the
    released term would otherwise be about 70 times as strong as on whole images. 1 for the paper's images and batch.
    """
    sides = [spec.crop or side // spec.reduce for side in IMAGE]
    pixels, paper = (height // 4 * (width // 4) for height, width in (sides, IMAGE))
    return pixels / paper * math.sqrt(BATCH / spec.batch)


STAGES = {  # in order: what comes later may need what comes before
    "teachers": lambda s: teachers(s) + interpolations(s),
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


def _seeds(settings: Settings, count: int) -> range:
    return range(settings.seed, settings.seed + count)


def _recipe(settings: Settings, role: str) -> dict:
    """Returns the options of Spec that the recipe and the sizes for "teacher" or "student" amount to."""
    options = dict(RECIPES[settings.recipe])
    steps, batch, crop = (getattr(settings, f"{role}_{size}") for size in ("steps", "batch", "crop"))
    epochs, share = options.pop("decay_epochs", 0), options.pop("warmup_share", 0)
    options |= {"decay_steps": epochs * EPOCH_IMAGES[role][settings.source] // batch, "warmup": round(share * steps)}
    return options | {
        "data": settings.source, "steps": steps, "batch": batch, "crop": crop, "train_scenes": settings.train_scenes,
        "reduce": settings.student_reduce if role == "student" else 1,
        "validations": settings.validations, "validation_pairs": settings.validation_pairs,
        "precision": settings.precision,
    }
