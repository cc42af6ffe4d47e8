"""What a redaction style is."""

from dataclasses import dataclass
from typing import Protocol

from farm.media.planes import Plane


@dataclass(frozen=True, slots=True)
class Patch:
    """The pixels of one plane around one face, as they were before anything was painted.

    ``cells``: how many cells (across, down) the patch may keep of its structure. A cell is a share of the face's
    short side, so that a large face keeps as little as a small one. ``black``: the plane's value for black. ``pixels``
    are uint8, or uint16 where a sample has more than 8 bits.
    """

    pixels: Plane
    cells: tuple[int, int]
    black: int


class Redactor(Protocol):
    """Makes what is shown in place of a face, plane by plane."""

    @property
    def name(self) -> str:
        """Its name in the registry: the style."""
        ...

    def content(self, patch: Patch) -> Plane:
        """A plane of the patch's shape and type (uint8 or uint16). ``patch.pixels`` must not be changed."""
        ...
