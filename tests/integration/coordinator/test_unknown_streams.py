"""Streams that FFmpeg has no name for, and streams that are not wanted: refused, or left out with a note."""

import os
from pathlib import Path

import pytest

from farm.domain.options import ComposeOptions, JobOptions
from farm.errors import OutputError, SettingsError
from farm.jobs.placing import Prepared, Request, prepare
from farm.media.encoding.encoders import ENCODERS
from tests.integration.media.test_encoded_sound import composed
from tests.integration.rich import rich, subtitles
from tests.integration.trips import X264, Rendered, with_sound

DATA = Path(os.environ.get("FARM_TEST_DATA", "../shared/data")) / "videos/androidx/sample_missing_stsd.mp4"
UNKNOWN = ComposeOptions(drop_unknown=True)


def prepared(source: Path, folder: Path, compose: ComposeOptions | None = None) -> Prepared:
    options = JobOptions(compose=compose or ComposeOptions())
    return prepare(Request(source, folder / f"out{source.suffix}", False, options), frozenset(ENCODERS))


@pytest.mark.parametrize(
    ("suffix", "known", "letters", "name"),
    [
        (".mkv", b"S_TEXT/ASS", b"D_TEXT/ASS", r"stream 2 \(subtitle, unknown\)"),
        (".mkv", b"S_TEXT/ASS", b"S_NEW/TEXT", r"stream 2 \(subtitle, unknown\)"),
        (".mkv", b"A_AAC", b"A_XYZ", r"stream 1 \(audio, unknown\)"),
        (".mp4", b"stsd\0", b"xxxx\0", r"stream \d \(audio, unknown\)"),
    ],
)
def test_one_without_a_name_is_refused_or_left_out(
    suffix: str, known: bytes, letters: bytes, name: str, render: Rendered, tmp_path: Path
) -> None:
    words = ["-i", str(subtitles(tmp_path, "one")), "-c:s", "ass", "-c:a", "aac", "-map", "0", "-map", "1", "-map", "2"]
    made = render(f"named{suffix}", *with_sound(), *(words if suffix == ".mkv" else []), *X264)
    data, source = made.read_bytes(), tmp_path / f"in{suffix}"
    at = data.rfind(known)
    assert at > 0
    source.write_bytes(data[:at] + letters + data[at + len(known) :])
    with pytest.raises(OutputError, match=name) as caught:
        prepared(source, tmp_path)
    assert caught.value.hint == "add compose.drop_unknown"
    prepared(source, tmp_path, UNKNOWN)
    trip, notes = composed(source, tmp_path / f"out{suffix}", UNKNOWN)
    assert "unknown) was left out, as asked" in notes
    assert trip.verify() == 90


def test_streams_are_left_out_by_number(render: Rendered, tmp_path: Path) -> None:
    source = rich(render, tmp_path, ".mkv")
    dropped = ComposeOptions(drop_streams="3,1")
    prepared(source, tmp_path, dropped)
    trip, notes = composed(source, tmp_path / "out.mkv", dropped)
    for line in ("stream 1 (audio, aac) was left out, as asked", "stream 3 (subtitle, subrip) was left out, as asked"):
        assert line in notes
    assert trip.verify() == 90


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ("0", "stream 0 is the video that is redacted"),
        ("2,9", "the source has no stream 9; its streams beside the video are 1, 2, 3"),
        ("two", "name the streams by number, such as 2,3"),
        ("1,", "name the streams by number, such as 2,3"),
    ],
)
def test_the_video_and_what_is_not_there_cannot_be_left_out(
    numbers: str, why: str, render: Rendered, tmp_path: Path
) -> None:
    source = rich(render, tmp_path, ".mkv")
    with pytest.raises(SettingsError, match=why):
        prepared(source, tmp_path, ComposeOptions(drop_streams=numbers))


@pytest.mark.skipif(not DATA.exists(), reason="no such sample here")
def test_the_sample(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"stream 1 \(audio, unknown\)"):
        prepared(DATA, tmp_path)
    trip, _ = composed(DATA, tmp_path / "out.mp4", UNKNOWN)
    assert trip.verify() == 30
