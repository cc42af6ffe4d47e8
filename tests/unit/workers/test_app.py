"""What passes from a worker's parent to its child: settings and identity, and all that follows from them."""

import pickle

import pytest

from farm.messages import STAGES
from farm.settings import Settings
from workers.app import WorkerApp
from workers.identity import Identity


def test_the_child_gets_the_application_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity.of("cpu0")
    parent = WorkerApp(Settings(broker_url="redis://127.0.0.1:1/0", progress_seconds=7), identity)
    monkeypatch.setenv("FARM_PROGRESS_SECONDS", "9")  # the environment says nothing to the child
    child: WorkerApp = pickle.loads(pickle.dumps(parent))
    assert child.identity == identity
    assert child.settings == parent.settings
    assert child.conf.broker_url == "redis://127.0.0.1:1/0"
    for app in (parent, child):
        assert [queue.name for queue in app.conf.task_queues] == [f"worker:{identity.name}"]
        assert {name for name in app.tasks if not name.startswith("celery.")} == set(STAGES)


def test_each_start_is_another_incarnation_of_the_same_worker() -> None:
    first, second = Identity.of("cuda1"), Identity.of("cuda1")
    assert first.name == second.name == f"cuda1@{first.host}"
    assert first.incarnation != second.incarnation
