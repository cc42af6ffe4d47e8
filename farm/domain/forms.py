"""The tables of a TOML file that a user wrote: each value has a form, and what is wrong is told with its key."""

import tomllib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from farm.domain.option import listed

T = TypeVar("T")


def read_table(text: str) -> "Table":
    """The whole of a TOML file. Raises ValueError where it is none."""
    try:
        return Table("", tomllib.loads(text))
    except tomllib.TOMLDecodeError as e:
        raise ValueError(f"no TOML: {e}") from e


class Table:
    """A table of the file. Remembers which of its keys were asked for."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self._name, self.given, self._asked = name, given, set[str]()

    def table(self, name: str) -> "Table":
        """The table under ``name``; empty where there is none."""
        return Table(name, self.get(name, mapping, {}))

    def get(self, key: str, form: Callable[[object], T], *default: T) -> T:
        """The value of ``key`` in its form, or the default. Raises ValueError where it has another or is missing."""
        self._asked.add(key)
        if key not in self.given:
            if default:
                return default[0]
            raise ValueError(f"{self._path(key)} is missing")
        try:
            return form(self.given[key])
        except ValueError as e:
            raise ValueError(f"{self._path(key)}: {e}") from None

    def end(self) -> None:
        """Raises ValueError for keys that nobody asked for."""
        if unknown := sorted(set(self.given) - self._asked):
            raise ValueError(f"{self._path(unknown[0])}: no such key; there are {listed(sorted(self._asked))}")

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def mapping(value: object) -> dict[str, Any]:
    """A table."""
    if not isinstance(value, dict):
        raise ValueError("make it a table, [...]")  # noqa: TRY004 - of a file, not of a program
    return value


def one_of(*values: str) -> Callable[[object], str]:
    """One of some words."""

    def form(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"write one of {listed([repr(v) for v in values])}")
        return value

    return form


def several(form: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """A list, not empty, of values of one form."""

    def of(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError("write a list, [...]")
        return tuple(form(one) for one in value)

    return of


def number(value: object) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write a number")  # noqa: TRY004 - see above
    return float(value)


def integer(value: object) -> int:
    """A whole number of pixels, cells or the like."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 8192:
        raise ValueError("write a whole number from 1 to 8192")
    return value


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("write true or false")  # noqa: TRY004 - see above
    return value


def share(value: object) -> float:
    """A number between 0 and 1."""
    found = number(value)
    if not 0 < found < 1:
        raise ValueError("write a number between 0 and 1")
    return found


def texts(value: object) -> tuple[str, ...]:
    """A name or a list of names."""
    many = value if isinstance(value, list) else [value]
    if not many or not all(isinstance(one, str) and one for one in many):
        raise ValueError("write a name in quotes, or a list of names")
    return tuple(many)


def three(value: object) -> tuple[float, ...]:
    """A number for each of three channels, or one for all."""
    many = several(number)(value if isinstance(value, list) else [value] * 3)
    if len(many) != 3:
        raise ValueError("write one number, or one for each of the three channels")
    return many


def two(value: object) -> tuple[float, ...]:
    """Two numbers."""
    many = several(number)(value)
    if len(many) != 2:
        raise ValueError("write two numbers")
    return many


def first_and_end(value: object) -> tuple[int, int]:
    """Columns: the first one, and the one after the last."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(v) is int for v in value)
        or not 0 <= value[0] < value[1]
    ):
        raise ValueError("write the first column, from 0, and the one after the last")
    return value[0], value[1]


def size_or_any(value: object) -> tuple[int, int] | None:
    """A width and a height; None for any."""
    if value == "any":
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("write [width, height], or 'any'")
    return integer(value[0]), integer(value[1])
