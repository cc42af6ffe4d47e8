"""Builds the output from the segments' video and the source's other streams."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from av.container import InputContainer
from av.stream import Disposition

from farm.domain.containers import BOXED
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import COVER, Manifest
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import OutputError, SourceError, VerificationError
from farm.media.composing.arguments import ComposeInputs, compose_arguments, written_tags
from farm.media.composing.decode_times import STATED, ChunkPts, Ending
from farm.media.composing.edit_lists import hidden_by_edits, write_hidden
from farm.media.composing.redacted import RedactedStream, attached_covers, check_complete, redacted_videos
from farm.media.composing.remux import join_segments
from farm.media.composing.sound import encoded_streams, sound_notes, write_sound
from farm.media.composing.streams import USUAL, Rest, rest_of
from farm.media.composing.times import delay_of
from farm.media.composing.trim import Trim, ffmetadata
from farm.media.encoding.choice import encoded_video
from farm.media.failing import reading, writing
from farm.media.ffmpeg import TOO_SMALL, run_ffmpeg
from farm.media.progress import Progress, no_progress, part
from farm.media.reading.opening import open_source
from farm.processes import scratch_prefix

_WORTH_IT = 64 * 2**20  # bytes of video from which on space for an MP4's index is reserved, instead of moving all
_A_FRAME, _A_PACKET, _A_CHAPTER, _FILE = 48, 32, 512, 65_536  # bytes at most of an MP4's index
#: A cover that is redacted is the video of its companion's file.
_OF_COVERS = (Disposition.attached_pic,)
_NONE: Mapping[int, RedactedStream] = MappingProxyType({})


def compose(
    source: Path,
    manifest: Manifest,
    chunk_pts: ChunkPts,
    segments: Sequence[Path],
    settings: EncoderSettings,
    out: Path,
    container: str,
    *,
    ffmpeg: Path,
    progress: Progress = no_progress,
    options: ComposeOptions = USUAL,
    sound: Sequence[SoundSpan] = (),
    redacted: Mapping[int, RedactedStream] = _NONE,
) -> tuple[str, ...]:
    """Write ``out`` (a temporary path, never the final name) from the source and its segments, one per chunk in order.

    The video is joined into a temporary file beside ``out``; the program ``ffmpeg`` then copies it and the source's
    other streams, once. If the sound is edited (``sound``: its spans; or its voices are disguised), its samples are
    written to such files, too, and ffmpeg encodes them. ``redacted``: further videos and covers, by the stream's index
    in the source. ``container``: from :func:`farm.media.composing.containers.container_for`. Returns the notes of
    :func:`left_out`. ``progress`` is called with counts from 0 to the video's frames, at least every second or two.

    Raises VerificationError for segments that do not fit, OutputError with ffmpeg's last line, StorageError if the
    disk is full or ffmpeg was killed, and whatever ``progress`` raises; then ffmpeg is stopped and all files are
    removed.
    The caller verifies the output (:func:`farm.media.verifying.verify.verify_output`) before anyone sees it.
    """
    if settings.time_base != manifest.source.video.time_base:
        raise VerificationError("the segments' time base is not the source's")
    frames = manifest.frames
    with _workspace(out) as (joined, folder), ExitStack() as stack:
        rest, codecs, notes = _decided(source, manifest, container, options, sound)
        parts = 3 if codecs else 2
        joining = part(progress, frames, 0, parts)
        delay = delay_of(container, settings.codec)
        ending = join_segments(
            manifest, chunk_pts, segments, joined, joining, lasts=container in STATED, delay=delay
        )  # fmt: skip
        inputs = _inputs(source, manifest, settings.codec, joined, container, rest, folder, redacted)
        inputs = replace(inputs, ending=_in_ticks_of(joined, ending, settings.time_base))
        if codecs:
            listening = part(progress, frames, 1, parts)
            made = write_sound(source, manifest, codecs, container, options, sound, out, stack, ffmpeg, listening)
            inputs = replace(inputs, sound=made)
        if container in BOXED:
            inputs = replace(inputs, hidden=hidden_by_edits(rest.heard, codecs, inputs.trim.shift))
        _copy(ffmpeg, inputs, container, out, frames, part(progress, frames, parts - 1, parts))
        if inputs.hidden:
            write_hidden(out, {inputs.place(index): hidden for index, hidden in inputs.hidden.items()})
    return notes


def _copy(ffmpeg: Path, inputs: ComposeInputs, container: str, out: Path, frames: int, progress: Progress) -> None:
    with reading(inputs.path, SourceError, "cannot be read"):
        files = (inputs.video, inputs.path, *(each.path for each in inputs.redacted.values()))
        expected = sum(file.stat().st_size for file in files)
    if container in BOXED and not inputs.reserved:
        expected *= 2  # it may move everything once more at the end
    try:
        run_ffmpeg(ffmpeg, compose_arguments(inputs, container, out), out, expected, frames, progress)
    except OutputError as error:
        if not inputs.reserved or TOO_SMALL not in error.message:
            raise
        _copy(ffmpeg, replace(inputs, reserved=0), container, out, frames, progress)


def _in_ticks_of(joined: Path, ending: Ending, tick: Fraction) -> Ending | None:
    """``ending``, in ticks of ``tick`` seconds, in those of the joined file; None if it is not exact."""
    with open_source(joined) as opened:
        own = opened.streams.video[0].time_base
    return ending.scaled(tick / own) if own else None


def _decided(
    source: Path, manifest: Manifest, container: str, options: ComposeOptions, sound: Sequence[SoundSpan]
) -> tuple[Rest, dict[int, str], tuple[str, ...]]:
    """What an output takes apart from the video, the codecs of sound that is not copied, and notes."""
    with open_source(source) as opened, reading(source, SourceError, "cannot be read"):
        rest = rest_of(opened, source, manifest, container, options)
        codecs = encoded_streams(rest.plan, options, sound)
        return rest, codecs, (*rest.notes, *sound_notes(opened, rest.plan, codecs, container))


def left_out(
    source: Path,
    manifest: Manifest,
    container: str,
    options: ComposeOptions = USUAL,
    sound: Sequence[SoundSpan] = (),
) -> tuple[str, ...]:
    """Notes on what an output in ``container`` lacks, copies unredacted or holds in another codec.

    Raises SourceError.
    """
    return _decided(source, manifest, container, options, sound)[2]


@contextmanager
def _workspace(out: Path) -> Iterator[tuple[Path, Path]]:
    """The path of the joined video, beside the output, and a directory for cover art; both are removed at the end."""
    joined = out.with_name(f".{out.name}.video")
    with writing(out):
        folder = tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getpid()))
    try:
        with folder as name:
            yield joined, Path(name)
    finally:
        joined.unlink(missing_ok=True)


def _inputs(
    source: Path,
    manifest: Manifest,
    codec: str,
    joined: Path,
    container: str,
    rest: Rest,
    folder: Path,
    redacted: Mapping[int, RedactedStream],
) -> ComposeInputs:
    with open_source(source) as opened, reading(source, SourceError, "cannot be read"):
        check_complete(rest.plan.kept, redacted)
        attached = [o for o in rest.plan.kept if container == "matroska" and o.kind == COVER]
        return ComposeInputs(
            video=joined,
            path=source,
            source=replace(manifest.source, video=encoded_video(manifest.source.video, manifest.encoder)),
            kept=tuple(o for o in rest.plan.kept if o not in attached),
            covers=tuple(attached_covers(attached, redacted, rest.tags, folder)),
            dispositions={
                s.index: "+".join(
                    flag.name or "" for flag in Disposition if flag in s.disposition and flag not in hidden
                )
                for s in opened.streams
                for hidden in [_OF_COVERS if s.index == manifest.source.video.index else ()]
            },
            rates=tuple(s.time_base.denominator for s in opened.streams.audio if s.time_base),
            chapters=_chapters(rest, folder),
            codec=codec,
            trim=Trim.of(manifest),
            ticks={s.index: s.time_base or Fraction(1) for s in opened.streams},
            tags=rest.tags,
            written=_written(rest, folder),
            redacted=redacted_videos([o for o in rest.plan.kept if o not in attached], redacted),
            reserved=_reserved(rest, opened, manifest.frames, joined) if container in BOXED else 0,
        )


def _chapters(rest: Rest, folder: Path) -> bool | Path:
    if not rest.chapters or not rest.changed:
        return bool(rest.chapters)
    path = folder / "chapters.txt"
    path.write_text(ffmetadata(rest.chapters), encoding="utf-8", newline="")
    return path


def _written(rest: Rest, folder: Path) -> Path | None:
    """The file for the metadata from which ffmpeg's command line cannot remove keys."""
    tags = written_tags(rest.tags)
    if not tags:
        return None
    path = folder / "metadata.txt"
    path.write_text(ffmetadata(streams=tags.values()), encoding="utf-8", newline="")
    return path


def _reserved(rest: Rest, opened: InputContainer, frames: int, joined: Path) -> int:
    """The maximum size of an MP4's index in bytes; 0 if it is not known, or not small compared with the video."""
    size = joined.stat().st_size
    packets = [opened.streams[o.index].frames for o in rest.plan.kept]
    if size < _WORTH_IT or not all(packets) or any(o.redacted for o in rest.plan.kept):
        return 0
    tags = sum(len(key) + 4 * len(value) for tags in rest.tags.values() for key, value in tags.kept.items())
    needed = _FILE + 8 * tags + _A_FRAME * frames + _A_PACKET * sum(packets) + _A_CHAPTER * len(rest.chapters)
    return needed if needed < max(size // 50, _FILE * 2) else 0
