"""``farm logs``: the story of a job or of one of its chunks."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.tables import moment
from farm.domain.printable import shown

if TYPE_CHECKING:
    from farm.jobs.story import Entry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    job: JobArgument,
    chunk: Annotated[
        int | None, typer.Argument(metavar="[CHUNK]", help="Number of a chunk, as messages count it: from 1 on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to a job, or to one of its chunks, attempt by attempt.

    It combines the farm's record of every status change with the logs of this machine's processes.
    """
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.story import story
    from farm.settings import load_settings

    found = story(open_context(load_settings()), job, chunk)
    if as_json:
        display.print_json([entry.row() for entry in found])
    else:
        display.print_lines(lambda _: story_lines(found))


def story_lines(entries: Iterable["Entry"]) -> Iterator[str]:
    """The entries, one a line; the lines of a traceback follow it, indented."""
    for entry in entries:
        yield f"{moment(entry.at, '%Y-%m-%d %H:%M:%S.%f')[:-3]}  {shown(': '.join(_parts(entry)))}"
        for line in (entry.traceback or "").splitlines():
            yield f"    {shown(line)}"


def _parts(entry: "Entry") -> Iterator[str]:
    """Where, what changed, why."""
    where = [entry.stage or "", f"chunk {entry.chunk}" if entry.chunk else ""]
    where.append(f"attempt {entry.attempt}" if entry.attempt else "")
    where.append(f"on {entry.worker}" if entry.worker else "")
    if place := " ".join(filter(None, where)):
        yield place
    if entry.by != "farm":
        yield f"[{entry.by}]" if entry.kind == "info" else f"[{entry.by}, {entry.kind}]"
    if entry.after:
        change = f"{entry.before} → {entry.after}" if entry.before else entry.after
        yield change if entry.kind == "attempt" else f"{entry.kind} {change}"
    if entry.text:
        yield entry.text
