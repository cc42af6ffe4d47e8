"""A network that a user brings: the TOML file beside its ONNX file, which says what goes in and what comes out.

``docs/howto/bring-a-detector.md`` explains every key, with examples.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from farm.domain.detectors import Heights
from farm.domain.option import listed

T = TypeVar("T")

_BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Output:
    """Columns of a network's outputs: those named, their rows joined. ``columns``: first and end, None for all.

    ``transposed``: rows are the last dimension. ``activation``: what is still to be applied.
    """

    names: tuple[str, ...]
    columns: tuple[int, int] | None
    transposed: bool
    activation: str = "none"


@dataclass(frozen=True, slots=True)
class Anchors:
    """A box is told by its difference from an anchor: see :func:`workers.vision.detectors.anchors.anchors`."""

    steps: tuple[int, ...]
    sizes: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A box is told from a point in each cell of grids with these steps, ``per_cell`` times, in units of the step.

    ``point``: where in the cell, 0 for its corner. ``box``: ``offset`` for the centre's distance from the point and the
    logarithm of the size, ``distances`` for those of the left, upper, right and lower sides.
    """

    steps: tuple[int, ...]
    per_cell: int
    point: float
    box: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The network tells boxes as they are. ``unit``: pixels, or shares of the picture's width and height."""

    box: str
    unit: str


Decoding = Anchors | Grid | Ready


@dataclass(frozen=True, slots=True)
class Description:
    """What a TOML file says.

    ``size``: the only size (width, height) that the network takes; None for any multiple of ``multiple``.
    ``classes``: one for each column of scores; ``kinds``: those that count. ``overlap``: intersection over union from
    which two boxes are one. ``objectness``: how it is combined with the scores.
    """

    size: tuple[int, int] | None
    multiple: int
    layout: str
    channels: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    boxes: Output
    decoding: Decoding
    overlap: float
    scores: Output
    objectness: Output | None
    combined: str
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    thresholds: Mapping[str, Heights]


def described(text: str) -> Description:
    """Parse the text of a TOML file. Raises ValueError: what is wrong where, in one line."""
    try:
        whole = _Table("", tomllib.loads(text))
    except tomllib.TOMLDecodeError as e:
        raise ValueError(f"no TOML: {e}") from e
    given, boxes, scores, objectness, thresholds = map(
        whole.table, ("input", "boxes", "scores", "objectness", "thresholds")
    )
    whole.end()
    classes = scores.get("classes", _texts)
    kinds = scores.get("find", _texts, tuple(name for name in classes if name != _BACKGROUND))
    if len(set(classes)) < len(classes):
        raise ValueError("scores.classes: name each once")
    if not kinds or not set(kinds) <= set(classes):
        raise ValueError(f"scores.find: choose from the classes, {listed(classes)}")
    found = Description(
        size=given.get("size", _size),
        multiple=given.get("multiple", _integer, 32),
        layout=given.get("layout", _one_of("NCHW", "NHWC"), "NCHW"),
        channels=given.get("channels", _one_of("BGR", "RGB")),
        mean=given.get("mean", _three, (0.0, 0.0, 0.0)),
        scale=given.get("scale", _three, (1.0, 1.0, 1.0)),
        boxes=_output(boxes),
        decoding=_decoding(boxes),
        overlap=boxes.get("overlap", _share, 0.4),
        scores=_output(scores, "none"),
        combined=objectness.get("combined", _one_of("product", "root"), "product"),
        objectness=_output(objectness, "none") if objectness.given else None,
        classes=classes,
        kinds=kinds,
        thresholds={kind: thresholds.get(kind, _heights) for kind in kinds},
    )
    for table in (given, boxes, scores, objectness, thresholds):
        table.end()
    return found


def _output(table: "_Table", activation: str | None = None) -> Output:
    applied = table.get("activation", _one_of("none", "sigmoid", "softmax"), activation) if activation else "none"
    columns = table.get("columns", _columns, None)
    return Output(table.get("output", _texts), columns, table.get("transposed", _boolean, False), applied)


def _decoding(table: "_Table") -> Decoding:
    form = table.get("form", _one_of("anchors", "grid", "ready"))
    if form == "ready":
        box = table.get("box", _one_of("corners", "centre", "corner"))
        return Ready(box, table.get("unit", _one_of("pixels", "share"), "pixels"))
    steps = table.get("steps", _several(_integer))
    if form == "grid":
        per_cell, point = table.get("per_cell", _integer, 1), table.get("point", _number, 0.0)
        return Grid(steps, per_cell, point, table.get("box", _one_of("offset", "distances")))
    sizes = table.get("sizes", _several(_several(_number)))
    if len(sizes) != len(steps):
        raise ValueError(f"boxes.sizes: give as many lists as there are steps, {len(steps)}")
    return Anchors(steps, sizes, table.get("variances", _two, (0.1, 0.2)))


class _Table:
    """A table of the file. Remembers which of its keys were asked for."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self._name, self.given, self._asked = name, given, set[str]()

    def table(self, name: str) -> "_Table":
        return _Table(name, self.get(name, _mapping, {}))

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


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("make it a table, [...]")  # noqa: TRY004 - of a file, not of a program
    return value


def _one_of(*values: str) -> Callable[[object], str]:
    def form(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"write one of {listed([repr(v) for v in values])}")
        return value

    return form


def _several(form: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def of(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError("write a list, [...]")
        return tuple(form(one) for one in value)

    return of


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write a number")  # noqa: TRY004 - see above
    return float(value)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 8192:
        raise ValueError("write a whole number from 1 to 8192")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false")  # noqa: TRY004 - see above
    return value


def _share(value: object) -> float:
    number = _number(value)
    if not 0 < number < 1:
        raise ValueError("write a number between 0 and 1")
    return number


def _texts(value: object) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value]
    if not many or not all(isinstance(one, str) and one for one in many):
        raise ValueError("write a name in quotes, or a list of names")
    return tuple(many)


def _three(value: object) -> tuple[float, ...]:
    many = _several(_number)(value if isinstance(value, list) else [value] * 3)
    if len(many) != 3:
        raise ValueError("write one number, or one for each of the three channels")
    return many


def _two(value: object) -> tuple[float, ...]:
    many = _several(_number)(value)
    if len(many) != 2:
        raise ValueError("write two numbers")
    return many


def _columns(value: object) -> tuple[int, int]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(v) is int for v in value)
        or not 0 <= value[0] < value[1]
    ):
        raise ValueError("write the first column, from 0, and the one after the last")
    return value[0], value[1]


def _size(value: object) -> tuple[int, int] | None:
    if value == "any":
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("write [width, height], or 'any'")
    return _integer(value[0]), _integer(value[1])


def _heights(value: object) -> Heights:
    """``0.5``, or ``[[16, 0.3], [inf, 0.5]]``: below a height of 16 pixels, and above."""
    rows: Sequence[Sequence[Any]] = value if isinstance(value, list) else [[inf, value]]
    if not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise ValueError("write a number, or [[height, number], ..., [inf, number]]")
    heights = tuple((_number(height), _share(threshold)) for height, threshold in rows)
    ends = [height for height, _ in heights]
    if not ends or ends != sorted(set(ends)) or ends[-1] != inf or ends[0] <= 0:
        raise ValueError("heights must ascend and end with inf")
    return heights
