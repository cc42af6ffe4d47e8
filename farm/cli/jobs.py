"""Commands for existing jobs: status, list, watch, cancel, pause, resume, retry."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.commands import job_ids
from farm.domain.lifecycle import JobEvent
from farm.domain.printable import shown
from farm.domain.stages import JobStatus

if TYPE_CHECKING:
    from farm.jobs.context import Context

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=job_ids, help="Id of the job, or its first characters.")
]
OptionalJob = Annotated[
    str | None,
    typer.Argument(metavar="[JOB]", autocompletion=job_ids, help="Id of a job, or its first characters."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_NEWEST = 20


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("status")(status)
    app.command("list")(list_all)
    app.command("watch")(watch)
    for event, text in (
        (JobEvent.CANCEL, "Cancel a job; `farm retry` resumes it."),
        (JobEvent.PAUSE, "Pause a job after the chunks in progress."),
        (JobEvent.RESUME, "Resume a paused job."),
        (JobEvent.RETRY, "Resume a failed or cancelled job."),
    ):
        _add_control(app, event, text)


def _add_control(app: typer.Typer, event: JobEvent, text: str) -> None:
    @app.command(event.value, help=text)
    def change(job: JobArgument, as_json: JsonOption = False) -> None:
        from farm.cli import display
        from farm.jobs.context import open_context
        from farm.jobs.control import control
        from farm.local.farm import why_jobs_wait
        from farm.settings import load_settings

        context = open_context(load_settings())
        found, now = control(context, job, event)
        if as_json:
            display.print_json({"id": found, "status": now.value})
        else:
            display.output.print(f"job {found}: {now.value}")
        if event in (JobEvent.RETRY, JobEvent.RESUME) and (waits := why_jobs_wait(context)):
            display.errors.print(waits, soft_wrap=True)


def status(job: OptionalJob = None, as_json: JsonOption = False) -> None:
    """Show the workers, the unfinished jobs and the size of the store, or one job in detail."""
    from farm.jobs.context import open_context
    from farm.settings import load_settings

    context = open_context(load_settings())
    if job is None:
        _farm_status(context, as_json=as_json)
    else:
        _job_status(context, job, as_json=as_json)


def _job_status(context: "Context", job: str, *, as_json: bool) -> None:
    from farm.cli import display, tables
    from farm.jobs import queries
    from farm.jobs.recognition import biometric

    facts, events = queries.job_facts(context, job), queries.job_events(context, job)
    held = biometric(context, facts.id)
    if as_json:
        rows = [{"at": queries.iso_time(at), "text": text} for at, text in events]
        display.print_json({**facts.row(), "biometric": held, "events": rows})
        return
    for line in (*tables.job_details(facts), *(f"  biometric: {what}" for what in held)):
        display.output.print(line, soft_wrap=True)
    for at, text in events:
        display.output.print(f"{tables.moment(at, '%Y-%m-%d %H:%M:%S')}  {shown(text)}", soft_wrap=True)


def _farm_status(context: "Context", *, as_json: bool) -> None:
    from rich.filesize import decimal

    from farm.cli import display, tables
    from farm.jobs import queries
    from farm.jobs.retention import stored
    from farm.jobs.workers import list_workers
    from farm.local.farm import NO_FARM, missing_part
    from farm.local.home import is_running, running_farm

    settings = context.settings
    unfinished = [s for s in JobStatus if not s.over]
    workers, jobs = list_workers(context), queries.list_jobs(context, unfinished)
    running = is_running(settings) if settings.embedded else None
    held, counts, refused = stored(context), queries.count_jobs(context), queries.refused_messages(context)
    if as_json:
        coordinated = running is not False and queries.coordinator_silence(context) == 0
        listed = {"running": running, "coordinator": coordinated, "workers": [w.row() for w in workers]}
        told = [{"at": queries.iso_time(at), "text": text} for at, text in refused]
        counted = {"job_counts": counts, "store": asdict(held), "refused_messages": told}
        display.print_json({**listed, "jobs": [j.row() for j in jobs], **counted})
        return
    if settings.embedded:
        display.output.print("the farm is running" if running else NO_FARM)
    if (running or not settings.embedded) and (missing := missing_part(context)):
        display.output.print(missing, soft_wrap=True)
    if (farm_here := running_farm(settings)) and farm_here.flower:
        display.output.print(f"Flower: {farm_here.flower}")
    for worker in workers:
        display.output.print(f"worker {worker.name}: {'alive' if worker.alive else 'gone'}, pid {worker.pid}")
    for at, text in refused:
        display.output.print(f"{tables.moment(at, '%Y-%m-%d %H:%M:%S')}  {shown(text)}", soft_wrap=True, markup=False)
    if jobs:
        display.print_lines(partial(tables.job_lines, jobs))
    else:
        display.output.print("no unfinished jobs")
    if counts:
        text = ", ".join(f"{count} {status}" for status, count in counts.items())
        display.output.print(f"store: {decimal(held.size)} in {held.files} files; jobs: {text}", soft_wrap=True)


def list_all(
    every: Annotated[bool, typer.Option("--all", help=f"Show all, not only the newest {_NEWEST}.")] = False,
    status: Annotated[
        list[JobStatus] | None,
        typer.Option(metavar="STATUS", help=f"Only jobs that are {', '.join(JobStatus)}. May be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, newest first.

    In a pipe one line per job, separated by tabs: id, status, percent, time, frames, source, output.
    """
    from farm.cli import display, tables
    from farm.jobs.context import open_context
    from farm.jobs.queries import list_jobs
    from farm.settings import load_settings

    limit = None if every else _NEWEST + 1
    jobs = list_jobs(open_context(load_settings()), status or tuple(JobStatus), limit)
    more, jobs = not every and len(jobs) > _NEWEST, jobs if every else jobs[:_NEWEST]
    if as_json:
        display.print_json([j.row() for j in jobs])
    elif jobs:
        display.print_lines(partial(tables.job_lines, jobs))
    else:
        display.output.print(f"no jobs that are {' or '.join(status)}" if status else "no jobs yet")
    if more:
        display.errors.print(f"these are the newest {_NEWEST}; --all shows all", soft_wrap=True)


def watch(job: JobArgument, as_json: JsonOption = False) -> None:
    """Show the progress of a job until it ends; Ctrl-C stops watching, not the job."""
    from farm.cli import display
    from farm.cli.summaries import summary
    from farm.jobs.context import open_context
    from farm.jobs.queries import check_done, job_facts
    from farm.settings import load_settings

    context = open_context(load_settings())
    before = job_facts(context, job)
    place = display.Place(Path(before.source).name)
    facts = display.Watcher(context, before.id, lambda: None, quiet=as_json, place=place).follow()
    if as_json:
        display.print_json(facts.row())
    check_done(facts)
    if not as_json:
        display.print_summary(summary(facts, (facts.finished_at or 0) - facts.created_at))
