"""Durations and positions in a video, as people write them."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"(?P<number>\d+(\.\d+)?|\.\d+)\s*(?P<unit>ms|s|m|min|h|d)?")
_CLOCK = re.compile(r"((?P<hours>\d+):)?(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d(\.\d+)?)")


def time_text(seconds: float) -> str:
    """A position in a video as ``m:ss.t``, or ``h:mm:ss.t`` from an hour on; what is left of a tenth is cut off."""
    minutes, rest = divmod(int(seconds * 10) / 10, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def exact_time_text(seconds: float) -> str:
    """A position in a video as ``m:ss.ttt``, or ``h:mm:ss.ttt`` from an hour on, in the nearest thousandths."""
    minutes, rest = divmod(round(abs(seconds) * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02}:{rest / 1000:06.3f}" if hours else f"{minutes}:{rest / 1000:06.3f}"
    return f"{'-' if seconds < 0 else ''}{f'{hours}:' if hours else ''}{text}"


def seconds_of(text: str) -> float:
    """A duration, or a position in a video, in seconds. Raises ValueError with a message for the user."""
    text = text.strip().lower()
    if match := _NUMBER.fullmatch(text):
        return float(match["number"]) * _UNITS[match["unit"] or "s"]
    if match := _CLOCK.fullmatch(text):
        return int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + float(match["seconds"])
    raise ValueError(f'"{text}" is not a time; write 90, 5s, 250ms, 2m, 7d or 1:02:03.5')
