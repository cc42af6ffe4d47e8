"""Draws text and outlines on frames: legible on any picture, upright as players show it."""

from collections.abc import Iterator
from colorsys import hsv_to_rgb
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.polygon import Point, Polygon
from workers.vision.laying import Stamp, coded_layer, resized_layer

#: Blue, green and red.
Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_DUPLEX
#: The height of text as a share of the picture's, in pixels at least, and that of FONT_HERSHEY_DUPLEX at scale 1.
_SHARE, _SMALLEST, _FONT_HEIGHT = 0.032, 11, 22
#: How opaque the dark ground of text is, of 255.
_GROUND = 170


class Burner:
    """Makes stamps for frames of one video. Places are in pixels of the picture as shown."""

    def __init__(self, video: VideoStream) -> None:
        self._video = video
        self.height = max(_SMALLEST, round(_SHARE * min(video.shown_size)))
        self._label = lru_cache(maxsize=512)(self._written)

    def text(self, text: str, at: Point, colour: Colour = WHITE) -> Stamp:
        """A line of text on a dark ground; ``at``: its top left corner, moved inside the picture."""
        picture = self._label(text, colour)
        rows, columns = picture.shape[:2]
        wide, high = self._video.shown_size
        x, y = max(0.0, min(at[0], wide - columns)), max(0.0, min(at[1], high - rows))
        return self._stamp(picture, Box(x, y, columns, rows))

    def outline(self, outline: Polygon, colour: Colour) -> Iterator[Stamp]:
        """The sides of an outline, each as far as it lies in the picture."""
        thick = max(1, self.height // 8)
        wide, high = self._video.shown_size
        for (ax, ay), (bx, by) in outline.sides():
            side = [round(n) for n in (ax, ay, bx, by)]
            inside, start, end = cv2.clipLine((-thick, -thick, wide + 2 * thick, high + 2 * thick), side[:2], side[2:])
            if not inside:
                continue
            left, top = min(start[0], end[0]) - thick, min(start[1], end[1]) - thick
            size = abs(start[0] - end[0]) + 2 * thick + 1, abs(start[1] - end[1]) + 2 * thick + 1
            canvas = np.zeros((size[1], size[0], 4), np.uint8)
            ends = [(x - left, y - top) for x, y in (start, end)]
            cv2.line(canvas, ends[0], ends[1], (0, 0, 0, 255), thick + 2)
            cv2.line(canvas, ends[0], ends[1], (*colour, 255), thick)
            yield self._stamp(canvas, Box(left, top, *size))

    def _written(self, text: str, colour: Colour) -> NDArray[np.uint8]:
        scale = self.height / _FONT_HEIGHT
        thick = max(1, round(scale * 1.2))
        (wide, high), below = cv2.getTextSize(text, _FONT, scale, thick)
        edge = self.height // 3
        canvas = np.zeros((high + below + 2 * edge, wide + 2 * edge, 4), np.uint8)
        canvas[:, :, 3] = _GROUND
        cv2.putText(canvas, text, (edge, high + edge), _FONT, scale, (*colour, 255), thick, cv2.LINE_AA)
        return canvas

    def _stamp(self, picture: NDArray[np.uint8], shown: Box) -> Stamp:
        """A picture in square pixels, laid where it is shown."""
        box = self._video.coded_box(shown)
        layer = coded_layer(picture, self._video)
        size = max(1, round(box.w)), max(1, round(box.h))
        if layer.shape[1::-1] != size:
            layer = resized_layer(layer, *size)
        return Stamp(layer, round(box.x), round(box.y))


def colour_of(track: int) -> Colour:
    """The colour of a track: neighbours in number are far apart in hue."""
    red, green, blue = hsv_to_rgb(track * 0.618034 % 1, 0.75, 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)
