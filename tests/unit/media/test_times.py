"""Which containers hold the times of given frames, and which is chosen for what a source has."""

from array import array
from fractions import Fraction

import pytest

from farm.domain.manifest import OtherStream
from farm.media.composing.containers import default_container
from farm.media.composing.needs import Needs
from farm.media.composing.times import times_fault

NS, MS, FRAME, MPEG = Fraction(1, 10**9), Fraction(1, 1000), Fraction(1, 25), Fraction(1, 90_000)


@pytest.mark.parametrize(
    ("container", "codec", "tick", "pts", "end"),
    [
        ("mp4", "vp9", NS, range(0, 10 * 33_333_333, 33_333_333), 10 * 33_333_333),
        ("mp4", "vp9", NS, [0, 2**31 - 1], 2**31),
        ("mp4", "h264", Fraction(1, 90_000), [0, 2**31 - 1], 2**31),
        ("mpegts", "h264", MPEG, [2**33 - 3600], 2**33 - 1),
        ("mpeg", "mpeg2video", MPEG, range(0, 36_000, 3600), 36_000),
        ("mpeg", "mpeg1video", MPEG, range(3600, 36_000, 3600), 36_000),
        ("avi", "mpeg4", FRAME, [0, 2, 3, 4], 5),
        ("matroska", "h264", MS, [0, 2**40], 2**40 + 1),
    ],
)
def test_times_that_are_held(container: str, codec: str, tick: Fraction, pts: range | list[int], end: int) -> None:
    assert times_fault(container, codec, tick, array("q", pts), end) is None


@pytest.mark.parametrize(
    ("container", "codec", "tick", "pts", "end", "why"),
    [
        ("mp4", "vp9", NS, [0, 5 * 10**9], 6 * 10**9, "cannot keep frames 5.000 s apart"),
        ("3gp", "h264", NS, [0, 10**9], 4 * 10**9, "cannot keep frames 3.000 s apart"),
        ("mov", "h264", NS, range(0, 2 * 10**10, 10**9), 2 * 10**10, "apart in ticks of 1/1000000000 s"),
        ("mpegts", "h264", MPEG, [2**33 - 3600], 2**33, "26.5 hours"),
        ("mpeg", "mpeg2video", MPEG, [0, 3754, 7507], 11_261, "constant frame rate"),
        ("mpeg", "mpeg2video", MPEG, [0, 3600, 10_800], 14_400, "constant frame rate"),
        ("mpeg", "mpeg1video", MPEG, [0, 3600, 7200], 10_800, "cannot begin with mpeg1video video at 0.000 s"),
        ("flv", "h264", MS, [2**31 - 1], 2**31, "24.8 days"),
        ("avi", "mpeg4", FRAME, [1, 2, 3, 4], 5, "begins at 0, and this video at 0.040 s"),
        ("avi", "mpeg4", FRAME, [0, 1, 2, 30], 31, "an empty packet for each tick"),
    ],
)
def test_times_that_are_not(
    container: str, codec: str, tick: Fraction, pts: range | list[int], end: int, why: str
) -> None:
    assert why in (times_fault(container, codec, tick, array("q", pts), end) or "")


AAC, PCM, MP2, AMR = (OtherStream(1, "audio", codec) for codec in ("aac", "pcm_s16le", "mp2", "amr_nb"))
TICK = Fraction(1, 15_360)


@pytest.mark.parametrize(
    ("source", "suffix", "needs", "container"),
    [
        ("avi", ".avi", Needs("mjpeg", FRAME, (PCM,), rate=Fraction(25)), "avi"),
        ("avi", ".avi", Needs("mjpeg", FRAME, (PCM,), rate=Fraction(25), whole=False), "matroska"),
        ("avi", ".avi", Needs("mpeg4", FRAME, rate=Fraction(25), colours=True), "matroska"),
        ("mpeg", ".mpg", Needs("mpeg2video", MPEG, (MP2,)), "mpeg"),
        ("mpeg", ".vob", Needs("mpeg2video", MPEG, (AAC,)), "mov"),
        (
            "mpeg",
            ".vob",
            Needs("mpeg2video", MPEG, sample_aspect=Fraction(9, 8), width=8, height=8),
            "mov",
        ),
        ("mov,mp4", ".3gp", Needs("mpeg4", TICK, (AMR,)), "3gp"),
        ("mov,mp4", ".3g2", Needs("hevc", TICK), "mp4"),
        ("flv", ".flv", Needs("h264", MS, (AAC, AAC)), "matroska"),
        ("mpegts", ".mts", Needs("h264", MPEG, (OtherStream(1, "subtitle", "hdmv_pgs_subtitle"),)), "m2ts"),
        ("mpegts", ".ts", Needs("h264", MPEG), "mpegts"),
    ],
)
def test_the_source_s_own_container_or_the_next(source: str, suffix: str, needs: Needs, container: str) -> None:
    assert default_container(source, needs, suffix)[0] == container
