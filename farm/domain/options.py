"""What a user may ask of a job. Every option that changes the output is part of the job's fingerprint."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from math import inf
from typing import Any, cast

from farm.domain.detectors import CenterFaceOptions, DetectOptions
from farm.domain.option import Option, Section, option

SHAPES = ("ellipse", "rectangle")
CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg")
#: For ``redact.crf``: as large as the source.
AUTO = "auto"
UNDETECTABLE = ("fail", "blackout")
METADATA = ("keep", "strip-private", "strip")
PICTURE_FORMATS = ("png", "jpeg")
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

#: The redaction styles, ``workers.vision.redactors.NAME``; one with options of its own has its own subclass.
STYLES: dict[str, type["RedactOptions"]] = {}


@dataclass(frozen=True, slots=True)
class SourceOptions(Section):
    """Which frames of a source are redacted, and what happens to those that cannot be decoded.

    ``start`` and ``end`` in seconds on the source's own clock, counted from its first frame: frames from ``start`` on
    and before ``end``. At most one of ``fps`` (frames per second) and ``every`` (seconds) samples: the first frame in
    each such interval is kept. ``on_undetectable``: a frame that cannot be decoded fails the job, or is black.
    """

    section = "source"

    start: float | None = option(
        None, "Begin here: 90, 5s, 1:02:03.5.", "Source", "TIME", ge=0, unit="seconds from the beginning", time=True
    )
    end: float | None = option(None, "End before this time of the source.", "Source", "TIME", time=True)
    fps: float | None = option(
        None, "Keep at most so many frames a second.", "Source", "RATE", gt=0, le=1000, unit="frames a second"
    )
    every: float | None = option(
        None, "Keep one frame in each such interval, as 5s.", "Source", "TIME", gt=0, unit="seconds", time=True
    )
    on_undetectable: str = option(
        "fail", "Frames that cannot be decoded: fail, or blackout.", "Source", "WHAT", choices=UNDETECTABLE, last=True
    )

    def check(self) -> None:
        """See :meth:`farm.domain.option.Section.check`."""
        if self.end is not None and not (self.start or 0) < self.end < inf:
            raise self.options()["end"].refused(self.end, "seconds, after source.start")
        if self.fps is not None and self.every is not None:
            raise self.options()["every"].refused(self.every, "it or source.fps, not both")

    @property
    def interval(self) -> Fraction | None:
        """Seconds of which one frame is kept; None where all are."""
        if self.fps is not None:
            return 1 / Fraction(str(self.fps))
        return None if self.every is None else Fraction(str(self.every))


@dataclass(frozen=True, slots=True)
class LinkOptions(Section):
    """Seconds: ``gap`` filled inside a track, ``hold`` before its first and after its last detection.

    A detection scoring less than ``birth`` continues a track but does not begin one. ``require_faces``: the job fails
    if the video has no track.
    """

    section = "link"

    gap: float = option(
        1.0, "Seconds without detection filled inside a track.", "Faces", "SECONDS", ge=0, le=10, unit="seconds"
    )
    hold: float = option(
        0.25, "Seconds covered before and after a track.", "Faces", "SECONDS", ge=0, le=10, unit="seconds"
    )
    birth: float = option(0.24, gt=0, lt=1)
    require_faces: bool = option(False, "Fail, and write no output, if no face is found.", "Faces", shown="off")


@dataclass(frozen=True, slots=True)
class RedactOptions(Section):
    """How a face is covered and how the video is encoded. ``margin``: share of the box added on each side.

    ``codec``: None keeps the source's family. ``crf``: a number, or :data:`AUTO`. ``encoder``: FFmpeg's name of one
    (``hevc_nvenc``), None for the codec's usual one. ``scale``: the output's width in pixels where it is to be smaller
    than the source.
    """

    section = "redact"
    chooser = "style"
    kinds = STYLES

    style: str = option("blur", "{choices}.", "Faces", "STYLE")
    shape: str = option("ellipse", "{choices}.", "Faces", "SHAPE", choices=SHAPES)
    margin: float = option(0.3, "Share of a face's box added on each side.", "Faces", "SHARE", ge=0, le=5)
    codec: str | None = option(None, f"{', '.join(CODECS)}.", "Encoding", "NAME", shown="the source's", choices=CODECS)
    encoder: str | None = option(
        None, "FFmpeg's name of an encoder, as hevc_nvenc.", "Encoding", "NAME", shown="the codec's"
    )
    crf: int | str = option(
        18, "Quality, 0 (best) to 51; or auto: the source's bitrate, at most the size of 18.", "Encoding", "NUMBER",
        ge=0, le=51, words=(AUTO,),
    )  # fmt: skip
    preset: str = option("veryfast", "Speed, ultrafast to veryslow.", "Encoding", "NAME", choices=PRESETS)
    scale: int | None = option(
        None, "Shrink the picture to at most this width, as it is shown.", "Encoding", "WIDTH", ge=16, le=16384,
        unit="pixels",
    )  # fmt: skip


STYLES.update(dict.fromkeys(("blur", "pixelate", "solid"), RedactOptions))


@dataclass(frozen=True, slots=True)
class ComposeOptions(Section):
    """What of the source comes with its video. ``pictures``: the format of frames written in place of a video."""

    section = "compose"

    audio: str = option("keep", "{choices}.", "Source", "WHAT", choices=("keep", "drop"))
    metadata: str = option(
        "strip-private", "keep, strip-private (no places, no names) or strip.", "Source", "WHAT", choices=METADATA
    )
    pictures: str | None = option(
        None, "With --frames: {choices}.", "Output", "KIND", setting="frames_as", shown="png", choices=PICTURE_FORMATS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """All options of a job. The help lists the sections' options in this order, group by group."""

    source: SourceOptions = SourceOptions()
    redact: RedactOptions = RedactOptions()
    detect: DetectOptions = CenterFaceOptions()  # noqa: RUF009 - it is immutable
    link: LinkOptions = LinkOptions()
    compose: ComposeOptions = ComposeOptions()


def _sections() -> dict[str, type[Section]]:
    return {f.name: cast("type[Section]", f.type) for f in fields(JobOptions)}


def submit_options() -> list[Option]:
    """The options of ``farm submit`` that change a job: of every section, detector and style."""
    return [o for section in _sections().values() for o in section.all_options().values() if o.group]


def load_options(row: Mapping[str, Mapping[str, Any]]) -> JobOptions:
    """Options from their JSON, ``dataclasses.asdict``. Raises SettingsError as :meth:`Section.load`."""
    parts: dict[str, Any] = {name: section.load(row.get(name, {})) for name, section in _sections().items()}
    return JobOptions(**parts)
