"""Splices Motion JPEG: every frame is a JPEG file, and is copied if it decodes without those before it.

ITU-T T.81, annex B. Decoders keep tables from one frame to the next, so that only a frame that brings all of its own is
copied: encoded ones between have others.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from av.packet import Packet

from farm.domain.manifest import VideoStream
from farm.domain.pixels import pixel_format
from farm.media.splicing.base import WithoutHeader

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_BASELINE, _HUFFMAN, _SCAN, _QUANTISERS, _RESTARTS, _COMMENT = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD, 0xFE
_APP0, _APP15, _ADOBE = 0xE0, 0xEF, 0xEE
#: Ends the samples of a scan; not a stuffed byte, a restart or a filling.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: What decodes in the same way without it, and is left out of encoded frames, too: times, places and thumbnails, the
#: profile of colours.
_LEFT_OUT = (b"Exif\0", b"http://ns.adobe.com/xap/", b"http://ns.adobe.com/xmp/", b"ICC_PROFILE\0", b"MPF\0", b"JFXX\0")
#: FFmpeg's comment, the name of the encoder. Others may change how it decodes.
_ENCODER = b"Lavc"
_YCC = 1  # Adobe's number of Y'CbCr


class _Segment(NamedTuple):
    """A marker with its parameters: where it begins and ends in the packet, and its content behind its length."""

    kind: int
    begin: int
    end: int
    content: bytes


class MotionJpeg(WithoutHeader):
    """See :class:`farm.media.splicing.base.Splicer`."""

    def __init__(self, extradata: bytes, metadata: str, _: bytes, video: VideoStream) -> None:
        pixels = pixel_format(video.pix_fmt)
        if extradata:
            raise ValueError("its container holds a header")
        # a limited range is stated by a comment, which FFmpeg takes to hold for all later frames
        if not pixels or pixels.family != "yuv" or pixels.alpha or not video.full_range:
            raise ValueError("its samples are not those that JPEG usually has")
        self._size, self._aspect = (video.height, video.width), video.sample_aspect or Fraction(1)
        self._sampling, self._strict = (pixels.across, pixels.down), metadata == "strip"

    def copied(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.copied`."""
        kept, at = list[bytes](), 0
        for segment in _segments(packet):
            if self._is_left_out(segment):
                kept.append(packet[at : segment.begin])
                at = segment.end
        return b"".join((*kept, packet[at:]))

    def begins(self, packet: bytes) -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.begins`."""
        return packet.startswith(_SOI)

    def fault(self, packet: "Packet[Any]") -> str | None:
        """See :meth:`farm.media.splicing.base.Splicer.fault`."""
        try:
            self._check(bytes(packet))
        except (ValueError, IndexError) as error:
            return str(error)
        return None

    def _is_left_out(self, segment: _Segment) -> bool:
        if segment.kind == _COMMENT:
            return self._strict
        return _APP0 <= segment.kind <= _APP15 and segment.content.startswith(_LEFT_OUT)

    def _check(self, packet: bytes) -> None:
        """Raise ValueError unless a frame is whole, of the planned picture, and decodes alone."""
        tables, needed, aspects = set[tuple[str, int]](), set[tuple[str, int]](), set[Fraction]()
        kinds = list[int]()
        for segment in _segments(packet):
            kind, content = segment.kind, segment.content
            kinds.append(kind)
            if kind == _BASELINE:
                needed |= self._check_frame(content)
            elif kind == _SCAN:
                needed |= {
                    (name, content[at] >> shift & 15)
                    for at in range(2, 2 * content[0] + 1, 2)
                    for name, shift in (("dc", 4), ("ac", 0))
                }
                _check_samples(packet, segment.end)
            elif kind == _QUANTISERS:
                tables |= set(_quantisers(content))
            elif kind == _HUFFMAN:
                tables |= set(_codes(content))
            elif kind == _APP0 and content.startswith(b"JFIF\0"):
                aspects.add(_aspect(content))
            elif kind != _RESTARTS and not self._is_left_out(segment) and not _is_known(segment):
                raise ValueError(f"it holds a segment of the kind {kind:02x} whose meaning is not known")
        if kinds.count(_BASELINE) != 1 or kinds.count(_SCAN) != 1:
            raise ValueError("it has no frame or no samples")
        if needed - tables:
            raise ValueError("it decodes with the tables of another frame")
        if (aspects or {Fraction(1)}) != {self._aspect}:
            raise ValueError("it states another aspect")

    def _check_frame(self, content: bytes) -> set[tuple[str, int]]:
        """Raise ValueError for a frame header (B.2.2) of another picture; else the tables of quantisers it needs."""
        if len(content) != 6 + 3 * 3 or content[5] != 3:
            raise ValueError("it has not three components")
        size = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
        luma, *chroma = ((content[at] >> 4, content[at] & 15) for at in (7, 10, 13))
        if content[0] != 8 or size != self._size or len({*chroma}) != 1:
            raise ValueError("it has another size or depth")
        across, down = self._sampling
        if luma != (across * chroma[0][0], down * chroma[0][1]):
            raise ValueError("its colours have another size")
        return {("quantiser", content[at]) for at in (8, 11, 14)}


def _segments(packet: bytes) -> Iterator[_Segment]:
    """The segments up to the samples. Raises ValueError for a damaged frame."""
    at = len(_SOI)
    while True:
        begin = at
        while packet[at : at + 2] == b"\xff\xff":
            at += 1
        length = int.from_bytes(packet[at + 2 : at + 4], "big")
        if packet[at : at + 1] != b"\xff" or length < 2 or at + 2 + length > len(packet):
            raise ValueError("it is damaged")
        segment = _Segment(packet[at + 1], begin, at + 2 + length, packet[at + 4 : at + 2 + length])
        yield segment
        if segment.kind == _SCAN:
            return
        at = segment.end


def _check_samples(packet: bytes, begin: int) -> None:
    """Raise ValueError unless the samples of one scan end the frame, and nothing comes behind it."""
    found = _MARKER.search(packet, begin)
    if found is None or found[0] != _EOI or packet[found.end() :].strip(b"\0"):
        raise ValueError("it has several scans or fields, or something behind it")


def _quantisers(content: bytes) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(content):
        yield "quantiser", content[at] & 15
        at += 1 + 64 * (1 + (content[at] >> 4 & 1))


def _codes(content: bytes) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(content):
        yield "ac" if content[at] >> 4 else "dc", content[at] & 15
        at += 17 + sum(content[at + 1 : at + 17])


def _aspect(content: bytes) -> Fraction:
    """What JFIF says of the shape of a sample. Raises ValueError for one with a thumbnail, or damage."""
    if len(content) != 14:
        raise ValueError("it has a thumbnail")
    across, down = int.from_bytes(content[8:10], "big"), int.from_bytes(content[10:12], "big")
    return Fraction(across, down) if content[7] == 0 and across and down else Fraction(1)


def _is_known(segment: _Segment) -> bool:
    """Whether it is a segment that changes nothing, and tells nothing."""
    content = segment.content
    if segment.kind == _COMMENT:
        return content.startswith(_ENCODER)
    if segment.kind == _ADOBE:
        return content.startswith(b"Adobe") and len(content) == 12 and content[11] == _YCC
    # a polarity other than 0 tells of fields
    return segment.kind == _APP0 and content.startswith(b"AVI1") and not content.strip(b"\0")[4:]
