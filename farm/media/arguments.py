"""The command line with which ffmpeg muxes the joined video and the source's other streams. Pure: runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from pathlib import Path

import ffmpeg

from farm.domain.manifest import OtherStream, Source
from farm.media.opening import input_options

_LARGEST_TIMESCALE = 2**31 - 1
_NOTHING = "t:9999?"


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture that was taken out of the source, for containers that hold it as an attachment."""

    path: Path
    name: str
    mimetype: str


@dataclass(frozen=True, slots=True)
class ComposeInputs:
    """What goes into an output.

    ``path``: where the source lies here. ``kept``: the other streams in the output's order, without the ``covers``
    that are attached as files. ``dispositions``: FFmpeg's flags (``default+forced``) by the stream's index in the
    source. ``rates``: ticks a second of the source's other streams.
    """

    video: Path
    path: Path
    source: Source
    kept: tuple[OtherStream, ...]
    covers: tuple[Cover, ...] = ()
    dispositions: tuple[tuple[int, str], ...] = ()
    rates: tuple[int, ...] = ()
    chapters: bool = True


def compose_arguments(inputs: ComposeInputs, container: str, out: Path) -> list[str]:
    """Ffmpeg's arguments (without the program): copies everything, at the times it has, moves and drops nothing."""
    options = {"protocol_whitelist": input_options()["protocol_whitelist"]}
    joined = ffmpeg.input(_file(inputs.video), format="mp4", **options)
    original = ffmpeg.input(_file(inputs.path), **input_options())
    order = _order(inputs)
    streams = [joined["v:0"] if o is None else original[str(o.index)] for o in order]
    if not inputs.kept:
        # a map that matches nothing: ffmpeg-python leaves an input out that no stream comes from, its metadata too
        streams.append(original[_NOTHING])
    # ffmpeg-python numbers its inputs in the order that the streams first name them
    number = 1 if order[0] is None else 0
    settings: dict[str, object] = {
        "format": container,
        "c": "copy",
        "map_metadata": str(number),
        "map_chapters": str(number) if inputs.chapters else "-1",
        "avoid_negative_ts": "disabled",
        "strict": "experimental",
    }
    settings |= _stream_settings(inputs, order, number, container)
    settings |= _muxer_settings(inputs, container)
    node = ffmpeg.output(*streams, _file(out), **settings)
    *arguments, target = node.get_args()
    attached = _attachments(inputs, first=len(order))
    return ["-nostdin", "-y", "-v", "error", "-copyts", *arguments, *attached, target]


def _order(inputs: ComposeInputs) -> list[OtherStream | None]:
    """The output's streams; None is the video, which keeps its place among the source's tracks."""
    order: list[OtherStream | None] = list(inputs.kept)
    tracks = [o for o in inputs.kept if o.kind not in ("attachment", "cover")]
    order.insert(sum(o.index < inputs.source.video.index for o in tracks), None)
    return order


def _stream_settings(
    inputs: ComposeInputs, order: Sequence[OtherStream | None], number: int, container: str
) -> dict[str, object]:
    """Metadata and dispositions of each stream; ``number`` is the source's among ffmpeg's inputs."""
    settings: dict[str, object] = {}
    flags = dict(inputs.dispositions)
    for place, other in enumerate(order):
        index = inputs.source.video.index if other is None else other.index
        settings[f"map_metadata:s:{place}"] = f"{number}:s:{index}"
        settings[f"disposition:{place}"] = flags.get(index) or "0"
        if other is None and inputs.source.video.codec == "hevc" and container in ("mp4", "mov"):
            settings[f"tag:{place}"] = "hvc1"  # parameter sets in the header only; some players know no other
    return settings


def _attachments(inputs: ComposeInputs, first: int) -> list[str]:
    """Options that ffmpeg-python cannot write, as they are repeated: covers, attached behind ``first`` streams."""
    words: list[str] = []
    for place, cover in enumerate(inputs.covers, start=first):
        about = f"-metadata:s:{place}"
        words += ["-attach", str(cover.path), about, f"filename={cover.name}", about, f"mimetype={cover.mimetype}"]
    return words


def _muxer_settings(inputs: ComposeInputs, container: str) -> dict[str, object]:
    ticks = inputs.source.video.time_base.denominator
    if container in ("mp4", "mov"):
        # edit lists, which carry the times that streams begin at, count in the movie's timescale
        common = lcm(ticks, *inputs.rates)
        return {
            "video_track_timescale": str(ticks),
            "movie_timescale": str(common if common <= _LARGEST_TIMESCALE else ticks),
            "movflags": "+faststart",
        }
    if container == "mpegts":
        # each audio frame in a packet of its own: its time is written, not computed from the one before
        return {"muxdelay": "0", "muxpreload": "0", "mpegts_copyts": "1", "pes_payload_size": "0"}
    return {"default_mode": "passthrough"}


def _file(path: Path) -> str:
    return f"file:{path.absolute()}"
