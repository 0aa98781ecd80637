"""The whole study in one go: its missing runs, then the six notebooks, then its report. `make study` starts it.

What is finished is not done again: runs are only loaded, and a notebook is executed again only if something it depends
on has changed.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dehazelib import paths
from dehazelib.experiments.settings import Settings, profile_file
from dehazelib.study import Study
from dehazelib.training.progress import StageProgress, say
from dehazelib.training.queue import train_missing

STAMP = "made_of"  # in an executed notebook's metadata: a digest of what it depends on


class Failed(RuntimeError):
    """Some part of the study failed; the rest is done. Each failure was printed when it happened."""


def run_study(profile: str, data: str | None = None, overrides: Mapping[str, Any] | None = None,
              workers: int = 0) -> Path:
    """Returns the study's report, an HTML file, after training what is missing and executing the notebooks.

    Raises Failed in the end if a run or a notebook failed; ValueError without the notebooks; KeyboardInterrupt says
    how to go on.
    """
    if not paths.NOTEBOOKS.is_dir():
        raise ValueError("The whole study needs its notebooks and the paper's numbers, which are in the project's "
                         "folder: run it there after pip install -e '.[export,study]'.")
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
    study = Study.open(profile, data, overrides=overrides)
    try:
        failed = train_missing(study.settings, workers)
        failed |= execute_notebooks(study, _parameters(profile, study, overrides))
        report = study.folder / "report.html"
        if not _is_newer(report, _folder(study)):
            report = study.report()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; what is done is kept, and the same command goes on from there.") from None
    say(f"{(time.monotonic() - began) / 60:.1f} min. The report: {report}\nExecuted notebooks: {_folder(study)}")
    if failed:
        raise Failed(f"{len(failed)} of the study's parts failed, listed above; the rest is done, and the same command "
                     "tries them again.")
    return report


def execute_notebooks(study: Study, parameters: dict[str, Any]) -> dict[str, str]:
    """Executes the notebooks that are not up to date, one after the other, into the study's folder. Returns name ->
    what went wrong of those that failed."""
    sources = sorted(paths.NOTEBOOKS.glob("0*.ipynb"))
    stamps = {source: _stamp(source, study.settings) for source in sources}
    outdated = [source for source in sources if _stamp_of(_folder(study) / source.name) != stamps[source]]
    if not outdated:
        return {}
    outdated = sources[sources.index(outdated[0]):]  # later ones show what earlier ones wrote
    failed = {}
    _folder(study).mkdir(parents=True, exist_ok=True)
    with StageProgress("notebooks", "notebooks", len(outdated), len(outdated)) as progress:
        for source in outdated:
            progress.show()
            error = _execute(source, _folder(study) / source.name, parameters, stamps[source])
            if error:
                failed[source.stem] = error
                progress.say(f"{source.name}: {error}")
            progress.advance(1)
    return failed


def _execute(source: Path, target: Path, parameters: dict[str, Any], stamp: str) -> str:
    """Executes a notebook into a file that appears when it is finished. Returns what went wrong, or ""."""
    import nbformat  # only where a notebook is executed: both take a second to load
    import papermill

    scratch = target.with_name(f"{target.stem}.running.ipynb")
    try:
        papermill.execute_notebook(source, scratch, parameters, kernel_name="python3", cwd=paths.NOTEBOOKS,
                                   progress_bar=False, extra_arguments=["--IPKernelApp.log_level=50"])
    except papermill.PapermillExecutionError as error:
        return f"cell {error.exec_count}: {error.ename}: {error.evalue.splitlines()[0]} (see {scratch})"
    executed = nbformat.read(scratch, as_version=4)
    executed.metadata[STAMP] = stamp
    nbformat.write(executed, scratch)
    os.replace(scratch, target)
    return ""


def _parameters(profile: str, study: Study, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the notebooks' parameters."""
    file = profile_file(profile)
    named = profile if file.parent == paths.PROFILES else str(file.resolve())
    return {"profile": named, "data": study.settings.data, "overrides": dict(overrides or {})}


def _stamp(source: Path, settings: Settings) -> str:
    """Returns a digest of what an executed notebook depends on: its source, the settings, the finished runs."""
    digest = hashlib.sha256(source.read_bytes())
    digest.update(json.dumps(settings.model_dump(), sort_keys=True).encode())
    for file in sorted(settings.runs_folder.glob("*/provenance.json")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _stamp_of(executed: Path) -> str:
    """Returns the digest in an executed notebook; empty if there is none."""
    if not executed.exists():
        return ""
    return json.loads(executed.read_text(encoding="utf-8"))["metadata"].get(STAMP, "")


def _is_newer(report: Path, executed: Path) -> bool:
    """Returns whether the report was written after all executed notebooks."""
    if not report.exists():
        return False
    return all(file.stat().st_mtime < report.stat().st_mtime for file in executed.glob("*.ipynb"))


def _folder(study: Study) -> Path:
    return study.folder / "notebooks"
