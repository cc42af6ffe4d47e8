"""The protocol of redaction styles."""

from dataclasses import dataclass
from typing import Protocol

from farm.media.planes import Plane


@dataclass(frozen=True, slots=True)
class Patch:
    """The pixels of one plane around one face, as they were before anything was painted.

    ``cells``: how many cells (across, down) of structure may remain. A cell is a share of the face's short side, so
    that a large face keeps as little as a small one. ``black``: the plane's value for black. ``pixels`` are uint8, or
    uint16 where a sample has more than 8 bits.
    """

    pixels: Plane
    cells: tuple[int, int]
    black: int


class Redactor(Protocol):
    """Makes the pixels that replace a face, plane by plane."""

    def content(self, patch: Patch) -> Plane:
        """A plane of the patch's shape and type (uint8 or uint16). ``patch.pixels`` must not be changed."""
        ...
