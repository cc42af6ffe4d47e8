"""What a user may ask of a job. Every field that changes the output is part of the job's fingerprint."""

from dataclasses import dataclass, fields

from farm.errors import SettingsError

STYLES = ("blur", "pixelate", "solid")
SHAPES = ("ellipse", "rectangle")
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise SettingsError(f"{name} {value}: not a usable value", hint=f"use {allowed}")


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """``size``: long side in pixels that a frame is scaled to before detection. ``threshold``: lowest score kept."""

    model: str = "centerface"
    size: int = 640
    threshold: float = 0.12

    def __post_init__(self) -> None:
        _require(64 <= self.size <= 8192, "--detect-size", self.size, "64 to 8192 pixels")
        _require(0 < self.threshold < 1, "--threshold", self.threshold, "above 0 and below 1")


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Seconds: ``gap`` filled inside a track, ``hold`` before its first and after its last detection.

    A detection scoring less than ``birth`` continues a track but does not begin one.
    """

    gap: float = 1.0
    hold: float = 0.25
    birth: float = 0.24

    def __post_init__(self) -> None:
        _require(0 <= self.gap <= 10, "--gap", self.gap, "0 to 10 seconds")
        _require(0 <= self.hold <= 10, "--hold", self.hold, "0 to 10 seconds")
        _require(0 < self.birth < 1, "--birth", self.birth, "above 0 and below 1")


@dataclass(frozen=True, slots=True)
class RedactOptions:
    """How a face is covered and how the video is encoded. ``margin``: share of the box added on each side."""

    style: str = "blur"
    shape: str = "ellipse"
    margin: float = 0.3
    crf: int = 18
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        _require(self.style in STYLES, "--style", self.style, ", ".join(STYLES))
        _require(self.shape in SHAPES, "--shape", self.shape, ", ".join(SHAPES))
        _require(0 <= self.margin <= 5, "--margin", self.margin, "0 to 5")
        _require(0 <= self.crf <= 51, "--crf", self.crf, "0 to 51")
        _require(self.preset in PRESETS, "--preset", self.preset, ", ".join(PRESETS))


@dataclass(frozen=True, slots=True)
class JobOptions:
    """All options of a job."""

    detect: DetectOptions = DetectOptions()
    link: LinkOptions = LinkOptions()
    redact: RedactOptions = RedactOptions()


def load_options(row: dict[str, dict[str, object]]) -> JobOptions:
    """Options from ``dataclasses.asdict``. Raises SettingsError for a name that is not one."""
    kinds = {"detect": DetectOptions, "link": LinkOptions, "redact": RedactOptions}
    parts: dict[str, object] = {}
    for part, kind in kinds.items():
        values = row.get(part, {})
        unknown = set(values) - {f.name for f in fields(kind)}
        if unknown:
            raise SettingsError(f"unknown option {part}.{min(unknown)}")
        parts[part] = kind(**values)
    return JobOptions(**parts)  # type: ignore[arg-type]  # each part was made by its own kind
