"""A video that changes its size is refused, or scaled into one size with `--resize-to`."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.options import FIRST, LARGEST, SourceOptions
from farm.errors import SourceError
from farm.jobs.placing import Request, prepare
from farm.media.encoding.encoders import ENCODERS
from farm.media.reading.limits import Limits
from farm.media.reading.resizing import probe_as_asked
from farm.media.reading.stills import stills
from farm.media.verifying.comparing import compare
from tests.conftest import PROJECT
from tests.integration.trips import X264, Rendered, verdicts
from tests.matrix.journey import SOLID, Journey, Tools, travel

DATA = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data") / "videos" / "wild"
FRAMES = 5  # of each size
WIDE, TALL = (160, 90), (320, 240)
GREY = 180


def plain(path: Path, size: tuple[int, int], codec: str, pix_fmt: str) -> Path:
    """Grey pictures, each a key frame, so that any may follow any other."""
    options = {"g": "1"} | ({"preset": "ultrafast"} if codec == "libx264" else {})
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options, width=size[0], height=size[1], pix_fmt=pix_fmt)
        assert isinstance(stream, av.VideoStream)
        stream.codec_context.thread_count = 1
        for number in range(FRAMES):
            picture = np.full((size[1], size[0], 3), GREY, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def changing(path: Path, *sizes: tuple[int, int], codec: str = "libvpx", formats: tuple[str, ...] = ()) -> Path:
    """A video of FRAMES frames of each size in turn."""
    with av.open(str(path), "w") as out:
        stream = None
        for turn, size in enumerate(sizes):
            part = plain(path.with_name(f"{turn}{path.name}"), size, codec, formats[turn] if formats else "yuv420p")
            with av.open(str(part)) as opened:
                stream = stream or out.add_stream_from_template(opened.streams.video[0])
                for packet in opened.demux(video=0):
                    if packet.size and packet.pts is not None and packet.time_base is not None:
                        later = int(Fraction(turn * FRAMES, 25) / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + later, packet.pts + later, stream
                        out.mux(packet)
    return path


def travelled(source: Path, folder: Path, to: str | None, blackout: str = "fail") -> Journey:
    folder.mkdir()
    options = replace(SOLID, source=SourceOptions(resize_to=to, on_undetectable=blackout))
    return travel(source, folder, Tools(fixed=True), options)


def lumas(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return changing(tmp_path / "changes.webm", WIDE, TALL, WIDE)


def test_a_changed_size_is_refused_and_the_option_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is 320x240, not 160x90") as refused:
        travelled(source, tmp_path / "work", None)
    assert "--resize-to" in str(refused.value.hint)


def test_a_picture_that_becomes_much_larger_is_refused_for_its_size(tmp_path: Path) -> None:
    source = changing(tmp_path / "grows.webm", (64, 48), (1280, 720))
    with pytest.raises(SourceError, match=r"is 1280x720, not 64x48"):
        travelled(source, tmp_path / "work", None)


@pytest.mark.parametrize(
    ("to", "size", "inside"),
    [(FIRST, WIDE, (slice(None), slice(20, 140))), (LARGEST, TALL, (slice(30, 210), slice(None)))],
)
def test_all_frames_get_one_size(
    source: Path, tmp_path: Path, to: str, size: tuple[int, int], inside: tuple[slice, slice]
) -> None:
    journey = travelled(source, tmp_path / "work", to)
    pictures = lumas(journey.output)
    assert [p.shape for p in pictures] == [size[::-1]] * 3 * FRAMES
    own = {FIRST: WIDE, LARGEST: TALL}[to]
    for number, picture in enumerate(pictures):
        of = (WIDE, TALL, WIDE)[number // FRAMES]
        bars = np.ones(picture.shape, bool)
        bars[inside if of != own else ...] = False
        assert bars.any() == (of != own)
        assert not bars.any() or picture[bars].mean() < 20  # noise of the encoder at the border
        assert picture[int(0.45 * size[1]), int(0.3 * size[0])] < 30  # covered
        assert abs(int(picture[size[1] // 2, int(0.7 * size[0])]) - GREY) < 12
    said = sorted({note for note in journey.notes if " scaled to " in note})
    assert len(said) == (1 if to == FIRST else 2)
    assert all("with black bars" in note for note in said)
    assert f"{FRAMES} frames of 320x240 from 0.200 s on" in said[0] or to == LARGEST
    assert verdicts(compare(source, journey.output, resize_to=to)) == {}
    shown = dict(stills(journey.manifest, [number * 40 for number in range(3 * FRAMES)]))
    assert {picture.shape[:2] for picture in shown.values()} == {size[::-1]}


def test_a_verified_output_fails_once_its_pictures_are_placed_otherwise(source: Path, tmp_path: Path) -> None:
    journey = travelled(source, tmp_path / "work", LARGEST)
    broken = tmp_path / "broken.webm"
    with av.open(str(journey.output)) as ours, av.open(str(broken), "w") as out:
        stream = out.add_stream("libvpx", rate=25, width=TALL[0], height=TALL[1], options={"crf": "4", "b": "8M"})
        for frame in ours.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            moved = av.VideoFrame.from_ndarray(np.asarray(np.roll(picture, 30, axis=0), np.uint8), "rgb24")
            moved.pts, moved.time_base = frame.pts, frame.time_base
            out.mux(stream.encode(moved.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    assert "picture" in verdicts(compare(source, broken, resize_to=LARGEST))


def test_frames_that_cannot_be_decoded_are_black_in_the_chosen_size(source: Path, tmp_path: Path) -> None:
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [p for p in container.demux(video=0) if p.size][FRAMES]
    at = content.find(bytes(packet))
    content[at + 3 : at + 10] = bytes(7)  # the start code and the size
    harmed = tmp_path / "harmed.webm"
    harmed.write_bytes(content)
    journey = travelled(harmed, tmp_path / "work", LARGEST, "blackout")
    pictures = lumas(journey.output)
    assert [p.shape for p in pictures] == [TALL[::-1]] * 3 * FRAMES
    assert [number for number, picture in enumerate(pictures) if picture.max() < 30] == [FRAMES]


def test_another_pixel_format_is_refused_with_the_option_too(tmp_path: Path) -> None:
    source = changing(tmp_path / "both.ts", WIDE, TALL, codec="libx264", formats=("yuv420p", "yuv444p"))
    for number, to in enumerate((None, FIRST)):
        with pytest.raises(SourceError, match=r"(yuv444p, not yuv420p|320x240, not 160x90)") as refused:
            travelled(source, tmp_path / f"work{number}", to)
        assert "cut it where its pixel format" in str(refused.value.hint) or to is None


def test_one_size_is_not_resized(tmp_path: Path) -> None:
    source = changing(tmp_path / "same.webm", WIDE)
    options = replace(SOLID, source=SourceOptions(resize_to=FIRST))
    prepared = prepare(Request(source, tmp_path / "out.webm", False, options), frozenset(ENCODERS))
    assert "all frames have one size: nothing was resized" in prepared.notes
    assert prepared.probe.video.resized == ()


@pytest.mark.parametrize(("kind", "codec"), [("ts", X264), ("mpg", ("-c:v", "mpeg2video", "-bf", "2", "-g", "12"))])
def test_each_size_has_the_pixel_aspect_of_its_own_frames(
    render: Rendered, tmp_path: Path, kind: str, codec: tuple[str, ...]
) -> None:
    """The decoder has taken the next recording's headers when it yields the last frames of one."""
    joined, shapes = b"", {"160x120": "4/3", "160x240": "16/9", "240x120": "4/3"}
    for size in (*shapes, "160x120"):
        picture = ("-f", "lavfi", "-i", f"color=gray:size={size}:rate=25:duration=1,setdar={shapes[size]}")
        joined += render(f"{size}.{kind}", *picture, *codec).read_bytes()
    source = tmp_path / f"three.{kind}"
    source.write_bytes(joined)
    placed = probe_as_asked(source, SourceOptions(resize_to=FIRST), Limits()).video.resized
    assert {row[:2]: row[4:] for row in placed} == {(160, 240): (160, 90), (240, 120): (160, 120)}


@pytest.mark.skipif(not DATA.is_dir(), reason="no footage: set FARM_TEST_DATA")
@pytest.mark.parametrize(("name", "to"), [("sizechange_av1.ivf", FIRST), ("sizechange_av1.ivf", LARGEST)])
def test_recordings(tmp_path: Path, name: str, to: str) -> None:
    journey = travelled(DATA / name, tmp_path / "work", to)
    assert verdicts(compare(DATA / name, journey.output, resize_to=to)) == {}
    with pytest.raises(SourceError, match=r"is 1280x720, not 352x288"):
        travelled(DATA / name, tmp_path / "again", None)
