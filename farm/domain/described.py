"""A network that a user brings: the TOML file beside its ONNX file, which says what goes in and what comes out.

``docs/howto/bring-a-detector.md`` explains every key, with examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from farm.domain import forms
from farm.domain.detectors import Heights
from farm.domain.forms import Table, read_table
from farm.domain.option import listed

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
    whole = read_table(text)
    given, boxes, scores, objectness, thresholds = map(
        whole.table, ("input", "boxes", "scores", "objectness", "thresholds")
    )
    whole.end()
    classes = scores.get("classes", forms.texts)
    kinds = scores.get("find", forms.texts, tuple(name for name in classes if name != _BACKGROUND))
    if len(set(classes)) < len(classes):
        raise ValueError("scores.classes: name each once")
    if not kinds or not set(kinds) <= set(classes):
        raise ValueError(f"scores.find: choose from the classes, {listed(classes)}")
    found = Description(
        size=given.get("size", forms.size_or_any),
        multiple=given.get("multiple", forms.integer, 32),
        layout=given.get("layout", forms.one_of("NCHW", "NHWC"), "NCHW"),
        channels=given.get("channels", forms.one_of("BGR", "RGB")),
        mean=given.get("mean", forms.three, (0.0, 0.0, 0.0)),
        scale=given.get("scale", forms.three, (1.0, 1.0, 1.0)),
        boxes=_output(boxes),
        decoding=_decoding(boxes),
        overlap=boxes.get("overlap", forms.share, 0.4),
        scores=_output(scores, "none"),
        combined=objectness.get("combined", forms.one_of("product", "root"), "product"),
        objectness=_output(objectness, "none") if objectness.given else None,
        classes=classes,
        kinds=kinds,
        thresholds={kind: thresholds.get(kind, _heights) for kind in kinds},
    )
    for table in (given, boxes, scores, objectness, thresholds):
        table.end()
    return found


def _output(table: Table, activation: str | None = None) -> Output:
    applied = table.get("activation", forms.one_of("none", "sigmoid", "softmax"), activation) if activation else "none"
    columns = table.get("columns", forms.first_and_end, None)
    return Output(table.get("output", forms.texts), columns, table.get("transposed", forms.boolean, False), applied)


def _decoding(table: Table) -> Decoding:
    form = table.get("form", forms.one_of("anchors", "grid", "ready"))
    if form == "ready":
        box = table.get("box", forms.one_of("corners", "centre", "corner"))
        return Ready(box, table.get("unit", forms.one_of("pixels", "share"), "pixels"))
    steps = table.get("steps", forms.several(forms.integer))
    if form == "grid":
        per_cell, point = table.get("per_cell", forms.integer, 1), table.get("point", forms.number, 0.0)
        return Grid(steps, per_cell, point, table.get("box", forms.one_of("offset", "distances")))
    sizes = table.get("sizes", forms.several(forms.several(forms.number)))
    if len(sizes) != len(steps):
        raise ValueError(f"boxes.sizes: give as many lists as there are steps, {len(steps)}")
    return Anchors(steps, sizes, table.get("variances", forms.two, (0.1, 0.2)))


def _heights(value: object) -> Heights:
    """``0.5``, or ``[[16, 0.3], [inf, 0.5]]``: below a height of 16 pixels, and above."""
    rows: Sequence[Sequence[Any]] = value if isinstance(value, list) else [[inf, value]]
    if not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise ValueError("write a number, or [[height, number], ..., [inf, number]]")
    heights = tuple((forms.number(height), forms.share(threshold)) for height, threshold in rows)
    ends = [height for height, _ in heights]
    if not ends or ends != sorted(set(ends)) or ends[-1] != inf or ends[0] <= 0:
        raise ValueError("heights must ascend and end with inf")
    return heights
