"""The average frame rate and each frame's duration, as other readers compute them from an output."""

import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest

from farm.errors import VerificationError
from farm.executables import find_ffmpeg
from farm.media.verifying.comparing import compare
from tests.integration.trips import Rendered, start

pytestmark = pytest.mark.integration

EVEN = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1", "-c:v", "libx264", "-preset", "veryfast")
#: Frames of different lengths: the last but one longest, the last, or the first.
LENGTHS = {"last but one": "gte(N,24)*9000", "last": "0", "first": "gte(N,1)*9000"}


def uneven(which: str) -> tuple[str, ...]:
    times = f"settb=1/90000,setpts='N*3600+mod(N,3)*450+{LENGTHS[which]}'"
    lasts = "-bsf:v", f"setts=pts=PTS:dts=DTS:duration='if(eq(N,24),{36000 if which == 'last' else 3600},DURATION)'"
    exact = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-video_track_timescale", "90000")
    return (*EVEN[:4], "-vf", times, *EVEN[4:], *exact, *lasts)


def average(path: Path) -> tuple[float, float]:
    """As FFmpeg and OpenCV read it."""
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    capture = cv2.VideoCapture(str(path))
    try:
        return float(rate or 0), float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()


def lasting(path: Path) -> list[tuple[Fraction, Fraction]]:
    """Time and duration of each packet in seconds, in the order of showing."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size and p.pts is not None]
    return sorted((p.pts * p.time_base, (p.duration or 0) * p.time_base) for p in packets if p.pts is not None)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("frames", ["0", "2", "3"])
def test_a_constant_rate_is_read_as_it_is(render: Rendered, tmp_path: Path, suffix: str, frames: str) -> None:
    source = render(f"even{frames}.{suffix}", *EVEN, "-bf", frames)
    trip = start(source, tmp_path)
    trip.compose()
    trip.verify()
    assert average(trip.out) == pytest.approx((25, 25), abs=0.001)
    if suffix == "mkv":
        assert {duration for _, duration in lasting(trip.out)} == {Fraction(1, 25)}


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("which", LENGTHS)
def test_a_variable_rate_is_the_frames_by_the_length(render: Rendered, tmp_path: Path, suffix: str, which: str) -> None:
    trip = start(render(f"uneven {which}.{suffix}", *uneven(which)), tmp_path)
    trip.compose()
    trip.verify()
    chunks = trip.manifest.chunks
    length = (chunks[-1].pts_end - chunks[0].pts_start) * trip.manifest.source.video.time_base
    assert average(trip.out)[0] == pytest.approx(float(25 / length), rel=1e-6)
    with av.open(str(trip.out)) as container:
        assert container.duration == pytest.approx(length * 1_000_000, abs=1000)


def test_no_frame_in_matroska_lasts_longer_than_until_the_next(render: Rendered, tmp_path: Path) -> None:
    made = (
        *EVEN[:4],
        "-vf",
        "settb=1/1000,setpts='N*40+mod(N,3)*7'",
        *EVEN[4:],
        "-bf",
        "3",
        "-fps_mode",
        "passthrough",
    )
    trip = start(render("uneven.mkv", *made), tmp_path)
    trip.compose()
    trip.verify()
    times = lasting(trip.out)
    shortest, longest = Fraction(33, 1000), Fraction(47, 1000)
    assert {b[0] - a[0] for a, b in pairwise(times)} <= {shortest, Fraction(40, 1000), longest, Fraction(26, 1000)}
    assert max(duration for _, duration in times) <= longest


def test_webm_has_the_rate_too(render: Rendered, tmp_path: Path) -> None:
    source = render("even.webm", *EVEN[:4], "-c:v", "libvpx", "-threads", "1", "-deadline", "realtime")
    trip = start(source, tmp_path)
    trip.compose()
    trip.verify()
    assert average(trip.out) == pytest.approx((25, 25), abs=0.001)
    assert {duration for _, duration in lasting(trip.out)} == {Fraction(1, 25)}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_wrong_last_duration_is_noticed(render: Rendered, tmp_path: Path, suffix: str) -> None:
    trip = start(render(f"even3.{suffix}", *EVEN, "-bf", "3"), tmp_path)
    trip.compose()
    assert compare(trip.source, trip.out).holds
    wrong = tmp_path / f"wrong.{suffix}"
    last = "setts=pts=PTS:dts=DTS:duration='if(eq(N,24),2,1)*DURATION'"
    command = [str(find_ffmpeg().path), "-v", "error", "-copyts", "-i", str(trip.out), "-c", "copy", "-bsf:v", last]
    subprocess.run([*command, "-avoid_negative_ts", "disabled", str(wrong)], check=True)
    failed = {finding.name for finding in compare(trip.source, wrong).findings if finding.verdict == "failed"}
    assert "rate" in failed
    trip.out = wrong
    with pytest.raises(VerificationError, match=r"average frame rate|into the next one"):
        trip.verify()
