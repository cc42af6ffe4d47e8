"""Two face networks as one that is better than either: what both hold for a face, even weakly, is one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from farm.domain.detectors import Heights
from farm.domain.fusion import Fusion
from workers.vision.detectors.merging import overlaps
from workers.vision.detectors.scores import Floats, normalised

_FLOOR = 0.03  # added to a score and to what it lacks: 0 and 1 are no certainty
_SAME = 0.3  # intersection over union from which boxes of both networks are of one face


class Fused(NamedTuple):
    """Boxes of two networks, N x 6 as theirs, and the raw scores of both (0 where one has none), N each."""

    boxes: Floats
    first: Floats
    second: Floats


def paired(first: Floats, second: Floats) -> Fused:
    """The boxes of two networks, N x 6 (x, y, w, h, raw score, anything), each a face once.

    Of a pair it has the box of the first network.
    """
    ious = overlaps(first, second)
    partner: dict[int, int] = {}
    for at in np.argsort(-ious, axis=None, kind="stable"):
        i, j = divmod(int(at), max(1, len(second)))
        if ious[i, j] < _SAME:
            break
        if i not in partner and j not in partner.values():
            partner[i] = j
    alone = [j for j in range(len(second)) if j not in partner.values()]
    of_second = [second[partner[i], 4] if i in partner else 0.0 for i in range(len(first))]
    return Fused(
        np.concatenate([first, second[alone]]),
        np.concatenate([first[:, 4], np.zeros(len(alone))]),
        np.concatenate([np.array(of_second), second[alone, 4]]),
    )


def features(first: Floats, second: Floats, heights: Floats) -> Floats:
    """What the logistic sums up, N x 4, of raw scores and of heights in pixels of the first network's picture."""
    one, logits = np.ones_like(first), [np.log((s + _FLOOR) / (1 + _FLOOR - s)) for s in (first, second)]
    return np.stack([one, *logits, np.log(heights / 32)], axis=1)


def probability(weights: Sequence[float], first: Floats, second: Floats, heights: Floats) -> Floats:
    """How likely each box is a face, 0 to 1. ``weights``: of the features."""
    sums = features(first, second, heights) @ np.array(weights)
    return np.asarray(1 / (1 + np.exp(-sums)), np.float64)


def fused_scores(fusion: Fusion, own: Heights, found: Fused, heights: Floats, override: float | None) -> Floats:
    """Normalised scores of boxes: from both networks' raw scores, and never below the first network's own.

    So a second network covers more and nothing less. ``own``: thresholds of the first network; ``heights``: in pixels
    of its picture; ``override``: as for :func:`workers.vision.detectors.scores.normalised`.
    """
    p = probability(fusion.weights, found.first, found.second, heights)
    together = normalised(p, heights, fusion.thresholds, override)
    return np.maximum(together, normalised(found.first, heights, own, override))
