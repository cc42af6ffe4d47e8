"""The containers of outputs: FFmpeg's names of them, and the suffixes of their files."""

from farm.domain.artefacts import PICTURE_ARCHIVE
from farm.domain.options import ComposeOptions

#: In place of a container's name: the output is a folder of pictures.
PICTURES_CONTAINER = "pictures"
#: The container of an output for each suffix that it may have: FFmpeg's name of the muxer, or of the demuxer.
MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "m2ts",
    ".mts": "m2ts",
    ".avi": "avi",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".vob": "mpeg",
    ".ps": "mpeg",
    ".3gp": "3gp",
    ".3g2": "3g2",
    ".flv": "flv",
}
#: Muxers of files whose packets last until the next one is decoded.
BOXED = frozenset({"mp4", "mov", "3gp", "3g2"})
#: Transport streams: with packets of 188 bytes, and of 192 as on Blu-ray discs and in camcorders.
TRANSPORT = frozenset({"mpegts", "m2ts"})
#: The usual suffix of each muxer: the first in the table.
SUFFIXES = {muxer: suffix for suffix, muxer in reversed(MUXERS.items())}


def output_suffix(container: str, options: ComposeOptions) -> str:
    """Suffix of the composed artefact, with its dot. ``container``: FFmpeg's name of it."""
    return PICTURE_ARCHIVE if options.pictures else SUFFIXES.get(container, ".mkv")
