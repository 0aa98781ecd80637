"""What is committed under results/ follows from the committed rows, and holds nothing that must not be there."""

import json
import os
import re
import shutil
import subprocess
from hashlib import sha256

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dehazelib import paths
from dehazelib.data.sources import open_tests
from dehazelib.deploy import inference
from dehazelib.evaluation import scores as evaluation
from dehazelib.experiments.spec import Spec
from dehazelib.report import claims, tables, text
from dehazelib.report.rows import METRICS, Rows
from dehazelib.training import runs
from dehazelib.training.checkpoint import WEIGHTS

RESULTS = paths.ROOT / "results"
CHARTS = {f"{name}.png" for name in ("teacher_curves", "student_curves", "framework_curves", "gradient_share", "pareto",
                                     "scores", "gains")}
PHOTOGRAPHS = {"fig5_test.png", *(f"fig{n}.png" for n in (5, 6, 7, 8, 9))}  # figures that show images of the data set
ABSOLUTE = re.compile(r"(?:^|[\s\"'=(,])(?:/[\w.-]+){2,}|[A-Z]:\\", re.MULTILINE)
PROSE = {"why", "what", "source"}  # columns of tables
NUMBER = re.compile(r"[-+]?\d[\d,.]*")
WITHOUT = "no study is committed under results/: nothing to compare"


def committed() -> list:
    """Returns the files under results/ that git has or would add; without git, all of them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "results"]
    try:
        done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        return sorted(file for file in RESULTS.rglob("*") if file.is_file())
    return [file for line in sorted(done.stdout.splitlines()) if (file := paths.ROOT / line).is_file()]


FILES = committed()
STUDIES = [file.parent for file in FILES if file.name == "scores.csv" and file.parent.parent == RESULTS]


@pytest.fixture(params=STUDIES or [pytest.param(None, marks=pytest.mark.skip(WITHOUT))], ids=lambda s: s and s.name)
def study(request):
    return request.param


def of(study, pattern="*"):
    return [file for file in FILES if file.is_relative_to(study) and file.match(pattern)]


@pytest.fixture
def rows(study, tmp_path):
    """A copy of the study's rows, beside them those of the benchmarks, and nothing else."""
    copy = tmp_path / study.name
    copy.mkdir()
    shutil.copytree(RESULTS / "benchmarks", tmp_path / "benchmarks")
    for file in of(study, "*.csv"):
        if file.parent == study:
            shutil.copy(file, copy)
    return copy


def test_tables_and_verdicts_follow_from_the_rows(study, rows):
    measured = Rows(rows)
    tables.write_all(measured)
    claims.write(measured)
    for made in sorted((rows / "tables").glob("*.csv")):
        committed = study / "tables" / made.name
        assert committed in FILES and committed.with_suffix(".md") in FILES, f"{made.name}: not committed"
        ours, theirs = pd.read_csv(made), pd.read_csv(committed)
        assert list(ours) == list(theirs), f"{committed}: other columns than dehazelib report writes"
        for column in set(ours) - PROSE:
            pd.testing.assert_series_equal(ours[column], theirs[column], rtol=1e-6, obj=f"{made.name}, {column}")


@pytest.mark.skipif(not STUDIES, reason=WITHOUT)
def test_the_numbers_on_the_pages_are_those_of_the_committed_rows():
    readme = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    block = text.inside(readme)
    (shown,) = [study for study in STUDIES if f"results/{study.name}/" in block]
    rows = Rows(shown)
    pages = {"README.md, claims": (block, text.claims_block(rows)),
             "results/speed.md": ((RESULTS / "speed.md").read_text(encoding="utf-8"),
                                  text.speed_page(RESULTS / "benchmarks")),
             "results/README.md": ((RESULTS / "README.md").read_text(encoding="utf-8"), text.results_page(rows)),
             "the model card": (text.CARD.read_text(encoding="utf-8"), text.model_card(rows))}
    stale = [name for name, (committed, made) in pages.items() if NUMBER.findall(committed) != NUMBER.findall(made)]
    assert not stale, f"not as made from the rows: {', '.join(stale)}: dehazelib report"
    for link in re.findall(r"\]\((results/[^)]*)\)", block):
        assert any(file.is_relative_to(paths.ROOT / link) for file in FILES), f"README.md links to {link}"


def test_charts_are_there_and_real_photographs_are_not(study):
    figures = {file.name for file in of(study, "*.png")}
    assert CHARTS <= figures, f"not committed: {', '.join(sorted(CHARTS - figures))}"
    if not study.name.endswith(("-nyu", "-its")):
        return
    images = [file for file in of(study) if file.suffix in (".jpg", ".jpeg", ".webp", ".bmp", ".npy", ".ipynb")]
    assert not images and not figures & PHOTOGRAPHS, "the data's licences do not let their images be passed on"
    assert all(file.parent == study / "figures" for file in of(study, "*.png"))


def test_committed_runs_are_whole_light_and_hold_the_scores_of_the_study(study):
    scores = pd.read_csv(study / "scores.csv", dtype={"image": str}, float_precision="round_trip")
    for name in pd.read_csv(study / "runs.csv").run:
        one = runs.find(study / "runs", name)
        have = {file.name for file in of(one.folder)}
        assert one.spec.id == name and one.done and {"spec.yaml", "provenance.json"} <= have, name
        assert not [file for file in of(one.folder) if file.suffix in (".pt", ".pth", ".ckpt")
                    or file.stat().st_size > 1_000_000], f"{name}: pickled or large files"
        own = scores[scores.run == name]
        if len(own):  # runs of the search are not scored
            same = own.merge(one.scores(), on=["test_set", "image", *METRICS])
            assert len(same) == len(own), f"{name}: scores.csv of the study and of the run differ"


def test_no_path_of_the_machine_is_in_a_text(study):
    for file in of(study):
        if file.suffix in (".csv", ".md", ".json", ".yaml", ".txt", ".ipynb"):
            found = ABSOLUTE.search(file.read_text(encoding="utf-8"))
            assert not found, f"{file} has {found[0]!r}"


def shipped_run():
    with safe_open(inference.SHIPPED, "pt") as file:
        return file.metadata()["run"]


def test_the_shipped_weights_are_those_of_a_committed_run():
    if not inference.SHIPPED.exists():
        pytest.skip("no weights are shipped")
    run = shipped_run()
    (study,) = [study for study in STUDIES if run in set(pd.read_csv(study / "runs.csv").run)]
    kept, shipped = load_file(study / "runs" / run / WEIGHTS), load_file(inference.SHIPPED)
    assert kept.keys() == shipped.keys() and all(torch.equal(kept[name], shipped[name]) for name in kept)
    assert inference.SHIPPED.stat().st_size < 500_000


def test_the_default_weights_of_the_dehazer_name_their_run():
    file = paths.WEIGHTS / f"{inference.DEFAULT}.safetensors"
    with safe_open(file, "pt") as weights:
        folder = RESULTS / "cpu-nyu" / "runs" / weights.metadata()["run"]
    recorded = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert sha256(file.read_bytes()).hexdigest() == recorded["weights_sha256"] and file.stat().st_size < 500_000


def test_the_shipped_weights_score_as_committed():
    if not inference.SHIPPED.exists() or not os.environ.get("DEHAZE_DATA"):
        pytest.skip("skipped: no data")
    kept = pd.concat([pd.read_csv(study / "scores.csv", dtype={"image": str}) for study in STUDIES])
    kept = kept[kept.run == shipped_run()]
    pairs = open_tests(os.environ["DEHAZE_DATA"])["sots_indoor"]
    known = pairs.select([pair for pair in pairs.pairs if pair.name in set(kept.image)])  # the copy scored had not all
    again = evaluation.scores(inference.load("sots"), Spec(), known.subset(3))
    both = again.merge(kept, on=["test_set", "image"], suffixes=("", "_kept"))
    assert len(both) == 3 and (both.psnr_rgb - both.psnr_rgb_kept).abs().max() < 0.01
