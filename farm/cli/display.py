"""Show jobs to users: a bar per stage while a job runs, a few lines when it ends, and tables."""

import json
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from farm.domain.stages import JobStatus
from farm.errors import JobFailed
from farm.jobs.context import Context
from farm.jobs.queries import JobFacts, job_facts, job_status

# file names are plain text: do not interpret them as rich's markup
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)
output = Console(highlight=False, markup=False, emoji=False)
_POLL_SECONDS = 0.2
_DRAW_SECONDS = 1.0
_SAY_SECONDS = 10.0


class _Speed(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:6.1f} frames/s" if speed else " " * 15)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:8}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        _Speed(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=errors,
        transient=True,
    )


class Watcher:
    """Follow one job until it is over, calling ``tend`` after each poll (to keep an embedded farm running)."""

    def __init__(self, context: Context, job: str, tend: Callable[[], None], *, quiet: bool) -> None:
        self._context, self._job, self._tend = context, job, tend
        self._bars = errors.is_terminal and not quiet
        self._quiet = quiet
        self._said_at = time.monotonic()

    def follow(self) -> JobFacts:
        """Follow the job and return its facts when it is over."""
        if not self._bars:
            return self._follow(self._say_waiting)
        with _progress() as progress:
            bars: dict[str, TaskID] = {}

            def draw(status: JobStatus) -> None:
                for stage in job_facts(self._context, self._job).stages:
                    if stage.chunks and stage.stage not in bars:
                        bars[stage.stage] = progress.add_task(stage.stage, total=stage.frames)
                    if stage.stage in bars:
                        progress.update(bars[stage.stage], completed=stage.frames_done)
                self._say_waiting(status)

            return self._follow(draw)

    def _follow(self, draw: Callable[[JobStatus], None]) -> JobFacts:
        """Poll the status often, which is cheap, and draw the progress less often."""
        drawn, last = 0.0, None
        while True:
            status = job_status(self._context, self._job)
            if status is not last or time.monotonic() - drawn >= _DRAW_SECONDS:
                if status is not last and not self._bars and not self._quiet:
                    errors.print(f"job {self._job}: {status}")
                draw(status)
                drawn, last = time.monotonic(), status
            if status.over:
                return job_facts(self._context, self._job)
            self._tend()
            time.sleep(_POLL_SECONDS)

    def _say_waiting(self, status: JobStatus) -> None:
        if self._quiet or status.over or time.monotonic() - self._said_at < _SAY_SECONDS:
            return
        from farm.local.farm import missing_part

        self._said_at = time.monotonic()
        if status is JobStatus.PAUSED:
            errors.print(f"job {self._job} is paused: farm resume {self._job}")
        elif (missing := missing_part(self._context)) is not None:
            errors.print(missing, soft_wrap=True)


def summary(facts: JobFacts, seconds: float) -> str:
    """Return the summary of a finished job: one line, followed by one line for each note and other fact.

    ``seconds``: how long the job took from the user's point of view.
    """
    rate = facts.frames / seconds if seconds else 0.0
    length = f"{facts.frames} frame{'' if facts.frames == 1 else 's'} ({facts.seconds:.1f} s of video)"
    parts = [f"{facts.output}: {length} in {seconds:.1f} s, {rate:.1f} frames/s"]
    parts.extend(facts.notes)
    chunks = sum(s.chunks for s in facts.stages)
    if facts.reused:
        parts.append(f"{facts.reused} of {chunks} chunks were finished before and not done again")
    if facts.failures:
        failed = "1 attempt failed and was" if facts.failures == 1 else f"{facts.failures} attempts failed and were"
        parts.append(f"{failed} repeated")
    return "\n  ".join(parts)


def check_done(facts: JobFacts) -> None:
    """Raises JobFailed unless the job is done."""
    if facts.status == "failed":
        raise JobFailed(
            f"job {facts.id} failed: {facts.reason}", hint=f"no output was published; farm retry {facts.id}"
        )
    if facts.status != "done":
        raise JobFailed(f"job {facts.id} was {facts.status}", hint=f"go on with: farm retry {facts.id}")


def jobs_table(jobs: list[JobFacts]) -> Table:
    """Return a table of jobs, one per row."""
    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "frames", "done", "source", "output"):
        table.add_column(column, justify="right" if column in ("frames", "done") else "left", overflow="fold")
    for job in jobs:
        done, total = sum(s.frames_done for s in job.stages), sum(s.frames for s in job.stages)
        share = 100 if job.status == "done" else 100 * done // max(1, total)
        table.add_row(job.id, job.status, str(job.frames), f"{share} %", job.source, job.output)
    return table


def print_json(value: object) -> None:
    """Write ``value`` as one line of JSON to standard output, bypassing rich."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
