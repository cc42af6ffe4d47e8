"""Opens an untrusted video: a local regular file, in a format that cannot refer to other files."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.errors import SourceError
from farm.media.failing import reason
from farm.media.reading.integrity import check_begun
from farm.media.reading.limits import Limits
from farm.media.reading.unread import refuse_unread

#: Demuxers that read one file and nothing else. Not hls, dash, concat, image2, lavfi and the like: a playlist could
#: name any file of this machine. (libavformat's mov demuxer ignores external references by default.)
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,flv,mpeg,mpegvideo,asf,ogg,mxf,nut,ivf,gif,apng,wtv,dv,"
    "h264,hevc,vvc,m4v,av1,obu,mjpeg,jpeg_pipe,yuv4mpegpipe,rm,wav,mp3,aac,flac,ac3,aiff,caf"
)
#: The options of libavformat for opening any untrusted file, with PyAV and with ffmpeg.
INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS}


def check_readable(path: Path) -> None:
    """Raises SourceError unless ``path`` is a regular, readable file that is not empty and whose name is UTF-8."""
    name = os.fsencode(path)
    if name.decode("utf-8", "replace") != os.fsdecode(name):  # the database and ffmpeg-python take text only
        raise SourceError(f"{path}: its name is not in UTF-8", hint="rename it or its folder")
    try:
        status = path.stat()
    except PermissionError as error:
        raise SourceError(f"{path}: no permission to read it", hint="check the permissions of its folder") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"{path}: there is no such file", hint="check the name") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {reason(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path}: is a directory", hint="name the video files in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path}: is not a regular file", hint="copy it to a file first")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path}: no permission to read it", hint="check its permissions")
    if status.st_size == 0:
        raise SourceError(f"{path}: is empty")


def open_source(path: Path, limits: Limits | None = None) -> InputContainer:
    """The file opened for reading, with the protocol ``file`` and self-contained formats only.

    ``limits``: of the pictures, cover art too, that libavformat decodes to learn what they are. A larger one
    has no size.
    Raises SourceError, one line, if the file is missing, a directory, empty, not readable, or not a video.
    """
    check_readable(path)
    try:
        # an absolute path is never taken for a protocol (`concat:`, `http:`)
        return av.open(
            str(path.absolute()),
            "r",
            options={} if limits is None else limits.decoder_options,
            container_options=INPUT_OPTIONS,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError, UnicodeDecodeError) as error:
        check_begun(path)
        refuse_unread(path, INPUT_OPTIONS)
        raise SourceError(
            f"{path}: is not a video that can be read ({reason(error)})",
            hint="is it complete, and does a player open it?",
        ) from error


def demuxed(container: InputContainer, streams: Stream | Sequence[Stream] = ()) -> Iterator["Packet[Any]"]:
    """The packets of some streams, or of all, in the file's order.

    Raises FFmpegError, and SourceError for a stream that begins in mid-file: PyAV has no place for it.
    """
    try:
        yield from container.demux(streams) if streams else container.demux()
    except IndexError as error:
        raise SourceError(
            f"{container.name}: one of its streams begins in mid-file",
            hint="leave it out first, for example: ffmpeg -i IN -map 0:v -map 0:a? -c copy OUT.mkv",
        ) from error
