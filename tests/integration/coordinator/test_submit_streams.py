"""What an output would silently lack is refused before anything is done."""

from pathlib import Path

import pytest

from farm.domain.options import ComposeOptions, JobOptions
from farm.errors import OutputError
from farm.jobs.placing import Request, prepare
from farm.media.encoding.encoders import ENCODERS
from tests.integration.trips import PICTURE, X264, Rendered, with_sound


def test_subtitles_that_the_output_cannot_hold_are_refused(render: Rendered, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,250\nHello\n")
    source = render("words.mkv", *with_sound(), "-i", str(words), *X264, "-map", "0", "-map", "1", "-map", "2")
    with pytest.raises(OutputError, match=r"\*\.mp4 cannot hold stream 2 \(subtitle, ass\)") as caught:
        prepare(Request(source, tmp_path / "out.mp4", False, JobOptions()), frozenset(ENCODERS))
    assert caught.value.hint == "use -o NAME.mkv; or add compose.drop_streams 2"
    taken = prepare(Request(source, tmp_path / "out.mkv", False, JobOptions()), frozenset(ENCODERS))
    assert taken.container == "matroska"


def test_sound_of_more_channels_than_aac_has_is_refused(render: Rendered, tmp_path: Path) -> None:
    sound = "aevalsrc=" + "|".join(["sin(900*t)"] * 10) + ":s=48000:d=3"
    source = render("ten.mov", "-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", sound, *X264, "-c:a", "pcm_s16le")
    asked = JobOptions(compose=ComposeOptions(audio="aac"))
    with pytest.raises(OutputError, match=r"stream 1 \(audio, pcm_s16le\): its 10 channels") as caught:
        prepare(Request(source, tmp_path / "out.mp4", False, asked), frozenset(ENCODERS))
    assert caught.value.hint == "use compose.audio drop"
    assert prepare(Request(source, tmp_path / "out.mov", False, asked), frozenset(ENCODERS)).container == "mov"
