"""Show jobs to users: a bar per stage while a job runs, a few lines when it ends."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from farm.cli.tables import NARROW, clock, middle, share_done
from farm.domain.printable import shown
from farm.domain.stages import JobStatus
from farm.errors import DatabaseAway
from farm.jobs.abilities import waiting_for
from farm.jobs.context import Context
from farm.jobs.queries import JobFacts, job_facts, job_status


class _Console(Console):
    """Names of files are plain text: neither rich's markup nor a terminal's escape sequences mean anything in them."""

    def render_str(self, text: str, *rest: Any, **how: Any) -> Text:  # noqa: ANN401 - passed on
        """See Console. Lines stay lines: who prints a value that may hold some calls :func:`shown` for it."""
        return super().render_str("\n".join(map(shown, text.split("\n"))), *rest, **how)


errors = _Console(stderr=True, highlight=False, markup=False, emoji=False)
output = _Console(highlight=False, markup=False, emoji=False)
Item = TypeVar("Item")
_POLL_SECONDS, _FIRST_SECONDS, _SLOWER = 0.2, 0.02, 20  # of a job that began N s ago, every N / 20 s
_DRAW_SECONDS = 1.0
_SAY_SECONDS = 10.0
_AWAY_SECONDS = 600.0  # longer than a server takes to be restarted or to fail over


class TimeLeft:
    """Estimates the time left, from the shares of the work that were done at different times."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def __call__(self, share: float) -> float | None:
        """Seconds, None while that cannot be said. ``share``: from 0 to 1."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, share
        began, before = self._first
        return (now - began) * (1 - share) / (share - before) if share - before > 0.01 else None


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a job in the work of a command: ``count`` as in ``2 of 6: ``, ``name`` of the video, share of the
    work ``before`` it, and its own ``share``.
    """

    name: str
    count: str = ""
    before: float = 0.0
    share: float = 1.0
    left: TimeLeft = field(default_factory=TimeLeft)


class _Speed(ProgressColumn):
    """Frames per second, where there is room for it."""

    def render(self, task: Task) -> Text:
        """See ProgressColumn."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:6.1f} frames/s" if speed and errors.width >= NARROW else "")


class _Bars(Progress):
    """A line with the name of the video and the time left, and a bar for each stage; as wide as the terminal."""

    def __init__(self, place: Place) -> None:
        self._place, self.left = place, ""
        super().__init__(
            TextColumn("{task.description:7}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            _Speed(table_column=Column(no_wrap=True)),
            console=errors,
            transient=True,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """See Progress."""
        count = self._place.count
        room = errors.width - len(count) - len(self.left) - 2
        name = middle(self._place.name, room)
        yield Text.assemble(count, name, " " * (room - Text(name).cell_len + 2), self.left, no_wrap=True)
        yield self.make_tasks_table(self.tasks)


def tell(line: str) -> None:
    """Print a line for the person to standard error."""
    errors.print(line, soft_wrap=True)


def counted(what: str, items: Sequence[Item], *, quiet: bool) -> Iterator[Item]:
    """The items, with a bar that counts them if standard error is a terminal."""
    with Progress(
        TextColumn(what), BarColumn(bar_width=None), MofNCompleteColumn(),
        console=errors, transient=True, expand=True, disable=quiet or not errors.is_terminal,
    ) as progress:  # fmt: skip
        yield from progress.track(items)


class Patience:
    """Repeats what fails because the database is away, and says so once. One object for all that a command does."""

    def __init__(self) -> None:
        self._since: float | None = None

    def __call__(self, action: Callable[[], Item], otherwise: str) -> Item:
        """The result of ``action``. Raises DatabaseAway after ten minutes, with ``otherwise`` as what to do."""
        while True:
            try:
                result = action()
            except DatabaseAway as e:
                now = time.monotonic()
                if self._since is None:
                    self._since = now
                    errors.print(shown(f"waiting: {e.message}"), soft_wrap=True)
                if now - self._since >= _AWAY_SECONDS:
                    text = f"gave up after {now - self._since:.0f} s: {e.message}"
                    raise DatabaseAway(text, hint=otherwise) from e
                time.sleep(_POLL_SECONDS)
            else:
                if self._since is not None:
                    self._since = None
                    errors.print("the database answers again")
                return result


class Watcher:
    """Follow one job until it is over, calling ``tend`` after each poll (to keep an embedded farm running).

    ``otherwise``: how to follow the job if the database stays away.
    """

    def __init__(
        self,
        context: Context,
        job: str,
        tend: Callable[[], None],
        *,
        quiet: bool,
        place: Place | None = None,
        patience: Patience | None = None,
        otherwise: str | None = None,
    ) -> None:
        self._context, self._job, self._tend = context, job, tend
        self._patience = patience or Patience()
        self._otherwise = otherwise or f"job {job} continues without this command: farm watch {job}"
        self._bars = errors.is_terminal and not quiet
        self._quiet = quiet
        self._place = place or Place(f"job {job}")
        self._said_at = time.monotonic()

    def follow(self) -> JobFacts:
        """Follow the job and return its facts when it is over, or waits for a person."""
        if not self._bars:
            return self._follow(self._say_waiting)
        with _Bars(self._place) as progress:
            bars: dict[str, TaskID] = {}

            def draw(status: JobStatus) -> None:
                facts = job_facts(self._context, self._job)
                for stage in facts.stages:
                    if stage.chunks and stage.stage not in bars:
                        bars[stage.stage] = progress.add_task(stage.stage, total=stage.frames)
                    if stage.stage in bars:
                        progress.update(bars[stage.stage], completed=stage.frames_done)
                left = self._place.left(self._place.before + self._place.share * share_done(facts))
                progress.left = "" if left is None else f"{clock(round(left))} left"
                self._say_waiting(status)

            return self._follow(draw)

    def _follow(self, draw: Callable[[JobStatus], None]) -> JobFacts:
        """Poll the status often, which is cheap, and draw the progress less often."""
        drawn = 0.0
        last: JobStatus | None = None
        began = time.monotonic()

        def poll() -> JobFacts | None:
            nonlocal drawn, last
            status = job_status(self._context, self._job)
            draws = status is not last or time.monotonic() - drawn >= _DRAW_SECONDS
            if draws:
                if status is not last and not self._bars and not self._quiet:
                    errors.print(f"job {self._job}: {status}")
                drawn, last = time.monotonic(), status
                draw(status)
            # while it redacts, it may come to wait for the review of a companion
            if status.over or status is JobStatus.REVIEWING or (draws and status is JobStatus.REDACTING):
                facts = job_facts(self._context, self._job)
                if facts.over or facts.waits:
                    return facts
            self._tend()
            return None

        while (facts := self._patience(poll, self._otherwise)) is None:
            time.sleep(min(_POLL_SECONDS, max(_FIRST_SECONDS, (time.monotonic() - began) / _SLOWER)))
        return facts

    def _say_waiting(self, status: JobStatus) -> None:
        if self._quiet or status.over or time.monotonic() - self._said_at < _SAY_SECONDS:
            return
        from farm.local.farm import missing_part

        self._said_at = time.monotonic()
        if status is JobStatus.PAUSED:
            errors.print(f"job {self._job} is paused: farm resume {self._job}")
        elif what := missing_part(self._context):
            errors.print(what, soft_wrap=True)
        elif what := waiting_for(self._context, self._job):
            errors.print(f"job {self._job} waits for {what}", soft_wrap=True)


def print_lines(lines: Callable[[int | None], Iterable[str]]) -> None:
    """Write the lines that ``lines`` makes for the width of the terminal, None where standard output is none."""
    for line in lines(output.width if output.is_terminal else None):
        print(line)


def print_summary(text: str) -> None:
    """Print a summary. On a terminal its lines break between words, but for the first: a path stays one to copy."""
    first, *rest = text.split("\n")
    output.print(first, soft_wrap=True)
    for line in rest:
        output.print(line, soft_wrap=not output.is_terminal)


def print_json(value: object) -> None:
    """Write ``value`` as one line of JSON to standard output, bypassing rich."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
