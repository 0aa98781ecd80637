"""What a study measured: the CSV files in its folder, such as scores.csv and runs.csv, and their summaries."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from dehazelib import paths
from dehazelib.data import nyu
from dehazelib.experiments.plan import LONGEST, ONWARD, TRUNK
from dehazelib.experiments.spec import SUBSTITUTES
from dehazelib.files import read_csv
from dehazelib.report.interval import UNKNOWN, Interval
from dehazelib.report.statistics import mean_interval, paired_interval, paired_p, scene

MAIN_TEST_SETS = ("sots_indoor", "rooms")  # a study's tables report the one it has
METRICS = ("psnr_rgb", "ssim_gauss11_rgb", "ssim_uniform7_rgb")
READINGS = ("as_released", "as_described")
REQUIRED = {
    "scores": ("run", "label", "network", "seed", "test_set", "image", *METRICS),
    "runs": ("run", "label", "network", "seed", "parameters", "teacher"),
    "curves": ("run", "label", "seed", "step", "images", "epoch"),
    "compute": ("name", "form", "parameters", "size_mb", "size_torch_mb", "gflops_profiler", "gflops", "latency_ms",
                "latency_ms_low", "latency_ms_high", "peak_memory_mb", "device"),
    "protocols": ("run", "label", "seed", "test_set", "image", "protocol", "value"),
    "real_hazy": ("run", "label", "seed", "image", "statistic", "before", "after"),
}
TEXT = ("run", "label", "network", "task", "target", "test_set", "image", "teacher", "teacher_input", "data", "loss",
        "features", "distance", "start", "schedule", "augment", "manifest", "commit", "processor", "gpu", "torch",
        "name", "title", "form", "device", "protocol", "statistic")
NOT_OPTIONS = ("run", "label", "network", "seed", "parameters", "best_epoch", "best_validation_psnr_rgb",
               "held_out_psnr_rgb", "psnr_selected_on_test", "minutes", "peak_memory_mb", "commit", "processor",
               "cores", "threads", "gpu", "torch")
BOOTSTRAP_SEED = 0


class Rows:
    """The rows of one study, read once. A file that is absent has no rows: what it would hold was not run.

    folder: results/<study>. Raises FileNotFoundError if it is absent; ValueError if a file lacks a column, a score is
    missing, a label has two runs of one seed, or two main test sets are mixed.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is no study: run one first, or correct the folder.")
        files = {name: _read(self.folder, name) for name in REQUIRED}
        self.scores, self.runs, self.curves, self.compute, self.protocols, self.real_hazy = files.values()
        self.test_sets = tuple(sorted(set(self.scores.test_set)))
        self._check()
        self.main = next((name for name in MAIN_TEST_SETS if name in self.test_sets), "")

    def has(self, label: str, test_set: str | None = None) -> bool:
        return len(self.of(label, test_set)) > 0

    @functools.cache
    def of(self, label: str, test_set: str | None = None) -> pd.DataFrame:
        """Returns the score rows of a label on a test set (default: the main one)."""
        scores = self.scores
        return scores[(scores.label == label) & (scores.test_set == (self.main if test_set is None else test_set))]

    @functools.cache
    def score(self, label: str, metric: str = "psnr_rgb", test_set: str | None = None) -> Interval:
        """Returns the mean over seeds of a label's scores with 95 % limits; UNKNOWN without rows."""
        per_seed = self.of(label, test_set).groupby("seed")[metric].mean()
        return mean_interval(per_seed) if len(per_seed) else UNKNOWN

    def seeds(self, label: str, test_set: str | None = None) -> int:
        """Returns how many seeds of a label were scored."""
        return self.of(label, test_set).seed.nunique()

    def images(self, label: str, test_set: str | None = None) -> int:
        """Returns how many images a label was scored on. Raises ValueError if its seeds have unlike images."""
        counts = self.of(label, test_set).groupby("seed").image.nunique()
        if counts.nunique() > 1:
            raise ValueError(f"{self.folder / 'scores.csv'}: seeds of {label} have {counts.min()} to {counts.max()} "
                             "images; finish scoring them.")
        return int(counts.max()) if len(counts) else 0

    def task(self, label: str) -> str:
        """Returns the task of a label: dehazing or super_resolution."""
        scores = self.of(label)
        return scores.task.iloc[0] if "task" in scores and len(scores) else "dehazing"

    def summary(self, label: str, test_set: str | None = None) -> dict:
        """Returns the mean over seeds of each metric, PSNR in dB, with 95 % limits, and how much they rest on.

        Keys: psnr_rgb, psnr_low, psnr_high, ssim_gauss11_rgb, ssim_low, ssim_high, ssim_uniform7_rgb, seeds, images,
        status. A label without rows has only status "not run". Raises ValueError if its seeds have unlike images.
        """
        if not self.has(label, test_set):
            return {"status": "not run"}
        images = self.images(label, test_set)
        psnr, ssim, uniform = (self.score(label, metric, test_set) for metric in METRICS)
        return {
            **dict(zip(("psnr_rgb", "psnr_low", "psnr_high"), psnr)),
            **dict(zip(("ssim_gauss11_rgb", "ssim_low", "ssim_high"), ssim)),
            "ssim_uniform7_rgb": uniform.value, "seeds": self.seeds(label, test_set), "images": images,
            "status": "measured",
        }

    @functools.cache
    def difference(self, a: str, b: str, metric: str = "psnr_rgb") -> Interval:
        """Returns label a minus label b on the main test set with 95 % limits, none where both were run once;
        UNKNOWN if either has no rows."""
        if not (self.has(a) and self.has(b)):
            return UNKNOWN
        return paired_interval(self.of(a), self.of(b), metric, np.random.default_rng(BOOTSTRAP_SEED), self.unit)

    def p_value(self, a: str, b: str, metric: str = "psnr_rgb") -> float:
        """Returns the p-value of no difference of two labels on the main test set; NaN without two shared seeds."""
        return paired_p(self.of(a), self.of(b), metric, self.unit)

    def unit(self, image: str) -> str:
        """Returns what images of the main test set have in common that are not independent of one another: the room, of
        SOTS-indoor, whose scenes show a few rooms several times; otherwise the scene."""
        shown = scene(image)
        return _rooms().get(shown, shown) if self.main == "sots_indoor" else shown

    def validation_difference(self, a: str, b: str) -> Interval:
        """Returns label a minus label b in PSNR on the validation scenes, each run's best, with 95 % Student-t limits
        over the seeds that both have; UNKNOWN where there are none."""
        column = "best_validation_psnr_rgb"
        if column not in self.runs:
            return UNKNOWN
        best = [self.runs[self.runs.label == label].set_index("seed")[column] for label in (a, b)]
        gaps = (best[0] - best[1]).dropna()
        return mean_interval(gaps) if len(gaps) else UNKNOWN

    def seeds_compared(self, a: str, b: str) -> float:
        """Returns over how many seeds `difference` compares, each with itself; NaN without rows, or where it compares
        means over unlike seeds for lack of two in common."""
        seeds = [set(self.of(label).seed) for label in (a, b)]
        shared = len(seeds[0] & seeds[1])
        return shared if shared > 1 or shared and seeds[0] == seeds[1] else np.nan

    def of_runs(self, label: str, column: str) -> float:
        """Returns the mean of a column of runs.csv over a label's seeds; NaN if there is none."""
        if column not in self.runs:
            return np.nan
        values = self.runs.loc[self.runs.label == label, column].astype(float).dropna()
        return float(values.mean()) if len(values) else np.nan

    def gradient_share(self, label: str) -> float:
        """Returns the affinity term's share of a label's gradient, in percent: the median over its curves, or NaN."""
        if "affinity_share" not in self.curves:
            return np.nan
        return 100 * self.curves.affinity_share[self.curves.label == label].median()

    def training_images(self, label: str) -> float:
        """Returns how many images (with repetitions) each run of a label was trained on; NaN for a control."""
        return self.of_runs(label, "training_images")

    def phases(self, label: str) -> pd.DataFrame:
        """Returns the rows of runs.csv that led to the first run of a label: itself last, before it those that it
        continues, each with the images and minutes up to the step at which the next one started (start: ID@STEP)."""
        stages = [self.runs[self.runs.label == label].iloc[:1]]
        while len(stages[0]) and "start" in stages[0]:
            name, _, step = stages[0].start.iloc[0].partition("@")
            before = self.runs[self.runs.run == name]
            if before.empty:
                break
            if step:
                share = int(step) / before.steps
                before = before.assign(training_images=before.training_images * share, minutes=before.minutes * share)
            stages.insert(0, before)
        return pd.concat(stages)

    @property
    def best_student(self) -> str:
        """Returns the label of the one to ship: of the longest students alone the best on all validation pairs."""
        scores = {label: self.of_runs(label, "held_out_psnr_rgb") for label in (LONGEST[0], ONWARD, TRUNK)}
        return max(scores, key=lambda label: np.nan_to_num(scores[label]))

    def images_seen(self, label: str) -> float:
        """Returns how many images, with repetitions, a label's run and those it went on from were trained on."""
        return float(self.phases(label).training_images.sum())

    def teacher_parameters(self, label: str) -> float:
        """Returns the parameters of the teacher of a label's runs: 0 without one, NaN if runs.csv does not have it."""
        teachers = set(self.runs.teacher[self.runs.label == label])
        counts = {self._teacher_count(teacher) for teacher in teachers}
        return counts.pop() if len(counts) == 1 else np.nan

    def _teacher_count(self, teacher: str) -> float:
        if teacher in ("", *SUBSTITUTES):
            return 0.0
        network = teacher.removeprefix("untrained:")
        column = "run" if network == teacher else "network"
        counts = self.runs.parameters[self.runs[column] == network]
        return float(counts.iloc[0]) if len(counts) else np.nan

    def options_apart(self, a: str, b: str) -> list[str]:
        """Returns the options (and the data's manifest) in which the runs of two labels differ."""
        rows_a, rows_b = (self.runs[self.runs.label == label] for label in (a, b))
        if rows_a.empty or rows_b.empty:
            return []
        options = [column for column in self.runs if column not in NOT_OPTIONS]
        return [column for column in options if set(rows_a[column].dropna()) != set(rows_b[column].dropna())]

    def _check(self) -> None:
        file, rows = self.folder / "scores.csv", self.scores
        if rows[list(METRICS)].isna().any(axis=None):
            raise ValueError(f"{file}: a score is missing; remove the row and score the image again.")
        twice = rows[rows.duplicated(["label", "seed", "test_set", "image"])]
        if len(twice):
            raise ValueError(f"{file}: {twice.label.iloc[0]} has image {twice.image.iloc[0]} twice for seed "
                             f"{twice.seed.iloc[0]}; keep one run per label and seed.")
        if set(MAIN_TEST_SETS) <= set(self.test_sets):
            raise ValueError(f"{file} mixes {' and '.join(MAIN_TEST_SETS)}: give each its own study folder.")


def published(name: str, text: bool = False) -> pd.DataFrame:
    """Returns one CSV of the paper's own numbers, for example "table5". text: keep every cell as it is printed."""
    return pd.read_csv(paths.PUBLISHED / f"{name}.csv", dtype=str if text else {"key": str}, keep_default_na=not text)


@functools.cache
def published_images(task: str) -> int:
    """Returns how many images, with repetitions, a run of the published recipe is trained on (profile "paper").

    task: dehazing or super_resolution.
    """
    recipe = yaml.safe_load((paths.PROFILES / "paper.yaml").read_text())
    role = {"dehazing": "student", "super_resolution": "teacher"}[task]
    return recipe[f"{role}_steps"] * recipe[f"{role}_batch"]


@functools.cache
def _rooms() -> dict[str, str]:
    return {str(id): room for id, room in nyu.sots_rooms().items()}


def _read(folder: Path, name: str) -> pd.DataFrame:
    file = folder / f"{name}.csv"
    if not file.exists():
        return pd.DataFrame(columns=REQUIRED[name])
    remedy = "fetch it again, or start the command that measured it again"
    frame = read_csv(file, remedy, dtype={column: str for column in TEXT})
    if lacking := [column for column in REQUIRED[name] if column not in frame]:
        raise ValueError(f"{file} lacks the column {', '.join(lacking)}: measure it again with this version.")
    text = [column for column in TEXT if column in frame]
    frame[text] = frame[text].fillna("")
    return frame
