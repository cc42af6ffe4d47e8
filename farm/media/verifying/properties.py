"""Properties of a video, as its header and its frames state them: the source's compared with the output's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from av.video.frame import VideoFrame

from farm.domain.containers import BOXED
from farm.domain.manifest import VideoStream
from farm.domain.orientation import UPRIGHT, Matrix
from farm.domain.pixels import pixel_format, plain_format
from farm.media.composing.colours import states_range
from farm.media.encoding.holding import LIKE_BT601, ONE_MATRIX
from farm.media.reading.picture import frame_properties
from farm.media.verifying.packets import seconds

_IDENTITY: Matrix = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name for the user, its required value and its actual value."""

    name: str
    wanted: object
    found: object

    @property
    def equal(self) -> bool:
        """Whether the values are equal."""
        return self.wanted == self.found

    @property
    def difference(self) -> str:
        """The difference as text for the user."""
        return f"its {self.name} is {said(self.found)}, the source's is {said(self.wanted)}"


def said(value: object) -> str:
    """A property's value as text for the user."""
    if value is None:
        return "not specified"
    if isinstance(value, Fraction):
        return f"{value.numerator}:{value.denominator}"
    if isinstance(value, bool):
        return "full" if value else "limited"
    if isinstance(value, tuple) and len(value) == 2:
        return f"{value[0]}x{value[1]}"
    return str(value)


def encoding_properties(want: VideoStream, got: VideoStream) -> Iterator[Property]:
    """Yield what the user may choose to change: codec, size, pixel format."""
    yield Property("codec", want.codec, got.codec)
    yield Property("size", (want.width, want.height), (got.width, got.height))
    yield Property("pixel format", plain_format(want.pix_fmt), plain_format(got.pix_fmt))


def display_properties(want: VideoStream, got: VideoStream, container: str) -> Iterator[Property]:
    """Yield what determines how the pixels are displayed. ``container``: the output's muxer.

    The display matrix is compared number by number if the container keeps it so, else only the orientation.
    """
    yield Property("sample aspect", want.sample_aspect or Fraction(1), got.sample_aspect or Fraction(1))
    yield Property("orientation", want.orientation, got.orientation)
    if container in BOXED:
        yield Property("display matrix", _matrix(want), _matrix(got))
    yield Property("field order", want.fields, got.fields)
    yield _range(want, got, container)
    yield Property("colour primaries", want.color_primaries, got.color_primaries)
    yield Property("colour transfer", want.color_transfer, got.color_transfer)
    yield Property("colour matrix", want.color_space, got.color_space)
    yield Property("mastering display", want.mastering, got.mastering)
    yield Property("light level", want.light, got.light)
    # if one of them does not state it, its value is only the decoder's guess
    if want.chroma_location and got.chroma_location:
        yield Property("chroma location", want.chroma_location, got.chroma_location)


def _range(want: VideoStream, got: VideoStream, container: str) -> Property:
    """The range, also as the tag that a decoder reports, where the source has one and the output can have it."""
    tags = want.color_range, got.color_range
    if 0 in tags[:1] or _is_rgb(want) or _is_rgb(got) or (not tags[1] and not states_range(container, got.codec, want)):
        return Property("colour range", is_full(want), is_full(got))
    names = ["not specified", "limited", "full"]
    said = [names[2] if is_full(video) else names[video.color_range] for video in (want, got)]
    return Property("colour range", *said)


def as_said(want: VideoStream, got: VideoStream) -> VideoStream:
    """The source's stream with the output's name of the colour matrix, if both names mean the same matrix.

    Motion JPEG and VP8 name none and are decoded as BT.601; RGB has the matrix 0, and any after it was converted.
    """
    implied = got.codec in ONE_MATRIX and want.color_space in LIKE_BT601
    if implied or (_is_rgb(got) and _is_rgb(want)):
        return replace(want, color_space=got.color_space)
    if _is_rgb(want) and pixel_format(got.pix_fmt):  # only YUV has a matrix and a range
        return replace(want, pix_fmt=got.pix_fmt, color_space=got.color_space, color_range=got.color_range)
    return want


def _is_rgb(video: VideoStream) -> bool:
    pixels = pixel_format(video.pix_fmt)
    return pixels is not None and pixels.family == "rgb"


def is_full(video: VideoStream) -> bool:
    """Whether the samples use their full range. RGB always does, whatever its header states."""
    return _is_rgb(video) or video.full_range


def _matrix(video: VideoStream) -> Matrix:
    """The display matrix without its translation, which players ignore."""
    if video.matrix is None:
        return _IDENTITY
    a, b, u, c, d, v, _, _, w = video.matrix
    if video.orientation == UPRIGHT and (b, c) == (0, 0):
        return _IDENTITY
    return a, b, u, c, d, v, 0, 0, w


@dataclass(slots=True)
class PropertyChanges:
    """Checks that an output's frames change their properties where the source's do.

    ``fault``: a line on the first frame where only one of them differs from its own first frame; else None.
    """

    fault: str | None = None
    _first: tuple[dict[str, object], dict[str, object]] | None = None

    def take(self, number: int, when: Fraction, source: VideoFrame, output: VideoFrame) -> None:
        """Compare a frame at ``when`` seconds."""
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
