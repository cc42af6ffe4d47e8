"""Further videos and cover art of a source, as the jobs wrote them that redact them beside the main one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.packet import Packet

from farm.domain.manifest import COVER, Manifest, OtherStream
from farm.errors import VerificationError
from farm.media.composing.arguments import CoverArt, RedactedVideo, Tags
from farm.media.composing.ending import ending_of
from farm.media.encoding.choice import encoded_video
from farm.media.failing import reading
from farm.media.reading.opening import open_source

#: The file of a cover that Matroska holds as an attachment, by its codec: suffix and MIME type.
_FILES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


@dataclass(frozen=True, slots=True)
class RedactedStream:
    """The verified output of a companion job, a file with one video, and the job's plan."""

    path: Path
    manifest: Manifest

    @property
    def codec(self) -> str:
        """FFmpeg's name of its codec."""
        return self.manifest.encoder.codec

    def packets(self) -> Iterator["Packet[Any]"]:
        """Yield its packets. Raises VerificationError."""
        with (
            reading(self.path, VerificationError, "this redacted stream cannot be read", "it will be made again"),
            open_source(self.path) as opened,
        ):
            yield from (packet for packet in opened.demux(opened.streams.video[0]) if packet.size)


def check_complete(kept: Sequence[OtherStream], redacted: Mapping[int, RedactedStream]) -> None:
    """Raise VerificationError unless each stream that companions redact is there: never the source's instead."""
    missing = [o.index for o in kept if o.redacted and o.index not in redacted]
    if missing:
        raise VerificationError(f"stream {missing[0]} of the source was not redacted")


def redacted_videos(kept: Sequence[OtherStream], redacted: Mapping[int, RedactedStream]) -> dict[int, RedactedVideo]:
    """What ffmpeg copies in place of streams of the source, by their index."""
    videos = {}
    for other in kept:
        stream = redacted.get(other.index)
        if stream is not None:
            ending = None if other.kind == COVER else ending_of(stream.path, stream.manifest)
            video = encoded_video(stream.manifest.source.video, stream.manifest.encoder)
            videos[other.index] = RedactedVideo(stream.path, video, stream.codec, ending)
    return videos


def attached_covers(
    covers: Sequence[OtherStream],
    redacted: Mapping[int, RedactedStream],
    tags: Mapping[int | None, Tags],
    folder: Path,
) -> Iterator[CoverArt]:
    """Write redacted covers to files, which ffmpeg attaches."""
    for number, other in enumerate(covers, start=1):
        stream = redacted[other.index]
        suffix, mimetype = _FILES[stream.codec]
        about = {key.lower(): value for key, value in tags[other.index].kept.items()}
        name = about.get("filename") if stream.codec == other.codec else None
        path = folder / f"cover{number}.{suffix}"
        with closing(stream.packets()) as packets:  # type: ignore[type-var]  # a generator has it
            path.write_bytes(bytes(next(packets)))
        yield CoverArt(path, name or f"cover.{suffix}", mimetype)
