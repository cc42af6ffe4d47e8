"""Times of frames whose container does not state them: the n-th picture gets the n-th time."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame

from farm.domain.manifest import VideoStream
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.decoding import OWN_THREADS, decoded, open_video, packets
from farm.media.reading.fields import CUT_WITHIN_A_FRAME, FIELD_MISSING, Fields, Part
from farm.media.reading.frame_index import REPAIR_HINT
from farm.media.reading.frame_times import FrameIndex, early_frames, usual_duration
from farm.media.reading.integrity import CUT_HINT, check_complete
from farm.media.reading.limits import Limits
from farm.media.reading.probe import BARE
from farm.media.reading.videos import is_cover_art

#: Pictures after the first shown one that may be missing: they lead it and depend on pictures before it.
_LEADING = 16


def counted_frames(path: Path, video: VideoStream, threads: int = 1, *, numbered: bool = False) -> Iterator[VideoFrame]:
    """Yield all frames of a ``counted`` video with their times, in ticks of ``video.time_base``.

    In a bare stream, and of cover art, the n-th frame has the time n, else the n-th of the sorted times of its packets.
    ``numbered``: see :func:`farm.media.reading.decoding.decoded`.
    Raises SourceError, and FFmpegError for frames that cannot be decoded.
    """
    times = iter(packet_times(path, video))
    with open_video(path, video, threads) as (container, stream):
        for frame in decoded(container, stream, numbered=numbered):
            frame.pts, frame.time_base = next(times, None), video.time_base
            if frame.pts is None:
                raise SourceError(f"{path}: holds more pictures than times for them", hint=CUT_HINT)
            yield frame


def is_numbered(container: InputContainer, stream: Stream) -> bool:
    """Whether the times of a stream's frames are their numbers."""
    return container.format.name in BARE or is_cover_art(stream)


def packet_times(path: Path, video: VideoStream) -> Iterable[int]:
    """All numbers, see :func:`is_numbered`, else the sorted times of the packets: pts, or dts if some have no pts."""
    pts, dts = array("q"), array("q")
    with (
        open_video(path, video) as (container, stream),
        reading(path, SourceError, "cannot be read to its end", CUT_HINT),
    ):
        if is_numbered(container, stream):
            return count()
        fields = Fields(video.codec, stream.codec_context.extradata)
        for packet in packets(container, stream):
            if fields.part(packet) is Part.SECOND:
                continue  # the frame's time is that of its first field
            if packet.pts is not None:
                pts.append(packet.pts)
            if packet.dts is not None:
                dts.append(packet.dts)
    times = sorted(pts if len(pts) >= len(dts) else dts)
    if len(set(times)) != len(times):
        raise SourceError(f"{path}: two frames have the same time", hint=REPAIR_HINT)
    if times and times[0] < 0:
        raise SourceError(f"{path}: its first frame is at a negative time, {times[0]} ticks")
    return array("q", times)


def count_frames(path: Path, video: VideoStream, container: str, limits: Limits) -> FrameIndex:
    """The index of a ``counted`` video, which is decoded in full to count its frames. Only the first is a key frame.

    Raises SourceError for any damage: if a picture were missing, all later ones would get the wrong time.
    """
    check_complete(path, container)
    missing, size, whole, numbered = _packets_of(path, video)
    pts = array("q")
    with reading(path, SourceError, "cannot be decoded, and its frames can only be counted"):
        for frame in counted_frames(path, video, numbered=video.codec not in OWN_THREADS):
            if frame.is_corrupt:
                raise SourceError(f"{path}: its frame {len(pts)} is damaged", hint=CUT_HINT)
            number = frame.opaque if isinstance(frame.opaque, int) else len(pts)
            missing[number : number + 1] = b"\0"
            pts.append(frame.pts or 0)
            limits.check_length(path, float((pts[-1] - pts[0]) * video.time_base))
    if not pts:
        raise SourceError(f"{path}: holds no frame", hint="is it complete?")
    notes = (*_left_out(path, missing, bare=numbered), *(() if whole else (CUT_WITHIN_A_FRAME,)))
    duration = 1 if numbered else usual_duration(pts, video)
    sizes = array("q", [size // len(pts)]) * len(pts)  # which packet is which frame's is not known
    return FrameIndex(pts, sizes, array("q", pts[:1]), array("q", [0]), duration, notes)


def _left_out(path: Path, missing: bytearray, *, bare: bool) -> tuple[str, ...]:
    """A note on pictures that are not shown; only those before or leading the first key frame may be missing."""
    if not (left := missing.count(1)):
        return ()
    last = missing.rfind(1)
    if last > missing.find(0) + _LEADING or not bare:
        raise SourceError(
            f"{path}: its picture {last + 1} cannot be decoded, and its frames can only be counted", hint=CUT_HINT
        )
    return (f"{early_frames(left)} cannot be decoded: left out",)


def _packets_of(path: Path, video: VideoStream) -> tuple[bytearray, int, bool, bool]:
    """For each packet 1 if it begins a frame that is shown, else 0; the bytes of all; whether the last frame is whole;
    whether the frames' times are their numbers.

    A frame of which one field is in the file is not shown. Raises SourceError for one behind the first key frame and
    before the last frame: no decoder tells.
    """
    begins, size, part, decodable = bytearray(), 0, Part.WHOLE, False
    with (
        open_video(path, video) as (container, stream),
        reading(path, SourceError, "cannot be read to its end", CUT_HINT),
    ):
        fields = Fields(video.codec, stream.codec_context.extradata)
        for packet in packets(container, stream):
            before, part = part, fields.part(packet)
            if before is Part.FIRST and part is not Part.SECOND and decodable:
                number = begins.count(1) - 1
                raise SourceError(f"{path}: is damaged at its frame {number}: {FIELD_MISSING}", hint=CUT_HINT)
            decodable = decodable or packet.is_keyframe
            begins.append(part is not Part.SECOND)
            size += packet.size
        numbered = is_numbered(container, stream)
    if part is Part.FIRST:
        begins[-1:] = b"\0"
    return begins, size, part is not Part.FIRST, numbered
