"""Builds the ffmpeg command line that muxes the joined video and the source's other streams. Runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import ffmpeg

from farm.domain.containers import BOXED, TRANSPORT
from farm.domain.manifest import COVER, OtherStream, Source, VideoStream
from farm.media.composing.colour_boxes import colour_boxes
from farm.media.composing.colours import range_filter
from farm.media.composing.decode_times import STATED, Ending
from farm.media.composing.edit_lists import Hidden
from farm.media.composing.trim import WHOLE, Trim
from farm.media.encoding.sound import EncodedSound
from farm.media.reading.opening import INPUT_OPTIONS
from farm.media.reading.sound import SoundFormat

_LARGEST_TIMESCALE = 2**31 - 1
_NOTHING = "t:9999?"
_LONGEST_KEYS = 4096  # characters of the removed keys of a stream, of which there are hundreds at most
#: FFmpeg's muxer of a container that it knows by another name.
_FORMATS = {"mpeg": "vob", "m2ts": "mpegts"}
_MOVABLE = ("audio", "subtitle", "data")


@dataclass(frozen=True, slots=True)
class CoverArt:
    """Cover art extracted from the source, for containers that hold it as an attachment."""

    path: Path
    name: str
    mimetype: str


@dataclass(frozen=True, slots=True)
class EditedSound:
    """An edited stream: the file of its samples, one track at the output's times, and how ffmpeg encodes it."""

    path: Path
    sound: SoundFormat
    encoded: EncodedSound


@dataclass(frozen=True, slots=True)
class Tags:
    """Metadata of the source or of one of its streams: what the output keeps, and the removed keys."""

    kept: Mapping[str, str]
    removed: tuple[str, ...]

    @property
    def writable(self) -> bool:
        """Whether ffmpeg's command line can name the removed keys."""
        return not any("=" in key for key in self.removed) and sum(map(len, self.removed)) <= _LONGEST_KEYS


@dataclass(frozen=True, slots=True)
class RedactedVideo:
    """A file with a further video, or a cover, and the ``codec`` that it is in. ``video``: what the source's is."""

    path: Path
    video: VideoStream
    codec: str
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class ComposeInputs:
    """The inputs of an output.

    ``path``: the local path of the source. ``codec``: of the joined video. ``kept``: the other streams in the output's
    order, without the ``covers`` that are attached as files. ``dispositions``: FFmpeg's flags (``default+forced``) by
    the stream's index in the source. ``rates``: ticks per second of the source's other streams. ``chapters``: whether
    the source's are copied, or the file with their replacement. ``ticks``: seconds per tick, by index. ``tags``:
    metadata by index, None for the file's own; all is copied where none is given. ``written``: a file in ffmpeg's
    ``ffmetadata`` format with what :func:`written_tags` returns, None if that is empty. ``reserved``: bytes reserved at
    the front of an MP4 for its index; 0 if its size is not known. ``ending``: of the joined video, if known exactly.
    ``sound``: edited streams, by index, which are encoded in place of the source's; ``redacted``: further videos and
    covers, which are copied in place of the source's. ``hidden``: beginnings of copied sound that are hidden once the
    file is written, by index.
    """

    video: Path
    path: Path
    source: Source
    kept: tuple[OtherStream, ...]
    covers: tuple[CoverArt, ...] = ()
    dispositions: Mapping[int, str] = field(default_factory=dict)
    rates: tuple[int, ...] = ()
    chapters: bool | Path = True
    codec: str = "h264"
    trim: Trim = WHOLE
    ticks: Mapping[int, Fraction] = field(default_factory=dict)
    tags: Mapping[int | None, Tags] = field(default_factory=dict)
    written: Path | None = None
    reserved: int = 0
    ending: Ending | None = None
    sound: Mapping[int, EditedSound] = field(default_factory=dict)
    redacted: Mapping[int, RedactedVideo] = field(default_factory=dict)

    def written_video(self, other: OtherStream | None) -> RedactedVideo:
        """The main video, or the one in place of another stream."""
        if other is not None:
            return self.redacted[other.index]
        return RedactedVideo(self.video, self.source.video, self.codec, self.ending)

    @property
    def time_bases(self) -> tuple[Fraction, ...]:
        """Of all videos."""
        return (self.source.video.time_base, *(each.video.time_base for each in self.redacted.values()))

    hidden: Mapping[int, Hidden] = field(default_factory=dict)

    def place(self, index: int) -> int:
        """The number in the output of a stream of the source."""
        return next(at for at, other in enumerate(_order(self)) if other is not None and other.index == index)

    def trim_of(self, index: int) -> Trim:
        """How a copied stream of the source is cut and moved."""
        hidden = self.hidden.get(index)
        return self.trim if hidden is None else replace(self.trim, shift=self.trim.shift - hidden.moved)


def compose_arguments(inputs: ComposeInputs, container: str, out: Path) -> list[str]:
    """Ffmpeg's arguments, without the program. Everything is copied with its own timestamps, but edited sound.

    The streams of a part of the source are trimmed by bitstream filters, in whole ticks of each stream.
    """
    joined = ffmpeg.input(_file(inputs.video), **INPUT_OPTIONS)
    original = ffmpeg.input(_file(inputs.path), **INPUT_OPTIONS)
    order = _order(inputs)
    # maps that match nothing: ffmpeg-python numbers its inputs in the order that streams first name them, and omits
    # those without a mapped stream, and so their metadata
    streams = [original[_NOTHING]]
    streams += [_origin(inputs, o, joined, original) for o in order]
    number, last = 0, 2 + len(inputs.sound) + len(inputs.redacted)
    chapters = str(number) if inputs.chapters else "-1"
    if isinstance(inputs.chapters, Path):
        streams.append(_ffmetadata(inputs.chapters))
        chapters, last = str(last), last + 1
    if inputs.written is not None:
        streams.append(_ffmetadata(inputs.written))
    origins = {index: f"{last}:s:{place}" for place, index in enumerate(written_tags(inputs.tags))}
    settings: dict[str, object] = {
        "format": _FORMATS.get(container, container),
        "c": "copy",
        "map_chapters": chapters,
        "avoid_negative_ts": "disabled",
        "strict": "experimental",
    }
    settings["map_metadata"] = origins.get(None, str(number))
    settings |= _stream_settings(inputs, order, number, container, origins)
    settings |= _muxer_settings(inputs, container)
    node = ffmpeg.output(*streams, _file(out), **settings)
    *arguments, target = node.get_args()
    # repeated options, which ffmpeg-python cannot write
    repeated = _without("", inputs.tags.get(None))
    for place, other in enumerate(order):
        index = inputs.source.video.index if other is None else other.index
        repeated += _without(f":s:{place}", inputs.tags.get(index))
    repeated += _attachments(inputs, first=len(order))
    return ["-nostdin", "-y", "-v", "error", "-copyts", *arguments, *repeated, target]


def _origin(inputs: ComposeInputs, other: OtherStream | None, joined: Any, original: Any) -> Any:  # noqa: ANN401 - as above
    """Where a stream of the output comes from; None is the video."""
    if other is None:
        return joined["v:0"]
    if other.index in inputs.redacted:
        return ffmpeg.input(_file(inputs.redacted[other.index].path), **INPUT_OPTIONS)["v:0"]
    edited = inputs.sound.get(other.index)
    if edited is None:
        return original[str(other.index)]
    # the file's own format states how many channels there are, not where they are
    layout = {} if " " in edited.sound.layout else {"ch_layout": edited.sound.layout}
    return ffmpeg.input(_file(edited.path), **INPUT_OPTIONS, **layout)["a:0"]


def keeps_any_key(container: str, tags: Mapping[str, str]) -> bool:
    """Whether MP4 metadata is written as QuickTime keys, which may have any name (``com.apple.quicktime.make``).

    Only if a key needs it: more players show a title that is written as an iTunes tag.
    """
    if container not in ("mp4", "mov"):
        return False
    names = {key.partition("-")[0].lower() for key in tags}
    return any(n.startswith("com.") for n in names) or (container == "mp4" and bool(names & {"make", "model"}))


def written_tags(tags: Mapping[int | None, Tags]) -> dict[int | None, Mapping[str, str]]:
    """The metadata, by index, that is written to a file because keys cannot be removed from it on the command line."""
    return {index: each.kept for index, each in tags.items() if not each.writable}


def _ffmetadata(path: Path) -> Any:  # noqa: ANN401 - ffmpeg-python has no types
    return ffmpeg.input(_file(path), format="ffmetadata", protocol_whitelist="file")[_NOTHING]


def _without(specifier: str, tags: Tags | None) -> list[str]:
    """Options that remove keys from copied metadata."""
    if tags is None or not tags.writable:
        return []
    return [word for key in tags.removed for word in (f"-metadata{specifier}", f"{key}=")]


def _order(inputs: ComposeInputs) -> list[OtherStream | None]:
    """The output's streams; None is the video, which keeps its place among the source's streams."""
    order: list[OtherStream | None] = list(inputs.kept)
    order.insert(place_of_video(inputs.kept, inputs.source.video.index), None)
    return order


def place_of_video(kept: Sequence[OtherStream], index: int) -> int:
    """The place among an output's streams of the video with this index in the source: as in the source."""
    return sum(o.index < index for o in kept if o.kind not in ("attachment", COVER))


def _stream_settings(
    inputs: ComposeInputs,
    order: Sequence[OtherStream | None],
    number: int,
    container: str,
    origins: Mapping[int | None, str],
) -> dict[str, object]:
    """Metadata, dispositions and times of each stream; ``number`` is the source's among ffmpeg's inputs.

    ``origins``: where metadata is copied from, by index, if not from the source.
    """
    settings: dict[str, object] = {}
    for place, other in enumerate(order):
        index = inputs.source.video.index if other is None else other.index
        settings[f"map_metadata:s:{place}"] = origins.get(index, f"{number}:s:{index}")
        settings[f"disposition:{place}"] = inputs.dispositions.get(index) or "0"
        if other is None and container == "avi":  # its ticks; else they would be the denominator's
            settings[f"r:{place}"] = str(1 / inputs.source.video.time_base)
            settings |= {f"tag:{place}": "FMP4"} if inputs.codec == "mpeg4" else {}  # as FFmpeg itself writes it
        if other is None or other.index in inputs.redacted:
            settings |= _video_settings(inputs.written_video(other), place, container)
        if other is not None and other.index in inputs.sound:
            encoded = inputs.sound[other.index].encoded.settings
            settings |= {f"{option}:{place}": value for option, value in encoded.items()}
        elif other is not None and other.kind in _MOVABLE and not inputs.trim_of(index).whole:
            settings[f"bsf:{place}"] = inputs.trim_of(index).bitstream_filter(inputs.ticks[index])
    return settings


def _video_settings(video: RedactedVideo, place: int, container: str) -> dict[str, object]:
    """The tag and the bitstream filters of a video, ``,`` between them."""
    ending = video.ending.bitstream_filter(container) if video.ending and container in STATED else None
    stated = range_filter(container, video.codec, video.video)
    filters = ",".join(text for text in (ending, stated) if text)
    settings: dict[str, object] = {f"bsf:{place}": filters} if filters else {}
    if video.codec == "hevc" and container in BOXED:
        settings[f"tag:{place}"] = "hvc1"  # parameter sets in the header only; some players know no other
    return settings


def _attachments(inputs: ComposeInputs, first: int) -> list[str]:
    """Options that attach cover art after ``first`` streams."""
    words: list[str] = []
    for place, cover in enumerate(inputs.covers, start=first):
        about = f"-metadata:s:{place}"
        words += ["-attach", str(cover.path), about, f"filename={cover.name}", about, f"mimetype={cover.mimetype}"]
    return words


def _muxer_settings(inputs: ComposeInputs, container: str) -> dict[str, object]:
    ticks = lcm(*(time_base.denominator for time_base in inputs.time_bases))
    if container in BOXED:
        # edit lists, which carry the times that streams begin at, count in the movie's timescale
        common = lcm(ticks, *inputs.rates, *(edited.sound.rate for edited in inputs.sound.values()))
        # the index comes first, for progressive download: into reserved space, else by moving everything
        flags = "" if inputs.reserved else "+faststart"
        tags = inputs.tags.get(None)
        flags += "+use_metadata_tags" if tags and keeps_any_key(container, tags.kept) else ""
        # FFmpeg leaves out colours of which not all three are known; only some codecs say them in their own header
        videos = (inputs.source.video, *(each.video for each in inputs.redacted.values()))
        flags += "+write_colr" if any(map(colour_boxes, videos)) else ""
        return {
            "video_track_timescale": str(ticks),
            "movie_timescale": str(common if common <= _LARGEST_TIMESCALE else ticks),
            **({"movflags": flags} if flags else {}),
            **({"moov_size": str(inputs.reserved)} if inputs.reserved else {}),
        }
    if container in TRANSPORT:
        # one audio frame per PES packet: its time is then written, not computed from the one before
        mode = {"mpegts_m2ts_mode": "1"} if container == "m2ts" else {}
        return {"muxdelay": "0", "muxpreload": "0", "mpegts_copyts": "1", "pes_payload_size": "0", **mode}
    if container == "mpeg":
        return {"preload": "0"}  # else all times are moved by it
    return {"default_mode": "passthrough"} if container in ("matroska", "webm") else {}


def _file(path: Path) -> str:
    return f"file:{path.absolute()}"
