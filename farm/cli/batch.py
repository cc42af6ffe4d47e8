"""The videos of one ``farm submit``, each a try of its own: a failure is reported with its video, the rest goes on."""

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC, EROFS
from pathlib import Path

import typer

from farm.cli import display, tables
from farm.cli.defects import DEFECT, defect_line
from farm.cli.model_progress import fetcher
from farm.cli.sources import How, Named, Video
from farm.cli.submit_options import error_text
from farm.cli.summaries import summary
from farm.domain.options import JobOptions
from farm.domain.printable import shown
from farm.errors import (
    DatabaseAway,
    DatabaseError,
    FarmError,
    IllegalTransition,
    JobFailed,
    NotFound,
    OutputError,
    SettingsError,
    SourceError,
    VerificationError,
)
from farm.jobs.placing import Prepared
from farm.jobs.queries import JobFacts, check_done, job_facts
from farm.jobs.submit import Submitted, submit
from farm.local.attach import FarmAtHand
from farm.local.farm import missing_part, why_jobs_wait
from farm.models.digest import model_digest
from farm.settings import Settings

#: Jobs submitted and not over: the second one's chunks keep busy the workers that the first one leaves idle.
_AT_ONCE = 2
#: Errors of one video. Any other is the farm's, and every video after it would meet it.
_OF_A_VIDEO = (
    IllegalTransition, JobFailed, NotFound, OutputError, SettingsError, SourceError, VerificationError,
)  # fmt: skip
#: What the error of a job says that failed where the next one would, too.
_OF_THE_DISK = tuple(os.strerror(number) for number in (ENOSPC, EDQUOT, EROFS))


@dataclass(slots=True)
class _Try:
    """One video, as far as it has come. ``began``: seconds since the epoch; ``code``: exit code of its failure."""

    video: Video
    count: str
    prepared: Prepared | None = None
    submitted: Submitted | None = None
    facts: JobFacts | None = None
    began: float = 0.0
    row: tables.Row | None = None
    code: int = 0


class Batch:
    """Runs the jobs of one command, and reports on each and on all."""

    def __init__(
        self,
        settings: Settings,
        how: How,
        asked: JobOptions,
        found: Named,
        prepare: Callable[[Video], Prepared],
        farm: FarmAtHand,
    ) -> None:
        self._prepared, self._farm = prepare, farm
        self._settings, self._how, self._asked = settings, how, asked
        self._alone = len(found.videos) == 1
        self._tries = [
            _Try(video, "" if self._alone else f"{number} of {len(found.videos)}: ")
            for number, video in enumerate(found.videos, 1)
        ]
        self._sources = {os.path.realpath(video.source) for video in found.videos}
        self._outputs: set[Path] = set()
        self._tabled = not (self._alone or how.as_json or how.detach)
        self._kinds: set[str] = set()
        self._failed: list[_Try] = []
        self._stopped = False  # by an error of the farm
        self._left = display.TimeLeft()
        self._patience = display.Patience()
        for line in () if how.as_json else found.skipped:
            display.errors.print(shown(line), soft_wrap=True)

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs that were submitted."""
        return [item.submitted.job for item in self._tries if item.submitted]

    def run(self) -> list[Path]:
        """Prepare all videos, then submit and follow the jobs. Returns the paths of the outputs.

        Raises the error of a video that is the only one, an error without which no job could be submitted, and
        typer.Exit with the first failure's code.
        """
        for item in display.counted("checking", self._tries, quiet=self._alone or self._how.as_json):
            self._tried(item, self._prepare)
            self._farm.tend()
        ready = [item for item in self._tries if item.prepared]
        if ready:
            fetch = fetcher(self._settings, quiet=self._how.as_json)
            model = model_digest(self._asked.detect, fetch, testing=self._settings.testing)
            self._run(self._farm, model, ready)
        self._finish()
        if self._failed:
            raise typer.Exit(self._failed[0].code)
        return [item.prepared.output for item in ready if item.prepared]

    def _tried(self, item: _Try, action: Callable[..., None], *arguments: object) -> bool:
        """Whether the action went well. If not, its failure is kept and printed; one of the farm stops the batch."""
        try:
            action(item, *arguments)
        except Exception as e:
            if self._alone:
                raise
            self._note(item, e)
            return False
        return True

    def _note(self, item: _Try, error: Exception) -> None:
        if isinstance(error, FarmError):
            line, item.code = error_text(error, self._settings), error.exit_code
            self._stopped |= not isinstance(error, _OF_A_VIDEO) or any(text in line for text in _OF_THE_DISK)
        else:
            line, item.code = defect_line(error), DEFECT
        name, job = str(item.video.source), item.submitted.job if item.submitted else ""
        if name not in line:
            line = f"{name}: {line}"
        kind = line.replace(name, "").replace(job, "")
        item.row = tables.Row(item.video.name, "failed", line=line.removeprefix(f"{name}: "), kind=kind)
        self._failed.append(item)
        if kind not in self._kinds or not self._tabled:  # else the table names the video
            print(f"error: {shown(line)}", file=sys.stderr)
        self._kinds.add(kind)

    def _prepare(self, item: _Try) -> None:
        video = item.video
        if video.error:
            raise video.error
        prepared = self._prepared(video)
        if prepared.output in self._outputs:
            raise OutputError(
                f"{video.source}: {prepared.output} is another video's output", hint="submit it alone, with another -o"
            )
        if os.path.realpath(prepared.output) in self._sources:  # --overwrite is no leave to change a source
            raise OutputError(f"{video.source}: its output {prepared.output} is one of the videos", hint="leave it out")
        self._outputs.add(prepared.output)
        item.prepared = prepared

    def _run(self, farm: FarmAtHand, model: str, ready: list[_Try]) -> None:
        pending, open_jobs = deque(ready), deque[_Try]()
        sizes = {item.count: item.prepared.probe.size for item in ready if item.prepared}
        total, before = sum(sizes.values()), 0
        try:
            while open_jobs or (pending and not self._stopped):
                while pending and len(open_jobs) < _AT_ONCE and not self._stopped:
                    item = pending.popleft()
                    if self._tried(item, self._submit, farm, model):
                        self._say_submitted(farm, item)
                        open_jobs.extend([] if self._how.detach else [item])
                if open_jobs:
                    item = open_jobs[0]
                    share = sizes[item.count] / total
                    place = display.Place(item.video.name, item.count, before / total, share, self._left)
                    if self._tried(item, self._follow, farm, place):
                        self._report(item)
                    before += sizes[item.count]
                    open_jobs.popleft()
        except KeyboardInterrupt:
            for item in open_jobs:
                if item.submitted:
                    display.errors.print(interrupted(farm, item.submitted.job), soft_wrap=True)
            self._finish()
            raise

    def _submit(self, item: _Try, farm: FarmAtHand, model: str) -> None:
        assert item.prepared is not None
        item.began = time.time()
        prepared, again = item.prepared, "run the same command again"
        item.submitted = self._patience(lambda: submit(farm.context, prepared, model, farm.workers()), again)
        farm.employ(item.submitted.chunks)
        if self._how.detach:
            job = item.submitted.job
            item.facts = self._patience(lambda: job_facts(farm.context, job), f"follow the job: farm watch {job}")

    def _say_submitted(self, farm: FarmAtHand, item: _Try) -> None:
        assert item.submitted is not None
        job = item.submitted.job
        if item.submitted.warning:
            display.errors.print(shown(f"warning: {item.submitted.warning}"), soft_wrap=True)
        if not self._how.detach:
            if item.submitted.resumed and not self._how.as_json:
                display.errors.print(f"resuming job {job}")
            return
        if item.facts and self._how.as_json:
            display.print_json(item.facts.row())
        else:
            display.output.print(f"job {job}: farm watch {job}", soft_wrap=True)
        if waits := why_jobs_wait(farm.context):
            display.errors.print(waits, soft_wrap=True)

    def _follow(self, item: _Try, farm: FarmAtHand, place: display.Place) -> None:
        def tend() -> None:
            try:
                farm.tend()
            except DatabaseAway:
                raise  # it is waited for
            except FarmError:
                self._stopped = True  # whatever its kind is: the next video would meet it, too
                raise

        assert item.submitted is not None
        if not self._alone and not self._how.as_json and not display.errors.is_terminal:
            display.errors.print(shown(f"{item.count}{item.video.name}: job {item.submitted.job}"), soft_wrap=True)
        job = item.submitted.job
        otherwise = f"finished chunks are kept: run the same command again to resume job {job}" if farm.own else None
        watcher = display.Watcher(
            farm.context, job, tend, quiet=self._how.as_json, place=place,
            patience=self._patience, otherwise=otherwise,
        )  # fmt: skip
        item.facts = watcher.follow()

    def _report(self, item: _Try) -> None:
        facts = item.facts
        assert facts is not None
        seconds = max(0.0, (facts.finished_at or time.time()) - item.began)  # followed, it may have ended long ago
        if self._how.as_json:
            display.print_json({**facts.row(), "wall_seconds": round(seconds, 3)})
        if not self._tried(item, lambda _: check_done(facts)):
            return
        item.row = tables.row_of(item.video.name, facts)
        if not self._how.as_json:
            display.print_summary(summary(facts, seconds))

    def _finish(self) -> None:
        """The table of the videos that have ended, and how many of them ended in which way."""
        if not self._tabled:
            return
        rows = [item.row for item in self._tries if item.row]
        if rows:
            display.print_lines(lambda width: tables.result_lines(rows, width))
        counts = Counter(item.row.result if item.row else "not done" for item in self._tries)
        said = ", ".join(f"{counts[what]} {what}" for what in ("done", "failed", "not done") if counts[what])
        again = "; run the same command again to continue" if counts["not done"] else ""
        display.errors.print(f"{len(self._tries)} videos: {said}{again}", soft_wrap=True)


def interrupted(farm: FarmAtHand, job: str) -> str:
    """What Ctrl-C does to a job. An embedded farm stops with its command."""
    if farm.own:
        return f"stopped. Finished chunks are kept: run the same command again to resume job {job}"
    try:
        missing = missing_part(farm.context)
    except DatabaseError:
        missing = "the database is away"
    if missing:
        return f"no longer watching. Job {job} waits ({missing}): farm watch {job}, or farm cancel {job}"
    return f"no longer watching. The running farm continues job {job}: farm watch {job}, or farm cancel {job}"
