"""The immutable plan of one source: what it is, and which frames each chunk holds."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

FORMAT_VERSION = 1


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The stream whose faces are redacted.

    Colour fields are FFmpeg's (H.273) code points, 2 where the source says nothing. ``rotation`` in degrees is what
    the display matrix asks of a player. ``time_base`` in seconds a tick: every pts of the project is in it.
    """

    index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    average_rate: Fraction | None
    sample_aspect: Fraction | None
    rotation: int
    color_range: int
    color_primaries: int
    color_transfer: int
    color_space: int
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream that is copied: its index in the source, its kind (audio, subtitle, data, attachment) and codec."""

    index: int
    kind: str
    codec: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it was when it was planned. ``digest``: SHA-256 of its bytes."""

    path: str
    size: int
    mtime_ns: int
    digest: str
    container: str
    video: VideoStream
    others: tuple[OtherStream, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames with ``pts_start <= pts < pts_end``; ``seek_pts`` is the key frame that decoding has to start at."""

    index: int
    pts_start: int
    pts_end: int
    frames: int
    seek_pts: int

    @property
    def name(self) -> str:
        """The part of an artefact's name that says which frames it holds."""
        return f"{self.pts_start}_{self.pts_end}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A source and its chunks, in order. Each chunk's list of pts is an artefact of its own."""

    source: Source
    chunks: tuple[Chunk, ...]

    @property
    def frames(self) -> int:
        """Frames of the whole video."""
        return sum(c.frames for c in self.chunks)

    @property
    def seconds(self) -> float:
        """From the first pts to the end of the last chunk."""
        return float((self.chunks[-1].pts_end - self.chunks[0].pts_start) * self.source.video.time_base)


def pts_key(plan: str, chunk: Chunk) -> str:
    """Where in the store the pts of a chunk's frames lie. ``plan``: the manifest's key."""
    return f"{plan.rpartition('/')[0]}/pts/{chunk.name}.json"


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a manifest")


def dump_manifest(manifest: Manifest) -> str:
    """The manifest as JSON, keys sorted: equal manifests are equal texts."""
    return json.dumps({"format": FORMAT_VERSION, **asdict(manifest)}, default=_plain, sort_keys=True)


def load_manifest(text: str) -> Manifest:
    """The inverse of :func:`dump_manifest`. Raises ValueError for another format."""
    row: dict[str, Any] = json.loads(text)
    if row.get("format") != FORMAT_VERSION:
        raise ValueError(f"a manifest of format {row.get('format')}, this version reads {FORMAT_VERSION}")
    source = row["source"]
    video = source["video"]
    for name in ("time_base", "average_rate", "sample_aspect"):
        video[name] = _fraction(video[name])
    source["video"] = VideoStream(**video)
    source["others"] = tuple(OtherStream(**o) for o in source["others"])
    return Manifest(Source(**source), tuple(Chunk(**c) for c in row["chunks"]))
