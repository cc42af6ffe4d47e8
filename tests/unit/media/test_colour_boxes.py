"""Colours and HDR numbers in an MP4 file's index, written in place."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from farm.domain.manifest import Mastering, VideoStream
from farm.errors import VerificationError
from farm.media.composing.colour_boxes import colour_boxes, write_colours

VIDEO = VideoStream(
    index=0,
    codec="ffv1",
    width=64,
    height=48,
    pix_fmt="yuv420p",
    time_base=Fraction(1, 1000),
    average_rate=None,
    sample_aspect=None,
    color_range=2,
    color_primaries=9,
    color_transfer=16,
    color_space=9,
    mastering=Mastering((1, 2, 3, 4, 5, 6), (7, 8), (9, 10)),
    light=(11, 12),
)
PLAIN = VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 1000), None, None, 0, 2, 2, 2)
OLD_COLOURS = b"\0\0\0\x12colrnclc" + struct.pack(">3H", 1, 1, 1)
CONFIG = b"\0\0\0\x0cavcCabcd"


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def movie(*entry: bytes) -> bytes:
    return index(box(b"stsd", bytes(4), b"\0\0\0\1", box(b"avc1", bytes(78), *entry)))


def index(stsd: bytes) -> bytes:
    """With a track of something else before the video's."""
    video = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", stsd, box(b"stts", b"times")))))
    return box(b"moov", box(b"mvhd", bytes(20)), box(b"trak", box(b"tkhd")), video, box(b"udta", b"end"))


def test_boxes_are_put_into_the_sample_entry_and_all_lengths_are_right(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = box(b"ftyp", b"isom") + box(b"mdat", bytes(100))
    path.write_bytes(frames + movie(CONFIG, OLD_COLOURS))
    write_colours(path, VIDEO)
    wanted = [
        box(b"colr", b"nclx", struct.pack(">3HB", 9, 16, 9, 0x80)),
        box(b"mdcv", struct.pack(">8H2I", 3, 4, 5, 6, 1, 2, 7, 8, 9, 10)),  # green, blue, red
        box(b"clli", struct.pack(">2H", 11, 12)),
    ]
    assert path.read_bytes() == frames + movie(CONFIG, *wanted)
    write_colours(path, VIDEO)
    assert path.read_bytes() == frames + movie(CONFIG, *wanted)
    write_colours(path, PLAIN)
    assert path.read_bytes() == frames + movie(CONFIG)


def test_the_frames_may_be_more_than_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    moov = movie(CONFIG)
    length = 5 << 30
    with path.open("wb") as file:
        file.write(struct.pack(">I4sQ", 1, b"mdat", length))
        file.seek(length)  # a hole: takes no space
        file.write(moov)
    write_colours(path, VIDEO)
    with path.open("rb") as file:
        file.seek(length)
        assert file.read() == movie(CONFIG, *colour_boxes(VIDEO))


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert colour_boxes(PLAIN) == []


@pytest.mark.parametrize(
    "content",
    [
        movie(CONFIG) + box(b"mdat", b"frames"),
        b"no boxes at all",
        b"",
        struct.pack(">I4s", 0, b"mdat"),
        box(b"moov", box(b"mvhd", bytes(20))),
        movie(CONFIG)[:-3],
        index(box(b"stsd", bytes(4), b"\0\0\0\1", box(b"avc1", bytes(70)))),
        index(box(b"stsd", bytes(8))),
    ],
    ids=["index first", "garbage", "empty", "endless", "no track", "cut off", "short entry", "no entry"],
)
def test_a_file_that_the_muxer_did_not_write_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VerificationError):
        write_colours(path, VIDEO)
    assert path.read_bytes() == content
