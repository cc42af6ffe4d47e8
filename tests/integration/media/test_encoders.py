"""Every encoder: exact times, the same picture format, parameter sets that do not depend on the chunk."""

import io
import random
import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import SideData, Type

from farm.domain.pixels import plain_format
from farm.errors import DeviceError
from farm.executables import find_ffmpeg
from farm.media.composing.remux import open_segment, segment_packets
from farm.media.encoding.encode import SegmentWriter, _arranged
from farm.media.encoding.holding import LAYOUTS, REORDERED
from farm.media.reading.probe import probe_source
from farm.media.verifying.verify_segment import verify_segment
from tests.integration.drawn import FAMILIES, P3, TICKS, frame, level, settings_for, times, video, write

pytestmark = pytest.mark.integration

#: Codec and pixel format of a source: every family, and every kind of picture that it holds.
ROWS = [
    ("h264", "yuv420p"),
    ("h264", "yuvj420p"),
    ("h264", "yuv420p10le"),
    ("h264", "yuv422p10le"),
    ("h264", "gbrp"),
    ("hevc", "yuv420p"),
    ("hevc", "yuv420p10le"),
    ("hevc", "yuv444p12le"),
    ("hevc", "gray"),
    ("hevc", "gbrp"),
    ("av1", "yuv420p"),
    ("av1", "yuv420p10le"),
    ("vp8", "yuv420p"),
    ("vp9", "yuv420p"),
    ("vp9", "yuv444p"),
    ("vp9", "yuv420p10le"),
    ("mpeg1video", "yuv420p"),
    ("mpeg2video", "yuv422p"),
    ("mpeg4", "yuv420p"),
    ("prores", "yuv422p10le"),
    ("prores", "yuva444p12le"),
    ("ffv1", "yuv420p"),
    ("ffv1", "yuvj420p"),
    ("ffv1", "yuv422p10le"),
    ("ffv1", "yuva420p"),
    ("ffv1", "bgra"),
    ("ffv1", "rgb24"),
    ("mjpeg", "yuvj420p"),
    ("mjpeg", "yuv422p"),
]


def first_value(shown: av.VideoFrame, place: int) -> int:
    data = bytes(shown.planes[place])
    return int.from_bytes(data[:2], "little") if shown.format.name.endswith("le") else data[0]


@pytest.mark.parametrize(("codec", "pix_fmt"), ROWS)
def test_times_pictures_and_parameter_sets_are_exact(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    headers = set()
    for time_base in TICKS:
        source = video(codec, pix_fmt, time_base)
        settings = settings_for(source)
        for count, threads in ((7, 1), (1, 1), (2, 1), (3, 1), (7, 4)):
            pts = times(source, count)
            path = write(tmp_path / "a.seg", source, settings, pts, threads)
            assert verify_segment(path, pts, settings) == count
            with open_segment(path) as opened:
                stream = opened.streams.video[0]
                frames = list(opened.decode(stream))
                headers.add((time_base, stream.codec_context.extradata))
            assert [f.pts for f in frames] == list(range(count))
            assert {plain_format(f.format.name) for f in frames} == {plain_format(settings.pix_fmt)}
            assert {(f.width, f.height) for f in frames} == {(64, 48)}
            packed = len(frames[0].planes) == 1 and pix_fmt != "gray"
            off = [
                abs(first_value(f, place) - level(pix_fmt, number, 0 if packed else place))
                for number, f in enumerate(frames)
                for place in range(len(f.planes))
                if not (packed and pix_fmt == "rgb24")
            ]
            assert max(off, default=0) <= (0 if settings.codec == "ffv1" else 10), off
    # one parameter set a time base: neither the chunk's length nor the number of threads changes it
    assert len(headers) == len(TICKS)


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize(("layout", "given"), [*LAYOUTS.items(), *((b, a) for a, b in REORDERED.items())])
def test_another_layout_holds_the_very_same_samples(layout: str, given: str, full: int) -> None:
    settings = replace(settings_for(video("h264", "yuv420p")), layout=layout, color_range=full)
    shown = av.VideoFrame(64, 48, given)
    mask = 0x03 if given.endswith("10le") else 0xFF
    noise = random.Random(7)
    for plane in shown.planes:
        samples = bytearray(noise.randbytes(plane.buffer_size))
        if mask != 0xFF:
            samples[1::2] = bytes(value & mask for value in samples[1::2])
        plane.update(bytes(samples))
    back = _arranged(_arranged(shown, settings), replace(settings, layout=given))
    alpha = given.replace("0", "").startswith(("rgb", "bgr")) and "0" in given  # an unused sample may be anything
    for before, after in zip(shown.planes, back.planes, strict=True):
        rows = [
            [bytes(plane)[at : at + plane.width * depth] for at in range(0, plane.buffer_size, plane.line_size)]
            for plane in (before, after)
            for depth in [_depth(given)]
        ]
        if alpha:
            unused = given.index("0")
            rows = [[bytes(b for i, b in enumerate(row) if i % 4 != unused) for row in plane] for plane in rows]
        assert rows[0] == rows[1]


def _depth(pix_fmt: str) -> int:
    """Bytes of a pixel in a plane."""
    if pix_fmt.endswith("le"):
        return 2
    return {"rgb24": 3, "bgr24": 3}.get(pix_fmt, 1 if pix_fmt.startswith(("yuv", "gb")) else 4)


def test_packed_rgb_is_the_same_samples_in_another_order(tmp_path: Path) -> None:
    source = video("png", "rgb24")
    settings = settings_for(source)
    shown = av.VideoFrame(64, 48, "rgb24")
    shown.planes[0].update(bytes([10, 20, 30]) * (shown.planes[0].buffer_size // 3))
    shown.pts, shown.time_base = 0, source.time_base
    with SegmentWriter(tmp_path / "a.seg", settings, 1) as writer:
        writer.write(shown)
    with open_segment(tmp_path / "a.seg") as opened:
        decoded = next(opened.decode(video=0))
    assert decoded.format.name == "bgr0"
    assert bytes(decoded.planes[0])[:3] == bytes([30, 20, 10])


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [row for row in FAMILIES if row[0] not in {"h264", "hevc"}] + [("h264", "yuv444p"), ("hevc", "yuv444p")],
)
def test_odd_sizes_stay_odd(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    source = video(codec, pix_fmt, width=65, height=49)
    settings = settings_for(source)
    assert settings.codec == codec
    pts = times(source, 3)
    assert verify_segment(write(tmp_path / "a.seg", source, settings, pts), pts, settings) == 3


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [row for row in FAMILIES if row[0] not in {"prores", "ffv1", "mjpeg"} and row[1] != "yuvj420p"],
)
def test_groups_of_pictures_are_closed_and_no_longer_than_asked(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    source = video(codec, pix_fmt)
    settings = replace(settings_for(source, preset="medium"), gop=10)
    path = write(tmp_path / "a.seg", source, settings, times(source, 36))
    packets = [(packet.pts or 0, packet.is_keyframe) for packet in segment_packets(path)]
    keys = [at for at, (_, key) in enumerate(packets) if key]
    assert packets[0] == (0, True)
    assert all(b - a <= 10 for a, b in pairwise([*keys, len(packets)]))
    for at in keys:
        assert all(pts >= packets[at][0] for pts, _ in packets[at:])
        assert all(pts < packets[at][0] for pts, _ in packets[:at])


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [row for row in FAMILIES if row[0] not in {"prores", "ffv1"} and row[1] != "yuv422p10le"]
)
def test_quality_follows_the_user_s_number(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    source = video(codec, pix_fmt)
    sizes = []
    for crf in (8, 20, 32, 44):
        noise = random.Random(3)
        with SegmentWriter(tmp_path / "a.seg", settings_for(source, crf=crf), 1) as writer:
            for number, value in enumerate(times(source, 4)):
                shown = frame(source, number, value)
                for plane in shown.planes:
                    plane.update(bytes(min(255, max(0, round(noise.gauss(128, 30)))) for _ in range(plane.buffer_size)))
                writer.write(shown)
        sizes.append(sum(packet.size for packet in segment_packets(tmp_path / "a.seg")))
    assert all(a > 1.1 * b for a, b in pairwise(sizes)), sizes


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("h264", "yuv420p10le"), ("hevc", "yuv420p10le"), ("av1", "yuv420p10le")],
)
def test_hdr10_is_in_the_stream_itself(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    source = video(codec, pix_fmt, color_primaries=9, color_transfer=16, color_space=9, mastering=P3, light=(1000, 400))
    settings = settings_for(source)
    path = write(tmp_path / "a.seg", source, settings, times(source, 3))
    found = probe_source(path).video  # a segment's file says nothing of it, see the boxes of the joined one
    assert (found.mastering, found.light) == (P3, (1000, 400))
    assert (found.color_primaries, found.color_transfer, found.color_space, found.color_range) == (9, 16, 9, 1)


@pytest.mark.parametrize("location", [1, 2, 3])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_place_of_chroma_samples_is_in_the_stream(codec: str, location: int, tmp_path: Path) -> None:
    source = video(codec, "yuv420p", chroma_location=location)
    path = write(tmp_path / "a.seg", source, settings_for(source), times(source, 2))
    assert {"left": 1, "center": 2, "topleft": 3}[_showinfo(path, " cl:")] == location


def _showinfo(path: Path, name: str) -> str:
    """What ffmpeg's own program finds in the frames; all of them have to say the same."""
    command = [str(find_ffmpeg().path), "-nostdin", "-i", str(path), "-vf", "showinfo", "-f", "null", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    said = {line.partition(name)[2].split()[0] for line in lines if name in line and "showinfo" in line}
    assert len(said) == 1, said
    return said.pop()


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("interlaced")
    made = {}
    for order, mode in (("tff", "interleave_top"), ("bff", "interleave_bottom")):
        made[order] = folder / f"{order}.mkv"
        command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", "-f", "lavfi"]
        command += ["-i", "testsrc2=size=64x64:rate=50:duration=0.3", "-vf", f"tinterlace=mode={mode},setfield={order}"]
        command += ["-c:v", "ffv1", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p", str(made[order])]
        subprocess.run(command, check=True)
    return made


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("h264", "yuv420p"), ("mpeg2video", "yuv420p"), ("mpeg4", "yuv420p"), ("ffv1", "yuv420p"),
     ("prores", "yuv422p10le"), ("mjpeg", "yuvj420p")],
)  # fmt: skip
def test_fields_come_out_in_the_order_they_went_in(
    codec: str, pix_fmt: str, order: str, interlaced: dict[str, Path], tmp_path: Path
) -> None:
    source = video(codec, pix_fmt, Fraction(1, 1000), width=64, height=64, fields=order)
    settings = settings_for(source)
    with (
        av.open(str(interlaced[order])) as opened,
        SegmentWriter(tmp_path / "a.seg", settings, 1) as writer,
    ):
        for shown in opened.decode(video=0):
            made = shown.reformat(format=pix_fmt)
            made.pts, made.time_base = shown.pts, shown.time_base
            writer.write(made)
    assert _showinfo(tmp_path / "a.seg", " i:") == {"tff": "T", "bff": "B"}[order]


def captioned() -> bytes:
    """A raw H.264 stream with a message of closed captions (CEA-708 in ATSC A/53) before each of its pictures."""
    command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", "-f", "lavfi"]
    command += ["-i", "testsrc2=size=64x64:rate=25:duration=0.4", "-pix_fmt", "yuv420p", "-c:v", "libx264"]
    command += ["-x264-params", "slices=1:bframes=2", "-f", "h264", "-"]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    made = b""
    for number, unit in enumerate(re.split(b"\x00\x00\x00?\x01", plain)[1:]):
        if unit[0] & 31 in {1, 5}:
            message = b"\xb5\x00\x31GA94\x03\x41\xff" + bytes([0xFC, 0x41 + number, 0x42]) + b"\xff"
            made += b"\0\0\0\1\x06\x04" + bytes([len(message)]) + message + b"\x80"
        made += b"\0\0\0\1" + unit
    return made


def _captions(shown: av.VideoFrame) -> list[bytes]:
    return [bytes(side) for side in shown.side_data if isinstance(side, SideData) and side.type == Type.A53_CC]


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2video"])
def test_closed_captions_stay_with_their_frames(codec: str, tmp_path: Path) -> None:
    source = video(codec, "yuv420p", Fraction(1, 1000), width=64, height=64)
    said = []
    with (
        av.open(io.BytesIO(captioned()), "r", format="h264") as opened,
        SegmentWriter(tmp_path / "a.seg", settings_for(source), 1) as writer,
    ):
        for number, shown in enumerate(opened.decode(video=0)):
            said.append(_captions(shown))
            shown.pts, shown.time_base = number * 40, source.time_base
            writer.write(shown)
    assert len({tuple(one) for one in said}) == len(said) == 10
    with open_segment(tmp_path / "a.seg") as segment:
        assert [_captions(shown) for shown in segment.decode(video=0)] == said


def test_hardware_that_is_not_here_is_said_in_one_line(tmp_path: Path) -> None:
    if "h264_nvenc" not in av.codecs_available or Path("/dev/nvidiactl").exists():
        pytest.skip("needs an FFmpeg with NVENC and a machine without it")
    settings = settings_for(video("h264", "yuv420p"), encoder="h264_nvenc")
    with pytest.raises(DeviceError, match="h264_nvenc does not run on this machine"):
        SegmentWriter(tmp_path / "a.seg", settings, 1)
