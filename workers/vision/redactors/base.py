"""What redaction styles work on, what they are, and how one is created."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, cast

from farm.domain.options import RedactOptions
from farm.media.planes import Plane


class Patch(NamedTuple):
    """The pixels of one plane around one face, as they were before anything was painted.

    ``pixels`` are uint8, or uint16 where a sample has more than 8 bits; not to be changed. ``cells``: the size of the
    patch (across, down) in cells. A cell is a sixth of the face's short side; styles measure in cells, so that a large
    face keeps as little as a small one. ``black``: the plane's value for black.
    """

    pixels: Plane
    cells: tuple[int, int]
    black: int


#: Makes the planes that replace some patches, which are of one type: of their shapes and their type.
Redactor = Callable[[Sequence[Patch]], Sequence[Plane]]


def create_redactor(options: RedactOptions, style: str | None = None) -> Redactor:
    """``create`` in ``workers.vision.redactors.NAME``, where NAME is the style; by default, that of the options."""
    return cast("Redactor", import_module(f"workers.vision.redactors.{style or options.style}").create(options))
