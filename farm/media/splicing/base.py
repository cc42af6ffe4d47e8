"""What every codec's splicing provides: see :mod:`farm.media.splicing.table` for which there are."""

from typing import Any, Protocol

from av.packet import Packet


class Splicer(Protocol):
    """Copies packets of one source. An encoded run of frames, and a copied one, begin with a frame that decodes alone.

    Made of the source's header, and whether metadata is kept; ValueError is raised for a source that cannot be spliced.
    """

    def parameters(self, encoder: dict[str, str], depth: int) -> dict[str, str]:
        """The encoder's options, changed so that what it writes can stand beside the source's packets.

        ``depth``: how many places the source's frames are reordered by.
        """
        ...

    def header(self, encoded: bytes) -> bytes:
        """The header of a segment. ``encoded``: the encoder's own. Raises ValueError for one that does not fit."""
        ...

    def encoded(self, packet: bytes) -> bytes:
        """A packet of the encoder as it is written. Call it after :meth:`header`. Raises ValueError for an odd one."""
        ...

    def copied(self, packet: bytes) -> bytes:
        """A packet of the source as it is written: the same bytes, unless it holds metadata that is not kept."""
        ...

    def begins(self, packet: bytes) -> bool:
        """Whether a packet of the source begins a group: neither it nor what follows depends on what precedes it."""
        ...

    def fault(self, packet: "Packet[Any]") -> str | None:
        """Why a packet of the source cannot be copied; None if it can."""
        ...

    def changes(self, packet: "Packet[Any]") -> bool:
        """Whether a packet changes what decodes the packets after it: nothing behind it can be copied."""
        ...
