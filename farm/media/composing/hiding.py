"""Decides what happens to the beginning of copied sound that a source hides, by an edit list or a codec delay."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from av.container import InputContainer

from farm.media.composing.trim import Trim
from farm.media.reading.hidden_sound import ENCODER_DELAY, Beginning, beginnings, cut_tracks
from farm.media.reading.opening import open_source

#: The formats that may hide a beginning.
_HIDING = frozenset({"mov", "matroska", "ogg", "nut"})


@dataclass(frozen=True, slots=True)
class Beginnings:
    """When copied sound is heard, the streams that have to be encoded for it, and notes; all by the stream's index."""

    found: Mapping[int, Beginning] = field(default_factory=dict)
    too_early: frozenset[int] = frozenset()
    notes: Mapping[int, str] = field(default_factory=dict)


def beginnings_of(
    opened: InputContainer, path: Path, copied: Collection[int], container: str, trim: Trim
) -> Beginnings:
    """The beginnings of streams of an opened file that are to be copied into a container."""
    if not copied or _HIDING.isdisjoint(opened.format.name.split(",")):
        return Beginnings()
    cut = cut_tracks(path) if opened.format.name.startswith("mov") else frozenset[int]()
    pieces = [index for index in copied if opened.streams[index].id in cut]
    with open_source(path) as again:  # what is opened stays at its beginning
        found = beginnings(again, [index for index in copied if index not in pieces], trim.holds)
    early = frozenset(index for index, each in found.items() if _too_early(each, container, trim))
    notes = {
        index: f"has {float(each.hidden):.2f} s of sound at its beginning that are in the file, but not heard"
        for index, each in found.items()
        if each.hidden > ENCODER_DELAY
    }
    cannot = f"was encoded again: {container} files cannot hide the beginning of its sound that the source hides"
    pieced = "was encoded again: an edit list of the source leaves out pieces of its sound"
    return Beginnings(found, early.union(pieces), notes | dict.fromkeys(early, cannot) | dict.fromkeys(pieces, pieced))


def _too_early(beginning: Beginning, container: str, trim: Trim) -> bool:
    """Whether what is hidden of a stream would be heard in a copy, or would hide what follows in a part."""
    if container in ("mp4", "mov"):
        return False
    if container in ("matroska", "webm"):  # they hide as much as in the source, from the first packet on
        return trim.start is not None and beginning.delay > ENCODER_DELAY
    return beginning.hidden > ENCODER_DELAY
