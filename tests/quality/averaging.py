"""The attack by temporal averaging: what the frames of a redacted track say together."""

import numpy as np

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions
from tests.quality.footage import Picture
from tests.quality.redacting import Face, face_at_height, redacted

FRAMES = 24
#: How far the boxes of a track lie off the face, as a share of its size: what a detector does from frame to frame.
_OFF = 0.04
#: Half the side of what is averaged, in heights of the face: all of the cover and some of what is around it.
_REACH = 0.85


def averaged(picture: Picture, box: Box, height: float, options: RedactOptions, *, seed: int) -> Face:
    """The average of FRAMES redacted frames of a face of ``height`` pixels, aligned on the face.

    In each, the face is moved by parts of pixels and up to a quarter of its height, and its box lies a little off: the
    cells of the redaction lie elsewhere on the face. The attacker is given the face's true place, to a part of a pixel.
    """
    rng = np.random.default_rng(seed)
    frames, reach = [], _REACH * height
    place = Box(0, 0, 0, 0)
    for _ in range(FRAMES):
        shift = rng.uniform(-0.25, 0.25, 2) * height
        face = face_at_height(picture, box, height, shift=(shift[0], shift[1]))
        off = rng.uniform(-_OFF, _OFF, 4)
        true = face.box
        seen = Box(true.x + off[0] * true.w, true.y + off[1] * true.h, true.w * (1 + off[2]), true.h * (1 + off[3]))
        x, y = true.centre
        frames.append(redacted(face, options, seen).cut(Box(x - reach, y - reach, 2 * reach, 2 * reach)))
        place = true
    mean = np.rint(np.mean(frames, axis=0)).astype(np.uint8)
    scale = mean.shape[0] / (2 * reach)
    wide, high = place.w * scale, place.h * scale
    middle = mean.shape[0] / 2
    return Face(mean, Box(middle - wide / 2, middle - high / 2, wide, high))
