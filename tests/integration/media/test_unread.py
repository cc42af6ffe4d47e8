"""Files in formats that the farm does not read: the error names the format, and its advice works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import pytest

from farm.errors import SourceError
from farm.executables import find_ffmpeg
from farm.media.reading.opening import open_source
from farm.media.reading.probe import probe_source
from tests.integration.trips import Rendered

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25:duration=0.4")
ONE = ("-frames:v", "1")
#: Name, ffmpeg's arguments and the format.
FORMATS = [
    ("a.drc", ("-c:v", "vc2", "-pix_fmt", "yuv422p", "-f", "dirac"), "dirac"),
    ("a.gxf", ("-s", "720x576", "-c:v", "mpeg2video"), "gxf"),
    ("a.h261", ("-c:v", "h261"), "h261"),
    ("a.h263", ("-c:v", "h263"), "h263"),
    ("a.roq", ("-s", "512x256", "-r", "30", "-c:v", "roq"), "roq"),
    ("a.swf", ("-c:v", "flv1"), "swf"),
    ("a.cpk", ("-c:v", "cinepak", "-f", "film_cpk"), "film_cpk"),
    ("a.png", ONE, "png_pipe"),
    ("a.webp", ONE, "webp_pipe"),
    ("a.bmp", ONE, "bmp_pipe"),
    ("a.tiff", ONE, "tiff_pipe"),
]
LIST = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
PLAYLISTS = {
    "a.m3u8": LIST, "a.m3u": "#EXTM3U\n#EXTINF:5,\n{}\n", "a.ffconcat": "ffconcat version 1.0\nfile {}\n",
    "a.mpd": '<?xml version="1.0"?>\n<MPD type="static"><BaseURL>{}</BaseURL></MPD>\n',
    "a.pls": "[playlist]\nFile1={}\nNumberOfEntries=1\n", "a.mp4": LIST,
}  # fmt: skip


def _refused(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_source(path)
    return caught.value


@pytest.mark.parametrize(("name", "words", "kind"), FORMATS)
def test_the_format_is_named_and_the_advice_works(
    render: Rendered, tmp_path: Path, name: str, words: tuple[str, ...], kind: str
) -> None:
    source = render(name, *PICTURE, *words)
    error = _refused(source)
    assert f"in the format {kind}, which is not read" in error.message
    assert ("a picture" in error.message) == kind.endswith("_pipe")
    (advice,) = re.findall(r"ffmpeg (-i IN .*? OUT\.mkv)", error.hint or "")
    target = tmp_path / "out.mkv"
    given = [str({"IN": source, "OUT.mkv": target}.get(word, word)) for word in shlex.split(advice)]
    subprocess.run([find_ffmpeg().path, "-v", "error", "-y", *given], check=True, capture_output=True)
    assert probe_source(target).video.codec == "ffv1"


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_called_one_and_nothing_in_it_is_opened(tmp_path: Path, name: str) -> None:
    """Another process, traced by the audit of file names that the kernel was asked for: a pipe tells who opens it."""
    named = tmp_path / "named.ts"
    os.mkfifo(named)
    source = tmp_path / name
    source.write_text(PLAYLISTS[name].format(named))
    script = "import sys; from pathlib import Path; from farm.media.reading.opening import open_source\n"
    script += "try: open_source(Path(sys.argv[1]))\nexcept Exception as e: print(e)"
    # to open the pipe would wait without end: nothing writes to it
    done = subprocess.run(
        [sys.executable, "-c", script, str(source)], check=True, capture_output=True, text=True, timeout=60
    )
    assert "is a playlist" in done.stdout
    assert "holds no video itself" in done.stdout


@pytest.mark.parametrize(
    ("name", "content"),
    [("noise.mkv", bytes(range(251)) * 40), ("prose.ts", b"words. ")],
)
def test_what_is_no_format_is_not_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "in the format" not in _refused(tmp_path / name).message


def test_subtitles_are_called_text(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("1\n00:00:01,000 --> 00:00:02,000\nwords\n\n")
    assert "holds text (srt) and no video" in _refused(tmp_path / "words.mp4").message


def test_the_level_of_the_log_is_as_before(tmp_path: Path) -> None:
    before = av.logging.get_level()
    (tmp_path / "a.m3u8").write_text(PLAYLISTS["a.m3u8"])
    _refused(tmp_path / "a.m3u8")
    assert av.logging.get_level() == before
