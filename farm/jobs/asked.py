"""What the settings in force ask of jobs: it needs no farm, so what is wrong is told before one is started."""

from collections import defaultdict
from typing import Any

from farm.domain.options import PICTURE_FORMATS, JobOptions, load_options, submit_options
from farm.errors import SettingsError
from farm.settings import Settings

_LOSSLESS = "ffv1"


def job_options(settings: Settings, *, pictures: bool = False, debug: bool = False) -> JobOptions:
    """A job's options, from settings that :func:`load_settings` returned.

    ``pictures``: its frames are written as pictures instead of a video; ``debug``: boxes are drawn on it. Raises
    SettingsError for a value that cannot be used.
    """
    row: dict[str, dict[str, Any]] = defaultdict(dict)
    for option in submit_options():
        section, _, field = option.name.partition(".")
        if (value := getattr(settings, option.setting)) is not None:
            row[section][field] = value
    pictures_as = row["compose"].pop("pictures", PICTURE_FORMATS[0])
    if pictures:
        if row["redact"].keys() & {"codec", "encoder"}:
            raise SettingsError("--frames: cannot be combined with --codec or --encoder; leave them out")
        row["redact"]["codec"] = _LOSSLESS
        row["redact"].pop("crf", None)
        row["compose"]["pictures"] = pictures_as
    if debug:  # of the command line only: no setting may uncover faces
        row["redact"]["debug"] = True
    return load_options(row)
