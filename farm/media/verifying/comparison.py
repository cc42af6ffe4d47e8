"""What a comparison of an output with its source has found."""

from dataclasses import dataclass, field
from pathlib import Path

from farm.media.verifying.compare_pictures import Window

OK, DIFFERS, FAILED = "ok", "differs", "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One property. ``verdict``: ``ok``; ``differs``: as the user may have chosen; ``failed``: not allowed."""

    name: str
    verdict: str
    text: str


@dataclass(slots=True)
class Comparison:
    """All findings. ``frames`` of the output, ``source_frames`` of the source; ``changed_frames``: how many of the
    output's differ from the source's by more than encoding explains.

    ``changed``: share of the picture that was replaced for certain; ``psnr`` of the rest, in dB. All three are None if
    no picture was compared.
    """

    source: Path
    output: Path
    frames: int = 0
    source_frames: int = 0
    changed_frames: int | None = None
    findings: list[Finding] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    changed: float | None = None
    psnr: float | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return all(finding.verdict != FAILED for finding in self.findings)

    def say(self, name: str, verdict: str, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(name, verdict, text))

    def check(self, name: str, fault: str | None, good: str) -> None:
        """Add a finding that fails with ``fault`` if there is one, and else is ok with ``good``."""
        self.say(name, FAILED if fault else OK, fault or good)
