"""A job's options, from the settings in force."""

from dataclasses import fields, replace
from math import inf
from typing import Any

from farm.domain.options import (
    PICTURES,
    ComposeOptions,
    DetectOptions,
    JobOptions,
    LinkOptions,
    RedactOptions,
    SourceOptions,
)
from farm.errors import SettingsError
from farm.settings import Settings

#: Frames that become pictures are encoded without loss on their way.
_LOSSLESS = "ffv1"


def chunk_seconds(settings: Settings) -> float | None:
    """The length of a chunk that was asked for; None where it is fitted to the workers. Raises SettingsError."""
    asked = settings.chunk_seconds
    if asked is not None and not 0 < asked < inf:
        raise SettingsError(f"--chunk-seconds {asked}: not a usable value", hint="use seconds above 0")
    return asked


def job_options(settings: Settings, *, pictures: bool = False) -> JobOptions:
    """A job's options. ``pictures``: its frames are written as pictures, in place of a video.

    Raises SettingsError for a value that cannot be used.
    """

    def part(kind: type[Any], **names: str) -> Any:  # noqa: ANN401 - one of the option classes
        values = {f.name: getattr(settings, names.get(f.name, f.name), None) for f in fields(kind)}
        return kind(**{k: v for k, v in values.items() if v is not None})

    redact, compose = part(RedactOptions), part(ComposeOptions)
    if pictures:
        if redact.codec or redact.encoder:
            raise SettingsError("--codec and --encoder are for videos", hint="leave them away beside --frames")
        redact = replace(redact, codec=_LOSSLESS)
        compose = replace(compose, pictures=settings.frames_as or PICTURES[0])
    detect = part(DetectOptions, size="detect_size")
    return JobOptions(detect, part(LinkOptions), redact, part(SourceOptions), compose)
