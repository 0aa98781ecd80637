"""The command line: python -m dehazelib, also installed as dehazelib."""

import argparse
import sys
from pathlib import Path

from dehazelib import paths
from dehazelib.data.images import DataError
from dehazelib.deploy import command as deploy

ERRORS = (ValueError, TypeError, OSError, FloatingPointError, MemoryError, RuntimeError)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 after one line on standard error that says what is wrong and what to do."""
    options = parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files that its encoding lacks
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:  # such as without the packages of the study
        print(f"dehazelib: {error}: this command needs all packages of the study: in the project's folder, "
              "pip install -e '.[export,study]'.", file=sys.stderr)
        return 1
    except BrokenPipeError:  # of "| head"
        sys.stderr.close()
    except KeyboardInterrupt as stopped:
        print(f"dehazelib: {str(stopped) or 'stopped.'}", file=sys.stderr)
        return 130
    except ERRORS as error:
        print(f"dehazelib: {error}", file=sys.stderr)
        return 1
    return 0


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their full names only, and so do those of its commands."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)


def parser() -> Parser:
    top = Parser(prog="dehazelib", description="Train, score and use the networks of the study.")
    commands = top.add_subparsers(required=True, metavar="command")

    data = commands.add_parser("data", help="check a data folder, or make the embedded data set")
    actions = data.add_subparsers(required=True, metavar="action")
    check = actions.add_parser("check", help="say what a data folder holds, what is missing and where to get it")
    check.add_argument("root", type=Path)
    check.add_argument("--deep", action="store_true", help="decode every image (minutes)")
    check.set_defaults(run=data_check)
    make = actions.add_parser("make", help="make the embedded data set now, instead of on first use")
    make.add_argument("name", choices=["rooms"])
    make.set_defaults(run=data_make)

    study = commands.add_parser("study", help="the whole study: train what is missing, execute the notebooks, write "
                                "report.html; what is finished is not done again")
    _study_options(study)
    study.add_argument("--workers", type=int, default=0, metavar="N",
                       help="runs trained side by side (default: one per core, or per GPU)")
    study.set_defaults(run=run_study)

    notebooks = commands.add_parser("notebooks", help="the whole study, then copies of its executed notebooks, small "
                                    "enough to be committed")
    _study_options(notebooks)
    notebooks.add_argument("--out", type=Path, default=paths.NOTEBOOKS / "executed", metavar="DIR",
                           help="folder of the copies (default: notebooks/executed)")
    notebooks.set_defaults(run=copy_notebooks)

    train = commands.add_parser("train", help="train and score runs of a profile; finished ones are only loaded")
    train.add_argument("names", nargs="+", metavar="RUN", help="id or label of a run, a stage of the study such as "
                       "central, or all; an unknown name lists those that there are")
    _study_options(train)
    train.set_defaults(run=train_runs)

    score = commands.add_parser("score", help="score a run, or weights, on the test images")
    score.add_argument("what", metavar="RUN_OR_WEIGHTS", nargs="?", help="id or label of a run, or a .safetensors file")
    score.add_argument("--network", default="student", help="what the .safetensors file holds (default: student)")
    score.add_argument("--official", metavar="NAME", help="the file is the authors' own checkpoint of this network "
                       "(a name that is not known lists those that are)")
    score.add_argument("--pairs", nargs=2, type=Path, metavar=("HAZY", "CLEAR"), help="score weights on two folders of "
                       "images with the same names, but for words such as hazy and GT, instead of the study's images")
    score.add_argument("--match", metavar="REGEX", help="of --pairs: what in their names tells which belong together, "
                       "in brackets, such as '^(\\d+)'")
    score.add_argument("--photographs", action="store_true", help="measure weights, by default all that come along, on "
                       "clear, black and hazy photographs too; the rows go to photographs.csv in the study's folder")
    _study_options(score)
    score.set_defaults(run=score_run)

    networks = commands.add_parser("networks", help="list the catalogue with parameter counts")
    networks.add_argument("--csv", action="store_true", help="as CSV on standard output")
    networks.set_defaults(run=list_networks)

    bench = commands.add_parser("bench", help="time alternatives on this machine, for minutes")
    bench.add_argument("what", choices=["affinity", "training", "inference", "photo"])
    bench.add_argument("--keep", action="store_true", help="write the rows to results/benchmarks, from which the "
                       "README's table of speed is made (default: results/local, which git ignores)")
    bench.set_defaults(run=run_benchmark)

    verdict = commands.add_parser("verdict", help="print each claim of the paper with ours and a verdict")
    _study_options(verdict)
    verdict.set_defaults(run=print_verdict)

    report = commands.add_parser("report", help="write tables, README.md's blocks and results/README.md from the rows")
    report.add_argument("--profile", default="cpu", help="the study: its profile or its folder's name (default: cpu)")
    report.add_argument("--readme", type=Path, default=paths.ROOT / "README.md", metavar="FILE",
                        help="file with the markers of both blocks (default: the project's README.md)")
    report.set_defaults(run=write_report)

    deploy.add(commands)
    return top


def _study_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", default="smoke",
                         help="smoke, demo, cpu, budget, paper, or the path of a .yaml file (default: smoke)")
    command.add_argument("--data", help="rooms, or a folder with SOTS-indoor, and ITS or NYU (default: the profile's)")
    command.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                         help="change settings of the profile")


def opened(options: argparse.Namespace):
    """Returns the profile's study with --data and --set applied."""
    from dehazelib.study import Study

    return Study.open(options.profile, options.data, overrides=_overrides(options))


def _overrides(options: argparse.Namespace) -> dict:
    """Returns what --set says, setting -> value. Raises ValueError for text that is not NAME=VALUE."""
    from dehazelib.experiments.options import read_yaml

    overrides = {}
    for item in options.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"--set {item}: write NAME=VALUE.")
        overrides[name] = read_yaml(value, f"--set {item}: {value!r}")
    return overrides


# ----------------------------------------------------------------------------------------------------- the commands


def data_check(options: argparse.Namespace) -> None:
    from dehazelib.data.check import check

    report = check(paths.data_root(str(options.root)), deep=options.deep)
    print(report)
    if report.problems:
        raise DataError(f"{options.root}: {len(report.problems)} problem(s), listed above.")
    if not report.uses:
        raise DataError(f"{options.root}: holds nothing to score or train on; what to get is listed above.")


def data_make(options: argparse.Namespace) -> None:
    from dehazelib.data.sources import open_data

    data = open_data(options.name)
    tests = ", ".join(f"{len(pairs)} {name} test pairs" for name, pairs in data.tests.items())
    print(f"{data.name}: {len(data.train)} training, {len(data.validation)} validation scenes, {tests}; "
          f"manifest {data.manifest}")


def run_study(options: argparse.Namespace) -> None:
    from dehazelib.workflow import run_study

    run_study(options.profile, options.data, _overrides(options), options.workers)


def copy_notebooks(options: argparse.Namespace) -> None:
    from dehazelib import executed
    from dehazelib.workflow import run_study

    report = run_study(options.profile, options.data, _overrides(options))
    for file in executed.copy_all(report.parent / "notebooks", options.out):
        print(file)


def train_runs(options: argparse.Namespace) -> None:
    from dehazelib.training import runs

    study = opened(options)
    for run in runs.train_or_load(study.settings, study.specs(*options.names)):
        print(_mean_line(run.spec.id, run.scores()))


def score_run(options: argparse.Namespace) -> None:
    study = opened(options)
    if options.pairs:
        _score_folders(study, options)
    elif options.photographs:
        _score_photographs(study, options)
    elif options.official or options.what is None or options.what.endswith(".safetensors"):
        _score_weights(study, options)
    else:
        _score_runs(study, options.what)


def _score_runs(study, name: str) -> None:
    from dehazelib.training import runs

    for spec in study.specs(name):
        run = runs.run(study.settings.runs_folder, spec)
        for pairs in runs.test_sets(study.settings, study.data, spec):
            print(_mean_line(spec.id, run.score(pairs, study.settings.hardware)))


def _score_weights(study, options: argparse.Namespace) -> None:
    """Scores a network's file, or the shipped student, on all test pairs, or as many as --set test_pairs says."""
    from dehazelib.data.sources import open_tests
    from dehazelib.evaluation import scores as evaluation
    from dehazelib.experiments.spec import Spec

    network = _weights(options).to(study.device)
    given = any(item.startswith("test_pairs=") for item in options.set)
    count = study.settings.test_pairs if given else 0
    for pairs in open_tests(study.settings.data).values():
        table = evaluation.scores(network, Spec(), pairs.subset(count))
        print(_mean_line(options.official or options.what or "shipped student", table))


def _score_folders(study, options: argparse.Namespace) -> None:
    """Scores a network's file, or the shipped student, on the folders of --pairs, and the hazy images alone."""
    from dehazelib.evaluation.folders import folder_scores

    tables = folder_scores(_weights(options).to(study.device), *options.pairs, options.match)
    print(_mean_line("hazy input", tables["hazy input"]))
    print(_mean_line(options.official or options.what or "shipped student", tables["dehazed"]))


def _score_photographs(study, options: argparse.Namespace) -> None:
    from dehazelib.deploy.inference import load, shipped
    from dehazelib.evaluation import photographs

    if options.what:
        sets = {options.what: _weights(options)}
    else:
        sets = {name: load(file) for name, file in shipped().items()}
    print(photographs.write(sets, study.data, study.folder).to_string(index=False, float_format="{:.4g}".format))


def _weights(options: argparse.Namespace):
    """Returns the network that `score` was given as a file, or the shipped one."""
    from dehazelib.deploy.inference import SHIPPED, load
    from dehazelib.networks import CATALOGUE
    from dehazelib.networks.official import load_official

    if options.official and not options.what:
        raise ValueError(f"score --official {options.official}: name the authors' file as well.")
    if options.official:
        return load_official(options.official, options.what)
    network = load(options.what or SHIPPED, options.network)
    if CATALOGUE[options.network].role == "super_resolution":
        raise ValueError(f"{options.network} enlarges images: only networks that dehaze are scored from a file.")
    return network


def _mean_line(name: str, table) -> str:
    means = [f"{test_set} ({len(rows)} images) {rows.psnr_rgb.mean():.2f} dB, SSIM {rows.ssim_gauss11_rgb.mean():.4f}"
             for test_set, rows in table.groupby("test_set", sort=False)]
    return f"{name}: " + "; ".join(means)


def list_networks(options: argparse.Namespace) -> None:
    from dehazelib.evaluation.cost import catalogue

    table = catalogue()
    if options.csv:
        print(table.to_csv(index=False), end="")
    else:
        print(table.to_string(index=False, na_rep=""))


def run_benchmark(options: argparse.Namespace) -> None:
    from importlib import import_module

    from dehazelib.bench import rows

    folder = rows.committed() if options.keep else rows.local()
    table = import_module(f"dehazelib.bench.{options.what}").run(folder)
    print(table.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    print(f"rows: {folder / options.what}.csv")


def print_verdict(options: argparse.Namespace) -> None:
    from dehazelib.report import claims

    study = opened(options)
    study.collect()
    claims.write(study.rows)
    for one in claims.verdicts(study.rows):
        measured = one.interval.text(one.claim.unit, one.claim.signed) or "not measured"
        print(f"{one.status:16} {one.claim.where}: {one.claim.claim} ({measured}) {claims.why(one)}")


def write_report(options: argparse.Namespace) -> None:
    from dehazelib.report import text

    folder = text.find(options.profile)
    text.write(folder, options.readme)
    print(f"written from the rows in {folder}: its tables, {options.readme}, {folder.parent / 'README.md'}")
