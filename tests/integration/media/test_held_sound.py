"""What each container holds of sound, tried with the real muxers: every codec that the tables name, and all others."""

import re
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import pytest

from farm.domain.manifest import OtherStream
from farm.executables import find_ffmpeg
from farm.media.composing.held import holds

MUXERS = ("mp4", "mov", "matroska", "webm", "mpegts")
#: Their packets are divided in another way, or hold what only that container needs.
REWRITTEN = {("aac", "mpegts"), ("mp2", "mp4"), ("wavpack", "matroska")}
#: Numbers that Windows has for codecs without an encoder, and QuickTime's letters.
NUMBERS = {
    "gsm_ms": 0x31, "truespeech": 0x22, "wmavoice": 0x0A, "sipr": 0x130, "wmapro": 0x162,
    "wmalossless": 0x163, "adpcm_ct": 0x200, "atrac3": 0x270, "imc": 0x401, "g729": 0x83,
    "speex": 0xA109, "adpcm_swf": 0x5346, "metasound": 0x75,
}  # fmt: skip
LETTERS = {
    "qdm2": b"QDM2", "mace3": b"MAC3", "mace6": b"MAC6", "gsm": b"agsm", "qcelp": b"Qclp", "evrc": b"sevc",
    "amr_wb": b"sawb", "mp1": b".mp1", "pcm_mulaw": b"ulaw", "adpcm_ima_qt": b"ima4",
}  # fmt: skip


def ffmpeg(*words: str | Path) -> str:
    """Its errors; empty if there was none."""
    command = [find_ffmpeg().path, "-nostdin", "-y", "-v", "error", *words]
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr or "failed"


@cache
def encoders() -> dict[str, str]:
    """FFmpeg's encoder of each codec of sound."""
    command = [str(find_ffmpeg().path), "-v", "error", "-encoders"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^ A\S+ (\w+) .*?(?:\(codec (\w+)\))?$", said, re.MULTILINE)
    return {codec or name: name for name, codec in rows}


def read(path: Path) -> tuple[str, bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        context = getattr(stream, "codec_context", None)
        name = context.codec.canonical_name if context else "unknown"
        return name, b"".join(bytes(packet) for packet in container.demux(stream))


def encoded(codec: str, folder: Path) -> Path | None:
    """A file with a second of sound in a codec, if that can be made."""
    for suffix in (".mkv", ".nut", ".mov", ".caf"):
        for rate, channels in ((48_000, 2), (44_100, 2), (8000, 1), (16_000, 1)):
            path = folder / f"{codec}{suffix}"
            sine = f"sine=sample_rate={rate}:duration=1"
            words = ("-strict", "-2", "-f", "lavfi", "-i", sine, "-ac", str(channels), "-c:a", encoders()[codec])
            if not ffmpeg(*words, "-strict", "-2", path) and read(path)[0] == codec and read(path)[1]:
                return path
    return None


def lettered(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that say they hold a codec for which there is no encoder: what is in them does not matter to a muxer."""
    sound = ("-f", "lavfi", "-i", "sine=sample_rate=44100:duration=1")
    ffmpeg(*sound, "-ac", "2", "-c:a", "adpcm_ms", folder / "base.wav")
    ffmpeg(*sound, "-c:a", "pcm_s16be", folder / "base.mov")
    wave, movie = (folder / "base.wav").read_bytes(), (folder / "base.mov").read_bytes()
    at = wave.find(b"fmt ") + 8
    for codec, number in NUMBERS.items():
        path = folder / f"{codec}.wav"
        path.write_bytes(wave[:at] + struct.pack("<H", number) + wave[at + 2 :])
        yield codec, path
    for codec, letters in LETTERS.items():
        path = folder / f"{codec}.mov"
        path.write_bytes(movie.replace(b"twos", letters))
        yield codec, path


def is_held(path: Path, codec: str, muxer: str, folder: Path) -> bool:
    """Whether a copy in a container is the same."""
    out = folder / f"out.{muxer}"
    out.unlink(missing_ok=True)
    words = ("-copyts", "-i", path, "-map", "0:a", "-c", "copy", "-strict", "experimental", "-f", muxer)
    if ffmpeg(*words, "-avoid_negative_ts", "disabled", out):
        return False
    try:
        name, packets = read(out)
    except (av.error.FFmpegError, IndexError):
        return False
    same = packets == read(path)[1] or (codec, muxer) in REWRITTEN
    return same and (name == codec or {name, codec} == {"mp2", "mp3"})


def wrong(codec: str, path: Path, folder: Path) -> list[str]:
    """What the tables say that is not so."""
    with av.open(str(path)) as container:
        source = container.format.name
    other = OtherStream(1, "audio", codec)
    said = [muxer for muxer in MUXERS if holds(muxer, other, source)]
    return [f"{codec} from {path.suffix} in {muxer}" for muxer in said if not is_held(path, codec, muxer, folder)]


def test_every_codec_with_an_encoder_is_held_where_the_tables_say(tmp_path: Path) -> None:
    made = {codec: encoded(codec, tmp_path) for codec in encoders()}
    files = {codec: path for codec, path in made.items() if path is not None}
    assert len(files) > 50
    assert [line for codec, path in files.items() for line in wrong(codec, path, tmp_path)] == []


def test_so_is_every_other_codec(tmp_path: Path) -> None:
    files = [(codec, path) for codec, path in lettered(tmp_path) if read(path)[0] == codec]
    assert len(files) > 20
    assert [line for codec, path in files for line in wrong(codec, path, tmp_path)] == []


@pytest.mark.parametrize(("codec", "rate"), [("adpcm_swf", 22050), ("nellymoser", 22050), ("pcm_mulaw", 8000)])
def test_what_flv_holds_is_known_for_matroska(codec: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "in.flv"
    sound = ("-f", "lavfi", "-i", f"sine=sample_rate={rate}:duration=1", "-ac", "1", "-c:a", codec)
    assert not ffmpeg(*sound, path)
    assert wrong(codec, path, tmp_path) == []
