"""Anchors ("prior boxes") of single-shot detectors (Liu et al.: "SSD: Single Shot MultiBox Detector", 2016)."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@lru_cache(maxsize=8)
def anchors(width: int, height: int, steps: tuple[int, ...], sizes: tuple[tuple[float, ...], ...]) -> Floats:
    """Centres and sizes, float32 N x 4 (x, y, w, h in pixels), of a picture's anchors; read only.

    For each step, in this order: squares with the sides ``sizes[i]`` around the centre of each cell of ``steps[i]``
    pixels, row by row. A cell that the picture cuts counts.
    """
    parts = [_of_step(width, height, step, of) for step, of in zip(steps, sizes, strict=True)]
    made = np.concatenate(parts).astype(np.float32)
    made.flags.writeable = False
    return made


def count(width: int, height: int, steps: Sequence[int], sizes: Sequence[Sequence[float]]) -> int:
    """How many :func:`anchors` there are."""
    return sum(
        starmap(lambda step, of: len(of) * -(-width // step) * -(-height // step), zip(steps, sizes, strict=True))
    )


def _of_step(width: int, height: int, step: int, sizes: Sequence[float]) -> Floats:
    y, x, side = np.meshgrid(
        np.arange(-(-height // step)), np.arange(-(-width // step)), np.array(sizes), indexing="ij"
    )
    return np.stack([(x + 0.5) * step, (y + 0.5) * step, side, side], axis=-1).reshape(-1, 4)
