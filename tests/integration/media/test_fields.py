"""H.264 in fields (PAFF): two fields are one frame, whether they come in one packet or in two."""

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.manifest import Manifest
from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.chunk import decode_chunk
from farm.media.verifying.comparing import compare
from farm.media.verifying.rates import rate_fault
from tests.fields import Coded, bare, in_fields, mpeg2_in_fields, muxed, shown_at
from tests.integration.trips import Rendered, start, verdicts
from tests.planned import plan_of

SAMPLES = Path(os.environ.get("FARM_TEST_DATA", "../shared/data")) / "videos/wild"
FRAMES = 12
#: Enough for libavformat to find the rate of a transport stream.
LONG = 40
CONTAINERS = ("fields.ts", "fields.mts", "fields.mkv", "fields.mp4", "fields.mov")
BLACKOUT = SourceOptions(on_undetectable="blackout")


def _light(frame: av.VideoFrame) -> tuple[int, int]:
    """The brightness of the top field and of the bottom field."""
    luma = planes_of(frame)[0]
    assert all(len(np.unique(luma[field::2])) == 1 for field in (0, 1))
    return int(luma[0, 0]), int(luma[1, 0])


def _decoded(source: Path, manifest: Manifest, pts: Sequence[Sequence[int]], *, blackout: bool = False) -> list[object]:
    """What each frame shows, chunk by chunk; None for a black one."""
    found: list[object] = []
    for chunk in manifest.chunks:
        frames = decode_chunk(source, manifest.source.video, chunk, pts[chunk.index], blackout=blackout)
        found.extend(None if one.black else _light(one.frame) for one in frames)
    return found


def _expected(frames: Sequence[Sequence[Coded]]) -> list[tuple[int, int]]:
    """What each frame shows, in order of showing."""
    shown = []
    for parts in frames:
        light = {part.kind: part.light for part in parts}
        shown.append((light.get("top", parts[0].light), light.get("bottom", parts[0].light)))
    return sorted(shown)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize(
    ("bottom_first", "mixed", "adaptive"), [(False, False, False), (True, True, False), (False, True, True)]
)
def test_two_fields_are_one_frame(
    tmp_path: Path, name: str, together: bool, bottom_first: bool, mixed: bool, adaptive: bool
) -> None:
    frames = in_fields(FRAMES, bottom_first=bottom_first, mixed=mixed)
    source = muxed(tmp_path / name, frames, together=together, adaptive=adaptive)
    manifest, pts = plan_of(source, 0.2)
    video = manifest.source.video
    assert video.fields == ("bff" if bottom_first else "tff")
    assert len(manifest.chunks) > 1
    assert [(p - pts[0][0]) * video.time_base for part in pts for p in part] == [Fraction(n, 25) for n in range(FRAMES)]
    assert (manifest.chunks[-1].pts_end - pts[-1][-1]) * video.time_base == Fraction(1, 25)
    assert manifest.source.video.average_rate == 25
    assert _decoded(source, manifest, pts) == _expected(frames)
    assert _decoded(source, manifest, pts, blackout=True) == _expected(frames)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_bare_stream(tmp_path: Path, mixed: bool) -> None:
    frames = in_fields(FRAMES, mixed=mixed)
    source = bare(tmp_path / "fields.h264", frames)
    manifest, pts = plan_of(source, 0.2)
    assert (manifest.source.video.timing, manifest.frames) == ("counted", FRAMES)
    assert _decoded(source, manifest, pts) == _expected(frames)


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_output_has_the_fields(tmp_path: Path, name: str) -> None:
    source = muxed(tmp_path / name, in_fields(LONG, bottom_first=True))
    trip = start(source, tmp_path)
    trip.compose()
    assert trip.verify() == LONG
    assert verdicts(compare(source, trip.out)) == {}
    with av.open(str(trip.out)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            assert frame.interlaced_frame
            luma = planes_of(frame)[0].astype(int)
            assert np.abs(luma[0::2] - (21 + 2 * number)).max() <= 1
            assert np.abs(luma[1::2] - (20 + 2 * number)).max() <= 1


@pytest.mark.parametrize("name", ["short.ts", "short.mts"])
def test_a_rate_of_fields_that_is_only_guessed_is_no_fault(tmp_path: Path, name: str) -> None:
    """In a transport stream this short libavformat guesses the rate of the fields; MP4 and Matroska state it."""
    source = muxed(tmp_path / name, in_fields(FRAMES))
    trip = start(source, tmp_path)
    trip.compose()
    assert verdicts(compare(source, trip.out)) == {}
    with av.open(str(trip.out)) as container:
        assert container.streams.video[0].guessed_rate == 50
    video = replace(plan_of(source, None)[0].source.video, average_rate=Fraction(50))
    length = Fraction(FRAMES, 25)
    assert rate_fault(video, "mpegts", FRAMES, length) is None
    for container_name in ("mp4", "mov", "matroska"):
        assert rate_fault(video, container_name, FRAMES, length)
    assert rate_fault(replace(video, fields="progressive"), "mpegts", FRAMES, length)
    assert rate_fault(replace(video, average_rate=Fraction(100)), "mpegts", FRAMES, length)


def test_an_output_without_fields_fails(render: Rendered, tmp_path: Path) -> None:
    source = muxed(tmp_path / "fields.mkv", in_fields(FRAMES))
    words = ("-i", str(source), "-vf", "setfield=prog", "-c:v", "libx264", "-fps_mode", "passthrough", "-copyts")
    assert verdicts(compare(source, render("fields_lost.mkv", *words)))


@pytest.mark.parametrize("name", ["lone.mkv", "lone.mp4", "lone.ts"])
@pytest.mark.parametrize("at", [0, 3, 4])
def test_a_field_without_the_other_one_is_damage_and_blackens_nothing_else(tmp_path: Path, name: str, at: int) -> None:
    frames = in_fields(FRAMES)
    whole = [*frames[:at], *frames[at + 1 :]]
    source = muxed(tmp_path / name, [*frames[:at], frames[at][:1], *frames[at + 1 :]])
    with pytest.raises(SourceError, match="one field of the frame is missing") as refused:
        plan_of(source, None)
    assert "--on-undetectable blackout" in str(refused.value.hint)
    manifest, pts = plan_of(source, None, BLACKOUT)
    assert manifest.frames == FRAMES - 1
    assert any("one field of the frame is missing" in note for note in manifest.notes)
    assert _decoded(source, manifest, pts, blackout=True) == _expected(whole)


@pytest.mark.parametrize("name", ["half.mkv", "half.mp4", "half.ts"])
@pytest.mark.parametrize("field", [0, 1])
@pytest.mark.parametrize("at", [3, 4, 5])
def test_a_damaged_field_is_noticed(tmp_path: Path, name: str, field: int, at: int) -> None:
    """Damage in either field is damage of the frame."""
    frames = in_fields(FRAMES)
    source = muxed(tmp_path / name, frames, halved=(at, field))
    manifest, pts = plan_of(source, None)
    with pytest.raises(SourceError, match=r"cannot be decoded|is damaged|is missing"):
        _decoded(source, manifest, pts)
    manifest, pts = plan_of(source, None, BLACKOUT)
    expected = _expected(frames)
    found = _decoded(source, manifest, pts, blackout=True)
    assert found[shown_at(frames[at])] is None
    assert all(one in (None, light) for one, light in zip(found, expected, strict=True))
    # from the next key frame on all is as it was, and what was decoded before the damage
    key = 5 if at < 5 else 10
    assert found[key:] == expected[key:]
    assert [found[shown_at(frame)] for frame in frames[:at]] == [expected[shown_at(frame)] for frame in frames[:at]]


@pytest.mark.parametrize("name", ["end.mkv", "end.mp4", "end.ts", "end.h264"])
def test_a_recording_that_ends_within_a_frame(tmp_path: Path, name: str) -> None:
    frames = in_fields(FRAMES)
    cut = [*frames[:-1], frames[-1][:1]]
    source = bare(tmp_path / name, cut) if name.endswith("h264") else muxed(tmp_path / name, cut)
    manifest, pts = plan_of(source, None)
    assert manifest.frames == FRAMES - 1
    assert any("ends with one field of a frame" in note for note in manifest.notes)
    assert _decoded(source, manifest, pts) == _expected(frames[:-1])


@pytest.mark.parametrize("name", ["within.mkv", "within.ts", "within.h264"])
def test_a_recording_that_begins_within_a_frame(tmp_path: Path, name: str) -> None:
    frames = in_fields(FRAMES)[4:]
    cut = [frames[0][1:], *frames[1:]]
    source = bare(tmp_path / name, cut) if name.endswith("h264") else muxed(tmp_path / name, cut)
    manifest, pts = plan_of(source, None)
    assert any(
        "begins with one field of a frame" in note or "1 frame before its first key frame" in note
        for note in manifest.notes
    )
    assert _decoded(source, manifest, pts) == _expected(frames[1:])


@pytest.mark.parametrize(("at", "field"), [(0, 1), (4, 0), (5, 0), (5, 1), (6, 0), (6, 1)])
def test_a_bare_stream_without_a_field_is_refused(tmp_path: Path, at: int, field: int) -> None:
    """Its frames are counted: all later ones would be early."""
    frames = in_fields(FRAMES)
    del frames[at][field]
    with pytest.raises(SourceError, match="one field of the frame is missing"):
        plan_of(bare(tmp_path / "lone.h264", frames), None)


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4", "m2v"])
def test_mpeg2_in_fields(tmp_path: Path, suffix: str) -> None:
    """libavformat joins these in one packet."""
    source = mpeg2_in_fields(tmp_path / f"joined.{suffix}", FRAMES)
    manifest, pts = plan_of(source, None)
    assert (manifest.frames, manifest.source.video.fields) == (FRAMES, "tff")
    assert _decoded(source, manifest, pts) == [(20 + 2 * n, 21 + 2 * n) for n in range(FRAMES)]


@pytest.mark.parametrize("suffix", ["mkv", "m2v"])
def test_damage_in_mpeg2_fields_is_noticed(tmp_path: Path, suffix: str) -> None:
    """In these the decoder flags nothing; its log tells."""
    source = mpeg2_in_fields(tmp_path / f"damaged.{suffix}", FRAMES)
    content = bytearray(source.read_bytes())
    at = content.index(b"\0\0\1\x02", len(content) // 2) + 12  # within a slice
    content[at : at + 8] = b"\xff" * 8
    source.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot be decoded|checksum"):
        _decoded(source, *plan_of(source, None))


def test_a_recording_of_a_broadcast() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("FARM_TEST_DATA is not there")
    source = SAMPLES / "paff_first_intra.ts"
    manifest, pts = plan_of(source, None)
    assert (manifest.frames, manifest.source.video.fields) == (17, "tff")
    for blackout in (False, True):
        options = BLACKOUT if blackout else None
        manifest, pts = plan_of(source, None, options)
        frames = decode_chunk(source, manifest.source.video, manifest.chunks[0], pts[0], blackout=blackout)
        assert [one.black for one in frames] == [False] * 17
