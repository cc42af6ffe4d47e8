"""From a frame's planes straight to the small BGR picture that a detector looks at."""

from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import SIGNATURE_SIZE
from workers.planes import Plane, is_full_range, planes_of
from workers.resampling import shrunk

_BT709, _BT2020 = 1, 9
#: Kr and Kb of the matrices that are not BT.601's (H.273, table 4); 4 is FCC's, 7 SMPTE 240M's, 10 BT.2020 constant.
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_UNSPECIFIED = 2
_RGB_CODED = 0


@dataclass(frozen=True, slots=True)
class Small:
    """A frame as a detector sees it: ``bgr`` uint8 H x W x 3, and the signature of its luma for finding cuts."""

    pts: int
    bgr: NDArray[np.uint8]
    signature: bytes


def small_picture(frame: av.VideoFrame, width: int, height: int) -> Small:
    """The frame as ``width`` x ``height`` BGR, by its own matrix and range, with its signature."""
    planes = [shrunk(plane, width, height) for plane in planes_of(frame)]
    luma = planes[0]
    while len(planes) < 3:
        planes.append(np.full_like(luma, 128))
    # YUV to RGB in one affine map; OpenCV rounds and saturates
    matrix = _to_bgr(_matrix_of(frame), is_full_range(frame))
    bgr: NDArray[np.uint8] = cv2.transform(cv2.merge(planes), matrix)  # type: ignore[assignment]
    assert frame.pts is not None
    return Small(frame.pts, bgr, signature(luma))


def signature(luma: Plane) -> bytes:
    """The tiny luma picture of :data:`farm.domain.detection.SIGNATURE_SIZE`, row by row."""
    return cv2.resize(luma, SIGNATURE_SIZE, interpolation=cv2.INTER_AREA).tobytes()


def _matrix_of(frame: av.VideoFrame) -> int:
    """The frame's matrix coefficients; where it says nothing, BT.709 from 720 lines up, as players assume."""
    said = int(frame.colorspace)
    if said in (_UNSPECIFIED, _RGB_CODED):
        return _BT709 if frame.height >= 720 else 6
    return said


@lru_cache(maxsize=16)
def _to_bgr(matrix: int, full: bool) -> NDArray[np.float32]:
    """The 3 x 4 affine map from (Y, Cb, Cr) to (B, G, R), all 0 to 255 (H.273, equations 38 ff.)."""
    red, blue = _WEIGHTS.get(matrix, (0.299, 0.114))
    green = 1 - red - blue
    luma, chroma, low = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    cb, cr = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    rows = np.array(
        [
            [luma, cb, 0],
            [luma, -cb * blue / green, -cr * red / green],
            [luma, 0, cr],
        ]
    )
    offset = -rows @ np.array([low, 128, 128])
    return np.hstack([rows, offset[:, None]]).astype(np.float32)
