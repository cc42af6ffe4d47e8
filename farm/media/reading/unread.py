"""Says what a file is that libavformat knows, but the farm does not read."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import av
import av.logging

from farm.errors import SourceError
from farm.media.failing import logged

#: Demuxers of text that names other files, and words in such texts, for which libavformat may have no demuxer.
_PLAYLISTS = frozenset({"hls", "concat", "concatf", "dash", "imf", "sdp", "rtsp", "sap", "webm_dash_manifest"})
_WORDS = (b"#EXTM3U", b"<MPD", b"[playlist]", b"<SmoothStreamingMedia", b"<smil", b"ffconcat version")
_FRONT = 1024
_ON_NO_LIST, _UNSURE = "Format not on whitelist", "misdetection possible"
#: Demuxers of pictures whose names do not end in ``_pipe``.
_PICTURES = frozenset({"ico", "fits", "image2"})
_TEXTS = frozenset({
    "srt", "ass", "lrc", "webvtt", "sami", "microdvd", "subviewer", "subviewer1", "mpl2", "mpsub", "jacosub", "pjs",
    "realtext", "stl", "vplayer", "vobsub", "aqtitle", "scc", "mcc", "sup", "ttml", "tedcaptions", "ffmetadata",
})  # fmt: skip


def refuse_unread(path: Path, options: Mapping[str, str]) -> None:
    """Raise SourceError that names the format of a file, if it has one that libavformat is sure of.

    ``options``: those with which the file could not be opened. They name the formats that are read, so libavformat
    looks at the file's beginning to tell its format, logs that it is none of them, and opens nothing else.
    """
    name = _format(path, dict(options))
    front = b""
    with suppress(OSError), path.open("rb") as file:
        front = file.read(_FRONT)
    if name in _PLAYLISTS or (0 not in front and any(word in front for word in _WORDS)):
        raise _playlist(path, name)
    if name is None:
        return
    if name in _TEXTS:
        raise SourceError(f"{path}: holds text ({name}) and no video", hint="there is nothing to redact in it")
    kind = "a picture" if name.endswith("_pipe") or name in _PICTURES else "a file"
    raise SourceError(
        f"{path}: is {kind} in the format {name}, which is not read",
        hint="convert it first, without loss for example: ffmpeg -i IN -c:v ffv1 -c:a flac OUT.mkv",
    )


def _playlist(path: Path, name: str | None) -> SourceError:
    join = ", or make one file of them first, for example: ffmpeg -i IN -c copy OUT.mkv" if name == "hls" else ""
    return SourceError(
        f"{path}: is a playlist{f' ({name})' if name else ''}, which names other files and holds no video itself",
        hint=f"name the video files that it lists{join}",
    )


def _format(path: Path, options: dict[str, str]) -> str | None:
    """The name of the demuxer that libavformat chose and did not find on the list of formats."""
    with logged(av.logging.WARNING) as messages, suppress(av.error.FFmpegError, OSError, UnicodeDecodeError):
        av.open(str(path.absolute()), "r", container_options=options, metadata_errors="replace").close()
    if any(_UNSURE in text for _, _, text in messages):
        return None
    return next((name for _, name, text in messages if text.startswith(_ON_NO_LIST)), None)
