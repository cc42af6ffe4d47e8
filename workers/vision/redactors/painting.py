"""Painting covers on a decoded frame's own planes, in their own depth."""

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from farm.domain.options import Look, RedactOptions
from farm.domain.polygon import Area
from farm.media.planes import Plane, format_of, groups_of
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.covers import FULL, Places, Weights, covers_of

_Signed = TypeVar("_Signed", np.int16, np.int32)
#: Boxes and polygons, what replaces them, and their shape and margin.
Group = tuple[Iterable[Area], Redactor, RedactOptions | Look]


def _rounding(signed: type[_Signed]) -> tuple[type[_Signed], NDArray[_Signed], NDArray[_Signed]]:
    """A type, and in it what is added and the shift that then divides by FULL: of another type, numpy converts them."""
    return signed, np.array(FULL // 2, signed), np.array(FULL.bit_length() - 1, signed)


_NARROW, _WIDE = _rounding(np.int16), _rounding(np.int32)
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
            fitting = weights[: len(covered[0].pixels)]
            for patch, shown in zip(covered, content, strict=True):
                _blend(patch.pixels, shown, fitting)


def _blend(target: Plane, shown: Plane, weights: Weights) -> None:
    """Blend ``shown`` into ``target`` in place, by weight; at FULL the result is exactly ``shown``."""
    if weights.size > _AT_ONCE and len(weights) > 1:
        half = len(weights) // 2
        for rows in (slice(half), slice(half, None)):
            _blend(target[rows], shown[rows], weights[rows])
        return
    # the greatest change times FULL: 255 x 128 fits 16 bits, 65535 x 128 fits 32
    signed, half_step, shift = _NARROW if target.itemsize == 1 else _WIDE
    before: NDArray[np.signedinteger[Any]] = target.astype(signed)
    change: NDArray[np.signedinteger[Any]] = shown.astype(signed)
    change -= before
    change *= weights
    change += half_step
    change >>= shift
    change += before
    target[...] = change
