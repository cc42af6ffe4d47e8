"""The presets of ``--quality``: points of a measured curve of leaked faces against speed, and what follows from them.

The coordinator and the workers compute the same from a job's options. A change of a preset changes what jobs of the
same options write, so it raises :data:`farm.domain.artefacts.FORMAT_VERSION`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from farm.domain.detectors import DetectOptions, Named, named


@dataclass(frozen=True, slots=True)
class Preset:
    """What a quality stands for, see :class:`Looks`. ``alone``: a look has its largest size only."""

    detector: str
    size: int
    every: int
    finest: int
    factor: float
    alone: bool = False


PRESETS = {
    "fast": Preset("centerface", 960, 16, 16, 0.6, alone=True),
    "balanced": Preset("centerface", 1280, 8, 4, 0.65),
    "thorough": Preset("centerface", 1920, 4, 2, 0.55),
}

#: Beside its own size, a look has every smaller one of these: faces that fill a large picture are found in a small one.
_LADDER = (640, 1280, 2560, 5120)
#: Thresholds are stricter at sizes below the first, by a power of the ratio; below the second, as there.
_FULL, _TINY, _STRICTER = 1280, 480, 0.3
#: The time that a frame stands for, at most, when looks are counted: groups of a few frames per second are not long.
_LONGEST_FRAME = Fraction(45, 1000)


@dataclass(frozen=True, slots=True)
class Looks:
    """How frames are looked at: nothing is left open.

    - ``sizes``: the long sides in pixels of the pictures of one look, largest first.
    - ``every``: frames from one look to the next, which also take at most ``longest`` seconds where that is not None;
      ``finest``: the same where two looks disagree.
    - ``factor``: all thresholds are multiplied by it.
    - ``tiles``: the largest size also looks at so many parts across and down; 1 for none.
    - ``threshold``, ``min_size`` and ``max_size``: as the options.
    """

    networks: tuple[Named, ...]
    sizes: tuple[int, ...]
    every: int
    longest: Fraction | None
    finest: int
    factor: float
    tiles: int
    merge: str
    threshold: float | None
    min_size: float | None
    max_size: float | None


def sizes(size: int) -> tuple[int, ...]:
    """The long sides of a look at ``size``, largest first.

    Those of a larger size include the ladder's sizes below it, in which large faces are found. Whether a larger
    ``--detect-size`` covers no less is a matter of thresholds, and measured by ``make quality PARTS=leak``.
    """
    return size, *(smaller for smaller in reversed(_LADDER) if smaller < size)


def stricter(size: int) -> float:
    """What thresholds are multiplied by at a size: the smaller the picture, the more is found in vain.

    So a small size does not cover, at a low score, what a larger one knows to be no face.
    """
    return float((_FULL / min(_FULL, max(_TINY, size))) ** _STRICTER)


def resolved(options: DetectOptions) -> Looks:
    """The options with what they leave open filled in by their preset."""
    preset = PRESETS[options.quality]
    size = options.size or preset.size
    return Looks(
        named(options.detector or preset.detector),
        sizes(size)[: 1 if preset.alone else None],
        options.every or preset.every,
        None if options.every else preset.every * _LONGEST_FRAME,
        preset.finest,
        preset.factor * stricter(size),
        options.tiles or 1,
        options.merge,
        options.threshold,
        options.min_size,
        options.max_size,
    )


def size_of(values: Mapping[str, Any]) -> int:
    """The size of a job's looks, from the JSON of its options; it may be of another version."""
    preset = PRESETS.get(values.get("quality", ""), PRESETS["balanced"])
    return int(values.get("size") or preset.size)


def default_models() -> list[str]:
    """The names of the weights that a job without any option needs."""
    networks = [one.network for one in resolved(DetectOptions()).networks]
    return [network.weights.name for network in networks if network.weights is not None]
