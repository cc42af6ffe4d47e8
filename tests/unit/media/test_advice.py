"""What a refusal advises is accepted, whatever is asked: it never leads to another refusal."""

import random
import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from farm.domain.manifest import OtherStream, VideoStream
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions
from farm.errors import FarmError, OutputError
from farm.jobs.placing import Request, choose
from farm.media.encoding.encoders import ENCODERS
from farm.media.reading.probe import Probe

SOURCES = [
    ("mov,mp4,m4a,3gp,3g2,mj2", ".mp4"), ("mov,mp4,m4a,3gp,3g2,mj2", ".mov"), ("mov,mp4,m4a,3gp,3g2,mj2", ".3gp"),
    ("matroska,webm", ".mkv"), ("matroska,webm", ".webm"), ("mpegts", ".ts"), ("mpegts", ".mts"), ("flv", ".flv"),
    ("avi", ".avi"), ("asf", ".wmv"), ("rm", ".rm"),
]  # fmt: skip
VIDEOS = ["h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "prores", "ffv1", "mjpeg", "vc1", "flv1", "h263"]
TICKS = [Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 12_800), Fraction(1001, 24_000), Fraction(1, 25)]
SOUNDS = ["", "aac", "opus", "amr_nb", "wmapro", "sipr", "adpcm_swf", "pcm_s16le", "dts", "truehd", "unknown", "cook"]
TEXTS = ["", "hdmv_pgs_subtitle", "mov_text", "subrip", "dvb_teletext", "unknown"]
OUTPUTS = [None, ".mp4", ".mov", ".mkv", ".webm", ".ts", ".txt"]
CODECS = [None, "h264", "vp8", "vp9", "prores", "ffv1"]
AS_WEBM = (
    "use -o NAME.mkv; or add redact.codec av1 and compose.audio aac; or add redact.codec av1 and compose.audio drop"
)


def probe_of(container: str, suffix: str, codec: str, tick: Fraction, *others: tuple[str, str]) -> Probe:
    video = VideoStream(0, codec, 320, 240, "yuv420p", tick, Fraction(25), None, 1, 1, 1, 1)
    streams = [OtherStream(number, *other) for number, other in enumerate(others, start=1) if other[1]]
    return Probe(Path(f"/in/video{suffix}"), 1, 1, container, video, tuple(streams), 0, frozenset(), ())


def following(advice: str, request: Request) -> Request:
    """The request with what an error's hint says."""
    compose, redact = request.options.compose, request.options.redact
    if named := re.search(r"-o NAME(\.\w+)", advice):
        request = replace(request, output=Path(f"/out/NAME{named[1]}"))
    if codec := re.search(r"redact\.codec (\w+)", advice):
        redact = replace(redact, codec=codec[1])
    if audio := re.search(r"compose\.audio (\w+)", advice):
        compose = replace(compose, audio=audio[1])
    if numbers := re.search(r"compose\.drop_streams ([\d,]+)", advice):
        compose = replace(compose, drop_streams=numbers[1])
    if "compose.drop_unknown" in advice:
        compose = replace(compose, drop_unknown=True)
    return replace(request, options=replace(request.options, redact=redact, compose=compose))


def asked(probe: Probe, suffix: str | None, codec: str | None) -> Request:
    output = None if suffix is None else Path(f"/out/video{suffix}")
    return Request(probe.path, output, False, JobOptions(redact=RedactOptions(codec=codec)))


def test_each_advice_is_accepted_as_it_stands() -> None:
    every = list(product(SOURCES, VIDEOS, TICKS, SOUNDS, TEXTS, OUTPUTS, CODECS))
    hints = list[str]()
    for source, video, tick, sound, text, suffix, codec in random.Random(12).sample(every, 300):
        probe = probe_of(*source, video, tick, ("audio", sound), ("subtitle", text))
        request = asked(probe, suffix, codec)
        try:
            choose(request, probe, frozenset(ENCODERS))
        except FarmError as error:
            hints.append(error.hint or "")
            for advice in hints[-1].split("; or ") if not hints[-1].startswith("no other suffix") else ():
                choose(following(advice, request), probe, frozenset(ENCODERS))
    assert len(hints) > 100
    assert all(hints)


@pytest.mark.parametrize(
    ("probe", "suffix", "hint"),
    [
        (probe_of("mpegts", ".ts", "h264", TICKS[1], ("subtitle", "hdmv_pgs_subtitle")), None,
         "use -o NAME.m2ts; or add compose.drop_streams 1"),
        (probe_of("mpegts", ".mts", "h264", TICKS[1], ("subtitle", "hdmv_pgs_subtitle")), ".mkv",
         "use -o NAME.mts"),
        (probe_of("asf", ".wmv", "vc1", TICKS[0], ("audio", "wmapro")), ".mp4",
         "use -o NAME.mkv; or add compose.audio aac; or add compose.audio drop"),
        (probe_of("rm", ".rm", "rv40", TICKS[0], ("audio", "sipr")), None,
         "add compose.audio aac; or add compose.audio drop"),
        (probe_of("mov,mp4", ".mp4", "h264", TICKS[2], ("audio", "unknown")), None, "add compose.drop_unknown"),
        (probe_of("matroska,webm", ".mkv", "h264", TICKS[0], ("audio", "aac")), ".webm", AS_WEBM),
    ],
)  # fmt: skip
def test_it_names_what_keeps_most(probe: Probe, suffix: str | None, hint: str) -> None:
    with pytest.raises(OutputError) as caught:
        choose(asked(probe, suffix, None), probe, frozenset(ENCODERS))
    assert caught.value.hint == hint


def test_where_nothing_helps_it_says_so() -> None:
    slanted = (56755, -32767, 0, 32767, 56755, 0, 0, 0, 2**30)
    probe = probe_of("matroska,webm", ".mkv", "h264", TICKS[0], ("audio", "aac"))
    probe = replace(probe, video=replace(probe.video, matrix=slanted, time_base=Fraction(1, 2**33)))
    with pytest.raises(OutputError, match="no other suffix, codec or option helps: convert it first"):
        choose(asked(probe, None, None), probe, frozenset(ENCODERS))


def test_what_was_asked_before_stays_asked() -> None:
    probe = probe_of("mov,mp4", ".mp4", "h264", TICKS[2], ("audio", "aac"), ("subtitle", "unknown"), ("audio", "sipr"))
    request = asked(probe, None, None)
    options = replace(request.options, compose=ComposeOptions(drop_streams="1"))
    with pytest.raises(OutputError) as caught:
        choose(replace(request, options=options), probe, frozenset(ENCODERS))
    assert "compose.drop_streams 1,2,3" in str(caught.value.hint)
