"""ffmpeg's command line, the encoder's settings and the choice of container: nothing is run."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from farm.domain.containers import MUXERS
from farm.domain.manifest import OtherStream, Source, VideoStream
from farm.domain.options import ComposeOptions, RedactOptions
from farm.errors import OutputError
from farm.media.composing.arguments import ComposeInputs, CoverArt, Tags, compose_arguments, written_tags
from farm.media.composing.containers import container_for, default_container, refuse_loss
from farm.media.composing.needs import Needs
from farm.media.composing.streams import plan_streams
from farm.media.composing.trim import Trim
from farm.media.reading.stream_details import StreamDetails
from tests.planned import settings_of

MS, TICK = Fraction(1, 1000), Fraction(1, 15360)
AAC = OtherStream(1, "audio", "aac")
TEXT = OtherStream(2, "subtitle", "mov_text")


def video(index: int = 0, codec: str = "h264", pix_fmt: str = "yuv420p") -> VideoStream:
    return VideoStream(
        index=index, codec=codec, width=320, height=240, pix_fmt=pix_fmt, time_base=Fraction(1, 15360),
        average_rate=Fraction(30), sample_aspect=Fraction(4, 3), color_range=1, color_primaries=9,
        color_transfer=16, color_space=9,
    )  # fmt: skip


def inputs(*kept: OtherStream, index: int = 0, covers: tuple[CoverArt, ...] = ()) -> ComposeInputs:
    source = Source("/there/in.mp4", 1, 1, "d", "mov", video(index), kept)
    return ComposeInputs(
        Path("/w/video.mp4"), Path("/here/in.mp4"), source, kept, covers, {0: "default", 1: "forced"}, (48000,)
    )


def pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(pairwise(words))


def test_everything_is_copied_at_its_own_time() -> None:
    words = compose_arguments(inputs(AAC, TEXT), "mp4", Path("/w/out.mp4"))
    for pair in (
        ("-c", "copy"), ("-avoid_negative_ts", "disabled"), ("-i", "file:/w/video.mp4"), ("-i", "file:/here/in.mp4"),
        ("-map_metadata", "0"), ("-map_chapters", "0"), ("-disposition:0", "default"), ("-disposition:1", "forced"),
        ("-map_metadata:s:1", "0:s:1"), ("-v", "error"), ("-protocol_whitelist", "file"),
    ):  # fmt: skip
        assert pair in pairs(words), pair
    assert [b for a, b in pairs(words) if a == "-map"] == ["0:t:9999?", "1:v:0", "0:1", "0:2"]
    assert {"-copyts", "-nostdin"} <= set(words)
    assert words[-1] == "file:/w/out.mp4"


def test_the_video_keeps_its_place_among_the_streams() -> None:
    words = compose_arguments(inputs(OtherStream(0, "audio", "aac"), index=1), "mp4", Path("out.mp4"))
    maps = [b for a, b in pairs(words) if a == "-map"]
    assert maps == ["0:t:9999?", "0:0", "1:v:0"]  # ffmpeg-python numbers inputs by first use: the source is 0
    assert ("-map_metadata:s:1", "0:s:1") in pairs(words)
    assert [b for a, b in pairs(words) if a == "-i"] == ["file:/here/in.mp4", "file:/w/video.mp4"]


def test_the_source_is_an_input_even_when_no_stream_of_it_is_kept() -> None:
    words = compose_arguments(inputs(), "matroska", Path("out.mkv"))
    assert ("-i", "file:/here/in.mp4") in pairs(words)


@pytest.mark.parametrize(
    ("container", "pair"),
    [
        ("mp4", ("-video_track_timescale", "15360")),
        ("mp4", ("-movie_timescale", "384000")),  # edit lists exact for 15360 and 48000
        ("mpegts", ("-mpegts_copyts", "1")),
        ("mpegts", ("-pes_payload_size", "0")),
    ],
)
def test_each_container_is_told_to_keep_times(container: str, pair: tuple[str, str]) -> None:
    assert pair in pairs(compose_arguments(inputs(AAC), container, Path("out")))


def test_covers_are_attached_with_their_names() -> None:
    covers = (CoverArt(Path("/w/a.png"), "a b.png", "image/png"),)
    words = compose_arguments(inputs(AAC, covers=covers), "matroska", Path("out.mkv"))
    assert ("-attach", "/w/a.png") in pairs(words)
    assert ("-metadata:s:2", "filename=a b.png") in pairs(words)
    assert ("-metadata:s:2", "mimetype=image/png") in pairs(words)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_settings_close_gops_and_keep_the_picture(codec: str) -> None:
    settings = settings_of(video(codec=codec, pix_fmt="yuv444p"), RedactOptions(crf=21, preset="fast"))
    assert settings.codec == codec
    assert (settings.options["crf"], settings.options["preset"]) == ("21", "fast")
    assert any("open-gop=0" in value for value in settings.options.values())
    assert (settings.pix_fmt, settings.width, settings.height) == ("yuv444p", 320, 240)
    assert (settings.time_base, settings.sample_aspect) == (Fraction(1, 15360), Fraction(4, 3))
    colours = (settings.color_range, settings.color_primaries, settings.color_transfer, settings.color_space)
    assert colours == (1, 9, 16, 9)


@pytest.mark.parametrize(
    ("source", "suffix", "time_base", "container", "default"),
    [
        ("mov,mp4,m4a,3gp,3g2,mj2", ".mp4", Fraction(1, 15360), "mp4", ".mp4"),
        ("mov,mp4,m4a,3gp,3g2,mj2", ".mov", Fraction(1, 600), "mov", ".mp4"),
        ("matroska,webm", ".mkv", Fraction(1, 1000), "matroska", ".mkv"),
        ("mov,mp4,m4a,3gp,3g2,mj2", "", Fraction(1, 15360), "mp4", ".mp4"),  # an output named without a suffix
        ("mpegts", None, Fraction(1, 90000), "mpegts", ".ts"),
        ("avi", None, Fraction(1, 25), "matroska", ".mkv"),  # 40 ms
        ("avi", None, Fraction(1001, 24000), "mov", ".mov"),  # no whole milliseconds: Matroska would round
        ("flv", None, Fraction(1, 1000), "flv", ".flv"),
    ],
)
def test_containers(source: str, suffix: str | None, time_base: Fraction, container: str, default: str) -> None:
    needs = Needs("h264", time_base)
    usual, found, _ = default_container(source, needs, "")
    assert found == default
    assert (usual if suffix is None else container_for(suffix, source, needs, "")) == container


def test_a_source_s_own_suffix_is_kept_where_it_fits() -> None:
    assert default_container("mov,mp4,m4a,3gp,3g2,mj2", Needs("h264", Fraction(1, 600)), ".MOV")[1] == ".MOV"
    assert default_container("matroska,webm", Needs("h264", MS), ".webm")[1] == ".mkv"


@pytest.mark.parametrize(
    ("suffix", "time_base"),
    [
        (".webm", Fraction(1, 1000)),
        (".txt", Fraction(1, 1000)),
        (".mkv", Fraction(1, 15360)),
        (".ts", Fraction(1, 1000001)),
    ],
)
def test_a_suffix_that_cannot_hold_the_video_is_refused(suffix: str, time_base: Fraction) -> None:
    with pytest.raises(OutputError, match=rf"an output named \*{suffix} cannot"):
        container_for(suffix, "mov,mp4", Needs("h264", time_base), "")


def test_streams_a_container_cannot_hold_are_noted() -> None:
    font, cover = OtherStream(1, "attachment", "unknown"), OtherStream(2, "cover", "png")
    others = (font, cover, OtherStream(3, "audio", "aac"), OtherStream(4, "data", "bin_data"))
    plan = plan_streams(others, "matroska")
    assert [o.index for o in plan.kept] == [3, 1, 2]  # tracks, attachments, covers: the order in a file
    assert [note.split(":")[0] for note in plan.notes] == [
        "stream 4 (data, bin_data) was left out",
    ]
    chaptered = plan_streams(others, "matroska", details=StreamDetails(chapters=True))
    assert not any("stream 4" in note for note in chaptered.notes)  # the chapters' own text track


def test_audio_that_is_not_wanted_is_counted() -> None:
    others = (AAC, OtherStream(2, "audio", "pcm_s16le"), OtherStream(3, "subtitle", "mov_text"))
    plan = plan_streams(others, "mp4", ComposeOptions(audio="drop"))
    assert [o.index for o in plan.kept] == [3]
    assert plan.notes == ("2 audio streams were left out, as asked",)
    refuse_loss("mp4", Needs.of(video(), others, ComposeOptions(audio="drop")))


@pytest.mark.parametrize(
    ("letters", "policy", "kept", "why"),
    [
        ("gpmd", "strip-private", False, "where and with what"),
        ("gpmd", "keep", True, ""),
        ("mebx", "strip-private", False, "where and with what"),
        ("mebx", "keep", False, "describes it"),
        ("rtp ", "keep", False, "packets that are no longer there"),
        ("mp4s", "strip", False, "describes it"),
        ("tmcd", "strip-private", False, ""),  # written anew from its tag
    ],
)
def test_tracks_of_measurements_are_private(letters: str, policy: str, kept: bool, why: str) -> None:
    data = OtherStream(1, "data", "bin_data")
    plan = plan_streams((data,), "mp4", ComposeOptions(metadata=policy), StreamDetails(letters={1: letters}))
    assert (data in plan.kept) is kept
    assert len(plan.notes) == bool(why)
    assert why in "".join(plan.notes)


def test_thumbnails_of_the_video_and_texts_with_places_are_left_out() -> None:
    others = (TEXT, OtherStream(3, "thumbnails", "mjpeg"))
    details = StreamDetails(placing=frozenset({2}))
    plan = plan_streams(others, "mp4", details=details)
    assert not plan.kept
    assert "where this was filmed" in plan.notes[0]
    assert "faces in them" in plan.notes[1]
    kept = plan_streams(others, "mp4", ComposeOptions(metadata="keep"), details)
    assert kept.kept == (TEXT,)


@pytest.mark.parametrize(
    ("other", "container"),
    [
        (OtherStream(2, "subtitle", "ass"), "mp4"),
        (OtherStream(2, "audio", "pcm_s16le"), "mp4"),
        (OtherStream(2, "audio", "unknown"), "matroska"),
        (OtherStream(2, "subtitle", "eia_608"), "mov"),
    ],
)
def test_sound_and_subtitles_are_never_lost(other: OtherStream, container: str) -> None:
    with pytest.raises(OutputError, match=rf"stream 2 \({other.kind}, {other.codec}\)"):
        refuse_loss(container, Needs("h264", TICK, (AAC, other)))


def test_streams_of_other_kinds_may_be_left_out() -> None:
    others = (AAC, OtherStream(2, "data", "gpmd"), OtherStream(3, "attachment", "ttf"), OtherStream(4, "cover", "gif"))
    refuse_loss("mp4", Needs("h264", TICK, others))
    assert len(plan_streams(others, "mp4").notes) == 3


MIRRORED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 2**30)
SLANTED = (56755, -32767, 0, 32767, 56755, 0, 0, 0, 2**30)
PCM, OPUS = OtherStream(1, "audio", "pcm_s16le"), OtherStream(1, "audio", "opus")


@pytest.mark.parametrize(
    ("source", "suffix", "needs", "container"),
    [
        ("matroska,webm", ".webm", Needs("vp9", MS, (OPUS,)), "webm"),
        ("matroska,webm", ".webm", Needs("vp9", MS, (AAC,)), "matroska"),
        ("matroska,webm", ".webm", Needs("vp9", MS, sample_aspect=Fraction(4, 3), width=160), "matroska"),
        ("matroska,webm", ".webm", Needs("h264", MS), "matroska"),
        ("mov,mp4", ".mov", Needs("av1", TICK), "mp4"),
        ("mov,mp4", ".mp4", Needs("prores", TICK, (AAC,)), "mov"),
        ("mov,mp4", ".mp4", Needs("h264", TICK, (PCM,)), "mov"),
        ("mov,mp4", ".mp4", Needs("vp8", MS), "matroska"),
        ("mpegts", ".ts", Needs("av1", Fraction(1, 90000)), "mp4"),
        ("mpegts", ".ts", Needs("h264", Fraction(1, 90000), matrix=MIRRORED), "mov"),
        ("avi", ".avi", Needs("mjpeg", Fraction(1001, 24000), (PCM,)), "mov"),
        ("avi", ".avi", Needs("mjpeg", Fraction(1, 25), (PCM,), matrix=MIRRORED), "matroska"),
        ("avi", ".avi", Needs("mjpeg", Fraction(1, 25), matrix=SLANTED), "mov"),
    ],
)
def test_the_next_container_that_holds_everything(source: str, suffix: str, needs: Needs, container: str) -> None:
    found, usual, note = default_container(source, needs, suffix)
    assert found == MUXERS[usual] == container
    assert (note is None) == (MUXERS.get(suffix) == container)
    assert note is None or note.startswith(f"the source is {suffix}; the output is ") or "not written here" in note


def test_times_that_no_container_keeps_are_refused() -> None:
    with pytest.raises(OutputError, match="no container"):
        default_container("avi", Needs("vp8", Fraction(1001, 24000)), "")


def test_a_part_is_cut_and_moved_in_ticks_of_each_stream() -> None:
    part = replace(
        inputs(AAC, TEXT), trim=Trim(Fraction(3, 2), Fraction(3, 2), Fraction(3)),
        ticks={1: Fraction(1, 44100), 2: Fraction(1, 1000)}, chapters=Path("/w/c.txt"),
    )  # fmt: skip
    words = pairs(compose_arguments(part, "mp4", Path("out.mp4")))
    cut = "noise=drop='not(gte(pts,66150)*lt(pts,132300))',setts=pts=PTS-(66150):dts=PTS-(66150)"
    assert ("-bsf:1", cut) in words
    assert ("-bsf:2", cut.replace("66150", "1500").replace("132300", "3000")) in words
    assert not any(a == "-bsf:0" for a, _ in words)
    assert ("-i", "file:/w/c.txt") in words
    assert ("-map_chapters", "2") in words


@pytest.mark.parametrize("key", ["x=y", "x" * 300_000])
def test_metadata_is_removed_by_name_or_else_what_remains_is_read_from_a_file(key: str) -> None:
    tags = {None: Tags({"title": "A"}, ("location", "location-eng")), 1: Tags({"a": "b"}, (key,))}
    assert written_tags(tags) == {1: {"a": "b"}}
    written = replace(inputs(AAC), tags=tags, written=Path("/w/m.txt"))
    words = pairs(compose_arguments(written, "mp4", Path("out.mp4")))
    assert {("-map_metadata", "0"), ("-metadata", "location="), ("-metadata", "location-eng=")} <= set(words)
    assert {("-map_metadata:s:0", "0:s:0"), ("-map_metadata:s:1", "2:s:0"), ("-i", "file:/w/m.txt")} <= set(words)
    assert max(len(word) for pair in words for word in pair) < 1000
    later = compose_arguments(replace(written, chapters=Path("/w/c.txt")), "mp4", Path("out.mp4"))
    assert {("-map_chapters", "2"), ("-map_metadata:s:1", "3:s:0")} <= set(pairs(later))
    assert ("-movflags", "+faststart+write_colr") in words


def test_mp4_keeps_keys_of_any_name_only_where_one_asks_for_it() -> None:
    tags: dict[int | None, Tags] = {None: Tags({"com.apple.quicktime.make": "A"}, ())}
    words = pairs(compose_arguments(replace(inputs(AAC), tags=tags), "mov", Path("out.mov")))
    assert ("-movflags", "+faststart+use_metadata_tags+write_colr") in words
