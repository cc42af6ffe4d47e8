"""A copy of a damaged or joined source with times that only go forward, and without the packets that are damaged.

What follows a damaged video packet may be predicted from it: it is left out as well, up to the next key frame, and so
are the frames that lead that key frame. Nothing is decoded, and what is left out is counted.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from farm.errors import SourceError, StorageError
from farm.media.composing.joins import Places, Timeline, in_order, read_on, survey, timeline, unread
from farm.media.failing import reading, reason, write_error, writing
from farm.media.reading.decoding import OWN_THREADS, decoded, is_shown, open_video, strictness
from farm.media.reading.frame_index import UNREPAIRED
from farm.media.reading.integrity import CUT_HINT, faults_of
from farm.media.reading.limits import Limits
from farm.media.reading.opening import open_source
from farm.media.reading.probe import BARE, Probe, probe_source

#: By the source's format: the copy's, which holds its times exactly, with the muxer's options. Others: NUT.
_SAME = {
    "mpegts": (".ts", {"mpegts_copyts": "1", "max_delay": "0"}),
    "matroska": (".mkv", {}),
    "mov": (".mov", {}),
}  # fmt: skip
_NUT = (".nut", dict[str, str]())
#: Copies that store dts: in the others they are made up when the file is read.
_WITH_DTS = (".ts", ".mov")
#: Seconds before its pts that a field is written to Matroska: what libavformat makes up for fields is after it.
_AHEAD = 1
#: Copies that hold no time before zero.
_POSITIVE = (".ts", ".nut")
_NEVER = -(2**63)
_MOST_LINES = 8
#: What the copy has to show as the source does.
_PROPERTIES = (
    "codec", "width", "height", "pix_fmt", "sample_aspect", "color_range", "color_primaries", "color_transfer",
    "color_space", "matrix", "fields", "mastering", "light",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repair:
    """What a source needs. ``faults``: of the file, in words; ``bad``: the numbers of the video's packets that are
    damaged; ``suffix``: the copy's, with its muxer's options.
    """

    probe: Probe
    timeline: Timeline
    faults: tuple[str, ...]
    bad: frozenset[int]
    damaged: bool
    suffix: str
    options: dict[str, str]

    @property
    def needed(self) -> bool:
        """Whether anything is to be repaired."""
        times = self.timeline
        return bool(times.joins or times.early or times.moved or self.faults or self.damaged)


def plan_repair(probe: Probe, limits: Limits) -> Repair:
    """Read a probed source once, and find what it needs. Raises SourceError for what cannot be repaired."""
    path, kind = probe.path, probe.container.split(",")[0]
    with open_source(path) as container, reading(path, SourceError, "cannot be read"):
        found = survey(container, probe)
    if kind in BARE or (found.untimed and probe.video.timing == "counted"):
        raise SourceError(f"{path}: has no times that could be repaired", hint="submit it without --repair")
    if kind == UNREPAIRED:
        raise SourceError(f"{path}: is Ogg, of which no exact copy can be made", hint=CUT_HINT)
    if found.hidden:
        raise SourceError(f"{path}: an edit list hides frames of it, which --repair would show")
    if not found.pts:
        raise SourceError(f"{path}: holds no whole frame", hint="copy or download it again")
    faults = tuple(fault for fault in (found.failed, unread(found, probe), *faults_of(path, probe.container)) if fault)
    suffix, options = _SAME.get(kind, _NUT)
    bad = frozenset(found.flagged) - found.forgiven | _undecodable(probe, limits)
    times = timeline(found, probe, positive=suffix in _POSITIVE)
    return Repair(probe, times, faults, bad, found.damaged or bool(bad), suffix, options)


def _undecodable(probe: Probe, limits: Limits) -> set[int]:
    """The numbers of the video's packets for which its decoder reports damage."""
    bad, video, latest = set[int](), probe.video, 0

    def sent(number: int, _: "Packet[Any]") -> None:
        nonlocal latest
        latest = number

    def damage(number: int | None, _: Exception) -> None:
        if number is not None:
            bad.add(number)

    numbered = video.codec not in OWN_THREADS
    options = {**strictness(video.codec), **limits.decoder_options}  # the size may change
    with (
        open_video(probe.path, video, options=options) as (container, stream),
        reading(probe.path, SourceError, "cannot be decoded"),
    ):
        for frame in decoded(container, stream, sent=sent, damage=damage, numbered=numbered):
            if frame.is_corrupt:
                bad.add(frame.opaque if isinstance(frame.opaque, int) else latest)
    return bad


def write_repaired(repair: Repair, out: Path) -> tuple[str, ...]:
    """Write the copy; returns a line for the user on each change. The same source gives the same bytes.

    Raises SourceError, OutputError, StorageError for a full disk.
    """
    path = repair.probe.path
    options = {"fflags": "bitexact", "avoid_negative_ts": "disabled", **repair.options}
    with (
        open_source(path) as source,
        writing(out),
        av.open(str(out), "w", container_options=options) as copy,
    ):
        tracks, left = _tracks(source, copy, repair)
        copier = _Copier(repair, copy, tracks)
        try:
            copier.run(source)
        except av.error.FFmpegError as error:
            failed = write_error(out, error.errno, reason(error))
            if isinstance(failed, StorageError):
                raise failed from error
            raise SourceError(f"{path}: cannot be repaired: its streams fit no copy: {reason(error)}") from error
    _check(repair, out, copier)
    return (*_said(repair), *copier.said(), *left)


def _tracks(source: InputContainer, copy: OutputContainer, repair: Repair) -> tuple[dict[int, Stream], list[str]]:
    """The copy's streams by the source's index, and a line on each that it cannot hold."""
    tracks, left = dict[int, Stream](), list[str]()
    for stream in source.streams:
        if stream.index in repair.probe.empty:
            continue
        try:
            track = copy.add_stream_from_template(stream, opaque=True)  # it needs no encoder
        except (av.error.FFmpegError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            if stream.type in ("video", "audio"):
                raise SourceError(
                    f"{repair.probe.path}: its {stream.type} cannot be copied for a repair: {reason(error)}"
                ) from error
            left.append(f"repair: stream {stream.index} ({stream.type}) is left out: the copy cannot hold it")
            continue
        if stream.time_base is not None:
            track.time_base = stream.time_base
        track.metadata.update(stream.metadata)
        track.disposition = stream.disposition
        tracks[stream.index] = track
    copy.metadata.update(source.metadata)
    copy.set_chapters(source.chapters())
    return tracks, left


class _Copier:
    """Writes the packets that are whole at their new times.

    ``pts``: of the shown video packets, in decoding order; ``packets``: how many there are, by the copy's stream.
    """

    def __init__(self, repair: Repair, copy: OutputContainer, tracks: dict[int, Stream]) -> None:
        self._repair, self._copy, self._tracks = repair, copy, tracks
        self._video, self._times = repair.probe.video, repair.timeline
        self.pts, self.packets = array("q"), Counter[int]()
        self._used, self._lost = Counter[int](), Counter[int]()
        self._gaps: list[tuple[float, int]] = []  # runs of lost frames: where they begin, how many
        self._last = dict[int, int]()  # of each stream: the latest dts written
        self._number, self._recording, self._waits, self._leading = 0, 0, False, _NEVER

    def run(self, source: InputContainer) -> None:
        """Copy everything."""
        places = Places()
        for packet in read_on(source, []):
            at = places.of(packet)
            if packet.stream_index in self._tracks:
                self._take(packet, sum(at >= join for join in self._times.joins))

    def _take(self, packet: "Packet[Any]", number: int) -> None:
        index, tick = packet.stream_index, packet.time_base
        video = index == self._video.index
        shift = round(self._times.offsets[number] / tick) if tick else 0
        if self._is_lost(packet, number) if video else packet.is_corrupt or packet.pts is None:
            self._lost[index] += 1
            return
        assert packet.pts is not None
        pts = packet.pts + shift
        if video and is_shown(self._video.codec, packet):
            pts = self._moved(pts)
            self._tell_gap(pts)
            self.pts.append(pts)
        dts = packet.dts if self._repair.suffix in _WITH_DTS else None
        if video and self._video.fields and self._repair.suffix == ".mkv":
            dts = packet.pts - round(_AHEAD / tick)
        if dts is not None:
            dts = self._last[index] = max(dts + shift, self._last.get(index, dts + shift - 1) + 1)
            if dts > pts:
                raise SourceError(
                    f"{self._repair.probe.path}: its times contradict each other at {float(pts * tick):.3f} s",
                    hint="this cannot be repaired; cut it there, and redact the parts one by one",
                )
        track = self._tracks[index]
        packet.pts, packet.dts, packet.stream = pts, dts, track
        self.packets[track.index] += 1
        self._copy.mux(packet)

    def _is_lost(self, packet: "Packet[Any]", number: int) -> bool:
        """Whether a packet of the video is damaged, or follows one and cannot be decoded without it."""
        if number != self._recording:
            self._recording, self._waits = number, True
        self._number += 1
        if self._number - 1 in self._repair.bad or packet.pts is None:
            self._waits = True
            return True
        if packet.is_keyframe:
            self._leading = packet.pts if self._waits else _NEVER
            self._waits = False
        return self._waits or packet.pts < self._leading

    def _tell_gap(self, pts: int) -> None:
        """Note, before the frame at ``pts``, how many have been left out since the last one."""
        before = sum(count for _, count in self._gaps)
        if self._lost[self._video.index] > before:
            at = self.pts[-1] if self.pts else pts
            self._gaps.append((float(at * self._video.time_base), self._lost[self._video.index] - before))

    def _moved(self, pts: int) -> int:
        """The new pts of the next frame of this one."""
        if (new := self._times.moved.get(pts)) is None:
            return pts
        self._used[pts] += 1
        return new[min(self._used[pts], len(new)) - 1]

    def said(self) -> Iterator[str]:
        """A line on what was left out and moved."""
        if self.pts:
            self._tell_gap(self.pts[-1])
        for at, count in self._gaps[:_MOST_LINES]:
            frames = f"{count} frame{'' if count == 1 else 's'}"
            yield f"repair: {frames} behind {at:.3f} s left out: damaged, or not to be decoded without damaged ones"
        if len(self._gaps) > _MOST_LINES:
            count = sum(count for _, count in self._gaps[_MOST_LINES:])
            yield f"repair: {count} frames left out at {len(self._gaps) - _MOST_LINES} more places"
        for index, count in sorted(self._lost.items()):
            if index != self._video.index:
                yield f"repair: {count} packet{'' if count == 1 else 's'} of stream {index} left out: damaged"
        if moved := sum(map(len, self._times.moved.values())):
            first = min(self._times.moved) * self._video.time_base
            yield f"repair: {moved} frames had times of others, the first at {float(first):.3f} s: they were spread out"


def _said(repair: Repair) -> Iterator[str]:
    """A line on each fault of the file, and on each join."""
    yield from (f"repair: the source {fault}; the copy holds what can be read" for fault in repair.faults)
    times = repair.timeline
    if not times.joins and times.offsets[0]:
        yield f"repair: all times moved by {float(times.offsets[0]):+.3f} s: they began before zero"
    if times.joins:
        yield f"repair: {len(times.joins) + 1} recordings joined"
    for number, (begin, by) in enumerate(zip(times.begins, times.offsets, strict=True), 1):
        if 1 < number <= _MOST_LINES:
            yield f"repair: recording {number} begins at {float(begin):.3f} s: its times moved by {float(by):+.3f} s"


def _check(repair: Repair, out: Path, copier: _Copier) -> None:
    """Raise SourceError unless the copy holds what was written, and shows as the source does."""
    path = repair.probe.path
    if not copier.pts:
        raise SourceError(f"{path}: cannot be repaired: no frame of it is whole")
    seen = probe_source(out)
    for name in _PROPERTIES:
        ours, theirs = (getattr(probe.video, name) for probe in (repair.probe, seen))
        if (ours or None) != (theirs or None) and {ours, theirs} != {None, 1}:  # square pixels need not be stated
            raise SourceError(f"{path}: cannot be repaired: the copy would lose its {name.replace('_', ' ')}")
    wanted = in_order(np.frombuffer(copier.pts, np.int64))
    found, packets = array("q"), Counter[int]()
    scale = seen.video.time_base / repair.probe.video.time_base
    with open_source(out) as copy, reading(path, SourceError, "the repaired copy cannot be read"):
        for packet in read_on(copy, []):
            packets[packet.stream_index] += 1
            shown = packet.stream_index == seen.video.index and is_shown(seen.video.codec, packet)
            if shown and packet.pts is not None:
                exact = packet.pts * scale
                found.append(int(exact) if exact.denominator == 1 else _NEVER)
    unique = all(a < b for a, b in pairwise(wanted))
    if not unique or in_order(np.frombuffer(found, np.int64)) != wanted or packets != copier.packets:
        raise SourceError(f"{path}: cannot be repaired: a copy of it does not hold the same packets and times")
