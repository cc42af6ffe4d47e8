"""What detect writes for a chunk: every frame's boxes, as JSON lines, so that neither side holds more than a frame.

A *signature* is a tiny luma picture of a frame (``SIGNATURE_SIZE``, row-major bytes). Two neighbouring frames whose
signatures do not correlate are the two sides of a shot cut. It is compared inside a chunk while detecting and across
a chunk boundary while linking, by the same integer arithmetic: a cut does not depend on where chunks were cut.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import mul

from farm.domain.geometry import Box

FORMAT_VERSION = 2
SIGNATURE_SIZE = (32, 18)  # columns, rows

#: Below this zero-mean normalised cross-correlation two neighbouring pictures are two shots. It is low on purpose:
#: a cut that is seen where there is none takes the cover off a face, one that is missed covers too much.
CUT_CORRELATION = 0.25


@dataclass(frozen=True, slots=True)
class Detection:
    """A box around a face in source pixels, with the detector's score (0 to 1)."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class FrameDetections:
    """All detections of one frame. ``cut``: the frame is the first of a shot.

    ``black``: it cannot be decoded and nobody looked at it: all of it has to be covered. ``sketch``: a few bytes by
    which the frame that was looked at is known again.
    """

    pts: int
    cut: bool
    detections: tuple[Detection, ...]
    black: bool = False
    sketch: str = ""


@dataclass(frozen=True, slots=True)
class ChunkDetections:
    """The header of a chunk's detections: the signatures at its two ends."""

    frames: int
    first_signature: bytes
    last_signature: bytes


def is_cut(before: bytes, after: bytes) -> bool:
    """Whether two neighbouring frames' signatures belong to different shots.

    Zero-mean normalised cross-correlation, in exact integers: brightness and contrast (a flash, a fade) cancel out.
    A flat picture (black, white) has no structure to compare: it ends a shot only when its neighbour has some.
    """
    n = len(before)
    if n != len(after) or n == 0:
        raise ValueError("signatures of different sizes")
    sa, sb = sum(before), sum(after)
    va: int = n * sum(map(mul, before, before)) - sa * sa
    vb: int = n * sum(map(mul, after, after)) - sb * sb
    cov: int = n * sum(map(mul, before, after)) - sa * sb
    flat = n * n * 4  # variance below 4 grey levels squared
    if va < flat or vb < flat:
        return False
    return cov <= 0 or cov * cov < CUT_CORRELATION**2 * va * vb


def dump_frame(frame: FrameDetections) -> str:
    """One line of JSON: ``[pts, cut, [[x, y, w, h, score], ...], black, sketch]``."""
    rows = [[d.box.x, d.box.y, d.box.w, d.box.h, d.score] for d in frame.detections]
    return json.dumps([frame.pts, int(frame.cut), rows, int(frame.black), frame.sketch], separators=(",", ":"))


def load_frame(line: str) -> FrameDetections:
    """The inverse of :func:`dump_frame`."""
    pts, cut, rows, black, sketch = json.loads(line)
    return FrameDetections(pts, bool(cut), tuple(Detection(Box(*r[:4]), r[4]) for r in rows), bool(black), sketch)


def dump_chunk(chunk: ChunkDetections) -> str:
    """The last line of a chunk's detections."""
    return json.dumps(
        {
            "format": FORMAT_VERSION,
            "frames": chunk.frames,
            "first": chunk.first_signature.hex(),
            "last": chunk.last_signature.hex(),
        }
    )


def load_chunk(line: str) -> ChunkDetections:
    """The inverse of :func:`dump_chunk`. Raises ValueError for another format."""
    row = json.loads(line)
    if not isinstance(row, dict) or row.get("format") != FORMAT_VERSION:
        raise ValueError("not a detections artefact of this format")
    return ChunkDetections(row["frames"], bytes.fromhex(row["first"]), bytes.fromhex(row["last"]))


def with_boundary_cuts(
    chunks: Iterable[tuple[ChunkDetections, Iterable[FrameDetections]]],
) -> Iterator[FrameDetections]:
    """All frames of a video in order, the first of each chunk marked as a cut where it is one."""
    last: bytes | None = None
    for chunk, frames in chunks:
        first = True
        for frame in frames:
            if first and last is not None and is_cut(last, chunk.first_signature):
                frame = replace(frame, cut=True)  # noqa: PLW2901 - the frame, marked
            first = False
            yield frame
        last = chunk.last_signature
