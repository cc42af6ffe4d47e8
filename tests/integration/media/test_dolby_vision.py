"""Dolby Vision: kept where other displays have a picture of their own, refused where they have none."""

import ctypes
import os
import struct
from pathlib import Path

import av
import pytest

from farm.errors import SourceError
from farm.media.reading.dolby_vision import is_dependent, refuse_dolby_vision
from farm.media.reading.probe import probe_source
from tests.integration.trips import Rendered, ffmpeg, start
from tests.side_data import libavutil, with_side_data

SAMPLES = Path(os.environ.get("FARM_TEST_DATA", "../shared/data")) / "videos/wild"
HEVC = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=0.5", "-c:v", "libx265", "-x265-params")
REFUSED = "is Dolby Vision without a picture for other displays"


def _metadata(profile: int, *, full: bool, space: int) -> bytes:
    """AVDOVIMetadata as this FFmpeg lays it out."""
    allocate = libavutil().av_dovi_metadata_alloc
    allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.POINTER(ctypes.c_size_t)]
    size = ctypes.c_size_t()
    content = bytearray(ctypes.string_at(allocate(ctypes.byref(size)), size.value))
    header, _, colour = struct.unpack_from("=3Q", content)
    content[header + 4], content[header + 10], content[colour + 185] = profile, full, space
    return bytes(content)


@pytest.mark.parametrize(
    ("profile", "full", "space", "refused"),
    [(0, True, 2, True), (0, True, 0, True), (1, False, 2, True), (1, False, 0, False), (0, False, 0, False)],
)
def test_what_the_frames_say(profile: int, full: bool, space: int, refused: bool) -> None:
    frame = with_side_data(24, _metadata(profile, full=full, space=space))
    if refused:
        with pytest.raises(SourceError, match=REFUSED):
            refuse_dolby_vision(Path("a.ts"), "mpegts", frame)
    else:
        refuse_dolby_vision(Path("a.ts"), "mpegts", frame)


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 24, b"\xff" * 400])
def test_metadata_that_is_cut_off_is_ignored(content: bytes) -> None:
    refuse_dolby_vision(Path("a.ts"), "mpegts", with_side_data(24, content + b"\xff"))


def _recorded(source: Path, target: Path, profile: int, compatibility: int, *, based: bool = True) -> Path:
    """A copy of an MP4 whose header, at its end, says that its last video is Dolby Vision."""
    content = source.read_bytes()
    words = profile << 9 | 1 << 3 | 0b110 | based
    record = struct.pack(">I4sBBHB19x", 32, b"dvcC" if profile < 8 else b"dvvC", 1, 0, words, compatibility << 4)
    at = content.rindex(b"hvcC") - 4
    made = bytearray(content[:at] + record + content[at:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"):
        start = made.rindex(kind, 0, at) - 4
        struct.pack_into(">I", made, start, struct.unpack_from(">I", made, start)[0] + 32)
    target.write_bytes(made)
    return target


@pytest.mark.parametrize(
    ("profile", "compatibility", "refused"),
    [(5, 0, True), (4, 2, False), (7, 6, False), (8, 1, False), (8, 4, False), (10, 0, True), (10, 1, False),
     (10, 4, False), (9, 2, False), (20, 0, True)],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_what_the_header_says(
    render: Rendered, tmp_path: Path, profile: int, compatibility: int, refused: bool, suffix: str
) -> None:
    plain = render(f"plain{suffix}", *HEVC, "log-level=none", "-tag:v", "hvc1")
    source = _recorded(plain, tmp_path / f"dolby{suffix}", profile, compatibility)
    assert is_dependent(profile, compatibility) == refused
    if refused:
        with pytest.raises(SourceError, match=REFUSED):
            probe_source(source)
    else:
        assert probe_source(source).video.codec == "hevc"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_sample_of_profile_5(tmp_path: Path, suffix: str) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("FARM_TEST_DATA is not there")
    source = tmp_path / f"profile5{suffix}"
    ffmpeg(SAMPLES / "dolbyvision_p5.mp4", "-map", "0:v", source)
    with pytest.raises(SourceError, match=REFUSED):
        probe_source(source)


def test_the_second_layer_of_profile_7_is_left_out(render: Rendered, tmp_path: Path) -> None:
    both = ("-map", "0", "-map", "0", "-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1")
    plain = render("layers.mp4", *HEVC[:4], *both)
    assert len(probe_source(plain).others) == 1
    source = _recorded(plain, tmp_path / "layers.mp4", 7, 6, based=False)
    seen = probe_source(source)
    assert (seen.video.index, seen.others) == (0, ())
    assert any("the second layer of Dolby Vision was left out" in note for note in seen.notes)
    trip = start(source, tmp_path)
    trip.compose()
    assert trip.verify() == 5
    with av.open(str(trip.out)) as container:
        assert len(container.streams) == 1


def test_a_sample_of_profile_7() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("FARM_TEST_DATA is not there")
    seen = probe_source(SAMPLES / "dolbyvision_p7.mp4")
    assert (seen.video.index, seen.others) == (0, ())
    assert seen.video.mastering is not None
