"""Replaces spans of sound by silence or a tone, sample by sample.

A span is made wider than it was asked for: by as much as a file's times may be wrong, and as far as its codec lets the
sound of a moment reach. So nothing of the span is in what is encoded, and what is decoded in the span itself is silence
or the tone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, pi

import numpy as np

from farm.domain.edits import Action
from farm.domain.sound import SoundSpan
from farm.media.reading.sound import TOLERANCE, Samples, SoundFormat

#: The tone: 1 kHz, 20 dB below the loudest, with fades of 10 ms.
TONE_HERTZ, TONE_LEVEL, _FADE = 1000, 0.1, 0.01


@dataclass(frozen=True, slots=True)
class Replacement:
    """Samples from ``begins`` and before ``ends`` of a stream, in place of which there is silence, or a tone.

    Of them, ``least`` are those that were asked for; the rest is around them. None of an end: there is none.
    """

    tone: bool
    begins: int | None
    ends: int | None
    least: tuple[int | None, int | None]

    def within(self, first: int, count: int) -> slice:
        """Which of ``count`` samples from number ``first`` on are replaced; empty if none are."""
        return _within(self.begins, self.ends, first, count)

    def asked(self, first: int, count: int) -> slice:
        """As :meth:`within`, of what was asked for."""
        return _within(*self.least, first, count)

    def touches(self, first: int, count: int, *, asked: bool = False) -> bool:
        """Whether some of those samples are replaced, or were ``asked`` for."""
        part = self.asked(first, count) if asked else self.within(first, count)
        return int(part.stop) > int(part.start)


def _within(begins: int | None, ends: int | None, first: int, count: int) -> slice:
    since = 0 if begins is None else min(max(0, begins - first), count)
    until = count if ends is None else min(max(0, ends - first), count)
    return slice(since, max(since, until))


def replacements_of(
    spans: Sequence[SoundSpan], tick: Fraction, began: Fraction, rate: int, spread: int
) -> list[Replacement]:
    """The replacements in a stream that begins at ``began`` seconds of the source's clock.

    ``tick``: seconds of a span's pts; ``spread``: samples that its codec lets a moment reach into, on both sides.
    """
    replacements = []
    wider = spread + ceil(TOLERANCE * rate)
    for span in spans:
        least = (
            None if span.begins is None else floor((span.begins * tick - began) * rate),
            None if span.ends is None else ceil((span.ends * tick - began) * rate),
        )
        begins = None if least[0] is None else least[0] - wider
        ends = None if least[1] is None else least[1] + wider
        replacements.append(Replacement(span.action is Action.BEEP, begins, ends, least))
    return replacements


def with_replacements(samples: Samples, first: int, replacements: Sequence[Replacement], sound: SoundFormat) -> Samples:
    """Samples from number ``first`` of a stream on, with its replacements.

    Where what is around one lies in what was asked for of another, the latter counts.
    """
    if not any(each.touches(first, len(samples)) for each in replacements):
        return samples
    made, silence = samples.copy(), sound.silence(1)[0]
    for each in replacements:
        made[each.within(first, len(samples))] = silence
    for each in replacements:
        part = each.within(first, len(samples))
        if each.tone:
            made[part] = _tone(np.arange(first + part.start, first + part.stop), each, sound)
    for each in replacements:
        part = each.asked(first, len(samples))
        if not each.tone:
            made[part] = silence
        else:  # of a mute beside it, which is wider
            made[part] = _tone(np.arange(first + part.start, first + part.stop), each, sound)
    return made


def _tone(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]", each: Replacement, sound: SoundFormat) -> Samples:
    fade = max(1.0, _FADE * sound.rate)
    level = np.full(len(numbers), TONE_LEVEL)
    if each.begins is not None:
        level *= np.clip((numbers - each.begins) / fade, 0, 1)
    if each.ends is not None:
        level *= np.clip((each.ends - 1 - numbers) / fade, 0, 1)
    wave = level * np.sin(2 * pi * TONE_HERTZ / sound.rate * numbers)
    none = sound.silence(1)
    if none.dtype.kind != "f":
        wave = np.round(wave * np.iinfo(none.dtype).max * (0.5 if none.dtype == np.uint8 else 1))
    made: Samples = (wave[:, np.newaxis] * sound.full + none).astype(none.dtype)
    return made
