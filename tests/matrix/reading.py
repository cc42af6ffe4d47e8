"""Read a file with PyAV and with ffmpeg's ``showinfo``, without using any code of the farm."""

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
from av.stream import AttachmentStream, Disposition

from tests.matrix.mp4_ends import declared_end

_COVER = Disposition.attached_pic | Disposition.timed_thumbnails
_PLACED = Disposition.default | Disposition.forced | Disposition.attached_pic | Disposition.hearing_impaired
_FRAME = re.compile(
    r"n: *\d+ pts: *(?P<pts>\S+) .*? fmt:(?P<format>\S+) cl:(?P<chroma>\S+) sar:(?P<sar>\S+) s:(?P<size>\S+) "
    r"i:(?P<fields>\S)"
)
_TICK = re.compile(r"config in time_base: (\d+)/(\d+)")


@dataclass
class Stream:
    """The properties of one stream, and its packets as (time, SHA-256 of the bytes) in file order."""

    index: int
    kind: str
    codec: str
    language: str
    title: str
    disposition: Disposition
    tick: Fraction
    cover: bool
    packets: list[tuple[Fraction | None, str]] = field(default_factory=list)
    attached: tuple[str, str, str] | None = None


@dataclass
class Look:
    """A file read without a decoder. ``pts``, ``dts`` and ``discarded`` describe the video packets; ``ends``: when
    the shown ones end, in seconds; ``declared``: the declared end of an MP4 track, and its resolution."""

    path: Path
    container: str
    streams: list[Stream]
    video: int
    pts: list[Fraction | None]
    dts: list[Fraction | None]
    ends: list[Fraction]
    discarded: int
    chapters: list[tuple[str, Fraction, Fraction]]
    metadata: dict[str, str]
    declared: tuple[Fraction, Fraction] | None = None

    @property
    def others(self) -> list[Stream]:
        return [s for s in self.streams if s.index != self.video]


@dataclass
class Shown:
    """What ``showinfo`` prints for each frame that ffmpeg shows, and ffmpeg's error messages."""

    times: list[Fraction | None]
    fields: list[str]
    sar: set[str]
    chroma: set[str]
    sizes: set[str]
    formats: set[str]
    errors: list[str]


def look(path: Path, index: int | None = None) -> Look:
    """Demux a file. ``index``: the video stream; None selects the first one that is not cover art."""
    with av.open(str(path), metadata_errors="replace") as container:
        streams = [_stream(s) for s in container.streams]
        videos = [s.index for s in streams if s.kind == "video" and not s.cover]
        found = Look(path, container.format.name, streams, videos[0] if index is None else index, [], [], [], 0, [], {})
        for chapter in container.chapters():
            tick = Fraction(chapter["time_base"] or 1)
            title = str(chapter["metadata"].get("title", ""))
            found.chapters.append((title, chapter["start"] * tick, chapter["end"] * tick))
        video = container.streams[found.video]
        if container.format.name.startswith("mov"):
            found.declared = declared_end(path, video.id)
        found.metadata = {key.lower(): value for key, value in container.metadata.items()}
        readable = [s for s in container.streams if s.type in ("video", "audio", "subtitle", "data")]
        for packet in container.demux(readable):
            if packet.size or packet.pts is not None:
                _take(found, packet)
    return found


def _stream(stream: Any) -> Stream:
    context = getattr(stream, "codec_context", None)
    flags = stream.disposition
    attached = None
    if isinstance(stream, AttachmentStream):
        attached = (stream.name or "", stream.mimetype or "", hashlib.sha256(stream.data or b"").hexdigest())
    return Stream(
        stream.index,
        stream.type,
        context.codec.canonical_name if context is not None else "",
        stream.metadata.get("language", "und"),
        stream.metadata.get("title", ""),
        flags & _PLACED,
        stream.time_base or Fraction(1),
        bool(flags & _COVER),
        attached=attached,
    )


def _take(found: Look, packet: Any) -> None:
    tick = packet.time_base
    when = None if packet.pts is None else packet.pts * tick
    if packet.stream_index != found.video:
        digest = hashlib.sha256(bytes(packet)).hexdigest()
        found.streams[packet.stream_index].packets.append((when, digest))
        return
    found.pts.append(when)
    found.dts.append(None if packet.dts is None else packet.dts * tick)
    if when is not None and packet.duration and not packet.is_discard:
        found.ends.append(when + packet.duration * tick)
    found.discarded += packet.is_discard


def shown(path: Path, index: int) -> Shown:
    """Decode a video with ffmpeg and parse what it prints."""
    binary = imageio_ffmpeg.get_ffmpeg_exe()
    command = [
        binary,
        "-nostdin",
        "-hide_banner",
        "-nostats",
        "-v",
        "level+info",
        "-noautorotate",
        "-copyts",
        "-i",
        str(path),
    ]
    command += ["-map", f"0:{index}", "-fps_mode", "passthrough", "-vf", "showinfo"]
    command += ["-enc_time_base", "demux", "-f", "null", "-"]
    said = subprocess.run(command, check=False, capture_output=True).stderr.decode(errors="replace")
    found = Shown([], [], set(), set(), set(), set(), [])
    tick = Fraction(0)
    for line in said.splitlines():
        if match := _TICK.search(line):
            tick = Fraction(int(match[1]), int(match[2]))
        elif match := _FRAME.search(line):
            found.times.append(None if match["pts"] == "NOPTS" else int(match["pts"]) * tick)
            found.fields.append(match["fields"])
            found.sar.add(match["sar"])
            found.chroma.add(match["chroma"])
            found.sizes.add(match["size"])
            found.formats.add(match["format"])
        elif "[error]" in line or "[fatal]" in line:
            found.errors.append(line)
    return found
