"""Trims the copied streams and the chapters to the part of a source that an output shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Self

from av.container import InputContainer

from farm.domain.manifest import Manifest
from farm.errors import VerificationError
from farm.media.reading.metadata import kept

_NANOSECOND = Fraction(1, 1_000_000_000)
#: MP4's chapters are a text track that counts milliseconds; what is written is that or finer.
_COARSEST = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Trim:
    """Keeps the packets that begin at or after ``start`` and before ``end``, and moves them ``shift`` earlier.

    All in seconds of the source's clock; ``start`` and ``end`` are None if nothing is cut off there.
    """

    shift: Fraction = Fraction(0)
    start: Fraction | None = None
    end: Fraction | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The trim of a manifest's part; nothing is cut off if only frames were picked."""
        tick = manifest.source.video.time_base
        shift = manifest.shift * tick
        return cls(shift, shift or None, None if manifest.until is None else manifest.until * tick)

    @property
    def whole(self) -> bool:
        """Whether everything is kept, at its own time."""
        return self.start is None and self.end is None and not self.shift

    def holds(self, when: Fraction | None) -> bool:
        """Whether a packet at ``when`` is kept. In a part, packets without a time are not."""
        if self.whole:
            return True
        if when is None:
            return False
        return (self.start is None or when >= self.start) and (self.end is None or when < self.end)

    def bitstream_filter(self, tick: Fraction) -> str:
        """FFmpeg's bitstream filters that trim a stream whose time base is ``tick`` seconds.

        They use integers in that stream's ticks: only the shift is rounded, once, by at most half a tick.
        """
        conditions = []
        if self.start is not None:
            conditions.append(f"gte(pts,{ceil(self.start / tick)})")
        if self.end is not None:
            conditions.append(f"lt(pts,{ceil(self.end / tick)})")
        shift = round(self.shift / tick)
        moved = f"setts=pts=PTS-({shift}):dts=PTS-({shift})"
        return f"noise=drop='not({'*'.join(conditions)})',{moved}" if conditions else moved


WHOLE = Trim()


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of an output, in seconds of its clock; ``tags`` include the title."""

    start: Fraction
    end: Fraction
    tags: tuple[tuple[str, str], ...]


def chapters_of(source: InputContainer, trim: Trim, policy: str) -> tuple[list[Chapter], tuple[str, ...]]:
    """The trimmed chapters, and the metadata keys that they lose.

    ``policy``: see :func:`farm.media.reading.metadata.kept`.
    """
    chapters: list[Chapter] = []
    lost: list[str] = []
    for row in source.chapters():
        tick = row["time_base"] or _NANOSECOND
        start, end = row["start"] * tick, row["end"] * tick
        if trim.start is not None:
            start = max(start, trim.start)
        if trim.end is not None:
            end = min(end, trim.end)
        if start < end or trim.whole:
            tags, removed = kept(row["metadata"], policy)
            lost += removed
            chapters.append(Chapter(start - trim.shift, end - trim.shift, tuple(tags.items())))
    return chapters, tuple(lost)


def ffmetadata(chapters: Iterable[Chapter] = (), streams: Iterable[Mapping[str, str]] = ()) -> str:
    """Chapters, and the metadata of streams, in ffmpeg's ``ffmetadata`` format."""
    lines = [";FFMETADATA1"]
    for tags in streams:
        lines += ["[STREAM]", *(f"{_escaped(key)}={_escaped(value)}" for key, value in tags.items())]
    for chapter in chapters:
        lines += ["[CHAPTER]", "TIMEBASE=1/1000000000"]
        lines += [f"START={round(chapter.start / _NANOSECOND)}", f"END={round(chapter.end / _NANOSECOND)}"]
        lines += [f"{_escaped(key)}={_escaped(value)}" for key, value in chapter.tags]
    return "\n".join((*lines, ""))


def check_chapters(wanted: Sequence[Chapter], output: InputContainer) -> None:
    """Raise VerificationError unless an output has the ``wanted`` chapters, by start and title."""
    found = output.chapters()
    if len(found) != len(wanted):
        raise VerificationError(f"the output has {len(found)} chapters, {len(wanted)} were to be in it")
    for number, (want, got) in enumerate(zip(wanted, found, strict=True), start=1):
        start = got["start"] * (got["time_base"] or _NANOSECOND)
        if abs(start - want.start) > _COARSEST:
            raise VerificationError(
                f"chapter {number}: begins at {float(start):.6f} s, not at {float(want.start):.6f} s"
            )
        title = dict(want.tags).get("title")
        if title != got["metadata"].get("title") and (title or got["metadata"].get("title")):
            raise VerificationError(f"chapter {number}: its title is {got['metadata'].get('title')!r}, not {title!r}")


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "=;#[\\\n\r" else letter for letter in text)
