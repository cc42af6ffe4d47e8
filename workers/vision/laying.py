"""Lays pictures with transparency over a decoded frame: in its own planes, depth, matrix and range."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.orientation import INVERSE
from farm.domain.pixels import PixelFormat
from farm.errors import SettingsError
from farm.media.planes import Plane, format_of, groups_of, is_full_range, matrix_of
from workers.vision.colours import PQ, bgr_matrix, pq_curve_of_srgb
from workers.vision.scaling import upright

#: Rows x columns x blue, green, red and alpha, uint8; the colours are multiplied by alpha.
Layer = NDArray[np.uint8]
_Real = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """A layer at a place of the coded picture: of its top left corner, in pixels, also outside."""

    layer: Layer
    x: int
    y: int

    @property
    def box(self) -> Box:
        """Where it is."""
        return Box(self.x, self.y, self.layer.shape[1], self.layer.shape[0])


def load_layer(path: Path, video: VideoStream) -> Layer:
    """A PNG file as a layer for frames of ``video``: turned as the coded picture is. Raises SettingsError."""
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.ndim != 3 or read.shape[2] != 4 or read.dtype != np.uint8:
        raise SettingsError(f"{path.name}: is no picture of the farm")
    return coded_layer(np.asarray(read, np.uint8), video)


def coded_layer(bgra: NDArray[np.uint8], video: VideoStream) -> Layer:
    """An upright picture (blue, green, red, alpha) as a layer for frames of ``video``, still in square pixels."""
    colours = bgra[:, :, :3]
    if video.color_transfer == PQ:
        colours = pq_curve_of_srgb()[colours]
    alpha = bgra[:, :, 3:].astype(np.uint16)
    layer = np.concatenate([((colours * alpha + 127) // 255).astype(np.uint8), bgra[:, :, 3:]], axis=2)
    turn = INVERSE.get(video.orientation, video.orientation)
    return np.ascontiguousarray(upright(layer, turn))


def fitted(layer: Layer, box: Box, aspect: float) -> Stamp:
    """A layer as large as fits into a box, in its middle. ``aspect``: how much wider than high pixels are shown."""
    high, wide = layer.shape[:2]
    scale = min(box.w * aspect / wide, box.h / high)
    columns, rows = max(1, round(wide * scale / aspect)), max(1, round(high * scale))
    x, y = box.centre
    return Stamp(resized_layer(layer, columns, rows), round(x - columns / 2), round(y - rows / 2))


def resized_layer(layer: Layer, columns: int, rows: int) -> Layer:
    """A layer at another size."""
    smaller = columns * rows < layer.shape[0] * layer.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cast("Layer", cv2.resize(layer, (columns, rows), interpolation=way))


def lay(frame: av.VideoFrame, stamps: Iterable[Stamp], *, fields: bool = False) -> None:
    """Lay stamps over a frame, one after the other. What is transparent shows the frame; alpha of the frame is kept.

    ``fields``: the frame is interlaced; chroma samples of one field take nothing from lines of the other. Raises
    SourceError for a pixel format that cannot be painted on.
    """
    pixels = format_of(frame.format.name)
    step = 2 if fields else 1
    align = max(pixels.across, pixels.down * step)
    cut = [part for stamp in stamps if (part := _inside(stamp, frame.width, frame.height, align)) is not None]
    if not cut:
        return
    frame.make_writable()
    full = is_full_range(frame)
    mixed = [_components(stamp.layer, frame, pixels, full=full) for stamp in cut]
    first_component = 0
    for planes, (across, down), _ in groups_of(frame):
        for stamp, (components, alpha) in zip(cut, mixed, strict=True):
            for line in range(step):
                parts = [plane[line::step] for plane in planes]
                shown = [components[first_component + n][line::step] for n in range(len(planes))]
                at = stamp.x // across, stamp.y // (down * step)
                _blend(parts, shown, alpha[line::step], at, (across, down), (1 << pixels.bits) - 1)
        first_component += len(planes)


def _inside(stamp: Stamp, width: int, height: int, align: int) -> Stamp | None:
    """What of a stamp lies in the picture, transparent up to multiples of ``align`` on each side; None if nothing."""
    left, top = max(0, stamp.x), max(0, stamp.y)
    right, bottom = (min(a, b) for a, b in zip((width, height), _ends(stamp), strict=True))
    if right <= left or bottom <= top:
        return None
    layer = stamp.layer[top - stamp.y : bottom - stamp.y, left - stamp.x : right - stamp.x]
    x, y = left // align * align, top // align * align
    return Stamp(np.pad(layer, ((top - y, -bottom % align), (left - x, -right % align), (0, 0))), x, y)


def _ends(stamp: Stamp) -> tuple[int, int]:
    return stamp.x + stamp.layer.shape[1], stamp.y + stamp.layer.shape[0]


def _components(
    layer: Layer, frame: av.VideoFrame, pixels: PixelFormat, *, full: bool
) -> tuple[Sequence[_Real], _Real]:
    """The layer in the frame's components, in the order of its planes, and alpha from 0 to 1: all multiplied by it."""
    alpha: _Real = layer[:, :, 3].astype(np.float32) / np.float32(255)
    top = float((1 << pixels.bits) - 1)
    if pixels.family == "rgb":
        return [layer[:, :, n].astype(np.float32) * np.float32(top / 255) for n in (1, 0, 2)], alpha
    turn = _from_bgr(matrix_of(int(frame.colorspace), frame.height), full)
    linear = layer[:, :, :3].astype(np.float32) @ turn[:, :3].T
    deeper = np.float32(top / 255 if full else 1 << (pixels.bits - 8))
    offsets = turn[0, 3] * deeper, np.float32(pixels.neutral), np.float32(pixels.neutral)
    return [linear[:, :, n] * deeper + offset * alpha for n, offset in enumerate(offsets)], alpha


@lru_cache(maxsize=8)
def _from_bgr(matrix: int, full: bool) -> _Real:
    """The 3 x 4 affine map from (B, G, R) to (Y, Cb, Cr), of 8 bits."""
    back = bgr_matrix(matrix, full=full).astype(np.float64)
    turn = np.linalg.inv(back[:, :3])
    offset = -turn @ back[:, 3]
    return np.hstack([turn, offset[:, None]]).astype(np.float32)


def _blend(
    planes: Sequence[Plane],
    shown: Sequence[_Real],
    alpha: _Real,
    at: tuple[int, int],
    sampling: tuple[int, int],
    peak: int,
) -> None:
    """Blend components into planes with one sample per ``sampling`` pixels, from the sample ``at`` (x, y) on.

    ``peak``: the greatest value that a sample can hold; full-range chroma of pure colours is half a step above.
    """
    weights = _means(alpha, *sampling)
    for plane, component in zip(planes, shown, strict=True):
        rows, columns = slice(at[1], at[1] + weights.shape[0]), slice(at[0], at[0] + weights.shape[1])
        target = plane[rows, columns]
        high, wide = target.shape
        mixed = target * (1 - weights[:high, :wide]) + _means(component, *sampling)[:high, :wide]
        target[...] = np.clip(np.rint(mixed), 0, peak).astype(plane.dtype)


def _means(values: _Real, across: int, down: int) -> _Real:
    """The mean of each block of ``across`` x ``down``."""
    if (across, down) == (1, 1):
        return values
    rows, columns = values.shape[0] // down, values.shape[1] // across
    means: _Real = values[: rows * down, : columns * across].reshape(rows, down, columns, across).mean(axis=(1, 3))
    return means
