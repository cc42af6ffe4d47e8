"""Detections as they are written, and the chunks of a video put together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import (
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
    joined,
    load_chunk,
    load_frame,
)
from farm.domain.geometry import Box
from farm.domain.motion import Motion

Chunks = list[tuple[ChunkDetections, list[FrameDetections]]]

numbers = st.floats(allow_nan=False, allow_infinity=False)
detections = st.builds(Detection, box=st.builds(Box, *[numbers] * 4), score=numbers, kind=st.text())
found = st.lists(detections, max_size=4).map(tuple)
aspects = st.sampled_from([1.0, 4 / 3, 0.5])


def motions(aspect: float) -> st.SearchStrategy[Motion]:
    return st.builds(Motion, *[numbers] * 5, st.just(aspect))


@st.composite
def frames(draw: st.DrawFn, aspect: float) -> FrameDetections:
    """A frame that was looked at, one that was not, or a black one."""
    return FrameDetections(
        draw(st.integers()), draw(st.booleans()), draw(st.none() | found), draw(st.booleans()), draw(st.text()),
        draw(st.none() | motions(aspect)),
    )  # fmt: skip


@given(st.data(), aspects)
def test_a_frame_is_equal_after_it_was_written_and_read(data: st.DataObject, aspect: float) -> None:
    frame = data.draw(frames(aspect))
    line = dump_frame(frame)
    assert "\n" not in line
    assert load_frame(line, aspect) == frame


@pytest.mark.parametrize("seen", [None, ()])
def test_a_frame_without_a_face_is_not_one_that_nobody_looked_at(seen: tuple[Detection, ...] | None) -> None:
    assert load_frame(dump_frame(FrameDetections(7, cut=False, detections=seen))).detections == seen


@given(st.data(), aspects, st.integers(0), st.booleans(), st.lists(st.tuples(st.integers(), found), max_size=3))
def test_a_chunks_line_is_equal_after_it_was_written_and_read(
    data: st.DataObject, aspect: float, count: int, cut: bool, beyond: list[tuple[int, tuple[Detection, ...]]]
) -> None:
    chunk = ChunkDetections(count, cut, data.draw(st.none() | motions(aspect)), tuple(beyond), aspect)
    line = dump_chunk(chunk)
    assert "\n" not in line
    assert load_chunk(line) == chunk


@pytest.mark.parametrize("line", ['{"format": 0}', "[1, 2]", "{}", "not json"])
def test_another_format_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own or ours
        load_chunk(line)


def chunked(video: Sequence[FrameDetections], places: Iterable[int], early: Iterable[int] = ()) -> Chunks:
    """The video as its workers write it, cut before the frames ``places``.

    A worker knows neither motion nor cut of its first frame: that of the chunk before says it. Of the frames ``early``
    only the worker of an earlier chunk, if there is one, has written the detections.
    """
    count, early, chunks = len(video), set(early), []
    bounds = sorted({0, count, *(p for p in places if 0 < p < count)})
    for start, stop in pairwise(bounds):
        rows = list(video[start:stop])
        rows[0] = replace(rows[0], cut=rows[0].cut and start == 0, motion=None if start else rows[0].motion)
        if start:
            rows = [replace(f, detections=None) if k in early else f for k, f in enumerate(rows, start)]
        after = video[stop] if stop < count else None
        ahead = ((f.pts, f.detections) for k, f in enumerate(video[stop:], stop) if k in early)
        beyond = tuple((pts, seen) for pts, seen in ahead if seen is not None)
        said = (after.cut, after.motion) if after else (False, None)
        chunks.append((ChunkDetections(stop - start, *said, beyond), rows))
    return chunks


@st.composite
def videos(draw: st.DrawFn) -> list[FrameDetections]:
    rows = draw(st.lists(frames(1.0), max_size=20))
    return [replace(row, pts=7 * number) for number, row in enumerate(rows)]


@given(videos(), st.sets(st.integers(1, 19)), st.sets(st.integers(0, 19)))
def test_chunks_put_together_are_the_video(video: list[FrameDetections], places: set[int], early: set[int]) -> None:
    assert list(joined(chunked(video, places, early))) == video


def test_no_chunk_is_read_ahead() -> None:
    video = [FrameDetections(pts, cut=False, detections=()) for pts in range(9)]
    begun = []

    def read() -> Iterator[tuple[ChunkDetections, list[FrameDetections]]]:
        for number, chunk in enumerate(chunked(video, {3, 6})):
            begun.append(number)
            yield chunk

    assert [(frame.pts, len(begun)) for frame in joined(read())] == [(pts, pts // 3 + 1) for pts in range(9)]
