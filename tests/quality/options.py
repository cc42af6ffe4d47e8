"""What the command line of ``python -m tests.quality`` says."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """``limit``: measure on this many faces, pictures, frames or clips only; 0 is all. ``work``: redacted clips
    are kept there and used again.

    ``settings``: a JSON file with settings to compare, instead of those of :mod:`tests.quality.settings`.
    """

    limit: int
    work: Path
    settings: Path | None = None
