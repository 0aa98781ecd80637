"""A study, opened once and passed around: its settings, data, runs, rows, tables and figures."""

import ast
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from dehazelib.experiments import plan
from dehazelib.experiments.options import OptionError, nearest
from dehazelib.experiments.settings import Settings
from dehazelib.experiments.spec import Spec, read_run

PARAMETERS = ("profile", "data", "seed", "overrides")  # of every notebook


class Study:
    """One study.

        study = Study.open("demo", seed=1, overrides={"student_steps": 50})
        study.train("student", "hazy")
        study.table("table5")
    """

    def __init__(self, settings: Settings):
        self.settings = settings

    @classmethod
    def open(cls, profile: str = "smoke", data: str | None = None, seed: int | None = None,
             overrides: Mapping[str, Any] | None = None) -> Self:
        """Returns the study of a profile with changes; see Settings.load. Raises ValueError in one line if one of them,
        or a parameter that papermill was given, does not fit."""
        _check_papermill()
        return cls(Settings.load(profile, data, seed, overrides))

    @property
    def folder(self) -> Path:
        """Returns the study's folder, made if it is absent."""
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        return self.settings.folder

    @cached_property
    def data(self):
        """Returns the data, opened on first use. Raises DataError if the study has runs that were made of others."""
        from dehazelib.training.runs import open_study_data

        return open_study_data(self.settings)

    @property
    def test(self):
        """Returns all pairs of the test set that the tables report."""
        return next(iter(self.data.tests.values()))

    @property
    def tested(self):
        """Returns the pairs of it that runs are scored on."""
        return self.test.subset(self.settings.test_pairs)

    # ------------------------------------------------------------------------------------------------------- runs

    def specs(self, *names: str) -> list[Spec]:
        """Returns the specifications of runs named by id, label, stage or "all"; an id may also be that of a run in the
        study's folder which the profile does not plan. Raises ValueError with the names there are."""
        every = plan.every(self.settings)
        found = []
        for name in names:
            if name in plan.STAGES:
                found += plan.STAGES[name](self.settings)
                continue
            named = [spec for spec in every if name in ("all", spec.id, spec.label)]
            folder = self.settings.runs_folder / name
            if not named and (folder / "spec.yaml").exists():
                named = [read_run(folder)]
            if not named:
                labels = list(dict.fromkeys(spec.label for spec in every))
                raise OptionError(f"No run {name!r} in the profile {self.settings.profile}: "
                                 f"{nearest(name, [*plan.STAGES, *labels])}")
            found += named
        return list(dict.fromkeys(found))

    def train(self, *wanted: str | Spec) -> list:
        """Returns runs by name or specification, trained and scored, or only loaded if they are finished; and writes
        the study's rows. The data are opened only if something is missing."""
        from dehazelib.training import runs

        specs = []
        for one in wanted:
            specs += [one] if isinstance(one, Spec) else self.specs(one)
        trained = runs.train_or_load(self.settings, specs, lambda: self.data)
        if trained:
            self.collect()
        return trained

    def collect(self) -> None:
        """Writes the rows of all finished runs: scores.csv, runs.csv, curves.csv. `train` does so by itself."""
        from dehazelib.training.collect import collect

        collect(self.settings)
        self._forget()

    def run(self, label: str):
        """Returns the run of a label with the study's first seed, whether it is trained or not."""
        from dehazelib.training import runs

        return runs.run(self.settings.runs_folder, self.specs(label)[0])

    def scores(self, run):
        """Returns a run's scores on the test set that the tables report, one row per image."""
        rows = run.study_scores(self.settings)
        return rows[rows.test_set == self.test.name]

    @property
    def device(self):
        """Returns where networks are scored, a torch.device."""
        return self.settings.hardware.device

    # ------------------------------------------------------------------------------------- rows, tables and figures

    @cached_property
    def rows(self):
        """Returns what was measured: scores, runs, curves and so on, each a table."""
        from dehazelib.report.rows import Rows

        return Rows(self.folder)

    def table(self, name: str):
        """Returns a table by name, such as "table5", after writing it into the study's folder."""
        from dehazelib.report import tables

        self._forget()  # what was measured since
        return tables.write(name, self.rows)

    def show(self, name: str, columns: Mapping[str, str | list[str]], rows=None):
        """Returns a few columns of a table to read in a notebook, with the file of the whole one below.

        columns: heading -> column, or value and limits, such as {"PSNR (dB)": PSNR}; see report.readable. rows: those
        of the table to show, where not all of them.
        """
        from dehazelib.report.readable import readable

        whole = self.table(name)
        file = f"{self.folder.parent.name}/{self.folder.name}/tables/{name}.csv"
        return readable(whole if rows is None else rows, columns, f"All columns: {file}")

    def figure(self, figure, name: str):
        """Returns a matplotlib figure as an image to show, after saving it as figures/<name>.png."""
        from IPython.display import Image

        from dehazelib.figures import save

        return Image(save(figure, self.folder / "figures" / f"{name}.png"))

    def report(self, scenes: int = 3) -> Path:
        """Returns the study's page, report.html in its folder, with so many test scenes dehazed by its student."""
        from dehazelib.evaluation.scores import images, pixels
        from dehazelib.figures import slider
        from dehazelib.metrics import psnr_rgb
        from dehazelib.report import html

        self.collect()
        student, found = self.run("student"), {}
        for name, hazy, dehazed, clear in images(student.network(), student.spec, self.test.subset(scenes)):
            before, after = (psnr_rgb(image, clear).item() for image in (hazy, dehazed))
            found[f"{name}: {before:.1f} dB, dehazed {after:.1f} dB"] = slider(pixels(hazy), pixels(dehazed))
        return html.write(self.rows, found)

    def _forget(self) -> None:
        self.__dict__.pop("rows", None)


def _check_papermill() -> None:
    """Raises ValueError if papermill was given a parameter that notebooks do not have, of which it only warns.

    It puts what it was given into a cell of its own, which begins with "# Parameters".
    """
    if "IPython" not in sys.modules:
        return
    shell = sys.modules["IPython"].get_ipython()
    cells = shell.history_manager.input_hist_raw if shell else []
    injected = [cell for cell in cells if cell.startswith("# Parameters\n")]
    if not injected:
        return
    names = [target.id for node in ast.parse(injected[-1]).body for target in getattr(node, "targets", [])]
    for name in names:
        if name in PARAMETERS:
            continue
        if name in Settings.model_fields:
            raise OptionError(f"{name} is a setting: give it as papermill -y 'overrides: {{{name}: ...}}'.")
        raise OptionError(f"Unknown parameter {name!r}: {nearest(name, PARAMETERS)}")
