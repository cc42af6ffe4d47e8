"""What redaction styles work on, what they are, and how one is created."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from farm.domain.options import RedactOptions
from farm.media.planes import Plane


@dataclass(frozen=True, slots=True)
class Patch:
    """The pixels of one plane around one face, as they were before anything was painted.

    ``cells``: the size of the patch (across, down) in cells. A cell is a sixth of the face's short side; styles measure
    in cells, so that a large face keeps as little as a small one. ``black``: the plane's value for black. ``pixels``
    are uint8, or uint16 where a sample has more than 8 bits.
    """

    pixels: Plane
    cells: tuple[int, int]
    black: int


#: Makes the plane that replaces a patch, of its shape and type. ``patch.pixels`` must not be changed.
Redactor = Callable[[Patch], Plane]


def create_redactor(options: RedactOptions, style: str | None = None) -> Redactor:
    """``create`` in ``workers.vision.redactors.NAME``, where NAME is the style; by default, that of the options."""
    return cast("Redactor", import_module(f"workers.vision.redactors.{style or options.style}").create(options))
