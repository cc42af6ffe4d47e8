"""A chunk's frames: exactly the planned ones, or an error that says which is not."""

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import pytest

from farm.domain.geometry import Box
from farm.domain.manifest import Chunk, Manifest
from farm.domain.options import RedactOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.chunk import check_source, decode_chunk
from tests.integration.trips import rendered
from tests.integration.workers.conftest import GreenClip
from tests.planned import plan_of
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.painting import paint


def decoded(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(frame.pts, planes_of(frame)[0].tobytes()) for frame in container.decode(video=0)]


def planned(path: Path, seconds: float) -> tuple[Manifest, list[list[int]]]:
    manifest, slices = plan_of(path, seconds)
    return manifest, [list(part) for part in slices]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("seconds", [0.4, 0.9, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_chunks_together_are_the_video(green_clip: GreenClip, suffix: str, seconds: float, threads: int) -> None:
    source = green_clip(suffix)
    manifest, pts = planned(source, seconds)
    found = [
        (one.frame.pts, planes_of(one.frame)[0].tobytes())
        for chunk, part in zip(manifest.chunks, pts, strict=True)
        for one in decode_chunk(source, manifest.source.video, chunk, part, threads=threads)
    ]
    assert found == decoded(source)
    assert seconds == 100 or len(manifest.chunks) > 1


def test_a_seek_that_lands_too_late_is_repeated_from_earlier(green_clip: GreenClip) -> None:
    source = green_clip()
    manifest, pts = planned(source, 0.4)
    chunk = manifest.chunks[1]
    late = replace(chunk, seek_pts=manifest.chunks[2].pts_start)  # as a coarse index would have it
    assert [d.frame.pts for d in decode_chunk(source, manifest.source.video, late, pts[1])] == pts[1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([400, 440, 480, 531, 560, 600, 640, 680, 720, 760], "unplanned"),
        ([400, 440, 480, 560, 600, 640, 680, 720, 760], "unplanned"),
        ([400, 440, 480, 530, 560, 561, 600, 640, 680, 720, 760], "missing"),
        ([399, 440, 480, 530, 560, 600, 640, 680, 720, 760], "missing"),
        ([400, 440, 480, 530, 560, 600, 640, 680, 720, 759], "missing"),
    ],
)
def test_a_plan_that_is_not_the_video(green_clip: GreenClip, wrong: list[int], says: str) -> None:
    source = green_clip(".mkv")
    manifest, pts = planned(source, 0.4)
    assert pts[1] == [400, 440, 480, 530, 560, 600, 640, 680, 720, 760]
    chunk = replace(manifest.chunks[1], frames=len(wrong), pts_start=min(wrong), pts_end=max(wrong) + 1)
    with pytest.raises(SourceError, match=rf"green.*{says}") as caught:
        list(decode_chunk(source, manifest.source.video, chunk, wrong))
    assert caught.value.permanent
    with pytest.raises(SourceError, match="lists"):
        list(decode_chunk(source, manifest.source.video, replace(chunk, frames=3), wrong))


def test_more_frames_than_the_source_has(green_clip: GreenClip) -> None:
    source = green_clip()
    manifest, pts = planned(source, 100)
    more = [*pts[0], pts[0][-1] + 500]
    chunk = replace(manifest.chunks[0], frames=len(more), pts_end=more[-1] + 1)
    with pytest.raises(SourceError, match="missing"):
        list(decode_chunk(source, manifest.source.video, chunk, more))


def damaged(source: Path, to: Path, packet: int, at: float, length: int = 200) -> Path:
    """A copy with some bytes of one packet's picture overwritten."""
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        position, size = packets[packet].pos or 0, packets[packet].size
    content = bytearray(source.read_bytes())
    start = position + int(size * at)
    content[start : start + length] = bytes(b ^ 0x5A for b in content[start : start + length])
    to.write_bytes(content)
    return to


def test_damage_is_an_error_in_its_chunk_and_nowhere_else(green_clip: GreenClip, tmp_path: Path) -> None:
    source = damaged(green_clip(), tmp_path / "damaged.mp4", packet=14, at=0.5)
    manifest, pts = planned(source, 0.4)

    def read(index: int) -> list[int | None]:
        return [d.frame.pts for d in decode_chunk(source, manifest.source.video, manifest.chunks[index], pts[index])]

    assert read(0) == pts[0]
    assert read(2) == pts[2]
    with pytest.raises(SourceError, match=r"damaged\.mp4: .*(damaged|cannot be decoded|missing)"):
        read(1)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("packet", [11, 15, 22, 37])
def test_damage_that_the_decoder_conceals_is_noticed(
    green_clip: GreenClip, tmp_path: Path, packet: int, threads: int
) -> None:
    """Few bytes inside a frame: the decoder goes on, and shows something else. Slice threads would not say so."""
    source = damaged(green_clip(), tmp_path / "damaged.mp4", packet=packet, at=0.3, length=1)
    assert len(decoded(source)) == len(decoded(green_clip()))  # no frame is missing
    assert decoded(source) != decoded(green_clip())
    manifest, pts = planned(source, 100)
    with pytest.raises(SourceError, match=r"damaged\.mp4: the frame at .* is damaged"):
        list(decode_chunk(source, manifest.source.video, manifest.chunks[0], pts[0], threads=threads))


@pytest.mark.footage
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["derived/bad_midfile_garbage.mp4", "androidx/sample_with_invalid_nalu.mp4"])
def test_damaged_footage_is_refused(footage: Path, name: str, threads: int) -> None:
    source = footage / "videos" / name
    manifest, pts = planned(source, 100)
    with pytest.raises(SourceError, match=r"damaged|cannot be decoded|missing"):
        list(decode_chunk(source, manifest.source.video, manifest.chunks[0], pts[0], threads=threads))


@pytest.mark.footage
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "name",
    ["derived/vfr.mp4", "derived/opengop_bpyramid.mp4", "derived/ts_offset_1h.ts", "derived/fps59.94.mp4",
     "derived/mjpeg_pcm.avi", "real/asl_night.mkv", "real/asl_walk.mkv"],
)  # fmt: skip
def test_healthy_footage_is_decoded_exactly(footage: Path, name: str, threads: int) -> None:
    source = footage / "videos" / name
    manifest, pts = planned(source, 0.5)
    found = [
        (one.frame.pts, planes_of(one.frame)[0].tobytes())
        for chunk, part in zip(manifest.chunks, pts, strict=True)
        for one in decode_chunk(source, manifest.source.video, chunk, part, threads=threads)
    ]
    assert found == decoded(source)


def test_another_size_or_format_than_planned(green_clip: GreenClip) -> None:
    source = green_clip()
    manifest, pts = planned(source, 100)
    video, chunk = manifest.source.video, manifest.chunks[0]
    with pytest.raises(SourceError, match="is 320x192, not 640x192"):
        next(decode_chunk(source, replace(video, width=640), chunk, pts[0]))
    with pytest.raises(SourceError, match="is yuv420p, not yuv444p"):
        next(decode_chunk(source, replace(video, pix_fmt="yuv444p"), chunk, pts[0]))
    with pytest.raises(SourceError, match="has other colours"):
        next(decode_chunk(source, replace(video, pix_fmt="yuvj420p"), chunk, pts[0]))


def test_a_source_that_changed(green_clip: GreenClip, tmp_path: Path) -> None:
    source = Path(shutil.copy(green_clip(), tmp_path / "source.mp4"))
    manifest, _ = planned(source, 100)
    check_source(source, manifest.source)
    with source.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceError, match="changed since"):
        check_source(source, manifest.source)
    with pytest.raises(SourceError, match="No such file"):
        check_source(tmp_path / "gone.mp4", manifest.source)


def test_painting_does_not_reach_later_frames(green_clip: GreenClip) -> None:
    """The decoder predicts later frames from those it gave out: painting works on a copy."""
    source = green_clip()
    manifest, pts = planned(source, 100)
    expected = [luma for _, luma in decoded(source)]
    options, redactor = RedactOptions(style="solid"), create_redactor(RedactOptions(style="solid"))
    frames = decode_chunk(source, manifest.source.video, manifest.chunks[0], pts[0])
    for index, decoded_frame in enumerate(frames):
        frame = decoded_frame.frame
        before = planes_of(frame)[0].tobytes()
        assert before == expected[index]
        paint(frame, [Box(100, 50, 80, 80)], redactor, options)
        assert planes_of(frame)[0].tobytes() != before


def test_reading_ends_with_the_chunk(green_clip: GreenClip) -> None:
    source = green_clip()
    manifest, pts = planned(source, 0.4)
    short = Chunk(0, 0, pts[0][0], pts[0][3], 3, pts[0][0])
    frames = decode_chunk(source, manifest.source.video, short, pts[0][:3])
    assert [d.frame.pts for d in islice(frames, 10)] == pts[0][:3]


def test_colours_that_change_in_the_middle_are_refused(tmp_path: Path) -> None:
    """The output's header can say one range only."""
    both = b""
    for color_range in ("tv", "pc"):
        words = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10:duration=1", "-vf", f"setrange={color_range}"]
        both += rendered(tmp_path / f"{color_range}.h264", *words, "-c:v", "libx264", "-bf", "0").read_bytes()
    (tmp_path / "both.h264").write_bytes(both)
    source = rendered(tmp_path / "both.mkv", "-framerate", "10", "-i", str(tmp_path / "both.h264"), "-c", "copy")
    manifest, pts = planned(source, 100)
    frames = decode_chunk(source, manifest.source.video, manifest.chunks[0], pts[0])
    assert [d.frame.pts for d in islice(frames, 10)] == list(pts[0][:10])
    with pytest.raises(SourceError, match=r"at 1\.000 s .* has other colours"):
        next(frames)
