"""Detections of a chunk: one JSON line for each of its frames, written and read one at a time, and one for the chunk.

A detector *looks* at some frames; between looks, boxes are carried by the measured motion. What a chunk's worker saw in
the frames after the chunk (it looks on to the end of its last group of frames) stands in the last line.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from farm.domain.geometry import Box
from farm.domain.motion import Motion, motion_of

FORMAT_VERSION = 4

#: What a detection shows.
FACE, PLATE = "face", "plate"
#: Scores are normalised: whatever the detector, the kind and the size of the box, the best detections of a track have
#: to reach ``BIRTH`` on average, see :mod:`farm.domain.linker`. Weaker ones, down to ``WEAK``, continue a track.
BIRTH, WEAK = 0.5, 0.35


@dataclass(frozen=True, slots=True)
class Detection:
    """A box around a face or a plate, in source pixels, with its normalised score (WEAK to 1)."""

    box: Box
    score: float
    kind: str = FACE


@dataclass(frozen=True, slots=True)
class FrameDetections:
    """All detections of one frame.

    - ``cut``: the frame is the first of a shot.
    - ``detections``: None if no detector looked at the frame.
    - ``black``: the frame cannot be decoded and was not examined, so all of it must be covered.
    - ``sketch``: a few bytes that identify the examined frame.
    - ``motion``: how the picture moved from the frame before; None where that could not be measured.
    """

    pts: int
    cut: bool
    detections: tuple[Detection, ...] | None
    black: bool = False
    sketch: str = ""
    motion: Motion | None = None


@dataclass(frozen=True, slots=True)
class ChunkDetections:
    """A chunk's number of frames, and what its worker saw of the frames after it.

    ``cut``, ``motion``: of the frame that follows the chunk's last one. ``beyond``: pts and detections of later frames
    that were looked at. ``aspect``: how much wider than high a pixel is shown, see :class:`Motion`.
    """

    frames: int
    cut: bool = False
    motion: Motion | None = None
    beyond: tuple[tuple[int, tuple[Detection, ...]], ...] = ()
    aspect: float = 1.0


def dump_frame(frame: FrameDetections) -> str:
    """Return one line of JSON: ``[pts, cut, boxes or null, black, sketch, motion or null]``.

    A box is ``[x, y, w, h, score, kind]``.
    """
    rows = None if frame.detections is None else _rows(frame.detections)
    motion = frame.motion and frame.motion.row()
    return _json([frame.pts, int(frame.cut), rows, int(frame.black), frame.sketch, motion])


def load_frame(line: str, aspect: float = 1.0) -> FrameDetections:
    """Parse the output of :func:`dump_frame`. ``aspect``: of the chunk."""
    pts, cut, rows, black, sketch, motion = json.loads(line)
    found = None if rows is None else _detections(rows)
    return FrameDetections(pts, bool(cut), found, bool(black), sketch, motion and motion_of(motion, aspect))


def dump_chunk(chunk: ChunkDetections) -> str:
    """Return the last line of a chunk's detections."""
    return _json(
        {
            "format": FORMAT_VERSION,
            "frames": chunk.frames,
            "cut": int(chunk.cut),
            "motion": chunk.motion and chunk.motion.row(),
            "beyond": [[pts, _rows(found)] for pts, found in chunk.beyond],
            "aspect": chunk.aspect,
        }
    )


def load_chunk(line: str) -> ChunkDetections:
    """Parse the output of :func:`dump_chunk`. Raises ValueError for any other format."""
    row = json.loads(line)
    if not isinstance(row, dict) or row.get("format") != FORMAT_VERSION:
        raise ValueError("not a detections artefact of this format")
    aspect = float(row["aspect"])
    motion = row["motion"] and motion_of(row["motion"], aspect)
    beyond = tuple((pts, _detections(rows)) for pts, rows in row["beyond"])
    return ChunkDetections(row["frames"], bool(row["cut"]), motion, beyond, aspect)


def _rows(detections: Iterable[Detection]) -> list[list[object]]:
    return [[d.box.x, d.box.y, d.box.w, d.box.h, d.score, d.kind] for d in detections]


def _detections(rows: Iterable[list[Any]]) -> tuple[Detection, ...]:
    return tuple(Detection(Box(*row[:4]), row[4], row[5]) for row in rows)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def joined(chunks: Iterable[tuple[ChunkDetections, Iterable[FrameDetections]]]) -> Iterator[FrameDetections]:
    """Yield all frames of a video in order, each with what the workers of earlier chunks saw of it."""
    before = ChunkDetections(0)
    seen: dict[int, tuple[Detection, ...]] = {}
    for chunk, frames in chunks:
        first = True
        for frame in frames:
            if first and before.frames:
                frame = replace(frame, cut=before.cut, motion=before.motion)  # noqa: PLW2901 - the same frame
            first = False
            found = seen.pop(frame.pts, None)
            yield frame if found is None or frame.detections is not None else replace(frame, detections=found)
        seen.update(chunk.beyond)
        before = chunk
