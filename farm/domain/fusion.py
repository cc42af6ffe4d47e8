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
            (12, 0.035),
            (16, 0.049),
            (20, 0.07),
            (24, 0.092),
            (32, 0.126),
            (40, 0.175),
            (48, 0.223),
            (64, 0.29),
            (96, 0.407),
            (128, 0.536),
            (192, 0.66),
            (inf, 0.786),
        ),
        least=0.05,
    ),
    ("centerface", "yunet-n"): Fusion(
        weights=(1.284, 1.394, 0.299, 0.555),
        thresholds=(
            (12, 0.031),
            (16, 0.044),
            (20, 0.064),
            (24, 0.084),
            (32, 0.116),
            (40, 0.161),
            (48, 0.206),
            (64, 0.27),
            (96, 0.384),
            (128, 0.511),
            (192, 0.638),
            (inf, 0.769),
        ),
        least=0.05,
    ),
    # end of what is fitted
}
