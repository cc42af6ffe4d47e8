"""What a command line asks: files and the videos in folders, each with its output's place, and how they are run."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.domain.artefacts import DEBUG_MARK, OUTPUT_MARK
from farm.domain.regions import Asked
from farm.errors import FarmError, OutputError, SettingsError, SourceError

#: What files of a folder are taken for videos by their names; what they are, probing tells.
SUFFIXES = frozenset({
    ".264", ".265", ".266", ".3g2", ".3gp", ".asf", ".avc", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265",
    ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe",
    ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".vvc",
    ".webm", ".wmv", ".wtv", ".y4m",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class How:
    """How a command runs its jobs and reports on them.

    ``pictures``: frames become pictures, not a video. ``recursive``: of a folder, the folders in it are read, too.
    ``review``: a person approves the masks. ``audit``, ``strict``: see :class:`farm.jobs.placing.Request`.
    ``debug``: boxes are drawn, and nothing is covered. ``edits``: of the masks of every video. ``keep``, ``only``:
    photos, see :func:`farm.jobs.people.with_people`.
    """

    overwrite: bool = False
    detach: bool = False
    as_json: bool = False
    pictures: bool = False
    recursive: bool = False
    review: bool = False
    audit: bool = False
    strict: bool = False
    debug: bool = False
    edits: Asked = Asked()  # noqa: RUF009 - it is immutable
    keep: tuple[Path, ...] = ()
    only: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Video:
    """A video to redact: its ``name`` for messages, and its output's path, or the folder that the output goes to.

    ``output`` None: beside the source. ``error``: why there is none of this name.
    """

    source: Path
    name: str
    output: Path | None = None
    error: FarmError | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a command line names. ``folder``: ``-o`` is a folder, made where it is missing; ``skipped``: lines on what
    was passed over in folders.
    """

    videos: tuple[Video, ...]
    folder: bool
    skipped: tuple[str, ...]


def named(arguments: list[Path], output: str | None, *, recursive: bool) -> Named:
    """Expand folders to the videos in them, which are mirrored under ``output``, as ``-o`` gives it.

    ``recursive``: folders in folders, too. Raises OutputError, SettingsError for an ``output`` that cannot be.
    """
    if output == "":
        raise SettingsError("-o: the name is empty", hint="name a file or a folder")
    place = None if output is None else Path(output)
    folder = output is not None and (output.endswith(os.sep) or os.path.isdir(output))  # noqa: PTH112 - raises nothing
    if place is not None and not folder and (len(arguments) > 1 or arguments[0].is_dir()):
        hint = f"for several videos, name a folder with -o: an existing one, or {place}{os.sep} to create it"
        raise OutputError(f"{place} is not a folder", hint=hint)
    videos: list[Video] = []
    skipped: list[str] = []
    for argument in arguments:
        if argument.is_dir():
            videos.extend(_in_folder(argument, place, skipped, recursive=recursive))
        else:
            videos.append(Video(argument, str(argument), place))
    return Named(tuple(videos), folder, tuple(skipped))


def _in_folder(root: Path, place: Path | None, skipped: list[str], *, recursive: bool) -> Iterator[Video]:
    """The videos in a folder, sorted; where there is none, one with the error that says so.

    Not hidden files and folders, and not outputs of earlier runs. A folder that links lead to twice is read once.
    """
    found, made, others, folders = 0, 0, 0, 0
    seen: set[tuple[int, int]] = set()
    refused: list[OSError] = []
    for name, inner, files in os.walk(root, onerror=refused.append, followlinks=True):
        here = Path(name)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner[:] = sorted(entry for entry in inner if not entry.startswith("."))
        if not recursive:
            folders += len(inner)
            inner.clear()
        for path in sorted(here / entry for entry in files if not entry.startswith(".")):
            if path.suffix.lower() not in SUFFIXES:
                others += 1
            elif path.stem.endswith((OUTPUT_MARK, DEBUG_MARK)):
                made += 1
            else:
                found += 1
                relative = path.relative_to(root)
                yield Video(path, str(relative), place and place / relative.parent)
    for e in refused:
        error = SourceError(f"{e.filename}: the folder cannot be read: {e.strerror}", hint="check its permissions")
        yield Video(Path(e.filename), str(e.filename), error=error)
    counts = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((made, "output"), (others, "other file"), (folders, "folder"))
        if count
    ]
    passed = f"skipped {', '.join(counts)}" if counts else ""
    deeper = "; --recursive also reads the folders in it" if folders else ""
    if not found and not refused:
        yield Video(
            root, str(root), error=SourceError(f"{root}: no videos in this folder", hint=passed + deeper or None)
        )
    elif passed:
        skipped.append(f"{root}: {passed}{deeper}")
