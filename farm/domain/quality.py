"""The presets of ``--quality``: points of a measured curve of leaked faces against speed, and what follows from them.

The coordinator and the workers compute the same from a job's options. A change of a preset changes what jobs of the
same options write, so it raises :data:`farm.domain.artefacts.FORMAT_VERSION`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farm.domain.detectors import DetectOptions, Named, named


@dataclass(frozen=True, slots=True)
class Preset:
    """What a quality stands for, see :class:`farm.domain.detectors.DetectOptions`."""

    detector: str
    size: int
    every: int
    finest: int
    factor: float
    tiles: int = 1


PRESETS = {
    "fast": Preset("centerface", 640, 8, 8, 0.6),
    "balanced": Preset("centerface", 1280, 8, 4, 0.62),
    "thorough": Preset("centerface", 1920, 4, 1, 0.45),
}

#: Beside its own size, a look has every smaller one of these: faces that fill a large picture are found in a small one.
#: The factor between them is what CenterFace bridges.
_LADDER = (640, 1920, 5760)


@dataclass(frozen=True, slots=True)
class Looks:
    """How frames are looked at: nothing is left open.

    ``sizes``: the long sides in pixels of the pictures of one look, largest first. ``every``: frames from one look to
    the next; ``finest``: where two of them disagree. ``factor``: of all
    thresholds. ``tiles``: the largest size also looks at so many parts across and
    down; 1 for none. ``threshold``, ``min_size`` and ``max_size``: as the options.
    """

    networks: tuple[Named, ...]
    sizes: tuple[int, ...]
    every: int
    finest: int
    factor: float
    tiles: int
    merge: str
    threshold: float | None
    min_size: float | None
    max_size: float | None


def sizes(size: int) -> tuple[int, ...]:
    """The long sides of a look at ``size``, largest first.

    Those of a larger size include a size for every face that a smaller one finds, however large: a larger
    ``--detect-size`` does not cover less.
    """
    return size, *(smaller for smaller in reversed(_LADDER) if smaller < size)


def resolved(options: DetectOptions) -> Looks:
    """The options with what they leave open filled in by their preset."""
    preset = PRESETS[options.quality]
    return Looks(
        named(options.detector or preset.detector),
        sizes(options.size or preset.size),
        options.every or preset.every,
        preset.finest,
        preset.factor,
        options.tiles or preset.tiles,
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
