"""A video that changes its size: the sizes of its frames, and how each is scaled into the one that was asked for."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Chunk, Placement, VideoStream
from farm.domain.options import LARGEST, SourceOptions
from farm.domain.pixels import plain_format
from farm.errors import SourceError
from farm.liveness import beat
from farm.media.failing import reading
from farm.media.planes import black_frame, format_of, lines_of
from farm.media.reading.damage import seek
from farm.media.reading.decoding import OWN_THREADS, decoded, open_video
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe, probe_source

#: Exact integer arithmetic: the same result on every machine.
_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_MOST_SIZES, _MOST_NOTES = 100, 8
RESIZE_HINT = "add --resize-to first or --resize-to largest: all frames are scaled into one size"


@dataclass(slots=True)
class _Size:
    """A size that frames of a video have. ``aspects``: of their pixels, with the number of frames."""

    width: int
    height: int
    aspects: Counter[Fraction] = field(default_factory=Counter)

    @property
    def aspect(self) -> Fraction | None:
        """The aspect that most of the frames have; None where the stream states none."""
        return max(self.aspects, key=lambda aspect: self.aspects[aspect], default=None)


@dataclass(slots=True)
class _Sizes:
    """The sizes of a video's frames, and the runs of frames that do not have the first size: time, size, frames."""

    found: dict[tuple[int, int], _Size] = field(default_factory=dict)
    runs: list[tuple[Fraction | None, tuple[int, int], int]] = field(default_factory=list)
    changes: int = 0
    last: tuple[int, int] | None = None

    def take(self, frame: av.VideoFrame, aspect: Fraction | None, at: Fraction | None) -> None:
        size = (frame.width, frame.height)
        known = self.found.setdefault(size, _Size(*size))
        if aspect is not None:
            known.aspects[aspect] += 1
        if size != self.last:
            self.changes += 1
            if len(self.runs) <= _MOST_NOTES:
                self.runs.append((at, size, 0))
        if self.changes == len(self.runs):
            self.runs[-1] = (*self.runs[-1][:2], self.runs[-1][2] + 1)
        self.last = size


class _Aspects:
    """The pixel aspects that frames were coded with: the decoder's own is that of the packet it has taken last.

    It has taken the first packets of the next recording when it yields the last frames of one.
    """

    def __init__(self, stream: AvVideoStream) -> None:
        self._context = stream.codec_context
        self._latest = -1
        self._begins, self._aspects = [-1], [self._context.sample_aspect_ratio]

    def sent(self, number: int, _: "Packet[AvVideoStream]") -> None:
        """Called before each packet is decoded."""
        self._note()
        self._latest = number

    def of(self, frame: av.VideoFrame) -> Fraction | None:
        """The aspect of a frame. Decoders that do not number frames hold none back, or have threads of their own."""
        self._note()
        number = frame.opaque if isinstance(frame.opaque, int) else self._latest
        return self._aspects[bisect_right(self._begins, number) - 1]

    def _note(self) -> None:
        if (aspect := self._context.sample_aspect_ratio) != self._aspects[-1]:
            self._begins.append(self._latest)
            self._aspects.append(aspect)


def probe_as_asked(path: Path, options: SourceOptions, limits: Limits) -> Probe:
    """As :func:`farm.media.reading.probe.probe_source`; with ``resize_to``, of a video whose frames all fit its size.

    The whole video is decoded then. Raises SourceError.
    """
    probe = probe_source(path, limits, options.video)
    if options.resize_to is None:
        return probe
    sizes = _sizes_of(probe, limits)
    if len(sizes.found) < 2:
        return replace(probe, notes=(*probe.notes, "all frames have one size: nothing was resized"))
    return _resized(probe, sizes, options.resize_to)


def _sizes_of(probe: Probe, limits: Limits) -> _Sizes:
    """The sizes of all intact frames. Raises SourceError for one above the limits, or of another pixel format."""
    video, sizes = probe.video, _Sizes()
    with (
        open_video(probe.path, video, options=limits.decoder_options) as (container, stream),
        reading(probe.path, SourceError, "cannot be decoded"),
    ):
        aspects, numbered = _Aspects(stream), video.codec not in OWN_THREADS
        # damage is an error of the job
        for frame in decoded(container, stream, sent=aspects.sent, damage=lambda *_: None, numbered=numbered):
            beat()
            if frame.is_corrupt:
                continue
            at = None if frame.pts is None else frame.pts * video.time_base
            limits.check_size(probe.path, frame.width, frame.height)
            if plain_format(frame.format.name) != plain_format(video.pix_fmt):
                raise other_format(probe.path, frame, video, "" if at is None else f" at {float(at):.3f} s")
            sizes.take(frame, aspects.of(frame), at)
            if len(sizes.found) > _MOST_SIZES:
                raise SourceError(f"{probe.path}: its picture has more than {_MOST_SIZES} sizes")
    return sizes


def other_format(path: Path, frame: av.VideoFrame, video: VideoStream, at: str) -> SourceError:
    """The error for a frame of another pixel format than the first ones."""
    return SourceError(
        f"{path}: the frame{at} is {frame.format.name}, not {plain_format(video.pix_fmt)}",
        hint="cut it where its pixel format changes, and redact the parts one by one",
    )


def _resized(probe: Probe, sizes: _Sizes, to: str) -> Probe:
    video = probe.video
    first = sizes.found.get((video.width, video.height)) or next(iter(sizes.found.values()))
    target = max(sizes.found.values(), key=lambda s: s.width * s.height) if to == LARGEST else first
    aspect = video.sample_aspect if target is first else target.aspect or video.sample_aspect
    places = tuple(_place(size, target, aspect, video) for size in sizes.found.values() if size is not target)
    if video.interlaced and any(place[5] != place[1] for place in places):
        raise SourceError(
            f"{probe.path}: is interlaced and changes its height: its fields would be mixed by scaling",
            hint="cut it where its size changes, and redact the parts one by one",
        )
    video = replace(video, width=target.width, height=target.height, sample_aspect=aspect, resized=places)
    return replace(probe, video=video, notes=(*probe.notes, *_notes(sizes, video)))


def _place(size: _Size, target: _Size, aspect: Fraction | None, video: VideoStream) -> Placement:
    """Where frames of a size lie in the target: as large as possible, their shape kept, in the middle."""
    pixels = format_of(video.pix_fmt)
    own = size.aspect or aspect or Fraction(1)
    ratio = Fraction(size.width, size.height) * own / (aspect or Fraction(1))
    width = _side(target.height * ratio, target.width, pixels.across)
    height = _side(target.width / ratio, target.height, pixels.down)
    x, y = (target.width - width) // 2, (target.height - height) // 2
    return (size.width, size.height, x - x % pixels.across, y - y % pixels.down, width, height)


def _side(wanted: Fraction, most: int, step: int) -> int:
    """A side in whole chroma samples; ``most`` if it is longer or hardly shorter: a bar of 2 pixels is a flaw."""
    side = round(wanted)
    return most if side > most - 2 * step else max(step, side - side % step)


def _notes(sizes: _Sizes, video: VideoStream) -> Iterable[str]:
    target = f"{video.width}x{video.height}"
    places = {(row[0], row[1]): row for row in video.resized}
    for at, size, frames in sizes.runs[:_MOST_NOTES]:
        if (row := places.get(size)) is None:
            continue
        bars = ", with black bars" if (row[4], row[5]) != (video.width, video.height) else ""
        when = "" if at is None else f" from {float(at):.3f} s on"
        many = f"{frames} frame{'' if frames == 1 else 's'}"
        yield f"{many} of {size[0]}x{size[1]}{when} scaled to {row[4]}x{row[5]} in {target}{bars}"
    if sizes.changes > _MOST_NOTES:
        yield f"the picture changes its size {sizes.changes - 1} times; the first {_MOST_NOTES} are listed"


def in_size(frame: av.VideoFrame, video: VideoStream) -> av.VideoFrame:
    """The frame scaled into the video's size, with black around it; the frame itself if it has that size."""
    if (frame.width, frame.height) == (video.width, video.height):
        return frame
    place = next((row for row in video.resized if row[:2] == (frame.width, frame.height)), None)
    if place is None:
        raise SourceError(f"a frame has the size {frame.width}x{frame.height}, which was not planned")
    x, y, width, height = place[2:]
    pixels = format_of(frame.format.name)
    scaled = frame.reformat(width=width, height=height, interpolation=_SCALING, threads=1)
    whole = black_frame(replace(video, pix_fmt=frame.format.name, color_range=int(frame.color_range)), frame.pts or 0)
    for number, (source, target) in enumerate(zip(scaled.planes, whole.planes, strict=True)):
        chroma = pixels.family == "yuv" and number in (1, 2)
        across, down = (pixels.across, pixels.down) if chroma else (1, 1)
        sample = len(pixels.samples) or (1 if pixels.bits == 8 else 2)
        left, top, wide = x // across * sample, y // down, source.width * sample
        lines = lines_of(source, np.uint8)[:, :wide]
        lines_of(target, np.uint8)[top : top + source.height, left : left + wide] = lines
    whole.pts, whole.time_base, whole.colorspace = frame.pts, frame.time_base, frame.colorspace
    whole.color_primaries, whole.color_trc = frame.color_primaries, frame.color_trc
    return whole


def other_size(path: Path, video: VideoStream, chunk: Chunk) -> SourceError | None:
    """The error for a frame of another size in a chunk that cannot be decoded; None if there is none.

    A decoder refuses pictures that are much larger than the first ones before it decodes them.
    """
    with (
        open_video(path, video, options=Limits().decoder_options) as (container, stream),
        reading(path, SourceError, "cannot be read"),
    ):
        if video.timing != "counted":
            seek(container, stream, video, chunk, 0.0)
        for frame in decoded(container, stream, damage=lambda *_: None):
            if frame.pts is not None and video.timing != "counted" and frame.pts >= chunk.pts_end:
                return None
            if not video.has_size(frame.width, frame.height):
                at = None if frame.pts is None else f" at {float(frame.pts * video.time_base):.3f} s"
                return changed_size(path, frame, video, at or "")
    return None


def changed_size(path: Path, frame: av.VideoFrame, video: VideoStream, at: str) -> SourceError:
    """The error for a frame of a size that was not planned."""
    return SourceError(
        f"{path}: the frame{at} is {frame.width}x{frame.height}, not {video.width}x{video.height}", hint=RESIZE_HINT
    )
