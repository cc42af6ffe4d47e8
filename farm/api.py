"""The Python interface: ``from farm import Farm``. What the commands do, for those who script it."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from farm.domain.carrying import load_carried
from farm.domain.detectors import DetectOptions
from farm.domain.edits import Action, Edit
from farm.domain.lifecycle import JobEvent
from farm.domain.options import Override
from farm.domain.regions import Asked, Span
from farm.errors import FarmError
from farm.jobs import auditing, edits, redoing
from farm.jobs.asked import job_options
from farm.jobs.control import control
from farm.jobs.errands import run_errand
from farm.jobs.marking import Marker
from farm.jobs.queries import JobFacts, check_done, job_facts, list_jobs
from farm.jobs.submit import submit
from farm.jobs.tracks import JobTracks, TrackFacts
from farm.local.asking import check_options
from farm.local.attach import FarmAtHand
from farm.models.digest import model_digest
from farm.models.store import ModelStore
from farm.processes import who
from farm.settings import load_settings
from farm.storage.base import opened

_POLL_SECONDS = 0.1
#: Four numbers in pixels, or the text that the commands take: ``10%,20%,5%,8%``.
BoxLike = str | Sequence[float]


def _silent(_line: str) -> None:
    """Tells nobody."""


class Farm(FarmAtHand):
    """The farm that runs, or one that is started here and stops with :meth:`close` or at the end of a ``with`` block.

    Jobs are named by their ids or the beginnings of these. All methods raise :class:`farm.errors.FarmError`, whose text
    is for people. Not thread-safe.
    """

    def __init__(self, *, start: bool = True, tell: Callable[[str], None] = _silent, **settings: Any) -> None:  # noqa: ANN401 - of farm.settings.Settings
        """``settings``: as in ``farm.toml``, such as ``home="/data/farm"`` or ``style="solid"``; the rest is read from
        the environment and the settings file. ``start``: whether to start a farm where none runs. ``tell``: is given
        lines for the person.
        """
        self._given, loaded = settings, load_settings(**settings)
        self._fetch = ModelStore(loaded).ensure
        super().__init__(loaded, tell, start=start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        video: str | Path,
        output: str | Path | None = None,
        *,
        overwrite: bool = False,
        review: bool = False,
        audit: bool = False,
        strict: bool = False,
        keep: Iterable[str | Path] = (),
        only: Iterable[str | Path] = (),
        cover: Iterable[str] = (),
        ignore: Iterable[str] = (),
        only_in: Iterable[str] = (),
        detections: str | Path | None = None,
        **options: Any,  # noqa: ANN401 - of farm.domain.options.JobOptions
    ) -> str:
        """Submit a video and return the job's id at once. ``options`` are those of ``farm submit``: ``quality="fast"``.

        The same video with the same options, which is not finished, goes on. ``output``: by default beside the video.
        """
        settings = load_settings(**{**self._given, **options})
        regions = Asked(
            tuple(cover), tuple(ignore), tuple(only_in), None if detections is None else Path(detections), None, who()
        )
        checked = check_options(
            settings, job_options(settings), self._fetch, self.abilities(), keep=list(map(Path, keep)),
            only=list(map(Path, only)), masks_given=detections is not None,
        )  # fmt: skip
        prepared = checked.prepare(
            Path(video), None if output is None else Path(output), overwrite=overwrite, review=review,
            audit=audit or strict, strict=strict, edits=regions,
        )  # fmt: skip
        model = model_digest(checked.options.detect, self._fetch, testing=settings.testing)
        return submit(self.context, prepared, model, self.workers()).job

    def wait(self, job: str, timeout: float | None = None) -> JobFacts:
        """Wait until a job is done, or waits for a person (``facts.waits``).

        Raises JobFailed for one that failed, was cancelled, or whose audit refused its output; TimeoutError after
        ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not ((facts := self.job(job)).over or facts.waits):
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"job {facts.id} is {facts.status} after {timeout:g} s")
            self.tend()
            time.sleep(_POLL_SECONDS)
        check_done(facts)
        return facts

    def job(self, job: str) -> JobFacts:
        """Facts about a job."""
        return job_facts(self.context, job)

    def jobs(self) -> list[JobFacts]:
        """Facts about all jobs, newest first."""
        return list_jobs(self.context)

    def tracks(self, job: str) -> list[TrackFacts]:
        """What was found, and what edits added: see :class:`farm.jobs.tracks.TrackFacts`."""
        return JobTracks(self.context, job).facts()

    def edits(self, job: str) -> list[Edit]:
        """All edits of a job, in order, also those that were undone."""
        return edits.edits_of(self.context, job)

    def edit(self, job: str, author: str = "", reason: str = "") -> "Editor":
        """Adds edits to a job; ``author``: by default user and host. They are in the output after :meth:`redact`."""
        return Editor(self, Marker(self.context, job, author or who(), reason))

    def approve(self, job: str, author: str = "", reason: str = "") -> str:
        """Let a job that waits for a person go on. Returns its id."""
        return edits.approve(self.context, job, author or who(), reason)

    def redact(self, job: str) -> bool:
        """Make a new revision of a job that is done; :meth:`wait` for it. False where there is nothing to do."""
        return edits.revise(self.context, job)[1]

    def redo(self, job: str, change: Callable[[DetectOptions], DetectOptions], span: Span = (None, None)) -> int:
        """Look for faces again in a part of a video; :meth:`wait` for it. Returns the number of chunks.

        ``change`` makes the options from those of the job: ``lambda detect: replace(detect, quality="thorough")``.
        ``span``: seconds from and to.
        """
        return redoing.redo(self.context, job, span, change)[1]

    def audit(
        self,
        job: str,
        change: Callable[[DetectOptions], DetectOptions] = lambda detect: detect,
        every: int | None = None,
    ) -> dict[str, Any]:
        """Look for faces in the output of a job, outside its masks: see :func:`farm.jobs.auditing.audit`."""
        job = self.job(job).id
        return auditing.audit(self.context, job, change, every, self.waiting(job, "audit"))

    def control(self, job: str, event: JobEvent) -> JobFacts:
        """Pause, resume, cancel or retry a job: ``JobEvent.PAUSE`` and so on."""
        return self.job(control(self.context, job, event)[0])


class Editor:
    """Adds edits to one job. Times are seconds of the output, None: from the beginning, to the end. Each method returns
    the edits that it added.
    """

    def __init__(self, farm: FarmAtHand, marker: Marker) -> None:
        self._farm, self._marker, self.job = farm, marker, marker.job
        #: Lines on boxes that were lost, of :meth:`follow`.
        self.lost: list[str] = []

    def add(self, made: Sequence[Edit]) -> list[Edit]:
        """Add edits that a :class:`farm.jobs.marking.Marker` made."""
        return edits.add_edits(self._farm.context, self.job, lambda _: list(made))

    def add_box(
        self, box: BoxLike, begins: float | None = None, ends: float | None = None, *, end_box: BoxLike | None = None
    ) -> list[Edit]:
        """Cover a box; with ``end_box`` it moves there evenly."""
        last = None if end_box is None else _text(end_box)
        return self.add([self._marker.cover(_text(box), (begins, ends), last)])

    def follow(self, box: BoxLike, at: float, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Cover what is inside a box at the time ``at``, wherever a worker finds it; waits for the worker."""
        return self.add([self.followed(_text(box), at, (begins, ends))])

    def followed(self, box: str, at: float | None, span: Span, override: Override | None = None) -> Edit:
        """The edit of :meth:`follow`, not added. Its time ``at`` is by default when the span begins."""
        context = self._farm.context
        asked = self._marker.drawn(box, at, span)
        made = run_errand(context, self.job, "carry", asked.request(), self._farm.waiting(self.job, "carry"))
        with opened(context.store, made.key) as path:
            found = load_carried(path.read_text())
        edit, self.lost = self._marker.carried(found, span, override)
        return edit

    def ignore(self, box: BoxLike, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Cover nothing that lies wholly inside a box."""
        return self.add([self._marker.ignore(_text(box), (begins, ends))])

    def drop(self, *tracks: int, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Do not cover tracks that are no faces."""
        return self.add(self._marker.of_tracks(Action.DROP, tracks, (begins, ends)))

    def keep(self, *tracks: int, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Do not cover faces that may be seen."""
        return self.add(self._marker.of_tracks(Action.KEEP, tracks, (begins, ends)))

    def restore(self, *tracks: int, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Cover tracks again."""
        return self.add(self._marker.of_tracks(Action.RESTORE, tracks, (begins, ends)))

    def mute(self, begins: float | None = None, ends: float | None = None) -> list[Edit]:
        """Silence all sound of a span."""
        return self.add([self._marker.sound(Action.MUTE, (begins, ends))])

    def undo(self, number: int | None = None) -> list[Edit]:
        """Undo an edit, by default the last one in effect."""
        author, reason = self._marker.author, self._marker.reason
        return edits.add_edits(
            self._farm.context, self.job, lambda before: [edits.undo(before, number, author, reason)]
        )


def _text(box: BoxLike) -> str:
    return box if isinstance(box, str) else ",".join(f"{number:.6g}" for number in box)


__all__ = ["Editor", "Farm", "FarmError", "JobFacts", "TrackFacts"]
