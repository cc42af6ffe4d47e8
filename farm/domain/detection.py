"""Detections of a chunk: the boxes of every frame, as JSON lines that are written and read one frame at a time.

A *signature* is a tiny luma picture of a frame (``SIGNATURE_SIZE``, row-major bytes). A shot cut lies between two
neighbouring frames whose signatures do not correlate. Detect compares signatures inside a chunk, and link compares
them across chunk boundaries, with the same integer arithmetic. Shot cuts therefore do not depend on chunk boundaries.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import mul

from farm.domain.geometry import Box

FORMAT_VERSION = 3
SIGNATURE_SIZE = (32, 18)  # columns, rows

#: Two neighbouring frames belong to different shots if their zero-mean normalised cross-correlation is below this.
#: The value is deliberately low: a false cut uncovers a face, a missed cut only covers too much.
CUT_CORRELATION = 0.25


#: What a detection shows.
FACE, PLATE = "face", "plate"
#: Scores are normalised: whatever the detector, the kind and the size of the box, a detection may begin a track from
#: ``BIRTH`` on. Weaker ones, down to ``WEAK``, only continue a track.
BIRTH, WEAK = 0.5, 0.35


@dataclass(frozen=True, slots=True)
class Detection:
    """A box around a face or a plate, in source pixels, with its normalised score (WEAK to 1)."""

    box: Box
    score: float
    kind: str = FACE


@dataclass(frozen=True, slots=True)
class FrameDetections:
    """All detections of one frame. ``cut``: the frame is the first of a shot.

    ``black``: the frame cannot be decoded and was not examined, so all of it must be covered. ``sketch``: a few bytes
    that identify the examined frame.
    """

    pts: int
    cut: bool
    detections: tuple[Detection, ...]
    black: bool = False
    sketch: str = ""


@dataclass(frozen=True, slots=True)
class ChunkDetections:
    """Facts about a chunk's detections: the number of frames and the signatures of the first and last frame."""

    frames: int
    first_signature: bytes
    last_signature: bytes


def is_cut(before: bytes, after: bytes) -> bool:
    """Return whether the signatures of two neighbouring frames belong to different shots.

    The measure is the zero-mean normalised cross-correlation, computed in exact integers, so changes of brightness
    and contrast (a flash, a fade) cancel out. A flat picture (black, white) has no structure to compare and never
    marks a cut. Raises ValueError if the signatures are empty or differ in size.
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
    """Return one line of JSON: ``[pts, cut, [[x, y, w, h, score, kind], ...], black, sketch]``."""
    rows = [[d.box.x, d.box.y, d.box.w, d.box.h, d.score, d.kind] for d in frame.detections]
    return json.dumps([frame.pts, int(frame.cut), rows, int(frame.black), frame.sketch], separators=(",", ":"))


def load_frame(line: str) -> FrameDetections:
    """Parse the output of :func:`dump_frame`."""
    pts, cut, rows, black, sketch = json.loads(line)
    return FrameDetections(pts, bool(cut), tuple(Detection(Box(*r[:4]), *r[4:]) for r in rows), bool(black), sketch)


def dump_chunk(chunk: ChunkDetections) -> str:
    """Return the last line of a chunk's detections."""
    return json.dumps(
        {
            "format": FORMAT_VERSION,
            "frames": chunk.frames,
            "first": chunk.first_signature.hex(),
            "last": chunk.last_signature.hex(),
        }
    )


def load_chunk(line: str) -> ChunkDetections:
    """Parse the output of :func:`dump_chunk`. Raises ValueError for any other format."""
    row = json.loads(line)
    if not isinstance(row, dict) or row.get("format") != FORMAT_VERSION:
        raise ValueError("not a detections artefact of this format")
    return ChunkDetections(row["frames"], bytes.fromhex(row["first"]), bytes.fromhex(row["last"]))


def with_boundary_cuts(
    chunks: Iterable[tuple[ChunkDetections, Iterable[FrameDetections]]],
) -> Iterator[FrameDetections]:
    """Yield all frames of a video in order; mark the first frame of a chunk as a cut where a new shot begins."""
    last: bytes | None = None
    for chunk, frames in chunks:
        first = True
        for frame in frames:
            if first and last is not None and is_cut(last, chunk.first_signature):
                frame = replace(frame, cut=True)  # noqa: PLW2901 - the same frame, marked
            first = False
            yield frame
        last = chunk.last_signature
