"""Writes a preview to a file of its user's."""

from collections.abc import Callable
from pathlib import Path

from farm.errors import OutputError
from farm.files import check_free, whole_file
from farm.jobs.context import Context
from farm.jobs.queries import job_facts
from farm.preview.collect import Preview
from farm.preview.page import page
from farm.preview.sheet import sheet

#: Suffixes of files, and what writes them.
_WRITERS: dict[str, Callable[[Preview, Path], object]] = {
    ".html": lambda preview, path: path.write_bytes(page(preview).encode()),
    ".png": lambda preview, path: sheet(preview).save(path, "PNG"),
}


def default_path(context: Context, job_id: str) -> Path:
    """The file that a preview is written to where none is named. Raises NotFound."""
    return Path(f"{job_facts(context, job_id).id}.preview.html")


def check_place(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError for a path that a preview cannot be written to."""
    if path.suffix.lower() not in _WRITERS:
        raise OutputError(f"{path}: a preview is a .png or .html file", hint="choose another name with -o")
    check_free(path, overwrite=overwrite)


def write(path: Path, make: Callable[[], Preview], *, overwrite: bool) -> None:
    """Write what ``make`` returns to ``path``, in one step; only its owner can read it: it shows faces.

    Raises OutputError for a path that cannot be written, and what ``make`` raises; then there is no file.
    """
    check_place(path, overwrite=overwrite)
    preview = make()
    with whole_file(path) as temporary:
        _WRITERS[path.suffix.lower()](preview, temporary)
