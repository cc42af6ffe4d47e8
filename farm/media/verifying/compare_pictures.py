"""Compares an output's pictures with the source's, block by block: which were replaced, and the quality of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.domain.pixels import PixelFormat
from farm.media.planes import LIMITED_BLACK, Plane, format_of, planes_of
from farm.media.verifying.changed_places import PLACE, ChangedPlaces
from farm.media.verifying.fidelity import is_moved, psnr, squared_error
from farm.media.verifying.packets import seconds

Blocks = NDArray[Any]
#: Samples of luma on a side.
BLOCK = 16
#: Seconds of video per reported window.
WINDOW = 10
#: A block with a lower PSNR (dB) has been changed.
CHANGED = 24.0
#: Chroma is changed below a PSNR lower by this (dB): encoders blur edges between bright colours far more than luma.
_COLOUR = 9.0
#: A cover leaves less than this share of a face's detail, or less than this much: the mean step between samples.
_DETAIL, _SMOOTH = 0.75, 2.0
#: If more than this share of a frame was replaced, or less than this share is left, it is another picture.
_FOREIGN, _LEFT = 0.2, 0.05
#: A face may fill a picture of fewer blocks than this.
_FEW = 8
#: A sample is changed if it differs by more than this (of 255). A small cover has edges in all blocks that it touches,
#: so their smoothness is also measured on their changed samples alone.
_OTHER = 8
#: A block moves if its PSNR (dB) with the frame before is lower; fewer such blocks than this are not judged.
_MOVES, _MOVING = 31.0, 8
_TIMES_NEARER = 4.0
#: Pictures below this PSNR (dB) are checked for a shift, one in this number of frames.
_EVERY, _GOOD = 30, 35.0
#: A sample of a black frame may be this much brighter than black (of 255).
_NOISE = 4


@dataclass(slots=True)
class Window:
    """Ten seconds of video. ``start``: seconds in the output; ``changed``: share of changed blocks.

    ``psnr``: luma PSNR of all other blocks in dB; None if there are none, infinite if nothing differs.
    """

    start: Fraction
    frames: int = 0
    blocks: int = 0
    changed_blocks: int = 0
    error: float = 0.0
    samples: int = 0
    peak: int = 255

    @property
    def changed(self) -> float:
        """See the class."""
        return self.changed_blocks / self.blocks if self.blocks else 0.0

    @property
    def psnr(self) -> float | None:
        """See the class."""
        return psnr(self.error / self.samples, self.peak) if self.samples else None


@dataclass(slots=True)
class Pictures:
    """All pictures compared so far. ``wrong``: a line on each of the first ones that are not the source's."""

    lowest: float
    windows: list[Window] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    wrong_frames: int = 0
    places: ChangedPlaces = field(default_factory=ChangedPlaces)
    black: list[Fraction] = field(default_factory=list)
    _before: "tuple[Plane, Plane] | None" = None

    def take(self, number: int, when: Fraction, source: VideoFrame | None, output: VideoFrame) -> None:
        """Compare a frame at ``when`` seconds with the source's, which is None if it cannot be decoded."""
        got, layout = planes_of(output), format_of(output.format.name)
        peak = (1 << layout.bits) - 1
        black = is_black(got, layout)
        want = None if source is None else planes_of(fitted(source, output))
        if want is None or (black and psnr(squared_error(want[0], got[0]) / got[0].size, peak) < CHANGED):
            if black:
                self.black.append(when)
            else:
                self._fault(number, when, "the source's frame cannot be decoded, and it is not black")
            self._before = None
            self.places.skip()
            return
        if not self.windows or when >= self.windows[-1].start + WINDOW:
            self.windows.append(Window(when, peak=peak))
        window = self.windows[-1]
        window.frames += 1
        colours = _colours_changed(want, got, layout, _error(self._changed - _COLOUR, peak))
        self._compare(number, when, want[0], got[0], window, colours)

    @property
    def _changed(self) -> float:
        return min(CHANGED, self.lowest)

    def _compare(
        self, number: int, when: Fraction, want: Plane, got: Plane, window: Window, colours: Blocks | None
    ) -> None:
        finer, counts = block_errors(want, got, side=PLACE)
        errors, sizes = _paired(finer), _paired(counts)
        each = errors / sizes
        changed = each > _error(self._changed, window.peak)
        known = np.repeat(np.repeat(changed, 2, axis=0), 2, axis=1)[: finer.shape[0], : finer.shape[1]]
        self.places.take(want, finer / counts, known, window.peak)
        if colours is not None:
            changed |= colours
        rest = ~changed
        count, error = int(sizes[rest].sum()), float(errors[rest].sum())
        window.blocks += each.size
        window.changed_blocks += int(np.count_nonzero(changed))
        window.error += error
        window.samples += count
        foreign = _foreign(want, got, changed, window.peak)
        few = each.size < _FEW
        value = psnr(error / count, window.peak) if count else -inf
        if foreign > _FOREIGN and not few:
            self._fault(number, when, f"{foreign * 100:.0f} % of it is another picture")
        elif rest.mean() < _LEFT and not few:
            self._fault(number, when, "nothing of the source's picture is left")
        elif self._is_other(want[::2, ::2], got[::2, ::2], window.peak):
            self._fault(number, when, "it is the picture of the frame before or after it")
        elif number % _EVERY == 0 and value < _GOOD and is_moved(want, got, window.peak, _samples(rest, want)):
            self._fault(number, when, "its picture is moved")
        self._before = (want[::2, ::2].copy(), got[::2, ::2].copy())

    def _is_other(self, want: Plane, got: Plane, peak: int) -> bool:
        """Whether the moving blocks fit the neighbouring frame far better: this one or the one before is wrong."""
        if self._before is None or self._before[0].shape != want.shape:
            return False
        want_before, got_before = self._before
        motion, sizes = block_errors(want, want_before)
        moving = motion / sizes > _error(_MOVES, peak)
        if np.count_nonzero(moving) < _MOVING:
            return False

        def middle(one: Plane, other: Plane) -> float:
            return float(np.median((block_errors(one, other)[0] / sizes)[moving]))

        if middle(want, got) > _TIMES_NEARER * max(1.0, middle(want_before, got)):
            return True
        return middle(want_before, got_before) > _TIMES_NEARER * max(1.0, middle(want, got_before))

    def _fault(self, number: int, when: Fraction, what: str) -> None:
        self.wrong_frames += 1
        if len(self.wrong) < 3:
            self.wrong.append(f"frame {number} at {seconds(when)}: {what}")

    @property
    def changed(self) -> float:
        """Share of all blocks that were changed."""
        blocks = sum(w.blocks for w in self.windows)
        return sum(w.changed_blocks for w in self.windows) / blocks if blocks else 0.0

    @property
    def psnr(self) -> float | None:
        """Luma PSNR of everything that was not changed, in dB."""
        samples = sum(w.samples for w in self.windows)
        return psnr(sum(w.error for w in self.windows) / samples, self.windows[0].peak) if samples else None


def fitted(source: VideoFrame, output: VideoFrame) -> VideoFrame:
    """The source's frame converted to the size and pixel format of a scaled or converted output."""
    want, got = format_of(source.format.name), format_of(output.format.name)
    same_size = (source.width, source.height) == (output.width, output.height)
    if same_size and (want.bits, want.family) == (got.bits, got.family):
        return source
    return source.reformat(width=output.width, height=output.height, format=output.format.name)


def block_errors(want: Plane, got: Plane, across: int = 1, down: int = 1, side: int = BLOCK) -> tuple[Blocks, Blocks]:
    """The sum of squared errors and the number of samples of each block (fewer at the right and bottom edges).

    ``across``, ``down``: luma samples per sample; the blocks are luma's, with ``side`` samples on a side.
    """
    squares = np.subtract(want, got, dtype=np.float32)
    np.square(squares, out=squares)
    return _block_sums(squares, across, down, side)


def _paired(sums: Blocks) -> Blocks:
    """The sums of blocks of twice the side."""
    rows, columns = (np.arange(0, side, 2) for side in sums.shape)
    paired: Blocks = np.add.reduceat(np.add.reduceat(sums, columns, axis=1), rows, axis=0)
    return paired


def _colours_changed(want: Sequence[Plane], got: Sequence[Plane], layout: PixelFormat, most: float) -> Blocks | None:
    """Which blocks have another colour; None if there is no chroma."""
    found: Blocks | None = None
    for ours, theirs in zip(want[1:3], got[1:3], strict=True) if layout.family != "gray" else ():
        errors, sizes = block_errors(ours, theirs, layout.across, layout.down)
        changed = errors / sizes > most
        found = changed if found is None else found | changed
    return found


def _block_sums(values: NDArray[Any], across: int = 1, down: int = 1, side: int = BLOCK) -> tuple[Blocks, Blocks]:
    height, width = values.shape
    rows, columns = np.arange(0, height, side // down), np.arange(0, width, side // across)
    sums = np.add.reduceat(np.add.reduceat(values, columns, axis=1), rows, axis=0)
    high, wide = np.diff(np.append(rows, height)), np.diff(np.append(columns, width))
    return sums.astype(np.float64), np.outer(high, wide)


def _foreign(want: Plane, got: Plane, changed: Blocks, peak: int) -> float:
    """The share of all blocks that were changed, but not smoothed as any cover does."""
    if not changed.any():
        return 0.0
    other = np.abs(np.subtract(want, got, dtype=np.float32)) > _OTHER * peak / 255
    other[:, :-1] &= other[:, 1:]  # steps between changed samples only, not over the edge of a cover
    other[:, -1] = False
    smooth = np.zeros(changed.shape, bool)
    for where in (other, np.ones(other.shape, bool)):
        ours, theirs = detail(want, where), detail(got, where)
        smooth |= theirs < np.maximum(_DETAIL * ours, _SMOOTH * peak / 255)
    return float(np.mean(changed & ~smooth))


def detail(plane: Plane, where: NDArray[np.bool_]) -> Blocks:
    """The mean step from a sample to the next one to the right in each block, of the steps at ``where``."""
    steps = np.abs(np.diff(plane.astype(np.float32), axis=1, append=plane[:, -1:].astype(np.float32)))
    sums, _ = _block_sums(steps * where)
    counts, _ = _block_sums(where.astype(np.float32))
    return sums / np.maximum(counts, 1)


def _samples(blocks: Blocks, plane: Plane) -> NDArray[np.bool_]:
    """The samples of a plane that are in ``blocks``."""
    shown: NDArray[np.bool_] = np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1)
    return shown[: plane.shape[0], : plane.shape[1]]


def is_black(planes: Sequence[Plane], layout: PixelFormat) -> bool:
    """Whether a frame is black in any range, within what lossy encoding changes."""
    dark = LIMITED_BLACK + _NOISE << (layout.bits - 8)
    return all(int(plane.max()) <= dark for plane in (planes[:3] if layout.family == "rgb" else planes[:1]))


def _error(value: float, peak: int) -> float:
    """The mean squared error of a PSNR in dB."""
    return float(peak) ** 2 / 10 ** (value / 10)
