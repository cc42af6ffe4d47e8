"""What a new stage costs: a row and a status in the table, and the module that implements it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.integration

TABLE = "farm/domain/stages.py"
#: What a commit that adds the stage ``prune`` between edit and redact changes in the table.
CHANGES = {
    '    REVIEWING = "reviewing"\n': '    REVIEWING = "reviewing"\n    PRUNING = "pruning"\n',
    '        after="edit",\n        inputs="edit",\n': '        after="prune",\n        inputs="prune",\n',
    '    Stage(\n        name="redact",\n': """\
    Stage(
        name="prune",
        by="coordinator",
        module="farm.coordinator.pruning",
        status=JobStatus.PRUNING,
        after="edit",
        inputs="edit",
        key="pruned/{fingerprint}/{chunk}.jsonl",
        covers=(),
        per_chunk=True,
    ),
    Stage(
        name="redact",
""",
}
MODULE = '''\
"""Stage prune: the masks as they are."""

from farm.domain.artefacts import artefact_name
from farm.storage.base import opened


def run(context, job, manifest, inputs, fingerprint):
    pruned, digests = [], [tracks.sha256 for tracks in inputs]
    for chunk, tracks in zip(manifest.chunks, inputs, strict=True):
        name = artefact_name("prune", fingerprint, chunk.name, digests)
        with opened(context.store, tracks.key) as read, context.store.put(name) as draft:
            draft.path.write_text(read.read_text())
        pruned.append(draft.artefact(tracks.frames, covered=tracks.covered))
    return pruned, ["2 pruned"]
'''
TEST = """\
from farm.domain.lifecycle import JobEvent, job_after
from farm.domain.stages import JobStatus
from farm.jobs.queries import job_events, job_facts
from tests.integration.coordinator.test_stages import detected, step


def test_prune_stands_between_edit_and_redact(bench, add_job):
    detected(bench, add_job)
    step(bench)
    assert bench.job().status == "redacting"
    assert [bench.chunk(i, "prune").status for i in (0, 1)] == ["done", "done"]
    orders = bench.orders()
    assert [o.stage for o in orders] == ["redact", "redact"]
    assert [o.inputs[0].key for o in orders] == [bench.chunk(i, "prune").artefact["key"] for i in (0, 1)]
    assert all(o.inputs[0].key.startswith("pruned/") for o in orders)
    facts = job_facts(bench.context, "job")
    assert facts.notes[-1] == "2 pruned"
    assert [s.stage for s in facts.stages] == ["detect", "redact", "compose"]
    texts = [text for _, text in job_events(bench.context, "job")]
    assert texts.index("reviewing → pruning") < texts.index("pruning → redacting")


def test_a_job_may_be_paused_and_cancelled_there():
    assert job_after(JobStatus.PRUNING, JobEvent.PAUSE) == "paused"
    assert job_after(JobStatus.PRUNING, JobEvent.CANCEL) == "cancelled"
"""
WORKERS_MODULE = '''\
"""Stage prune: the masks as they are."""

from farm.storage.base import opened
from workers.stages.orders import Written, make_once, read_plan
from workers.stages.spent import Spent


def run(order, store, tools, report):
    (tracks,) = order.inputs

    def write(path):
        with opened(store, tracks.key) as read:
            path.write_text(read.read_text())
        return Written(tracks.frames, covered=tracks.covered)

    return make_once(read_plan(order, store), tracks.frames, Spent(), write)
'''
WORKERS_TEST = """\
from tests.integration.coordinator.test_stages import detected, step
from workers.app import WorkerApp
from workers.running import stage_function


def test_workers_do_prune_between_edit_and_redact(bench, add_job):
    detected(bench, add_job)
    step(bench)
    assert bench.job().status == "pruning"
    orders = bench.orders()
    assert [(o.stage, o.inputs[0].key.partition("/")[0]) for o in orders] == [("prune", "masks")] * 2
    for order in orders:
        assert order.stage in WorkerApp(bench.context.settings, "cpu0@host", "cpu0").tasks
        result = stage_function(order.stage)(order, bench.context.store, None, None)
        bench.start(order)
        bench.complete(order, artefact=result.artefact)
    step(bench)
    assert bench.job().status == "redacting"
    assert [(o.stage, o.inputs[0].key.partition("/")[0]) for o in bench.orders()] == [("redact", "pruned")] * 2
"""


@pytest.mark.parametrize(
    ("by", "module", "text", "test", "others"),
    [
        ("coordinator", "farm.coordinator.pruning", MODULE, TEST, ["test_stages.py"]),
        ("worker", "workers.stages.prune", WORKERS_MODULE, WORKERS_TEST, []),
    ],
)
def test_a_stage_is_added_in_the_table_and_in_its_own_module(
    tmp_path: Path, by: str, module: str, text: str, test: str, others: list[str]
) -> None:
    project = tmp_path / "project"
    for folder in ("farm", "workers", "migrations", "tests"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", project)
    table = (project / TABLE).read_text()
    for old, new in CHANGES.items():
        assert table.count(old) == 1
        row = new.replace('by="coordinator"', f'by="{by}"').replace("farm.coordinator.pruning", module)
        table = table.replace(old, row)
    (project / TABLE).write_text(table)
    (project / module.replace(".", "/")).with_suffix(".py").write_text(text)
    coordinator = project / "tests/integration/coordinator"
    (coordinator / "test_prune.py").write_text(test)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    chosen = [coordinator / name for name in ("test_prune.py", *others)]
    done = subprocess.run(
        [*words, *chosen],
        cwd=project, env={**os.environ, "PYTHONPATH": str(project)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
