"""Textured scenes and what a camera that moves over them sees, as luma and as decoded frames."""

import math

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.motion import Motion
from farm.media.planes import planes_of

Plane = NDArray[np.uint8]
W, H = 1280, 720


def texture(seed: int, width: int = 1600, height: int = 1000) -> Plane:
    """Blobs of many sizes, as a real scene has."""
    chance, sum_ = np.random.default_rng(seed), np.zeros((height, width), np.float32)
    for cell in (6, 12, 40, 120):
        noise = chance.random((height // cell + 2, width // cell + 2), np.float32)
        sum_ += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip((sum_ - 2) * 60 + 128, 0, 255).astype(np.uint8)


SCENE, OTHER = texture(1), texture(2)


def similarity(zoom: float, angle: float, tx: float, ty: float) -> Motion:
    """Zoom and turn about the middle of the picture, then a shift."""
    a, b = zoom * math.cos(angle), zoom * math.sin(angle)
    return Motion(a, b, tx + W / 2 - a * W / 2 + b * H / 2, ty + H / 2 - b * W / 2 - a * H / 2)


def seen(motion: Motion, scene: Plane = SCENE, aspect: float = 1.0, size: tuple[int, int] = (W, H)) -> Plane:
    """The scene (in square pixels) moved, as a picture with pixels ``aspect`` times as wide as high."""
    x, y = 100.0, 100.0  # what is beyond the edges comes into view
    a, b, tx, ty = motion.a, motion.b, motion.tx, motion.ty
    matrix = np.array([[a, -b, tx - a * x + b * y], [b, a, ty - b * x - a * y]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - (0.5, 0.5)  # edges, not middles, of pixels are counted
    matrix[0] /= aspect
    matrix[0, 2] += 0.5 / aspect - 0.5
    moved = cv2.warpAffine(scene, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.uint8)


def framed(luma: Plane, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    grey = av.VideoFrame.from_ndarray(luma, format="gray")
    if pix_fmt == "yuv420p":
        frame = av.VideoFrame(luma.shape[1], luma.shape[0], pix_fmt)
        planes_of(frame)[0][...] = luma
        return frame
    return grey.reformat(format=pix_fmt)
