"""Files of others, read with bounded memory, whatever is in them."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import ijson
from defusedxml import DefusedXmlException, ElementTree

from farm.errors import EditError

#: Characters that a line of a table, a text in JSON or a tag in XML may have.
_LONGEST = 1 << 20
#: Nested values or tags.
_DEEPEST = 32
#: Values that one item may have, such as a frame with its boxes.
_MOST = 1 << 18


def lines(file: IO[str]) -> Iterator[str]:
    """The lines of a text. Raises EditError for one that is too long."""
    while line := file.readline(_LONGEST + 1):
        if len(line) > _LONGEST:
            raise EditError(f"has a line of more than {_LONGEST} characters")
        yield line


class _Source:
    """A file for a parser that holds whatever is between two marks in memory: they may not be far from each other."""

    def __init__(self, file: IO[bytes], mark: bytes) -> None:
        self._file = file
        self._mark = re.compile(mark)
        self._since = 0

    def read(self, size: int = -1) -> bytes:
        """The next block."""
        block = self._file.read(min(size, _LONGEST) if size >= 0 else _LONGEST)
        ends = [mark.end() for mark in self._mark.finditer(block)]
        self._since = len(block) - ends[-1] if ends else self._since + len(block)
        if self._since > _LONGEST:
            raise EditError(f"has a part of more than {_LONGEST} bytes in one piece")
        return block


@dataclass(slots=True)
class _Open:
    """A list or an object in JSON whose end is not read yet. ``kept``: it is, or is part of, what is wanted."""

    place: str
    value: Any
    kept: bool
    key: str = ""
    size: int = 0
    wanted: bool = field(default=False)


def json_values(path: Path, wanted: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
    """The values of a JSON file at some places, such as ``frames.item``, each with its place, in the order of their
    ends. A value has no part that is yielded itself. Raises EditError, OSError.
    """
    open_ones: list[_Open] = []
    with path.open("rb") as file:
        try:
            for event, value in ijson.basic_parse(_Source(file, rb'(?<!\\)"'), use_float=True):
                if event == "map_key":
                    open_ones[-1].key = value
                    continue
                if event in ("end_map", "end_array"):
                    ended = open_ones.pop()
                    place, made, size, kept = ended.place, ended.value, ended.size, ended.wanted
                else:
                    place, inside = _place(open_ones)
                    kept = place in wanted
                    if event in ("start_map", "start_array"):
                        if len(open_ones) == _DEEPEST:
                            raise EditError(f"has values that are nested more than {_DEEPEST} deep")
                        container: Any = {} if event == "start_map" else []
                        open_ones.append(_Open(place, container, inside or kept, wanted=kept))
                        continue
                    made, size = value, 1
                if kept:
                    yield place, made
                elif open_ones and open_ones[-1].kept:
                    _attach(open_ones[-1], made, size)
        except ijson.JSONError as e:
            raise EditError(f"is no JSON: {str(e).splitlines()[0]}") from e
        except UnicodeDecodeError as e:
            raise EditError("is no JSON: it is not in UTF-8") from e


def _place(open_ones: list[_Open]) -> tuple[str, bool]:
    """Where the next value is, and whether that is inside something wanted."""
    if not open_ones:
        return "", False
    above = open_ones[-1]
    name = above.key if isinstance(above.value, dict) else "item"
    return (f"{above.place}.{name}" if above.place else name), above.kept


def _attach(above: _Open, value: object, size: int) -> None:
    above.size += size + 1
    if above.size > _MOST:
        raise EditError(f"has more than {_MOST} values in {above.place or 'one piece'}")
    if isinstance(above.value, dict):
        above.value[above.key] = value
    else:
        above.value.append(value)


def xml_elements(path: Path, whole: AbstractSet[str]) -> Iterator[tuple[str, str, Any]]:
    """The beginnings and ends of the elements of an XML file: ``start`` or ``end``, its place such as
    ``annotations/track/box``, and the element.

    An element has those inside it, at its end, only where its place is in ``whole``. Entities and DTDs are refused.
    Raises EditError, OSError.
    """
    above: list[Any] = []
    with path.open("rb") as file:
        try:
            for event, element in ElementTree.iterparse(_Source(file, rb"<"), ("start", "end"), forbid_dtd=True):
                if event == "start":
                    above.append(element)
                    if len(above) > _DEEPEST:
                        raise EditError(f"has elements that are nested more than {_DEEPEST} deep")
                place = "/".join(one.tag for one in above)
                yield event, place, element
                if event == "end":
                    above.pop()
                    if above and "/".join(one.tag for one in above) not in whole:
                        above[-1].remove(element)
        except ElementTree.ParseError as e:
            raise EditError(f"is no XML: {e}") from e
        except DefusedXmlException as e:
            raise EditError("has a document type or entities, which are not read", hint="remove them") from e
        except (LookupError, ValueError) as e:  # an encoding that is none
            raise EditError(f"is no XML: {e}") from e
