"""Regions with their times as people write them, and the edits that are given when a video is submitted."""

from dataclasses import dataclass
from pathlib import Path

from farm.domain.time import seconds_of
from farm.errors import EditError

#: Seconds from and to; None: from the beginning, to the end.
Span = tuple[float | None, float | None]


def region_of(text: str) -> tuple[str, Span]:
    """A region with its time, ``x,y,w,h@FROM-TO``; without ``@`` it holds from the beginning to the end.

    A polygon is its corners, ``x,y x,y x,y``.

    Only the time is read, as of :func:`farm.domain.time.seconds_of`. Raises EditError.
    """
    box, at, times = text.partition("@")
    if not at:
        return box, (None, None)
    begins, dash, ends = times.partition("-")
    try:
        span = tuple(seconds_of(part) if part.strip() else None for part in (begins, ends))
    except ValueError as e:
        raise EditError(f'"{text}": {e}') from e
    if not dash or span == (None, None):
        raise EditError(
            f'"{text}": "{times}" is no time', hint="write x,y,w,h@FROM-TO, such as 10%,20%,5%,8%@0:10-0:14.5"
        )
    return box, (span[0], span[1])


@dataclass(frozen=True, slots=True)
class Asked:
    """Edits that are given when a video is submitted.

    ``cover``, ``ignore``, ``only``: regions, see :func:`region_of`. ``detections``: a file that the
    masks come from, of a ``form``; None: by its name. ``author``: of all of them.
    """

    cover: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    detections: Path | None = None
    form: str | None = None
    author: str = ""

    @property
    def covers(self) -> bool:
        """Whether anything is covered where no face is found."""
        return bool(self.cover or self.detections)

    def check(self) -> None:
        """Raise EditError for what cannot be right of any video."""
        for text in (*self.cover, *self.ignore, *self.only):
            region_of(text)
