"""The further videos and the cover art of a source: companion jobs redact them, each planned like a job of its own."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from farm.domain.detectors import NOTHING
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VIDEO, OtherStream
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions, SourceOptions
from farm.domain.orientation import UPRIGHT
from farm.errors import FarmError, SettingsError, SourceError
from farm.media.composing.containers import default_container
from farm.media.composing.needs import Needs
from farm.media.encoding.choice import encoder_settings, output_size, output_video
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe
from farm.media.reading.resizing import probe_as_asked

#: Codecs of redacted cover art: JPEG for YUV, PNG for RGB.
_PICTURE_CODECS = ("mjpeg", "png")
_NONE_ASKED = ComposeOptions()
_QUALITY = RedactOptions().crf


@dataclass(frozen=True, slots=True)
class Companion:
    """A further video or a cover of a source, as a job redacts it: ``kind`` is that of :class:`OtherStream`.

    ``notes``: for the person, on its pictures and its encoder.
    """

    kind: str
    probe: Probe
    encoder: EncoderSettings
    options: JobOptions
    container: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"stream {self.probe.video.index} ({self.kind})"

    @property
    def needs(self) -> Needs:
        """What the output's container must hold because of it."""
        return Needs.of(output_video(self.probe.video, self.encoder))


def with_companions(
    probe: Probe, options: JobOptions, encoders: AbstractSet[str], limits: Limits, *, edited: bool
) -> tuple[Probe, tuple[Companion, ...]]:
    """Plan the companions of a probed source; a cover that cannot be redacted is left out, and a note says so.

    ``encoders``: that workers have; ``edited``: masks are given, which are those of one video. Raises SourceError,
    SettingsError for several videos that cannot be redacted together as the options ask.
    """
    kept: list[OtherStream] = []
    notes = list(probe.notes)
    companions: list[Companion] = []
    for other in probe.others:
        if not other.redacted or other.index in options.compose.dropped:
            kept.append(other)
        elif other.kind == VIDEO and options.source.video is not None:
            notes.append(f"stream {other.index} (video, {other.codec}) was left out, as asked")
        elif other.kind == VIDEO:
            _check_together(probe, other, options, edited=edited)
            companions.append(_video(probe, other, options, encoders, limits))
            kept.append(other)
        elif options.compose.pictures is None:
            try:
                companions.append(_cover(probe, other, options, encoders, limits))
                kept.append(other)
            except (SourceError, SettingsError) as e:
                notes.append(left_out(other.index, probe.path, e))
    return replace(probe, others=tuple(kept), notes=tuple(notes)), tuple(companions)


def left_out(index: int, path: Path, why: FarmError) -> str:
    """The note on a cover that cannot be redacted."""
    said = why.message.removeprefix(f"{path}: ")
    return f"stream {index} (cover) was left out, as it cannot be redacted: {said}"


def error_of(index: int, path: Path, why: SourceError) -> SourceError:
    """The error of a further video, with what to do."""
    said = f"{path}: stream {index} (video): {why.message.removeprefix(f'{path}: ')}"
    return SourceError(said, hint=f"leave it out with --drop-streams {index}", field=why.field)


def _check_together(probe: Probe, other: OtherStream, options: JobOptions, *, edited: bool) -> None:
    """Raise SettingsError for what can be asked of one video only."""
    if options.source.copy is not None:
        raise SourceError(
            f"{probe.path}: holds several videos, which cannot be repaired together", field="source.repair"
        )
    asked = [] if options.source.whole else ["a part or a sample of it (--start, --end, --fps, --every)"]
    asked += ["pictures (--frames)"] if options.compose.pictures else []
    asked += ["masks (--cover, --ignore, --only-in, --detections)"] if edited else []
    if asked:
        ours = probe.video.index
        raise SettingsError(
            f"{probe.path}: holds several videos (streams {ours} and {other.index}), and {asked[0]} can be asked of "
            "one only",
            hint=f"choose one with --video {ours} or --video {other.index}",
            field="source.video",
        )


def _video(
    probe: Probe, other: OtherStream, options: JobOptions, encoders: AbstractSet[str], limits: Limits
) -> Companion:
    try:
        source = replace(options.source, video=other.index)
        seen = replace(probe_as_asked(probe.path, source, limits), others=())
        redact = options.redact
        if redact.scale is not None and _is_smaller(seen, redact.scale):
            redact = replace(redact, scale=None)
        encoder, notes = encoder_settings(seen.video, redact, encoders)
        asked = replace(options, source=source, redact=redact, link=replace(options.link, require_faces=False))
        return _companion(other, seen, encoder, asked, notes)
    except SourceError as e:
        raise error_of(other.index, probe.path, e) from e


def _is_smaller(seen: Probe, scale: int) -> bool:
    try:
        output_size(seen.video, scale)
    except SettingsError:
        return True
    return False


def _cover(
    probe: Probe, other: OtherStream, options: JobOptions, encoders: AbstractSet[str], limits: Limits
) -> Companion:
    if options.detect.detector == NOTHING:
        raise SourceError("no faces are looked for")
    source = SourceOptions(video=other.index, repair=options.source.repair, copy=options.source.copy)
    seen = replace(probe_as_asked(probe.path, source, limits), others=())
    if seen.video.orientation != UPRIGHT:
        raise SourceError("its EXIF data turns it, which the redacted picture would not say")
    encoder, notes = encoder_settings(seen.video, RedactOptions(), encoders, _PICTURE_CODECS)
    redact = replace(options.redact, scale=None, crf=_QUALITY, codec=None, encoder=None, overlay=None)
    asked = replace(options, source=source, link=replace(options.link, require_faces=False), redact=redact)
    return _companion(other, seen, encoder, asked, notes)


def _companion(
    other: OtherStream, seen: Probe, encoder: EncoderSettings, options: JobOptions, notes: tuple[str, ...] = ()
) -> Companion:
    video = output_video(seen.video, encoder)
    container, _, _ = default_container("mov", Needs.of(video), ".mov")
    options = replace(options, compose=replace(_NONE_ASKED, metadata=options.compose.metadata))
    return Companion(other.kind, seen, encoder, options, container, (*seen.notes, *notes))
