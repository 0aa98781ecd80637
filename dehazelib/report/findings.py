"""What a study's rows say, in sentences: what the module gains, how sure that is, at which budget."""

import numpy as np
import pandas as pd

from dehazelib.experiments.plan import IMAGE as SIDES
from dehazelib.experiments.plan import LONGEST, ONWARD, PRIOR_ALL, TEACHER
from dehazelib.experiments.settings import RECIPES
from dehazelib.report import model_card, tables
from dehazelib.report.rows import READINGS, Rows, published, published_images

GAINS = ["the student with the module", "minus the student alone (dB)", "verdict", "the same on validation scenes (dB)",
         "the affinity term's share of the gradient (median)"]
TRAINING = {"rooms": "the embedded rooms", "its": "RESIDE's ITS",
            "nyu": "NYU Depth v2 with haze made by RESIDE's recipe, not the original ITS files"}
TEST = {"rooms": "images of the embedded rooms", "sots_indoor": "of the 500 SOTS-indoor pairs"}


def gains(study: Rows, results: str) -> str:
    """Returns what the module gains in each of its forms: a chart if there is one, a table, and what to think of it.

    results: as for chart.
    """
    rows = tables.controls(study).dropna(subset="difference")
    rows = rows[rows.label.isin([tables.FRAMEWORK, *tables.FURTHER])]
    if rows.empty:
        return "**What the module gains**: not run."
    ours, validation = (rows[columns].to_numpy() for columns in (tables.DIFFERENCE, tables.VALIDATION))
    cells = []
    for row, limits, held_out in zip(rows.itertuples(), ours, validation):
        share = study.gradient_share(row.label)
        cells.append([row.model.removeprefix("Ours, "), interval(*limits, "+z.3f"), row.verdict,
                      "" if np.isnan(held_out[0]) else interval(*held_out, "+z.3f"),
                      "" if np.isnan(share) else f"{share:.2g} %"])
    return f"{chart(study, results)}{tables.markdown_rows(GAINS, cells)}\n{_meaning(study, validation)}"


def chart(study: Rows, results: str) -> str:
    """Returns a headline and the chart of what the module gains, if it is drawn.

    results: the folder of the studies, as seen from where the text will stand, with a slash at its end.
    """
    printed = published("claims", text=True).set_index("id").value["affinity_gain_db"]
    file = study.folder / "figures" / "gains.png"
    picture = f"![What each form of the module gains]({results}{study.folder.name}/figures/{file.name})\n\n"
    return (f"**What the module gains** over the student alone at the same budget (paper: +{printed} dB):\n\n"
            f"{picture}") if file.exists() else ""


def gained(study: Rows, verdict: str) -> str:
    """Returns what the module gains in each reading that was run, with its part in the gradient, and the verdict on the
    first one, as a part of a sentence."""
    told = []
    for reading in READINGS:
        if study.has(label := f"framework-{reading}"):
            share = study.gradient_share(label)
            part = "" if np.isnan(share) else f" (its term: {share:.2g} % of the gradient)"
            gain = interval(*study.difference(label, "student"), "+z.3f")
            told.append(f"{gain} dB {reading.replace('_', ' ')}{part}")
    return "; ".join([f"{told[0]}, {verdict}", *told[1:]]) if told else "not measured yet"


def black(study: Rows) -> str:
    """Returns a sentence on what a teacher that shows nothing gains beside the trained one; empty if not run."""
    trained, nothing = f"{tables.FRAMEWORK}-adaptive", "framework-black_teacher"
    if not (study.has(trained) and study.has(nothing)):
        return ""
    gains = [interval(*study.difference(label, "student"), "+z.3f") for label in (nothing, trained)]
    held_out = study.validation_difference(nothing, "student")
    beside = "" if not held_out.known else f" ({interval(*held_out, '+z.3f')} on validation scenes)"
    return (f"With a black image as teacher and an adaptive weight it is {gains[0]} dB{beside}, with the trained "
            f"teacher at that weight {gains[1]} dB.")


def _meaning(study: Rows, validation: np.ndarray) -> str:
    """Returns sentences on controls, on what gains mean, and on those on validation scenes.

    validation: gain with its limits in dB, a row for each form of the module, NaN where there is none.
    """
    trained = f"{tables.FRAMEWORK}-adaptive"
    others = {"framework-untrained_teacher": "with an untrained one, whose output is nearly black",
              "framework-black_teacher": "with a black image"}
    minus = [f"{name} {interval(*study.difference(trained, label), '+z.3f')} dB" for label, name in others.items()
             if study.has(trained) and study.has(label)]
    head = "Framework with the trained teacher minus framework "
    less = f"{head}{', '.join(minus)}, all with adaptive weight. " if minus else ""
    count = study.of_runs("student", "validation_pairs")
    up, forms = (validation[:, 1] > 0).sum(), (~np.isnan(validation[:, 1])).sum()
    pairs = (f" The validation scenes are {count:.0f} pairs that no run was trained on and that chose each run's "
             f"checkpoint; limits there are Student's t over seeds. {up} of {forms} forms gain there with the "
             "whole interval.") if forms else ""
    return (f"{less}Verdicts on gains hold at this budget, which both sides share; a score by itself is not held "
            f"against the paper, whose networks saw far more images.{pairs}")


def quality(study: Rows) -> str:
    """Returns sentences on how good the best student is, and what the module changed in the pair trained longest."""
    long = all(map(study.has, LONGEST))
    best = study.best_student if study.has(LONGEST[0]) else "student"
    prior = PRIOR_ALL if best != "student" else "dark_channel_prior"
    ours, (of_images, of_pixels) = study.summary(best), (f"{100 * share:.2g} %" for share in shares(study, best))
    beside = " (dark channel prior, untrained: {psnr_rgb:.2f} dB, {ssim_gauss11_rgb:.4f})" * study.has(prior)
    which = "The student alone" if best == "student" else "The student alone that does best on validation scenes"
    text = (f"{which} saw {study.images_seen(best):,.0f} images, {of_images} as many as in the published "
            f"recipe and {of_pixels} as many pixels, and scores {ours['psnr_rgb']:.2f} dB, SSIM "
            f"{ours['ssim_gauss11_rgb']:.4f}, over {ours['images']} {TEST[study.main]}"
            f"{beside.format(**study.summary(prior))}")
    text += "; dehazelib ships it." * (model_card.shipped(study) == best) or "."
    if not long:
        return text
    gains = [interval(*study.difference(*LONGEST[::-1], metric), style)
             for metric, style in (("psnr_rgb", "+z.3f"), ("ssim_gauss11_rgb", "+z.4f"))]
    return (f"{text} In the pair trained longest, with the module minus without: {gains[0]} dB, SSIM {gains[1]}, one "
            "run each.")


def distances(study: Rows) -> list[str]:
    """Returns a sentence on Table 8: what the L2 distance gains over another one in each reading, if one was run."""
    printed = published("claims", text=True).set_index("id").value
    parts = []
    for other, name in (("l1", "L1"), ("kl", "KL")):
        pairs = {reading: (f"framework-{reading}", f"framework-{reading}-{other}") for reading in READINGS}
        gains = [f"{reading.replace('_', ' ')} {interval(*study.difference(*pair), '+z.3f')}"
                 for reading, pair in pairs.items() if all(map(study.has, pair))]
        if gains:
            parts.append(f"L2 minus {name} (paper: +{printed[f'l2_beats_{other}']}) {', '.join(gains)}")
    if not parts:
        return []
    return ["**The distance between affinities** (Table 8), in dB, at the printed weight, the released L2 norm's "
            f"adapted to the images' size: {'; '.join(parts)}."]


def longest(study: Rows) -> list[str]:
    """Returns sentences on the longest runs: the student alone, with the module, and gone on alone, as far as run."""
    alone, guided = LONGEST
    if not study.has(alone):
        return []
    ours, reduced = study.summary(alone), list(dict.fromkeys(study.phases(alone)["reduce"].astype(int)))
    smaller = [str(times) for times in reduced if times > 1]
    what = "images" + f", downsampled {', then '.join(smaller)} times" * bool(smaller)
    what += ", then whole" * (bool(smaller) and reduced[-1] == 1)
    shipped = {model_card.shipped(study): " Its weights are those that dehazelib ships."}
    text = (f"**The longest runs.** The student alone saw {_share(study, alone, what)}, and scores "
            f"{ours['psnr_rgb']:.2f} dB, SSIM {ours['ssim_gauss11_rgb']:.4f}, over {ours['images']} "
            f"{TEST[study.main]}.{shipped.get(alone, '')}")
    if study.has(guided):
        theirs = study.summary(guided)
        gains = [interval(*study.difference(guided, alone, metric), style)
                 for metric, style in (("psnr_rgb", "+z.3f"), ("ssim_gauss11_rgb", "+z.4f"))]
        text += (f" The same with the module as released: {theirs['psnr_rgb']:.2f} dB, SSIM "
                 f"{theirs['ssim_gauss11_rgb']:.4f}, differences of {gains[0]} dB and {gains[1]}, intervals over "
                 "scenes; one run each, so nothing is said of other seeds.")
    if study.has(ONWARD):
        more, longer = study.images_seen(ONWARD) - study.images_seen(alone), study.summary(ONWARD)
        text += (f" Gone on alone for {more:,.0f} images more, the student scores {longer['psnr_rgb']:.2f} dB, SSIM "
                 f"{longer['ssim_gauss11_rgb']:.4f}")
        before, after = (study.of_runs(label, "held_out_psnr_rgb") for label in (alone, ONWARD))
        text += "." if np.isnan([before, after]).any() else (
            f"; on all validation pairs, which decide what is shipped, {after:.2f} dB, before {before:.2f}.")
        text += shipped.get(ONWARD, "")
    return [text]


def stopping(study: Rows) -> list[str]:
    """Returns a sentence on what stopping ZID by the ground truth adds, if it was run both ways."""
    both = "zid_oracle", "zid"
    if not all(map(study.has, both)):
        return []
    best, last = map(study.summary, both)
    return [f"**Stopped by the ground truth.** ZID, fitted to each image in {study.of_runs('zid', 'steps'):.0f} steps, "
            f"scores {last['psnr_rgb']:.2f} dB after the last one, and {best['psnr_rgb']:.2f} where each image stops "
            "at the step that its ground truth likes best, as its authors' script does: "
            f"{interval(*study.difference(*both), '+z.2f')} dB, over {last['images']} {TEST[study.main]}."]


def error(study: Rows) -> list[str]:
    """Returns a sentence on where the error of the best student lies, if it was scored block by block."""
    rows = study.protocols[study.protocols.test_set == study.main]
    psnr = rows.groupby(["label", "protocol"]).value.mean().unstack("protocol")
    best = study.best_student
    if best not in psnr.index or "psnr_rgb_details" not in psnr:
        return []
    found = [f"{psnr.psnr_rgb[label]:.2f} dB; with the mean colour of the image made right "
             f"{psnr.psnr_rgb_offset[label]:.2f}, with that of every 20x20 block {psnr.psnr_rgb_details[label]:.2f}"
             for label in (best, "hazy") if label in psnr.index]
    pairs = rows.image[rows.label == best].nunique()
    return [f"**Where the error lies.** On {pairs} pairs the best student scores "
            + ", so that only details count; the hazy input ".join(found) + "."]


def certainty(study: Rows) -> str:
    """Returns sentences on what the means and intervals rest on, and on what needs no training."""
    seeds = {label: study.summary(label)["seeds"] for label in study.scores.label.unique() if study.has(label)}
    untrained = {"hazy": "The hazy input", "dark_channel_prior": "The dark channel prior, which needs no training,"}
    controls = [f" {name} scores {ours['psnr_rgb']:.2f} dB, SSIM {ours['ssim_gauss11_rgb']:.4f}."
                for label, name in untrained.items() if study.has(label) for ours in [study.summary(label)]]
    return (f"**How sure.** Means over {study.summary('student')['images']} {TEST[study.main]} where nothing else is "
            f"said. Seeds: "
            f"{seeds['student']} of the student, {' or '.join(map(str, sorted(set(seeds.values()))))} of each row. "
            f"Intervals are 95 %: Student's t over seeds for a score; for a difference the wider of Student's t over "
            f"the seeds' differences and a paired bootstrap over scenes and seeds.{''.join(controls)}")


def teacher(study: Rows) -> list[str]:
    """Returns a sentence on how good the frameworks' teacher, that of the first seed, is at its own task, if scored."""
    label = f"{TEACHER}-upsampled"
    if not study.has(label):
        return []
    psnr = {name: study.summary(f"{name}-upsampled").get("psnr_rgb", np.nan)
            for name in (TEACHER, "bicubic", "bilinear")}
    bilinear = (f"at {psnr['bilinear']:.2f}" if np.isfinite(psnr["bilinear"])
                else "without error, since the target is made so")
    per_seed = study.of(label).groupby("seed").psnr_rgb.mean()
    others = f" (mean over {len(per_seed)} seeds: {psnr[TEACHER]:.2f})" if len(per_seed) > 1 else ""
    return ["**The teacher** of all frameworks that do not name another saw "
            f"{study.training_images(label):,.0f} windows and doubles images at {per_seed.iloc[0]:.2f} dB{others}; "
            f"bicubic resizing does so at {psnr['bicubic']:.2f}, bilinear {bilinear}."]


def budget(study: Rows, recipe: bool = True) -> str:
    """Returns sentences on how much was trained, on which data, on what machine, for how long. recipe: also by which
    recipe."""
    first, trained = study.runs[study.runs.label == "student"].iloc[0], study.runs.dropna(subset="training_images")
    what = f"windows of {first.crop} x {first.crop} pixels" if first.crop else "whole images"
    what += f", downsampled {first.reduce} times each way" if first.get("reduce", 1) > 1 else ""
    machines = " and ".join(sorted({row.gpu or _processor(row) for row in trained.itertuples()}))
    by = f", by {_recipe(first)}; the readings differ in the module alone" if recipe else ""
    return (f"**Budget.** Each run of student and framework saw {_share(study, 'student', what)}{by}. All "
            f"{len(trained)} trained runs took {trained.minutes.sum():,.0f} minutes on {machines}. Training "
            f"data: {' and '.join(TRAINING[name] for name in sorted(set(study.runs.data)))}.")


def _recipe(run: pd.Series) -> str:
    """Returns how a run was trained, and whose recipe that is."""
    own = {key: run[key] for key in ("lr", "schedule", "augment")}
    owners = [who for name, who in (("paper", "the paper's"), ("released", "the released code's"))
              if own == {key: RECIPES[name][key] for key in own}]
    whose = f"{owners[0]} recipe" if owners else "one recipe, neither the paper's nor the released code's"
    clip = f", gradient clipped to {run['clip']:g}" if run["clip"] > 0 else ""
    return f"{whose} (learning rate {run['lr']:g}, {run['schedule']}, augmentation {run['augment']}{clip})"


def _processor(row) -> str:
    return f"{row.processor} without a GPU, {row.threads:.0f} thread{'s' * (row.threads > 1)} each"


def _share(study: Rows, label: str, what: str) -> str:
    """Returns how many images a label's run and those before it saw, in % of the published recipe's, and of its
    pixels."""
    recipe, epoch = published_images("dehazing"), int(published("claims").set_index("id").value["its_hazy_images"])
    of_images, of_pixels = (f"{100 * share:.2g} %" for share in shares(study, label))
    return (f"{study.images_seen(label):,.0f} {what}: {of_images} of the published recipe's {recipe:,} images "
            f"({recipe / epoch:.0f} epochs of {epoch:,}), {of_pixels} of their pixels")


def shares(study: Rows, label: str) -> tuple[float, float]:
    """Returns the share of the published recipe's images, and of their pixels, that a label's run and those before it
    saw."""
    recipe = published_images("dehazing")
    area = sum(row.training_images * (row.crop**2 or SIDES[0] // row.reduce * (SIDES[1] // row.reduce))
               for row in study.phases(label).itertuples())
    return study.images_seen(label) / recipe, area / (recipe * SIDES[0] * SIDES[1])


def interval(value: float, low: float, high: float, style: str) -> str:
    """Returns "value [low, high]", without limits where there are none. style: of each number; z takes -0 as 0."""
    return f"{value:{style}}" + ("" if pd.isna(low) else f" [{low:{style}}, {high:{style}}]")
