"""Examines every frame: what identifies it, how sharp it is, how the picture moved, and where a shot begins."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import av
import cv2
import numpy as np

from farm.domain.detection import FrameDetections
from farm.domain.manifest import VideoStream
from farm.media.reading.chunk import Decoded
from workers.vision.cuts import is_cut
from workers.vision.motion import Luma, MotionMeter
from workers.vision.sketch import sketch_of


@dataclass(frozen=True, slots=True)
class Examined:
    """A frame that was measured, and not yet looked at. ``picture``: None for one that could not be decoded."""

    frame: FrameDetections
    sharpness: int
    picture: av.VideoFrame | None


def examined(frames: Generator[Decoded, None, None], video: VideoStream) -> Generator[Examined, None, None]:
    """Yield each frame with its measurements, which depend on it and the frame before it alone.

    The first one has neither motion nor cut. Closing this generator closes ``frames``.
    """
    meter = MotionMeter(video)
    before: Luma | None = None
    with closing(frames):
        for decoded in frames:
            frame = decoded.frame
            assert frame.pts is not None
            if decoded.black:
                before = None
                yield Examined(FrameDetections(frame.pts, cut=False, detections=None, black=True), 0, None)
                continue
            luma = meter.picture(frame)
            motion = None if before is None else meter.camera(before, luma)
            cut = before is not None and is_cut(before, luma, motion)
            before = luma
            row = FrameDetections(frame.pts, cut, None, sketch=sketch_of(frame), motion=motion)
            yield Examined(row, sharpness(luma), frame)


def sharpness(luma: Luma) -> int:
    """How much fine structure a picture has: the sum of the absolute values of its Laplacian."""
    return int(np.abs(cv2.Laplacian(luma, cv2.CV_16S)).sum(dtype=np.int64))
