"""What a detector still finds in a redacted video: the request and the findings of the errand ``audit``, and which of
those are residual faces: outside all masks, and outside what a person has said may be seen.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.linker import LOOKS, is_clear
from farm.domain.polygon import Area

#: A face is covered where masks have at least so much of its box.
_COVERED = 0.6
#: Points per side of the grid on which that is measured.
_GRID = 12
#: Findings in neighbouring looks are of one face where their boxes overlap by so much (intersection over union).
_SAME = 0.2
#: Looks in which a face may be missed in between.
_MISSED = 2
#: Seconds from one look to the next.
LOOK_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Audit:
    """How an output is audited: one frame of ``every`` is looked at, by the detector of ``detect``."""

    detect: DetectOptions
    every: int

    def request(self) -> dict[str, Any]:
        """As JSON."""
        return {"detect": asdict(self.detect), "every": self.every}


def load_audit(request: Mapping[str, Any]) -> Audit:
    """Parse :meth:`Audit.request`. Raises SettingsError, KeyError."""
    return Audit(cast("DetectOptions", DetectOptions.load(request["detect"])), int(request["every"]))


def dump_look(pts: int, faces: Iterable[Detection]) -> str:
    """One line of JSON: ``[pts, [[x, y, w, h, score, kind], ...]]``; boxes in coded pixels of the source."""
    rows = [[d.box.x, d.box.y, d.box.w, d.box.h, round(d.score, 4), d.kind] for d in faces]
    return json.dumps([pts, rows], separators=(",", ":"))


def load_look(line: str) -> tuple[int, tuple[Detection, ...]]:
    """Parse the output of :func:`dump_look`."""
    pts, rows = json.loads(line)
    return pts, tuple(Detection(Box(*row[:4]), row[4], row[5]) for row in rows)


@dataclass(slots=True)
class Residual:
    """A face that is still seen, from the frame of pts ``begins`` to that of ``ends``, in ``looks`` looks.

    ``box``, ``score``: where it is clearest, in the frame of pts ``pts``. ``best``: its best scores, highest first.
    """

    begins: int
    ends: int
    pts: int
    box: Box
    score: float
    kind: str
    best: list[float]
    looks: int = 1


@dataclass(slots=True)
class Residuals:
    """Gathers residual faces look by look, in order. ``looks``: how many there were."""

    _found: list[Residual] = field(default_factory=list)
    looks: int = 0
    _open: list[tuple[int, Box, Residual]] = field(default_factory=list)

    def take(self, pts: int, faces: Sequence[Detection], covers: Sequence[Area], exempt: Sequence[Area]) -> None:
        """Take what was found in a frame. ``covers``: the boxes of its masks with their margins, and polygons;
        ``exempt``: boxes of faces that may be seen, and regions.
        """
        self.looks += 1
        for face in faces:
            allowed = any(_is_of(face.box, box) for box in exempt)
            if not allowed and covered_share(face.box, covers) < _COVERED:
                self._add(pts, face)
        self._open = [row for row in self._open if self.looks - row[0] <= _MISSED]

    def _add(self, pts: int, face: Detection) -> None:
        before = max(self._open, key=lambda row: intersection_over_union(row[1], face.box), default=None)
        if before is None or before[2].kind != face.kind or intersection_over_union(before[1], face.box) < _SAME:
            residual = Residual(pts, pts, pts, face.box, face.score, face.kind, [face.score])
            self._found.append(residual)
        else:
            self._open.remove(before)
            residual = before[2]
            residual.ends, residual.looks = pts, residual.looks + 1
            residual.best = sorted((*residual.best, face.score), reverse=True)[:LOOKS]
            if face.score > residual.score:
                residual.pts, residual.box, residual.score = pts, face.box, face.score
        self._open.append((self.looks, face.box, residual))

    @property
    def found(self) -> list[Residual]:
        """Those that are as clear as what a track shows: a weak finding of one look is mostly none."""
        return [residual for residual in self._found if is_clear(residual.best)]


def _is_of(face: Box, allowed: Area) -> bool:
    """Whether a face is one that may be seen: it is as large, or lies in a region."""
    as_large = isinstance(allowed, Box) and intersection_over_union(face, allowed) >= 0.3
    return as_large or covered_share(face, [allowed]) >= 0.9


def covered_share(box: Box, covers: Sequence[Area]) -> float:
    """The share of a box that some boxes and polygons cover together, measured on a grid."""
    inside = 0
    for row in range(_GRID):
        y = box.y + box.h * (row + 0.5) / _GRID
        for column in range(_GRID):
            x = box.x + box.w * (column + 0.5) / _GRID
            inside += any(cover.holds((x, y)) for cover in covers)
    return inside / _GRID**2
