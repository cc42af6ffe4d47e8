"""How an option is declared: once, as a dataclass field with its range, help text and names.

Validation, the command line, settings, JSON and the table in the README follow from the declaration.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache
from math import inf
from operator import ge, gt, le, lt
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar, get_args

from farm.domain.time import seconds_of
from farm.errors import SettingsError

Group = Literal["Output", "Faces", "Source", "Encoding", "Running"]
#: The groups of the help of ``farm submit``, in its order.
GROUPS: tuple[str, ...] = get_args(Group)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of an option.

    ``help`` may contain ``{choices}``. ``group``: None keeps the option off the command line and out of the settings.
    ``setting``: its name in farm.toml, by default the field's; ``FARM_DETECT_SIZE`` and ``--detect-size`` follow.
    ``shown``: the default in help texts, where it is not the field's. ``time``: seconds that may be written as
    ``1:02:03.5``. ``share``: may be written as ``30%``. ``aliases``: other spellings of the choices. ``words``: text
    that a number's option takes as well. ``last``: listed after the other options of its group. ``name`` (as
    ``detect.size``), ``kind`` (its type) and ``default`` are those of the field.
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
    share: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
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
        text = self.help.replace("{choices}", listed(self.choices))
        default = f"{self.default:g}" if isinstance(self.default, float) else self.default
        default = self.shown or default
        return text if default is None or default is False else f"{text} Default: {default}."

    def parse(self, value: Any) -> object:  # noqa: ANN401 - of any type
        """The value of what a person wrote: a text in any case, an alias, a time, a share as ``30%``, a number.

        Anything else is returned as it is, for :meth:`check`. Raises ValueError, with the text of :meth:`refused`, also
        for what a settings file may hold in a number's place: another kind of value, or a part of a whole number.
        """
        if not isinstance(value, str):
            if self.kind not in (int, float) or value is None:
                return value
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or (self.kind is int and value % 1):
                raise ValueError(self.problem(value))
            return value
        text = value.strip()
        if self.choices:
            word = self.aliases.get(text.lower(), text.lower())
            return word if word in self.choices else text
        if self.kind not in (int, float):
            return value
        if text.lower() in self.words:
            return text.lower()
        with suppress(ValueError):
            if self.share and text.endswith("%"):
                return float(text[:-1]) / 100
            return seconds_of(text) if self.time else self.kind(text)
        raise ValueError(self.problem(value))

    def check(self, value: Any) -> None:  # noqa: ANN401 - options of all types
        """Raise SettingsError unless ``value`` is one of the choices and within the bounds. Bounds exclude infinity."""
        if (value is None and self.default is None) or value in self.words:
            return
        bounds = ((ge, self.ge), (gt, self.gt), (le, self.le), (lt, self.lt))
        within = all(holds(value, bound) for holds, bound in bounds if bound is not None) and value != inf
        if not within or (self.choices and value not in self.choices):
            raise self.refused(value)

    def refused(self, value: object, allowed: str = "") -> SettingsError:
        """The error for a value that cannot be used. ``allowed`` says what can, by default what is declared."""
        return SettingsError(f"{self.name}: {self.problem(value, allowed)}", field=self.name)

    def problem(self, value: object, allowed: str = "") -> str:
        """What is wrong with a value, for a person who knows which option it is of."""
        shown = f"{value:g}" if isinstance(value, float) else value
        return f'"{shown}" is not valid; {allowed or self._allowed()}'

    def _allowed(self) -> str:
        if self.choices:
            return f"choose {listed(self.choices)}"
        what = "a whole number" if self.kind is int else "a number"
        what = "a time such as 90, 5s or 1:02:03.5" if self.time else f"{what} of {self.unit}" if self.unit else what
        parts = []
        if self.gt is not None:
            parts.append(f"above {self.gt:g}")
        if self.lt is not None:
            parts.append(f"below {self.lt:g}")
        if self.le is not None:
            parts.append(f"at most {self.le:g}" if self.ge is None else f"from {self.ge:g} to {self.le:g}")
        other = ", or a percentage such as 30%" if self.share else "".join(f", or {word}" for word in self.words)
        return f"use {what} {' and '.join(parts)}".rstrip() + other


def listed(words: Sequence[str]) -> str:
    """Words as in a sentence: ``a, b or c``."""
    *others, last = words or ("",)
    return f"{', '.join(others)} or {last}" if others else last


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

    ``section``: its name in JSON and in errors. ``formerly``: names of options in the JSON of earlier versions, each
    with its name today; empty for one that there is no more.
    """

    section: ClassVar[str]
    formerly: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, declared in self.options().items():
            declared.check(getattr(self, name))
        self.check()

    def check(self) -> None:
        """Rules that involve several fields. Raises SettingsError."""

    @classmethod
    @cache  # asked for whenever a section is made
    def options(cls) -> Mapping[str, Option]:
        """The declared options, by field."""
        return {
            f.name: replace(
                declared,
                setting=declared.setting or f.name,
                name=f"{cls.section}.{f.name}",
                kind=next(t for t in get_args(f.type) or (f.type,) if t is not NoneType),
                default=f.default,
            )
            for f in fields(cls)
            if (declared := f.metadata.get("option"))
        }

    @classmethod
    def parsed(cls, given: Mapping[str, str | None]) -> dict[str, Any]:
        """The values of options, by field, from what a person wrote; None: not given. Raises SettingsError."""
        options, said = cls.options(), dict[str, Any]()
        for name, text in given.items():
            if text is not None:
                try:
                    said[name] = options[name].parse(text)
                except ValueError as e:
                    raise options[name].refused(text) from e
        return said

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> "Section":
        """The section from its JSON. Raises SettingsError for a value that cannot be used and for an unknown name."""
        values = {cls.formerly.get(name, name): value for name, value in values.items()}
        values.pop("", None)
        if unknown := set(values) - {f.name for f in fields(cls)}:
            name = f"{cls.section}.{min(unknown)}"
            raise SettingsError(f"unknown option {name}", field=name)
        return cls(**values)
