"""Flicker and contact sheets, on videos made here."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.quality.blocks import DiffersError, blinking, flicker, states
from tests.quality.sheets import evenly, sheet

SIZE = 96, 64


def video(path: Path, grey: int, covered: dict[int, tuple[int, int]], frames: int = 8) -> Path:
    """FFV1: flat frames; in those of ``covered`` the block (row, column) is white."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(frames):
            picture = np.full((SIZE[1], SIZE[0], 3), grey, np.uint8)
            if number in covered:
                row, column = covered[number]
                picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 255
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    return path


def state(*rows: int) -> NDArray[np.int8]:
    return np.array(rows, np.int8).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((0, 1, 0, 0), [1]),
        ((1, 1, 0, 1), [2]),
        ((0, 1, 1, 0), []),
        ((0, 1, -1, 0), []),  # neither: no statement
        ((1, 0, 1, 0), [1, 2]),
        ((1, 0), []),
    ],
)
def test_blinking(rows: tuple[int, ...], expected: list[int]) -> None:
    assert np.flatnonzero(blinking(state(*rows))).tolist() == expected


def test_flicker_of_videos(tmp_path: Path) -> None:
    source = video(tmp_path / "source.mkv", 90, {})
    steady = video(tmp_path / "steady.mkv", 90, dict.fromkeys(range(8), (1, 2)))
    found = flicker(states(source, steady))
    assert (found.all, found.covered, found.on, found.off) == (8 * 24, 8, 0, 0)
    torn = video(tmp_path / "torn.mkv", 90, {n: (1, 2) if n != 3 else (0, 0) for n in range(8)})
    found = flicker(states(source, torn))
    assert (found.covered, found.on, found.off) == (8, 1, 1)
    assert found.share == pytest.approx(2 / 192)
    assert found.of_covered == pytest.approx(2 / 8)


def test_other_videos_are_told(tmp_path: Path) -> None:
    source = video(tmp_path / "source.mkv", 90, {})
    short = video(tmp_path / "short.mkv", 90, {}, frames=7)
    with pytest.raises(DiffersError, match="frame 7"):
        states(source, short)


def test_sheet(tmp_path: Path) -> None:
    source = video(tmp_path / "source.mkv", 90, {})
    torn = video(tmp_path / "torn.mkv", 90, {4: (1, 2)})
    out = tmp_path / "sheet.png"
    assert sheet(source, torn, out, frames=4) == []  # one block is too few
    page = cv2.imread(str(out))
    assert page is not None
    assert page.shape[1] == 4 * 404
    assert evenly(8, 4) == [0, 2, 5, 7]
    assert evenly(2, 12) == [0, 1]
