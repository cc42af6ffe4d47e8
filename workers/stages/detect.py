"""Stage detect: runs the detector on every frame of a chunk and writes one line per frame.

The detector is given the frame upright, as a player shows it; boxes are written in coded pixels, which all later
stages work on.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TextIO

from farm.domain.detection import (
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
    is_cut,
)
from farm.domain.manifest import VideoStream
from farm.domain.orientation import UPRIGHT, coded_box, upright_size
from farm.media.reading.chunk import Decoded
from farm.messages import Order
from farm.storage.base import Storage
from workers.stages.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.stages.prefetch import AHEAD, prefetch
from workers.stages.spent import Spent
from workers.vision.detectors.base import Detector
from workers.vision.scaling import Small, shown_size, small_picture, unseen


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Find the faces of a chunk. Decoding, scaling and detection overlap; memory does not grow with the chunk.

    Raises SourceError, ModelError, DeviceError, StorageError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    return make_once(plan, plan.chunk.frames, spent, lambda path: _detect(path, plan, tools, report, spent))


def _detect(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> int:
    video = plan.manifest.source.video
    decoded = plan.decoded(plan.pts(plan.chunk), tools.threads, spent)
    detector = tools.detector(plan.options.detect)
    size = detector.picture_size(*shown_size(video))
    report(0)  # from here on, what ends this process is a matter of the frames
    smalls = spent.each("scale", _scaled(decoded, video, size))
    with path.open("w", encoding="ascii") as out, closing(prefetch(smalls, AHEAD, "scale")) as pictures:
        lines = _Lines(out)
        for batch in _batches(pictures, detector.batch_size):
            with spent.part("detect"):
                found = _found(detector, batch, video)
            with spent.part("write"):
                for small, detections in zip(batch, found, strict=True):
                    lines.add(small, detections)
            report(lines.frames)
        lines.end()
    plan.check_source()
    return lines.frames


def _scaled(
    frames: Generator[Decoded, None, None], video: VideoStream, size: tuple[int, int]
) -> Generator[Small, None, None]:
    with closing(frames):
        for decoded in frames:
            frame = decoded.frame
            assert frame.pts is not None
            if decoded.black:
                yield unseen(frame.pts)
            else:
                yield small_picture(frame, *size, video.orientation, video.color_transfer)


def _found(detector: Detector, batch: list[Small], video: VideoStream) -> list[list[Detection]]:
    """The faces of each frame in coded pixels; none in a frame that could not be decoded."""
    pictures = [small.bgr for small in batch if small.bgr is not None]
    upright = upright_size(video.width, video.height, video.orientation)
    found = iter(detector.detect(pictures, upright) if pictures else [])
    return [[] if small.bgr is None else [_coded(face, video) for face in next(found)] for small in batch]


def _coded(face: Detection, video: VideoStream) -> Detection:
    if video.orientation == UPRIGHT:
        return face
    return replace(face, box=coded_box(face.box, video.width, video.height, video.orientation).rounded())


def _batches(pictures: Iterator[Small], size: int) -> Iterator[list[Small]]:
    while batch := list(islice(pictures, size)):
        yield batch


class _Lines:
    """Writes a chunk's detections, the cuts between its frames, and the signatures of its first and last frame."""

    def __init__(self, out: TextIO) -> None:
        self.frames = 0
        self._out = out
        self._first = b""
        self._last = b""

    def add(self, small: Small, detections: list[Detection]) -> None:
        """Write the next frame's line."""
        cut = self.frames > 0 and is_cut(self._last, small.signature)
        self._first = self._first or small.signature
        self._last = small.signature
        self.frames += 1
        found = FrameDetections(small.pts, cut, tuple(detections), small.bgr is None, small.sketch)
        self._out.write(dump_frame(found) + "\n")

    def end(self) -> None:
        """Write the last line, which describes the chunk."""
        self._out.write(dump_chunk(ChunkDetections(self.frames, self._first, self._last)) + "\n")
