"""The table of encoders: options for every quality, the least PSNR, HDR, rates, and what runs on this machine."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.domain.manifest import Mastering
from farm.domain.options import CODECS, PRESETS
from farm.media.encoding.encoders import ENCODERS, Asked
from farm.media.encoding.holding import available_encoders, layouts, runs_here
from tests.integration.drawn import P3


def test_what_runs_here_is_found_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    runs_here.cache_clear()
    found = available_encoders()
    software = {name for name, encoder in ENCODERS.items() if not encoder.hardware}
    assert software <= set(found) <= set(ENCODERS)
    if not Path("/dev/nvidiactl").exists():
        assert not any(name.endswith("nvenc") for name in found)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name, encoder in ENCODERS.items() if encoder.hardware])
def test_the_table_names_formats_that_hardware_encoders_take(name: str) -> None:
    if name not in av.codecs_available:
        pytest.skip("this FFmpeg was built without it")
    takes = {f.name for f in av.Codec(name, "w").video_formats or []}
    assert set(ENCODERS[name].formats) <= takes


def hdr(name: str, mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
    told = ENCODERS[name].hdr
    assert told is not None
    return told.parameters(mastering, light)


def test_hdr_is_told_to_each_encoder_in_its_own_words() -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert hdr("libx265", P3, (1000, 400)) == [f"master-display={display}", "max-cll=1000,400"]
    assert hdr("libx264", P3, (1000, 400)) == [f"mastering-display={display}", "cll=1000,400"]
    assert hdr("libsvtav1", P3, (1000, 400)) == [
        "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(1000.0000,0.0050)",
        "content-light=1000,400",
    ]
    assert hdr("libx265", replace(P3, luminance=None), None) == []
    assert ENCODERS["prores_ks"].hdr is None


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_quality_and_preset_has_options_for_every_encoder(encoder: str) -> None:
    quality = ENCODERS[encoder].quality
    said = [quality(Asked(crf, preset)) for crf in range(52) for preset in PRESETS]
    assert all(said)
    known = {"crf", "qp", "qp_i", "qmin", "global_quality"} & set(said[0])
    for name in known:
        values = [int(quality(Asked(crf, "fast"))[name]) for crf in range(52)]
        assert values == sorted(values)
    if "crf" in known and ENCODERS[encoder].family in {"av1", "vp8", "vp9"}:
        assert quality(Asked(51, "fast"))["crf"] == "63"


@pytest.mark.parametrize("name", ENCODERS)
def test_a_better_quality_is_never_asked_for_less(name: str) -> None:
    encoder = ENCODERS[name]
    floors = [encoder.lowest_psnr(encoder.quality(Asked(crf, "fast"))) for crf in range(52)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] >= 5


@pytest.mark.parametrize(
    ("name", "like"), [("h264_nvenc", "libx264"), ("hevc_nvenc", "libx265"), ("av1_nvenc", "libsvtav1")]
)
def test_nvenc_is_asked_for_as_much_as_the_software_encoder_of_its_family(name: str, like: str) -> None:
    for crf in range(52):
        floors = [ENCODERS[n].lowest_psnr(ENCODERS[n].quality(Asked(crf, "fast"))) for n in (name, like)]
        assert floors[0] == pytest.approx(floors[1], abs=0.3)
    assert ENCODERS[name].lowest_psnr(ENCODERS[name].quality(Asked(18, "fast"))) > 20


def test_the_rate_in_the_header_is_one_that_the_codec_can_say() -> None:
    def clock_rate(encoder: str, rate: Fraction | None) -> Fraction:
        return ENCODERS[encoder].clock_rate(rate)

    assert clock_rate("libx264", None) == 30
    assert clock_rate("mpeg2video", Fraction(45000, 1501)) == Fraction(30000, 1001)
    assert clock_rate("mpeg1video", Fraction(12)) == Fraction(24000, 1001)
    assert clock_rate("libsvtav1", Fraction(1000)) == 240
    assert clock_rate("mpeg4", Fraction(1192500, 39913)) == 30
    assert clock_rate("mpeg4", Fraction(1, 70000)) == 1
    assert clock_rate("mpeg4", Fraction(30000, 1001)) == Fraction(30000, 1001)


def test_every_family_that_can_be_asked_for_has_an_encoder_here() -> None:
    assert {encoder.family for encoder in ENCODERS.values()} >= set(CODECS)
    assert all(layouts(name) for name in ENCODERS)
    assert "h264_vaapi" not in ENCODERS  # its frames lie in the device's own memory
