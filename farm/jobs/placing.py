"""What a request becomes: its source probed once, the encoder, and the output's place, before anything is begun."""

from array import array
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.domain.artefacts import DEBUG_MARK, OUTPUT_MARK
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detectors import NOTHING
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VIDEO, Manifest, VideoStream
from farm.domain.options import JobOptions, SourceOptions
from farm.domain.regions import Asked
from farm.errors import OutputError, SettingsError, SourceError
from farm.exchange.formats import format_named
from farm.jobs.advising import advised
from farm.jobs.images import KeptImage, with_image
from farm.jobs.outputs import absolute, check_folder, check_free, check_new, check_own, is_folder
from farm.jobs.repairing import Repairs, said_of
from farm.jobs.videos import Companion, with_companions
from farm.media.composing.containers import (
    NoContainer,
    container_for,
    default_container,
    keeps_order,
    refuse_loss,
    refuse_times,
)
from farm.media.composing.needs import Needs
from farm.media.composing.sound import is_edited, refuse_uneditable, refuse_unencodable
from farm.media.composing.streams import check_dropped, wanted
from farm.media.composing.times import SPARSE, sound_fault, times_fault
from farm.media.encoding.choice import at_rate, encoder_settings, flattened, in_order, other_families, output_video
from farm.media.encoding.copying import copying
from farm.media.reading.index import index_source, plan_manifest, wanted_times
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe
from farm.media.reading.resizing import probe_as_asked
from farm.processes import for_the_user

_LIMITS = Limits()
_Placed = tuple[EncoderSettings, Path, str, tuple[str, ...]]
_SHOWS = "WARNING: faces are not redacted (--debug): boxes are drawn, nothing is covered; keep it as the source"
_NO_EDITS = Asked()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks: one video, where its redacted copy goes, and how.

    ``folder``: ``output`` is a folder, which is made where it is missing. ``own``: folders of the farm, which take no
    outputs. ``review``: a person has to approve the masks before anything is redacted. ``audit``: the output is
    audited before it is published; ``strict``: and not published while it shows a face. ``edits``: of its masks.
    ``references``: the faces on the photos that ``options.people`` names. ``repairs``: where repaired copies go.
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
    repairs: Repairs | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with all that the source's header and first frames decide.

    ``container``: FFmpeg's name of the output's, :data:`PICTURES_CONTAINER` for a folder of pictures. ``notes`` for
    the person, on the source, the encoder and the container. ``image``: the picture for the style ``image``, whose key
    the request's options name. ``companions``: further videos and cover art, which jobs of their own redact.
    """

    request: Request
    probe: Probe
    encoder: EncoderSettings
    output: Path
    container: str
    notes: tuple[str, ...]
    image: KeptImage | None = None
    companions: tuple[Companion, ...] = ()

    def of(self, companion: Companion) -> "Prepared":
        """What the job of a companion does: it covers no fixed regions, and nobody reviews a single picture."""
        edits, review = Asked(author=self.request.edits.author), self.request.review and companion.kind == VIDEO
        request = replace(self.request, options=companion.options, edits=edits, review=review)
        return replace(
            self, request=request, probe=companion.probe, encoder=companion.encoder, container=companion.container,
            notes=companion.notes, companions=(),
        )  # fmt: skip

    def without(self, companion: Companion, note: str) -> "Prepared":
        """The same, with a companion's stream left out, and a note on that."""
        index = companion.probe.video.index
        others = tuple(other for other in self.probe.others if other.index != index)
        companions = tuple(each for each in self.companions if each is not companion)
        probe = replace(self.probe, others=others)
        return replace(self, probe=probe, companions=companions, notes=(*self.notes, note))

    def check_place(self) -> None:
        """Raises OutputError unless the output can be written where it goes. Makes its folder where that is asked."""
        try:
            check_own(self.request.own, self.output)
            if self.container == PICTURES_CONTAINER:
                check_new(self.output)
            if self.request.folder:
                with for_the_user():
                    self.output.parent.mkdir(parents=True, exist_ok=True)
            check_folder(self.output.parent)
            with suppress(FileNotFoundError):
                self.output.lstat()  # raises for a name that is too long
            if self.container != PICTURES_CONTAINER:
                check_free(self.request.source, self.output, overwrite=self.request.overwrite)
        except OSError as e:  # a name that is too long, a folder without permission, a file where a folder should be
            raise OutputError(f"cannot write to {self.output}: {e.strerror}", hint="choose another name with -o") from e

    def plan(self, workers: int) -> tuple[Manifest, Sequence["array[int]"]]:
        """Demux the source: the manifest and each chunk's pts. ``workers``: what the number of chunks is fitted to.

        Raises SourceError, also if the file changed since it was probed; OutputError if the output's container cannot
        hold the times of its frames.
        """
        request = self.request
        repaired, source = request.options.source.copy is not None, request.source.resolve()
        probe = self.probe if repaired else replace(self.probe, path=source)
        with said_of(source, probe.path):
            indexed = index_source(probe, request.options.source, request.limits)
        if repaired:
            indexed = replace(indexed, source=replace(indexed.source, original=str(source)))
        encoder = at_rate(self.encoder, indexed.source.video.average_rate)
        if self.container != PICTURES_CONTAINER:
            wanted, needs = indexed.wanted, _needs_of(request, probe, output_video(probe.video, encoder))
            with _named(request.source):
                refuse_times(self.container, needs, wanted.shown, wanted.end - wanted.shift)
        encoder = copying(probe.path, indexed.source.video, encoder, request.options, self.container)
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
    probe, asked = _probed(request)
    request = replace(request, options=replace(request.options, source=asked))
    with _named(request.source):
        check_dropped(probe.video.index, probe.others, request.options.compose)
        probe, companions = with_companions(
            probe, request.options, encoders, request.limits, edited=request.edits != Asked(author=request.edits.author)
        )
        if request.options.compose.pictures:
            encoder, _ = encoder_settings(probe.video, request.options.redact, encoders)
            if request.options.redact.debug:
                raise SettingsError("--debug makes a video, no pictures", hint="leave one of them out")
            output = absolute(request.output or request.source.with_suffix(".frames"))
            encoder, _ = encoder_settings(probe.video, request.options.redact, encoders)
            container, notes = PICTURES_CONTAINER, probe.notes
        else:
            beside = tuple(each.needs for each in companions if each.kind == VIDEO)
            encoder, output, container, why = choose(request, probe, encoders, beside)
            if request.options.compose.audio == "aac":
                refuse_unencodable(request.source, probe.others, container, request.options.compose)
            notes = (*probe.notes, *why, *((_SHOWS,) if request.options.redact.debug else ()))
    prepared = Prepared(request, probe, encoder, output, container, notes, image, companions)
    prepared.check_place()
    return prepared


def _probed(request: Request) -> tuple[Probe, SourceOptions]:
    """The probe of what is redacted, the source or its repaired copy, and the options with the copy's key."""
    source, asked, limits = request.source, request.options.source, request.limits
    if not asked.repair:
        return probe_as_asked(source, asked, limits), asked
    if request.repairs is None:
        raise SettingsError("source.repair: there is no store for the copy", field="source.repair")
    return request.repairs.probe(source, asked, limits)


def choose(request: Request, probe: Probe, encoders: AbstractSet[str], beside: tuple[Needs, ...] = ()) -> _Placed:
    """The encoder of a video, its output's path and container, and notes on these choices. Makes nothing.

    ``beside``: what the container must hold because of further videos. Raises as :func:`prepare`; the hints on what to
    ask in place of what cannot be held were tried.
    """

    def attempt(options: JobOptions, suffix: str | None = None) -> _Placed:
        named = request.source.with_name(f"video{DEBUG_MARK}{suffix}")
        asked = request if suffix is None else replace(request, output=named, folder=False)
        return _encoder_and_place(replace(asked, options=options), probe, encoders, beside)

    return advised(attempt, request.options, probe)


def _encoder_and_place(request: Request, seen: Probe, encoders: AbstractSet[str], beside: tuple[Needs, ...]) -> _Placed:
    """As :func:`choose`, without advice. Without a container, another family is tried."""
    redact = request.options.redact
    named = redact.codec is not None or redact.encoder is not None
    refusal: OutputError | None = None
    for family in (None, *(() if named else other_families(seen.video))):
        try:
            asked = redact if family is None else replace(redact, codec=family)
            encoder, chosen = encoder_settings(seen.video, asked, encoders)
            output, container, why = _video_place(request, seen, output_video(seen.video, encoder), beside)
        except NoContainer as error:
            refusal = refusal or error
            continue
        except OutputError as error:
            return _flattened(request, seen, encoders, error, beside)
        except (SettingsError, SourceError):  # the other family does not hold the video
            if refusal is None:
                raise
            continue
        other = (f"{refusal.message}: the output is {encoder.codec}",) if refusal else ()
        return encoder if keeps_order(container) else in_order(encoder), output, container, (*chosen, *other, *why)
    assert refusal is not None
    raise refusal


def _flattened(
    request: Request, seen: Probe, encoders: AbstractSet[str], refusal: OutputError, beside: tuple[Needs, ...]
) -> _Placed:
    """As :func:`_encoder_and_place`, for a GIF whose output was named as one that cannot hold its pixels."""
    for video in flattened(seen.video) if request.output is not None and request.options.redact.codec is None else ():
        with suppress(OutputError, SettingsError, SourceError):
            encoder, _ = encoder_settings(video, request.options.redact, encoders)
            output, container, why = _video_place(request, seen, output_video(video, encoder), beside)
            note = f"{seen.video.codec} becomes {encoder.codec} in {encoder.pix_fmt}, without transparency, as -o asks"
            return encoder if keeps_order(container) else in_order(encoder), output, container, (note, *why)
    raise refusal


def _video_place(
    request: Request, seen: Probe, video: VideoStream, beside: tuple[Needs, ...]
) -> tuple[Path, str, tuple[str, ...]]:
    """The output's path and container, and a note if the container is not the source's."""
    source, output, debug = request.source, request.output, request.options.redact.debug
    needs = replace(_needs_of(request, seen, video), beside=beside)
    notes: tuple[str, ...] = ()
    if output is None or request.folder or is_folder(output):
        container, suffix, why = default_container(seen.container, needs, source.suffix)
        if container in SPARSE:
            times = wanted_times(seen, request.options.source, request.limits)
            fault = times_fault(container, needs.codec, needs.time_base, times.shown, times.end - times.shift)
            if fault := fault or sound_fault(container, source, needs.others):
                container, suffix, why = default_container(seen.container, needs, source.suffix, fault)
        output = (output or source.parent) / f"{source.stem}{DEBUG_MARK if debug else OUTPUT_MARK}{suffix}"
        notes = (why,) if why else ()
    elif debug and not output.stem.endswith(DEBUG_MARK):
        right = output.with_name(f"{output.stem}{DEBUG_MARK}{output.suffix}")
        raise OutputError(f"{output}: the name says nothing of the faces that --debug shows", hint=f"write -o {right}")
    else:
        container = container_for(output.suffix, seen.container, needs, source.suffix)
        if fault := sound_fault(container, source, needs.others):
            raise OutputError(f"an output named *{output.suffix} {fault}", hint="use -o NAME.mkv")
    refuse_loss(container, needs)
    if is_edited(request.options.compose):
        refuse_uneditable(wanted(seen.others, request.options.compose), container)
    return absolute(output), container, notes


def _needs_of(request: Request, seen: Probe, video: VideoStream) -> Needs:
    whole = request.options.source.start is None
    return Needs.of(video, seen.others, request.options.compose, seen.container, whole=whole)


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Errors that do not name the source get its name: of several videos, which one?"""
    try:
        yield
    except (OutputError, SettingsError, SourceError) as e:
        if str(source) in e.message:
            raise
        raise type(e)(f"{source}: {e.message}", hint=e.hint, field=e.field) from None
