"""Commands for existing jobs: status, list, watch, cancel, pause, resume, retry."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from farm.domain.lifecycle import JobEvent
from farm.settings import load_settings

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or the beginning of it.")]
OptionalJob = Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; without it: the whole farm.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("status")(status)
    app.command("list")(list_all)
    app.command("watch")(watch)
    for event, text in (
        (JobEvent.CANCEL, "Stop a job for good; what is finished is kept for `farm retry`."),
        (JobEvent.PAUSE, "Hand out no more of a job; chunks under way are finished."),
        (JobEvent.RESUME, "Let a paused job go on."),
        (JobEvent.RETRY, "Let a failed or cancelled job go on where it stopped."),
    ):
        _add_control(app, event, text)


def _add_control(app: typer.Typer, event: JobEvent, text: str) -> None:
    @app.command(event.value, help=text)
    def change(job: JobArgument, as_json: JsonOption = False) -> None:
        from farm.cli import display
        from farm.jobs.context import open_context
        from farm.jobs.control import control

        found, now = control(open_context(load_settings()), job, event)
        if as_json:
            display.print_json({"id": found, "status": now.value})
        else:
            display.output.print(f"job {found}: {now.value}")


def status(job: OptionalJob = None, as_json: JsonOption = False) -> None:
    """Show one job in full, or the farm: workers and unfinished jobs."""
    from farm.cli import display
    from farm.jobs import queries
    from farm.jobs.context import open_context
    from farm.local.farm import is_running, missing_part, running_farm

    settings = load_settings()
    context = open_context(settings)
    if job is not None:
        facts, events = queries.job_facts(context, job), queries.job_events(context, job)
        if as_json:
            rows = [{"at": at, "text": text} for at, text in events]
            display.print_json({**facts.row(), "events": rows})
            return
        display.output.print(display.jobs_table([facts]))
        for at, text in events:
            moment = datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            display.output.print(f"{moment}  {text}", soft_wrap=True)
        return
    workers, jobs = queries.list_workers(context), [j for j in queries.list_jobs(context) if not j.over]
    running = is_running(settings) if settings.embedded else None
    if as_json:
        rows = [asdict(w) for w in workers]
        coordinated = running is not False and queries.coordinator_silence(context) == 0
        farm = {"running": running, "coordinator": coordinated}
        display.print_json({**farm, "workers": rows, "jobs": [j.row() for j in jobs]})
        return
    if settings.embedded:
        display.output.print("the farm is running" if running else "no farm is running here: `farm up`")
    if (running or not settings.embedded) and (missing := missing_part(context)):
        display.output.print(missing, soft_wrap=True)
    if (farm_here := running_farm(settings)) and farm_here.flower:
        display.output.print(f"Flower: {farm_here.flower}")
    for worker in workers:
        display.output.print(f"worker {worker.name}: {'alive' if worker.alive else 'gone'}, pid {worker.pid}")
    display.output.print(display.jobs_table(jobs) if jobs else "no unfinished jobs")


def list_all(as_json: JsonOption = False) -> None:
    """Show all jobs, newest first."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.queries import list_jobs

    jobs = list_jobs(open_context(load_settings()))
    if as_json:
        display.print_json([j.row() for j in jobs])
    else:
        display.output.print(display.jobs_table(jobs) if jobs else "no jobs yet")


def watch(job: JobArgument, as_json: JsonOption = False) -> None:
    """Follow a job until it is over; Ctrl-C stops watching, not the job."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.queries import job_facts

    context = open_context(load_settings())
    found = job_facts(context, job).id
    facts = display.Watcher(context, found, lambda: None, quiet=as_json).follow()
    if as_json:
        display.print_json(facts.row())
    display.check_done(facts)
    if not as_json:
        display.output.print(display.summary(facts, (facts.finished_at or 0) - facts.created_at), soft_wrap=True)
