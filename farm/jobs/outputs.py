"""Whether an output can be written to where it goes."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from farm.errors import OutputError


def absolute(path: Path) -> Path:
    """An output's path from the root, with the user's own links. Raises OutputError for a name that is no UTF-8."""
    if os.fsencode(path).decode("utf-8", "replace") != os.fsdecode(path):  # the database takes text only
        raise OutputError(f"{path}: the output's name is not in UTF-8", hint="choose another name with -o")
    return Path(os.path.abspath(path))  # noqa: PTH100 - removes dots, and keeps the user's own links


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False where that cannot be asked: :func:`check_folder` says why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_own(own: Sequence[Path], output: Path) -> None:
    """Raise OutputError for an output in one of the farm's ``own`` folders, where it deletes what it does not know."""
    for folder in own:
        if (output.parent.resolve() / output.name).is_relative_to(folder.resolve()):
            raise OutputError(f"{output} is inside the farm's own folder {folder}", hint="choose another with -o")


def check_new(folder: Path) -> None:
    """Raise OutputError unless a folder of pictures is new or empty: it is replaced, which no link or mount can be."""
    if folder.is_symlink() or folder.is_mount():
        what = "symbolic link" if folder.is_symlink() else "mount point"
        raise OutputError(f"{folder} is a {what}", hint="name a new folder with --frames")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "empty" if folder.is_dir() else "a folder"
        raise OutputError(f"{folder} exists and is not {what}", hint="name a new folder with --frames")


def check_folder(folder: Path) -> None:
    """Raise OutputError for a folder that cannot be written to."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder", hint="create it first, or choose another")
    try:  # asking the file system is not enough: root may write everywhere, a full or read-only disk refuses
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise OutputError(f"cannot write into {folder}: {e.strerror}", hint="choose another folder with -o") from e


def check_free(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError where something lies under the output's name that must not be replaced."""
    if not os.path.lexists(output):
        return
    if output.is_symlink() and not output.exists():
        hint = "remove the link, or choose another name with -o"
        raise OutputError(f"{output} is a symbolic link that leads to no file", hint=hint)
    if output.is_dir() or output.samefile(source):
        raise OutputError(f"{output} is the source or a folder", hint="choose another name with -o")
    if not output.is_file():
        raise OutputError(f"{output} is not a regular file", hint="choose another name with -o")
    if not overwrite:
        raise OutputError(f"{output} exists", hint="use --overwrite, or another name with -o")
