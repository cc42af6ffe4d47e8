"""Says what to do about an output that its container, codec or streams do not allow: only what was tried before.

Other suffixes, codecs and options go through the checks that the request itself goes through.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol, TypeVar

from farm.domain.containers import MUXERS, SUFFIXES
from farm.domain.options import CODECS, JobOptions
from farm.errors import OutputError, SettingsError, SourceError
from farm.media.composing.held import is_unknown
from farm.media.composing.needs import Needs
from farm.media.reading.probe import Probe

Made = TypeVar("Made")
Made_co = TypeVar("Made_co", covariant=True)
#: What errors are about, where another suffix, codec or option may help.
_HELPED = frozenset({"redact.codec", "redact.encoder", "compose.audio"})
_NOTHING = "no other suffix, codec or option helps: convert it first"


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed of a request. ``suffix``: of the output, ``drop``: words of options that leave streams out."""

    suffix: str | None = None
    codec: str | None = None
    aac: bool = False
    drop: str = ""

    def made(self, options: JobOptions) -> JobOptions:
        """The options with the change."""
        redact, compose = options.redact, options.compose
        if self.codec is not None:
            redact = replace(redact, codec=self.codec, encoder=None)
        if self.aac:
            compose = replace(compose, audio="aac")
        name, _, numbers = self.drop.partition(" ")
        if name == "compose.drop_streams":
            compose = replace(compose, drop_streams=numbers)
        elif name == "compose.drop_unknown":
            compose = replace(compose, drop_unknown=True)
        elif name:
            compose = replace(compose, audio="drop")
        return replace(options, redact=redact, compose=compose)

    def contains(self, other: "Change") -> bool:
        """Whether it changes all that another does."""
        return (
            other.suffix in (None, self.suffix)
            and other.codec in (None, self.codec)
            and other.drop in ("", self.drop)
            and other.aac <= self.aac
        )

    @property
    def words(self) -> str:
        """The change for a person."""
        options = [
            *([f"redact.codec {self.codec}"] if self.codec else []),
            *(["compose.audio aac"] if self.aac else []),
            *([self.drop] if self.drop else []),
        ]
        named = f"use -o NAME{self.suffix}" if self.suffix else ""
        added = f"add {' and '.join(options)}" if options else ""
        return " and ".join(filter(None, (named, added)))


class Attempt(Protocol[Made_co]):
    """Checks options and makes what is asked, or raises; ``suffix``: an output with it is asked in place of the own."""

    def __call__(self, options: JobOptions, suffix: str | None = None) -> Made_co:
        """Raises OutputError, SettingsError or SourceError for what cannot be made."""
        ...


def advised(attempt: Attempt[Made], options: JobOptions, probe: Probe) -> Made:
    """What ``attempt`` makes. Its errors about the output's codec, container and streams get a hint that was tried.

    Raises what ``attempt`` raises.
    """
    try:
        return attempt(options)
    except (OutputError, SettingsError, SourceError) as e:
        if e.field not in _HELPED:
            raise
        found = [change.words for change in _found(attempt, options, probe)]
        raise type(e)(e.message, hint="; or ".join(found) or _NOTHING, field=e.field) from e


def _found(attempt: Attempt[object], options: JobOptions, probe: Probe) -> list[Change]:
    """The changes to name: the first of each kind that is accepted, the kinds with the least loss first.

    Once there is one, others are named only if they keep the suffix that was asked.
    """
    accepted: list[Change] = []
    for changes in _kinds(options, probe):
        for change in changes:
            if accepted and (change.suffix is not None or any(map(change.contains, accepted))):
                continue
            with suppress(OutputError, SettingsError, SourceError):
                attempt(change.made(options), change.suffix)
                accepted.append(change)
                break
    return accepted


def _kinds(options: JobOptions, probe: Probe) -> Iterator[Iterable[Change]]:
    """Changes, by kind."""
    own = probe.path.suffix.lower()
    near = (".mp4", ".mov", ".mkv") if own in (".mp4", ".mov", ".m4v") else (".mkv", ".mp4", ".mov")
    suffixes = tuple(dict.fromkeys([*([own] if own in MUXERS else []), *near, *SUFFIXES.values()]))
    each = (None, *suffixes)
    codecs = tuple(codec for codec in CODECS if codec != options.redact.codec)
    sound = any(other.kind == "audio" for other in probe.others) and options.compose.audio == "keep"
    aac = (True,) if sound else ()
    yield [Change(name) for name in suffixes]
    yield [Change(name, aac=more) for more, name in product(aac, each)]
    yield [Change(name, codec, more) for more, codec, name in product((False, *aac), codecs, each)]
    drops = sorted({drop for container in SUFFIXES if (drop := _drop(options, probe, container))}, key=len)
    yield [Change(name, codec, drop=drop) for codec, name, drop in product((None, *codecs), each, drops)]


def _drop(options: JobOptions, probe: Probe, container: str) -> str:
    """The option that leaves out what a container cannot hold; empty if there is nothing to leave out."""
    needs = Needs.of(probe.video, probe.others, options.compose, probe.container)
    lost = needs.lost(container)
    if lost and all(map(is_unknown, lost)):
        return "compose.drop_unknown"
    if lost and lost == [other for other in needs.others if other.kind == "audio"]:
        return "compose.audio drop"
    numbers = sorted({*options.compose.dropped, *(other.index for other in lost)})
    return f"compose.drop_streams {','.join(map(str, numbers))}" if lost else ""
