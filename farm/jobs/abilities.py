"""What the workers of a farm can do: the encoders and the runtimes that they have."""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import select

from farm.database.models import Job, Worker
from farm.database.statuses import worker_status
from farm.domain.detectors import DetectOptions
from farm.domain.option import listed
from farm.domain.options import JobOptions
from farm.domain.quality import resolved
from farm.domain.runtimes import RUNTIMES, fastest
from farm.domain.stages import JobStatus, Work, stage_at, work_named
from farm.errors import SettingsError
from farm.jobs.context import Context, open_context
from farm.jobs.machine import Abilities, Machine, ask_workers
from farm.media.encoding.encoders import ENCODERS
from farm.settings import Settings


def usable(settings: Settings, *, running: bool) -> Abilities:
    """What jobs may be given: what live workers have reported.

    If none has: the workers of an embedded farm will run on this machine, which is asked; other workers may have any
    encoder, and the runtimes of those that reported before. ``running``: whether an embedded farm is.
    Raises DatabaseError, and DeviceError, SettingsError for devices that this machine does not have.
    """
    if running or not settings.embedded:
        context = open_context(settings)
        try:
            alive, earlier = (reported(context, alive=alive) for alive in (True, False))
        finally:
            context.database.close()
        if alive.encoders and alive.runtimes:
            return alive
        if not settings.embedded:
            return Abilities(frozenset(ENCODERS), earlier.runtimes)
    return Machine(settings).abilities


def reported(context: Context, *, alive: bool) -> Abilities:
    """What the workers that are alive, or those that are not, have reported."""
    with context.database.read() as session:
        rows = session.execute(select(Worker.encoders, Worker.runtimes).where(Worker.alive.is_(alive))).all()
    encoders, runtimes = ([name for row in rows for name in row[part]] for part in (0, 1))
    return Abilities(frozenset(encoders), frozenset(runtimes))


def try_detector(settings: Settings, options: DetectOptions) -> None:
    """Run those networks once on this machine that only running proves: a user's own files, another project's.

    Raises ModelError, DeviceError, SettingsError: the line of what is wrong.
    """
    for one in resolved(options).networks:
        if one.network.argument:
            ask_workers(settings, f"{one.written} cannot be tried", f"--detector={one.written}")


def with_runtime(options: JobOptions, able: Abilities) -> JobOptions:
    """The options of a job with its runtime fixed: the fastest that workers offer, of those that the user allows.

    Raises SettingsError if no worker offers one.
    """
    asked, name = options.detect.runtime, options.detect.options()["runtime"].name
    offered = [runtime for runtime in RUNTIMES if runtime in able.runtimes]
    # a runtime in full is taken from the user as long as no worker has reported
    chosen = fastest(offered or RUNTIMES, asked) if offered or asked in RUNTIMES else None
    if chosen is not None:
        return replace(options, detect=replace(options.detect, runtime=chosen))
    if offered:
        message = f'{name}: no worker can use "{asked}"; choose {listed(offered)}, or start a worker that can'
    else:
        message = f"{name}: no worker has reported its runtimes yet; start a worker, or choose {listed(RUNTIMES)}"
    raise SettingsError(message, field=name)


def needed(job: Job, stage: Work) -> str:
    """The encoder or the runtime that a worker must have for a stage of a job; empty if every worker will do."""
    if stage.needs == "encoder":
        return job.encoder
    if stage.needs == "runtime":
        return str(job.options.get("detect", {}).get("runtime") or "")
    return ""


def able_workers(job: Job, stage: Work, workers: Iterable[Worker]) -> list[Worker]:
    """Those workers that can do a stage of a job."""
    name = needed(job, stage)
    return [w for w in workers if not name or name in w.encoders or name in w.runtimes]


def held_back(workers: Iterable[Worker]) -> str:
    """The workers that are given no orders, each with its status, as text."""
    return ", ".join(f"{worker.name} is {worker_status(worker)}" for worker in workers if not worker.takes_orders)


def waiting_for(context: Context, job_id: str, errand: str | None = None) -> str | None:
    """What keeps a job from being worked on, as text for people: a worker that can do its stage. None if nothing.

    ``errand``: what is waited for in place of its stage.
    """
    with context.database.read() as session:
        job = session.get(Job, job_id)
        stage: Work | None = stage_at(JobStatus(job.status)) if job is not None else None
        if errand is not None:
            stage = work_named(errand)
        if job is None or stage is None or stage.by != "worker":
            return None
        workers = list(session.scalars(select(Worker).where(Worker.alive)))
        if not workers:
            return "a worker: start one with `farm up` or `farm worker`"
        able = able_workers(job, stage, workers)
        if not able:
            return f"a worker with the {stage.needs} {needed(job, stage)}: no live worker has it"
        if any(worker.takes_orders for worker in able):
            return None
        return f"a worker that takes orders: {held_back(able)}; `farm workers unblock NAME`"
