"""Compares one stream of edited sound with the source's, second by second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import NoReturn

import numpy as np

from farm.domain.manifest import OtherStream
from farm.domain.sound import SoundSpan
from farm.errors import VerificationError
from farm.media.composing.replacing import Replacement, replacements_of, with_replacements
from farm.media.composing.sound import held_by
from farm.media.encoding.sound import SoundEncoder, sound_encoder
from farm.media.reading.sound import Samples, Track, as_float
from farm.media.verifying.packets import is_same_codec, name_of, seconds
from farm.media.verifying.sound_measures import Floats, Likeness, Nearness, best_lag, level, loudest, outside, share_of

#: The largest root mean square (full scale is 1), in any hundredth of a second, of a codec's error in a tone:
#: with loss, and without, where a sample may have fewer bits than its type.
TONE_ERROR, TONE_ROUNDED = 0.02, 0.0001
#: The largest share of the source in what was replaced.
LEAK = 0.025
#: The lowest ratio in decibels of sound to its error outside of replacements, of all and of any ten seconds.
LOWEST, LOWEST_ANYWHERE = 6.0, 3.0
#: The largest likeness of disguised sound to the source, and by how much its power may differ.
ALIKE, LOUDER = 0.4, 20.0
#: Samples that may be ahead of the source's first, or behind its last: a codec's delay and its frames.
_DELAY = 3072
#: The level from which on sound shows by how much it is late.
_AUDIBLE = 0.003


@dataclass(slots=True)
class _Samples:
    """A queue of a stream's samples; ``first`` is the number of the first one in it."""

    first: int = 0
    _parts: list[Samples] = field(default_factory=list)
    _count: int = 0

    @property
    def end(self) -> int:
        """The number behind the last sample in it."""
        return self.first + self._count

    def add(self, samples: Samples) -> None:
        """Append samples."""
        self._parts.append(samples)
        self._count += len(samples)

    def read(self, begin: int, end: int) -> Samples:
        """The samples from ``begin`` and before ``end``, as far as they are in it."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts)] if self._parts else []
        if not self._parts:
            return np.zeros((0, 1))
        return self._parts[0][max(0, begin - self.first) : max(0, end - self.first)]

    def forget(self, before: int) -> None:
        """Drop the samples before a number."""
        rest = self.read(before, self.end)
        self._parts, self._count, self.first = [rest], len(rest), max(self.first, min(before, self.end))


@dataclass(slots=True)
class SoundStream:
    """One stream: ``wanted`` are the source's samples, ``found`` the output's, ``at`` is how far they were compared."""

    other: OtherStream
    ours: Track
    theirs: Track
    spans: Sequence[SoundSpan]
    tick: Fraction
    shift: Fraction
    container: str
    codec: str
    #: seconds of the output's ticks
    coarse: Fraction
    disguised: bool
    wanted: _Samples = field(default_factory=_Samples)
    found: _Samples = field(default_factory=_Samples)
    at: int = 0
    _lag: int | None = None
    _replacements: list[Replacement] | None = None
    _encoder: SoundEncoder | None = None
    _near: Nearness | None = None
    _like: Likeness | None = None

    @property
    def needs(self) -> bool:
        """Whether more of the source is needed to compare what there is of the output."""
        return self.ours.began is None or self.wanted.end < self.theirs.count - self._ahead + self._rate

    @property
    def _rate(self) -> int:
        assert self.theirs.format is not None
        return self.theirs.format.rate

    @property
    def _ahead(self) -> int:
        """The number of the output's sample that is the source's first, as their times say."""
        assert self.ours.began is not None
        assert self.theirs.began is not None
        return round((self.ours.began - self.shift - self.theirs.began) * self._rate)

    @property
    def _most(self) -> int:
        """By how many samples that may be wrong, as the output's times are rounded."""
        return ceil(self.coarse * self._rate) + 1

    def compare(self) -> None:
        """Compare whole seconds, as far as there are samples."""
        if self.ours.began is None or self.theirs.began is None:
            return
        self._begin()
        while min(self.wanted.end, self.found.end - self._ahead - self._most) >= self.at + self._rate:
            self._block(self._rate)

    def end(self) -> None:
        """Compare the rest. Raises VerificationError."""
        if self.ours.began is None or self.theirs.began is None:
            if self.ours.count or self.theirs.count or self.theirs.size:
                self._fail("has sound in only one of source and output")
            return
        self.compare()
        ends = self.theirs.count - self._ahead - self.ours.count
        if not -self._most <= ends <= 2 * _DELAY:
            much = f"{abs(ends) / self._rate:.3f} s too {'long' if ends > 0 else 'short'}"
            self._fail(f"the sound of the output is {much}")
        if self.ours.count > self.at:
            self._block(self.ours.count - self.at)
        if self.theirs.filled or self.theirs.apart > self.coarse + Fraction(2, self._rate):
            self._fail("the times of the output's sound are not those of its samples")
        if self._near is not None and not (self._near.whole >= LOWEST and self._near.lowest >= LOWEST_ANYWHERE):
            worst = min(self._near.whole, self._near.lowest)
            self._fail(f"the sound of the output differs from the source's: {worst:.1f} dB above its error")
        if self._like is not None and (self._like.alike > ALIKE or not 1 / LOUDER < self._like.louder < LOUDER):
            self._fail(
                f"its voices are not disguised: likeness {self._like.alike:.2f}, power times {self._like.louder:.2g}"
            )

    def _begin(self) -> None:
        if self._replacements is not None:
            return
        ours, theirs = self.ours.format, self.theirs.format
        assert ours is not None
        assert theirs is not None
        assert self.ours.began is not None
        if (ours.rate, ours.channels) != (theirs.rate, theirs.channels):
            had = f"{ours.channels} channels of {ours.rate} Hz"
            self._fail(f"has {theirs.channels} channels of {theirs.rate} Hz, the source {had}")
        encoded = sound_encoder(self.other.codec, ours, 0, held_by(self.container))
        if not is_same_codec(encoded.codec, self.codec):
            self._fail(f"is {self.codec} in the output, not {encoded.codec}")
        if encoded.codec == self.other.codec and theirs.layout != ours.layout and " " not in ours.layout:
            self._fail(f"its channels are {theirs.layout}, the source's {ours.layout}")
        if not -self._most <= self._ahead <= _DELAY:
            self._fail(f"begins {-self._ahead / self._rate:.4f} s later than the source's")
        self._encoder = encoded.encoder
        self._replacements = replacements_of(self.spans, self.tick, self.ours.began, ours.rate, self._encoder.spread)
        if self.disguised:
            self._like = Likeness(ours.rate)
        elif not self._encoder.lossless:
            self._near = Nearness(ours.rate)

    def _block(self, count: int) -> None:
        """Compare ``count`` samples."""
        assert self._replacements is not None
        assert self._encoder is not None
        assert self.ours.format is not None
        raw, most = self.wanted.read(self.at, self.at + count), self._most
        source, wanted = as_float(raw), as_float(with_replacements(raw, self.at, self._replacements, self.ours.format))
        begin = self.at + self._ahead - most
        found = as_float(self.found.read(begin, begin + count + 2 * most))
        missing = count + 2 * most - len(found)
        before = min(missing, max(0, -begin))
        found = np.pad(found, ((before, missing - before), (0, 0)))
        known = self._known(count)
        if self._lag is None and level(wanted[known]) > _AUDIBLE:
            self._lag = best_lag(wanted[known], found[known.start : known.stop + 2 * most], most)
        found = found[most + (self._lag or 0) :][:count]
        for each in self._replacements:
            part = each.asked(self.at, count)
            if each.touches(self.at, count, asked=True):
                self._replaced(part, each, source[part], wanted[part], found[part])
        parts = [each.within(self.at, count) for each in self._replacements]
        left = outside(parts, count)
        if self._like is not None:
            self._like.add(source[left], found[left])
        elif self._near is not None:
            self._near.add(wanted[left], found[left])
        elif not np.array_equal(wanted[left], found[left]):
            self._fail(f"differs from the source's at {self._when(int(np.argmax(left)))}, where nothing was edited")
        self.at += count
        self.wanted.forget(self.at)
        self.found.forget(self.at + self._ahead - most)

    def _known(self, count: int) -> slice:
        """Of the next samples those whose wave is known: all, but of disguised sound only a tone."""
        if not self.disguised:
            return slice(0, count)
        tones = (each.asked(self.at, count) for each in self._replacements or () if each.tone)
        return next((part for part in tones if part.stop > part.start), slice(0, 0))

    def _replaced(self, part: slice, each: Replacement, source: Floats, wanted: Floats, found: Floats) -> None:
        """Raise VerificationError unless replaced samples are as they are to be."""
        assert self._encoder is not None
        assert self._replacements is not None
        error = found - wanted
        tones = any(c.tone and c.touches(self.at + part.start, part.stop - part.start) for c in self._replacements)
        in_tones = TONE_ROUNDED if self._encoder.lossless else TONE_ERROR
        limit = max(self._encoder.quiet, in_tones if each.tone or tones else 0.0)
        loud = loudest(error, max(1, self._rate // 100))
        if loud > limit:
            kind = "a tone" if each.tone else "silent"
            self._fail(f"from {self._when(part.start)} on is not {kind}: {loud:.2g} of full scale differ")
        if len(source) >= self._rate // 4 and share_of(source, error) > LEAK:
            self._fail(f"from {self._when(part.start)} on has sound of the source")

    def _when(self, number: int) -> str:
        return seconds(self.ours.when(self.at + number) - self.shift)

    def _fail(self, what: str) -> NoReturn:
        raise VerificationError(f"{name_of(self.other)}: {what}")
