"""Whole runs into containers that are chosen by name, or because no usual one holds the times."""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.errors import OutputError
from farm.jobs.placing import Prepared, Request, prepare
from farm.media.encoding.encoders import ENCODERS
from farm.media.verifying.comparing import compare
from tests.integration.trips import VP8, Rendered
from tests.matrix.journey import SOLID, Journey, Tools, travel

pytestmark = pytest.mark.integration

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=0.6")
TONE = ("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=0.6")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def prepared(source: Path, output: Path) -> Prepared:
    return prepare(Request(source, output, overwrite=True, options=SOLID), frozenset(ENCODERS))


def run(source: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> Journey:
    """A whole run into a file of this name."""

    def request(source: Path, folder: Path, **rest: object) -> Request:
        return Request(source, output, **rest)  # type: ignore[arg-type]  # as the journey passes them

    monkeypatch.setattr("tests.matrix.journey.Request", request)
    return travel(source, output.parent, Tools(fixed=True))


def times(path: Path) -> list[Fraction]:
    """Of all frames, in seconds."""
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0) if f.pts is not None and f.time_base]


def nanoseconds(path: Path, pts: Sequence[int]) -> Path:
    """A WebM whose ticks are nanoseconds: PyAV writes milliseconds, and the scale in the header is changed."""
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=30, options={"deadline": "realtime", "lag-in-frames": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.time_base = 96, 64, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for value in pts:
            frame = av.VideoFrame(96, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = value, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    scale = b"\x2a\xd7\xb1"  # TimestampScale, 1,000,000 by default
    assert scale in data
    at = data.index(scale) + 3
    size = data[at] & 0x7F
    path.write_bytes(data[: at + 1] + (1_000).to_bytes(size, "big") + data[at + 1 + size :])
    return path


def test_ticks_finer_than_a_millisecond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nanoseconds(tmp_path / "fine.webm", [0, 33, 67, 101, 133, 166])
    journey = travel(source, tmp_path, Tools(fixed=True))
    assert journey.container == "mp4"
    assert any("cannot keep this video's times (ticks of 1/1000000 s)" in note for note in journey.notes)
    assert times(journey.output) == times(source) == [Fraction(n, 1_000_000) for n in (0, 33, 67, 101, 133, 166)]
    with pytest.raises(OutputError, match=r"use -o NAME\.mp4"):
        prepared(source, tmp_path / "out.webm")


@pytest.mark.footage
def test_a_webm_of_nanoseconds(footage: Path, tmp_path: Path) -> None:
    source = footage / "videos" / "wild" / "webm_ns_ticks.webm"
    journey = travel(source, tmp_path, Tools(fixed=True))
    assert times(journey.output) == times(source)
    assert compare(source, journey.output).holds


def test_times_that_the_container_cannot_hold_are_refused_before_anything_is_detected(
    render: Rendered, tmp_path: Path
) -> None:
    source = render("late.mkv", *PICTURE, "-vf", "settb=1/1000,setpts=N*40+gte(N\\,8)*100000000", *X264, "-fps_mode",
                    "passthrough")  # fmt: skip
    chosen = prepared(source, tmp_path / "out.ts")
    with pytest.raises(OutputError, match=r"late\.mkv: an output named \*\.ts cannot keep times from 26\.5 hours"):
        chosen.plan(workers=1)
    prepared(source, tmp_path / "out.mkv").plan(workers=1)  # the advice


def test_vp8_whose_times_no_container_holds_becomes_vp9(render: Rendered, tmp_path: Path) -> None:
    source = render("odd.ivf", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30:duration=0.5", *VP8)
    journey = travel(source, tmp_path, Tools(fixed=True))
    assert journey.container == "mp4"
    assert any("exactly as vp8: the output is vp9" in note for note in journey.notes)
    assert times(journey.output) == times(source) == [Fraction(n, 30) for n in range(15)]
    with pytest.raises(OutputError, match=r"use -o NAME\.mp4"):
        prepared(source, tmp_path / "out.webm")
    prepared(source, tmp_path / "out.mp4")


@pytest.mark.parametrize(("size", "pix_fmt"), [("96x64", "yuv420p"), ("97x65", "yuv444p")])
def test_a_gif_becomes_h264_in_mp4(
    render: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, pix_fmt: str
) -> None:
    width, height = size.split("x")
    shapes = f"drawbox=x=8*t:y=8:w=30:h=30:c=blue:t=fill,scale={width}:{height}"
    source = render(f"{size}.gif", "-f", "lavfi", "-i", f"color=red:s={size}:r=20:d=0.5", "-vf", shapes)
    journey = run(source, tmp_path / "out.mp4", monkeypatch)
    assert any(f"gif becomes h264 in {pix_fmt}" in note for note in journey.notes)
    assert times(journey.output) == times(source)
    with av.open(str(source)) as one, av.open(str(journey.output)) as other:
        first, second = (next(c.decode(video=0)) for c in (one, other))
        assert (second.format.name, int(second.color_range)) == (pix_fmt, 1)
        assert (second.width, second.height) == (first.width, first.height)
        pixels = [f.to_ndarray(format="rgb24").astype(int) for f in (first, second)]
    corner = [picture[-8:, -8:].mean(axis=(0, 1)) for picture in pixels]  # red, far from all covers
    assert abs(corner[0] - corner[1]).max() < 8
    assert compare(source, journey.output).holds


@pytest.mark.parametrize("suffix", ["m2ts", "mts"])
def test_transport_streams_of_cameras_keep_packets_of_192_bytes(
    render: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    source = render(f"camera.{suffix}", *PICTURE, *TONE, *X264, "-c:a", "ac3", "-mpegts_m2ts_mode", "1")
    journey = travel(source, tmp_path, Tools(fixed=True))
    data = journey.output.read_bytes()
    assert len(data) % 192 == 0
    assert set(data[4::192]) == {0x47}
    assert times(journey.output) == times(source)
    assert prepared(source, tmp_path).output.suffix == f".{suffix}"
    plain = run(render("plain.ts", *PICTURE, *TONE, *X264, "-c:a", "ac3"), tmp_path / f"out.{suffix}", monkeypatch)
    assert set(plain.output.read_bytes()[4::192]) == {0x47}
    assert compare(plain.source, plain.output).holds


@pytest.mark.parametrize(
    ("suffix", "made", "why"),
    [
        ("avi", X264, r"\*\.avi cannot hold h264 video here"),
        ("avi", ("-c:v", "mpeg4"), r"\*\.avi cannot keep this video's times \(ticks of 1/12800 s\)"),
        ("flv", X264, r"\*\.flv cannot keep this video's times \(ticks of 1/12800 s\)"),
        ("mpg", X264, r"\*\.mpg cannot hold h264 video here"),
        ("3gp", ("-c:v", "libx265", "-x265-params", "log-level=error"), r"\*\.3gp cannot hold hevc video here"),
    ],
)
def test_a_container_that_cannot_says_which_property_and_names_one_that_can(
    render: Rendered, tmp_path: Path, suffix: str, made: tuple[str, ...], why: str
) -> None:
    source = render(f"{made[1]}.mp4", *PICTURE, *made)
    with pytest.raises(OutputError, match=why) as caught:
        prepared(source, tmp_path / f"out.{suffix}")
    advised = re.findall(r"NAME(\.\w+)", caught.value.hint or "")[0]
    assert prepared(source, tmp_path / f"out{advised}").output.suffix == advised


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.avi", (*TONE, "-c:v", "mpeg4", "-c:a", "mp3")),
        ("a.mpg", (*TONE, "-c:v", "mpeg2video", "-c:a", "mp2")),
        ("a.flv", (*TONE, *X264, "-c:a", "aac")),
        ("a.3gp", (*TONE, *X264, "-c:a", "aac")),
    ],
)
def test_verify_notices_a_lost_frame(render: Rendered, tmp_path: Path, name: str, made: tuple[str, ...]) -> None:
    source = render(name, *PICTURE, *made)
    journey = travel(source, tmp_path, Tools(fixed=True))
    assert journey.output.suffix == source.suffix
    assert compare(source, journey.output).holds
    with av.open(str(journey.output)) as read, av.open(str(tmp_path / name), "w", format=source.suffix[1:].replace(
        "mpg", "vob")) as written:  # fmt: skip
        tracks = {s.index: written.add_stream_from_template(s, opaque=True) for s in read.streams}
        for number, packet in enumerate(read.demux()):
            if packet.dts is not None and number != 9:
                packet.stream = tracks[packet.stream.index]
                written.mux(packet)
    assert not compare(source, tmp_path / name).holds
