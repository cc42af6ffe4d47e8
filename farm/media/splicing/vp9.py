"""Splices VP9: a key frame resets all that a decoder keeps, and nothing but it has a header.

VP9 Bitstream & Decoding Process Specification, version 0.6: 6.2 and 7.2 for the fields of a frame's header, 8.10 and
8.4.2 for what is reset, annex B for superframes.
"""

from dataclasses import dataclass
from typing import Any, Self

from av.packet import Packet

from farm.domain.manifest import VideoStream
from farm.domain.pixels import pixel_format
from farm.media.reading.bits import Bits
from farm.media.reading.decoding import vp9_frames
from farm.media.splicing.base import WithoutHeader

_MARKER, _SYNC = 2, 0x498342
#: H.273's number of the colour matrix, by VP9's; the last is RGB.
_MATRICES = (2, 5, 1, 6, 7, 9, 2, 0)
_RGB = 7
_HIGH = 2  # from this profile on, a sample has 10 or 12 bits
_REFERENCES = 3
_RESERVED = 3  # the profile with a bit more
_HEADER = 24  # bytes that hold all that is read here


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a frame's header begins with (6.2). ``repeats``: it shows a reference and holds nothing else.

    ``bits``: behind that. ``resilient``: it decodes without the probabilities of others.
    """

    bits: Bits
    profile: int
    repeats: bool
    key: bool = False
    shown: bool = True
    resilient: bool = False

    @classmethod
    def of(cls, frame: bytes) -> Self:
        """Parse a frame. Raises ValueError for a damaged one."""
        bits = Bits(frame[:_HEADER])
        if bits.take(2) != _MARKER:
            raise ValueError("it is no frame of VP9")
        profile = bits.take(1) + 2 * bits.take(1)
        bits.take(1 if profile == _RESERVED else 0)
        if bits.take(1):
            return cls(bits, profile, repeats=True)
        key, shown, resilient = not bits.take(1), bool(bits.take(1)), bool(bits.take(1))
        return cls(bits, profile, repeats=False, key=key, shown=shown, resilient=resilient)


class Vp9(WithoutHeader):
    """See :class:`farm.media.splicing.base.Splicer`."""

    def __init__(self, extradata: bytes, metadata: str, _: bytes, video: VideoStream) -> None:
        del extradata, metadata  # MP4 and Matroska derive theirs from the pictures; there is no metadata in the frames
        pixels = pixel_format(video.pix_fmt)
        if not pixels or pixels.family != "yuv" or pixels.alpha:
            raise ValueError("its samples are not those of VP9")
        self._size = video.width, video.height
        self._samples = (pixels.bits, video.color_space, video.full_range, pixels.across == 2, pixels.down == 2)
        self._profile = _HIGH * (pixels.bits > 8) + ((pixels.across, pixels.down) != (2, 2))

    def copied(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.copied`."""
        return packet

    def begins(self, packet: bytes) -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.begins`."""
        first = next(iter(vp9_frames(memoryview(packet))), b"")
        try:
            return _Frame.of(bytes(first)).key
        except ValueError:
            return False

    def fault(self, packet: "Packet[Any]") -> str | None:
        """See :meth:`farm.media.splicing.base.Splicer.fault`."""
        content = memoryview(packet)
        frames = vp9_frames(content)
        behind = content[sum(map(len, frames)) :]
        if behind and len(behind) != 2 + len(frames) * (1 + (behind[-1] >> 3 & 3)):
            return "its superframe has gaps, or empty frames"
        try:
            for frame in frames:
                self._check(_Frame.of(bytes(frame)))
        except ValueError as error:
            return str(error)
        return None

    def _check(self, frame: _Frame) -> None:
        """Raise ValueError for a frame of another kind of samples, or size, than planned."""
        bits = frame.bits
        if frame.profile != self._profile:
            raise ValueError(f"it is of profile {frame.profile}")
        if frame.repeats:
            return
        intra = frame.key
        if not frame.key:
            intra = not frame.shown and bool(bits.take(1))
            bits.take(0 if frame.resilient else 2)
        if intra:
            if bits.take(24) != _SYNC:
                raise ValueError("it is damaged")
            if (frame.key or frame.profile) and _samples(bits, frame.profile) != self._samples:
                raise ValueError("it has other samples or colours")
        if not frame.key:
            bits.take(8)
        if not intra:
            bits.take(4 * _REFERENCES)
        sized = intra or not any(bits.take(1) for _ in range(_REFERENCES))  # else it is of a reference's size
        if (sized and (bits.take(16) + 1, bits.take(16) + 1) != self._size) or bits.take(1):
            raise ValueError("it has another size")


def _samples(bits: Bits, profile: int) -> tuple[int, int, bool, bool, bool]:
    """Bits of a sample, H.273's matrix, full range, and whether chroma has half the columns, and rows (6.2.2)."""
    depth = (12 if bits.take(1) else 10) if profile >= _HIGH else 8
    space = bits.take(3)
    full = space == _RGB or bool(bits.take(1))
    across = down = profile in (0, _HIGH)
    if not across and space != _RGB:
        across, down = bool(bits.take(1)), bool(bits.take(1))
    if profile not in (0, _HIGH):
        bits.take(1)
    return depth, _MATRICES[space], full, across, down
