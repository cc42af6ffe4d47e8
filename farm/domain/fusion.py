"""How the scores of two networks that look for faces together become one."""

from dataclasses import dataclass, replace
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

    def lowered(self, factor: float) -> "Fusion":
        """The same with all thresholds multiplied by ``factor``."""
        return replace(self, thresholds=tuple((end, t * factor) for end, t in self.thresholds))


#: By the names of both networks.
FUSIONS = {
    # fitted: written by make fit-fusion
    ("centerface", "yunet"): Fusion(
        weights=(1.342, 1.561, 0.188, 0.575),
        thresholds=(
            (12, 0.034),
            (16, 0.048),
            (20, 0.068),
            (24, 0.091),
            (32, 0.124),
            (40, 0.172),
            (48, 0.22),
            (64, 0.286),
            (96, 0.402),
            (128, 0.531),
            (192, 0.656),
            (inf, 0.783),
        ),
        least=0.05,
    ),
    ("centerface", "yunet-n"): Fusion(
        weights=(1.284, 1.394, 0.299, 0.555),
        thresholds=(
            (12, 0.031),
            (16, 0.043),
            (20, 0.062),
            (24, 0.083),
            (32, 0.114),
            (40, 0.158),
            (48, 0.203),
            (64, 0.266),
            (96, 0.379),
            (128, 0.506),
            (192, 0.633),
            (inf, 0.766),
        ),
        least=0.05,
    ),
    # end of what is fitted
}
