"""Examines every frame: what identifies it, how sharp it is, how the picture moved, and where a shot begins."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import av
import cv2
import numpy as np

from farm.domain.detection import FrameDetections
from farm.domain.manifest import VideoStream
from farm.media.reading.chunk import Decoded
from workers.vision.cuts import is_cut
from workers.vision.motion import Luma, MotionMeter
from workers.vision.sketch import sketch_of

P = TypeVar("P")


@dataclass(slots=True)
class Examined(Generic[P]):
    """A frame that was measured. ``number``: in the source; ``sharpness`` compares frames of one video.

    ``frame`` has no detections until the frame has been looked at. ``picture``: what the detector is shown; None for a
    black frame, and for one that is no candidate (any more): pictures are large.
    """

    number: int
    frame: FrameDetections
    sharpness: int
    picture: P | None


def examined(
    frames: Generator[Decoded, None, None], video: VideoStream, first: int
) -> Generator[Examined[av.VideoFrame], None, None]:
    """Yield each frame with its measurements, which depend on it and the frame before it alone.

    The first one has neither motion nor cut; its number is ``first``. Closing this generator closes ``frames``.
    """
    meter = MotionMeter(video)
    before: Luma | None = None
    with closing(frames):
        for number, decoded in enumerate(frames, first):
            frame = decoded.frame
            assert frame.pts is not None
            if decoded.black:
                before = None
                yield Examined(number, FrameDetections(frame.pts, cut=False, detections=None, black=True), 0, None)
                continue
            luma = meter.picture(frame)
            motion = None if before is None else meter.camera(before, luma)
            cut = before is not None and is_cut(before, luma, motion)
            before = luma
            row = FrameDetections(frame.pts, cut, None, sketch=sketch_of(frame), motion=motion)
            yield Examined(number, row, sharpness(luma), frame)


def sharpness(luma: Luma) -> int:
    """How much fine structure a picture has: the sum of the absolute values of its Laplacian."""
    return int(np.abs(cv2.Laplacian(luma, cv2.CV_16S)).sum(dtype=np.int64))
