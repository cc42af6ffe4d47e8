"""The demo clip: pan and zoom over NASA's public-domain photograph of an astronaut, with a tone as audio."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from farm.domain.weights import Weights, Wheel

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

Picture = NDArray[np.uint8]

GOP_FRAMES = 25
FACE = (224, 120)  # x and y of the nose in the photograph
_WIDTHS = (440.0, 260.0)  # of the visible part of the photograph: zoomed out and zoomed in
_SAMPLE_RATE = 48_000
_TONE_HZ = 440


#: NASA's photograph of the astronaut Eileen Collins, in the public domain. It is fetched as a model's weights are.
PHOTOGRAPH = Weights(
    name="astronaut",
    title="the demo's photograph",
    licence="public domain",
    sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    file_name="astronaut.png",
    sources=(Wheel("scikit-image", "0.26.0", "skimage/data/astronaut.png", "3.12", "manylinux_2_28_x86_64"),),
)


def photograph(path: Path) -> Picture:
    """Return the photograph in the file ``path``: 512 x 512, RGB."""
    with av.open(str(path)) as picture:
        return next(picture.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def render_demo_clip(
    path: Path,
    source: Path,
    *,
    seconds: float = 4,
    size: tuple[int, int] = (640, 360),
    fps: int = 25,
    gop: int = GOP_FRAMES,
) -> Path:
    """Write the clip to ``path``: H.264 with a key frame every ``gop`` frames, and a tone in AAC. Return ``path``.

    ``source`` is the photograph's file; ``size`` is width and height in pixels.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "veryfast", "crf": "20", "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0"}
        audio = container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono")
        _encode_pictures(container, video, pictures(photograph(source), round(seconds * fps), size))
        _encode_tone(container, audio, seconds)
    return path


def _encode_pictures(container: "OutputContainer", stream: "VideoStream", shown: Iterator[Picture]) -> None:
    for number, picture in enumerate(shown):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        frame.time_base = 1 / Fraction(stream.average_rate or 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_tone(container: "OutputContainer", stream: "AudioStream", seconds: float) -> None:
    samples = np.arange(round(seconds * _SAMPLE_RATE))
    tone = (0.1 * np.sin(samples * (2 * math.pi * _TONE_HZ / _SAMPLE_RATE))).astype(np.float32)
    for start in range(0, len(tone), 1024):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate = _SAMPLE_RATE
        frame.pts = start
        frame.time_base = Fraction(1, _SAMPLE_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def pictures(source: Picture, frames: int, size: tuple[int, int]) -> Iterator[Picture]:
    """Yield pictures of ``source`` in RGB: the camera zooms in and out while it sways, and the face stays in view."""
    width, height = size
    for number in range(frames):
        turn = 2 * math.pi * number / frames
        shown_width = _WIDTHS[0] + (_WIDTHS[1] - _WIDTHS[0]) * (1 - math.cos(turn)) / 2
        shown_height = shown_width * height / width
        centre_x = _inside(FACE[0] + 0.18 * shown_width * math.sin(2 * turn), shown_width, source.shape[1])
        centre_y = _inside(FACE[1] + 0.12 * shown_height * (1 + math.sin(turn)), shown_height, source.shape[0])
        columns = centre_x + shown_width * ((np.arange(width) + 0.5) / width - 0.5)
        rows = centre_y + shown_height * ((np.arange(height) + 0.5) / height - 0.5)
        yield _sampled(source, columns, rows)


def _inside(centre: float, shown: float, whole: int) -> float:
    """Return the value nearest to ``centre`` around which ``shown`` pixels fit into ``whole``."""
    return min(max(centre, shown / 2), whole - shown / 2)


def _sampled(source: Picture, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Picture:
    """Sample ``source`` at every row and column, with bilinear interpolation."""
    x = np.clip(columns, 0, source.shape[1] - 1.001).astype(np.float32)
    y = np.clip(rows, 0, source.shape[0] - 1.001).astype(np.float32)
    x0, y0 = x.astype(np.intp), y.astype(np.intp)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None, None]
    upper, lower = source[y0].astype(np.float32), source[y0 + 1].astype(np.float32)
    band = upper + (lower - upper) * fy
    left, right = band[:, x0], band[:, x0 + 1]
    return np.rint(left + (right - left) * fx).astype(np.uint8)
