"""Boxes of MP4 files whose sizes are true, and whose sizes are not."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.media.reading.boxes import Box, boxes, walk


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def long_box(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I4sQ", 1, kind, len(body) + 16 if size is None else size) + body


def listed(content: bytes) -> list[Box]:
    return list(boxes(BytesIO(content), 0, len(content)))


def test_boxes_of_all_sizes() -> None:
    content = box(b"ftyp", b"isom") + long_box(b"mdat", b"frames") + struct.pack(">I4s", 0, b"free") + b"the rest"
    assert listed(content) == [Box(b"ftyp", 0, 8, 12), Box(b"mdat", 12, 28, 34), Box(b"free", 34, 42, 50)]


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (struct.pack(">I4s", 7, b"moov"), []),
        (struct.pack(">I4s", 2, b"moov"), []),
        (struct.pack(">I4s", 1, b"moov"), []),
        (long_box(b"moov", b"", 15), []),
        (b"\0\0\0\x08moo", []),
        (b"", []),
        (struct.pack(">I4s", 12, b"moov"), [Box(b"moov", 8, 16, 16, 4)]),
        (struct.pack(">I4s", 2**32 - 1, b"moov"), [Box(b"moov", 8, 16, 16, 2**32 - 9)]),
        (long_box(b"moov", b"", 2**64 - 1), [Box(b"moov", 8, 24, 24, 2**64 - 17)]),
    ],
    ids=[
        "7 bytes",
        "2 bytes",
        "no long size",
        "long, 15 bytes",
        "half a header",
        "nothing",
        "cut off",
        "4 GiB",
        "16 EiB",
    ],
)
def test_sizes_that_are_not_true(end: bytes, found: list[Box]) -> None:
    assert listed(box(b"ftyp") + end) == [Box(b"ftyp", 0, 8, 8), *found]


def test_boxes_inside_others_come_in_the_order_of_the_file() -> None:
    content = box(b"moov", box(b"mvhd"), box(b"trak", box(b"tkhd"), box(b"udta", box(b"name")))) + box(b"mdat")
    found = [b.kind for b in walk(BytesIO(content), len(content), {b"moov", b"trak"})]
    assert found == [b"moov", b"mvhd", b"trak", b"tkhd", b"udta", b"mdat"]


def test_a_box_never_reaches_beyond_the_one_that_holds_it() -> None:
    content = box(b"moov", struct.pack(">I4s", 1000, b"trak") + box(b"tkhd")) + box(b"mdat", bytes(2000))
    found = list(walk(BytesIO(content), len(content), {b"moov", b"trak"}))
    assert [(b.kind, b.end) for b in found] == [(b"moov", 24), (b"trak", 24), (b"tkhd", 24), (b"mdat", len(content))]
    assert found[1].missing == 984


def test_endless_nesting_ends() -> None:
    content = b""
    for _ in range(2000):
        content = box(b"moov", content)
    assert len(list(walk(BytesIO(content), len(content), {b"moov"}))) == 16
    tiny = box(b"free") * 150_000
    assert len(list(walk(BytesIO(tiny), len(tiny), {b"moov"}))) == 100_000


@given(st.lists(st.sampled_from([b"\0\0\0", b"\1", b"\0", b"\x08", b"\x10", b"moov", b"trak", b"\xff"]), max_size=40))
def test_any_bytes_end(parts: list[bytes]) -> None:
    content = b"".join(parts)
    for one in walk(BytesIO(content), len(content), {b"moov", b"trak"}):
        assert 0 <= one.start < one.body <= one.end <= len(content)
