"""What every codec's splicing provides: see :mod:`farm.media.splicing.table` for which there are."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
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


class WithoutHeader:
    """What splicers of codecs have in common whose streams have no header and nothing that outlasts a key frame."""

    def parameters(self, encoder: dict[str, str], depth: int) -> dict[str, str]:
        """See :meth:`Splicer.parameters`."""
        del depth
        return encoder

    def header(self, encoded: bytes) -> bytes:
        """See :meth:`Splicer.header`."""
        return encoded

    def encoded(self, packet: bytes) -> bytes:
        """See :meth:`Splicer.encoded`."""
        return packet

    def changes(self, packet: "Packet[Any]") -> bool:
        """See :meth:`Splicer.changes`."""
        return packet.has_sidedata("new_extradata")


def with_parameters(encoder: dict[str, str], option: str, given: Iterable[str]) -> dict[str, str]:
    """An encoder's options with more parameters in the list that one of them, ``option``, is."""
    return {**encoder, option: ":".join(filter(None, (encoder.get(option), *given)))}


def free_id(used: AbstractSet[int], most: int) -> int:
    """The least id from 1 to ``most`` that no parameter set has. Raises ValueError where there is none."""
    free = next((number for number in range(1, most + 1) if number not in used), None)
    if free is None:
        raise ValueError("its parameter sets leave no id free")
    return free
