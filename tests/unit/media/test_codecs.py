"""Which encoder a video gets, with what options, and what is refused in one line."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import pytest

from farm.domain.manifest import Mastering, VideoStream
from farm.domain.options import CODECS, PRESETS, RedactOptions
from farm.domain.pixels import plain_format
from farm.errors import FarmError, SettingsError, SourceError
from farm.media.encoding import choice
from farm.media.encoding.choice import output_size
from farm.media.encoding.codecs import ENCODERS, encoder_named, layouts
from farm.media.encoding.encode import encoder_settings, output_video
from farm.media.encoding.hdr import hdr_parameters
from farm.media.encoding.quality import quality_options
from farm.media.encoding.rates import clock_rate

QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # players turn it clockwise by a quarter
P3 = Mastering((34000, 16000, 13250, 34500, 7500, 3000), (15635, 16450), (10_000_000, 50))
OWN = {
    "h264": ("libx264", "yuv420p"),
    "hevc": ("libx265", "yuv420p10le"),
    "av1": ("libsvtav1", "yuv420p10le"),
    "vp8": ("libvpx", "yuv420p"),
    "vp9": ("libvpx-vp9", "yuv444p"),
    "mpeg1video": ("mpeg1video", "yuv420p"),
    "mpeg2video": ("mpeg2video", "yuv422p"),
    "mpeg4": ("mpeg4", "yuv420p"),
    "prores": ("prores_ks", "yuv422p10le"),
    "ffv1": ("ffv1", "yuva444p12le"),
    "mjpeg": ("mjpeg", "yuvj422p"),
}


def video(codec: str = "h264", pix_fmt: str = "yuv420p", **changed: Any) -> VideoStream:
    plain = VideoStream(
        index=0,
        codec=codec,
        width=320,
        height=240,
        pix_fmt=pix_fmt,
        time_base=Fraction(1, 90000),
        average_rate=Fraction(30000, 1001),
        sample_aspect=Fraction(4, 3),
        color_range=1,
        color_primaries=2,
        color_transfer=2,
        color_space=2,
    )
    return replace(plain, **changed)


def options(**asked: Any) -> RedactOptions:
    return RedactOptions(**asked)


@pytest.mark.parametrize("codec", OWN)
def test_a_family_stays_what_it_is_and_says_nothing(codec: str) -> None:
    encoder, pix_fmt = OWN[codec]
    settings = encoder_settings(video(codec, pix_fmt), options())
    assert (settings.encoder, settings.codec, settings.pix_fmt, settings.notes) == (encoder, codec, pix_fmt, ())
    assert settings == encoder_settings(video(codec, pix_fmt), options())


@pytest.mark.parametrize(
    ("source", "codec", "note"),
    [
        (video("vp9", "yuv420p10le"), "av1", "vp9 with 10 bits a sample has no encoder here: the output is av1"),
        (video("vp9", "yuv422p10le"), "hevc", "vp9 with 10 bits a sample has no encoder here: the output is hevc"),
        (video("prores", "yuva444p12le"), "ffv1", "prores with transparency (yuva444p12le) has no encoder here"),
        (video("prores", "yuv444p12le"), "ffv1", "prores with"),  # comes back as 12 bits from 10
        (video("prores", "yuv444p10le"), "ffv1", "prores with"),
        (video("mjpeg", "gray", color_range=2), "hevc", "mjpeg with pixels in gray has no encoder here"),
        (video("mjpeg", "yuvj420p", fields="tff"), "h264", "mjpeg with interlaced frames has no encoder here"),
        (video("wmv3"), "h264", "wmv3 has no encoder here: the output is h264"),
        (video("wmv3", width=321), "ffv1", "wmv3 has no encoder here: the output is ffv1"),
        (video("vvc", "yuv420p10le"), "hevc", "vvc has no encoder here: the output is hevc"),
        (video("gif", "bgra"), "ffv1", "gif has no encoder here: the output is ffv1"),
        (video("rawvideo", "yuv420p"), "ffv1", "rawvideo has no encoder here: the output is ffv1"),
    ],
)
def test_the_nearest_that_holds_it_is_taken_and_a_note_says_so(source: VideoStream, codec: str, note: str) -> None:
    settings = encoder_settings(source, options())
    assert (settings.codec, settings.pix_fmt) == (codec, source.pix_fmt)
    assert settings.notes[0].startswith(note)


@pytest.mark.parametrize(
    ("source", "reason", "hint"),
    [
        (video("vp9", "yuva420p"), "transparency (yuva420p)", "--codec ffv1"),
        (video("h264", width=321), "a size of 321x240 in yuv420p", "--codec av1"),
        (video("hevc", "yuv420p10le", height=241), "a size of 320x241 in yuv420p10le", "--codec av1"),
        (video("hevc", fields="tff"), "interlaced frames", "--codec h264"),
        (video("h264", fields="bff", height=242), "interlaced frames of 242 lines", "--codec mpeg2video"),
        (video("h264", "yuv444p14le"), "14 bits a sample", "--codec ffv1"),
        (video("h264", "pal8"), "pixels in pal8", "-pix_fmt yuv420p"),
    ],
)
def test_what_cannot_be_held_is_refused_with_what_would(source: VideoStream, reason: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        encoder_settings(source, options())
    assert reason in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "asked", "message"),
    [
        (video(), {"encoder": "h264_madeup"}, "not an encoder that can be used"),
        (video(), {"encoder": "mpeg4_nvenc"}, "this machine's FFmpeg has no such encoder"),
        (video(), {"encoder": "libx265", "codec": "h264"}, "writes hevc, not --codec h264"),
        (video(pix_fmt="yuv444p"), {"encoder": "libsvtav1"}, "cannot hold pixels in yuv444p"),
        (video(pix_fmt="yuv420p10le"), {"codec": "mpeg4"}, "MPEG-4 cannot hold 10 bits a sample"),
        (video("vp9", width=321), {"codec": "h264"}, "H.264 cannot hold a size of 321x240"),
        (video(color_space=1), {"codec": "mjpeg"}, "colours of another matrix than BT.601's"),
        (video("hevc", "yuv420p", mastering=P3), {"codec": "vp8"}, "HDR metadata"),
        (video(), {"scale": 320}, "the video is 320 pixels wide already"),
        (video(height=20), {"scale": 16}, "nothing would be left"),
        (video(matrix=QUARTER), {"scale": 240}, "the video is 240 pixels wide already"),
    ],
)
def test_what_was_asked_for_and_does_not_go_is_refused(
    source: VideoStream, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        encoder_settings(source, options(**asked))
    assert message in caught.value.message
    assert "\n" not in str(caught.value)


def test_scale_is_the_width_that_is_shown() -> None:
    assert output_size(video(), 160) == (160, 120)
    assert output_size(video(matrix=QUARTER), 120) == (160, 120)
    assert output_size(video(pix_fmt="yuv444p"), 161) == (161, 120)


def test_an_encoder_that_this_ffmpeg_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_encoder", lambda name: not name.startswith("libvpx"))
    settings = encoder_settings(video("vp9"), options())
    assert (settings.codec, settings.notes) == ("av1", ("vp9 has no encoder here: the output is av1",))
    with pytest.raises(SettingsError, match="FFmpeg was built without libvpx-vp9"):
        encoder_settings(video(), options(codec="vp9"))


def test_what_was_asked_for_is_taken() -> None:
    assert encoder_settings(video(), options(codec="av1")).encoder == "libsvtav1"
    assert encoder_settings(video(), options(codec="av1")).notes == ()
    assert encoder_settings(video(), options(encoder="libx264")).notes == ()
    named = encoder_settings(video(), options(encoder="libx265"))
    assert (named.codec, named.notes) == ("hevc", ("--encoder libx265 writes hevc: the source is h264",))
    assert encoder_settings(video("vp9", width=321), options(codec="av1")).width == 321


def test_rgb_stays_rgb() -> None:
    h264 = encoder_settings(video("h264", "gbrp", color_space=0), options())
    assert (h264.encoder, h264.pix_fmt, h264.layout) == ("libx264rgb", "gbrp", "bgr24")
    assert encoder_settings(video("hevc", "gbrp", color_space=1), options()).color_space == 0  # else YUV to decoders
    packed = encoder_settings(video("png", "rgb24"), options())
    assert (packed.codec, packed.given, packed.pix_fmt) == ("ffv1", "rgb24", "bgr0")
    assert any("the same samples in another order" in note for note in packed.notes)
    assert output_video(video("png", "rgb24"), packed).pix_fmt == "bgr0"


@pytest.mark.skipif("h264_nvenc" not in av.codecs_available, reason="this FFmpeg was built without NVENC")
def test_a_hardware_encoder_gets_its_own_layout_and_keeps_the_bits() -> None:
    settings = encoder_settings(video("hevc", "yuv420p10le"), options(encoder="hevc_nvenc", crf=20))
    assert (settings.pix_fmt, settings.layout, settings.codec) == ("yuv420p10le", "p010le", "hevc")
    assert settings.options["qp"] == "20"
    with pytest.raises(SettingsError, match="interlaced frames"):
        encoder_settings(video(fields="tff"), options(encoder="h264_nvenc"))
    with pytest.raises(SettingsError, match="transparency"):
        encoder_settings(video(pix_fmt="yuva420p"), options(encoder="hevc_nvenc"))


def test_the_size_of_a_smaller_output_is_in_proportion_and_whole_chroma_samples() -> None:
    settings = encoder_settings(video("vp9", width=1921, height=1081), options(scale=641))
    assert (settings.width, settings.height) == (640, 360)
    odd = encoder_settings(video("ffv1", "yuv411p"), options(scale=99))
    assert (odd.width, odd.height) == (96, 72)
    with pytest.raises(SourceError, match="interlaced"):
        encoder_settings(video(fields="tff"), options(scale=160))


def test_the_output_is_the_source_but_for_what_the_settings_change() -> None:
    source = video("vp9", "yuv420p10le", profile="Profile 2", width=1920, height=1080, fields="progressive")
    output = output_video(source, encoder_settings(source, options(scale=640)))
    assert (output.codec, output.width, output.height, output.profile) == ("av1", 640, 360, None)
    assert replace(output, codec="vp9", width=1920, height=1080, profile="Profile 2") == source


def test_fields_hdr_and_chroma_location_reach_the_encoders() -> None:
    tff = encoder_settings(video(fields="tff", chroma_location=3), options())
    assert "tff=1" in tff.options["x264-params"]
    assert "+ildct+ilme" in tff.options["flags"]
    assert (tff.options["field_order"], tff.options["chroma_sample_location"]) == ("tb", "topleft")
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert hdr_parameters("libx265", P3, (1000, 400)) == [f"master-display={display}", "max-cll=1000,400"]
    assert hdr_parameters("libx264", P3, (1000, 400)) == [f"mastering-display={display}", "cll=1000,400"]
    assert hdr_parameters("libsvtav1", P3, (1000, 400)) == [
        "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(1000.0000,0.0050)",
        "content-light=1000,400",
    ]
    assert hdr_parameters("libx265", replace(P3, luminance=None), None) == []
    assert hdr_parameters("prores_ks", P3, (1000, 400)) == []


@pytest.mark.parametrize("encoder", [*ENCODERS, "h264_nvenc", "av1_nvenc", "hevc_qsv", "h264_amf"])
def test_every_quality_and_preset_has_options_for_every_encoder(encoder: str) -> None:
    said = [quality_options(encoder, crf, preset, None) for crf in range(52) for preset in PRESETS]
    assert all(said)
    known = {"crf", "qp", "qp_i", "qmin", "global_quality"} & set(said[0])
    for name in known:
        values = [int(quality_options(encoder, crf, "fast", None)[name]) for crf in range(52)]
        assert values == sorted(values)
    if "crf" in known and ENCODERS[encoder].family in {"av1", "vp8", "vp9"}:
        assert quality_options(encoder, 51, "fast", None)["crf"] == "63"


@pytest.mark.parametrize(("profile", "name"), [("LT", "lt"), ("apco", "proxy"), ("HQ", "hq"), (None, "hq")])
def test_prores_keeps_its_profile(profile: str | None, name: str) -> None:
    assert encoder_settings(video("prores", "yuv422p10le", profile=profile), options()).options["profile"] == name


def test_the_rate_in_the_header_is_one_that_the_codec_can_say() -> None:
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
    assert encoder_named("vaapi") is None
    assert encoder_named("h264_vaapi") is None  # its frames lie in the device's own memory


def test_no_pixel_format_becomes_another() -> None:
    """Whatever comes in: the output has the same format, or the same samples in an order that a note names."""
    names = sorted({name for encoder in ENCODERS for name in layouts(encoder)} | {"yuvj420p", "yuva420p", "nv12"})
    for codec in OWN:
        for name in names:
            try:
                settings = encoder_settings(video(codec, name), options())
            except FarmError:
                continue
            assert plain_format(settings.pix_fmt) == plain_format(name) or settings.notes
