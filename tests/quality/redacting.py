"""Pictures of one face, redacted as the stage redact does it: painted on the planes of a decoded frame."""

from dataclasses import dataclass

import av
import cv2
import numpy as np

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions
from tests.quality.footage import Picture
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.painting import paint

#: How much of the picture around a face comes along, in heights of the face to each side.
_AROUND = 0.6


@dataclass(frozen=True, slots=True)
class Face:
    """A picture of a face and some of what is around it, and the face's box in it."""

    picture: Picture
    box: Box

    def cut(self, square: Box) -> Picture:
        """The pixels of a square of this picture, which may begin between pixels and reach beyond the edge."""
        side = max(8, round(square.w))
        scale = square.w / side
        # pixel centres: (0, 0) of the cut is half a (scaled) pixel inside the square
        move = np.array([[scale, 0, square.x + scale / 2 - 0.5], [0, scale, square.y + scale / 2 - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(self.picture, move, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )


def face_at_height(picture: Picture, box: Box, height: float, *, shift: tuple[float, float] = (0, 0)) -> Face:
    """A face of ``picture`` at ``height`` pixels, with its surroundings; moved by ``shift`` pixels, which may be parts.

    Enlarged bicubically; where it shrinks, the picture is averaged first, as a camera does.
    """
    scale = height / box.h
    if scale < 1:
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        across, down = size[0] / picture.shape[1], size[1] / picture.shape[0]
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        # one resize has rounded the size: the rest of the scale is done below
        placed = Box(box.x * across, box.y * down, box.w * across, box.h * down)
        picture, box, scale = small, placed, height / placed.h
    around = _AROUND * height
    width = 2 * round((box.w * scale + 2 * around) / 2)
    tall = 2 * round((height + 2 * around) / 2)
    x, y = around - box.x * scale + shift[0], around - box.y * scale + shift[1]
    move = np.array([[scale, 0, x + scale / 2 - 0.5], [0, scale, y + scale / 2 - 0.5]])
    shown = cv2.warpAffine(picture, move, (width, tall), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return Face(np.asarray(shown, np.uint8), Box(around + shift[0], around + shift[1], box.w * scale, height))


def redacted(face: Face, options: RedactOptions, box: Box | None = None) -> Face:
    """The face as a redacted video shows it, in yuv420p but before the encoder; ``box``: covered instead of its own."""
    frame = av.VideoFrame.from_ndarray(face.picture, format="bgr24").reformat(format="yuv420p")
    paint(frame, [box or face.box], create_redactor(options), options)
    return Face(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), box or face.box)
