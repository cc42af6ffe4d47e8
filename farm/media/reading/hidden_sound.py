"""When the sound of a stream begins to be heard: edit lists and codec delays hide what is before.

libavformat reports both in the same way: the first packet says how many samples are not played, or packets are marked.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import box_number, tracked
from farm.media.reading.opening import demuxed
from farm.media.reading.stream_details import edit_list

#: The longest delay in seconds of an encoder, which is before the sound; HE-AAC's is 0.118 s.
ENCODER_DELAY = Fraction(1, 8)
#: The containers that hide everything before their time 0, and any beginning; of seconds, what they may be rounded by.
_BEGINNING_AT_ZERO, _ROUNDED = frozenset({"mp4", "mov"}), Fraction(1, 500)
_HOLDERS = (b"moov", b"trak", b"edts", b"mdia")
#: Packets that are read for the beginnings of all streams.
_MOST = 50_000


@dataclass(slots=True)
class Beginning:
    """Seconds of a stream's clock: ``first``, the time of its first packet, and ``heard``, of its first played sample.

    None: not known yet. ``delay``: of a part of a stream, the seconds that are hidden of the whole stream.
    """

    first: Fraction | None = None
    heard: Fraction | None = None
    delay: Fraction = Fraction(0)

    def take(self, packet: "Packet[Any]") -> None:
        """Take the next packet of the stream."""
        if self.heard is not None or packet.pts is None:
            return
        when = packet.pts * packet.time_base
        if self.first is None:
            self.first = when
            rate = getattr(getattr(packet.stream, "codec_context", None), "sample_rate", 0)
            if rate and (skipped := skipped_samples(packet)) > 0:
                self.heard = when + Fraction(skipped, rate)
        if self.heard is None and not packet.is_discard:
            self.heard = when

    @property
    def hidden(self) -> Fraction:
        """Seconds of sound that are in the stream, and not heard."""
        return Fraction(0) if self.first is None or self.heard is None else self.heard - self.first


def skipped_samples(packet: "Packet[Any]") -> int:
    """Samples that a decoder leaves out from this packet of sound on; a negative number means none."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little", signed=True)


def beginnings(
    opened: InputContainer, streams: Collection[int], holds: Callable[[Fraction | None], bool]
) -> dict[int, Beginning]:
    """The beginnings of streams of sound, each with the first packet for which ``holds`` (its time) is true.

    ``opened`` is demuxed, and left somewhere behind its beginning. Streams that begin far behind the others are left
    out.
    """
    whole = {index: Beginning() for index in streams if getattr(opened.streams[index], "codec_context", None)}
    part = {index: Beginning() for index in whole}
    open_ = set(whole)
    for stream in opened.streams:
        stream.discard = Discard.default if stream.index in whole else Discard.all
    for number, packet in enumerate(demuxed(opened, [opened.streams[i] for i in whole]) if whole else ()):
        index = packet.stream_index
        if index in open_:
            whole[index].take(packet)
            when = None if packet.pts is None else packet.pts * packet.time_base
            if part[index].first is None and packet.size and holds(when):
                part[index].first = when
            if whole[index].heard is not None and part[index].first is not None:
                open_.discard(index)
        if not open_ or number >= _MOST:
            break
    for index, beginning in part.items():
        if beginning.first is not None and (heard := whole[index].heard) is not None:
            beginning.heard, beginning.delay = max(heard, beginning.first), whole[index].hidden
    return {index: beginning for index, beginning in part.items() if beginning.heard is not None}


def cut_tracks(path: Path) -> frozenset[int]:
    """The container tracks of an MP4 or QuickTime file whose edit list leaves out or moves pieces, by track ID.

    Raises SourceError.
    """
    movie = 0
    edits: dict[int, list[tuple[int, int]]] = {}
    ticks: dict[int, int] = {}
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for track, box in tracked(file, path.stat().st_size, _HOLDERS):
            if box.kind == b"mvhd":
                movie = box_number(file, box, movie)
            elif box.kind == b"elst":
                edits[track] = [(lasts, begins) for lasts, begins in edit_list(file, box) if begins >= 0]
            elif box.kind == b"mdhd":
                ticks[track] = box_number(file, box, 0)
    return frozenset(track for track, rows in edits.items() if movie and _is_cut(rows, movie, ticks.get(track, 0)))


def _is_cut(edits: Sequence[tuple[int, int]], movie: int, ticks: int) -> bool:
    """Whether an edit begins elsewhere than where the one before it ends. ``movie``, ``ticks``: ticks a second."""
    gaps = (abs(after[1] - before[1] - Fraction(before[0] * ticks, movie)) for before, after in pairwise(edits))
    return any(gap > ticks * _ROUNDED for gap in gaps)


def heard_fault(source: Beginning, output: Beginning, shift: Fraction, container: str, tick: Fraction) -> str | None:
    """What is wrong with the time from which a copy is heard, in words; None if nothing is.

    ``source``: with the first packet of it that the copy has. ``shift``: seconds that the copy is shown earlier.
    ``container``: of the copy; ``tick``: the longer one of both streams' ticks in seconds.
    """
    if source.first is None or source.heard is None or output.heard is None:
        return None
    want = max(source.heard, source.first) - shift
    if container in _BEGINNING_AT_ZERO:
        want, limit = max(want, Fraction(0)), max(tick, _ROUNDED)
    else:
        limit = ENCODER_DELAY
    if abs(output.heard - want) <= limit:
        return None
    return f"is heard from {float(output.heard):.6f} s on, the source's from {float(want):.6f} s"
