"""The networks that detectors are made of, how ``--detector`` names them, and the options of detection.

The implementation of network ``NAME`` is ``create`` in ``workers.vision.detectors.NAME``, or another ``module``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import inf

from farm.domain.detection import FACE, PLATE
from farm.domain.networks import CENTERFACE, PLATES, RETINAFACE, YUNET, YUNET_N
from farm.domain.option import Section, listed, option
from farm.domain.recognisers import RECOGNISERS
from farm.domain.runtimes import FAMILIES, RUNTIMES
from farm.domain.weights import Weights

#: Raw scores from which a box may begin a track, by its height in pixels of the network's picture: ``(below this
#: height, threshold)``, ascending; the last height is infinite.
Heights = tuple[tuple[float, float], ...]

#: The argument of a network that is in files of the user's: an ONNX file, and a TOML file beside it.
PATH = "PATH"

#: The network that finds nothing, for videos whose masks come from elsewhere.
NOTHING = "none"

QUALITIES = ("fast", "balanced", "thorough")
MERGES = ("nms", "nmm", "wbf")
#: The largest ``--detect-size``.
LARGEST_SIZE = 8192

#: Pictures of a long side below this are small: what is large in them is a large part of the frame, and seldom a face.
SMALL = 900
#: Thresholds of pictures that are smaller still are those of this long side, for boxes of the same part of the frame.
LEAST_SMALL = 640


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A network that ``--detector`` may name.

    - ``thresholds``: by the kinds of boxes that it finds; empty for a network that says so when it is created.
    - ``small``: the same for small pictures, see SMALL; empty where there is no difference.
    - ``beside``: lower boxes than this are left out of small pictures that have a larger one beside them.
    - ``share``: the part of ``--detect-size`` that it runs at, and ``largest``: the most that it takes.
    - ``argument``: what stands after its name and a colon, such as ``PATH``; empty if nothing does.
    - ``module`` in ``workers.vision.detectors`` whose ``create`` makes it; empty if it is called as the network is.
    - ``hidden``: it is for tests; help and hints do not offer it.
    """

    name: str
    thresholds: Mapping[str, Heights]
    small: Mapping[str, Heights] = field(default_factory=dict)
    beside: float = 0.0
    weights: Weights | None = None
    share: float = 1.0
    largest: int = LARGEST_SIZE
    argument: str = ""
    module: str = ""
    hidden: bool = False

    @property
    def shown(self) -> str:
        """How it is written: ``onnx:PATH``."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


@dataclass(frozen=True, slots=True)
class Named:
    """A network as a user named it. ``argument``: what stood after the colon."""

    network: Declared
    argument: str = ""

    @property
    def written(self) -> str:
        """As a user writes it."""
        return f"{self.network.name}:{self.argument}" if self.argument else self.network.name


NETWORKS: dict[str, Declared] = {
    declared.name: declared
    for declared in (
        Declared(
            name="centerface",
            thresholds={FACE: ((24, 0.10), (48, 0.11), (96, 0.13), (192, 0.18), (inf, 0.26))},
            small={FACE: ((24, 0.10), (48, 0.36), (96, 0.45), (inf, 0.55))},
            beside=24,
            weights=CENTERFACE,
        ),
        # Thresholds of the networks below: where pictures have as much false area as with those of CenterFace.
        Declared(
            name="yunet",
            thresholds={FACE: ((16, 0.12), (24, 0.18), (48, 0.30), (inf, 0.50))},
            weights=YUNET,
            share=0.75,
        ),
        Declared(
            name="yunet-n",
            thresholds={FACE: ((16, 0.12), (24, 0.16), (48, 0.30), (96, 0.45), (inf, 0.70))},
            weights=YUNET_N,
            share=0.75,
            module="yunet",
        ),
        Declared(
            name="plates",
            thresholds={PLATE: ((64, 0.30), (128, 0.60), (inf, 0.90))},
            weights=PLATES,
        ),
        # not measured here: below the package's own threshold, 0.9, since tracks suppress false alarms of one frame
        Declared(name="retinaface", thresholds={FACE: ((24, 0.40), (48, 0.50), (inf, 0.70))}, weights=RETINAFACE),
        Declared(name="onnx", thresholds={}, argument=PATH),
        Declared(name="deepface", thresholds={FACE: ((inf, 0.5),)}, argument="BACKEND"),
        Declared(name=NOTHING, thresholds={FACE: ((inf, 0.5),)}, module="nothing"),
        Declared(name="stub", thresholds={FACE: ((inf, 0.5),)}, hidden=True),
    )
}


def named(detector: str) -> tuple[Named, ...]:
    """The networks of a ``--detector`` such as ``centerface+plates`` or ``onnx:/models/a+b.onnx``.

    Raises ValueError, with what can be used instead.
    """
    found: list[Named] = []
    for word in _words(detector):
        name, colon, argument = word.partition(":")
        network = NETWORKS.get(name)
        if network is None:
            near = get_close_matches(name, _offered(), 1)
            raise ValueError(f"did you mean {near[0]}?" if near else f"choose {_choices()}, or several joined by +")
        if bool(network.argument) != bool(colon and argument):
            raise ValueError(f"write {network.shown}")
        if any(other.network is network and other.argument == argument for other in found):
            raise ValueError(f"name {word} once")
        found.append(Named(network, argument))
    return tuple(found)


def _words(detector: str) -> list[str]:
    """The parts between the pluses. A path may have some of its own: they stand before no network's name."""
    names = "|".join(map(re.escape, NETWORKS))
    if ":" in detector:
        return re.split(rf"\+(?=(?:{names})(?:[:+]|$))", detector)
    return detector.split("+")


def _offered() -> list[str]:
    return [name for name, network in NETWORKS.items() if not network.hidden]


def _choices() -> str:
    return listed([NETWORKS[name].shown for name in _offered()])


def known_weights() -> dict[str, Weights]:
    """The weights of all networks and recognisers, by name."""
    every = *(n.weights for n in NETWORKS.values()), *(r.weights for r in RECOGNISERS.values())
    return {weights.name: weights for weights in every if weights is not None}


@dataclass(frozen=True, slots=True)
class DetectOptions(Section):
    """How faces are looked for. What is None, the preset ``quality`` decides: :func:`farm.domain.quality.resolved`.

    ``size``: the long side in pixels that a frame is scaled to. ``every``: frames from one look to the next.
    ``threshold``: replaces the raw thresholds of every network, kind and height. ``min_size``, ``max_size``: of a
    face's longer side, in pixels of the source. ``files``: the digest of the files that ``detector`` names, see
    :func:`farm.models.brought.with_files`. ``runtime``: one of RUNTIMES; the user may also name a family, or leave
    it to the fastest worker. It is fixed when the job is submitted, see :func:`farm.jobs.abilities.with_runtime`.
    """

    section = "detect"
    formerly = {"model": "detector"}  # noqa: RUF012 - a class variable by its base

    quality: str = option(
        "balanced", "How thoroughly faces are looked for: {choices}. Slower finds more.", "Faces", "NAME",
        choices=QUALITIES,
    )  # fmt: skip
    detector: str | None = option(
        None, f"What finds faces and plates: {_choices()}; several joined by +.", "Faces", "NAME",
        shown="the quality's", last=True,
    )  # fmt: skip
    size: int | None = option(
        None, "Frame size used for detection (long side, pixels); larger finds smaller faces and is slower.", "Faces",
        "PIXELS", setting="detect_size", shown="the quality's", ge=64, le=LARGEST_SIZE, unit="pixels",
    )  # fmt: skip
    every: int | None = option(
        None, "Look at every Nth frame, and between where that is not enough.", "Faces", "N", setting="look_every",
        shown="the quality's", ge=1, le=64, last=True,
    )  # fmt: skip
    threshold: float | None = option(
        None, "Minimum confidence; lower finds more faces and more false alarms.", "Faces", "SCORE",
        shown="by the face's size", gt=0, lt=1, share=True,
    )  # fmt: skip
    tiles: int | None = option(
        None, "Also look at N x N overlapping parts of each frame, enlarged.", "Faces", "N", shown="the quality's",
        ge=1, le=8, last=True,
    )  # fmt: skip
    merge: str = option(
        "nms", "How boxes of one face are merged: {choices} (the best, all that it overlaps, the mean).", "Faces",
        "HOW", choices=MERGES, last=True,
    )  # fmt: skip
    min_size: float | None = option(
        None, "Leave out faces smaller than this.", "Faces", "PIXELS", setting="min_face", gt=0, unit="pixels",
        last=True,
    )  # fmt: skip
    max_size: float | None = option(
        None, "Leave out faces larger than this.", "Faces", "PIXELS", setting="max_face", gt=0, unit="pixels",
        last=True,
    )  # fmt: skip
    files: str | None = option(None)
    runtime: str | None = option(
        None, f"Runtime of the detector: {listed(FAMILIES)}; also with a precision, such as openvino-f32.",
        "Running", "NAME", shown="the fastest worker's", choices=(*FAMILIES, *RUNTIMES), last=True,
    )  # fmt: skip

    def check(self) -> None:
        """See :meth:`farm.domain.option.Section.check`."""
        declared = self.options()
        if self.detector is not None:
            try:
                networks = named(self.detector)
            except ValueError as e:
                raise declared["detector"].refused(self.detector, str(e)) from e
            for one in networks:
                if self.size is not None and self.size * one.network.share > one.network.largest:
                    most = int(one.network.largest / one.network.share)
                    raise declared["size"].refused(self.size, f"{one.network.name} takes at most {most} pixels")
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise declared["max_size"].refused(self.max_size, f"use a number of pixels above {self.min_size:g}")
