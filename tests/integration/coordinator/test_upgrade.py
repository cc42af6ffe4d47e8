"""A home of the version before, with a job under way: its database goes down and up, and the job to its end."""

import json
from collections.abc import Callable

from alembic import command
from sqlalchemy import text

from farm.coordinator.advance import advance
from farm.database.session import alembic_config
from farm.domain.manifest import Manifest
from farm.jobs.context import Context, open_context
from farm.jobs.queries import job_facts, list_jobs
from farm.jobs.retention import clean
from farm.jobs.workers import list_workers
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


def test_a_job_of_the_version_before_goes_on(bench: Bench, add_job: Callable[..., Manifest]) -> None:
    add_job(chunks=3)
    bench.hello()
    for order in bench.orders():  # as many as a worker gets at once
        bench.detect(order)
    context = bench.context
    command.downgrade(alembic_config(context.database.url), "0002")
    plan = context.settings.store_root / plan_of_the_job(context)
    plan.write_text(plan.read_text().replace(', "size": 0', ""))
    with context.database.write() as session:
        session.execute(text("UPDATE jobs SET options = :options"), {"options": json.dumps(OPTIONS)})
        assert session.execute(text("SELECT runtime FROM workers")).scalars().all() == [""]
        done = text("SELECT count(*) FROM chunks WHERE status = 'done'")
        assert (session.execute(done).scalar(), '"size": 0' in plan.read_text()) == (2, False)

    opened = open_context(context.settings)  # as any command does
    assert not opened.database.outdated()
    (facts,) = list_jobs(opened)
    assert (facts.status, facts.faces, facts.source_size, facts.permanent) == ("detecting", None, None, False)
    assert [(w.name, w.alive) for w in list_workers(opened)] == [("w0", True)]
    opened.database.close()

    (order,) = bench.orders()  # the job names no runtime: every worker will do
    assert order.options == OPTIONS
    bench.detect(order)
    advance(context, "job")
    facts = job_facts(context, "job")
    assert (facts.status, facts.faces, facts.frames_with_faces, facts.options) == ("redacting", 1, 15, OPTIONS)
    assert len(bench.orders()) == 2
    assert clean(context, 0).freed.files == 0  # it needs all that it has


def plan_of_the_job(context: Context) -> str:
    with context.database.read() as session:
        return str(session.execute(text("SELECT plan FROM jobs")).scalar())
