"""The groups of a chunk that may be copied, and their packets."""

from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import av.error
from av.packet import Packet

from farm.domain.manifest import Chunk, VideoStream
from farm.domain.runs import Group, Run
from farm.errors import SourceError
from farm.liveness import beat
from farm.media.failing import reason
from farm.media.reading.damage import EARLIER, seek
from farm.media.reading.decoding import open_video, packets
from farm.media.splicing.base import Splicer


class Copied(NamedTuple):
    """A packet of the source as it is written: the number of its frame in the chunk, its bytes, and its key flag."""

    number: int
    content: bytes
    key: bool


@dataclass(slots=True)
class _Group:
    """A group being read. ``fit``: all of its packets may be copied."""

    begin: int
    pts: list[int] = field(default_factory=list)
    fit: bool = True


def whole_groups(
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int], splicer: Splicer
) -> Generator[Group, None, None]:
    """Yield the groups of a chunk that may be copied, in order: the packets of each are those of its planned frames.

    ``pts``: of the chunk's frames, ascending. Reads no further than the chunk's end, where a group has to end, too.
    Raises SourceError.
    """
    group: _Group | None = None
    changed = False
    for packet in _packets(path, video, chunk):
        content = bytes(packet)
        begins = splicer.begins(content)
        if begins and group is not None and packet.pts is not None:
            yield from _numbered(group, packet.pts, pts)
        changed = changed or splicer.changes(packet)
        if packet.pts is not None and packet.pts >= chunk.pts_end:
            return
        if begins and packet.pts is not None:
            group = _Group(packet.pts)
        if group is None:
            continue
        if changed or packet.pts is None or packet.is_corrupt or splicer.fault(packet) is not None:
            group.fit = False
        group.pts.append(packet.pts or 0)
    if group is not None:
        yield from _numbered(group, chunk.pts_end, pts)


def _numbered(group: _Group, end: int, pts: Sequence[int]) -> Iterator[Group]:
    """The group if it may be copied, by the numbers of its frames. ``end``: where the next one begins."""
    first = bisect_left(pts, group.begin)
    after = bisect_left(pts, end)
    if group.fit and after - first == len(group.pts) and sorted(group.pts) == list(pts[first:after]):
        yield first, after


def copied_packets(
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int], splicer: Splicer, runs: Sequence[Run]
) -> Generator[Copied, None, None]:
    """Yield the packets of all copied ``runs`` in decoding order. Raises SourceError where they are not as planned."""
    expected = [run for run in runs if run.copied]
    at, left = 0, expected[0].frames if expected else 0
    for packet in _packets(path, video, chunk) if expected else ():
        run = expected[at]
        begun = left < run.frames
        if not begun and packet.pts != pts[run.first]:
            continue
        number = -1 if packet.pts is None else bisect_left(pts, packet.pts)
        if not (run.first <= number < run.end and pts[number] == packet.pts):
            break
        yield Copied(number, splicer.copied(bytes(packet)), packet.is_keyframe)
        left -= 1
        if not left:
            at += 1
            if at == len(expected):
                return
            left = expected[at].frames
    if expected:
        raise SourceError(f"{path}: its packets are not those that were planned", hint="submit it again")


def _packets(path: Path, video: VideoStream, chunk: Chunk) -> Generator["Packet[Any]", None, None]:
    """The video's packets from the chunk's key frame on, or from before it, in decoding order."""
    try:
        for earlier in EARLIER:
            with open_video(path, video) as (container, stream):
                seek(container, stream, video, chunk, earlier)
                found = packets(container, stream)
                first = next(found, None)
                late = first is None or first.pts is None or first.pts > chunk.seek_pts
                if first is None or (late and earlier is not None):  # transport streams have no index
                    continue
                yield first
                for packet in found:
                    beat()
                    yield packet
                return
    except av.error.FFmpegError as error:
        raise SourceError(f"{path}: cannot be read: {reason(error)}") from error
