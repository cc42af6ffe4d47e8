"""What a user may ask of a job. Every option that changes the output is part of the job's fingerprint."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from math import inf
from typing import Any, cast

from farm.domain.detection import PLATE
from farm.domain.detectors import DetectOptions
from farm.domain.option import Option, Section, option
from farm.domain.recognisers import PeopleOptions
from farm.errors import SettingsError

SHAPES = ("ellipse", "rectangle")
CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg")
#: Other names of codecs, as people and players write them.
CODEC_NAMES = {
    **dict.fromkeys(("x264", "libx264", "h.264", "avc", "avc1"), "h264"),
    **dict.fromkeys(("h265", "h.265", "x265", "libx265", "hvc1", "hev1"), "hevc"),
    **dict.fromkeys(("mpeg2", "mpeg-2", "h262", "h.262"), "mpeg2video"),
    **dict.fromkeys(("mpeg-4", "xvid"), "mpeg4"),
    "av01": "av1", "vp08": "vp8", "vp09": "vp9", "jpeg": "mjpeg",
}  # fmt: skip
#: For ``redact.crf``: as large as the source.
AUTO = "auto"
COPY, ENCODE = "copy", "encode"  # for ``redact.untouched``
UNDETECTABLE = ("fail", "blackout")
#: For ``source.resize_to``: the size of the first frame, or of the largest one.
FIRST, LARGEST = "first", "largest"
AUDIO = ("keep", "drop", "aac")
METADATA = ("keep", "strip-private", "strip")
VOICES = ("keep", "disguise")
PICTURE_FORMATS = ("png", "jpeg")
#: What ``redact.overlay`` burns in.
TIME, FRAME = "time", "frame"
BOTH = f"{TIME},{FRAME}"
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

#: The redaction styles: ``create`` in ``workers.vision.redactors.NAME``.
IMAGE = "image"
STYLES = ("blur", "pixelate", "solid", IMAGE)


@dataclass(frozen=True, slots=True, order=True)
class Look:
    """How one kind of box is covered. ``margin``: share of the box added on each side; ``image``: the key of the
    picture for the style ``image``.
    """

    style: str
    shape: str
    margin: float
    image: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """How a box is covered where that differs from its job's options; None: as these say."""

    style: str | None = None
    shape: str | None = None
    margin: float | None = None
    image: str | None = None

    def over(self, look: Look) -> Look:
        """``look`` with what this says in its place."""
        margin = look.margin if self.margin is None else self.margin
        return Look(self.style or look.style, self.shape or look.shape, margin, self.image or look.image)

    def then(self, later: "Override") -> "Override":
        """This with what ``later`` says in its place."""
        margin = self.margin if later.margin is None else later.margin
        return Override(later.style or self.style, later.shape or self.shape, margin, later.image or self.image)


@dataclass(frozen=True, slots=True)
class SourceOptions(Section):
    """Which frames of a source are redacted, and what happens to those that cannot be decoded.

    ``start`` and ``end`` in seconds on the source's own clock, counted from its first frame: frames from ``start`` on
    and before ``end``. At most one of ``fps`` (frames per second) and ``every`` (seconds) samples: the first frame in
    each such interval is kept. ``on_undetectable``: a frame that cannot be decoded fails the job, or is black.
    ``video``: the index of the only video stream that is redacted; the others are left out.
    ``resize_to``: the size into which frames of other sizes are scaled, :data:`FIRST` or :data:`LARGEST`.
    ``repair``: what is redacted is a repaired copy, in a job ``copy``, its key in the store; None if none was needed.
    """

    section = "source"

    video: int | None = option(
        None, "Redact only this video stream, by its index (from 0), and leave out the others.", "Source", "INDEX", ge=0
    )

    start: float | None = option(
        None, "Start at this time, such as 90, 5s or 1:02:03.5.", "Source", "TIME", ge=0, time=True
    )
    end: float | None = option(None, "Stop before this time.", "Source", "TIME", time=True)
    fps: float | None = option(
        None, "Keep at most this many frames per second.", "Source", "RATE", gt=0, le=1000, unit="frames per second"
    )
    every: float | None = option(None, "Keep one frame per interval, such as 5s.", "Source", "TIME", gt=0, time=True)
    on_undetectable: str = option(
        "fail", "Frames that cannot be decoded: fail (stop) or blackout (cover them).", "Source", "WHAT",
        choices=UNDETECTABLE, last=True,
    )  # fmt: skip
    resize_to: str | None = option(
        None, "Scale all frames of a video that changes its size into one size: {choices}.", "Source", "SIZE",
        choices=(FIRST, LARGEST), last=True,
    )  # fmt: skip
    repair: bool = option(
        False, "Redact a copy with times that only go forward, without damaged packets; for joined recordings.",
        "Source", shown="off", last=True,
    )  # fmt: skip
    copy: str | None = option(None, "The key of the repaired copy.")

    def check(self) -> None:
        """See :meth:`farm.domain.option.Section.check`."""
        if self.end is not None and not (self.start or 0) < self.end < inf:
            raise self.options()["end"].refused(self.end, "use a time after source.start")
        if self.fps is not None and self.every is not None:
            name = self.options()["every"].name
            raise SettingsError(f"{name}: cannot be combined with source.fps; use one of them", field=name)

    @property
    def whole(self) -> bool:
        """Whether all frames are asked for."""
        return self.start is None and self.end is None and self.interval is None

    @property
    def interval(self) -> Fraction | None:
        """Seconds of which one frame is kept; None where all are."""
        if self.fps is not None:
            return 1 / Fraction(str(self.fps))
        return None if self.every is None else Fraction(str(self.every))


@dataclass(frozen=True, slots=True)
class LinkOptions(Section):
    """Seconds: ``gap`` filled inside a track, ``hold`` before its first and after its last detection.

    ``require_faces``: the job fails if the video has no track.
    """

    section = "link"
    formerly = {"birth": ""}  # noqa: RUF012 - a class variable by its base

    gap: float = option(
        1.5, "Keep a face covered while it is missed for up to this long.", "Faces", "TIME", shown="1.5s", ge=0, le=10,
        time=True,
    )  # fmt: skip
    hold: float = option(
        0.3, "Cover a face this long before it is first seen and after it is last seen.", "Faces", "TIME",
        shown="0.3s", ge=0, le=10, time=True,
    )  # fmt: skip
    require_faces: bool = option(False, "Fail, and write no output, if no face is found.", "Faces", shown="off")


@dataclass(frozen=True, slots=True)
class RedactOptions(Section):
    """How faces and plates are covered and how the video is encoded. See :meth:`look`.

    ``image``: a file, and in a job its key in the store (:mod:`farm.jobs.images`). ``codec``: None keeps the source's
    family. ``crf``: a number, or :data:`AUTO`. ``encoder``: FFmpeg's name of one (``hevc_nvenc``), None for the codec's
    usual one. ``scale``: the output's width in pixels where it is to be smaller than the source. ``untouched``: see
    :mod:`farm.media.splicing`. ``debug``: boxes are drawn and nothing is covered; no setting turns that on.
    """

    section = "redact"

    style: str = option("blur", "How faces are covered: {choices}.", "Faces", "STYLE", choices=STYLES)
    image: str | None = option(
        None, "Picture for the style image, such as a logo; it lies on black, which shows where it is transparent.",
        "Faces", "FILE",
    )  # fmt: skip
    shape: str = option("ellipse", "Shape of the covered area: {choices}.", "Faces", "SHAPE", choices=SHAPES)
    margin: float = option(
        0.3, "Extra area on each side of a face, as a share of its size.", "Faces", "SHARE", shown="30%", ge=0, le=5,
        share=True,
    )  # fmt: skip
    plate_style: str | None = option(
        None, "How number plates are covered, by rectangles.", "Faces", "STYLE", shown="as faces", choices=STYLES,
        last=True,
    )  # fmt: skip
    plate_margin: float | None = option(
        None, "Extra area on each side of a number plate, as a share of its size.", "Faces", "SHARE", shown="as faces",
        ge=0, le=5, share=True, last=True,
    )  # fmt: skip
    codec: str | None = option(
        None, "Video codec: {choices}.", "Encoding", "NAME", shown="the source's", choices=CODECS, aliases=CODEC_NAMES
    )
    encoder: str | None = option(
        None, "A particular FFmpeg encoder, such as hevc_nvenc.", "Encoding", "NAME", shown="the codec's usual one"
    )
    crf: int | str = option(
        18, "Quality from 0 (best) to 51; lower makes larger files. auto: as large as the source, at most as with 18.",
        "Encoding", "NUMBER", ge=0, le=51, words=(AUTO,),
    )  # fmt: skip
    preset: str = option(
        "veryfast", "Encoding speed, ultrafast to veryslow; slower makes smaller files.", "Encoding", "NAME",
        choices=PRESETS,
    )  # fmt: skip
    untouched: str = option(
        COPY, "Parts without a face: {choices}. copy takes them from the source as they are, where its codec allows.",
        "Encoding", "HOW", choices=(COPY, ENCODE), last=True,
    )  # fmt: skip
    overlay: str | None = option(
        None, "Burn into the picture: {choices}.", "Output", "WHAT", choices=(TIME, FRAME, BOTH),
        aliases={f"{FRAME},{TIME}": BOTH},
    )  # fmt: skip
    scale: int | None = option(
        None, "Reduce the picture to this width.", "Encoding", "PIXELS", ge=16, le=16384, unit="pixels"
    )  # fmt: skip

    debug: bool = option(False, "Draw boxes instead of covering faces.")

    def look(self, kind: str) -> Look:
        """How boxes of a kind are covered: plates in their own way, all other kinds as faces."""
        if kind != PLATE:
            return Look(self.style, self.shape, self.margin, self.image or "")
        margin = self.margin if self.plate_margin is None else self.plate_margin
        return Look(self.plate_style or self.style, "rectangle", margin, self.image or "")


@dataclass(frozen=True, slots=True)
class ComposeOptions(Section):
    """What of the source comes with its video. ``pictures``: the format of frames written in place of a video."""

    section = "compose"

    audio: str = option(
        "keep", "Sound: keep, drop, or aac (encode what the output's container cannot hold; in WebM as Opus).",
        "Source", "WHAT", choices=AUDIO,
    )  # fmt: skip
    voice: str = option(
        "keep", "Voices: keep, or disguise (all sound; no proof against forensics or people who know the voice).",
        "Source", "WHAT", choices=VOICES, last=True,
    )  # fmt: skip
    metadata: str = option(
        "strip-private", "Metadata: keep, strip-private (removes places and names) or strip (removes all).", "Source",
        "WHAT", choices=METADATA,
    )  # fmt: skip
    drop_streams: str | None = option(
        None, "Leave out these streams of the source, such as 2,3 (numbered as in ffprobe).", "Source", "NUMBERS",
        last=True,
    )  # fmt: skip
    drop_unknown: bool = option(
        False, "Leave out sound and subtitles that have no known format.", "Source", shown="off", last=True
    )
    pictures: str | None = option(
        None, "File format for --frames: {choices}.", "Output", "KIND", setting="frames_as", shown="png",
        choices=PICTURE_FORMATS,
    )  # fmt: skip

    def check(self) -> None:
        """See :meth:`farm.domain.option.Section.check`."""
        if not re.fullmatch(r"\d{1,4}(,\d{1,4})*", self.drop_streams or "0", re.ASCII):
            raise self.options()["drop_streams"].refused(self.drop_streams, "name the streams by number, such as 2,3")

    @property
    def dropped(self) -> frozenset[int]:
        """The numbers of the streams to leave out."""
        return frozenset(int(number) for number in (self.drop_streams or "").split(",") if number)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """All options of a job. The help lists the sections' options in this order, group by group."""

    source: SourceOptions = SourceOptions()
    redact: RedactOptions = RedactOptions()
    detect: DetectOptions = DetectOptions()  # noqa: RUF009 - it is immutable
    link: LinkOptions = LinkOptions()
    people: PeopleOptions = PeopleOptions()  # noqa: RUF009 - it is immutable
    compose: ComposeOptions = ComposeOptions()


def sections() -> dict[str, type[Section]]:
    """The classes of the sections of :class:`JobOptions`, by name."""
    return {f.name: cast("type[Section]", f.type) for f in fields(JobOptions)}


def submit_options() -> list[Option]:
    """The options of ``farm submit`` that change a job: of every section."""
    return [o for section in sections().values() for o in section.options().values() if o.group]


def override(said: Mapping[str, object]) -> Override:
    """The override that says this of style, shape and margin. Raises SettingsError as for the options of a job."""
    checked = load_options({"redact": said}).redact
    return Override(**{name: getattr(checked, name) for name in said})


def load_options(row: Mapping[str, Mapping[str, Any]]) -> JobOptions:
    """Options from their JSON, ``dataclasses.asdict``. Raises SettingsError as :meth:`Section.load`."""
    parts: dict[str, Any] = {name: section.load(row.get(name, {})) for name, section in sections().items()}
    return JobOptions(**parts)
