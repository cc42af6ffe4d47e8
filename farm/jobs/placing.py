"""What a request becomes: its source probed once, the encoder, and the output's place, before anything is begun."""

import os
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.domain.artefacts import DEBUG_MARK, OUTPUT_MARK
from farm.domain.detectors import NOTHING
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Manifest, VideoStream
from farm.domain.options import JobOptions
from farm.domain.regions import Asked
from farm.errors import OutputError, SettingsError, SourceError
from farm.exchange.formats import format_named
from farm.jobs.advising import advised
from farm.jobs.images import KeptImage, with_image
from farm.media.composing.containers import Needs, container_for, default_container, refuse_loss
from farm.media.composing.sound import is_edited, refuse_uneditable, refuse_unencodable
from farm.media.composing.streams import check_dropped, wanted
from farm.media.encoding.choice import at_rate, encoder_settings, output_video
from farm.media.reading.index import index_source, plan_manifest
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe, probe_source
from farm.processes import for_the_user

#: In place of a container's name: the output is a folder of pictures.
PICTURES_CONTAINER = "pictures"
_LIMITS = Limits()
_SHOWS = "WARNING: faces are not redacted (--debug): boxes are drawn, nothing is covered; keep it as the source"
_NO_EDITS = Asked()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks: one video, where its redacted copy goes, and how.

    ``folder``: ``output`` is a folder, which is made where it is missing. ``own``: folders of the farm, which take no
    outputs. ``review``: a person has to approve the masks before anything is redacted. ``audit``: the output is
    audited before it is published; ``strict``: and not published while it shows a face. ``edits``: of its masks.
    ``references``: the faces on the photos that ``options.people`` names.
    """

    source: Path
    output: Path | None
    overwrite: bool
    options: JobOptions
    chunk_seconds: float | None = None
    limits: Limits = _LIMITS
    folder: bool = False
    own: tuple[Path, ...] = ()
    review: bool = False
    audit: bool = False
    strict: bool = False
    edits: Asked = _NO_EDITS
    references: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with all that the source's header and first frames decide.

    ``container``: FFmpeg's name of the output's, :data:`PICTURES_CONTAINER` for a folder of pictures. ``notes`` for
    the person, on the source, the encoder and the container. ``image``: the picture for the style ``image``, whose key
    the request's options name.
    """

    request: Request
    probe: Probe
    encoder: EncoderSettings
    output: Path
    container: str
    notes: tuple[str, ...]
    image: KeptImage | None = None

    def check_place(self) -> None:
        """Raises OutputError unless the output can be written where it goes. Makes its folder where that is asked."""
        try:
            _check_own(self.request, self.output)
            if self.container == PICTURES_CONTAINER:
                _check_new(self.output)
            if self.request.folder:
                with for_the_user():
                    self.output.parent.mkdir(parents=True, exist_ok=True)
            _check_folder(self.output.parent)
            with suppress(FileNotFoundError):
                self.output.lstat()  # raises for a name that is too long
            if self.container != PICTURES_CONTAINER:
                _check_free(self.request, self.output)
        except OSError as e:  # a name that is too long, a folder without permission, a file where a folder should be
            raise OutputError(f"cannot write to {self.output}: {e.strerror}", hint="choose another name with -o") from e

    def plan(self, workers: int) -> tuple[Manifest, Sequence["array[int]"]]:
        """Demux the source: the manifest and each chunk's pts. ``workers``: what the number of chunks is fitted to.

        Raises SourceError, also if the file changed since it was probed.
        """
        request = self.request
        probe = replace(self.probe, path=request.source.resolve())
        indexed = index_source(probe, request.options.source, request.limits)
        encoder = at_rate(self.encoder, indexed.source.video.average_rate)
        return plan_manifest(indexed, encoder, request.chunk_seconds, workers)


def prepare(request: Request, encoders: AbstractSet[str]) -> Prepared:
    """Probe the source, and choose the encoder (one of ``encoders``), the output's place and its container.

    Raises SourceError for a source that cannot be redacted exactly, SettingsError for options that do not go with it,
    OutputError for a place or a container that cannot take the output, EditError for edits that cannot be read.
    """
    request.edits.check()
    if request.edits.form is not None:
        format_named(request.edits.form)
    covers = request.edits.covers or request.review
    if request.options.detect.detector == NOTHING and not covers:
        name = request.options.detect.options()["detector"].name
        raise SettingsError(
            f"{name}: {NOTHING} finds no face, so that nothing would be covered",
            hint="add --cover, --detections or --review", field=name,
        )  # fmt: skip
    redact, image = with_image(request.options.redact)
    request = replace(request, options=replace(request.options, redact=redact))
    probe = probe_source(request.source, request.limits)
    with _named(request.source):
        check_dropped(probe.video.index, probe.others, request.options.compose)
        if request.options.compose.pictures:
            encoder, _ = encoder_settings(probe.video, request.options.redact, encoders)
            if request.options.redact.debug:
                raise SettingsError("--debug makes a video, no pictures", hint="leave one of them out")
            output = _absolute(request.output or request.source.with_suffix(".frames"))
            container, notes = PICTURES_CONTAINER, probe.notes
        else:
            encoder, output, container, why = choose(request, probe, encoders)
            if request.options.compose.audio == "aac":
                refuse_unencodable(request.source, probe.others, container, request.options.compose)
            notes = (*probe.notes, *why, *((_SHOWS,) if request.options.redact.debug else ()))
    prepared = Prepared(request, probe, encoder, output, container, notes, image)
    prepared.check_place()
    return prepared


_Made = tuple[EncoderSettings, Path, str, tuple[str, ...]]


def choose(request: Request, probe: Probe, encoders: AbstractSet[str]) -> _Made:
    """The encoder of a video, its output's path and container, and notes on these choices. Makes nothing.

    Raises as :func:`prepare`; the hints on what to ask in place of what cannot be held were tried.
    """

    def attempt(options: JobOptions, suffix: str | None = None) -> _Made:
        named = request.source.with_name(f"video{DEBUG_MARK}{suffix}")
        asked = request if suffix is None else replace(request, output=named, folder=False)
        return _made(replace(asked, options=options), probe, encoders)

    return advised(attempt, request.options, probe)


def _made(request: Request, probe: Probe, encoders: AbstractSet[str]) -> _Made:
    encoder, chosen = encoder_settings(probe.video, request.options.redact, encoders)
    output, container, why = _video_place(request, probe, output_video(probe.video, encoder))
    return encoder, output, container, (*chosen, *why)


def _video_place(request: Request, seen: Probe, video: VideoStream) -> tuple[Path, str, tuple[str, ...]]:
    """The output's path and container, and a note if the container is not the source's."""
    source, output, debug = request.source, request.output, request.options.redact.debug
    needs = Needs.of(video, seen.others, request.options.compose, seen.container)
    notes: tuple[str, ...] = ()
    if output is None or request.folder or _is_folder(output):
        container, suffix, why = default_container(seen.container, needs, source.suffix)
        output = (output or source.parent) / f"{source.stem}{DEBUG_MARK if debug else OUTPUT_MARK}{suffix}"
        notes = (why,) if why else ()
    elif debug and not output.stem.endswith(DEBUG_MARK):
        right = output.with_name(f"{output.stem}{DEBUG_MARK}{output.suffix}")
        raise OutputError(f"{output}: the name says nothing of the faces that --debug shows", hint=f"write -o {right}")
    else:
        container = container_for(output.suffix, seen.container, needs, source.suffix)
    refuse_loss(container, needs)
    if is_edited(request.options.compose):
        refuse_uneditable(wanted(seen.others, request.options.compose), container)
    return _absolute(output), container, notes


def _absolute(path: Path) -> Path:
    if os.fsencode(path).decode("utf-8", "replace") != os.fsdecode(path):  # the database takes text only
        raise OutputError(f"{path}: the output's name is not in UTF-8", hint="choose another name with -o")
    return Path(os.path.abspath(path))  # noqa: PTH100 - removes dots, and keeps the user's own links


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # check_place says why
        return False


def _check_own(request: Request, output: Path) -> None:
    """The farm deletes what it does not know in its own folders."""
    for folder in request.own:
        if (output.parent.resolve() / output.name).is_relative_to(folder.resolve()):
            raise OutputError(f"{output} is inside the farm's own folder {folder}", hint="choose another with -o")


def _check_new(folder: Path) -> None:
    """Pictures go to a folder that does not exist yet, or is empty. It is replaced, which no link or mount can be."""
    if folder.is_symlink() or folder.is_mount():
        what = "symbolic link" if folder.is_symlink() else "mount point"
        raise OutputError(f"{folder} is a {what}", hint="name a new folder with --frames")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "empty" if folder.is_dir() else "a folder"
        raise OutputError(f"{folder} exists and is not {what}", hint="name a new folder with --frames")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder", hint="create it first, or choose another")
    try:  # asking the file system is not enough: root may write everywhere, a full or read-only disk refuses
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise OutputError(f"cannot write into {folder}: {e.strerror}", hint="choose another folder with -o") from e


def _check_free(request: Request, output: Path) -> None:
    if not os.path.lexists(output):
        return
    if output.is_symlink() and not output.exists():
        hint = "remove the link, or choose another name with -o"
        raise OutputError(f"{output} is a symbolic link that leads to no file", hint=hint)
    if output.is_dir() or output.samefile(request.source):
        raise OutputError(f"{output} is the source or a folder", hint="choose another name with -o")
    if not output.is_file():
        raise OutputError(f"{output} is not a regular file", hint="choose another name with -o")
    if not request.overwrite:
        raise OutputError(f"{output} exists", hint="use --overwrite, or another name with -o")


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Errors that do not name the source get its name: of several videos, which one?"""
    try:
        yield
    except (OutputError, SettingsError, SourceError) as e:
        if str(source) in e.message:
            raise
        raise type(e)(f"{source}: {e.message}", hint=e.hint, field=e.field) from None
