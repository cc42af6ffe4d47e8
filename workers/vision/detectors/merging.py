"""Merging the boxes that several views and networks found of one face: one box for each.

Arrays are float64 N x 6: x, y, w, h, score, and whether the edge of a tile cuts the box, which then is the last choice.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SAME = 0.4  # intersection over union from which two boxes are of one face
_INSIDE = 0.7  # share of a cut box inside a better one, from which it is a part of that one's face


def nms(boxes: Floats) -> Floats:
    """Non-maximum suppression: the best box of each face, best first."""
    return np.array([group[0] for group in _faces(boxes)]).reshape(-1, 6)


def nmm(boxes: Floats) -> Floats:
    """Non-maximum merging: the smallest box that holds all boxes of a face (Akyon, Altinuc, Temizel: SAHI, 2022)."""
    rows = []
    for group in _faces(boxes):
        x0, y0 = group[:, :2].min(axis=0)
        x1, y1 = (group[:, :2] + group[:, 2:4]).max(axis=0)
        rows.append([x0, y0, x1 - x0, y1 - y0, *group[0, 4:]])
    return np.array(rows).reshape(-1, 6)


def wbf(boxes: Floats) -> Floats:
    """The mean of a face's boxes by score (Solovyev, Wang, Gabruseva: "Weighted boxes fusion", 2021).

    Other than there, the score stays the best one: a face that only one view can show is no weaker for it. Cut boxes
    are left out of the mean where there are others.
    """
    rows = []
    for group in _faces(boxes):
        whole = group[group[:, 5] == group[0, 5]]
        rows.append([*np.average(whole[:, :4], axis=0, weights=whole[:, 4]), *group[0, 4:]])
    return np.array(rows).reshape(-1, 6)


#: By the names of ``--merge``.
MERGED: dict[str, Callable[[Floats], Floats]] = {"nms": nms, "nmm": nmm, "wbf": wbf}


def _faces(boxes: Floats) -> list[Floats]:
    """The boxes in groups, one for each face; in a group the best first, the groups by their best."""
    rest = boxes[np.lexsort((-boxes[:, 4], boxes[:, 5]))]
    groups = []
    while len(rest):
        same = _same_face(rest[0], rest)
        groups.append(rest[same])
        rest = rest[~same]
    return sorted(groups, key=lambda group: -group[0, 4])


def _same_face(best: Floats, boxes: Floats) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = overlaps(best[None], boxes)[0] >= _SAME
    same |= (boxes[:, 5] > 0) & (_both(best[None], boxes)[0] >= _INSIDE * boxes[:, 2] * boxes[:, 3])
    same[0] = True
    return same


def overlaps(a: Floats, b: Floats) -> Floats:
    """The intersection over union of each box of ``a`` (N x 4 or more) with each of ``b`` (M x 4 or more): N x M."""
    both = _both(a, b)
    areas = (a[:, 2] * a[:, 3])[:, None] + b[:, 2] * b[:, 3] - both
    return both / np.maximum(areas, 1e-9)


def _both(a: Floats, b: Floats) -> Floats:
    ends = np.minimum((a[:, :2] + a[:, 2:4])[:, None], b[:, :2] + b[:, 2:4])
    sides = np.clip(ends - np.maximum(a[:, None, :2], b[:, :2]), 0, None)
    both: Floats = sides[..., 0] * sides[..., 1]
    return both
