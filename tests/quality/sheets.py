"""Contact sheets: ``python -m tests.quality.sheets SOURCE REDACTED OUT.png [--frames 12]``.

Pairs of rows, the source above its redacted copy: first evenly spaced frames, then, below a red line, the frames in
which most blocks are covered or shown for one frame only, with these blocks framed (red: shown, yellow: covered).
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.quality.blocks import SIDE, blinking, states
from tests.quality.footage import Picture

_CELL = 400  # width of a frame in pixels
_GAP = 4
_PAPER = 24  # grey level
_RED, _YELLOW = (0, 0, 255), (0, 255, 255)  # BGR
#: Fewer blocks blink in many frames along the rims of moving covers.
_LEAST_BLOCKS = 3


def sheet(source: Path, redacted: Path, out: Path, *, frames: int = 12, columns: int = 4) -> list[int]:
    """Write a contact sheet as PNG; the numbers of the frames that blink, most first, at most ``frames``.

    Raises DiffersError unless both videos have as many frames, of one size.
    """
    found = states(source, redacted)
    blinks = blinking(found)
    even = evenly(len(found), frames)
    worst = most_blinking(blinks, frames)
    wanted = sorted({*even, *worst})
    shown = dict(zip(wanted, zip(pictures(source, wanted), pictures(redacted, wanted), strict=True), strict=True))
    rows = [_pairs([_labelled(n, *shown[n]) for n in even], columns)]
    if worst:
        line = np.full((8, rows[0].shape[1], 3), _RED, np.uint8)
        marked = [_labelled(n, *(_framed(p, blinks[n], found[n]) for p in shown[n])) for n in worst]
        rows += [line, _pairs(marked, columns)]
    if not cv2.imwrite(str(out), np.vstack(rows)):
        raise OSError(f"{out} cannot be written")
    return worst


def evenly(count: int, frames: int) -> list[int]:
    """The numbers of ``frames`` frames (or fewer) of ``count``, evenly spaced, the first and the last among them."""
    return sorted({round(k * (count - 1) / max(1, frames - 1)) for k in range(frames)})


def most_blinking(blinks: NDArray[np.bool_], most: int) -> list[int]:
    """The frames in which most blocks blink, most first."""
    counts = blinks.sum(axis=(1, 2))
    order = np.argsort(-counts, kind="stable")[:most]
    return [int(n) for n in order if counts[n] >= _LEAST_BLOCKS]


def pictures(path: Path, numbers: Sequence[int]) -> Iterator[Picture]:
    """The frames of these numbers (ascending), as BGR."""
    wanted = set(numbers)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            if number >= numbers[-1]:
                return


def _framed(picture: Picture, blinks: NDArray[np.bool_], found: NDArray[np.int8]) -> Picture:
    marked = picture.copy()
    for row, column in np.argwhere(blinks):
        corner = int(column) * SIDE, int(row) * SIDE
        colour = _YELLOW if found[row, column] == 1 else _RED
        cv2.rectangle(marked, corner, (corner[0] + SIDE, corner[1] + SIDE), colour, max(1, picture.shape[1] // 400))
    return marked


def _labelled(number: int, before: Picture, after: Picture) -> Picture:
    """Both pictures, small, one above the other, with the frame's number."""
    height = round(_CELL * before.shape[0] / before.shape[1])
    size = _CELL, height
    both = np.vstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (before, after)])
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(both, str(number), (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return np.asarray(both, np.uint8)


def _pairs(pairs: Sequence[Picture], columns: int) -> Picture:
    high, wide = pairs[0].shape[:2]
    rows = -(-len(pairs) // columns)
    page = np.full((rows * (high + _GAP), columns * (wide + _GAP), 3), _PAPER, np.uint8)
    for place, pair in enumerate(pairs):
        y, x = place // columns * (high + _GAP), place % columns * (wide + _GAP)
        page[y : y + high, x : x + wide] = pair
    return page


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.sheets", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("redacted", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--columns", type=int, default=4)
    given = parser.parse_args()
    worst = sheet(given.source, given.redacted, given.out, frames=given.frames, columns=given.columns)
    print(f"{given.out}: frames with blocks that blink: {', '.join(map(str, worst)) or 'none'}")


if __name__ == "__main__":
    main()
