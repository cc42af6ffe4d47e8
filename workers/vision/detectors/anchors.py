"""Anchors ("prior boxes") of single-shot detectors (Liu et al.: "SSD: Single Shot MultiBox Detector", 2016)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@lru_cache(maxsize=8)
def anchors(width: int, height: int, steps: tuple[int, ...], sizes: tuple[tuple[float, ...], ...]) -> Floats:
    """Centres and sizes, float32 N x 4 (x, y, w, h in pixels), of a picture's anchors; read only.

    For each step, in this order: squares with the sides ``sizes[i]`` around the centre of each cell of ``steps[i]``
    pixels, row by row. A cell that the picture cuts counts.
    """
    made = np.concatenate([_of_step(width, height, step, of) for step, of in zip(steps, sizes, strict=True)])
    made.flags.writeable = False
    return made


@lru_cache(maxsize=8)
def points(width: int, height: int, steps: tuple[int, ...], per_cell: int, at: float) -> Floats:
    """One point in each cell of grids, ``per_cell`` times: float32 N x 4 (x, y, step, step); read only.

    The order is that of :func:`anchors`. ``at``: where in the cell, 0 for its left upper corner.
    """
    made = np.concatenate([_of_step(width, height, step, (step,) * per_cell) for step in steps])
    made[:, :2] += (at - 0.5) * made[:, 2:]
    made.flags.writeable = False
    return made


def _of_step(width: int, height: int, step: int, sizes: Sequence[float]) -> Floats:
    y, x, side = np.meshgrid(
        np.arange(-(-height // step)), np.arange(-(-width // step)), np.array(sizes), indexing="ij"
    )
    return np.stack([(x + 0.5) * step, (y + 0.5) * step, side, side], axis=-1).reshape(-1, 4).astype(np.float32)
