"""``farm audit``: look for faces in the output of a job, and write down what was done and why."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.jobs import JsonOption
from farm.cli.redo import DetectorOption, QualityOption, SizeOption, ThresholdOption, changed_detect
from farm.errors import JobFailed, OutputError, SettingsError

if TYPE_CHECKING:
    from farm.jobs.context import Context


_KINDS = (".json", ".csv", ".html")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("audit")(audit)


def audit(
    job: Annotated[str, typer.Argument(metavar="JOB|OUTPUT", help="The id of a job, or the file that it published.")],
    quality: QualityOption = None,
    detector: DetectorOption = None,
    detect_size: SizeOption = None,
    threshold: ThresholdOption = None,
    every: Annotated[
        int | None, typer.Option(metavar="FRAMES", min=1, help="Look at one frame of so many. Default: seven a second.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a face is seen outside the masks.")] = False,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a .json (the record of the job), .csv (its exemptions) or .html (faces). May be repeated.",
        ),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the record with an Ed25519 key in PEM, to FILE.json.sig.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for faces in the output of a job, outside its masks and outside tracks that are kept.

    What a detector does not see, this does not find: watch the output, too.
    """
    from farm.cli import display
    from farm.cli.summaries import audit_lines
    from farm.jobs import auditing
    from farm.local.attach import FarmAtHand
    from farm.settings import load_settings

    paths = outputs or []
    _check(paths, sign, overwrite=overwrite)
    settings = load_settings()
    given = {"quality": quality, "detector": detector, "size": detect_size, "threshold": threshold}
    change = changed_detect(settings, given, quiet=as_json)
    with closing(FarmAtHand(settings, display.tell, start=True)) as farm:
        found_job = _job_of(farm.context, job)
        found = auditing.audit(farm.context, found_job, change, every, farm.waiting(found_job, "audit"))
        for path in paths:
            _write(farm.context, found_job, found, path, sign)
    if as_json:
        display.print_json({"job": found_job, **found})
    else:
        for line in audit_lines(found, found_job):
            display.output.print(line, soft_wrap=True, markup=False)
    if strict and found["faces"]:
        raise JobFailed(f"job {found_job}: its output shows faces outside the masks: {len(found['faces'])}")


def _check(paths: Sequence[Path], sign: Path | None, *, overwrite: bool) -> None:
    """Raise OutputError, SettingsError for files that cannot be written, before anything is done."""
    from farm.files import check_free
    from farm.jobs.record import signature

    for path in paths:
        if path.suffix.lower() not in _KINDS:
            raise OutputError(f"{path}: an audit is written to a {', '.join(_KINDS)} file", hint="choose another name")
        for one in (path, _signed(path)) if sign else (path,):
            check_free(one, overwrite=overwrite)
    if sign is not None:
        if not any(path.suffix.lower() == ".json" for path in paths):
            raise SettingsError("--sign signs the record", hint="add -o NAME.json")
        signature(b"", sign)


def _write(context: "Context", job: str, found: dict[str, Any], path: Path, sign: Path | None) -> None:
    from farm.files import whole_file
    from farm.jobs.record import dumped, exemptions, record, signature
    from farm.preview.audit import audit_page

    match path.suffix.lower():
        case ".json":
            content = dumped(record(context, job))
        case ".csv":
            content = exemptions(context, job).encode()
        case _:
            content = audit_page(context, job, found)
    with whole_file(path) as file:
        file.write_bytes(content)
    if sign is not None and path.suffix.lower() == ".json":
        with whole_file(_signed(path)) as file:
            file.write_bytes(signature(content, sign))


def _signed(path: Path) -> Path:
    return path.with_name(path.name + ".sig")


def _job_of(context: "Context", named: str) -> str:
    from farm.jobs.auditing import job_of_output
    from farm.jobs.queries import job_facts

    path = Path(named)
    return job_of_output(context, path) if path.is_file() else job_facts(context, named).id
