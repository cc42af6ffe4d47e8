"""Faces as a recogniser sees them: vectors of the faces of tracks and of photos. They are biometric data.

Stored as JSON lines, a line for each face that was looked at; vectors as little-endian half floats in base64.
"""

import base64
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import starmap
from operator import mul
from typing import Any

from farm.domain.geometry import Box
from farm.domain.recognisers import Likeness

FORMAT_VERSION = 1

#: Of unit length; the cosine of two is how alike their faces are.
Vector = tuple[float, ...]

#: A face says something up to here: how far its landmarks are from those of a face seen from the front (in pixels of a
#: picture of 112 x 112, root of the mean square), and how far its nose is from the middle of its eyes (as a share of
#: their distance).
LARGEST_FIT, MOST_TURNED = 6.0, 0.5
#: The same for photos that others are compared with: one seen from the side is a little like many people.
PHOTO_FIT, PHOTO_TURNED, PHOTO_SIDE = 5.0, 0.3, 60.0


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a face can be told. ``side``: the shorter one of its box, in pixels as shown; ``fit``, ``turned``: as
    :data:`LARGEST_FIT`; ``sharpness``: the variance of the Laplacian of its picture of 112 x 112.
    """

    side: float
    fit: float
    turned: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face of a track that was looked at. ``box``: the track's, in source pixels. ``quality`` and ``vector``: None
    and empty where no face was found in the box.
    """

    track: int
    pts: int
    box: Box
    quality: Quality | None = None
    vector: Vector = ()

    def says(self, likeness: Likeness) -> bool:
        """Whether it can be told whose face it is."""
        q = self.quality
        return q is not None and q.side >= likeness.smallest and q.fit <= LARGEST_FIT and q.turned <= MOST_TURNED


@dataclass(frozen=True, slots=True)
class Reference:
    """The face on a photo. ``name``: of its file."""

    name: str
    vector: Vector


def alike(a: Vector, b: Vector) -> float:
    """How alike two faces are: the cosine of their vectors, -1 to 1."""
    return float(sum(map(mul, a, b)))


def dump_face(face: Face) -> str:
    """One line of JSON: ``[track, pts, x, y, w, h, [side, fit, turned, sharpness] or null, vector]``."""
    q, b = face.quality, face.box
    row = [face.track, face.pts, b.x, b.y, b.w, b.h]
    row_of_quality = None if q is None else [q.side, q.fit, q.turned, q.sharpness]
    return json.dumps([*row, row_of_quality, _packed(face.vector)], separators=(",", ":"))


def load_face(line: str) -> Face:
    """Parse the output of :func:`dump_face`."""
    track, pts, *box, quality, vector = json.loads(line)
    return Face(track, pts, Box(*box), quality and Quality(*quality), _unpacked(vector))


def dump_references(references: Iterable[Reference]) -> str:
    """The faces of photos as JSON."""
    rows = [[reference.name, _packed(reference.vector)] for reference in references]
    return json.dumps({"format": FORMAT_VERSION, "people": rows})


def load_references(text: str) -> tuple[Reference, ...]:
    """Parse the output of :func:`dump_references`. Raises ValueError for any other format."""
    row: Any = json.loads(text)
    if not isinstance(row, dict) or row.get("format") != FORMAT_VERSION:
        raise ValueError("not the faces of photos in this format")
    return tuple(starmap(Reference, ((name, _unpacked(vector)) for name, vector in row["people"])))


def _packed(vector: Vector) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}e", *vector)).decode("ascii")


def _unpacked(text: str) -> Vector:
    packed = base64.b64decode(text)
    return struct.unpack(f"<{len(packed) // 2}e", packed)
