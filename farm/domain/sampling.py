"""Which faces of tracks are looked at to tell whose they are: a few in a second, and more where two faces meet.

A frame's number and boxes alone decide, so that chunk boundaries change nothing.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from farm.domain.detection import FACE
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.track import FrameTracks, TrackedBox

#: Seconds from one look at a track to the next; so many times as often where two faces meet.
_SECONDS, _CLOSER = Fraction(1, 4), 4
#: Two faces meet where their boxes overlap that are larger by this share on each side: there a track may go from one
#: person to another.
_REACH = 0.5


def step_of(frames: int, seconds: float) -> int:
    """The number of frames from one look to the next, in a video of so many frames and seconds."""
    return max(1, int(frames / max(seconds, 1e-3) * _SECONDS))


def sampled(frame: FrameTracks, number: int, step: int) -> Sequence[TrackedBox]:
    """The faces of a frame that are looked at. ``number``: of the frame, from the start of the video."""
    if frame.black or number % max(1, step // _CLOSER):
        return ()
    faces = [box for box in frame.boxes if box.kind == FACE]
    if number % step:
        near = {track for pair in meetings(faces) for track in pair}
        faces = [box for box in faces if box.track in near]
    return faces


def meetings(boxes: Sequence[TrackedBox]) -> Iterator[tuple[int, int]]:
    """The numbers of each two tracks that meet in a frame."""
    grown = sorted(((box.box.grown(_REACH), box.track) for box in boxes), key=lambda item: item[0].x)
    for at, (a, track) in enumerate(grown):
        for b, other in grown[at + 1 :]:
            if b.x > a.x + a.w:
                break
            if _overlap(a, b):
                yield track, other


def _overlap(a: Box, b: Box) -> bool:
    return intersection_over_union(a, b) > 0
