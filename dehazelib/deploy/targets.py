"""Which files a command line means, and which file each becomes."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".webp": "WEBP", ".tif": "TIFF",
           ".tiff": "TIFF", ".bmp": "BMP"}  # that results are written in
OPENED = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "AVIF", "GIF", "PPM", "TGA", "JPEG2000")  # whatever it is
# called; others, such as PostScript, would start other programs
SUFFIXES = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tif"}  # of --format
PICTURES = (*FORMATS, ".gif", ".avif")  # that are looked for in folders
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
RAW = (".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srf "
       ".srw .x3f").split()  # of cameras
HEIC = (".heic", ".heif", ".hif")
RAW_HINT = "is a camera's raw file: develop it first, for example with darktable, best into a TIFF of 16 bits."
HEIC_HINT = "is HEIC, which cannot be read here: convert it to JPEG or PNG first."


@dataclass(frozen=True)
class Source:
    """A file that was named, or found in a folder that was: below is its place in that folder."""

    path: Path
    below: Path = Path()

    @property
    def video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


def sources(given: list[str], out: Path, recursive: bool = False) -> tuple[list[Source], list[str], list[str]]:
    """Returns the files meant, each once, in the order given; a line for each part that means none; a line for each
    folder of which something is left out.

    given: files, folders, and patterns that the shell left alone. Of a folder the pictures directly inside are taken,
    with recursive also those further down, but for hidden ones and those in the folder of results.
    """
    found, problems, notes = [], [], []
    for text in given:
        path = Path(text).expanduser()
        if not text:  # would be taken for the folder that the user is in
            inside = []
            problems.append("'': is no file's name.")
        elif path.is_dir():
            files = _visible_files(path, out, recursive)
            inside = [Source(file, file.relative_to(path).parent) for file in files if _is(file, PICTURES)]
            others = sum(_is(file, (*RAW, *HEIC, *VIDEOS)) for file in files)
            if others:
                notes.append(f"{path}: {others} raw, HEIC or video file(s) left out: convert raw and HEIC files to "
                             "TIFF or JPEG first, and name videos one by one.")
            if not inside:
                problems.append(f"{path}: no pictures directly inside; --recursive looks further down.")
        elif path.exists() or not glob.has_magic(text):
            inside = [Source(path)]  # one that is absent fails like one that is damaged
        else:
            names = sorted(glob.glob(str(path), recursive=True))
            inside = [Source(Path(name)) for name in names if os.path.isfile(name)]
            if not inside:
                problems.append(f"{text}: no file has such a name.")
        for source in inside:
            problem = unreadable(source.path)
            if problem:
                problems.append(f"{source.path}: {problem}")
            else:
                found.append(source)
    first = {}
    for source in found:
        first.setdefault(source.path.resolve(), source)
    return list(first.values()), problems, notes


def unreadable(file: Path) -> str:
    """Returns what to do with a file that only other programs read, by its name; nothing for others."""
    if _is(file, RAW):
        return RAW_HINT
    return HEIC_HINT if _is(file, HEIC) else ""


def _visible_files(folder: Path, out: Path, recursive: bool) -> list[Path]:
    """Returns the files in a folder, sorted, without hidden ones and those of earlier results further down."""
    results = out.resolve()
    files = []
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        own = results != folder.resolve() and results in path.resolve().parents
        if path.is_file() and not hidden and not own:
            files.append(path)
    return files


def _is(file: Path, suffixes: tuple) -> bool:
    return file.suffix.lower() in suffixes


def names_a_file(out: Path) -> bool:
    """Returns whether -o means a file rather than a folder."""
    return _is(out, (*FORMATS, *VIDEOS)) and not out.is_dir()


def targets(found: list[Source], out: Path, form: str | None = None) -> list[Path]:
    """Returns a file for each source, no two the same: `out` itself, or one in the folder `out` with the source's name.

    form: png (by default), jpg, webp, tiff, or same, where results can be written in the source's. Raises ValueError
    if out is the name of a file, and there are several sources, or one of another kind, or it cannot be written.
    """
    if not names_a_file(out):
        if _is(out, (*PICTURES, *HEIC, *RAW)) and not out.is_dir():
            raise ValueError(f"{out}: results are written as {' '.join(FORMATS)}.")
        return _in_folder(found, out, form)
    if len(found) > 1:
        raise ValueError(f"{out}: is the name of one file, but {len(found)} are to be written: name a folder.")
    if any(source.video != _is(out, VIDEOS) for source in found):
        raise ValueError(f"{out}: a photograph becomes a photograph, and a video a video.")
    if form in SUFFIXES and FORMATS.get(out.suffix.lower()) != FORMATS[SUFFIXES[form]]:
        raise ValueError(f"{out}: is no name of a file of --format {form}.")
    return [out for _ in found]


def _in_folder(found: list[Source], out: Path, form: str | None) -> list[Path]:
    taken, result = set(), []
    for source in found:
        stem, suffix, number = source.path.stem, _suffix(source, form), 1
        target = out / source.below / f"{stem}{suffix}"
        while str(target).casefold() in taken:  # as on disks that take A for a
            number += 1
            target = target.with_name(f"{stem}-{number}{suffix}")
        taken.add(str(target).casefold())
        result.append(target)
    return result


def _suffix(source: Source, form: str | None) -> str:
    if source.video:
        return ".mp4"
    if form == "same" and _is(source.path, tuple(FORMATS)):
        return source.path.suffix
    return SUFFIXES.get(form, ".png")
