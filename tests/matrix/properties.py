"""Check that an output equals its source except for the faces, without using any code of the farm."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from av.stream import Disposition

from tests.matrix.pixels import Pairs, Rectangles, compare
from tests.matrix.reading import Look, Shown, Stream, look, shown
from tests.matrix.rows import Row

_LOSSLESS = ("ffv1",)
_PRIVATE = ("location", "gps", "artist", "author", "com.apple.quicktime.location.iso6709")
_KEPT = ("title", "creation_time")
_MILLISECOND = Fraction(1, 1000)
#: Messages of ffmpeg's decoders when they show something other than the encoded picture.
_DAMAGE = re.compile(r"CRC mismatch|conceal|error while decoding MB|damaged at")
#: FFmpeg's names of the containers that outputs keep, and of those that replace all others.
_STAYS = ("mov", "matroska", "mpegts", "mpeg", "flv")
_BECOMES = ("matroska", "mov", "avi")
_BECOMES_CODEC = {"vvc": "hevc", "gif": "ffv1", "rawvideo": "ffv1", "huffyuv": "ffv1"}


@dataclass(frozen=True)
class Allowed:
    """Intended differences: codec, container (a prefix of FFmpeg's name) and pixel format; None: the usual one.

    ``index``: the source's video stream. ``left_out``: source streams that a note reports as left out. ``psnr``:
    decibels that a lossy encoder must reach outside the faces. ``green``: bright green counts as a face.
    """

    index: int
    codec: str | None = None
    container: str | None = None
    pixels: str | None = None
    left_out: frozenset[int] = frozenset()
    psnr: float = 27.0
    green: bool = False


@dataclass(frozen=True)
class Both:
    """Source and output, each read in three ways."""

    source: Look
    output: Look
    source_shown: Shown
    output_shown: Shown
    pairs: Pairs
    allowed: Allowed


def check(source: Path, output: Path, allowed: Allowed, rectangles: Rectangles) -> list[Row]:
    """Check all properties of an output."""
    before, after = look(source, allowed.index), look(output)
    pairs = compare((source, before.video), (output, after.video), rectangles, len(after.pts), green=allowed.green)
    both = Both(before, after, shown(source, before.video), shown(output, after.video), pairs, allowed)
    answers = ((name, *ask(both)) for name, ask in PROPERTIES.items())
    return [Row(name, None if holds is None else bool(holds), seen) for name, holds, seen in answers]


Answer = tuple[bool | None, str]


def _differing(before: Sequence[object], after: Sequence[object]) -> str:
    if len(before) != len(after):
        return f"{len(after)}, the source has {len(before)}"
    at = next((n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b), None)
    return "" if at is None else f"number {at}: {after[at]}, the source's {before[at]}"


def _times(both: Both) -> Answer:
    before: Sequence[Fraction | None] = both.pairs.source
    if None in before or None in both.source.pts:  # no presentation times in the file: use ffmpeg's
        before = both.source_shown.times
    # times that contradict the order of the pictures are kept and assigned in the order of the pictures
    before = sorted(t for t in before if t is not None)
    seen = _differing(before, both.pairs.output) or _differing(before, both.output_shown.times)
    return not seen, seen


def _count(both: Both) -> Answer:
    counts = {
        len(both.pairs.source),
        len(both.pairs.output),
        len(both.source_shown.times),
        len(both.output_shown.times),
    }
    return len(counts) == 1, f"{len(both.pairs.output)} frames, the source has {len(both.pairs.source)}"


def _hidden(both: Both) -> Answer:
    more = len(both.output.pts) - len(both.pairs.output)
    return both.output.discarded == 0 and more == 0, f"{both.output.discarded} hidden, {more} not decoded"


def _order(both: Both) -> Answer:
    dts = [d for d in both.output.dts if d is not None]
    rising = all(a < b for a, b in pairwise(dts))
    late = sum(d > p for d, p in zip(both.output.dts, both.output.pts, strict=True) if d is not None and p is not None)
    return rising and not late, f"rising: {rising}, {late} after their time"


def _lasting(both: Both) -> Answer:
    before, after = both.source.ends, both.output.ends
    if not before or not after or not both.output.container.startswith("mov"):
        return None, "only MP4 and QuickTime keep how long the last frame is shown"
    tick = max(both.output.streams[both.output.video].tick, both.source.streams[both.source.video].tick)
    ours, theirs = both.source.declared, both.output.declared
    if ours and theirs:  # packet durations give the time until the next frame is decoded, which differs
        near = abs(ours[0] - theirs[0]) <= max(ours[1], theirs[1], tick)
        return near, f"says that it ends at {theirs[0]}, the source at {ours[0]}"
    end = theirs[0] if theirs else max(after)
    return abs(max(before) - end) <= tick, f"ends at {end}, the source at {max(before)}"


def _fact(name: str, but: str | None = None) -> Callable[[Both], Answer]:
    def ask(both: Both) -> Answer:
        wrong = both.pairs.facts.get(name, [])
        if but == "pixels" and both.allowed.pixels:
            wrong = [w for w in wrong if f" {both.allowed.pixels}," not in w]
        return not wrong, wrong[0] if wrong else ""

    return ask


def _fields(both: Both) -> Answer:
    seen = _differing(both.source_shown.fields, both.output_shown.fields)
    return (not seen if "P" not in both.source_shown.fields or seen else None), seen


def _aspect(both: Both) -> Answer:
    shapes = ({Fraction(s) for s in x.sar} for x in (both.source_shown, both.output_shown))
    before, after = ({s if s > 0 else Fraction(1) for s in found} for found in shapes)
    return before == after, f"{after}, the source's {before}"


def _hdr(both: Both) -> Answer:
    holds, seen = _fact("hdr")(both)
    return holds, seen[:80]


def _alpha(both: Both) -> Answer:
    if not any("yuva" in f or f in ("bgra", "rgba") for f in both.source_shown.formats):
        return None, ""
    return both.pairs.alpha <= 4, f"differs by up to {both.pairs.alpha:.0f}"


def _codec(both: Both) -> Answer:
    own = both.source.streams[both.source.video].codec
    wanted = both.allowed.codec or _BECOMES_CODEC.get(own, own)
    codec = both.output.streams[both.output.video].codec
    return codec == wanted, f"{codec}, not {wanted}"


def _container(both: Both) -> Answer:
    own = both.source.container.split(",")[0]
    wanted = (both.allowed.container,) if both.allowed.container else (own,) if own in _STAYS else _BECOMES
    return both.output.container.startswith(wanted), f"{both.output.container}, not {' or '.join(wanted)}"


def _is_empty(stream: Stream) -> bool:
    """Return whether a stream is a video track without pictures, which has nothing to keep."""
    return stream.kind == "video" and not stream.packets


def _kept(both: Both) -> list[Stream]:
    return _ordered([s for s in both.source.others if s.index not in both.allowed.left_out and not _is_empty(s)])


def _ordered(streams: Sequence[Stream]) -> list[Stream]:
    """Sort attachments and cover art last: they are not tracks, and each container places them differently."""
    return sorted(streams, key=lambda s: (s.cover or s.kind == "attachment", s.cover))


def _streams(both: Both) -> Answer:
    same = both.source.container == both.output.container
    unsaid = Disposition(0) if same else Disposition.default  # not every container stores it

    def row(s: Stream) -> tuple[object, ...]:
        return (s.kind, s.codec, s.language, s.title, s.disposition & ~unsaid)

    before, after = [row(s) for s in _kept(both)], [row(s) for s in _ordered(both.output.others)]
    chapters = ("data", "", "und")  # MP4's chapter track is rewritten: it may appear or disappear with the container
    before, after = ([r for r in rows if r[:3] != chapters or not both.source.chapters] for rows in (before, after))
    seen = _differing(before, after)
    return (not seen if before or after else None), seen


def _packets(both: Both) -> Answer:
    copied = {"audio", "subtitle"}  # further videos and covers are redacted
    before = [s for s in _kept(both) if s.kind in copied]
    after = [s for s in _ordered(both.output.others) if s.kind in copied]
    if not before:
        return None, ""
    for one, other in zip(before, after, strict=False):
        seen = _differing([p[1] for p in one.packets], [p[1] for p in other.packets])
        if seen:
            return False, f"stream {one.index}: packet {seen[:60]}"
        tick = 0 if one.tick == other.tick else max(one.tick, other.tick)
        for number, ((a, _), (b, _)) in enumerate(zip(one.packets, other.packets, strict=True)):
            if a is not None and (b is None or abs(a - b) > tick):
                return False, f"stream {one.index}: packet {number} at {b}, the source's at {a}"
    return len(before) == len(after), f"{len(after)} streams, the source has {len(before)}"


def _chapters(both: Both) -> Answer:
    before, after = both.source.chapters, both.output.chapters
    if not before and not after:
        return None, ""
    same = len(before) == len(after) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= _MILLISECOND and abs(a[2] - b[2]) <= _MILLISECOND
        for a, b in zip(before, after, strict=True)
    )
    return same, f"{after}, the source's {before}"


def _attachments(both: Both) -> Answer:
    before = [s.attached for s in _kept(both) if s.attached]
    after = [s.attached for s in both.output.others if s.attached]
    return (before == after if before or after else None), f"{after}, the source's {before}"


def _plain(text: str) -> str:
    """Return the digits of a date, whatever its notation; return any other text unchanged."""
    digits = re.sub(r"\D", "", text)
    return digits[:14] if re.match(r"\d{4}-\d\d-\d\d[T ]", text) else text


def _metadata(both: Both) -> Answer:
    private = [k for k in both.output.metadata if k.startswith(_PRIVATE)]
    before, after = both.source.metadata, both.output.metadata
    lost = [k for k in _KEPT if k in before and _plain(after.get(k, "")) != _plain(before[k])]
    return not private and not lost, f"still there: {private}, lost: {lost}"


def _undamaged(both: Both) -> Answer:
    """Fail if ffmpeg's decoder reports damage in the source: the farm should have refused it."""
    noticed = [e for e in both.source_shown.errors if _DAMAGE.search(e)]
    return not noticed, "; ".join(noticed)[:200]


def _decodes(both: Both) -> Answer:
    others = tuple(f"[{s.codec} " for s in both.output.others)  # ffmpeg probes them while it opens the file
    errors = [e for e in both.output_shown.errors if not e.startswith(others)]
    return not errors, "; ".join(errors)[:200]


def _picture(both: Both) -> Answer:
    if not both.pairs.compared:
        return None, "nothing to compare"
    least = 100.0 if _codec(both)[0] and (both.allowed.codec or "") in _LOSSLESS else both.allowed.psnr
    return both.pairs.psnr >= least, f"{both.pairs.psnr:.1f} dB"


def _covered(both: Both) -> Answer:
    return (not both.pairs.showing if both.pairs.patches else None), "; ".join(both.pairs.showing)[:120]


PROPERTIES: dict[str, Callable[[Both], Answer]] = {
    "times": _times,
    "count": _count,
    "hidden": _hidden,
    "order": _order,
    "lasting": _lasting,
    "size": _fact("size"),
    "pixels": _fact("pixels", but="pixels"),
    "colour": _fact("colour"),
    "aspect": _aspect,
    "orientation": _fact("orientation"),
    "fields": _fields,
    "hdr": _hdr,
    "alpha": _alpha,
    "codec": _codec,
    "container": _container,
    "streams": _streams,
    "packets": _packets,
    "chapters": _chapters,
    "attachments": _attachments,
    "metadata": _metadata,
    "undamaged": _undamaged,
    "decodes": _decodes,
    "picture": _picture,
    "covered": _covered,
}
