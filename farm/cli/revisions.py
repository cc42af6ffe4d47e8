"""Commands that let the masks of a job into its output: approve them, and redact again what changed."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from farm.cli.commands import RedactCommand
from farm.cli.edits import AuthorOption, ReasonOption
from farm.cli.jobs import JobArgument, JsonOption
from farm.processes import who


def register(top: typer.Typer) -> None:
    """Add the commands to ``top``."""
    top.command("approve")(approve)
    top.command("redact", cls=RedactCommand)(redact)


def approve(
    job: JobArgument,
    reason: ReasonOption = "",
    author: AuthorOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a job go on that waits for review, with the edits that it has."""
    from farm.jobs.context import open_context
    from farm.jobs.edits import approve as approve_job
    from farm.settings import load_settings

    found = approve_job(open_context(load_settings()), job, author or who(), reason)
    go_on(found, detach=detach, as_json=as_json)


def redact(
    job: JobArgument,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Redact a job again after edits: only the chunks whose masks changed are encoded.

    With --detections FILE, redact a video by the masks of a file: as `farm submit --detections`, with its options.
    """
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.edits import revise
    from farm.jobs.queries import job_facts
    from farm.settings import load_settings

    context = open_context(load_settings())
    found, changed = revise(context, job)
    if changed:
        go_on(found, detach=detach, as_json=as_json)
    elif as_json:
        display.print_json(job_facts(context, found).row())
    else:
        display.output.print(f"job {found}: its output contains all edits; nothing was done")


def go_on(job: str, *, detach: bool, as_json: bool) -> None:
    """Follow a job on the running farm, or on one that is started for it."""
    from farm.cli import display
    from farm.cli.batch import interrupted
    from farm.cli.summaries import summary
    from farm.jobs.queries import check_done, job_facts
    from farm.local.attach import FarmAtHand
    from farm.local.farm import why_jobs_wait
    from farm.settings import load_settings

    with closing(FarmAtHand(load_settings(), display.tell, start=not detach)) as farm:
        if detach:
            display.output.print(f"job {job}: farm watch {job}", soft_wrap=True)
            if waits := why_jobs_wait(farm.context):
                display.errors.print(waits, soft_wrap=True)
            return
        facts = job_facts(farm.context, job)
        began = farm.context.clock()
        place = display.Place(Path(facts.source).name)
        try:
            facts = display.Watcher(farm.context, job, farm.tend, quiet=as_json, place=place).follow()
        except KeyboardInterrupt:
            display.errors.print(interrupted(farm, job), soft_wrap=True)
            raise
    if as_json:
        display.print_json(facts.row())
    check_done(facts)
    if not as_json:
        display.print_summary(summary(facts, max(0.0, (facts.finished_at or began) - began)))
