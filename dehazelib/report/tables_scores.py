"""Tables of what the paper did not measure: protocols, haze levels, selection on test, real haze. From CSV only."""

import numpy as np
import pandas as pd

from dehazelib.experiments.plan import HAZY_ALL, LONG, LONGEST, ONWARD, PRIOR_ALL, SEARCH
from dehazelib.report.rows import Rows
from dehazelib.report.statistics import mean_interval

LIMITS = ["mean", "mean_low", "mean_high"]
PSNR = ["psnr_rgb", "psnr_low", "psnr_high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]
SSIM_DIFFERENCE = ["ssim_difference", "ssim_difference_low", "ssim_difference_high"]
AMOUNT = ["seeds", "images", "status"]
OURS = {"psnr": "psnr_rgb", "ssim": "ssim_gauss11_rgb"}  # the protocol of every other table
POOLED = "psnr_rgb_pooled"  # derived here: a protocol of a set, not of an image
PROTOCOLS = {  # name -> what it is, and who evaluates so
    "psnr_rgb": "float, clamped, mean over images: ours, the authors, FFA-Net, DehazeFormer",
    "psnr_rgb_8bit": "output rounded to 8 bits, as a saved PNG: GCANet",
    POOLED: "from the mean squared error over the whole set",
    "psnr_y": "luma of BT.601, 16 to 235 of 255: usual in super-resolution",
    "psnr_rgb_offset": "no protocol, but where the error lies: the image's mean colour made right",
    "psnr_rgb_details": "likewise: the mean colour of every 20 x 20 block made right, so that only details count",
    "psnr_rgb_resized": "a mistake, emulated: 640 x 480 ground truth resized instead of cropped",
    "ssim_gauss11_rgb": "11 x 11 Gaussian, zero padded: ours, the authors, FFA-Net",
    "ssim_gauss11_rgb_valid": "the same without padding: ssim_index.m, pytorch_msssim",
    "ssim_gauss11_rgb_averaged": "without padding, images averaged 2 x 2 (at 460 x 620): DehazeFormer, gUNet",
    "ssim_gauss11_y": "without padding, on luma",
    "ssim_gauss11_rgb_resized": "a mistake, emulated: 640 x 480 ground truth resized instead of cropped",
    "ssim_uniform7_rgb": "7 x 7 uniform window, no padding: GridDehazeNet, scikit-image's default",
    "ssim_uniform7_rgb_range2": "the same with dynamic range 2, which older scikit-image took floats to have",
}
STATISTICS = {  # of a photograph without ground truth: name -> (where it goes when haze goes, what it is)
    "dark_channel": ("lower", "mean dark channel, 15 x 15"),
    "rms_contrast": ("higher", "standard deviation of luminance"),
    "gradient": ("higher", "mean gradient magnitude of luminance"),
    "visible_edges": ("higher", "share of pixels with a gradient above 5 % of the range"),
    "colourfulness": ("higher", "Hasler and Suesstrunk's M, 0 to 255 scale"),
    "saturation": ("higher", "mean saturation of HSV"),
    "entropy": ("higher", "entropy of luminance, bits"),
    "clipped": ("lower", "share of pixels with a colour at 0 or 255"),
}


def protocols(study: Rows) -> pd.DataFrame:
    """Returns a mean over seeds with 95 % limits per label and protocol, and how far it is from our protocol's."""
    columns = ["label", "protocol", "what", *LIMITS, "difference_to_ours", *AMOUNT]
    measured = study.protocols[study.protocols.test_set == study.main]
    rows = []
    for label in measured.label.unique() if len(measured) else ["student"]:
        of_label = measured[measured.label == label]
        means = of_label.pivot_table("value", "seed", "protocol")
        if "psnr_rgb" in means:
            scores = of_label[of_label.protocol == "psnr_rgb"].groupby("seed").value
            means[POOLED] = scores.apply(lambda psnr: -10 * np.log10((10 ** (-psnr / 10)).mean()))
        for name, what in PROTOCOLS.items():
            row = {"label": label, "protocol": name, "what": what, "status": "not run"}
            if name in means:
                ours = means[OURS[name[:4]]].mean()
                row |= dict(zip(LIMITS, mean_interval(means[name]))) | _amount(of_label)
                row |= {"difference_to_ours": row["mean"] - ours}
            rows.append(row)
    return _frame(rows, columns)


def levels(study: Rows) -> pd.DataFrame:
    """Returns the PSNR per haze level (the number after the image's scene), with limits over seeds, and the gain over
    the hazy input of the same images. beta is the level's scattering coefficient.

    Of the student, the frameworks, the longest runs and the hazy input, those scored on the most images: fewer would
    give each level other scenes, and confound the two.
    """
    columns = ["label", "test_set", "level", "beta", *PSNR, "gain_over_hazy", "ssim_gauss11_rgb", *AMOUNT]
    names, scores = study.scores.label, study.scores[study.scores.test_set == study.main]
    wanted = names[names.isin(["hazy", HAZY_ALL, "student", *LONG]) | names.str.startswith("framework-")].unique()
    level = pd.to_numeric(scores.image.str.extract(r"_(\d+)$")[0])
    hazy = scores[scores.label.isin(["hazy", HAZY_ALL])].drop_duplicates("image").set_index("image").psnr_rgb
    images = scores[scores.label.isin([name for name in wanted if not name.endswith("equal_budget")])]
    images = images.groupby("label", sort=False).image.nunique()
    rows = []
    for label in images[images == images.max()].index:
        for (number, of_level) in scores[scores.label == label].groupby(level):
            per_seed = of_level.groupby("seed")[["psnr_rgb", "ssim_gauss11_rgb"]].mean()
            row = dict(zip(PSNR, mean_interval(per_seed.psnr_rgb))) | _amount(of_level)
            rows.append(row | {"label": label, "test_set": study.main, "level": int(number), "beta": _beta(number),
                               "gain_over_hazy": (of_level.psnr_rgb - of_level.image.map(hazy)).mean(),
                               "ssim_gauss11_rgb": per_seed.ssim_gauss11_rgb.mean()})
    return _frame(rows or [{"label": "student", "status": "not run"}], columns)


def selection(study: Rows) -> pd.DataFrame:
    """Returns what keeping the checkpoint that is best on the test set adds, in dB, to keeping the one that is best on
    validation scenes: of the same runs, on the same test images, with 95 % limits over seeds. Runs that tracked the
    test set only. What is added cannot be negative, which the limits do not know, and grows with the validations."""
    columns = ["label", "psnr_selected_on_validation", "psnr_selected_on_test", *DIFFERENCE, "validations", "seeds",
               "status"]
    if "test_psnr_rgb" not in study.curves or study.curves.test_psnr_rgb.isna().all():
        return _frame([{"label": "student", "status": "not run"}], columns)
    curves = study.curves.dropna(subset=["test_psnr_rgb"]).reset_index(drop=True)
    rows = []
    for label, of_label in curves.groupby("label", sort=False):
        chosen = of_label.loc[of_label.groupby("run").validation_psnr_rgb.idxmax()].set_index("run").test_psnr_rgb
        best = of_label.groupby("run").test_psnr_rgb.max()
        rows.append({"label": label, "psnr_selected_on_validation": chosen.mean(), "psnr_selected_on_test": best.mean(),
                     **dict(zip(DIFFERENCE, mean_interval(best - chosen))), "seeds": len(best), "status": "measured",
                     "validations": of_label.groupby("run").size().max()})
    return _frame(rows, columns)


def search(study: Rows) -> pd.DataFrame:
    """Returns the search for a recipe: what each run changes about the student's, and its best PSNR on the validation
    scenes. No test image had a part in it, nor in the choice of the student's longest runs and their phases."""
    columns = ["label", "changed", "training_images", "best_validation_psnr_rgb", "minutes", "runs", "status"]
    runs = study.runs[study.runs.label.str.startswith((SEARCH, LONGEST[0], ONWARD)) | (study.runs.label == "student")]
    if runs.empty:
        return _frame([{"label": "student", "status": "not run"}], columns)
    rows = []
    for label, of_label in runs.groupby("label", sort=False):
        changed = [f"{name} {of_label[name].iloc[0]}" for name in study.options_apart(label, "student")
                   if name not in ("training_images", "start", "warmup", "manifest")] if label != "student" else []
        means = {name: study.of_runs(label, name) for name in columns[2:5]}
        rows.append({"label": label, "changed": ", ".join(changed), **means, "runs": len(of_label),
                     "status": "measured"})
    return _frame(rows, columns)


def longest(study: Rows) -> pd.DataFrame:
    """Returns the longest runs, of the student alone and with the module as released, then of the student gone on
    alone, and, of the same test pairs, the hazy input and the dark channel prior. The differences are between the first
    two, with 95 % limits over scenes: one run each says nothing of seeds. held_out_psnr_rgb: on all validation pairs,
    which decide what is shipped; best_validation_psnr_rgb is the best of a few validations on some of them."""
    columns = ["label", "images_seen", "best_validation_psnr_rgb", "held_out_psnr_rgb", *PSNR[:1], "ssim_gauss11_rgb",
               *DIFFERENCE, *SSIM_DIFFERENCE, *AMOUNT]
    rows = []
    for label in (HAZY_ALL, PRIOR_ALL, *LONG):
        row = {"label": label} | {k: v for k, v in study.summary(label).items() if k in columns}
        if label in LONG and study.has(label):
            row |= {"images_seen": study.images_seen(label),
                    **{name: study.of_runs(label, name) for name in ("best_validation_psnr_rgb", "held_out_psnr_rgb")}}
        if label == LONGEST[1]:
            row |= dict(zip(DIFFERENCE, study.difference(label, LONGEST[0])))
            row |= dict(zip(SSIM_DIFFERENCE, study.difference(label, LONGEST[0], OURS["ssim"])))
        rows.append(row)
    return _frame(rows, columns)


def real_hazy(study: Rows) -> pd.DataFrame:
    """Returns medians over photographs of each statistic before and after dehazing, and the median change of one
    photograph (seeds averaged first); `agree` counts those that change as they would with less haze. Without ground
    truth this does not tell fidelity: noise and exaggeration score like removed haze."""
    columns = ["label", "statistic", "what", "less_haze", "before", "after", "change", "agree", *AMOUNT]
    rows = []
    for label in study.real_hazy.label.unique() if len(study.real_hazy) else ["student"]:
        of_label = study.real_hazy[study.real_hazy.label == label]
        for name, (direction, what) in STATISTICS.items():
            row = {"label": label, "statistic": name, "what": what, "less_haze": direction, "status": "not run"}
            measured = of_label[of_label.statistic == name]
            if len(measured):
                photos = measured.groupby("image")[["before", "after"]].mean()
                change = photos.after - photos.before
                row |= photos.median().to_dict() | {"change": change.median()} | _amount(measured)
                row["agree"] = int((change < 0 if direction == "lower" else change > 0).sum())
            rows.append(row)
    return _frame(rows, columns)


def _beta(level: float) -> float:
    return round(0.5 + 0.1 * level, 1)  # haze.sots_beta, which needs torch


def _amount(rows: pd.DataFrame) -> dict:
    return {"seeds": rows.seed.nunique(), "images": rows.image.nunique(), "status": "measured"}


def _frame(rows: list[dict], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    whole = table.columns.intersection(
        ["level", "validations", "agree", "seeds", "images", "training_images", "images_seen", "runs"])
    return table.astype({column: "Float64" for column in whole}).astype({column: "Int64" for column in whole})
