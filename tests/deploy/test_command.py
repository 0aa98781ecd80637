"""The commands dehaze and export: what is taken, where it goes, and one line for whatever is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dehazelib import cli, networks, paths
from dehazelib.deploy import inference
from dehazelib.deploy.targets import Source, sources, targets


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "student.safetensors"
    save_file(networks.build("student").state_dict(), file)
    return file


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dehaze(capsys, weights):
    """Runs the command in this process; returns exit status, lines on standard output and on standard error."""

    def run(*arguments):
        status = cli.main(["dehaze", *map(str, arguments), "--weights", str(weights)])
        out, err = capsys.readouterr()
        return status, out.splitlines(), [line.removeprefix("dehazelib: ") for line in err.splitlines()]

    return run


def pictures(*names, size=(20, 16)):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (200, 190, 180)).save(name)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def meant(*given, out="out", recursive=False):
    found, problems, notes = sources(list(given), Path(out), recursive)
    return [str(source.path) for source in found], problems, notes


# ------------------------------------------------------------------------------------------------ which files are meant


def test_files_folders_and_patterns_are_taken_each_photograph_once():
    pictures("a.jpg", "100/IMG_1.JPG", "100/IMG_2.png", "100/more/IMG_3.jpg", "100/.trash/x.jpg", "100/._IMG_1.JPG")
    Path("100/notes.txt").touch()
    assert meant("a.jpg", "./a.jpg", "100", os.path.abspath("100/IMG_1.JPG"))[0] == [
        "a.jpg", "100/IMG_1.JPG", "100/IMG_2.png"]
    assert meant("100", recursive=True)[0] == ["100/IMG_1.JPG", "100/IMG_2.png", "100/more/IMG_3.jpg"]
    assert meant("100/*.JPG", "**/*_3.jpg") == (["100/IMG_1.JPG", "100/more/IMG_3.jpg"], [], [])


def test_an_empty_name_is_not_the_folder_that_the_user_is_in(dehaze, capsys):
    pictures("a.jpg")
    assert dehaze("", "-o", "out")[:2] == (1, [])
    with pytest.raises(SystemExit):
        dehaze("a.jpg", "-o", "")
    assert "argument -o/--out: invalid path value: ''" in capsys.readouterr().err


def test_a_file_whose_name_looks_like_a_pattern_is_that_file():
    pictures("a[1].jpg", "a1.jpg")
    assert meant("a[1].jpg")[0] == ["a[1].jpg"] and meant("a[1]*.jpg")[0] == ["a1.jpg"]


def test_a_home_folder_is_found_where_the_shell_left_it(monkeypatch, dehaze):
    monkeypatch.setenv("HOME", os.path.abspath("home"))
    pictures("home/photos/a.jpg", "home/b.jpg")
    status, out, _ = dehaze("~/photos", "~/*.jpg", "-o", "~/out")
    assert (status, len(out)) == (0, 2) and files("home/out") == ["a.png", "b.png"]


def test_earlier_results_are_no_photographs():
    pictures("trip/a.jpg", "trip/clear/a.png")
    assert meant("trip", out="trip/clear", recursive=True)[0] == ["trip/a.jpg"]


def test_what_means_no_photograph_is_named():
    Path("empty").mkdir()
    assert meant("empty", "*.JPG") == ([], ["empty: no pictures directly inside; --recursive looks further down.",
                                            "*.JPG: no file has such a name."], [])


def test_raw_and_heic_files_get_a_hint_where_named_and_a_note_in_a_folder():
    pictures("100/a.jpg")
    for name in ("100/a.CR2", "100/b.heic", "100/c.mp4"):
        Path(name).touch()
    found, problems, notes = meant("100")
    assert (found, problems) == (["100/a.jpg"], [])
    assert notes[0].startswith("100: 3 raw, HEIC or video file(s) left out")
    found, problems, _ = meant("100/a.CR2", "100/b.heic", "100/c.mp4")
    assert found == ["100/c.mp4"] and "a.CR2: is a camera's raw file: develop it" in problems[0]
    assert "b.heic: is HEIC, which cannot be read here: convert it" in problems[1]


# -------------------------------------------------------------------------------------------------- what they become


def of(*names):
    return [Source(Path(name)) for name in names]


@pytest.mark.parametrize("names, form, expected", [
    (["a.jpg", "b.webp"], None, ["a.png", "b.png"]),
    (["a.jpg", "b.JPG", "c.tif", "d.gif", "e.jfif"], "same", ["a.jpg", "b.JPG", "c.tif", "d.png", "e.jfif"]),
    (["a.png"], "jpg", ["a.jpg"]), (["a.png"], "tiff", ["a.tif"]), (["a.mov"], "jpg", ["a.mp4"]),
    (["x/a.jpg", "y/a.jpg", "y/A.jpg", "y/a-2.jpg"], None, ["a.png", "a-2.png", "A-3.png", "a-2-2.png"]),
    (["a.b.jpg", "a.c.jpg"], None, ["a.b.png", "a.c.png"]),
])
def test_no_two_photographs_become_one_result(names, form, expected):
    assert [str(target) for target in targets(of(*names), Path("out"), form)] == [f"out/{name}" for name in expected]


def test_folders_of_a_folder_are_kept():
    found = [Source(Path("trip/a.jpg")), Source(Path("trip/day 2/a.jpg"), Path("day 2"))]
    assert targets(found, Path("out")) == [Path("out/a.png"), Path("out/day 2/a.png")]


def test_one_photograph_may_be_given_the_name_of_its_result(dehaze):
    pictures("a.png")
    assert dehaze("a.png", "-o", "clear.jpg")[:2] == (0, ["clear.jpg"])
    with Image.open("clear.jpg") as result:
        assert result.format == "JPEG" and result.size == (20, 16)
    Path("folder.jpg").mkdir()
    assert dehaze("a.png", "-o", "folder.jpg")[:2] == (0, ["folder.jpg/a.png"])


@pytest.mark.parametrize("names, out, form, message", [
    (["a.jpg", "b.jpg"], "clear.jpg", None, "is the name of one file, but 2 are to be written"),
    (["a.mp4"], "clear.jpg", None, "a photograph becomes a photograph"),
    (["a.jpg"], "clear.mp4", None, "a photograph becomes a photograph"),
    (["a.jpg"], "clear.jpg", "png", "no name of a file of --format png"),
    (["a.jpg"], "clear.gif", None, "results are written as .png .jpg"),
    (["a.heic"], "clear.HEIC", None, "results are written as .png .jpg")])
def test_a_name_that_cannot_be_that_of_the_result_is_refused(names, out, form, message):
    with pytest.raises(ValueError, match=message):
        targets(of(*names), Path(out), form)


# -------------------------------------------------------------------------------------------------- what is overwritten


def test_results_that_are_there_stay_unless_it_is_asked_for(dehaze):
    pictures("monday/a.jpg")
    pictures("tuesday/a.jpg", "tuesday/b.jpg", size=(10, 10))
    assert dehaze("monday/a.jpg", "-o", "out")[0] == 0
    status, out, err = dehaze("tuesday", "-o", "out")
    assert (status, out) == (1, ["out/b.png"]) and Image.open("out/a.png").size == (20, 16)
    assert err[0] == "tuesday/a.jpg: out/a.png exists: --overwrite replaces it, --skip-existing leaves it."
    assert err[1].endswith("; 1 failed: tuesday/a.jpg")
    status, out, err = dehaze("tuesday", "-o", "out", "--skip-existing")
    assert (status, out) == (0, []) and err[0].endswith("; 2 skipped, as there are results")
    assert dehaze("tuesday", "-o", "out", "--overwrite")[0] == 0 and Image.open("out/a.png").size == (10, 10)


@pytest.mark.parametrize("out", [".", "elsewhere/..", "link"])
def test_no_photograph_is_overwritten_even_with_overwrite(dehaze, out):
    pictures("a.png", "b.jpg", "b.png", "elsewhere/c.jpg", "link/c.jpg")
    Path("link/a.png").hardlink_to("a.png"), Path("link/b.png").hardlink_to("b.png")
    before = Path("a.png").read_bytes(), Path("b.png").read_bytes()
    status, _, err = dehaze("a.png", "b.jpg", "b.png", "-o", out, "--overwrite")
    assert status == 1 and (Path("a.png").read_bytes(), Path("b.png").read_bytes()) == before
    assert sum("would overwrite a photograph: choose another -o or --format" in line for line in err) >= 2


# ------------------------------------------------------------------------------------------------ trouble with some


def test_photos_before_and_after_bad_ones_are_dehazed(dehaze, monkeypatch):
    pictures("a.jpg", "huge.jpg", "z.jpg")
    Path("bad.jpg").write_text("no image")
    real = inference.run

    def short_of_memory(network, images, *more, **options):
        if images.shape[2:] == (16, 20) and calls.pop(0):
            raise MemoryError("no memory\nand more")
        return real(network, images, *more, **options)

    calls = [False, True, False]
    monkeypatch.setattr("dehazelib.deploy.photos.run", short_of_memory)
    status, out, err = dehaze("a.jpg", "bad.jpg", "absent.jpg", "shot.nef", "huge.jpg", "z.jpg", "-o", "out")
    assert (status, out) == (1, ["out/a.png", "out/z.png"]) and files("out") == ["a.png", "z.png"]
    assert [line.partition(": ")[0] for line in err[:4]] == ["shot.nef", "bad.jpg", "absent.jpg", "huge.jpg"]
    assert err[3] == "huge.jpg: no memory" and err[2] == "absent.jpg: no such file."
    assert err[4].startswith("2 dehazed into out in ")
    assert err[4].endswith("; 4 failed: shot.nef, bad.jpg, absent.jpg, huge.jpg") and len(err) == 5


def test_a_batch_that_is_stopped_says_what_is_done(dehaze, monkeypatch):
    pictures("a.jpg", "b.jpg", "c.jpg")
    real, calls = inference.run, []

    def stopped_at_the_second(*given, **options):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr("dehazelib.deploy.photos.run", stopped_at_the_second)
    status, out, err = dehaze("a.jpg", "b.jpg", "c.jpg", "-o", "out")
    assert (status, out, files("out")) == (130, ["out/a.png"], ["a.png"]) and len(err) == 1
    assert err[0].startswith("stopped: 1 dehazed into out in ") and err[0].endswith("with --skip-existing it goes on "
                                                                                    "from there.")


@pytest.mark.parametrize("encoding, name", [("cp1252", "b\u96fe.png"), ("utf-8:strict", os.fsdecode(b"b\xff.png"))])
def test_a_name_that_the_terminal_cannot_show_stops_nothing(weights, encoding, name):
    pictures("a.png", "c.png")
    Path(name).write_bytes(Path("a.png").read_bytes())
    done = subprocess.run([sys.executable, "-m", "dehazelib", "dehaze", "a.png", name, "absent" + name, "c.png", "-o",
                           "out", "--weights", weights], capture_output=True, cwd=Path.cwd(),
                          env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(paths.ROOT)})
    assert done.returncode == 1 and files("out") == ["a.png", name, "c.png"]
    assert done.stderr.count(b"\n") == 2 and b"3 dehazed into out" in done.stderr


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_result_folder_that_is_a_file_is_named(dehaze, where):
    pictures("a.jpg")
    Path("file").write_text("kept")
    status, _, err = dehaze("a.jpg", "-o", where)
    assert status == 1 and err[0].startswith(f"{where}: -o must be a folder that can be written") and len(err) == 1
    assert Path("file").read_text() == "kept"


# ------------------------------------------------------------------------------------------------------- the options


def test_options_of_the_result_reach_it(dehaze):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)).save("a.png")
    assert dehaze("a.png", "-o", "none.png", "--strength", "0")[0] == 0
    np.testing.assert_array_equal(np.array(Image.open("none.png")), np.array(Image.open("a.png")))
    assert dehaze("a.png", "-o", "both.png", "--side-by-side")[0] == 0 and Image.open("both.png").size == (40, 16)
    for quality in ("20", "95"):
        assert dehaze("a.png", "-o", quality, "--format", "jpg", "--quality", quality)[0] == 0
    assert Path("20/a.jpg").stat().st_size < 0.8 * Path("95/a.jpg").stat().st_size


@pytest.mark.parametrize("option", ["--strength=2", "--strength=nan", "--strength=a", "--quality=0", "--quality=101",
                                    "--format=gif", "--overwrite --skip-existing", "--device=tpu"])
def test_an_option_out_of_its_range_gets_the_usage(dehaze, option, capsys):
    with pytest.raises(SystemExit) as end:
        dehaze("a.jpg", "-o", "out", *option.split())
    assert end.value.code == 2 and "usage: dehazelib dehaze" in capsys.readouterr().err


@pytest.mark.parametrize("device", [[], ["--device", "auto"], ["--device", "cpu"], ["--device", "cuda"]])
def test_photos_are_dehazed_on_the_device_asked_for(dehaze, monkeypatch, device):
    pictures("a.jpg")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, _, err = dehaze("a.jpg", "-o", "one", *device)
    if "cuda" in device:
        assert (status, err) == (1, ["There is no CUDA GPU here that this torch can use: choose cpu or auto."])
    assert Path("one").exists() == ("cuda" not in device)
    moved = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda network, device: moved.append(device) or network)
    assert dehaze("a.jpg", "-o", "two", *device)[0] == 0
    assert moved == ["cpu" if "cpu" in device else "cuda"]


def test_weights_that_are_absent_or_diverged_are_one_line(capsys):
    pictures("a.jpg")
    state = networks.build("student").state_dict()
    state["head.bias"][0] = float("nan")
    save_file(state, "nan.safetensors")
    for name, message in (("none", "none: no such weights"), ("nan.safetensors", "head.bias holds values")):
        assert cli.main(["dehaze", "a.jpg", "-o", "out", "--weights", name]) == 1
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_student_is_exported(weights, capsys):
    pytest.importorskip("onnxscript")
    assert cli.main(["export", "new/student.onnx", "--weights", str(weights)]) == 0
    assert files("new") == ["student.onnx"] and capsys.readouterr().err == ""
