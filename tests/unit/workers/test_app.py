"""What passes from a worker's parent to its child: settings, its name and its device."""

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from farm.errors import DeviceError
from farm.messages import TASKS
from farm.settings import Settings
from workers import process
from workers.app import WorkerApp
from workers.process import hold_device, introduction


def test_the_child_gets_the_application_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = WorkerApp(Settings(broker_url="redis://127.0.0.1:1/0", progress_seconds=7), "cpu0@host", "cpu0")
    monkeypatch.setenv("FARM_PROGRESS_SECONDS", "9")  # the environment says nothing to the child
    child: WorkerApp = pickle.loads(pickle.dumps(parent))
    assert (child.worker, child.device) == ("cpu0@host", "cpu0")
    assert child.settings == parent.settings
    assert child.conf.broker_url == "redis://127.0.0.1:1/0"
    for app in (parent, child):
        assert [queue.name for queue in app.conf.task_queues] == ["worker:cpu0@host"]
        assert {name for name in app.tasks if not name.startswith("celery.")} == set(TASKS)


def test_each_start_is_another_incarnation_of_the_same_worker() -> None:
    first, second = introduction(Settings(), "cpu1"), introduction(Settings(), "cpu1")
    assert first.worker == second.worker == f"cpu1@{first.host}"
    (supervisor, start), (same, later) = (each.incarnation.split("/") for each in (first, second))
    assert supervisor == same  # the process that started both
    assert start < later


def test_a_device_whose_worker_is_just_ending_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    first: Any = hold_device(settings, "cpu0")
    threading.Timer(1, first.close).start()
    second: Any = hold_device(settings, "cpu0")
    monkeypatch.setattr(process, "_ENDING_SECONDS", 0.3)
    with pytest.raises(DeviceError, match="has a worker on this host already"):
        hold_device(settings, "cpu0")
    second.close()
