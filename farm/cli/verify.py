"""``farm verify``: compares an output with its source, without a farm."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.jobs import JsonOption
from farm.domain.printable import shown
from farm.errors import SettingsError, VerificationError
from farm.settings import load_settings

if TYPE_CHECKING:
    from farm.media.verifying.comparing import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The original video.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Its redacted copy.")],
    part: Annotated[bool, typer.Option("--part", help="OUTPUT may hold only a part or a sample of SOURCE.")] = False,
    lowest: Annotated[
        float,
        typer.Option("--psnr", metavar="DB", help="Minimum quality of the unchanged areas, in dB PSNR, in every 10 s."),
    ] = 24.0,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads for decoding.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Check that a redacted video differs from its source only where it was redacted.

    One line a property: "ok"; "differs": as it may have been chosen (another codec, size, pixel format, no sound,
    fewer tags, black frames, nothing changed at all); or "failed": never right (frames, times, order of decoding,
    packets of copied streams, colour, HDR, aspect, orientation, fields, damage, pictures that are not the source's).
    The exit code is 0 when nothing failed, 9 when something did, 3 when the source cannot be read.

    With --json one object: source, output, verified, frames, changed (share of the picture), psnr (dB of the rest, null
    where nothing differs), findings (each: name, verdict, text), windows (10 s each: start, frames, changed, psnr).
    """
    from farm.cli import display
    from farm.media.reading.limits import Limits
    from farm.media.verifying.comparing import FAILED, compare

    if not 0 <= lowest <= 100 or not 1 <= threads <= 256:
        raise SettingsError("--psnr is 0 to 100 dB, --threads 1 to 256")
    settings = load_settings()
    limits = Limits(settings.max_pixels, settings.max_hours * 3600)
    found = compare(source, output, part=part, lowest=lowest, threads=threads, limits=limits)
    if as_json:
        display.print_json(facts(found))
    else:
        for finding in found.findings:
            typer.echo(shown(f"{finding.verdict:8}{finding.name}: {finding.text}"))
    if not found.holds:
        failed = [f.name for f in found.findings if f.verdict == FAILED]
        raise VerificationError(
            f"{output}: is not {source} but for what was redacted: {', '.join(failed)}",
            hint=None if part or "frames" not in failed else "if it is a part or a sample of it: --part",
        )


def facts(found: "Comparison") -> dict[str, Any]:
    """A comparison as JSON. Times are in seconds, exact fractions as text."""
    return {
        "source": str(found.source),
        "output": str(found.output),
        "verified": found.holds,
        "frames": found.frames,
        "changed": found.changed,
        "psnr": _finite(found.psnr),
        "findings": [{"name": f.name, "verdict": f.verdict, "text": f.text} for f in found.findings],
        "windows": [
            {"start": str(w.start), "frames": w.frames, "changed": w.changed, "psnr": _finite(w.psnr)}
            for w in found.windows
        ],
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return round(value, 3) if value is not None and math.isfinite(value) else None
