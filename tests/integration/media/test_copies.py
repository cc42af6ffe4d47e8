"""`farm verify` of plain stream copies: containers pack the same streams in their own ways."""

from pathlib import Path

import av
import pytest

from farm.media.verifying.comparing import compare
from farm.media.verifying.comparison import Comparison
from tests.integration.trips import VP8, X264, Rendered, ffmpeg, verdicts

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1"]
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,400\none\n\n2\n00:00:00,700 --> 00:00:00,900\ntwo\n"
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=20"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]


def sound(codec: str) -> list[str]:
    return ["-f", "lavfi", "-i", "sine=sample_rate=48000:duration=1", "-c:a", codec]


#: Sources: their arguments, the containers that ffmpeg copies them into, and of these the ones that change them.
COPIES: dict[str, tuple[list[str], str, str]] = {
    # AAC has ADTS headers in transport streams only; H.264 has start codes there, lengths in the others
    "aac.ts": ([*sound("aac"), *X264], "mp4 mov mkv ts", ""),
    "aac.mp4": ([*sound("aac"), *X264], "mp4 mov mkv ts", "avi"),
    "aac.mkv": ([*sound("aac"), *X264], "mp4 mov ts", ""),
    "aac.flv": ([*sound("aac"), *X264], "mp4 mov mkv ts", ""),
    "hevc.ts": ([*sound("aac"), *X265], "mp4 mov mkv ts", ""),
    "hevc.mp4": ([*sound("aac"), *X265], "mov mkv ts", "avi"),
    "mp3.ts": ([*sound("libmp3lame"), *X264], "mp4 mov mkv ts", "avi"),
    "mp3.mp4": ([*sound("libmp3lame"), *X264], "mov mkv ts", "avi"),
    # MP4 does not say which layer of MPEG audio it holds
    "mp2.ts": ([*sound("mp2"), "-c:v", "mpeg2video", "-bf", "2"], "mp4 mov mkv", "avi"),
    "mp2.mpg": ([*sound("mp2"), "-c:v", "mpeg2video", "-bf", "2"], "ts", "mp4"),
    "mp2.mp4": ([*sound("mp2"), *X264], "mov mkv ts", "avi"),
    "mp2.mkv": ([*sound("mp2"), *X264], "mp4 mov ts", ""),
    "ac3.ts": ([*sound("ac3"), *X264], "mp4 mov mkv", "avi"),
    "ac3.mp4": ([*sound("ac3"), *X264], "mkv ts", "avi"),
    "eac3.ts": ([*sound("eac3"), *X264], "mp4 mov mkv", ""),
    "opus.ts": ([*sound("libopus"), *X264], "mp4 mkv", ""),
    "opus.mp4": ([*sound("libopus"), *X264], "mkv ts", ""),
    "opus.mkv": ([*sound("libopus"), *X264], "mp4", "ts"),  # Matroska's milliseconds are not those of the others
    "opus.webm": ([*sound("libopus"), *VP9], "mkv mp4", ""),
    "vorbis.webm": ([*sound("libvorbis"), *VP8], "mkv", "avi"),
    "flac.mp4": ([*sound("flac"), *X264], "mkv", ""),
    "alac.mov": ([*sound("alac"), *X264], "mp4 mkv", ""),
    # each container cuts PCM into packets of its own
    "pcm.mov": ([*sound("pcm_s16le"), *X264], "mp4 mkv", "avi"),
    "pcm.mkv": ([*sound("pcm_s24le"), *X264], "mp4 mov", ""),
    "pcm.avi": ([*sound("pcm_s16le"), "-c:v", "mjpeg"], "mp4 mov mkv", ""),
    "mp3.avi": ([*sound("libmp3lame"), "-c:v", "mpeg4"], "mp4 mov mkv ts", ""),
    # AVI has no times: the frames are counted in the order of decoding
    "b_frames.avi": ([*sound("pcm_s16le"), *X264], "", "mp4"),
}
PAIRS = [(source, suffix) for source, (_, same, _) in COPIES.items() for suffix in same.split()]
CHANGED = [(source, suffix) for source, (_, _, other) in COPIES.items() for suffix in other.split()]
WITH_TEXT = [("mov_text", ".mp4", ".mov"), ("mov_text", ".mp4", ".mp4"), ("mov_text", ".mov", ".mp4"),
             ("srt", ".mkv", ".mkv"), ("ass", ".mkv", ".mkv"), ("webvtt", ".webm", ".mkv")]  # fmt: skip


def copied(source: str, suffix: str, render: Rendered, folder: Path) -> Comparison:
    original = render(f"copies_{source}", *PICTURE, *COPIES[source][0])
    output = folder / f"copy.{suffix}"
    ffmpeg(original, "-map", "0", output)
    return compare(original, output)


@pytest.mark.parametrize(("source", "suffix"), PAIRS)
def test_a_stream_copy_is_the_same_video(source: str, suffix: str, render: Rendered, tmp_path: Path) -> None:
    found = copied(source, suffix, render, tmp_path)
    # Matroska says that the range is limited; ffmpeg loses that where x264's header does not say it, but in QuickTime
    # it cannot be said
    lost = {"colour_range"} if source.endswith(".mkv") and suffix in ("mp4", "ts") else set[str]()
    assert set(verdicts(found, "failed")) == lost
    assert verdicts(found, "ok")["packets"].endswith("packets of 1 other streams are the source's")
    assert verdicts(found, "ok")["streams"] == "the output has every stream of the source"
    moved = verdicts(found, "differs").get("times", "")
    free = {".ts", ".flv", ".mpg"} & {Path(source).suffix, f".{suffix}"}
    assert moved.startswith("each frame is at the source's time, less ") if free and moved else not moved


@pytest.mark.parametrize(("source", "suffix"), CHANGED)
def test_a_container_that_changes_times_is_named(source: str, suffix: str, render: Rendered, tmp_path: Path) -> None:
    assert {"times", "packets"} & set(verdicts(copied(source, suffix, render, tmp_path), "failed"))


@pytest.mark.parametrize(("codec", "first", "second"), WITH_TEXT)
def test_subtitles_are_the_same(codec: str, first: str, second: str, render: Rendered, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text(SUBTITLES)
    codecs = [*VP9, "-c:a", "libopus"] if first == ".webm" else [*X264, "-c:a", "aac"]
    source = render(
        f"copies_{codec}{first}", *PICTURE, "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=1", "-i", str(words),
        "-map", "0", "-map", "1", "-map", "2", *codecs, "-c:s", codec,
    )  # fmt: skip
    ffmpeg(source, "-map", "0", tmp_path / f"copy{second}")
    found = compare(source, tmp_path / f"copy{second}")
    assert verdicts(found, "failed") == {}
    assert verdicts(found, "ok")["packets"].endswith("packets of 2 other streams are the source's")


def test_a_transport_stream_may_be_moved_as_a_whole_and_into_another_container_only(
    render: Rendered, tmp_path: Path
) -> None:
    source = render("copies_aac.ts", *PICTURE, *COPIES["aac.ts"][0])
    output = tmp_path / "copy.mp4"
    ffmpeg(source, "-map", "0", "-bsf:a", "setts=ts='TS+4800'", output)
    assert set(verdicts(compare(source, output), "failed")) == {"packets"}
    ffmpeg(source, "-map", "0", "-bsf:v", "setts=pts='PTS+1800*gte(N,9)':dts='DTS+1800*gte(N,9)'", output)
    assert "times" in verdicts(compare(source, output), "failed")
    ffmpeg(source, "-map", "0", "-output_ts_offset", "3600", tmp_path / "hour.ts")
    assert "times" in verdicts(compare(source, tmp_path / "hour.ts"), "failed")
    original = render("copies_aac.mp4", *PICTURE, *COPIES["aac.mp4"][0])
    ffmpeg(original, "-map", "0", "-output_ts_offset", "1", tmp_path / "late.mp4")
    assert "times" in verdicts(compare(original, tmp_path / "late.mp4"), "failed")


def test_a_changed_byte_in_sound_without_its_adts_header_is_noticed(render: Rendered, tmp_path: Path) -> None:
    source = render("copies_aac.ts", *PICTURE, *COPIES["aac.ts"][0])
    output = tmp_path / "copy.mp4"
    ffmpeg(source, "-map", "0", "-bsf:a", "aac_adtstoasc,noise=amount='if(eq(n,20),10,0)'", output)
    failed = verdicts(compare(source, output), "failed")
    assert set(failed) == {"packets"}
    assert failed["packets"].endswith("its bytes are not the source's")


def test_pcm_that_begins_later_is_noticed(render: Rendered, tmp_path: Path) -> None:
    source = render("copies_pcm.mov", *PICTURE, *COPIES["pcm.mov"][0])
    output = tmp_path / "copy.mkv"
    ffmpeg(source, "-map", "0", "-bsf:a", "setts=ts='TS+4800'", output)
    assert "packet 0 is at 0.100000 s" in verdicts(compare(source, output), "failed")["packets"]


def test_pictures_that_are_never_shown_are_no_frames(render: Rendered, tmp_path: Path) -> None:
    hidden = [*PICTURE, *VP8, "-auto-alt-ref", "1", "-lag-in-frames", "25", "-b:v", "200k"]
    passes = ["-passlogfile", str(tmp_path / "log"), "-pass"]
    render("copies_hidden.null", *hidden, *passes, "1", "-f", "null")
    source = render("copies_hidden.webm", *hidden, *passes, "2")
    with av.open(str(source)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 25
    ffmpeg(source, "-map", "0", tmp_path / "copy.mkv")
    found = compare(source, tmp_path / "copy.mkv")
    assert verdicts(found, "failed") == {}
    assert found.frames == 25
