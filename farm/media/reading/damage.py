"""Finds the intact frames of a damaged source.

Decoders conceal damage and predict later frames from the concealed ones. So after a damaged packet, in decoding order,
nothing is trusted up to the next key frame, nor frames that are coded after that key frame but shown before it.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet

from farm.domain.manifest import Chunk, VideoStream
from farm.domain.pixels import plain_format
from farm.media.reading.decoding import decoded, is_shown, open_video, packets
from farm.media.reading.fields import Fields, Part

#: Seconds before the planned key frame at which decoding starts, tried in turn; None is the start of the file.
EARLIER = (0.0, 2.0, 20.0, None)
#: Frames decoded ahead of the one in question: everything it is predicted from is shown by then.
_AHEAD = 32


def seek(
    container: InputContainer, stream: av.VideoStream, video: VideoStream, chunk: Chunk, earlier: float | None
) -> None:
    """Seek to the key frame at or before the chunk's, ``earlier`` seconds before it; None stays at the file's start."""
    if earlier is not None:
        back = chunk.seek_pts - int(earlier / video.time_base)
        container.seek(back, stream=stream, backward=True, any_frame=False)


def fits(frame: av.VideoFrame, video: VideoStream) -> bool:
    """Whether a frame is intact, as far as its decoder knows, and has a planned size and the planned format."""
    same_size = video.has_size(frame.width, frame.height)
    return not frame.is_corrupt and same_size and plain_format(frame.format.name) == plain_format(video.pix_fmt)


@dataclass(slots=True)
class _Group:
    """A key frame and what follows it in decoding order: packets from ``first`` on, damaged from ``damaged`` on."""

    first: int
    pts: int | None
    damaged: int | None = None
    begins: bool = True  # False: the decoder did not take its first frame for a key frame


class Scout:
    """Decodes a chunk ahead of its reader, keeps no pictures, and finds out which frames are intact.

    ``earlier``: where it started, see :data:`EARLIER`. Memory: a few numbers per key frame of the chunk.
    """

    def __init__(self, path: Path, video: VideoStream, chunk: Chunk, wanted: int) -> None:
        """``wanted``: the pts of the chunk's first frame."""
        self._video = video
        self._groups = [_Group(0, None)]
        self._waiting = dict[int, int]()  # packets' pts and numbers, until their frame is shown
        self._shown = dict[int, int]()
        self._later = deque[int]()
        self._fields = Fields("", None)
        self._single: tuple[int, int] | None = None  # the pts and number of a field, the first one of its frame
        self._pair = (-1, -1)  # the numbers of the latest second field, and of the first one of its frame
        self.earlier = _landing(path, video, chunk, wanted)
        self._frames = self._decode(path, chunk)

    def close(self) -> None:
        """Close the source."""
        self._frames.close()

    def is_intact(self, pts: int) -> bool:
        """Whether the frame at ``pts`` is intact. Call it in order of the pts."""
        while self._later and self._later[0] <= pts:
            self._later.popleft()
        while len(self._later) < _AHEAD and (shown := next(self._frames, None)) is not None:
            if shown > pts:
                self._later.append(shown)
        for old in [p for p in self._shown if p < pts]:
            del self._shown[old]
        number = self._shown.get(pts)
        return number is not None and self._trusted(pts, number)

    def _trusted(self, pts: int, number: int) -> bool:
        at = self._group_of(number)
        group = self._groups[at]
        if group.damaged is not None and number >= group.damaged:
            return False
        leading = group.pts is not None and pts < group.pts
        return not ((leading or not group.begins) and at and self._any_damage(at - 1))

    def _any_damage(self, at: int) -> bool:
        group = self._groups[at]
        return group.damaged is not None or (not group.begins and at > 0 and self._any_damage(at - 1))

    def _group_of(self, number: int) -> int:
        return max(0, bisect_right(self._groups, number, key=lambda group: group.first) - 1)

    def _decode(self, path: Path, chunk: Chunk) -> Generator[int, None, None]:
        """Yield the pts of all frames that the decoder returns, as far as they ascend."""
        with open_video(path, self._video) as (container, stream):
            seek(container, stream, self._video, chunk, self.earlier)
            self._fields = Fields(self._video.codec, stream.codec_context.extradata)
            last = None
            for frame in decoded(container, stream, sent=self._sent, damage=lambda number, _: self._mark(number)):
                if frame.pts is not None and (last is None or frame.pts > last):
                    last = frame.pts
                    self._judge(last, frame)
                    yield last
                else:  # it has no pts, or an earlier one
                    self._mark(self._groups[-1].first)

    def _sent(self, number: int, packet: "Packet[Any]") -> None:
        part = self._fields.part(packet)
        if packet.is_keyframe and part is not Part.SECOND:
            self._groups.append(_Group(number, packet.pts))
        if part is Part.SECOND and self._single:
            self._waiting.update([self._single])
            self._pair = (number, self._single[1])
        if packet.is_corrupt:
            self._mark(number)
        self._single = None
        if packet.pts is None or packet.is_discard or not is_shown(self._video.codec, packet):
            return
        if part is Part.WHOLE:
            self._waiting[packet.pts] = number
        elif part is Part.FIRST:  # without the other field of its frame it is not shown
            self._single = (packet.pts, number)

    def _mark(self, number: int | None) -> None:
        """Note that packet ``number`` is damaged. None: reading failed, which damages no packet that was read."""
        if number is None:
            return
        if number == self._pair[0]:
            number = self._pair[1]
        group = self._groups[self._group_of(number)]
        group.damaged = number if group.damaged is None else min(group.damaged, number)

    def _judge(self, pts: int, frame: av.VideoFrame) -> None:
        """Take a decoded frame: earlier ones that have not been decoded are lost."""
        for lost in [p for p in self._waiting if p < pts]:
            number = self._waiting.pop(lost)
            group = self._groups[self._group_of(number)]
            if group.pts is None or lost >= group.pts:  # nothing is predicted from frames that lead a key frame
                self._mark(number)
        number = self._waiting.pop(pts, -1)
        if number < 0:  # no packet has its pts
            self._mark(self._groups[-1].first)
            return
        self._shown[pts] = number
        group = self._groups[self._group_of(number)]
        if number == group.first and not frame.key_frame:
            group.begins = False
        if not fits(frame, self._video):
            self._mark(number)


def _landing(path: Path, video: VideoStream, chunk: Chunk, wanted: int) -> float | None:
    """How much earlier than the planned key frame to seek, so that one at or before ``wanted`` is found."""
    for earlier in EARLIER[:-1]:
        with open_video(path, video) as (container, stream):
            try:
                seek(container, stream, video, chunk, earlier)
                keys = (p.pts for p in packets(container, stream) if p.is_keyframe and p.pts is not None)
                with closing(keys):
                    key = next(keys, None)
            except av.error.FFmpegError:
                continue
            if key is not None and key <= wanted:
                return earlier
    return None
