"""A clip in which two known people move and cross: photographs in the public domain, carried by wheels."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.weights import Weights, Wheel

Picture = NDArray[np.uint8]

#: The US Navy's photograph of Rear Admiral Grace Hopper.
HOPPER = Weights(
    name="hopper",
    title="a second photograph",
    licence="public domain",
    sha256="a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
    file_name="grace_hopper.jpg",
    sources=(
        Wheel(
            "matplotlib", "3.11.2", "matplotlib/mpl-data/sample_data/grace_hopper.jpg", "3.12", "manylinux2014_x86_64"
        ),
    ),
)
FRAMES, FPS = 75, 25
WIDTH, HEIGHT = 640, 360
_SIDE = 200  # of the pasted squares


@dataclass(frozen=True)
class Person:
    """A square cut from a photograph, and the face in it."""

    cut: Picture
    face: Box

    @classmethod
    def of(cls, photo: Path, face: Box) -> "Person":
        """``face``: in the photograph. It is 90 pixels high in the clip."""
        picture = np.asarray(cv2.imread(str(photo)), np.uint8)
        scale = 90 / face.h
        x, y = face.centre
        matrix = np.array([[scale, 0, _SIDE / 2 - x * scale], [0, scale, _SIDE / 2 - y * scale]])
        cut = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), flags=cv2.INTER_AREA)
        w, h = face.w * scale, face.h * scale
        return cls(np.asarray(cut, np.uint8), Box((_SIDE - w) / 2, (_SIDE - h) / 2, w, h))


def known_people(photos: tuple[Path, Path]) -> tuple[Person, Person]:
    """Who is in front and who behind. ``photos``: of Eileen Collins and Grace Hopper."""
    return Person.of(photos[0], Box(180, 70, 90, 120)), Person.of(photos[1], Box(175, 95, 155, 215))


def place(number: int, *, rightward: bool) -> tuple[float, float]:
    """Where the left upper corner of a person's square is in a frame: two paths that cross in the middle."""
    share = number / (FRAMES - 1)
    x = 10 + (WIDTH - _SIDE - 20) * (share if rightward else 1 - share)
    return x, (HEIGHT - _SIDE) / 2 + (-18 if rightward else 18)


def face_in(person: Person, number: int, *, rightward: bool) -> Box:
    """The face of a person in a frame."""
    x, y = place(number, rightward=rightward)
    return person.face.moved(x, y)


def write_crossing(path: Path, front: Person, behind: Person) -> Path:
    """``behind`` goes to the right, and ``front`` to the left before her. H.264, a key frame every 25 frames."""
    noise = np.random.default_rng(4).integers(60, 140, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    scene = np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    oval = np.zeros((_SIDE, _SIDE), np.float32)
    cv2.ellipse(oval, (_SIDE // 2, _SIDE // 2), (70, 90), 0, 0, 360, (1.0,), -1)
    mask = np.asarray(cv2.GaussianBlur(oval, (0, 0), 3), np.float32)[:, :, None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "12", "x264-params": "keyint=25:min-keyint=25:scenecut=0"}
        for number in range(FRAMES):
            picture = scene.copy()
            for person, rightward in ((behind, True), (front, False)):
                x, y = (round(value) for value in place(number, rightward=rightward))
                under = picture[y : y + _SIDE, x : x + _SIDE]
                under[:] = np.rint(person.cut * mask + under * (1 - mask)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
