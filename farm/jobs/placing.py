"""Where an output goes, in which container and codec: looked at before anything is begun."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from farm.domain.manifest import VideoStream
from farm.domain.options import JobOptions
from farm.errors import OutputError, SettingsError, SourceError
from farm.media.composing.containers import Needs, container_for, container_note, default_suffix, refuse_loss
from farm.media.encoding.encoder_settings import encoder_settings, output_video
from farm.media.reading.limits import Limits
from farm.media.reading.opening import check_readable
from farm.media.reading.probe import Look, look

PICTURES = "pictures"
_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks: one video, where its redacted copy goes, and how."""

    source: Path
    output: Path | None
    overwrite: bool
    options: JobOptions
    chunk_seconds: float | None = None
    limits: Limits = _LIMITS


@dataclass(frozen=True, slots=True)
class Place:
    """The output's path, FFmpeg's name of its container (``pictures`` for a folder of them), and notes on both."""

    output: Path
    container: str
    notes: tuple[str, ...] = ()


def place_output(request: Request) -> Place:
    """Where the output goes and in which container, as far as the source's header and first frames tell.

    Raises SourceError for a source that cannot be redacted exactly, SettingsError for options that do not go with it,
    OutputError for a place or a container that cannot take the output.
    """
    check_readable(request.source)
    seen = look(request.source, request.limits)
    with _named(request.source):
        settings = encoder_settings(seen.video, request.options.redact)
        video = output_video(seen.video, settings)
        if request.options.compose.pictures:
            place = Place(_folder(request), PICTURES)
        else:
            place = _video_place(request, seen, video)
    _check_folder(place.output.parent)
    if place.container != PICTURES:
        _check_free(request, place.output)
    notes = settings.notes if place.container != PICTURES else ()
    return replace(place, notes=(*seen.notes, *notes, *place.notes))


def _video_place(request: Request, seen: Look, video: VideoStream) -> Place:
    source, options = request.source, request.options.compose
    needs = Needs.of(video, seen.others, options)
    suffix = default_suffix(seen.container, video.time_base, source.suffix, video.codec, needs)
    output = request.output
    notes: tuple[str, ...] = ()
    if output is None or output.is_dir():
        output = (output or source.parent) / f"{source.stem}.blurred{suffix}"
        container = container_for(seen.container, video.codec, "", video.time_base, needs, source.suffix)
        why = container_note(seen.container, video.codec, video.time_base, needs, source.suffix, container)
        notes = (why,) if why else ()
    else:
        container = container_for(seen.container, video.codec, output.suffix, video.time_base, needs, source.suffix)
    refuse_loss(seen.others, container, video.time_base, options, video.codec)
    return Place(_absolute(output), container, notes)


def _folder(request: Request) -> Path:
    """Where pictures go: a folder that is not there yet, or is empty."""
    folder = _absolute(request.output or request.source.with_suffix(".frames"))
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} exists and is not a folder", hint="name a new folder with --frames")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists and is not empty", hint="name a new folder with --frames")
    return folder


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without the dots, but with the user's own links


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder", hint="make it first, or choose another")
    try:  # asking the file system is not enough: root may write everywhere, a full or read-only disk refuses
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise OutputError(f"cannot write into {folder}: {e.strerror}", hint="choose another folder with -o") from e


def _check_free(request: Request, output: Path) -> None:
    if not output.exists():
        return
    if output.is_dir() or output.samefile(request.source):
        raise OutputError(f"{output} is the source or a folder", hint="choose another name with -o")
    if not request.overwrite:
        raise OutputError(f"{output} exists", hint="use --overwrite, or another name with -o")


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Errors that do not know the source's name get it: of several videos, which one?"""
    try:
        yield
    except (OutputError, SettingsError, SourceError) as e:
        if str(source) in e.message:
            raise
        raise type(e)(f"{source}: {e.message}", hint=e.hint, field=e.field) from None
