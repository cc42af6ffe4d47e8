"""Only the design's transitions are possible, and only one module writes a status."""

import ast
import re
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farm.domain.lifecycle import (
    ChunkEvent,
    ChunkStatus,
    Death,
    DeathKind,
    Failures,
    JobEvent,
    RetryLimits,
    after_failure,
    alike,
    chunk_after,
    chunk_before,
    job_after,
)
from farm.domain.stages import JobStatus
from farm.errors import IllegalTransition
from farm.settings import Settings
from tests.conftest import PROJECT

SQL_UPDATE = re.compile(r"\bupdate\b.*\b(status|interrupted)\s*=", re.IGNORECASE | re.DOTALL)
WRITER = Path("farm/database/statuses.py")

# the design's own lines, not the module's tables
STAGES = ["planning", "detecting", "linking", "reviewing", "redacting", "composing"]
ENDS = ["done", "failed", "cancelled"]
JOB_STEPS = (
    set(zip(STAGES, [*STAGES[1:], "done"], strict=True))
    | set(product(STAGES, ["failed", "cancelled", "paused"]))
    | set(product(["paused"], [*STAGES, "failed", "cancelled"]))
    | set(product(["failed", "cancelled"], [*STAGES]))
    | {(now, back) for at, now in enumerate(STAGES) for back in STAGES[: at + 1]}  # what was lost is made again
    | set(product(["done"], STAGES[:4]))  # a new revision
)
CHUNK_STEPS = {
    ("pending", "queued"),
    ("queued", "leased"),
    ("queued", "done"),  # its `started` was lost or came late
    ("leased", "done"),
    *product(["queued", "leased"], ["pending", "failed"]),
    *product(["pending", "queued", "leased"], ["cancelled"]),
    *product(["failed", "cancelled"], ["pending"]),
}


def test_jobs_take_the_designs_steps_and_no_other() -> None:
    taken = set()
    interrupted_by = [None, *map(JobStatus, STAGES)]
    for now, event, interrupted in product(JobStatus, JobEvent, interrupted_by):
        try:
            after = job_after(now, event, interrupted)
        except IllegalTransition:
            continue
        taken.add((now.value, after.value))
    assert taken == JOB_STEPS


def test_chunks_take_the_designs_steps_and_no_other() -> None:
    taken = set()
    for now, event in product(ChunkStatus, ChunkEvent):
        if now in chunk_before(event):
            taken.add((now.value, chunk_after(now, event).value))
        else:
            with pytest.raises(IllegalTransition, match=f"cannot {event.value} a chunk that is {now.value}"):
                chunk_after(now, event)
    assert taken == CHUNK_STEPS


@pytest.mark.parametrize("event", ChunkEvent)
def test_a_chunks_event_leads_to_one_status_wherever_it_came_from(event: ChunkEvent) -> None:
    assert len({chunk_after(before, event) for before in chunk_before(event)}) == 1


@pytest.mark.parametrize("event", [event for event in JobEvent if event is not JobEvent.REVISE])
@pytest.mark.parametrize("interrupted", [None, *JobStatus])
def test_done_is_final_for_a_job_that_nobody_revises(event: JobEvent, interrupted: JobStatus | None) -> None:
    with pytest.raises(IllegalTransition):
        job_after(JobStatus.DONE, event, interrupted)


def test_done_is_final_for_a_chunk() -> None:
    assert [e for e in ChunkEvent if ChunkStatus.DONE in chunk_before(e)] == []


def test_the_refusal_is_words_for_a_person() -> None:
    with pytest.raises(IllegalTransition, match=r"^cannot stage done a job that is paused$"):
        job_after(JobStatus.PAUSED, JobEvent.STAGE_DONE)


@pytest.mark.parametrize("status", JobStatus)
def test_over_means_done_failed_or_cancelled(status: JobStatus) -> None:
    assert status.over == (status.value in ENDS)


@given(
    limits=st.builds(RetryLimits, *(st.integers(1, 9) for _ in fields(RetryLimits))),
    failures=st.builds(Failures, **{f.name: st.integers(0, 12) for f in fields(Failures)}),
    permanent=st.booleans(),
)
def test_a_chunk_fails_exactly_at_a_limit_or_for_good(limits: RetryLimits, failures: Failures, permanent: bool) -> None:
    failed = permanent or any(count >= limit for count, limit in zip(astuple(failures), astuple(limits), strict=True))
    assert after_failure(limits, failures, permanent=permanent) is (ChunkEvent.FAIL if failed else ChunkEvent.RELEASE)


def test_the_limits_are_the_designs() -> None:
    settings = Settings()
    limits = RetryLimits(
        settings.task_errors,
        settings.infrastructure_losses,
        settings.farm_losses,
        settings.poison_deaths,
        settings.job_errors,
    )
    assert limits == RetryLimits(3, 5, 20, 3, 100)
    assert (settings.stall_seconds, settings.worker_failures) == (120, 3)
    mixed = Failures(task_errors=2, losses=4, farm_losses=19, deaths=2, job_errors=99)
    assert after_failure(limits, mixed, permanent=False) == "release"  # they are not added up
    for field in fields(Failures):
        one_more = replace(mixed, **{field.name: getattr(mixed, field.name) + 1})
        assert after_failure(limits, one_more, permanent=False) == "fail"
    assert after_failure(limits, Failures(task_errors=1), permanent=True) == "fail"


KILLED, HUNG, MEMORY = DeathKind.KILLED, DeathKind.HUNG, DeathKind.MEMORY


@pytest.mark.parametrize(
    ("deaths", "count"),
    [
        ([Death(KILLED, 40)], 1),
        ([Death(KILLED, 40), Death(HUNG, 40), Death(KILLED, 40)], 3),
        ([Death(KILLED, 40), Death(KILLED, 46), Death(KILLED, 33)], 3),  # the decoder is ahead of what is reported
        ([Death(KILLED, 40), Death(KILLED, 90), Death(KILLED, 200)], 1),
        ([Death(KILLED, 40), Death(KILLED, 90), Death(KILLED, 40)], 2),
        ([Death(MEMORY, 40), Death(MEMORY, 900), Death(MEMORY, 300)], 3),  # memory grows over many frames
        ([Death(MEMORY, 40), Death(KILLED, 40)], 1),
    ],
)
def test_deaths_at_the_same_frame_are_alike(deaths: list[Death], count: int) -> None:
    assert alike(deaths) == count


class JobLife(RuleBasedStateMachine):
    """A job's row as ``statuses.move_job`` keeps it, beside the history that must come out."""

    def __init__(self) -> None:
        super().__init__()
        self.status = JobStatus.PLANNING
        self.interrupted: JobStatus | None = None
        self.reached = 0  # the furthest stage by the design's order

    def move(self, event: JobEvent) -> None:
        before = self.status
        self.status = job_after(before, event, self.interrupted)
        if event in (JobEvent.PAUSE, JobEvent.FAIL, JobEvent.CANCEL):
            self.interrupted = self.interrupted if before is JobStatus.PAUSED else before
        else:
            self.interrupted = None
        assert (before.value, self.status.value) in JOB_STEPS

    @rule(event=st.sampled_from(JobEvent))
    def anything_happens(self, event: JobEvent) -> None:
        before = (self.status, self.interrupted)
        try:
            self.move(event)
        except IllegalTransition:
            assert (self.status, self.interrupted) == before
        if event is JobEvent.STAGE_DONE and before[0] in STAGES:
            self.reached += 1
            assert self.status == [*STAGES, "done"][self.reached]

    @precondition(lambda self: self.status in STAGES)
    @rule(
        stop=st.sampled_from(
            [
                [JobEvent.PAUSE, JobEvent.RESUME],
                [JobEvent.FAIL, JobEvent.RETRY],
                [JobEvent.CANCEL, JobEvent.RETRY],
                [JobEvent.PAUSE, JobEvent.CANCEL, JobEvent.RETRY],
                [JobEvent.PAUSE, JobEvent.FAIL, JobEvent.RETRY],
            ]
        )
    )
    def a_stop_and_a_return(self, stop: list[JobEvent]) -> None:
        before = self.status
        for event in stop:
            self.move(event)
        assert self.status is before
        assert self.interrupted is None

    @invariant()
    def what_was_interrupted_is_known_exactly_while_it_is(self) -> None:
        assert (self.interrupted is not None) == (self.status in ("paused", "failed", "cancelled"))
        assert self.interrupted is None or self.interrupted == STAGES[self.reached]


JobLife.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJobLife = JobLife.TestCase


def status_writes(tree: ast.AST) -> Iterator[str]:
    """Everything in a module that would change a status (or what resume and retry go back to) that is stored."""
    names = {"status", "interrupted"}
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Attribute) and part.attr in names and isinstance(part.ctx, ast.Store):
                    yield f"{part.lineno}: assigns .{part.attr}"
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            words = {k.arg for k in node.keywords}
            keys = {
                k.value for d in node.args if isinstance(d, ast.Dict) for k in d.keys if isinstance(k, ast.Constant)
            }
            first = {a.value for a in node.args if isinstance(a, ast.Constant)}
            if called in {"values", "update"} and names & (words | keys):
                yield f"{node.lineno}: {called}(status=…)"
            elif called in {"setattr", "set_attribute"} and names & first:
                yield f"{node.lineno}: {called}(…, 'status', …)"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_UPDATE.search(node.value):
            yield f"{node.lineno}: SQL that updates a status"


def test_only_one_module_writes_a_status() -> None:
    found = {
        str(path.relative_to(PROJECT)): writes
        for folder in ("farm", "workers")
        for path in sorted((PROJECT / folder).rglob("*.py"))
        if path.relative_to(PROJECT) != WRITER
        and (writes := list(status_writes(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}
    assert list(status_writes(ast.parse((PROJECT / WRITER).read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "line",
    [
        "job.status = 'done'",
        "a, job.status = 1, 'done'",
        "job.interrupted = None",
        "session.execute(update(Job).values(status='done'))",
        "session.execute(update(Job).values({'status': 'done'}))",
        "session.query(Job).update({'status': 'done'})",
        "setattr(job, 'status', 'done')",
        "session.execute(text('UPDATE jobs SET status=1'))",
    ],
)
def test_the_search_would_see_it(line: str) -> None:
    assert list(status_writes(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["Job(status='planning')", "select(Job).where(Job.status == 'done')", "x = job.status"]
)
def test_the_search_leaves_alone_what_only_creates_or_reads(line: str) -> None:
    assert list(status_writes(ast.parse(line))) == []
