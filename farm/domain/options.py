"""What a user may ask of a job. Every field that changes the output is part of the job's fingerprint."""

from dataclasses import dataclass, fields
from fractions import Fraction
from math import inf

from farm.errors import SettingsError

STYLES = ("blur", "pixelate", "solid")
SHAPES = ("ellipse", "rectangle")
CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg")
UNDETECTABLE = ("fail", "blackout")
METADATA = ("keep", "strip-private", "strip")
AUDIO = ("keep", "drop")
PICTURES = ("png", "jpeg")
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise SettingsError(f"{name} {value}: not a usable value", hint=f"use {allowed}")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Which frames of a source are redacted, and what becomes of those that cannot be.

    ``start`` and ``end`` in seconds on the source's own clock, counted from its first frame: frames from ``start`` on
    and before ``end``. At most one of ``fps`` (frames a second) and ``every`` (seconds) samples: the first frame in
    each such interval is kept. ``on_undetectable``: a frame that cannot be decoded fails the job, or is black.
    """

    start: float | None = None
    end: float | None = None
    fps: float | None = None
    every: float | None = None
    on_undetectable: str = "fail"

    def __post_init__(self) -> None:
        _require(self.start is None or 0 <= self.start < inf, "--start", self.start, "seconds from the beginning")
        after = self.start or 0
        _require(self.end is None or after < self.end < inf, "--end", self.end, "seconds, after --start")
        _require(self.fps is None or 0 < self.fps <= 1000, "--fps", self.fps, "above 0 to 1000 frames a second")
        _require(self.every is None or 0 < self.every < inf, "--every", self.every, "seconds above 0")
        _require(self.fps is None or self.every is None, "--every", self.every, "it or --fps, not both")
        _require(
            self.on_undetectable in UNDETECTABLE, "--on-undetectable", self.on_undetectable, " or ".join(UNDETECTABLE)
        )

    @property
    def interval(self) -> Fraction | None:
        """Seconds of which one frame is kept; None where all are."""
        if self.fps is not None:
            return 1 / Fraction(str(self.fps))
        return None if self.every is None else Fraction(str(self.every))


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
    """How a face is covered and how the video is encoded. ``margin``: share of the box added on each side.

    ``codec``: None keeps the source's family. ``encoder``: FFmpeg's name of one (``hevc_nvenc``), None for the
    codec's usual one. ``scale``: the output's width in pixels where it is to be smaller than the source.
    """

    style: str = "blur"
    shape: str = "ellipse"
    margin: float = 0.3
    crf: int = 18
    preset: str = "veryfast"
    codec: str | None = None
    encoder: str | None = None
    scale: int | None = None

    def __post_init__(self) -> None:
        _require(self.style in STYLES, "--style", self.style, ", ".join(STYLES))
        _require(self.shape in SHAPES, "--shape", self.shape, ", ".join(SHAPES))
        _require(0 <= self.margin <= 5, "--margin", self.margin, "0 to 5")
        _require(0 <= self.crf <= 51, "--crf", self.crf, "0 to 51")
        _require(self.preset in PRESETS, "--preset", self.preset, ", ".join(PRESETS))
        _require(self.codec is None or self.codec in CODECS, "--codec", self.codec, ", ".join(CODECS))
        _require(self.scale is None or 16 <= self.scale <= 16384, "--scale", self.scale, "16 to 16384 pixels")


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """What of the source comes with its video. ``pictures``: frames as pictures instead of a video, and their kind."""

    metadata: str = "strip-private"
    audio: str = "keep"
    pictures: str | None = None

    def __post_init__(self) -> None:
        _require(self.metadata in METADATA, "--metadata", self.metadata, ", ".join(METADATA))
        _require(self.audio in AUDIO, "--audio", self.audio, " or ".join(AUDIO))
        _require(self.pictures in (None, *PICTURES), "--frames-as", self.pictures, " or ".join(PICTURES))


@dataclass(frozen=True, slots=True)
class JobOptions:
    """All options of a job."""

    detect: DetectOptions = DetectOptions()
    link: LinkOptions = LinkOptions()
    redact: RedactOptions = RedactOptions()
    source: SourceOptions = SourceOptions()
    compose: ComposeOptions = ComposeOptions()


def load_options(row: dict[str, dict[str, object]]) -> JobOptions:
    """Options from ``dataclasses.asdict``. Raises SettingsError for a name that is not one."""
    kinds = {
        "detect": DetectOptions,
        "link": LinkOptions,
        "redact": RedactOptions,
        "source": SourceOptions,
        "compose": ComposeOptions,
    }
    parts: dict[str, object] = {}
    for part, kind in kinds.items():
        values = row.get(part, {})
        unknown = set(values) - {f.name for f in fields(kind)}
        if unknown:
            raise SettingsError(f"unknown option {part}.{min(unknown)}")
        parts[part] = kind(**values)
    return JobOptions(**parts)  # type: ignore[arg-type]  # each part was made by its own kind
