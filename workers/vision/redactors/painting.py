"""Painting covers on a decoded frame's own planes, in their own depth."""

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import av
import numpy as np

from farm.domain.options import Look, RedactOptions
from farm.domain.polygon import Area
from farm.media.planes import Plane, format_of, groups_of
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.covers import FULL, Places, Weights, covers_of

#: Boxes and polygons, what replaces them, and their shape and margin.
Group = tuple[Iterable[Area], Redactor, RedactOptions | Look]

_SHIFT = np.int8(FULL.bit_length() - 1)
_HALF = np.int8(FULL // 2)
#: Samples that are blended at once: more do not stay in a core's cache.
_AT_ONCE = 1 << 15


def paint(
    frame: av.VideoFrame, boxes: Iterable[Area], redactor: Redactor, options: RedactOptions, *, fields: bool = False
) -> None:
    """Cover the faces ``boxes`` (pixels of the coded picture, without the margin) in ``frame``. Alpha is kept.

    The decoder still refers to the frame's buffers, so they are copied first unless there is nothing to cover. All
    replacements are made from the original pixels before any is painted: nothing is redacted twice. Covers are
    painted in their sort order, whatever the order of the boxes.

    ``fields``: the frame is interlaced. Its two fields show different moments, so each is painted as a separate
    picture, and no pixel of one affects the other.

    Raises SourceError for a pixel format that cannot be painted on.
    """
    paint_all(frame, [(boxes, redactor, options)], fields=fields)


def paint_all(frame: av.VideoFrame, groups: Iterable[Group], *, fields: bool = False) -> None:
    """As :func:`paint`, for boxes that are covered in several ways: boxes, redactor and look of each."""
    pixels = format_of(frame.format.name)
    covers = sorted(
        (
            (cover, redactor)
            for boxes, redactor, look in groups
            for cover in covers_of(boxes, frame.width, frame.height, look, pixels, fields=fields)
        ),
        key=itemgetter(0),
    )
    if not covers:
        return
    frame.make_writable()
    step = 2 if fields else 1
    shapes, redactors = zip(*covers, strict=True)
    for planes, (across, down), black in groups_of(frame):
        places = Places(shapes, across, down * step)
        for first in range(step):
            _paint_planes([plane[first::step] for plane in planes], redactors, places, black)


def _paint_planes(planes: Sequence[Plane], redactors: Sequence[Redactor], places: Places, black: int) -> None:
    """Paint covers, which lie at ``places``, on planes of one sampling."""
    patches = [[Patch(plane[rows, columns], cells, black) for plane in planes] for rows, columns, cells in places]
    contents: list[list[Plane]] = [[] for _ in patches]
    for redactor in set(redactors):
        # a field of a frame with one line has none
        own = [n for n, one in enumerate(redactors) if one is redactor and patches[n][0].pixels.size]
        made = iter(redactor([patch for n in own for patch in patches[n]]))
        for n in own:
            contents[n] = list(islice(made, len(planes)))
    for covered, content, weights in zip(patches, contents, places.weights(), strict=True):
        if content:
            # the second field of a frame of odd height has one row less than the first
            _blend([patch.pixels for patch in covered], content, weights[: len(covered[0].pixels)])


def _blend(targets: Sequence[Plane], shown: Sequence[Plane], weights: Weights) -> None:
    """Blend planes into ``targets`` in place, by weight; at FULL the result is exactly what is shown."""
    if weights.size > _AT_ONCE and len(weights) > 1:
        half = len(weights) // 2
        for rows in (slice(half), slice(half, None)):
            _blend([target[rows] for target in targets], [plane[rows] for plane in shown], weights[rows])
        return
    # the greatest change times FULL: 255 x 128 fits 16 bits, 65535 x 128 fits 32
    signed: type[np.signedinteger[Any]] = np.int16 if targets[0].itemsize == 1 else np.int32
    before, change = np.array(targets, signed), np.array(shown, signed)
    change -= before
    change *= weights
    change += _HALF
    change >>= _SHIFT
    change += before
    for target, mixed in zip(targets, change, strict=True):
        target[...] = mixed
