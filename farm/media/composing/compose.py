"""Builds the output from the segments' video and the source's other streams."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import OutputError, SourceError, VerificationError
from farm.media.composing.arguments import ComposeInputs, CoverArt, Ending, Tags, compose_arguments, written_tags
from farm.media.composing.edit_lists import hidden_by_edits, write_hidden
from farm.media.composing.remux import ChunkPts, join_segments
from farm.media.composing.sound import encoded_streams, sound_notes, write_sound
from farm.media.composing.streams import USUAL, Rest, rest_of
from farm.media.composing.trim import Trim, ffmetadata
from farm.media.failing import reading, writing
from farm.media.ffmpeg import TOO_SMALL, run_ffmpeg
from farm.media.progress import Progress, no_progress, part
from farm.media.reading.opening import open_source
from farm.processes import scratch_prefix

_WORTH_IT = 64 * 2**20  # bytes of video from which on space for an MP4's index is reserved, instead of moving all
_A_FRAME, _A_PACKET, _A_CHAPTER, _FILE = 48, 32, 512, 65_536  # bytes at most of an MP4's index
_COVER_FILES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


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
) -> tuple[str, ...]:
    """Write ``out`` (a temporary path, never the final name) from the source and its segments, one per chunk in order.

    The video is joined into a temporary file beside ``out``; the program ``ffmpeg`` then copies it and the source's
    other streams, once. If the sound is edited (``sound``: its spans; or its voices are disguised), its samples are
    written to such files, too, and ffmpeg encodes them. ``container``: from
    :func:`farm.media.composing.containers.container_for`. Returns the notes of :func:`left_out`. ``progress`` is called
    with counts from 0 to the video's frames, at least every second or two.

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
        join_segments(manifest, chunk_pts, segments, joined, part(progress, frames, 0, parts))
        inputs = _inputs(source, manifest, settings.codec, joined, container, rest, folder)
        inputs = replace(inputs, ending=_ending(joined, manifest, chunk_pts(manifest.chunks[-1])[-1]))
        if codecs:
            listening = part(progress, frames, 1, parts)
            made = write_sound(source, manifest, codecs, container, options, sound, out, stack, ffmpeg, listening)
            inputs = replace(inputs, sound=made)
        if container in ("mp4", "mov"):
            inputs = replace(inputs, hidden=hidden_by_edits(rest.heard, codecs, inputs.trim.shift))
        _copy(ffmpeg, inputs, container, out, frames, part(progress, frames, parts - 1, parts))
        if inputs.hidden:
            write_hidden(out, {inputs.place(index): hidden for index, hidden in inputs.hidden.items()})
    return notes


def _copy(ffmpeg: Path, inputs: ComposeInputs, container: str, out: Path, frames: int, progress: Progress) -> None:
    with reading(inputs.path, SourceError, "cannot be read"):
        expected = inputs.video.stat().st_size + inputs.path.stat().st_size
    if container in ("mp4", "mov") and not inputs.reserved:
        expected *= 2  # it may move everything once more at the end
    try:
        run_ffmpeg(ffmpeg, compose_arguments(inputs, container, out), out, expected, frames, progress)
    except OutputError as error:
        if not inputs.reserved or TOO_SMALL not in error.message:
            raise
        _copy(ffmpeg, replace(inputs, reserved=0), container, out, frames, progress)


def _ending(joined: Path, manifest: Manifest, pts: int) -> Ending | None:
    """The end of the joined video, whose last frame is at ``pts``, in that file's ticks; None if it is not exact."""
    with open_source(joined) as opened:
        stream = opened.streams.video[0]
        if stream.time_base is None:
            return None
        scale = manifest.source.video.time_base / stream.time_base
        shown, end = (pts - manifest.shift) * scale, (manifest.chunks[-1].pts_end - manifest.shift) * scale
        opened.seek(int(shown), stream=stream, backward=True)
        decoded = [packet.pts for packet in opened.demux(stream) if packet.pts is not None]
    if shown.denominator != 1 or end.denominator != 1 or not decoded:
        return None
    return Ending(int(shown), decoded[-1], int(end))


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
) -> ComposeInputs:
    with open_source(source) as opened, reading(source, SourceError, "cannot be read"):
        attached = [o for o in rest.plan.kept if container == "matroska" and o.kind == "cover"]
        return ComposeInputs(
            video=joined,
            path=source,
            source=manifest.source,
            kept=tuple(o for o in rest.plan.kept if o not in attached),
            covers=tuple(_covers(opened, attached, rest.tags, folder)),
            dispositions={
                s.index: "+".join(flag.name or "" for flag in Disposition if flag in s.disposition)
                for s in opened.streams
            },
            rates=tuple(s.time_base.denominator for s in opened.streams.audio if s.time_base),
            chapters=_chapters(rest, folder),
            codec=codec,
            trim=Trim.of(manifest),
            ticks={s.index: s.time_base or Fraction(1) for s in opened.streams},
            tags=rest.tags,
            written=_written(rest, folder),
            reserved=_reserved(rest, opened, manifest.frames, joined) if container in ("mp4", "mov") else 0,
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


def _covers(
    container: InputContainer, covers: Sequence[OtherStream], tags: Mapping[int | None, Tags], folder: Path
) -> Iterator[CoverArt]:
    """Write cover art to files, which ffmpeg attaches."""
    for number, other in enumerate(covers, start=1):
        stream = container.streams[other.index]
        container.seek(0)
        for packet in container.demux(stream):
            suffix, mimetype = _COVER_FILES.get(other.codec, (other.codec, f"image/{other.codec}"))
            about = {key.lower(): value for key, value in tags[other.index].kept.items()}
            path = folder / f"cover{number}.{suffix}"
            path.write_bytes(bytes(packet))
            yield CoverArt(path, about.get("filename") or f"cover.{suffix}", about.get("mimetype") or mimetype)
            break


def _reserved(rest: Rest, opened: InputContainer, frames: int, joined: Path) -> int:
    """The maximum size of an MP4's index in bytes; 0 if it is not known, or not small compared with the video."""
    size = joined.stat().st_size
    packets = [opened.streams[o.index].frames for o in rest.plan.kept]
    if size < _WORTH_IT or not all(packets) or any(o.kind == "cover" for o in rest.plan.kept):
        return 0
    tags = sum(len(key) + 4 * len(value) for tags in rest.tags.values() for key, value in tags.kept.items())
    needed = _FILE + 8 * tags + _A_FRAME * frames + _A_PACKET * sum(packets) + _A_CHAPTER * len(rest.chapters)
    return needed if needed < max(size // 50, _FILE * 2) else 0
