"""The search for the settings with which a chunk is as large as in the source, on encoders made of numbers."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VideoStream
from farm.domain.options import RedactOptions
from farm.errors import SettingsError
from farm.media.encoding.encoders import ENCODERS
from farm.media.encoding.sizing import TRIES, Sizing
from tests.planned import settings_of

VIDEO = VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
TARGET = 100_000


def settings(codec: str = "h264") -> EncoderSettings:
    return settings_of(VIDEO, RedactOptions(crf="auto", codec=codec))


def search(encode: Callable[[EncoderSettings], float], begin: EncoderSettings) -> tuple[EncoderSettings, list[float]]:
    """The settings that are found, and how large each encode was, as a share of the target."""
    sizing, sizes = Sizing(begin, "veryfast", TARGET, 2.0), list[float]()
    while True:
        size = round(encode(sizing.settings))
        sizes.append(size / TARGET)
        if sizing.took(size):
            assert round(encode(sizing.settings)) == size  # the file is that of the settings
            return sizing.settings, sizes
        assert len(sizes) <= TRIES


def crf(settings: EncoderSettings) -> float:
    return float(settings.options["crf"])


@pytest.mark.parametrize("half", [3.5, 5.0, 6.0, 8.0, 11.0])
@pytest.mark.parametrize("larger", [1.2, 2.0, 5.0])
def test_a_size_is_reached_whatever_a_step_of_quality_saves(half: float, larger: float) -> None:
    found, sizes = search(lambda s: TARGET * larger * 2 ** ((18 - crf(s)) / half), settings())
    assert abs(sizes[-1] - 1) < 0.05
    assert 18 < crf(found) <= 51


def test_no_chunk_is_better_than_with_the_default_quality() -> None:
    found, sizes = search(lambda s: TARGET * 0.3, settings())
    assert (crf(found), sizes) == (18, [0.3])


def test_a_target_that_no_quality_reaches_ends_at_the_worst() -> None:
    found, sizes = search(lambda s: TARGET * 40 * 2 ** ((18 - crf(s)) / 12), settings())
    assert crf(found) == 51
    assert len(sizes) < TRIES


def test_of_coarse_steps_the_nearest_one_is_taken() -> None:
    """Sizes that jump over the target: the nearest is encoded again where it was not the last."""
    found, sizes = search(lambda s: TARGET * (1.3 if crf(s) < 24 else 0.9 if crf(s) < 30 else 0.5), settings())
    assert sizes[-1] == 0.9
    assert 24 <= crf(found) < 30


@pytest.mark.parametrize("codec", ["av1", "vp9", "vp8"])
def test_whole_steps_end_the_search(codec: str) -> None:
    found, sizes = search(lambda s: TARGET * 3 * 2 ** ((settings_crf(codec) - crf(s)) / 4), settings(codec))
    assert abs(sizes[-1] - 1) < 0.2
    assert crf(found).is_integer()


def settings_crf(codec: str) -> float:
    return crf(settings(codec))


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4"])
def test_mpeg_aims_at_a_bitrate_with_the_default_quality_as_its_best(codec: str) -> None:
    begin = settings(codec)

    def encode(now: EncoderSettings) -> float:
        return TARGET * 2.0 if "+qscale" in now.options["flags"] else 1.1 * int(now.options["b"]) * 2.0 / 8

    found, sizes = search(encode, begin)
    assert abs(sizes[-1] - 1) < 0.05
    assert "+qscale" not in found.options["flags"]
    assert "+bitexact" in found.options["flags"]
    assert (found.options["qmin"], found.options["qmax"]) == (begin.options["qmin"], "31")


@pytest.mark.parametrize("codec", ["prores", "ffv1", "mjpeg"])
def test_encoders_without_a_rate_are_refused_in_one_line(codec: str) -> None:
    name, pix_fmt = {"prores": "prores_ks"}.get(codec, codec), "yuvj420p" if codec == "mjpeg" else "yuv422p10le"
    with pytest.raises(SettingsError, match=f"redact.crf auto: {name} cannot aim at a size") as refused:
        settings_of(replace(VIDEO, pix_fmt=pix_fmt), RedactOptions(crf="auto", codec=codec))
    assert refused.value.field == "redact.crf"


def test_hardware_encoders_are_refused_too() -> None:
    """Whether their headers stay equal at another quality was not measured: a job would fail at its end."""
    assert not any(e.sized for e in ENCODERS.values() if e.hardware)
    assert all(
        e.sized for e in ENCODERS.values() if not e.hardware and e.family not in ("prores", "ffv1", "mjpeg", "png")
    )
