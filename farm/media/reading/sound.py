"""Decodes streams of sound to samples without gaps, so that a sample's number says when it is heard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from farm.errors import FarmError
from farm.media.failing import reading
from farm.media.progress import Progress, no_progress
from farm.media.reading.opening import demuxed

#: Seconds by which the times that a file states and the times of counted samples may differ: files round the former.
TOLERANCE = Fraction(1, 50)
#: The longest gap in seconds that is filled with silence, and the longest jump back that is left out.
_LONGEST_GAP, _LONGEST_RETURN = 3600, 2
_CANNOT = "so it cannot be edited: undo the edits of its sound and retry the job, or leave it out with --audio drop"

#: Samples of one stream, (samples, channels), of the decoder's type.
Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What a stream's first frame is: samples a second, FFmpeg's names of its layout and of its packed sample type."""

    rate: int
    layout: str
    channels: int
    sample: str

    @property
    def full(self) -> NDArray[np.bool_]:
        """Which channels hold more than the lowest frequencies."""
        if " " in self.layout:  # it only says how many there are
            return np.ones(self.channels, bool)
        return np.array([channel.name != "LFE" for channel in AudioLayout(self.layout).channels])

    def silence(self, count: int) -> Samples:
        """``count`` samples of silence."""
        dtype = _TYPES[self.sample]
        return np.full((count, self.channels), 128 if dtype == np.uint8 else 0, dtype)


_TYPES: dict[str, Any] = {
    "u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64,
}  # fmt: skip


def as_float(samples: Samples) -> NDArray[np.float64]:
    """Samples as numbers from -1 to 1."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    return samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)


@dataclass(frozen=True, slots=True)
class Heard:
    """Part of a stream's sound between two times in seconds of its clock; None: from the beginning, to the end."""

    start: Fraction | None = None
    end: Fraction | None = None


EVERYTHING = Heard()


@dataclass(slots=True)
class Track:
    """One stream of sound as it is decoded.

    ``began``: the time in seconds of its first sample, ``count``: of its samples so far; both None and 0 before the
    first. ``filled``: samples of silence in gaps and in place of damage. ``size``: bytes of its packets. ``apart``: the
    largest difference in seconds between a stated time and that of the sample, but of gaps and of the last frame, which
    may only fill up.
    """

    index: int
    heard: Heard = EVERYTHING
    format: SoundFormat | None = None
    began: Fraction | None = None
    count: int = 0
    filled: int = 0
    size: int = 0
    apart: Fraction = Fraction(0)
    _latest: Fraction = Fraction(0)
    _resamplers: dict[tuple[str, str, int], AudioResampler] = field(default_factory=dict)

    def when(self, number: int) -> Fraction:
        """The time of a sample in seconds."""
        assert self.began is not None
        assert self.format is not None
        return self.began + Fraction(number, self.format.rate)

    def take(self, frame: AudioFrame, path: Path, kind: type[FarmError]) -> Iterator[Samples]:
        """Yield what follows the samples so far: silence that fills a gap, and the frame's samples."""
        if self.format is None:
            sample = frame.format.packed.name
            if sample not in _TYPES or not frame.sample_rate:
                raise kind(f"{path}: stream {self.index}: its samples ({frame.format.name}) cannot be read")
            self.format = SoundFormat(frame.sample_rate, frame.layout.name, frame.layout.nb_channels, sample)
        rate, when = self.format.rate, None
        if frame.pts is not None and frame.time_base:
            when = frame.pts * frame.time_base
        samples = self._samples(frame)
        if self.began is None:
            self.began = when or Fraction(0)
            if self.heard.start is not None and self.began < self.heard.start:
                cut = min(len(samples), round((self.heard.start - self.began) * rate))
                samples, self.began = samples[cut:], None if cut == len(samples) else self.heard.start
                if self.began is None:
                    return
        elif when is not None:
            yield from self._aligned(when, path, kind)
            late = self.when(self.count) - when
            if late > TOLERANCE:
                samples = samples[round(late * rate) :]
            else:
                self.apart = max(self.apart, self._latest)
                self._latest = abs(late)
        if self.heard.end is not None:
            samples = samples[: max(0, round((self.heard.end - self.when(self.count)) * rate))]
        if len(samples):
            self.count += len(samples)
            yield samples

    def _aligned(self, when: Fraction, path: Path, kind: type[FarmError]) -> Iterator[Samples]:
        """Yield silence up to a frame at ``when``. Raises ``kind`` for times that no sound has."""
        assert self.format is not None
        if self.heard.end is not None:
            when = min(when, self.heard.end)
        gap = when - self.when(self.count)
        if not -_LONGEST_RETURN <= gap <= _LONGEST_GAP:
            jump = f"{'a gap' if gap > 0 else 'a jump back'} of {abs(float(gap)):.1f} s"
            raise kind(
                f"{path}: stream {self.index}: its sound has {jump} at {float(self.when(self.count)):.1f} s",
                hint=_CANNOT,
            )
        left = round(gap * self.format.rate) if gap > TOLERANCE else 0
        self.filled += left
        while left > 0:
            part = min(left, self.format.rate)
            self.count += part
            left -= part
            yield self.format.silence(part)

    def _samples(self, frame: AudioFrame) -> Samples:
        assert self.format is not None
        mine = self.format
        if (frame.sample_rate, frame.layout.name, frame.format.packed.name) == (mine.rate, mine.layout, mine.sample):
            return _packed(frame)
        key = frame.format.name, frame.layout.name, frame.sample_rate  # a stream that changes, as broadcasts do
        if key not in self._resamplers:
            self._resamplers[key] = AudioResampler(mine.sample, mine.layout, mine.rate)
        converted = [_packed(part) for part in self._resamplers[key].resample(frame)]
        return np.concatenate(converted) if converted else mine.silence(0)


def _packed(frame: AudioFrame) -> Samples:
    samples: Samples = frame.to_ndarray()
    if samples.dtype.kind == "f":  # damage may be decoded to anything
        samples = np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)


def decoded_sound(
    container: InputContainer,
    path: Path,
    tracks: Mapping[int, Track],
    kind: type[FarmError],
    progress: Progress = no_progress,
) -> Iterator[tuple[Track, Samples]]:
    """Yield the samples of streams as they come in the file, each stream without gaps.

    ``tracks``: by the stream's index; they are filled in. What cannot be decoded is silent. ``progress`` is called with
    seconds of the file. Raises ``kind`` for a file that cannot be read, and for a stream none of whose packets can be
    decoded.
    """  # fmt: skip
    seen: dict[int, int] = {}
    streams = [_audio(container, index, path, kind) for index in tracks]
    with reading(path, kind, "its sound cannot be read"):
        for packet in demuxed(container, streams) if streams else ():
            track = tracks[packet.stream.index]
            track.size += packet.size
            try:
                frames = packet.decode()
            except av.error.FFmpegError:  # the gap that it leaves is filled
                continue
            for frame in frames:
                for samples in track.take(frame, path, kind):  # type: ignore[arg-type]  # of sound
                    yield track, samples
            if packet.pts is not None and (second := int(packet.pts * packet.time_base)) != seen.get(track.index):
                seen[track.index] = second
                progress(second)
    for track in tracks.values():
        if track.size and not track.count and track.heard is EVERYTHING:
            raise kind(
                f"{path}: stream {track.index}: its sound cannot be decoded",
                hint=_CANNOT,
            )


def _audio(container: InputContainer, index: int, path: Path, kind: type[FarmError]) -> AudioStream:
    stream = container.streams[index]
    if not isinstance(stream, AudioStream) or getattr(stream, "codec_context", None) is None:
        raise kind(f"{path}: stream {index}: there is no decoder for its sound")
    return stream
