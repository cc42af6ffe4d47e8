"""The joined track: planned times, which way up, colours, HDR and aspect, in it and in what ffmpeg copies of it."""

import subprocess
from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from farm.domain.manifest import Chunk, Manifest, Source, VideoStream
from farm.domain.orientation import Matrix
from farm.errors import VerificationError
from farm.executables import find_ffmpeg
from farm.media.composing.remux import join_segments, joined_format, segment_packets
from farm.media.reading.probe import probe_source
from farm.media.verifying.verify_segment import verify_segment
from tests.integration.drawn import FAMILIES, FINE, P3, TICKS, settings_for, times, video, write

pytestmark = pytest.mark.integration

ONE, W = 1 << 16, 1 << 30


class Joined:
    """Three segments of one source, of 4, 1 and 3 frames, and the file they are joined into."""

    def __init__(self, folder: Path, source: VideoStream, shift: int = 0) -> None:
        settings = settings_for(source)
        all_pts = times(source, 8, first=5000)
        self.pts = [all_pts[:4], all_pts[4:5], all_pts[5:]]
        self.end = all_pts[-1] + 400
        ends = [part[0] for part in self.pts[1:]] + [self.end]
        chunks = tuple(
            Chunk(i, 0, p[0], end, len(p), p[0]) for i, (p, end) in enumerate(zip(self.pts, ends, strict=True))
        )
        self.manifest = Manifest(Source("x", 1, 1, "", "mov", source, ()), chunks, settings, shift=shift)
        self.segments = [write(folder / f"{i}.seg", source, settings, p, threads=1 + i) for i, p in enumerate(self.pts)]
        self.path = folder / "joined"
        self.format = joined_format(settings.codec, source.time_base)

    def join(self) -> None:
        join_segments(self.manifest, lambda chunk: array("q", self.pts[chunk.index]), self.segments, self.path)

    def copied(self, suffix: str) -> Path:
        """What ffmpeg makes of it, without touching times."""
        out = self.path.with_suffix(suffix)
        command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", "-copyts", "-i", str(self.path), "-c", "copy"]
        command += ["-avoid_negative_ts", "disabled", "-strict", "experimental", str(out)]
        subprocess.run(command, check=True)
        return out


@pytest.mark.parametrize("shift", [0, 5000])
@pytest.mark.parametrize("time_base", [*TICKS, *FINE])
@pytest.mark.parametrize(("codec", "pix_fmt"), FAMILIES)
def test_joined_packets_have_the_planned_times(
    codec: str, pix_fmt: str, time_base: Fraction, shift: int, tmp_path: Path
) -> None:
    joined = Joined(tmp_path, video(codec, pix_fmt, time_base), shift)
    joined.join()
    planned = [(value - shift) * time_base for part in joined.pts for value in part]
    with av.open(str(joined.path)) as opened:
        stream = opened.streams.video[0]
        assert stream.time_base is not None
        packets = [p for p in opened.demux(stream) if p.pts is not None]
        length = (stream.duration or 0) * stream.time_base
        assert sorted((p.pts or 0) * stream.time_base for p in packets) == planned
        dts = [p.dts for p in packets if p.dts is not None]
        assert all(a < b for a, b in pairwise(dts))
        assert all((p.dts or 0) <= (p.pts or 0) for p in packets if p.dts is not None)
    with av.open(str(joined.path)) as opened:
        shown = [f.pts * f.time_base for f in opened.decode(video=0) if f.pts is not None and f.time_base is not None]
    assert shown == planned
    if joined.format in {"mp4", "mov"}:  # the last frame is shown until the plan's end
        assert length == (joined.end - 5000) * time_base


@pytest.mark.parametrize("time_base", FINE)
@pytest.mark.parametrize(("codec", "pix_fmt"), FAMILIES)
def test_a_segment_of_any_time_base_holds_every_frame(
    codec: str, pix_fmt: str, time_base: Fraction, tmp_path: Path
) -> None:
    source = video(codec, pix_fmt, time_base)
    settings = settings_for(source)
    pts = [2**62 + round(number / (30 * time_base)) + number % 3 for number in range(9)]
    pts[5] = pts[4] + 1  # closer than any encoder's clock counts
    path = write(tmp_path / "a.seg", source, settings, pts)
    assert verify_segment(path, pts, settings) == 9
    assert sorted(packet.pts or 0 for packet in segment_packets(path)) == list(range(9))


def matrices() -> dict[int, Matrix]:
    w, h = 64 * ONE, 48 * ONE
    return {
        2: (-ONE, 0, 0, 0, ONE, 0, w, 0, W),
        3: (-ONE, 0, 0, 0, -ONE, 0, w, h, W),
        4: (ONE, 0, 0, 0, -ONE, 0, 0, h, W),
        5: (0, ONE, 0, ONE, 0, 0, 0, 0, W),
        6: (0, ONE, 0, -ONE, 0, 0, h, 0, W),
        7: (0, -ONE, 0, -ONE, 0, 0, h, w, W),
        8: (0, -ONE, 0, ONE, 0, 0, 0, w, W),
    }


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_the_display_matrix_is_the_source_s(orientation: int, tmp_path: Path) -> None:
    matrix = matrices()[orientation]
    joined = Joined(tmp_path, video("h264", "yuv420p", Fraction(1, 1000), matrix=matrix))
    joined.join()
    for path in (joined.path, joined.copied(".mp4"), joined.copied(".mov")):
        assert probe_source(path).video.matrix == matrix
    copied = probe_source(joined.copied(".mkv")).video
    assert copied.orientation == orientation
    assert copied.matrix is not None
    assert copied.matrix[:6] == matrix[:6]  # Matroska knows the turn, not where the picture is moved to


@pytest.mark.parametrize("orientation", [2, 6])
def test_vp8_keeps_its_display_matrix_too(orientation: int, tmp_path: Path) -> None:
    joined = Joined(tmp_path, video("vp8", "yuv420p", Fraction(1, 1000), matrix=matrices()[orientation]))
    joined.join()
    assert probe_source(joined.copied(".mkv")).video.orientation == orientation


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("h264", "yuv420p"), ("hevc", "yuv420p10le"), ("av1", "yuv420p10le"), ("vp9", "yuv420p"),
     ("mpeg2video", "yuv420p"), ("mpeg4", "yuv420p"), ("prores", "yuv422p10le"), ("ffv1", "yuv420p10le")],
)  # fmt: skip
def test_colours_hdr_and_aspect_are_in_the_file_and_survive_ffmpeg(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    hdr = {"color_primaries": 9, "color_transfer": 16, "color_space": 9, "mastering": P3, "light": (1000, 400)}
    source = video(codec, pix_fmt, Fraction(1, 1000), sample_aspect=Fraction(4, 3), **hdr)
    joined = Joined(tmp_path, source)
    joined.join()
    own = joined.copied(".mov") if codec == "prores" else joined.copied(".mp4")
    for path in (joined.path, own, joined.copied(".mkv")):
        found = probe_source(path).video
        assert {name: getattr(found, name) for name in hdr} == hdr
        assert found.sample_aspect == Fraction(4, 3)
        assert found.color_range == 1


@pytest.mark.parametrize(("codec", "pix_fmt"), [("ffv1", "yuv420p"), ("mjpeg", "yuvj420p"), ("h264", "yuvj420p")])
def test_the_full_range_is_in_the_joined_file(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    joined = Joined(tmp_path, video(codec, pix_fmt, Fraction(1, 1000), color_range=2))
    joined.join()
    assert [probe_source(path).video.color_range for path in (joined.path, joined.copied(".mkv"))] == [2, 2]


@pytest.mark.parametrize("profile", ["Proxy", "LT", "Standard", "HQ"])
def test_prores_stays_in_its_profile(profile: str, tmp_path: Path) -> None:
    joined = Joined(tmp_path, video("prores", "yuv422p10le", Fraction(1, 1000), profile=profile))
    joined.join()
    assert probe_source(joined.path).video.profile == profile


@pytest.mark.parametrize(("codec", "pix_fmt"), [("h264", "yuv420p"), ("vp9", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_segments_of_other_parameters_are_not_joined(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    source = video(codec, pix_fmt)
    joined = Joined(tmp_path, source)
    other = {"vp9": ("vp9", "yuv444p"), "mjpeg": ("mpeg4", "yuv420p")}.get(codec, (codec, "yuv422p"))
    changed = video(*other)
    write(joined.segments[1], changed, settings_for(changed), joined.pts[1])
    with pytest.raises(VerificationError, match="was encoded with other parameters"):
        joined.join()
