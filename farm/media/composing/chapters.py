"""Chapters of an output: the source's, or those of a part, trimmed as it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer

from farm.errors import VerificationError
from farm.media.composing.trim import Trim
from farm.media.reading.metadata import kept

_NANOSECOND = Fraction(1, 1_000_000_000)
#: MP4's chapters are a text track that counts milliseconds; what is written is that or finer.
_COARSEST = Fraction(1, 1000)


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


def ffmetadata(chapters: Iterable[Chapter]) -> str:
    """The chapters in ffmpeg's ``ffmetadata`` format."""
    lines = [";FFMETADATA1"]
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
    return "".join(f"\\{letter}" if letter in "=;#\\\n" else letter for letter in text)
