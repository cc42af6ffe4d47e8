"""``farm verify``: compares an output with its source, without a farm."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.jobs import JsonOption
from farm.domain.options import SourceOptions
from farm.domain.printable import shown
from farm.errors import SettingsError, SourceError, VerificationError

if TYPE_CHECKING:
    from farm.jobs.proving import Proof
    from farm.media.verifying.comparison import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    source: Annotated[Path | None, typer.Argument(metavar="SOURCE", help="The original video.")] = None,
    output: Annotated[Path | None, typer.Argument(metavar="OUTPUT", help="Its redacted copy.")] = None,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="JOB", help="A job that is done, in place of SOURCE and OUTPUT."),
    ] = None,
    video: Annotated[
        int | None,
        typer.Option("--video", metavar="INDEX", help="The stream of SOURCE that was redacted with --video."),
    ] = None,
    part: Annotated[bool, typer.Option("--part", help="OUTPUT may hold only a part or a sample of SOURCE.")] = False,
    lowest: Annotated[
        float,
        typer.Option("--psnr", metavar="DB", help="Minimum quality of the unchanged areas, in dB PSNR, in every 10 s."),
    ] = 24.0,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads for decoding.")] = 1,
    resize_to: Annotated[
        str | None,
        typer.Option("--resize-to", metavar="SIZE", help="As for farm submit, if OUTPUT was made with it."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every property that was compared.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that a redacted video differs from its source only where it was redacted.

    Prints one line if it does, and one for each property that "differs" in a way that can be chosen (another codec,
    size, pixel format, no sound, fewer tags, black frames, nothing changed at all) or has "failed", which is always an
    error (frames, times, order of decoding, packets of copied streams, colour, HDR, aspect, orientation, fields,
    damage, pictures that are not the source's).
    With --job, the job's artefacts are checked first: that the source is the file that was submitted, that every stage
    read what the stage before it wrote, that nothing in the store is damaged, and that the output is what was composed.
    Sound that was edited is compared as the job's edits say; without --job it is another one than the source's.
    The exit code is 0 when nothing failed, 9 when something did, 3 when a file is missing or cannot be read.

    With --json one object: source, output, verified, frames, source_frames, changed_frames, changed (share of the
    picture), psnr (dB of the rest, null where nothing differs), findings (each: name, verdict, text), windows (10 s
    each: start, frames, changed, psnr). With --job also: job, chain (each: name, holds, text).
    """
    from farm.cli import display
    from farm.media.reading.limits import Limits
    from farm.media.verifying.further import compare_all
    from farm.settings import load_settings

    if (job is None) == (source is None or output is None) or (job is not None and source is not None):
        raise SettingsError("name SOURCE and OUTPUT, or a job with --job", hint="farm verify --help")
    proof = proved(job, as_json=as_json) if job else None
    if proof is not None:
        source, output, part, resize_to = proof.source, proof.output, proof.part, proof.resize_to
        if proof.pictures:
            return
    assert source is not None
    assert output is not None
    check_files(source, output)
    if not 0 <= lowest <= 100 or not 1 <= threads <= 256:
        raise SettingsError("--psnr must be from 0 to 100, --threads from 1 to 256")
    limits = Limits.of(load_settings())
    edits = proof.sound if proof else None
    video = proof.video if proof else video
    asked = SourceOptions(**SourceOptions.parsed({"resize_to": resize_to})).resize_to
    found = compare_all(
        source, output, part=part, lowest=lowest, threads=threads, limits=limits, sound=edits, video=video,
        resize_to=asked
    )  # fmt: skip
    if as_json:
        display.print_json(facts(found) | chain(proof))
    else:
        print_findings(found, verbose=verbose)
    check_held(found, part=part)


def check_files(source: Path, output: Path) -> None:
    """Raises SourceError, SettingsError for an output that cannot be compared with this source."""
    if output.is_dir():
        hint = "it compares videos; pictures written with --frames were checked when they were written"
        raise SourceError(f"{output}: is a folder", hint=hint)
    if source.exists() and output.exists() and source.samefile(output):
        raise SettingsError(f"{output}: is the source itself", hint="name the source first, then its redacted copy")


def print_findings(found: "Comparison", *, verbose: bool) -> None:
    """A line if nothing failed, and one for each property that differs; for each at all if ``verbose``."""
    from farm.media.verifying.comparison import OK

    if found.holds:
        typer.echo(verdict(found))
    for finding in found.findings:
        if verbose or (finding.verdict != OK and finding.name != "redaction"):
            typer.echo(shown(f"{finding.verdict:8}{finding.name}: {finding.text}"))


def check_held(found: "Comparison", *, part: bool) -> None:
    """Raises VerificationError, naming what failed, unless the comparison holds."""
    from farm.media.verifying.comparison import FAILED

    if found.holds:
        return
    failed = [f.name for f in found.findings if f.verdict == FAILED]
    raise VerificationError(
        f"{found.output}: differs from {found.source} in more than its faces: {', '.join(failed)}",
        hint=None if part or "frames" not in failed else "use --part if it is a part or a sample of the source",
    )


def proved(job: str, *, as_json: bool) -> "Proof":
    """The job's chain, printed. Raises VerificationError where it does not hold."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.proving import prove
    from farm.settings import load_settings

    proof = prove(open_context(load_settings()), job)
    if as_json and (proof.pictures or not proof.holds):
        display.print_json({"source": str(proof.source), "output": str(proof.output), **chain(proof)})
    elif not as_json:
        for link in proof.links:
            typer.echo(shown(f"{'ok' if link.holds else 'failed':8}{link.name}: {link.text}"))
    if not proof.holds:
        failed = ", ".join(link.name for link in proof.links if not link.holds)
        raise VerificationError(f"job {proof.job}: the chain from {proof.source} to {proof.output} is broken: {failed}")
    return proof


def chain(proof: "Proof | None") -> dict[str, Any]:
    """A job's chain as JSON."""
    if proof is None:
        return {}
    return {"job": proof.job, "chain": [{"name": x.name, "holds": x.holds, "text": x.text} for x in proof.links]}


def verdict(found: "Comparison") -> str:
    """The line on an output in which nothing failed."""
    from farm.media.verifying.comparison import DIFFERS

    if found.changed_frames:
        changed = f"changed in {found.changed_frames} frames"
    else:
        changed = "but no change was found in any of them (does it show a face?)"
    others = any(f.verdict == DIFFERS and f.name != "redaction" for f in found.findings)
    rest = "the rest as in the source, except what is listed below" if others else "everything else as in the source"
    quality = f" ({found.psnr:.1f} dB)" if found.psnr is not None and math.isfinite(found.psnr) else ""
    return f"ok: {found.frames} of {found.source_frames} frames, {changed}; {rest}{quality}"


def facts(found: "Comparison") -> dict[str, Any]:
    """A comparison as JSON. Times are in seconds, exact fractions as text."""
    return {
        "source": str(found.source),
        "output": str(found.output),
        "verified": found.holds,
        "frames": found.frames,
        "source_frames": found.source_frames,
        "changed_frames": found.changed_frames,
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
