"""Stage detect: examines every frame of a chunk, looks at some with the detector, and writes one line per frame.

The detector is given the frame upright, as a player shows it; boxes are written in coded pixels, which all later
stages work on.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import TextIO

import av

from farm.domain.detection import ChunkDetections, Detection, FrameDetections, dump_chunk, dump_frame
from farm.domain.manifest import VideoStream
from farm.domain.orientation import UPRIGHT, coded_box, upright_size
from farm.domain.quality import resolved
from farm.messages import Order
from farm.storage.base import Storage
from workers.stages.looking import Looking, beyond
from workers.stages.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.stages.prefetch import AHEAD, prefetch
from workers.stages.spent import Spent
from workers.vision.detectors.base import Detector
from workers.vision.measuring import examined
from workers.vision.scaling import small_picture


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Find the faces of a chunk. Decoding, measuring and detection overlap; memory does not grow with the chunk.

    Raises SourceError, ModelError, DeviceError, StorageError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    return make_once(plan, plan.chunk.frames, spent, lambda path: _detect(path, plan, tools, report, spent))


def _detect(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> int:
    video, looks = plan.manifest.source.video, resolved(plan.detect)
    first, own = plan.manifest.frames_before(plan.chunk.index), plan.chunk.frames
    after = plan.following(beyond(first, own, looks.every))
    decoded = plan.decoded(plan.pts(plan.chunk), tools.threads, spent, after)
    detector = tools.detector(plan.detect)
    looking: Looking[av.VideoFrame] = Looking(
        range(first, first + own), looks.every, looks.finest, (video.width, video.height),
        partial(found_in, detector=detector, video=video, spent=spent), detector.batch_size,
        None if looks.longest is None else ceil(looks.longest / video.time_base),
    )  # fmt: skip
    report(0)  # from here on, what ends this process is a matter of the frames
    measured = spent.each("measure", examined(decoded, video, first))
    with path.open("w", encoding="ascii") as out, closing(prefetch(measured, AHEAD, "measure")) as frames:
        lines = _Lines(out, own, video.aspect)
        for seen in frames:
            if seen.number == first + own:
                lines.next_one(seen.frame)
            for frame in looking.push(seen):
                lines.add(frame)
            report(min(seen.number - first + 1, own))
        for frame in looking.finish():
            lines.add(frame)
        lines.end()
    plan.check_source()
    return lines.frames


def found_in(
    frames: Sequence[av.VideoFrame], detector: Detector, video: VideoStream, spent: Spent
) -> list[list[Detection]]:
    """The faces of each frame in coded pixels of ``video``; the frames may be scaled copies of its."""
    with spent.part("scale"):
        size = detector.picture_size(*video.shown_size)
        pictures = [small_picture(frame, *size, video.orientation, video.color_transfer) for frame in frames]
    with spent.part("detect"):
        found = detector.detect(pictures, upright_size(video.width, video.height, video.orientation))
    return [[_coded(face, video) for face in faces] for faces in found]


def _coded(face: Detection, video: VideoStream) -> Detection:
    if video.orientation == UPRIGHT:
        return face
    return replace(face, box=coded_box(face.box, video.width, video.height, video.orientation).rounded())


class _Lines:
    """Writes a chunk's detections, and in the last line what was seen of the frames after the chunk."""

    def __init__(self, out: TextIO, own: int, aspect: float) -> None:
        self.frames = 0
        self._out = out
        self._chunk = ChunkDetections(own, aspect=aspect)
        self._beyond: list[tuple[int, tuple[Detection, ...]]] = []

    def next_one(self, frame: FrameDetections) -> None:
        """Take the measurements of the frame that follows the chunk's last one."""
        self._chunk = replace(self._chunk, cut=frame.cut, motion=frame.motion)

    def add(self, frame: FrameDetections) -> None:
        """Write the next frame's line; keep the detections of a frame after the chunk."""
        if self.frames < self._chunk.frames:
            self._out.write(dump_frame(frame) + "\n")
            self.frames += 1
        elif frame.detections is not None:
            self._beyond.append((frame.pts, frame.detections))

    def end(self) -> None:
        """Write the last line."""
        self._out.write(dump_chunk(replace(self._chunk, beyond=tuple(self._beyond))) + "\n")
