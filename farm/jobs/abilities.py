"""What the workers of a farm can do: the encoders and the runtimes that they have."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sqlalchemy import select

from farm import processes
from farm.database.models import Job, Worker
from farm.database.statuses import worker_status
from farm.domain.detectors import DetectOptions
from farm.domain.option import listed
from farm.domain.options import JobOptions
from farm.domain.quality import resolved
from farm.domain.runtimes import RUNTIMES, fastest
from farm.domain.stages import JobStatus, Work, stage_at, work_named
from farm.errors import DeviceError, FarmError, ModelError, SettingsError
from farm.jobs.context import Context, open_context
from farm.media.encoding.encoders import ENCODERS
from farm.settings import Settings

_SECONDS = 120  # a GPU's driver may take a while to start
_CANNOT = "the abilities of this machine cannot be determined"


@dataclass(frozen=True, slots=True)
class Abilities:
    """``encoders``: FFmpeg's names; ``runtimes``: of :data:`farm.domain.runtimes.RUNTIMES`."""

    encoders: frozenset[str]
    runtimes: frozenset[str]


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


class Machine:
    """This machine as the program of the workers sees it, which is asked while this process does something else."""

    def __init__(self, settings: Settings) -> None:
        """Start the program. Raises DeviceError."""
        self._question = Question(settings, _CANNOT, "--abilities")

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        try:
            found: dict[str, list[str]] = json.loads(self._question.answer())
        except ValueError as e:
            raise DeviceError(f"{_CANNOT}: {e}") from e
        return found

    @property
    def devices(self) -> list[str]:
        """The names of the devices of the setting ``devices``. Raises DeviceError for one that is not there,
        SettingsError.
        """
        return self._found["devices"]

    @property
    def abilities(self) -> Abilities:
        """What workers of these devices will report. Raises DeviceError, SettingsError."""
        return Abilities(frozenset(self._found["encoders"]), frozenset(self._found["runtimes"]))

    @property
    def of_each(self) -> dict[str, list[str]] | None:
        """The abilities of a worker of any of these devices as JSON; None where they may differ."""
        if not all(name.startswith("cpu") for name in self.devices):
            return None
        return {name: self._found[name] for name in ("encoders", "runtimes")}


def try_detector(settings: Settings, options: DetectOptions) -> None:
    """Run those networks once on this machine that only running proves: a user's own files, another project's.

    Raises ModelError, DeviceError, SettingsError: the line of what is wrong.
    """
    for one in resolved(options).networks:
        if one.network.argument:
            ask_workers(settings, f"{one.written} cannot be tried", f"--detector={one.written}")


class Question:
    """A question to the program of the workers on this machine, which takes it a moment to answer."""

    def __init__(self, settings: Settings, cannot: str, *words: str) -> None:
        """``cannot``: the beginning of an error where it does not answer. Raises DeviceError."""
        root, self._cannot = Path("/"), cannot
        try:
            self._process = subprocess.Popen(
                processes.module("workers", settings.devices, *words),
                cwd=root,
                env=processes.environment(root),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for this process
                preexec_fn=processes.dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
            )
        except OSError as e:
            raise DeviceError(f"{cannot}: {e}") from e

    def answer(self, timeout: float = _SECONDS) -> str:
        """What it says. Raises DeviceError, and what the program ended with: ModelError, SettingsError."""
        try:
            answer, said = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as e:
            processes.kill(self._process)
            raise DeviceError(f"{self._cannot}: {e}") from e
        if self._process.returncode:
            raise _refusal(self._process.returncode, said)
        return answer


def devices_of(settings: Settings) -> list[str]:
    """The names of the devices of the setting ``devices``. Raises DeviceError where one is not there, SettingsError."""
    return ask_workers(settings, "the devices of this machine cannot be determined", "--list").split()


def ask_workers(settings: Settings, cannot: str, *words: str, timeout: float = _SECONDS) -> str:
    """Ask, and wait for the answer: see :class:`Question`."""
    return Question(settings, cannot, *words).answer(timeout)


def _refusal(status: int, said: str) -> FarmError:
    """The error with which the workers' program ended, from its exit status and what it said."""
    line = (said.strip().splitlines() or [f"the workers cannot run here: they ended with {status}"])[-1]
    kind = next((kind for kind in (SettingsError, ModelError) if status == kind.exit_code), DeviceError)
    return kind(line.removeprefix("error: "))


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
