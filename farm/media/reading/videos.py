"""Chooses the video streams of a file: the one that is redacted, and those that companion jobs redact."""

from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import COVER, THUMBNAILS
from farm.errors import SourceError

#: Codecs of single pictures: beside another video, a stream of them is a cover or a preview without the disposition.
_STILLS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff"})
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Videos:
    """``stream``: the video to redact. ``empty``: indices of video streams in which nothing was found.

    None is, where the user chose the video: the others are left out in any case.
    """

    stream: AvVideoStream
    empty: frozenset[int]


def videos_of(
    container: InputContainer, path: Path, wanted: int | None = None, ignored: frozenset[int] = _NONE
) -> Videos:
    """Choose the video streams of an opened file. ``wanted``: the index of the one to redact, cover art too;
    ``ignored``: of streams that are no videos of their own.

    By default it is the first one whose codec is not of single pictures. Raises SourceError if there is none.
    """
    all_videos = [s for s in container.streams.video if not is_cover_art(s) and s.index not in ignored]
    videos = [s for s in all_videos if not _is_empty(s)]
    empty = frozenset(s.index for s in all_videos if s not in videos)
    if wanted is not None:
        chosen = next((s for s in container.streams.video if s.index == wanted and s.index not in empty), None)
        if chosen is None:
            raise SourceError(f"{path}: stream {wanted} is no video in it", hint=_listed(videos), field="source.video")
        return Videos(chosen, frozenset())
    if not all_videos:
        what = "holds audio only" if container.streams.audio else "holds no video stream"
        raise SourceError(f"{path}: {what}", hint="there is nothing to redact in it")
    if not videos:
        raise SourceError(f"{path}: its video stream is empty", hint="is it complete?")
    moving = [s for s in videos if _codec(s) not in _STILLS]
    return Videos((moving or videos)[0], empty)


def is_cover_art(stream: Stream) -> bool:
    """Whether a stream is a picture that players show for the file (cover art, thumbnails), not a video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def kind_of(stream: Stream) -> str:
    """FFmpeg's type of a stream, or one of the kinds of pictures, which FFmpeg takes for videos."""
    if stream.disposition & Disposition.timed_thumbnails:
        return THUMBNAILS
    return COVER if is_cover_art(stream) else stream.type


def _listed(videos: list[AvVideoStream]) -> str:
    if not videos:
        return "there is no video stream in it"
    named = (f"{s.index} ({s.codec_context.codec.canonical_name}, {s.width}x{s.height})" for s in videos)
    return f"its video streams are {', '.join(named)}"


def _codec(stream: AvVideoStream) -> str:
    """FFmpeg's name; empty where there is no decoder, and thus no context."""
    context = getattr(stream, "codec_context", None)
    return "" if context is None else context.codec.canonical_name


def _is_empty(stream: AvVideoStream) -> bool:
    """Whether nothing of a stream was found at the file's beginning or in its index; demuxing it all makes sure."""
    context = getattr(stream, "codec_context", None)
    known = context is not None and context.pix_fmt is not None
    return not known and not len(stream.index_entries) and not stream.frames
