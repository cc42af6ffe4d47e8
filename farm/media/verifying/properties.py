"""What is said of a video beside its frames, property by property: what the source has, and what the output has."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from av.video.frame import VideoFrame

from farm.domain.manifest import VideoStream
from farm.domain.orientation import UPRIGHT, Matrix
from farm.domain.pixels import pixel_format, plain_format
from farm.media.encoding.codecs import ONE_MATRIX
from farm.media.reading.picture import frame_properties
from farm.media.verifying.packets import seconds

#: Containers that keep a display matrix number by number; the others keep the orientation.
_MATRIX = frozenset({"mp4", "mov"})
_LIKE_BT601 = frozenset({2, 5, 6})  # nothing said, and the two names of the same matrix
_IDENTITY: Matrix = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name for a person, what it has to be, what it is."""

    name: str
    wanted: object
    found: object

    @property
    def equal(self) -> bool:
        """Whether it is what it has to be."""
        return self.wanted == self.found

    @property
    def difference(self) -> str:
        """The difference as a part of a sentence."""
        return f"its {self.name} is {said(self.found)}, the source's is {said(self.wanted)}"


def said(value: object) -> str:
    """A property's value for a person."""
    if value is None:
        return "not said"
    if isinstance(value, Fraction):
        return f"{value.numerator}:{value.denominator}"
    if isinstance(value, bool):
        return "full" if value else "limited"
    if isinstance(value, tuple) and len(value) == 2:
        return f"{value[0]}x{value[1]}"
    return str(value)


def encoding_properties(want: VideoStream, got: VideoStream) -> Iterator[Property]:
    """What a person may choose to have changed: codec, size, pixel format."""
    yield Property("codec", want.codec, got.codec)
    yield Property("size", (want.width, want.height), (got.width, got.height))
    yield Property("pixel format", plain_format(want.pix_fmt), plain_format(got.pix_fmt))


def display_properties(want: VideoStream, got: VideoStream, container: str) -> Iterator[Property]:
    """What decides how the pixels are shown. ``container``: the output's muxer.

    The display matrix is compared number by number where the container keeps it so, else the orientation alone.
    """
    yield Property("sample aspect", want.sample_aspect or Fraction(1), got.sample_aspect or Fraction(1))
    yield Property("orientation", want.orientation, got.orientation)
    if container in _MATRIX:
        yield Property("display matrix", _matrix(want), _matrix(got))
    yield Property("field order", want.fields, got.fields)
    yield Property("colour range", is_full(want), is_full(got))
    yield Property("colour primaries", want.color_primaries, got.color_primaries)
    yield Property("colour transfer", want.color_transfer, got.color_transfer)
    yield Property("colour matrix", want.color_space, got.color_space)
    yield Property("mastering display", want.mastering, got.mastering)
    yield Property("light level", want.light, got.light)
    # where one of them does not say it, the decoder's guess is not a statement
    if want.chroma_location and got.chroma_location:
        yield Property("chroma location", want.chroma_location, got.chroma_location)


def as_said(want: VideoStream, got: VideoStream) -> VideoStream:
    """The source's stream with the colour matrix that the output's codec says it with, where it is the same one.

    Motion JPEG and VP8 name none and are decoded as BT.601; RGB is known by the matrix 0.
    """
    implied = got.codec in ONE_MATRIX and want.color_space in _LIKE_BT601
    if implied or (_is_rgb(got) and _is_rgb(want)):
        return replace(want, color_space=got.color_space)
    return want


def _is_rgb(video: VideoStream) -> bool:
    pixels = pixel_format(video.pix_fmt)
    return pixels is not None and pixels.family == "rgb"


def is_full(video: VideoStream) -> bool:
    """Whether the samples use their full range. RGB always does, whatever is said of it."""
    return _is_rgb(video) or video.full_range


def _matrix(video: VideoStream) -> Matrix:
    """The display matrix; without the numbers that only move the picture, which players have no use for."""
    if video.matrix is None:
        return _IDENTITY
    a, b, u, c, d, v, _, _, w = video.matrix
    if video.orientation == UPRIGHT and (b, c) == (0, 0):
        return _IDENTITY
    return a, b, u, c, d, v, 0, 0, w


@dataclass(slots=True)
class PropertyChanges:
    """Whether an output changes where its source does. ``fault``: a line on the first frame where only one of them is
    other than at the beginning; None while there is none.
    """

    fault: str | None = None
    _first: tuple[dict[str, object], dict[str, object]] | None = field(default=None)

    def take(self, number: int, when: Fraction, source: VideoFrame, output: VideoFrame) -> None:
        """Looks at a frame at ``when`` seconds of both."""
        ours, theirs = frame_properties(source), frame_properties(output)
        if self._first is None:
            self._first = ours, theirs
        if self.fault is not None:
            return
        for name, value in ours.items():
            changed = value != self._first[0][name], theirs[name] != self._first[1][name]
            # an interlaced stream may hold progressive frames, which lose nothing by being coded as two fields
            if changed[0] != changed[1] and not (name == "fields" and theirs[name]):
                which = ("the output", "the source")[changed[0]]
                self.fault = f"frame {number} at {seconds(when)}: its {name} changes in {which} only"
                return
