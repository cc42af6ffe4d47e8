"""Compares sampled frames of a segment with the encoder's input, plane by plane.

PSNR is 10 log10(peak² / MSE), peak the greatest value that the samples' bits can hold (Q. Huynh-Thu, M. Ghanbari,
"Scope of validity of PSNR in image/video quality assessment", Electronics Letters 44, 2008; as they advise, it is only
compared between pictures of the same content). How low it may be depends on the encoder's quality
(:meth:`farm.media.encoding.encoders.Encoder.lowest_psnr`) and on the picture: noise at the worst quality is hardly
better than grey. Limits lie below the worst measured value: uniform noise, moving patterns, gradients and footage with
each encoder at its best and worst quality.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, log10

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.domain.encoding import EncoderSettings
from farm.domain.geometry import Box, Region, covering_region
from farm.domain.pixels import pixel_format
from farm.errors import VerificationError
from farm.media.encoding.encoders import ENCODERS
from farm.media.planes import Plane, format_of, planes_of

#: Upper limits of the frames of a chunk that are compared, and of their bytes; the first and last frame always are.
FRAMES = 8
BYTES = 64 * 2**20
#: How far an encoder's blocks and filters spread a cover: samples of luma on each side.
GROWN = 16
#: Another picture (moved, or of another time) may be this much nearer than the right one, in dB; 2.5 was measured.
NEARER = 6.0
#: Above this PSNR a picture is taken to be the right one without comparing it with others.
_GOOD = 35.0
_MOVES = ((0, 1), (1, 0), (0, 2), (2, 0), (0, -1), (-1, 0), (0, -2), (-2, 0))
#: Below this lowest PSNR the quality is among the worst, where an encode may be no better than a flat picture.
_POOR = 7.0


def psnr(error: float, peak: int) -> float:
    """PSNR in dB of a mean squared ``error``; infinite if it is 0."""
    return inf if error <= 0 else 10 * log10(peak * peak / error)


def squared_error(one: Plane, other: Plane) -> float:
    """The sum of squared differences."""
    difference = np.subtract(one, other, dtype=np.float32).ravel()
    return float(np.dot(difference, difference))


@dataclass(frozen=True, slots=True)
class _Sample:
    """A frame as the encoder got it, and where it is covered."""

    planes: list[Plane]
    covers: list[Region]


class Samples:
    """A few frames of a chunk as the encoder got them. Memory is bounded, whatever the chunk's length.

    ``offer`` every frame while they are encoded; :func:`farm.media.verifying.verify_segment.verify_segment` compares.
    ``psnr``: the lowest of all compared frames and planes, away from the covers; infinite if nothing differs.
    """

    def __init__(self, frames: int, settings: EncoderSettings, scale: float = 1.0) -> None:
        """``frames``: how many the chunk has. ``scale``: the output's width as a share of the source's."""
        self._scale = scale
        layout = pixel_format(settings.pix_fmt)
        pixel = 4 * (2 if layout is not None and layout.bits > 8 else 1)  # not less than any format's bytes
        most = max(2, min(FRAMES, BYTES // (settings.width * settings.height * pixel)))
        self._wanted = frozenset(sampled(frames, most))
        self._held: dict[int, _Sample] = {}
        self._lowest = ENCODERS[settings.encoder].lowest_psnr(settings.options)
        self.psnr = inf
        self.compared = 0

    def offer(self, index: int, frame: VideoFrame, covers: Iterable[Box]) -> None:
        """Copies the ``index``-th frame of the chunk if it is one of those to compare.

        ``frame``: painted, as passed to the encoder. ``covers``: boxes in the source's pixels that hold everything
        painted; read only if the frame is kept.
        """
        if index in self._wanted:
            grown = [self._grown(box, frame.width, frame.height) for box in covers]
            self._held[index] = _Sample([plane.copy() for plane in planes_of(frame, alpha=True)], grown)

    def _grown(self, box: Box, width: int, height: int) -> Region:
        x, y, w, h = (side * self._scale for side in (box.x, box.y, box.w, box.h))
        return covering_region(Box(x - GROWN, y - GROWN, w + 2 * GROWN, h + 2 * GROWN), width, height, align=4)

    def compare(self, index: int, frame: VideoFrame, where: str) -> None:
        """Compares the ``index``-th frame of the segment with its sample, if it was sampled.

        Raises VerificationError, beginning with ``where``, when it is not the picture that the encoder got.
        """
        sample = self._held.get(index)
        if sample is None:
            return
        planes, layout = planes_of(frame, alpha=True), format_of(frame.format.name)
        peak = (1 << layout.bits) - 1
        for number, (want, got) in enumerate(zip(sample.planes, planes, strict=True)):
            if want.shape != got.shape:
                raise VerificationError(f"{where}: its planes have another size")
            across, down = (layout.across, layout.down) if number in (1, 2) else (1, 1)
            self._plane(where, number, want, got, [_scaled(c, across, down) for c in sample.covers], peak)
        self._nearer(where, index, planes[0], peak)
        self.compared += 1

    def end(self) -> None:
        """Raises VerificationError if a frame that was to be compared was not."""
        if self.compared != len(self._wanted):
            raise VerificationError(f"{self.compared} of {len(self._wanted)} sampled frames were compared")

    def _plane(self, where: str, number: int, want: Plane, got: Plane, covers: Sequence[Region], peak: int) -> None:
        away, outside, inside = _split_error(want, got, covers)
        lowest = self._lowest
        if lowest < inf:
            # a flat grey picture is worse, unless this one hardly differs from that or the quality is the worst
            flat = psnr(float(np.var(want[::2, ::2])), peak)
            luma = flat + (1 if lowest > _POOR else -2)
            lowest = max(lowest, min(luma, 24) if number in (0, 3) else min(flat - 8, 20))
        for place, (error, count) in (("", (away, outside)), (" where it is covered", (inside, want.size - outside))):
            # too few samples say nothing: an encoder may lose a corner
            if count < min(want.size, 256):
                continue
            value = psnr(error / count, peak)
            if not place:
                self.psnr = min(self.psnr, value)
            if value < lowest:
                least = "it has to be equal" if lowest == inf else f"at least {lowest:.1f} are expected"
                raise VerificationError(
                    f"{where}: is another picture than the one that was encoded{place}: "
                    f"plane {number} has a PSNR of {value:.1f} dB, {least}"
                )

    def _nearer(self, where: str, index: int, got: Plane, peak: int) -> None:
        """Raises VerificationError if another sampled frame, or the right one moved, fits far better."""
        own = self._held[index].planes[0]
        value = psnr(squared_error(own, got) / own.size, peak)
        if value >= _GOOD:
            return
        for other, sample in self._held.items():
            if other != index and psnr(squared_error(sample.planes[0], got) / own.size, peak) > value + NEARER:
                raise VerificationError(f"{where}: shows frame {other} of its chunk, not frame {index}")
        if is_moved(own, got, peak):
            raise VerificationError(f"{where}: its picture is moved")


def is_moved(want: Plane, got: Plane, peak: int, shown: NDArray[np.bool_] | None = None) -> bool:
    """Whether a picture, of it the samples ``shown`` (None: all), fits far better moved by a sample or two."""
    height, width = want.shape
    if min(height, width) < 16:
        return False
    inner = got[2 : height - 2, 2 : width - 2]
    mask = None if shown is None else shown[2 : height - 2, 2 : width - 2]
    count = inner.size if mask is None else int(np.count_nonzero(mask))
    if not count:
        return False

    def value(dy: int, dx: int) -> float:
        difference = np.subtract(want[2 + dy : height - 2 + dy, 2 + dx : width - 2 + dx], inner, dtype=np.float32)
        flat = difference.ravel() if mask is None else difference[mask]
        return psnr(float(np.dot(flat, flat)) / count, peak)

    return max(value(dy, dx) for dy, dx in _MOVES) > value(0, 0) + NEARER


def sampled(frames: int, most: int) -> "array[int]":
    """At most ``most`` (even) of a chunk's frames: pairs of neighbours, evenly spread, with the first and the last."""
    if frames <= most:
        return array("q", range(frames))
    pairs = max(1, most // 2)
    if pairs == 1:
        return array("q", (0, frames - 1))
    starts = [round(place * (frames - 2) / (pairs - 1)) for place in range(pairs)]
    return array("q", sorted({at for start in starts for at in (start, start + 1)}))


def _split_error(want: Plane, got: Plane, covers: Sequence[Region]) -> tuple[float, int, float]:
    """Squared error and number of samples outside of the covers, and the error inside."""
    difference = np.subtract(want, got, dtype=np.float32)
    flat = difference.ravel()
    total = float(np.dot(flat, flat))
    if not covers:
        return total, difference.size, 0.0
    outside = np.ones(difference.shape, bool)
    for cover in covers:
        rows, columns = slice(cover.y0, max(cover.y0, cover.y1)), slice(cover.x0, max(cover.x0, cover.x1))
        difference[rows, columns] = 0
        outside[rows, columns] = False
    away = float(np.dot(flat, flat))
    return away, int(np.count_nonzero(outside)), total - away


def _scaled(region: Region, across: int, down: int) -> Region:
    """A region of luma samples in a plane of fewer."""
    return Region(region.x0 // across, region.y0 // down, -(-region.x1 // across), -(-region.y1 // down))
