"""Two face networks as one that is better than either: what both hold for a face, even weakly, is one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.domain.fusion import Fusion
from workers.vision.detectors.merging import overlaps
from workers.vision.detectors.scores import Floats

_FLOOR = 0.03  # added to a score and to what it lacks: 0 and 1 are no certainty
_SAME = 0.3  # intersection over union from which boxes of both networks are of one face


class Fused(NamedTuple):
    """Boxes of two networks: N x 4 (x, y, w, h), and the raw scores of both (0 where one has none), N each."""

    boxes: Floats
    first: Floats
    second: Floats


def paired(first: Floats, second: Floats) -> Fused:
    """The boxes of two networks, N x 5 or more (x, y, w, h, raw score), each a face once: best pairs first.

    A pair has the box of the first network.
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
        np.concatenate([first[:, :4], second[alone, :4]]),
        np.concatenate([first[:, 4], np.zeros(len(alone))]),
        np.concatenate([np.array(of_second), second[alone, 4]]),
    )


def features(first: Floats, second: Floats, heights: Floats) -> Floats:
    """What the logistic sums up, N x 4, of raw scores and of heights in pixels of the first network's picture."""
    one, logits = np.ones_like(first), [np.log((s + _FLOOR) / (1 + _FLOOR - s)) for s in (first, second)]
    return np.stack([one, *logits, np.log(heights / 32)], axis=1)


def probability(fusion: Fusion, first: Floats, second: Floats, heights: Floats) -> NDArray[np.float64]:
    """How likely each box is a face, 0 to 1."""
    sums = features(first, second, heights) @ np.array(fusion.weights)
    return np.asarray(1 / (1 + np.exp(-sums)), np.float64)
