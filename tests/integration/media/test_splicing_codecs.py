"""Groups of frames without a mask are copied from sources of other codecs than H.264; seams decode everywhere."""

from dataclasses import replace
from pathlib import Path

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.domain.manifest import VideoStream
from farm.media.splicing.hevc import Header, Hevc
from farm.media.splicing.hevc_sets import SPS, SequenceSet, kind_of
from farm.media.splicing.motion_jpeg import MotionJpeg
from farm.media.splicing.units import lengthened, units_in, units_of_stream
from farm.media.splicing.vp9 import Vp9
from tests.integration.media.test_splicing import check, x264
from tests.integration.spliced import all_pictures, changed, digest, pictures, sought, splice
from tests.integration.trips import rendered
from tests.planned import plan_of

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=208x160:rate=25:duration=4"]
#: Frames of the third group and of a place where chunks meet: groups are 20 frames, chunks 60.
COVERED = frozenset({45, 46, 75})
CONTAINERS = {".mkv": "matroska", ".ts": "mpegts"}


def container_of(path: Path) -> str:
    suffix = path.suffix or path.name
    return CONTAINERS.get(suffix, suffix[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splicing")


MOTION_JPEG = {
    "usual.avi": ["-pix_fmt", "yuvj420p"],
    "usual.mov": ["-pix_fmt", "yuvj422p", "-q:v", "3"],
    "plain.mkv": ["-pix_fmt", "yuvj444p", "-huffman", "default"],
    "wide.mkv": ["-pix_fmt", "yuvj420p", "-vf", "setsar=4/3"],
}


@pytest.mark.parametrize("name", MOTION_JPEG)
def test_frames_of_motion_jpeg(name: str, folder: Path, tmp_path: Path) -> None:
    source = rendered(folder / f"mjpeg.{name}", *PICTURE, "-c:v", "mjpeg", *MOTION_JPEG[name])
    found = splice(source, tmp_path, COVERED, source.suffix, container=container_of(source))
    assert found.manifest.encoder.copies
    check(found, frozenset(range(100)) - COVERED)
    assert {number for number, picture in enumerate(alone(found.out)) if picture == alone(source)[number]} == (
        found.copied
    )


def alone(path: Path) -> list[str]:
    """Each packet decoded by a decoder that saw no other one: those of JPEG keep tables."""
    found = []
    for packet in whole_packets(path):
        decoder = av.CodecContext.create("mjpeg", "r")
        assert isinstance(decoder, VideoCodecContext)
        (frame,) = [*decoder.decode(av.Packet(packet)), *decoder.decode(None)]
        found.append(digest(frame))
    return found


def segment(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(content) + 2).to_bytes(2, "big") + content


EXIF, THUMBNAIL = segment(0xE1, b"Exif\0\0MM\0*GPS"), segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1RGB")
NAME = segment(0xFE, b"Lavc62")


def test_what_a_jpeg_holds_beside_its_picture(folder: Path) -> None:
    source = rendered(folder / "bare.avi", *PICTURE, "-c:v", "mjpeg", "-flags", "+bitexact", "-frames:v", "1")
    whole = whole_packets(source)[0]
    manifest, _ = plan_of(source, None)
    splicers = {policy: MotionJpeg(b"", policy, b"", manifest.source.video) for policy in ("strip-private", "strip")}
    usual = splicers["strip-private"]
    start = whole[:2]
    assert usual.fault(av.Packet(whole)) is None
    assert usual.copied(whole) == whole
    marked = start + NAME + EXIF + whole[2:]
    assert usual.fault(av.Packet(marked)) is None
    assert [each.copied(marked) for each in splicers.values()] == [start + NAME + whole[2:], whole]
    tables = whole.index(b"\xff\xc4"), whole.index(b"\xff\xda")
    for odd in (
        start + THUMBNAIL + whole[2:], start + segment(0xFE, b"Intel(R) JPEG Library") + whole[2:],
        start + segment(0xE7, b"unknown") + whole[2:], start + segment(0xE0, b"AVI1\1") + whole[2:],
        start + segment(0xFE, b"CS=ITU601") + whole[2:], whole + whole, whole + b"behind", whole[: tables[1] + 9],
        whole[:-2], whole[: tables[0]] + whole[tables[1] :], whole.replace(b"\x00\xa0\x00\xd0", b"\x00\xa0\x00\xc0", 1),
        start + segment(0xDA, b"") + whole[2:], start + segment(0xE0, b"JFIF\0\1\1\0\0\2\0\1\0\0") + whole[2:],
    ):  # fmt: skip
        assert odd != whole
        assert usual.fault(av.Packet(odd)) is not None


VPX = ["-c:v", "libvpx-vp9", "-g", "20", "-keyint_min", "20", "-deadline", "realtime", "-cpu-used", "8"]
#: Frames that are not shown, and frames that show them; libvpx writes those in two passes only.
HIDDEN = ["-auto-alt-ref", "6", "-lag-in-frames", "25", "-b:v", "300k", "-deadline", "good", "-cpu-used", "5"]
VP9 = {
    "usual.webm": ["-pix_fmt", "yuv420p", *HIDDEN],
    "plain.mp4": ["-pix_fmt", "yuv420p", "-auto-alt-ref", "0", "-error-resilient", "1"],
    "half.mkv": ["-pix_fmt", "yuv422p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
    "whole.webm": ["-pix_fmt", "yuv444p", "-color_range", "pc", *HIDDEN],
    "segments.webm": ["-pix_fmt", "yuv420p", "-aq-mode", "3"],
}  # fmt: skip


def rendered_vp9(name: str, folder: Path) -> Path:
    given = [*PICTURE, *VPX, *VP9[name]]
    if HIDDEN[0] not in given or "0" in given:
        return rendered(folder / f"vp9.{name}", *given)
    given += ["-passlogfile", str(folder / name), "-pass"]
    rendered(folder / f"first.{name}", *given, "1")
    return rendered(folder / f"vp9.{name}", *given, "2")


@pytest.mark.parametrize("name", VP9)
def test_groups_of_vp9(name: str, folder: Path, tmp_path: Path) -> None:
    source = rendered_vp9(name, folder)
    found = splice(source, tmp_path, COVERED, source.suffix, container=container_of(source))
    assert found.manifest.encoder.copies
    check(found, frozenset(range(100)) - frozenset(range(40, 80)))
    before, after = (pictures(path, "libvpx-vp9") for path in (found.source, found.out))
    assert after == pictures(found.out)
    assert [a == b for a, b in zip(before, after, strict=True)] == [n in found.copied for n in range(100)]


def test_what_a_frame_of_vp9_may_hold(folder: Path) -> None:
    source = rendered_vp9("usual.webm", folder)
    other, small = (
        rendered(folder / name, *PICTURE, *VPX, *options, "-frames:v", "30")
        for name, options in (
            ("other.webm", ["-pix_fmt", "yuv420p", "-colorspace", "bt709"]),
            ("small.webm", ["-pix_fmt", "yuv420p", "-vf", "scale=200:160"]),
        )
    )
    manifest, _ = plan_of(source, None)
    splicer = Vp9(b"", "strip-private", b"", manifest.source.video)
    own, *rest = (whole_packets(path) for path in (source, other, small))
    assert [splicer.begins(packet) for packet in own] == [n % 20 == 0 for n in range(100)]
    assert {splicer.fault(av.Packet(packet)) for packet in own} == {None}
    assert all(splicer.fault(av.Packet(packets[0])) for packets in rest)
    assert any(len(packet) == 1 for packet in own)  # shows a frame that was hidden
    superframe = next(packet for packet in own if packet[-1] & 0xE0 == 0xC0)
    index = superframe.rindex(superframe[-1:], 0, -1)
    for odd in (superframe[:index] + b"?" + superframe[index:], b"\0" + own[0], b"\xb0" + own[0][1:], own[0][:4]):
        assert splicer.fault(av.Packet(odd)) is not None


def whole_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def x265(parameters: str = "", *more: str) -> list[str]:
    given = ":".join(filter(None, ("keyint=20:min-keyint=20:scenecut=0:open-gop=0:log-level=error", parameters)))
    return [*PICTURE, "-pix_fmt", "yuv420p", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", given, *more]


HEVC = {
    "usual.mp4": x265("bframes=3", "-tag:v", "hvc1"),
    "other.mkv": x265("ref=5:bframes=4:rc-lookahead=10:weightb=1:aud=1"),
    "plain.mov": x265("bframes=0:ref=1", "-tag:v", "hvc1"),
    "ten.mp4": x265("bframes=2:b-pyramid=0:slices=2", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-color_primaries",
                    "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc"),
    "whole.mkv": x265("bframes=3:ctu=16", "-pix_fmt", "yuv444p"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEVC)
def test_groups_of_hevc(name: str, folder: Path, tmp_path: Path) -> None:
    source = rendered(folder / f"hevc.{name}", *HEVC[name])
    found = splice(source, tmp_path, COVERED, source.suffix, container=container_of(source))
    assert found.manifest.encoder.copies
    check(found, frozenset(range(100)) - frozenset(range(40, 80)))
    header = Header.of(codec_header(found.out))
    sets = [SequenceSet.of(unit) for unit in header.of_kind(SPS)]
    assert len({each.id for each in sets}) == len({each.limits for each in sets}) + 1 == 2  # ids differ, limits do not
    assert len({each.picture and (each.picture.size, each.picture.blocks) for each in sets}) == 1


def codec_header(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def test_what_a_packet_of_hevc_may_hold(folder: Path) -> None:
    repeating = x265("bframes=3:repeat-headers=1")
    source = rendered(folder / "repeating.mkv", *repeating, "-frames:v", "25")
    splicer = Hevc(codec_header(source), "strip-private")
    own = [av.Packet(packet) for packet in whole_packets(source)]
    assert [splicer.begins(bytes(packet)) for packet in own] == [n % 20 == 0 for n in range(25)]
    assert {splicer.fault(packet) for packet in own} == {None}
    assert not any(splicer.changes(packet) for packet in own)
    units = list(units_in(bytes(own[0])))
    slices = [unit for unit in units if kind_of(unit) < 32]
    assert SPS in map(kind_of, units)
    assert [kind_of(unit) for unit in units_in(splicer.copied(bytes(own[0])))] == [*map(kind_of, slices)]
    sps = next(unit for unit in units if kind_of(unit) == SPS)
    assert splicer.changes(av.Packet(lengthened([sps[:-1] + b"\x55", *slices])))
    private, known = b"\x4e\x01\x05\x11" + 17 * b"P" + b"\x80", b"\x4e\x01\x06\x01\x80\x80"
    assert splicer.copied(lengthened([known, private, *slices])) == lengthened([known, *slices])
    random_access = [b"\x2a" + unit[1:] for unit in slices]
    assert not splicer.begins(lengthened(random_access))
    for odd in (
        [*slices, b"\x48\x01"], [*slices, b"\x7c\x01\x19"], [b"\x29" + unit[1:] for unit in slices], [private],
        [unit[:2] + bytes((unit[2] | 0x40,)) + unit[3:] for unit in slices],
    ):  # fmt: skip
        assert splicer.fault(av.Packet(lengthened(odd))) is not None


TRANSPORTED = {
    "usual.ts": x264("bframes=3:b-pyramid=normal"),
    "other.m2ts": x264("bframes=0:ref=1"),
    "bare.mp4": x264("bframes=3:b-pyramid=normal"),
    "hevc.ts": x265("bframes=3", "-pix_fmt", "yuv420p10le"),
    "hevc.mp4": x265("bframes=3", "-tag:v", "hvc1"),
}


def slices(path: Path) -> list[tuple[float, list[bytes]]]:
    """The time of each packet, and its slices: muxers of MPEG-TS write delimiters and parameter sets anew."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = [packet for packet in container.demux(stream) if packet.size]
        units = units_of_stream if path.suffix in (".ts", ".m2ts") else units_in
        hevc = stream.codec_context.name == "hevc"
        return sorted(
            (float((packet.pts or 0) * packet.time_base),
             [unit for unit in units(bytes(packet)) if (unit[0] < 64 if hevc else unit[0] & 31 in (1, 5))])
            for packet in found
        )  # fmt: skip


@pytest.mark.parametrize("name", TRANSPORTED)
def test_groups_in_transport_streams(name: str, folder: Path, tmp_path: Path) -> None:
    """Start codes become lengths and start codes again: what is copied are the units."""
    source = rendered(folder / f"transported.{name}", *TRANSPORTED[name])
    out = ".m2ts" if source.suffix == ".m2ts" else ".ts"
    found = splice(source, tmp_path, COVERED, out, container=container_of(Path(out)))
    assert found.manifest.encoder.copies
    untouched = frozenset(range(100)) - frozenset(range(40, 80))
    own, written = (slices(path) for path in (found.source, found.out))
    assert frozenset(n for n, (one, other) in enumerate(zip(own, written, strict=True)) if one == other) == untouched
    for decoder in (None, "libopenh264") if found.manifest.encoder.codec == "h264" else (None,):
        before, after = (pictures(path, decoder) for path in (found.source, found.out))
        assert [a == b for a, b in zip(before, after, strict=True)] == [n in untouched for n in range(100)]
    for number, change in enumerate(changed(found.source, found.out)):
        assert change > 20 if number in COVERED else change < 10, number
    everything = all_pictures(found.out)
    for number in (19, 20, 39, 40, 41, 79, 80, 81):  # there is no index: FFmpeg finds a key frame near the time
        time, picture = everything[number]
        assert sought(found.out, time, earlier=1.0)[0] == picture


@pytest.fixture(scope="module")
def hevc(folder: Path) -> tuple[bytes, VideoStream]:
    source = rendered(folder / "random.mp4", *x265("bframes=0"), "-frames:v", "2")
    return codec_header(source), plan_of(source, None)[0].source.video


@given(
    content=st.binary(min_size=1, max_size=60),
    begin=st.sampled_from((b"", b"\xff\xd8", b"\x82\x49\x83\x42", b"\0\0\0\2")),
)
@settings(deadline=None)
def test_no_packet_of_any_kind_is_an_error(content: bytes, begin: bytes, hevc: tuple[bytes, VideoStream]) -> None:
    header, video = hevc
    full = replace(video, pix_fmt="yuvj420p", color_range=2)
    for splicer in (Hevc(header, "strip"), Vp9(b"", "strip", b"", video), MotionJpeg(b"", "strip", b"", full)):
        packet = av.Packet(begin + content)
        splicer.begins(bytes(packet))
        splicer.changes(packet)
        if splicer.fault(packet) is None:
            splicer.copied(bytes(packet))


@given(st.binary(max_size=60))
def test_a_damaged_header_of_hevc_is_refused(content: bytes) -> None:
    for start in (b"", b"\1" + bytes(21), b"\0\0\1\x42\1"):
        with pytest.raises(ValueError):  # noqa: PT011 - of any kind
            Hevc(start + content, "keep")
