"""Parameter sets and messages of H.264, read and written bit by bit."""

from dataclasses import replace
from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from farm.media.reading.bits import Bits
from farm.media.splicing.h264 import H264, Header
from farm.media.splicing.messages import without_private
from farm.media.splicing.sequence import Reordering, Sequence, escaped
from farm.media.splicing.units import units_in

_CAPTION = b"\xb5\x00\x31GA94\x03\xc1\xff\xfc\x80\x80\xff"
_X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + (
    b"x264 - core 165 r3222 b35605a - H.264/MPEG-4 AVC codec - Copyleft 2003-2025 - http://videolan.org/x264.html - "
    b"options: cabac=1 ref=3 deblock=1:0:0 me=hex rc=crf crf=23.0 qpstep=4 ip_ratio=1.40 aq=1:1.00\0"
)


def extradata(parameters: str = "", pix_fmt: str = "yuv420p", **options: str) -> bytes:
    """What x264 writes into a header."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 208, 160, pix_fmt, Fraction(1, 25)
    context.options = {"flags": "+global_header", "x264-params": parameters, **options}
    context.open()
    return context.extradata or b""


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (extradata("bframes=3:b-pyramid=normal"), Reordering(2, 4)),
        (extradata("bframes=2:b-pyramid=none:ref=3"), Reordering(1, 3)),
        (extradata("bframes=0:ref=1", profile="baseline"), Reordering(0, 1)),
        (extradata("cqm=jvt:bframes=3:vbv-maxrate=500:vbv-bufsize=500:nal-hrd=vbr"), Reordering(2, 4)),
        (extradata("bframes=3:videoformat=pal:range=pc:chromaloc=2:overscan=show", pix_fmt="yuv422p10le"),
         Reordering(2, 4)),
        (extradata("bframes=3", pix_fmt="yuv444p", preset="veryfast"), Reordering(2, 4)),
    ],
)  # fmt: skip
def test_what_a_parameter_set_says_of_reordering(made: bytes, said: Reordering) -> None:
    (unit,) = Header.of_units(made).sps
    read = Sequence.of(unit)
    assert (read.said, read.references) == (said, said.buffered)
    for other in (None, Reordering(0, 16), Reordering(7, 9), said):
        changed = Sequence.of(read.saying(other))
        assert (changed.said, changed.profile, changed.level) == (other, read.profile, read.level)
    assert Sequence.of(read.saying(Reordering(5, 6))).saying(said) == unit


def test_a_header_keeps_both_parameter_sets() -> None:
    source = Header.of_units(extradata("bframes=3")).record()
    assert Header.of(source).record() == source
    splicer = H264(source, "keep")
    asked = splicer.parameters({"preset": "veryfast"}, 2)
    both = Header.of(splicer.header(extradata(asked["x264-params"], preset="veryfast")))
    assert both.sps[0] == Header.of(source).sps[0]
    assert [Bits.of(unit, header=4).exp_golomb() for unit in both.sps] == [0, 1]
    assert Sequence.of(both.sps[1]).said == Sequence.of(both.sps[0]).said


@pytest.mark.parametrize("parameters", ["bframes=3", "sps-id=1:bframes=3:ref=5", "sps-id=1:bframes=3:level=51"])
def test_an_encoder_that_writes_something_else_is_refused(parameters: str) -> None:
    splicer = H264(Header.of_units(extradata("bframes=3")).record(), "keep")
    with pytest.raises(ValueError, match="the encoder"):
        splicer.header(extradata(parameters, preset="veryfast"))


def test_spare_slices_are_not_copied() -> None:
    header = Header.of_units(extradata("bframes=0:ref=1:cabac=0:8x8dct=0", profile="baseline"))
    (unit,) = header.pps
    bits = "".join(f"{byte:08b}" for byte in unit[1:])
    at = len(bits.rstrip("0")) - 2  # the flag before the last one
    assert bits[at] == "0"
    spare = unit[:1] + int(bits[:at] + "1" + bits[at + 1 :], 2).to_bytes(len(unit) - 1, "big")
    H264(header.record(), "keep")
    with pytest.raises(ValueError, match="spare slices"):
        H264(replace(header, pps=(spare,)).record(), "keep")


@given(st.binary(max_size=40))
def test_a_damaged_header_is_refused(content: bytes) -> None:
    for damaged in (content, b"\x01" + content):
        with pytest.raises(ValueError, match=r"its (header|packets)"):
            H264(damaged, "keep")


@given(st.data())
def test_a_header_that_is_cut_or_changed_raises_nothing_else(data: st.DataObject) -> None:
    whole = Header.of_units(extradata("bframes=3")).record()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes((data.draw(st.integers(0, 255)),)) + whole[at + 1 :]
    for damaged in (whole[:at], changed):
        try:
            H264(damaged, "keep").parameters({"preset": "fast"}, 1)
        except ValueError:
            continue


@given(st.binary(max_size=60))
def test_no_start_code_in_a_payload(payload: bytes) -> None:
    found = escaped(payload)
    assert not any(code in found for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert Bits.of(b"\x06" + found).content == payload or b"\0\0\3" in payload


def message(number: int, content: bytes) -> bytes:
    size = b"\xff" * (len(content) // 255) + bytes((len(content) % 255,))
    return bytes((number,)) + size + content


def test_only_private_messages_are_left_out() -> None:
    place = message(5, bytes(16) + b"48.2 16.3")
    units = [b"\x06" + message(4, _CAPTION) + escaped(place) + message(6, b"\x80") + b"\x80", b"\x65" + bytes(9)]
    assert list(without_private(units, 6, strict=False)) == [
        b"\x06" + message(4, _CAPTION) + message(6, b"\x80") + b"\x80", units[1]
    ]  # fmt: skip
    encoder = b"\x06" + message(5, _X264) + b"\x80"
    assert list(without_private([encoder], 6, strict=False)) == [encoder]
    assert list(without_private([encoder], 6, strict=True)) == []
    assert list(without_private([b"\x06" + message(4, b"\xb5\x00\x09GPS") + b"\x80"], 6, strict=False)) == []


@pytest.mark.parametrize(
    "hidden",
    [
        message(37, message(5, bytes(16) + b"GPS")), message(200, b"GPS"), message(4, _CAPTION + b"GPS"),
        message(4, b"\xb5\x00\x31DTG1\x01\x0bGPS"), message(5, _X264 + b"GPS"), message(3, b"GPS"),
    ],
)  # fmt: skip
def test_private_data_in_odd_messages_is_left_out(hidden: bytes) -> None:
    (kept,) = without_private([b"\x06" + message(1, b"\x12") + hidden + b"\x80"], 6, strict=False)
    assert kept == b"\x06" + message(1, b"\x12") + b"\x80"


def test_a_header_with_more_than_parameter_sets_is_refused() -> None:
    header = Header.of_units(extradata("bframes=3"))
    for more in (replace(header, tail=header.tail + b"GPS"), replace(header, sps=(header.sps[0] + b"GPS",)),
                 replace(header, pps=(header.pps[0] + b"GPS",))):  # fmt: skip
        with pytest.raises(ValueError, match=r"more than|behind its end|spare slices"):
            H264(more.record(), "keep")
    many = H264(replace(header, sps=header.sps * 31).record(), "keep")
    with pytest.raises(ValueError, match="no room"):
        many.header(extradata(many.parameters({"preset": "fast"}, 2)["x264-params"], preset="fast"))


@given(st.binary(max_size=30))
def test_messages_of_any_bytes(payload: bytes) -> None:
    try:
        kept = list(without_private([b"\x06" + payload], 6, strict=False))
    except ValueError:
        return
    assert len(kept) <= 1


@pytest.mark.parametrize("packet", [b"\0\0\0\5abc", b"\0\0\0\0", b"\0\0", b"\0\0\0\1a\0\0\0\2b"])
def test_units_that_do_not_fill_their_packet(packet: bytes) -> None:
    with pytest.raises(ValueError, match="do not fill"):
        list(units_in(packet))
