"""Checks a segment against its plan right after it was written: decodes what was encoded, compares what was copied.

Copied packets have to be the source's, byte for byte. Of them only those are decoded that show what splicing might
break: the first of each run, whose parameter sets the decoder has to find, and the group in front of an encoded run,
which has to be shown to its end.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

from farm.domain.encoding import EncoderSettings
from farm.domain.pixels import plain_format
from farm.domain.runs import Run
from farm.errors import VerificationError
from farm.media.composing.remux import open_segment
from farm.media.failing import reading
from farm.media.progress import Progress, no_progress
from farm.media.reading.decoding import STRICT, set_up_decoder
from farm.media.splicing.groups import Copied
from farm.media.verifying.fidelity import Samples
from farm.media.verifying.packets import seconds


@dataclass(frozen=True, slots=True)
class Source:
    """What a spliced segment is compared with. ``runs``: of the chunk; ``packets``: to be copied, read anew.

    ``examine`` is called with the number and the picture of copied frames; it raises for another than was examined.
    """

    runs: tuple[Run, ...]
    packets: Iterator[Copied]
    examine: Callable[[int, VideoFrame], None]


@dataclass(slots=True)
class _Runs:
    """Which packets of a segment are decoded. ``encoded`` tells of a frame's number whether it was encoded."""

    path: Path
    source: Source | None
    _waiting: deque[Run] = field(default_factory=deque)
    _done: int = 0  # packets of the first of them
    _copied: deque[Run] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.source is not None:
            self._waiting.extend(self.source.runs)
            self._copied.extend(run for run in self.source.runs if run.copied)

    def decodes(self, packet: "Packet[Any]", number: int) -> bool:
        """Take the next packet, the ``number``-th. Raises VerificationError if it should be the source's."""
        if self.source is None or not self._waiting:
            return True
        run, done = self._waiting[0], self._done
        self._done += 1
        if self._done == run.frames:
            self._waiting.popleft()
            self._done = 0
        if not run.copied:
            if not done and not packet.is_keyframe:
                raise VerificationError(f"{self.path}: packet {number} is no key frame, and the first of a run")
            return True
        wanted = next(self.source.packets, None)
        if wanted is None or (packet.pts, bytes(packet), packet.is_keyframe) != wanted:
            raise VerificationError(f"{self.path}: packet {number} is not that of the source")
        return done == 0 or (bool(self._waiting) and done >= run.groups[-1][0] - run.first)

    def is_copied(self, number: int) -> bool:
        """Whether a frame was copied. Call it with ascending numbers."""
        while self._copied and self._copied[0].end <= number:
            self._copied.popleft()
        return bool(self._copied) and self._copied[0].first <= number


def verify_segment(
    path: Path,
    expected_pts: Sequence[int],
    settings: EncoderSettings,
    *,
    threads: int = 1,
    progress: Progress = no_progress,
    samples: Samples | None = None,
    source: Source | None = None,
) -> int:
    """Check that a segment holds exactly the frames ``expected_pts``, and return their number.

    ``expected_pts`` in ticks of the settings' time base, ascending. ``samples``: frames of the encoder's input, to be
    compared with what players decode. ``source``: where some packets were copied; without, all are decoded. The
    segment's pts are the frames' numbers, and the first must be a key frame.
    Raises VerificationError naming what differs and where in the source, and whatever ``source`` raises.
    """
    shown, decoded = array("q"), list[int]()  # numbers of the packets' frames; a heap of those that are to be decoded
    runs, encoded = _Runs(path, source), 0
    with reading(path, VerificationError, "this segment cannot be decoded"), open_segment(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != settings.codec:
            raise VerificationError(f"{path}: holds {stream.codec_context.codec.canonical_name}, not {settings.codec}")
        # with the deblocking filter, which costs 0.8 % of a job: the samples are compared with what players show
        set_up_decoder(stream, threads, STRICT)
        for number, packet in enumerate(container.demux(stream)):
            if number == 0 and not packet.is_keyframe:
                raise VerificationError(f"{path}: does not begin with a key frame")
            if packet.is_corrupt:
                raise VerificationError(f"{path}: packet {number} is damaged")
            if packet.pts is not None:
                shown.append(packet.pts)
                progress(len(shown))
                if not runs.decodes(packet, number):
                    continue
                heappush(decoded, packet.pts)
            for frame in packet.decode():
                at = heappop(decoded) if decoded else len(expected_pts)
                where = _check_frame(path, frame, at, expected_pts, settings)
                if source is not None and runs.is_copied(at):
                    source.examine(at, frame)
                elif samples is not None:
                    samples.compare(encoded, frame, where)
                    encoded += 1
    if decoded or sorted(shown) != list(range(len(expected_pts))):
        raise VerificationError(
            f"{path}: holds {len(shown)} frames, {len(decoded)} of them could not be decoded, {len(expected_pts)} were "
            "planned"
        )
    if samples is not None:
        samples.end()
    return len(shown)


def _check_frame(
    path: Path, frame: VideoFrame, number: int, expected_pts: Sequence[int], settings: EncoderSettings
) -> str:
    """Raise VerificationError unless a frame is as planned; returns its name for the user."""
    if number == len(expected_pts):
        raise VerificationError(f"{path}: holds more than the {number} frames that were planned")
    where = f"{path}: frame {number}, of {seconds(expected_pts[number] * settings.time_base)},"
    if frame.pts != number:
        raise VerificationError(f"{where} has the number {frame.pts}")
    if frame.is_corrupt:
        raise VerificationError(f"{where} is decoded with errors")
    planned = (settings.width, settings.height, plain_format(settings.pix_fmt))
    found = (frame.width, frame.height, plain_format(frame.format.name))
    if found != planned:
        raise VerificationError(
            f"{where} is {found[0]}x{found[1]} {found[2]}, not {planned[0]}x{planned[1]} {planned[2]}"
        )
    return where
