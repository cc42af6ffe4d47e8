"""Colour conversion for detectors: YUV to BGR, and HDR to SDR."""

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

#: The transfer characteristics of HDR10 (H.273, table 3): SMPTE ST 2084, "PQ".
PQ = 16

_BT709, _YCGCO, _BT2020 = 1, 8, 9
#: Kr and Kb of the matrices that are not BT.601's (H.273, table 4); 4 is FCC's, 7 SMPTE 240M's, 10 BT.2020 constant.
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
#: cd/m2 of diffuse white in HDR (BT.2408), and of the peak of PQ.
_WHITE, _BRIGHTEST = 203.0, 10_000.0
#: The level, 0 to 1, to which diffuse white is mapped; brighter light takes the rest.
_WHITE_LEVEL = 0.9
_DISPLAY_GAMMA = 2.4  # BT.1886


@lru_cache(maxsize=16)
def bgr_matrix(matrix: int, *, full: bool) -> NDArray[np.float32]:
    """The 3 x 4 affine map from (Y, Cb, Cr) to (B, G, R), all 0 to 255 (H.273, equations 38 ff.)."""
    luma, chroma, low = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    if matrix == _YCGCO:
        rows = np.array([[luma, -chroma, -chroma], [luma, chroma, 0], [luma, -chroma, chroma]])
    else:
        red, blue = _WEIGHTS.get(matrix, (0.299, 0.114))
        green = 1 - red - blue
        cb, cr = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
        rows = np.array([[luma, cb, 0], [luma, -cb * blue / green, -cr * red / green], [luma, 0, cr]])
    offset = -rows @ np.array([low, 128, 128])
    return np.hstack([rows, offset[:, None]]).astype(np.float32)


def tone_mapped(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A PQ picture (uint8 H x W x 3) mapped to SDR contrast, for detection only."""
    return cast("NDArray[np.uint8]", cv2.LUT(bgr, _pq_curve()))


@lru_cache(maxsize=1)
def _pq_curve() -> NDArray[np.uint8]:
    """The tone curve from PQ codes (0 to 255) to BT.1886 codes; light above white is compressed logarithmically."""
    light = pq_light(np.arange(256) / 255) / _WHITE
    dark = _WHITE_LEVEL * np.minimum(light, 1) ** (1 / _DISPLAY_GAMMA)
    bright = np.log(np.maximum(light, 1)) / np.log(_BRIGHTEST / _WHITE)
    curve: NDArray[np.float64] = np.rint(255 * (dark + (1 - _WHITE_LEVEL) * bright))
    return curve.astype(np.uint8)


@lru_cache(maxsize=1)
def pq_curve_of_srgb() -> NDArray[np.uint8]:
    """PQ codes (0 to 255) for the codes of sRGB (IEC 61966-2-1), white as bright as in HDR (BT.2408)."""
    codes = np.arange(256) / 255
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4) * _WHITE
    levels = np.interp(light, pq_light(np.arange(1024) / 1023), np.arange(1024) / 1023)
    curve: NDArray[np.float64] = np.rint(255 * levels)
    return curve.astype(np.uint8)


def pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The light in cd/m2 of a PQ signal, 0 to 1 (SMPTE ST 2084, equation 4.1; BT.2100, table 4)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    light: NDArray[np.float64] = _BRIGHTEST * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return light
