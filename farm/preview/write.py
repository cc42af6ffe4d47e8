"""Writes a preview to a file of its user's."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from farm.errors import OutputError
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


def write(path: Path, make: Callable[[], Preview], *, overwrite: bool) -> None:
    """Write what ``make`` returns to ``path``, in one step; only its owner can read it: it shows faces.

    Raises OutputError for a path that cannot be written, and what ``make`` raises; then there is no file.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OutputError(f"{path}: a preview is a .png or .html file", hint="choose another name with -o")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists", hint="--overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} is no folder", hint="create it, or choose another name with -o")
    preview = make()
    temporary = path.with_name(f".blurfarm-{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        writer(preview, temporary)
        temporary.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: {e.strerror or e}", hint="choose another name with -o") from e
    finally:
        with suppress(OSError):
            temporary.unlink()
