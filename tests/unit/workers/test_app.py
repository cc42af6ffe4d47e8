"""What passes from a worker's parent to its child: settings, its name and its device."""

import pickle
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from farm.errors import DeviceError
from farm.messages import TASKS
from farm.processes import environment
from farm.settings import Settings, load_settings
from farm.supervision import worker
from workers import process
from workers.app import WorkerApp
from workers.capabilities import Capabilities
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


@pytest.mark.parametrize("unusable", [None, "cuda0 does not answer any more"])
def test_a_child_ends_after_an_order_that_lost_its_device(unusable: str | None) -> None:
    app: Any = WorkerApp(Settings(broker_url="redis://127.0.0.1:1/0"), "cuda0@host", "cuda0")
    ran: list[object] = []
    app.__dict__["_signer"] = SimpleNamespace(open=lambda order, queue: order)
    app.__dict__["runner"] = SimpleNamespace(run=ran.append, unusable=unusable)
    with pytest.raises(SystemExit, match="does not answer") if unusable else nullcontext():
        app.tasks["detect"].run("order")
    assert ran == ["order"]


def test_a_worker_has_no_password_that_it_has_no_use_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the settings file of its home has them, for the coordinator."""
    monkeypatch.setenv("FARM_HOME", str(tmp_path))
    database = 'database_url = "postgresql+psycopg://farm:s3cret@db/farm"'
    (tmp_path / "farm.toml").write_text(f'{database}\nflower_basic_auth = "admin:s3cret"\n')
    assert "s3cret" in str(load_settings())
    seen: list[bytes] = []
    monkeypatch.setattr(process, "hold_device", lambda settings, device: None)
    monkeypatch.setattr(process, "Presence", lambda settings, hello, child: SimpleNamespace(connect=lambda: None))

    def app(settings: Settings, worker: str, device: str, **_: object) -> SimpleNamespace:
        seen.append(pickle.dumps(WorkerApp(settings, "cpu0@host", device)))
        return SimpleNamespace(worker_main=lambda words: None)

    monkeypatch.setattr(process, "introduction", lambda device, able: SimpleNamespace(worker="cpu0@host"))
    monkeypatch.setattr(process, "WorkerApp", app)
    monkeypatch.setattr(process, "environment", lambda device: {})
    monkeypatch.setenv("ORT_TENSORRT_CACHE_PATH", "")  # so that it is as before afterwards
    assert process.main("cpu0", '{"able": {"encoders": [], "runtimes": []}}') == 0
    assert seen
    assert not any(b"s3cret" in body for body in seen)


@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_a_child_is_forked_as_long_as_no_other_thread_may_hold_a_lock() -> None:
    code = """
import billiard, threading
from workers.app import fork_while_alone
fork_while_alone()
def begin():
    child = billiard.get_context("spawn").Process(target=print, args=("hello",))
    child.start()
    child.join()
    print(child._popen.method)
begin()
threading.Thread(target=threading.Event().wait, daemon=True).start()
begin()
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["hello", "fork", "hello", "spawn"], done.stderr


def test_a_child_that_is_started_has_no_address_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_DATABASE_URL", "postgresql+psycopg://farm:s3cret@db/farm")
    settings = load_settings()
    child = worker(settings, "cpu0")
    assert "s3cret" not in str(environment(Path("/"), child.env))
    assert "s3cret" not in " ".join(child.command())


def test_each_start_is_another_incarnation_of_the_same_worker() -> None:
    first, second = (introduction("cpu1", Capabilities((), ())) for _ in range(2))
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
