"""Encodes a chunk as large as it is in the source: ``--crf auto``.

An encoder's CRF says how good a picture is, not how many bytes it takes, so a chunk is encoded again with another one
until its size is near the source's. Every chunk is looked at alone: its target is the size of its own packets in the
source, so that any worker finds the same settings, and the video as a whole has the source's bitrate as well. No chunk
is better than with CRF 18, the default: from a source of higher bitrate the output is smaller.
"""

from dataclasses import dataclass, field, replace
from math import log2

from farm.domain.encoding import EncoderSettings
from farm.media.encoding.encoders import ENCODERS, Asked

#: The best quality, and the worst, on x264's scale of CRF.
BEST, _WORST = 18.0, 51.0
#: x264's size halves about every six steps of CRF.
_HALF = 6.0
_OCTAVES = (_WORST - BEST) / _HALF
#: The least fall of the size, in octaves, that is expected for an octave.
_FLAT = 0.25
#: A size this near to the target is good: a share of it.
_NEAR = 0.04
#: Encodes of a chunk at most; one more where the last one was not the nearest.
TRIES = 6


@dataclass(slots=True)
class Sizing:
    """The search of one chunk's settings, which starts at the best quality.

    Encode with ``settings``, then tell the size to :meth:`took`, until it answers that this encode is the one.
    ``target``: bytes of the chunk in the source; ``seconds``: its length; ``preset``: as in RedactOptions.
    """

    settings: EncoderSettings
    preset: str
    target: int
    seconds: float
    #: Octaves, how far the size was above the target (in octaves, too), and the settings.
    _tried: list[tuple[float, float, EncoderSettings]] = field(default_factory=list)
    _octaves: float = 0.0
    _last: bool = False

    def took(self, size: int) -> bool:
        """Whether the encode with ``settings``, of ``size`` bytes, is the one; else ``settings`` are the next ones."""
        if self._last:
            return True
        want, got = log2(max(1, self.target)), log2(max(1, size))
        self._tried.append((self._octaves, got - want, self.settings))
        if abs(2 ** (got - want) - 1) <= _NEAR or (self._octaves == 0 and got <= want):
            return True
        self._octaves = self._next()
        proposed = self._at(self._octaves)
        if len(self._tried) < TRIES and all(proposed != settings for *_, settings in self._tried):
            self.settings = proposed
            return False
        self._last = True
        nearest = min(self._tried, key=lambda tried: abs(tried[1]))[2]
        done = nearest == self.settings
        self.settings = nearest
        return done

    def _next(self) -> float:
        """Octaves below the best quality's size at which the target is expected."""
        over = sorted((off, octaves) for octaves, off, _ in self._tried if off > 0)
        under = max(((off, octaves) for octaves, off, _ in self._tried if off <= 0), default=None)
        off, octaves = over[0]
        if under is not None:
            share = off / (off - under[0])
            return octaves + share * (under[1] - octaves)
        fall = 1.0
        if len(over) > 1:
            fall = max(_FLAT, (over[1][0] - off) / (octaves - over[1][1]))
        return min(_OCTAVES, octaves + off / fall)

    def _at(self, octaves: float) -> EncoderSettings:
        """The settings with which a size so far below the best quality's is expected."""
        encoder = ENCODERS[self.settings.encoder]
        options = dict(self.settings.options)
        if encoder.sized == "bitrate":
            best = self.target * 2 ** self._tried[0][1]
            bitrate = round(8 * best * 2**-octaves / self.seconds)
            options |= encoder.quality(Asked(BEST, self.preset, bitrate=bitrate)) | {"flags": options["flags"]}
            options["flags"] = options["flags"].replace("+qscale", "")
        else:
            options |= encoder.quality(Asked(round(BEST + _HALF * octaves, 2), self.preset))
        return replace(self.settings, options=options)
