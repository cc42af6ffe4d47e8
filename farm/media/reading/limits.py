"""Limits on the size and the length of a source, whatever its header states."""

from dataclasses import dataclass
from math import inf
from typing import Self

from farm.errors import SourceError
from farm.settings import Settings

_MOST_PIXELS = 2**31 - 1  # that libavcodec counts
_HINT = "FARM_MAX_PIXELS and FARM_MAX_HOURS raise the limits"


@dataclass(frozen=True, slots=True)
class Limits:
    """Most ``pixels`` of a picture and ``seconds`` of a video: more is refused before memory is allocated for it."""

    pixels: int = 2 * 8192 * 8192
    seconds: float = 48 * 3600.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the settings state."""
        return cls(settings.max_pixels, settings.max_hours * 3600)

    @property
    def decoder_options(self) -> dict[str, str]:
        """The option with which a decoder refuses a picture of more pixels before it allocates memory for it."""
        return {"max_pixels": str(min(self.pixels, _MOST_PIXELS))}

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
