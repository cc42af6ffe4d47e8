"""How the scores of two networks that look for faces together become one."""

from dataclasses import dataclass
from math import inf

from farm.domain.detectors import Heights


@dataclass(frozen=True, slots=True)
class Fusion:
    """A logistic regression, and the probabilities from which a box may begin a track, by height.

    ``weights``: of :func:`workers.vision.detectors.fusing.features`. Boxes with raw scores below ``least`` are left
    out. Heights are in pixels of the first network's picture.
    """

    weights: tuple[float, ...]
    thresholds: Heights
    least: float


#: By the names of both networks.
FUSIONS = {
    # fitted: written by make fit-fusion
    ("centerface", "yunet"): Fusion(
        weights=(-3.566, 8.704, 1.894, 1.089, 0.36),
        thresholds=((16, 0.056), (24, 0.084), (48, 0.137), (96, 0.241), (inf, 0.421)),
        least=0.05,
    ),
    # end of what is fitted
}
