"""Where the ``ffmpeg`` binary is."""

import shutil
from pathlib import Path

from farm.errors import OutputError


def ffmpeg_binary() -> Path:
    """The ``ffmpeg`` on PATH, else the one in the imageio-ffmpeg wheel. Raises OutputError when there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return Path(found)
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - not needed where PATH has one

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise OutputError(
            "no ffmpeg program found on PATH nor in the imageio-ffmpeg package",
            hint="install ffmpeg, or: pip install imageio-ffmpeg",
        ) from error
