"""The immutable plan of one source: what it is, and which frames each chunk holds."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from farm.domain.encoding import EncoderSettings, load_encoder
from farm.domain.geometry import Box
from farm.domain.orientation import INVERSE, Matrix, coded_box, orientation_of, upright_size
from farm.domain.pixels import is_full_range
from farm.domain.polygon import Polygon
from farm.errors import JobFailed

FORMAT_VERSION = 5
#: Kinds of other streams: FFmpeg's type of a further video, and cover art, which companion jobs redact; thumbnails.
VIDEO, COVER, THUMBNAILS = "video", "cover", "thumbnails"
#: The largest pixel aspect ratio that is applied, either way; a larger one is an error in the file.
_LONGEST_PIXEL = 4.0
#: The size (width, height) of frames that are scaled, and where they lie in the picture: x, y, width, height.
Placement = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mastering:
    """The display that a video was graded on (SMPTE ST 2086).

    ``primaries``: x and y of red, green and blue, and ``white``: of the white point, in units of 0.00002;
    ``luminance``: greatest and least in units of 0.0001 cd/m2. None if the source states only the other.
    """

    primaries: tuple[int, int, int, int, int, int] | None
    white: tuple[int, int] | None
    luminance: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The stream whose faces are redacted.

    Colour fields are FFmpeg's (H.273) code points, 2 if the source states nothing. ``time_base`` in seconds per tick:
    every pts of the project is in it. ``matrix``: the display matrix, if there is one. ``fields``: ``progressive``, or
    which field of an interlaced frame is first in time, ``tff`` or ``bff``. ``mastering``: SMPTE ST 2086, the numbers
    of :class:`Mastering`; ``light``: MaxCLL and MaxFALL in cd/m2 (CTA-861.3). ``chroma_location``: FFmpeg's number, 0
    if nothing is stated. ``timing``: ``stamped``; ``counted`` if the container has no presentation times, and the n-th
    decoded frame has the n-th time of the plan, counted from the file's beginning. ``resized``: the other sizes that
    frames of the source have, and where these lie in the picture when they are scaled into ``width`` x ``height``.
    """

    index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    average_rate: Fraction | None
    sample_aspect: Fraction | None
    color_range: int
    color_primaries: int
    color_transfer: int
    color_space: int
    profile: str | None = None
    matrix: Matrix | None = None
    fields: str = "progressive"
    mastering: Mastering | None = None
    light: tuple[int, int] | None = None
    chroma_location: int = 0
    timing: str = "stamped"
    resized: tuple[Placement, ...] = ()

    def has_size(self, width: int, height: int) -> bool:
        """Whether frames of this size are planned."""
        return (width, height) == (self.width, self.height) or any(r[:2] == (width, height) for r in self.resized)

    @property
    def orientation(self) -> int:
        """EXIF's number of how the picture is shown, 1 to 8."""
        return orientation_of(self.matrix)

    @property
    def aspect(self) -> float:
        """How much wider than high a pixel of the coded picture is shown."""
        return min(max(float(self.sample_aspect or 1), 1 / _LONGEST_PIXEL), _LONGEST_PIXEL)

    @property
    def shown_size(self) -> tuple[int, int]:
        """The size (width, height) of the upright picture in square pixels; neither side gets smaller."""
        width = round(self.width * max(1.0, self.aspect))
        height = round(self.height * max(1.0, 1 / self.aspect))
        return upright_size(width, height, self.orientation)

    def shown_box(self, box: Box) -> Box:
        """A box of the coded picture on the picture as shown, of :attr:`shown_size`."""
        return self.shown_exactly(box).rounded()

    def shown_exactly(self, box: Box) -> Box:
        """As :meth:`shown_box`, not rounded: :meth:`coded_box` gives back the same box."""
        size = upright_size(self.width, self.height, self.orientation)
        (wide, high), (w, h) = self.shown_size, size
        up = coded_box(box, *size, INVERSE.get(self.orientation, self.orientation))
        return Box(up.x * wide / w, up.y * high / h, up.w * wide / w, up.h * high / h)

    def coded_box(self, box: Box) -> Box:
        """A box of the picture as shown on the coded picture: the inverse of :meth:`shown_box`."""
        (wide, high), (w, h) = self.shown_size, upright_size(self.width, self.height, self.orientation)
        up = Box(box.x * w / wide, box.y * h / high, box.w * w / wide, box.h * h / high)
        return coded_box(up, self.width, self.height, self.orientation).rounded()

    def shown_polygon(self, polygon: Polygon) -> Polygon:
        """As :meth:`shown_box`."""
        boxes = (self.shown_box(Box(x, y, 0, 0)) for x, y in polygon.corners)
        return Polygon(tuple((box.x, box.y) for box in boxes))

    def coded_polygon(self, polygon: Polygon) -> Polygon:
        """As :meth:`coded_box`."""
        boxes = (self.coded_box(Box(x, y, 0, 0)) for x, y in polygon.corners)
        return Polygon(tuple((box.x, box.y) for box in boxes))

    @property
    def full_range(self) -> bool:
        """Whether samples use all their values."""
        return is_full_range(self.pix_fmt, self.color_range)

    @property
    def interlaced(self) -> bool:
        """Whether a frame holds two fields of different times."""
        return self.fields != "progressive"


@dataclass(frozen=True, slots=True)
class OtherStream:
    """Another stream of the output: its index in the source, its kind (audio, subtitle, data, attachment) and codec.

    It is copied; one of the kinds :data:`VIDEO` and :data:`COVER` is redacted by a companion job, and taken from there.
    """

    index: int
    kind: str
    codec: str

    @property
    def redacted(self) -> bool:
        """Whether a companion job redacts it."""
        return self.kind in (VIDEO, COVER)


@dataclass(frozen=True, slots=True)
class Source:
    """A source as probed when the job was planned. ``digest``: SHA-256 of its bytes.

    ``original``: the path of the video that was submitted, where ``path`` is a repaired copy of it.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    container: str
    video: VideoStream
    others: tuple[OtherStream, ...]
    original: str = ""

    @property
    def submitted(self) -> str:
        """The path of the video that was submitted."""
        return self.original or self.path


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames with ``pts_start <= pts < pts_end``; ``seek_pts`` is the key frame that decoding has to start at.

    ``stream``: the index of their video stream in the source. ``size``: bytes of that stream in the chunk's time; of a
    part or a sample: as many as the whole stream has in a time of this length. ``pts_sha256``: of the list of its
    frames' pts, as :func:`dump_pts` writes it.
    """

    index: int
    stream: int
    pts_start: int
    pts_end: int
    frames: int
    seek_pts: int
    size: int = 0
    pts_sha256: str = ""

    @property
    def name(self) -> str:
        """The part of an artefact's name that says which frames it holds."""
        return f"{self.stream}_{self.pts_start}_{self.pts_end}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A source, its chunks in order, and how they are encoded. Each chunk's list of pts is an artefact of its own.

    ``picked``: a part or a sample of the source was asked for, so that frames lie between or around the planned ones
    that are decoded and left out. ``shift``: ticks by which the output begins earlier than the source's part did.
    ``until``: where that part ends, in the source's ticks (None: at its end). ``notes``: what the person who submitted
    the job should know of the plan, one line each.
    """

    source: Source
    chunks: tuple[Chunk, ...]
    encoder: EncoderSettings
    picked: bool = False
    shift: int = 0
    until: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Frames of the whole video."""
        return sum(c.frames for c in self.chunks)

    @property
    def seconds(self) -> float:
        """From the first pts to the end of the last chunk."""
        return float((self.chunks[-1].pts_end - self.chunks[0].pts_start) * self.source.video.time_base)

    def zero(self, container: str) -> int:
        """The pts that players count from in an output of this container, FFmpeg's name of it.

        They count from 0 of its clock, but in MPEG's streams, whose times begin anywhere, from what comes first.
        """
        return self.chunks[0].pts_start if container in ("mpegts", "m2ts", "mpeg") else self.shift

    def frames_before(self, index: int) -> int:
        """The number of a chunk's first frame among all planned frames, counted from 0."""
        return sum(chunk.frames for chunk in self.chunks[:index])

    def place(self, index: int) -> str:
        """Which part of the video a chunk is, in words: its frames, counted from 1, and its times in the source."""
        chunk, tick = self.chunks[index], self.source.video.time_base
        first = 1 + self.frames_before(index)
        begin, end = (float(pts * tick) for pts in (chunk.pts_start, chunk.pts_end))
        frames = f"frames {first}–{first + chunk.frames - 1}"
        return f"{frames}, {begin:.3f}–{end:.3f} s, pts {chunk.pts_start}–{chunk.pts_end - 1}"


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a manifest")


def dump_pts(pts: Iterable[int]) -> str:
    """The pts of a chunk's frames as JSON."""
    return json.dumps(list(pts))


def dump_manifest(manifest: Manifest) -> str:
    """The manifest as JSON, keys sorted: equal manifests are equal texts."""
    return json.dumps({"format": FORMAT_VERSION, **asdict(manifest)}, default=_plain, sort_keys=True)


def load_manifest(text: str) -> Manifest:
    """The inverse of :func:`dump_manifest`. Raises JobFailed for another format: no attempt can help."""
    row: dict[str, Any] = json.loads(text)
    if row.get("format") != FORMAT_VERSION:
        said = f"planned by another version of the farm (plan format {row.get('format')}, not {FORMAT_VERSION})"
        raise JobFailed(said, hint="submit the video again")
    source = row["source"]
    video = source["video"]
    source["video"] = VideoStream(**{**video, **_loaded(video)})
    source["others"] = tuple(OtherStream(**o) for o in source["others"])
    return Manifest(
        Source(**source),
        tuple(Chunk(**c) for c in row["chunks"]),
        load_encoder(row["encoder"]),
        row["picked"],
        row["shift"],
        row["until"],
        tuple(row["notes"]),
    )


def _loaded(video: dict[str, Any]) -> dict[str, Any]:
    """The fields of a video that JSON has other types for."""
    mastering = video["mastering"]
    if mastering is not None:
        mastering = Mastering(**{name: value and tuple(value) for name, value in mastering.items()})
    return {
        **{name: video[name] and Fraction(video[name]) for name in ("time_base", "average_rate", "sample_aspect")},
        "matrix": video["matrix"] and tuple(video["matrix"]),
        "mastering": mastering,
        "light": video["light"] and tuple(video["light"]),
        "resized": tuple(map(tuple, video["resized"])),
    }
