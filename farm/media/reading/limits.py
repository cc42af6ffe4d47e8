"""Limits on the size and the length of a source, whatever its header states."""

from dataclasses import dataclass
from math import inf

from farm.errors import SourceError

_HINT = "FARM_MAX_PIXELS and FARM_MAX_HOURS raise the limits"


@dataclass(frozen=True, slots=True)
class Limits:
    """Most ``pixels`` of a picture and ``seconds`` of a video: more is refused before memory is allocated for it."""

    pixels: int = 2 * 8192 * 8192
    seconds: float = 48 * 3600.0

    def check_size(self, where: object, width: int, height: int) -> None:
        """Raises SourceError for a picture of more pixels. ``where``: the file."""
        if width * height > self.pixels:
            raise SourceError(
                f"{where}: its pictures are {width}x{height} pixels; at most {self.pixels} pixels are allowed",
                hint=_HINT,
            )

    def check_length(self, where: object, seconds: float) -> None:
        """Raises SourceError for a video of more seconds. ``where``: the file."""
        if seconds > self.seconds:
            raise SourceError(f"{where}: is {seconds:.0f} s long; at most {self.seconds:.0f} s are allowed", hint=_HINT)


NO_LIMITS = Limits(2**62, inf)
