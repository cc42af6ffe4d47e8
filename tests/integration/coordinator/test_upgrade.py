"""A home of the version before, with a job under way: its database goes down and up, and the job ends with one line."""

import json
from collections.abc import Callable
from itertools import chain, islice

import pytest
from alembic import command
from sqlalchemy import text

from farm.coordinator.advance import advance
from farm.coordinator.outcomes import accept
from farm.coordinator.repair import repair
from farm.database.session import alembic_config
from farm.domain import artefacts
from farm.domain.detectors import DetectOptions
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.errors import JobFailed
from farm.jobs.context import open_context
from farm.jobs.control import control
from farm.jobs.queries import job_facts, list_jobs
from farm.jobs.workers import list_workers
from farm.messages import Failed
from tests.integration.coordinator.conftest import Bench

#: As the version with revision 0002 stored them.
OPTIONS = {
    "source": {"start": None, "end": None, "fps": None, "every": None, "on_undetectable": "fail"},
    "redact": {"style": "blur", "shape": "ellipse", "margin": 0.3, "codec": None, "encoder": None, "crf": 18,
               "preset": "veryfast", "scale": None},
    "detect": {"model": "centerface", "size": 640, "threshold": 0.12},
    "link": {"gap": 1.0, "hold": 0.25, "birth": 0.24},
    "compose": {"audio": "keep", "metadata": "strip-private", "pictures": None},
}  # fmt: skip


def test_a_job_of_the_version_before_ends_and_says_what_to_do(bench: Bench, add_job: Callable[..., Manifest]) -> None:
    add_job(chunks=3)
    bench.hello()
    for order in bench.orders():  # as many as a worker gets at once
        bench.detect(order)
    context = bench.context
    command.downgrade(alembic_config(context.database.url), "0002")
    with context.database.write() as session:
        session.execute(text("UPDATE jobs SET options = :options"), {"options": json.dumps(OPTIONS)})
        assert session.execute(text("SELECT runtime FROM workers")).scalars().all() == [""]
        done = text("SELECT count(*) FROM chunks WHERE status = 'done'")
        assert session.execute(done).scalar() == 2

    opened = open_context(context.settings)  # as any command does
    assert not opened.database.outdated()
    (facts,) = list_jobs(opened)
    assert (facts.status, facts.faces, facts.source_size, facts.permanent) == ("detecting", None, None, False)
    assert [(w.name, w.alive) for w in list_workers(opened)] == [("w0", True)]
    opened.database.close()

    (order,) = bench.orders()  # the job names no runtime: every worker will do
    assert order.options == OPTIONS
    assert load_options(order.options).detect == DetectOptions(detector="centerface", size=640, threshold=0.12)
    bench.start(order)
    key = f"plans/{'0' * 32}/manifest.json"  # as that version named it: no worker reads it
    accept(context, Failed(token=order.token, worker="w0", reason="is damaged", damaged=key))
    advance(context, "job", key)
    facts = job_facts(context, "job")
    assert (facts.status, facts.permanent, facts.options) == ("failed", True, OPTIONS)
    assert "planned by another version of the farm" in (facts.reason or "")
    assert "submit the video again" in (facts.reason or "")


@pytest.mark.parametrize("detected", [0, 1, 3])
def test_a_job_whose_results_have_other_names_ends_before_any_work_is_done_on_it(
    bench: Bench, add_job: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch, detected: int
) -> None:
    """The code that detects, links or redacts has changed, and the tables have not: workers would refuse its orders."""
    add_job(chunks=3)
    bench.hello()
    for order in islice(chain.from_iterable(bench.orders() for _ in range(2)), detected):
        bench.detect(order)
    monkeypatch.setattr(artefacts, "FORMAT_VERSION", artefacts.FORMAT_VERSION + 1)
    repair(bench.context)  # as the first coordinator of the new version does
    facts = job_facts(bench.context, "job")
    assert (facts.status, facts.permanent) == ("failed", True)
    assert "planned by another version of the farm" in (facts.reason or "")
    assert (facts.reason or "").count("submit the video again") == 1
    assert bench.orders() == []
    with pytest.raises(JobFailed, match="submit the video again"):
        control(bench.context, "job", JobEvent.RETRY)
