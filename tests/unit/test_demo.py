"""The demo's clip and its contact sheet."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from farm.demo.clip import photograph, pictures, render_demo_clip
from farm.demo.sheet import CELL_WIDTH, contact_sheet
from farm.errors import OutputError


def luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def test_the_clip_is_what_the_demo_needs(tmp_path: Path, photograph_file: Path) -> None:
    path = render_demo_clip(tmp_path / "demo.mp4", photograph_file)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec.name, video.pix_fmt, video.width, video.height) == ("h264", "yuv420p", 640, 360)
        assert audio.codec.name == "aac"
        assert audio.duration is not None
        assert audio.time_base is not None
        assert abs(audio.duration * audio.time_base - 4) < Fraction(1, 20)
        frames = [(f.time, f.key_frame) for f in container.decode(video)]
    assert [t for t, _ in frames] == pytest.approx([n / 25 for n in range(100)])
    assert sum(key for _, key in frames) == 4


def test_equal_arguments_equal_pictures(photograph_file: Path) -> None:
    one, other = (pictures(photograph(photograph_file), 5, (160, 90)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_camera_moves_and_the_picture_is_sharp(photograph_file: Path) -> None:
    shown = [p.astype(int) for p in pictures(photograph(photograph_file), 8, (160, 90))]
    for one, next_one in pairwise(shown):
        assert np.abs(one - next_one).mean() > 2
    assert all(p.std() > 30 for p in shown)


def test_the_sheet_shows_pairs(tmp_path: Path, clip: Path) -> None:
    black = tmp_path / "black.mp4"
    with av.open(str(black), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((180, 320, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sheet = contact_sheet(clip, black, tmp_path / "sheet.png", columns=4)
    (picture,) = luma(sheet)
    assert picture.shape[1] > 4 * CELL_WIDTH
    upper, lower = picture[: picture.shape[0] // 2], picture[picture.shape[0] // 2 :]
    assert upper.mean() > 60
    assert lower.mean() < 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["black.mp4", "sheet.png"]


def test_a_sheet_that_cannot_be_written(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        contact_sheet(clip, clip, tmp_path / "nowhere" / "sheet.png", columns=1)
