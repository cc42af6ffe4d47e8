"""How an option is declared: once, as a dataclass field with its range, help text and names.

Validation, the command line, settings, JSON and the table in the README follow from the declaration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from operator import ge, gt, le, lt
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar, get_args

from farm.errors import SettingsError

Group = Literal["Source", "Faces", "Encoding", "Output", "Running"]
#: The groups of the help of ``farm submit``, in its order.
GROUPS: tuple[str, ...] = get_args(Group)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of an option.

    ``help`` may contain ``{choices}``. ``group``: None keeps the option off the command line and out of the settings.
    ``setting``: its name in farm.toml, by default the field's; ``FARM_DETECT_SIZE`` and ``--detect-size`` follow.
    ``shown``: the default in help texts, where it is not the field's. ``time``: seconds that may be written as
    ``1:02:03.5``. ``words``: text that a number's option takes as well. ``last``: listed after the other options of its
    group. ``name`` (as ``detect.size``), ``kind`` (its type) and ``default`` are those of the field.
    """

    help: str = ""
    group: Group | None = None
    metavar: str = ""
    setting: str = ""
    shown: str = ""
    choices: tuple[str, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    unit: str = ""
    time: bool = False
    words: tuple[str, ...] = ()
    last: bool = False
    name: str = ""
    kind: type = str
    default: object = None

    @property
    def flag(self) -> str:
        """The spelling on the command line."""
        return f"--{self.setting.replace('_', '-')}"

    @property
    def text(self) -> str:
        """The help text, with the default."""
        *others, last = self.choices or ("",)
        text = self.help.replace("{choices}", f"{', '.join(others)} or {last}")
        default = f"{self.default:g}" if isinstance(self.default, float) else self.default
        default = self.shown or default
        return text if default is None else f"{text} Default: {default}."

    def check(self, value: Any) -> None:  # noqa: ANN401 - options of all types
        """Raise SettingsError unless ``value`` is one of the choices and within the bounds. Bounds exclude infinity."""
        if (value is None and self.default is None) or value in self.words:
            return
        bounds = ((ge, self.ge), (gt, self.gt), (le, self.le), (lt, self.lt))
        within = all(holds(value, bound) for holds, bound in bounds if bound is not None) and value != inf
        if not within or (self.choices and value not in self.choices):
            raise self.refused(value)

    def read(self, value: object) -> object:
        """A word as it is, and text as a number. Raises ValueError with a message for the user."""
        if value in self.words:
            return value
        try:
            return self.kind(str(value))
        except ValueError:
            raise ValueError(f"not a usable value (use {self._allowed()})") from None

    def refused(self, value: object, allowed: str | None = None) -> SettingsError:
        """The error for a value that cannot be used. ``allowed`` says what can, by default what is declared."""
        hint = f"use {allowed or self._allowed()}"
        return SettingsError(f"{self.name} {value}: not a usable value", hint=hint, field=self.name)

    def _allowed(self) -> str:
        if self.choices:
            return (" or " if len(self.choices) == 2 else ", ").join(self.choices)
        if self.lt is not None:
            return f"above {self.gt:g} and below {self.lt:g}"
        if self.le is not None:
            low = f"{self.ge:g}" if self.gt is None else f"above {self.gt:g}"
            return " or ".join((f"{low} to {self.le:g} {self.unit}".rstrip(), *self.words))
        return self.unit if self.gt is None else f"{self.unit} above {self.gt:g}"


def option(
    default: T,
    help: str = "",  # noqa: A002 - as Typer's own
    group: Group | None = None,
    metavar: str = "",
    **more: Any,  # noqa: ANN401 - further fields of Option
) -> T:
    """The dataclass field of an option; the arguments are the fields of :class:`Option`."""
    return field(default=default, metadata={"option": Option(help, group, metavar, **more)})


@dataclass(frozen=True, slots=True)
class Section:
    """Base of the dataclasses that hold a job's options; the values of an instance have been checked.

    ``section``: its name in JSON and in errors. Where ``chooser`` names a field, the field's value chooses the class
    among ``kinds``: a detector's or a style's options are fields of its own class. ``hidden`` classes are for
    tests: help and hints do not offer them.
    """

    section: ClassVar[str]
    chooser: ClassVar[str] = ""
    kinds: ClassVar[Mapping[str, type["Section"]]] = {}
    hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, declared in self.options().items():
            if name != self.chooser:
                declared.check(getattr(self, name))
        if self.chooser and self.kinds.get(chosen := getattr(self, self.chooser)) is not type(self):
            raise self.all_options()[self.chooser].refused(chosen)
        self.check()

    def check(self) -> None:
        """Rules that involve several fields. Raises SettingsError."""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The declared options of this class, by field."""
        offered = tuple(name for name, kind in cls.kinds.items() if not kind.hidden)
        return {
            f.name: replace(
                declared,
                setting=declared.setting or f.name,
                choices=offered if f.name == cls.chooser else declared.choices,
                name=f"{cls.section}.{f.name}",
                kind=next(t for t in get_args(f.type) or (f.type,) if t is not NoneType),
                default=f.default,
            )
            for f in fields(cls)
            if (declared := f.metadata.get("option"))
        }

    @classmethod
    def all_options(cls) -> dict[str, Option]:
        """The declared options of this class and of all its kinds, by field. The first declaration counts."""
        found: dict[str, Option] = {}
        for kind in (cls, *cls.kinds.values()):
            found |= {**kind.options(), **found}
        return found

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> "Section":
        """The section from its JSON. Raises SettingsError for a value that cannot be used and for an unknown name."""
        chooser = cls.options().get(cls.chooser)
        chosen = str(values.get(cls.chooser, chooser.default)) if chooser else ""
        if chooser and chosen not in cls.kinds:
            raise chooser.refused(chosen)
        kind = cls.kinds.get(chosen, cls)
        if unknown := set(values) - {f.name for f in fields(kind)}:
            name = f"{cls.section}.{min(unknown)}"
            raise SettingsError(
                f"{name}: {chosen} has no such option" if chosen else f"unknown option {name}", field=name
            )
        return kind(**values)
