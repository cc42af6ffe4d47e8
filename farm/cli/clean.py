"""``farm clean``: deletes what is left of jobs that have ended."""

from dataclasses import asdict
from typing import Annotated

import typer

from farm.cli.jobs import JsonOption
from farm.domain.time import seconds_of
from farm.errors import SettingsError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean")(clean)


def clean(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Minimum time since a job ended: 7d, 12h, 0. Default: retain_artefacts."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; show what would be deleted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what the store holds of ended jobs. Outputs, sources, and what unfinished jobs need are kept."""
    from rich.filesize import decimal

    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.retention import clean as clean_store
    from farm.settings import load_settings

    settings = load_settings()
    try:
        seconds = settings.retain_artefacts if older_than is None else seconds_of(older_than)
    except ValueError as e:
        raise SettingsError(f"--older-than {older_than}: {e}") from e
    context = open_context(settings)
    done = clean_store(context, seconds, dry_run=dry_run)
    shrunk = 0 if dry_run else context.database.compact()
    if as_json:
        parts = {name: asdict(part) for name, part in done.parts.items()}
        total = {"dry_run": dry_run, "older_than": seconds, **asdict(done.freed), "database_size": shrunk}
        display.print_json({**total, **parts, "jobs": done.jobs})
        return
    for name, part in done.parts.items():
        if part.files:
            display.output.print(f"{name}: {decimal(part.size)} in {part.files} files")
    if done.jobs:
        display.output.print(f"jobs {'to be ' if dry_run else ''}removed from the list: {done.jobs}")
    if shrunk:
        display.output.print(f"database: {decimal(shrunk)}")
    verb = "would free" if dry_run else "freed"
    display.output.print(f"{verb} {decimal(done.freed.size + shrunk)} in {done.freed.files} files")
