"""Which encoder a video gets, with what options, and what is refused in one line."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import pytest

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Mastering, VideoStream
from farm.domain.options import RedactOptions
from farm.domain.pixels import plain_format
from farm.errors import FarmError, SettingsError, SourceError
from farm.media.encoding.choice import at_rate, encoder_settings, output_size, output_video
from farm.media.encoding.encoders import ENCODERS
from farm.media.encoding.holding import layouts

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


def chosen(
    source: VideoStream, available: frozenset[str] = frozenset(ENCODERS), **asked: Any
) -> tuple[EncoderSettings, tuple[str, ...]]:
    return encoder_settings(source, RedactOptions(**asked), available)


def settings_of(source: VideoStream, **asked: Any) -> EncoderSettings:
    return chosen(source, **asked)[0]


@pytest.mark.parametrize("codec", OWN)
def test_a_family_stays_what_it_is_and_says_nothing(codec: str) -> None:
    encoder, pix_fmt = OWN[codec]
    settings, notes = chosen(video(codec, pix_fmt))
    assert (settings.encoder, settings.codec, settings.pix_fmt, notes) == (encoder, codec, pix_fmt, ())
    assert settings == settings_of(video(codec, pix_fmt))


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
    settings, notes = chosen(source)
    assert (settings.codec, settings.pix_fmt) == (codec, source.pix_fmt)
    assert notes[0].startswith(note)


@pytest.mark.parametrize(
    ("source", "reason", "hint"),
    [
        (video("vp9", "yuva420p"), "transparency (yuva420p)", "redact.codec ffv1"),
        (video("h264", width=321), "a size of 321x240 in yuv420p", "redact.codec av1"),
        (video("hevc", "yuv420p10le", height=241), "a size of 320x241 in yuv420p10le", "redact.codec av1"),
        (video("hevc", fields="tff"), "interlaced frames", "redact.codec h264"),
        (video("h264", fields="bff", height=242), "interlaced frames of 242 lines", "redact.codec mpeg2video"),
        (video("h264", "yuv444p14le"), "14 bits a sample", "redact.codec ffv1"),
        (video("h264", "pal8"), "pixels in pal8", "-pix_fmt yuv420p"),
    ],
)
def test_what_cannot_be_held_is_refused_with_what_would(source: VideoStream, reason: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        settings_of(source)
    assert reason in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "asked", "message"),
    [
        (video(), {"encoder": "h264_madeup"}, "not an encoder that can be used"),
        (video(), {"encoder": "mpeg4_nvenc"}, "not an encoder that can be used"),
        (video(), {"encoder": "libx265", "codec": "h264"}, "writes hevc, not redact.codec h264"),
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
        settings_of(source, **asked)
    assert message in caught.value.message
    assert "\n" not in str(caught.value)


def test_scale_is_the_width_that_is_shown() -> None:
    assert output_size(video(), 160) == (160, 120)
    assert output_size(video(matrix=QUARTER), 120) == (160, 120)
    assert output_size(video(pix_fmt="yuv444p"), 161) == (161, 120)


def test_an_encoder_that_no_worker_has_is_named() -> None:
    available = frozenset(name for name in ENCODERS if not name.startswith("libvpx") and not ENCODERS[name].hardware)
    settings, notes = chosen(video("vp9"), available)
    assert (settings.codec, notes) == ("av1", ("vp9 has no encoder here: the output is av1",))
    with pytest.raises(
        SettingsError, match=r'redact.codec: "vp9": VP9 cannot hold video, as no worker has libvpx-vp9, here'
    ):
        chosen(video(), available, codec="vp9")
    with pytest.raises(SettingsError, match=r'redact.encoder: no worker has "h264_nvenc"; ') as refused:
        chosen(video(), available, encoder="h264_nvenc")
    assert refused.value.message.endswith("; leave out redact.encoder, or start a worker that has it")


def test_a_worker_may_have_hardware_that_this_machines_ffmpeg_does_not_know() -> None:
    assert "h264_videotoolbox" not in av.codecs_available or layouts("h264_videotoolbox")
    settings, notes = chosen(video(), frozenset({"h264_videotoolbox"}), encoder="h264_videotoolbox")
    assert (settings.encoder, settings.pix_fmt, notes) == ("h264_videotoolbox", "yuv420p", ())


def test_what_was_asked_for_is_taken() -> None:
    av1, notes = chosen(video(), codec="av1")
    assert (av1.encoder, notes) == ("libsvtav1", ())
    assert chosen(video(), encoder="libx264")[1] == ()
    named, notes = chosen(video(), encoder="libx265")
    assert (named.codec, notes) == ("hevc", ("--encoder libx265 writes hevc: the source is h264",))
    assert settings_of(video("vp9", width=321), codec="av1").width == 321


def test_rgb_stays_rgb() -> None:
    h264 = settings_of(video("h264", "gbrp", color_space=0))
    assert (h264.encoder, h264.pix_fmt, h264.layout) == ("libx264rgb", "gbrp", "bgr24")
    assert settings_of(video("hevc", "gbrp", color_space=1)).color_space == 0  # else YUV to decoders
    packed, notes = chosen(video("png", "rgb24"))
    assert (packed.codec, packed.given, packed.pix_fmt) == ("ffv1", "rgb24", "bgr0")
    assert any("the same samples in another order" in note for note in notes)
    assert output_video(video("png", "rgb24"), packed).pix_fmt == "bgr0"


@pytest.mark.skipif("h264_nvenc" not in av.codecs_available, reason="this FFmpeg was built without NVENC")
def test_a_hardware_encoder_gets_its_own_layout_and_keeps_the_bits() -> None:
    settings = settings_of(video("hevc", "yuv420p10le"), encoder="hevc_nvenc", crf=20)
    assert (settings.pix_fmt, settings.layout, settings.codec) == ("yuv420p10le", "p010le", "hevc")
    assert settings.options["qp"] == "20"
    with pytest.raises(SettingsError, match="interlaced frames"):
        settings_of(video(fields="tff"), encoder="h264_nvenc")
    with pytest.raises(SettingsError, match="transparency"):
        settings_of(video(pix_fmt="yuva420p"), encoder="hevc_nvenc")


def test_the_size_of_a_smaller_output_is_in_proportion_and_whole_chroma_samples() -> None:
    settings = settings_of(video("vp9", width=1921, height=1081), scale=641)
    assert (settings.width, settings.height) == (640, 360)
    odd = settings_of(video("ffv1", "yuv411p"), scale=99)
    assert (odd.width, odd.height) == (96, 72)
    with pytest.raises(SourceError, match="interlaced"):
        settings_of(video(fields="tff"), scale=160)


def test_the_output_is_the_source_but_for_what_the_settings_change() -> None:
    source = video("vp9", "yuv420p10le", profile="Profile 2", width=1920, height=1080, fields="progressive")
    output = output_video(source, settings_of(source, scale=640))
    assert (output.codec, output.width, output.height, output.profile) == ("av1", 640, 360, None)
    assert replace(output, codec="vp9", width=1920, height=1080, profile="Profile 2") == source


def test_fields_and_chroma_location_reach_the_encoders() -> None:
    tff = settings_of(video(fields="tff", chroma_location=3))
    assert "tff=1" in tff.options["x264-params"]
    assert "+ildct+ilme" in tff.options["flags"]
    assert (tff.options["field_order"], tff.options["chroma_sample_location"]) == ("tb", "topleft")


@pytest.mark.parametrize(("profile", "name"), [("LT", "lt"), ("apco", "proxy"), ("HQ", "hq"), (None, "hq")])
def test_prores_keeps_its_profile(profile: str | None, name: str) -> None:
    assert settings_of(video("prores", "yuv422p10le", profile=profile)).options["profile"] == name


def test_no_pixel_format_becomes_another() -> None:
    """Whatever comes in: the output has the same format, or the same samples in an order that a note names."""
    names = sorted({name for encoder in ENCODERS for name in layouts(encoder)} | {"yuvj420p", "yuva420p", "nv12"})
    for codec in OWN:
        for name in names:
            try:
                settings, notes = chosen(video(codec, name))
            except FarmError:
                continue
            assert plain_format(settings.pix_fmt) == plain_format(name) or notes


def test_only_the_rate_depends_on_what_demuxing_tells() -> None:
    """The settings are chosen from the header: a better average rate changes nothing else."""
    source = video(average_rate=Fraction(100))
    exact = replace(source, average_rate=Fraction(25))
    for redact in (RedactOptions(), RedactOptions(codec="av1"), RedactOptions(codec="mpeg2video")):
        before, after = (encoder_settings(one, redact, frozenset(ENCODERS))[0] for one in (source, exact))
        assert before != after
        assert at_rate(before, exact.average_rate) == after
