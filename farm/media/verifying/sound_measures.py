"""Measures of edited sound: what is left in replacements, how near the rest is to the source, how alike voices are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, log10, sqrt

import numpy as np
from numpy.typing import NDArray

#: Samples as numbers from -1 to 1: (samples, channels).
Floats = NDArray[np.float64]
#: Bounds of the sound in hertz that is compared: above, codecs replace noise by other noise.
_LOWEST, _HIGHEST = 20, 3000
#: Root mean square from which on sound is loud enough to be compared.
_LOUD = 0.003
_MOST_LATE = 0.05  # seconds by which disguised sound is moved to find what it is like


def level(samples: Floats) -> float:
    """The root mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


def loudest(samples: Floats, window: int) -> float:
    """The largest root mean square of a channel in any window of so many samples."""
    power = np.square(samples)
    starts = np.arange(0, max(len(power), 1), window)
    sums = np.add.reduceat(power, starts, axis=0) if len(power) else np.zeros((1, 1))
    lengths = np.minimum(starts + window, len(power)) - starts
    # the last window may be short: it counts as a part of a whole one
    return float(np.sqrt((sums / np.maximum(lengths, window)[:, np.newaxis]).max()))


def share_of(source: Floats, found: Floats) -> float:
    """The largest share of a channel of ``source`` that is in a channel of ``found``; 0 where the source is quiet."""
    loud = source[:, np.sqrt(np.mean(np.square(source), axis=0)) > _LOUD] if len(source) else source[:, :0]
    if not loud.size:
        return 0.0
    # einsum: for sums of this size, the threads of a BLAS cost more than they bring
    return float(np.abs(np.einsum("ni,nj->ij", found, loud) / np.sum(np.square(loud), axis=0)).max())


def best_lag(wanted: Floats, found: Floats, most: int) -> int:
    """By how many samples ``found`` is late, at most ``most``. It begins ``most`` samples earlier than ``wanted``."""
    count = len(wanted)
    lags = sorted(range(-most, most + 1), key=abs)
    return min(lags, key=lambda lag: float(np.square(found[most + lag : most + lag + count] - wanted).sum()))


@dataclass(slots=True)
class Nearness:
    """The ratio of sound to its error, of all that was added, and of the worst ten blocks in a row."""

    rate: int
    _blocks: list[tuple[float, float]] = field(default_factory=list)
    _sums: tuple[float, float] = (0.0, 0.0)
    lowest: float = inf

    def add(self, wanted: Floats, found: Floats) -> None:
        """Add a block."""
        if not len(wanted):
            return
        hertz = np.fft.rfftfreq(len(wanted), 1 / self.rate)
        band = (hertz >= _LOWEST) & (hertz <= _HIGHEST)
        sound, error = (
            float(np.square(np.abs(np.fft.rfft(x, axis=0)[band])).sum()) * 2 / len(x) ** 2
            for x in (wanted, found - wanted)
        )
        self._sums = self._sums[0] + sound, self._sums[1] + error
        self._blocks = [*self._blocks[-9:], (sound, error)]
        if len(self._blocks) == 10:
            self.lowest = min(self.lowest, _decibels(*map(sum, zip(*self._blocks, strict=True))))

    @property
    def whole(self) -> float:
        """Of all blocks, in decibels; infinite where there was no sound to compare."""
        return _decibels(*self._sums)


def _decibels(sound: float, error: float) -> float:
    if error <= 0:
        return inf
    return 10 * log10(max(sound, 1e-12) / error) if sound > _LOUD**2 else inf


@dataclass(slots=True)
class Likeness:
    """How alike disguised sound and its source are: their largest correlation at any small delay, on average, weighted
    by loudness; and by how much louder (a factor of power) the disguised sound is.
    """

    rate: int
    _alike: float = 0.0
    _power: float = 0.0
    _made: float = 0.0

    def add(self, source: Floats, made: Floats) -> None:
        """Add a block."""
        if len(source) < 2 or level(source) < _LOUD:
            return
        ours, theirs = (x.mean(axis=1) - x.mean() for x in (source, made))
        power, made_power = (float(np.square(x).sum()) for x in (ours, theirs))
        self._power += power
        self._made += made_power
        size = 2 * len(ours)
        crossed = np.fft.irfft(np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size)), size)
        most = min(len(ours) - 1, int(_MOST_LATE * self.rate))
        near = np.abs(np.concatenate([crossed[: most + 1], crossed[-most:]])).max()
        self._alike += power * float(near) / max(sqrt(power * made_power), 1e-12)

    @property
    def alike(self) -> float:
        """0 to 1; 0 where there was no sound to compare."""
        return self._alike / self._power if self._power else 0.0

    @property
    def louder(self) -> float:
        """1 where there was no sound to compare."""
        return self._made / self._power if self._power else 1.0


def outside(parts: Sequence[slice], count: int) -> NDArray[np.bool_]:
    """Which of ``count`` samples are in none of ``parts``."""
    left = np.ones(count, bool)
    for part in parts:
        left[part] = False
    return left
