"""The times of all frames of a source, and how long its last frame lasts."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from farm.domain.manifest import VideoStream
from farm.media.reading.stream_details import TrackEnd


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Times in ticks of the stream's time base, ascending.

    ``pts`` of all shown frames, and the ``sizes`` of their packets in bytes. ``keys``: pts of all key frames, shown or
    not; ``open_gop``: 1 for each after which, in decoding order, frames follow that are shown before it.
    ``last_duration`` of the last frame. ``notes`` are for the user.
    """

    pts: "array[int]"
    sizes: "array[int]"
    keys: "array[int]"
    open_gop: "array[int]"
    last_duration: int
    notes: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Where the last frame ends."""
        return self.pts[-1] + self.last_duration


def usual_duration(pts: "array[int]", video: VideoStream) -> int:
    """The last frame's duration if the container has none: that of the frame before, or one frame of the rate."""
    if len(pts) > 1:
        return pts[-1] - pts[-2]
    rate = video.average_rate
    return max(1, round(1 / (rate * video.time_base))) if rate else 1


def last_duration(pts: "array[int]", video: VideoStream, stated: tuple[int, int], end: TrackEnd | None) -> int:
    """The last frame's duration in ticks. ``stated``: those of the packets shown and decoded last, 0 if unknown.

    In MP4 a packet's duration runs from its dts to the next, which is not the frame's own if frames are reordered and
    differ in length. The track's edit list states its ``end``, rounded; the packets' durations give it exactly.
    """
    usual = stated[0] or usual_duration(pts, video)
    if end is None:
        return usual
    left = end.seconds / video.time_base - pts[-1]  # ticks
    near = end.tick / video.time_base
    for known in (usual, stated[1]):
        if known > 0 and abs(known - left) < near:
            return known
    return round(left) if round(left) > 0 else usual


def early_frames(count: int) -> str:
    """Words for frames that no decoder shows, for notes."""
    return f"{count} frame{'' if count == 1 else 's'} before its first key frame"


def reorder_depth(pts: Iterable[int]) -> int:
    """The largest number of places that a packet comes later in decoding order than in presentation order.

    ``pts`` in decoding order, all different. The result is the least D with ``sorted(pts)[i - D] <= pts[i]``.
    """
    decoded = list(pts)
    rank = {value: place for place, value in enumerate(sorted(decoded))}
    return max((at - rank[value] for at, value in enumerate(decoded)), default=0)
