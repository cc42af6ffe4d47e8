"""What tells people apart: the recognisers, how ``--recogniser`` names them, and the options of choosing whom to cover.

A recogniser makes a vector of a face; how alike two faces are is the cosine of their vectors, from -1 to 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from farm.domain import forms
from farm.domain.networks import SFACE
from farm.domain.option import Section, listed, option
from farm.domain.weights import Weights
from farm.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What the likeness of two faces means with one recogniser.

    ``alike``: from here on they are one person's; ``unlike``: below, two persons'; between is doubt. ``margin``: how
    much the likeness to the next best person has to be below the best one. ``smallest``: the shorter side, in pixels
    of the video as shown, below which a face says nothing.
    """

    alike: float
    unlike: float
    margin: float = 0.1
    smallest: float = 32.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """How a network in an ONNX file wants its pictures: as :class:`workers.vision.detectors.graph.InputForm`."""

    channels: str = "RGB"
    layout: str = "NCHW"
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    scale: tuple[float, ...] = (1 / 128, 1 / 128, 1 / 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognising:
    """A recogniser that ``--recogniser`` may name: ``create`` in ``workers.vision.recognisers.MODULE``.

    ``argument``: what stands after its name and a colon; empty if nothing does.
    """

    name: str
    module: str
    likeness: Likeness
    form: Input = Input()
    weights: Weights | None = None
    argument: str = ""

    @property
    def shown(self) -> str:
        """How it is written: ``onnx:PATH``."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


# Measured with MobileFaceNet (docs/decisions/0047-choosing-whom.md); other networks of this kind differ little.
_ARC = Likeness(alike=0.55, unlike=0.25)

RECOGNISERS = {
    declared.name: declared
    for declared in (
        # not measured here: its publisher's threshold is 0.363, at which as many are taken for another as not known
        Recognising(
            name="sface",
            module="onnx",
            likeness=Likeness(alike=0.55, unlike=0.2),
            form=Input(mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)),
            weights=SFACE,
        ),
        Recognising(name="onnx", module="onnx", likeness=_ARC, argument="PATH"),
        Recognising(name="deepface", module="deepface", likeness=_ARC, argument="MODEL"),
    )
}
DEFAULT = "sface"

#: The package's own thresholds: cosine distances up to which two faces are one person's (deepface 0.0.103).
_DEEPFACE = {
    "VGG-Face": 0.68, "Facenet": 0.40, "Facenet512": 0.30, "ArcFace": 0.68, "Dlib": 0.07, "SFace": 0.593,
    "OpenFace": 0.10, "DeepFace": 0.23, "DeepID": 0.015, "GhostFaceNet": 0.65, "Buffalo_L": 0.55,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamedRecogniser:
    """A recogniser as a user named it. ``argument``: what stood after the colon."""

    recogniser: Recognising
    argument: str = ""

    @property
    def written(self) -> str:
        """As a user writes it."""
        return f"{self.recogniser.name}:{self.argument}" if self.argument else self.recogniser.name

    @property
    def likeness(self) -> Likeness:
        """What likeness means with it, unless a file beside it says so.

        Of a model of deepface: the package's threshold, at which as many faces are taken for another as are not known,
        moved by a quarter of the distance to either side, since a doubt is better than a mistake. Not measured here.
        """
        usual = self.recogniser.likeness
        if self.recogniser.name != "deepface" or self.argument not in _DEEPFACE:
            return usual
        distance = _DEEPFACE[self.argument]
        return replace(usual, alike=1 - 0.75 * distance, unlike=1 - 1.25 * distance, margin=0.2 * distance)


def named_recogniser(text: str) -> NamedRecogniser:
    """The recogniser of a ``--recogniser`` such as ``onnx:/models/face.onnx``. Raises ValueError: what can be used."""
    name, colon, argument = text.partition(":")
    found = RECOGNISERS.get(name)
    if found is None:
        raise ValueError(f"choose {_choices()}")
    if bool(found.argument) != bool(colon and argument):
        raise ValueError(f"write {found.shown}")
    return NamedRecogniser(found, argument)


def _choices() -> str:
    return listed([one.shown for one in RECOGNISERS.values()])


def described_recogniser(text: str, usual: Recognising) -> tuple[Input, Likeness]:
    """What the TOML file beside a recogniser says; what it leaves out is as ``usual``. Raises ValueError, one line."""
    whole = forms.read_table(text)
    given, likeness = whole.table("input"), whole.table("likeness")
    form = Input(
        channels=given.get("channels", forms.one_of("BGR", "RGB"), usual.form.channels),
        layout=given.get("layout", forms.one_of("NCHW", "NHWC"), usual.form.layout),
        mean=given.get("mean", forms.three, usual.form.mean),
        scale=given.get("scale", forms.three, usual.form.scale),
    )
    said = Likeness(
        alike=likeness.get("alike", forms.share, usual.likeness.alike),
        unlike=likeness.get("unlike", forms.share, usual.likeness.unlike),
        margin=likeness.get("margin", forms.share, usual.likeness.margin),
        smallest=likeness.get("smallest", forms.number, usual.likeness.smallest),
    )
    for table in (whole, given, likeness):
        table.end()
    if said.unlike >= said.alike:
        raise ValueError(f"likeness.unlike: use a number below likeness.alike, {said.alike:g}")
    return form, said


class Whom(StrEnum):
    """Who is covered: everyone; everyone ``but`` the people of some photos; ``only`` these."""

    EVERYONE = "everyone"
    BUT = "but"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class PeopleOptions(Section):
    """Whom a job covers.

    ``whom``: one of :class:`Whom`. ``references``: the SHA-256 of the photos' faces, see :mod:`farm.domain.faces`.
    ``files``: the digest of the recogniser's files, see :func:`farm.models.brought.recogniser_files`. ``unlike`` and
    ``smallest``: as of :class:`Likeness`, fixed with the rest when the job is submitted.
    """

    section = "people"

    whom: str = option(Whom.EVERYONE.value)
    recogniser: str | None = option(
        None, f"What tells people apart, for --keep, --only and `farm people`: {_choices()}.", "Faces", "NAME",
        shown=f"{DEFAULT}, with --keep or --only", last=True,
    )  # fmt: skip
    alike: float | None = option(
        None, "From this likeness on, 0 to 1, two faces are one person's; higher keeps fewer.", "Faces", "SCORE",
        setting="alike", shown="the recogniser's", gt=0, lt=1, share=True, last=True,
    )  # fmt: skip
    margin: float | None = option(
        None, "How much less alike the next best person has to be.", "Faces", "SCORE", setting="alike_margin",
        shown="the recogniser's", ge=0, lt=1, share=True, last=True,
    )  # fmt: skip
    unlike: float | None = option(None)
    smallest: float | None = option(None)
    references: str | None = option(None)
    files: str | None = option(None)

    def check(self) -> None:
        """See :meth:`farm.domain.option.Section.check`."""
        if self.recogniser is not None:
            try:
                named_recogniser(self.recogniser)
            except ValueError as e:
                raise self.options()["recogniser"].refused(self.recogniser, str(e)) from e
        if self.whom not in list(Whom):
            raise SettingsError(f"people.whom: {self.whom!r} is not valid", field="people.whom")
        if (self.whom != Whom.EVERYONE) != (self.references is not None):
            raise SettingsError("people.references: missing, or not asked for", field="people.references")
        if self.references is not None and not re.fullmatch(r"[0-9a-f]{64}", self.references):
            raise SettingsError("people.references: not a SHA-256", field="people.references")

    @property
    def named(self) -> NamedRecogniser | None:
        """The recogniser; None where nobody is told apart."""
        return None if self.recogniser is None else named_recogniser(self.recogniser)

    @property
    def likeness(self) -> Likeness:
        """What likeness means for this job. Only where there is a recogniser."""
        assert self.named is not None
        usual = self.named.likeness
        said: Mapping[str, float | None] = {
            "alike": self.alike, "unlike": self.unlike, "margin": self.margin, "smallest": self.smallest
        }  # fmt: skip
        found = replace(usual, **{name: value for name, value in said.items() if value is not None})
        return replace(found, unlike=min(found.unlike, found.alike))
