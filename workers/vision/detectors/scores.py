"""Raw scores of networks, normalised: 0.5 is where a detection may begin a track, whatever the network and the size."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import BIRTH, WEAK
from farm.domain.detectors import Heights

Floats = NDArray[np.float64]


def normalised(
    raw: NDArray[np.floating], heights: NDArray[np.floating], thresholds: Heights, override: float | None = None
) -> Floats:
    """Scores (N, 0 to 1) from raw ones (N, 0 to 1), by the heights of the boxes (N, in pixels of the network).

    The threshold of a box's height becomes BIRTH; below and above it, the scale is linear. ``override``: the one
    threshold for every height.
    """
    raw = raw.astype(np.float64)
    t = thresholds_of(thresholds, heights) if override is None else np.float64(override)
    above = np.maximum(1 - t, 1e-9)  # no raw score reaches a threshold above 1
    return np.where(raw < t, BIRTH * raw / t, BIRTH + (1 - BIRTH) * (raw - t) / above)


def lowered(thresholds: Mapping[str, Heights], factor: float) -> dict[str, Heights]:
    """Thresholds by kind, all of them multiplied by ``factor``."""
    return {kind: tuple((end, t * factor) for end, t in heights) for kind, heights in thresholds.items()}


def thresholds_of(thresholds: Heights, heights: NDArray[np.floating]) -> Floats:
    """The threshold of each height."""
    ends, values = np.array(thresholds, np.float64).T
    found: Floats = values[np.searchsorted(ends, heights, side="right")]
    return found


def least_of(thresholds: Iterable[Heights], override: float | None = None) -> float:
    """The least raw score that may be as much as WEAK, for any height."""
    least = override if override is not None else min(t for heights in thresholds for _, t in heights)
    return least * WEAK / BIRTH
