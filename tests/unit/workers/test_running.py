"""However an order ends, its outcome says so: stopped, failed by the work, by the machine, or done."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import redis

from farm.errors import AttemptStopped, DeviceError, DeviceLost, SourceError, StorageError
from farm.messages import TASKS, Artefact, Completed, Failed, GivenBack, Message, Order, Started
from farm.settings import Settings
from tests.memory_store import MemoryStorage
from workers.reporting import Reporter
from workers.running import OrderRunner, stage_function
from workers.stages.orders import Report, Result, Tools

DONE = Result(Artefact(key="a/b", size=1, sha256="0" * 64, frames=5), reused=False, spent={"decode": 0.5}, notes=("n",))
SETTINGS = Settings(progress_seconds=0)


class Recorder(Reporter):
    """Keeps what would be sent. ``away``: from this message on, there is no Redis."""

    def __init__(self, away: type[Message] | None = None) -> None:
        super().__init__(SETTINGS)
        self.sent: list[Message] = []
        self._away = away

    def send(self, outcome: Message, *, patient: bool = True) -> None:
        if self._away and isinstance(outcome, self._away):
            raise redis.ConnectionError("away")
        self.sent.append(outcome)

    def why_stop(self, token: str, worker: str) -> str | None:
        return "the reason"


def order(**changes: object) -> Order:
    values = {"job": "j", "stage": "detect", "chunk": 0, "chunks": 1, "attempt": 1, "token": "t", "fingerprint": "f",
              "plan": "p", "source": "/s", "model_sha256": "1", "options": {}}  # fmt: skip
    return Order.model_validate(values | changes)


def run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    work: Callable[[Report], Result],
    reporter: Recorder | None = None,
    **changes: object,
) -> list[Message]:
    monkeypatch.setattr("workers.stages.detect.run", lambda order, store, tools, report: work(report))
    reporter, tools = reporter or Recorder(), Future[Tools]()
    tools.set_result(None)  # type: ignore[arg-type]  # what works here needs none
    runner = OrderRunner(SETTINGS, "w0", reporter, MemoryStorage(tmp_path), tools)
    runner.run(order(**changes).model_dump(mode="json"))
    return reporter.sent


def raising(error: BaseException) -> Callable[[Report], Result]:
    def work(_: Report) -> Result:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "unusable"),
    [(DeviceLost("cuda0 does not answer"), "cuda0 does not answer"), (DeviceError("no such runtime"), None)],
)
def test_a_process_whose_device_is_lost_says_so_and_is_not_used_again(
    error: DeviceError, unusable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("workers.stages.detect.run", lambda *_: raising(error)(lambda _: None))
    reporter, tools = Recorder(), Future[Tools]()
    tools.set_result(None)  # type: ignore[arg-type]  # what works here needs none
    runner = OrderRunner(SETTINGS, "w0", reporter, MemoryStorage(tmp_path), tools)
    runner.run(order().model_dump(mode="json"))
    assert runner.unusable == unusable
    assert reporter.sent[-1] == Failed(token="t", worker="w0", cause="task", reason=str(error), permanent=False)


@pytest.mark.parametrize("stage", TASKS)
def test_every_stage_has_its_function(stage: str) -> None:
    assert stage_function(order(stage=stage).stage).__module__ == f"workers.stages.{stage}"


def test_what_is_done_is_reported_with_all_that_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started, completed = run(monkeypatch, tmp_path, lambda _: DONE)
    assert started == Started(token="t", worker="w0")
    assert completed == Completed(token="t", worker="w0", artefact=DONE.artefact, spent={"decode": 0.5}, notes=("n",))


@pytest.mark.parametrize(
    ("error", "cause", "permanent", "reason"),
    [
        (SourceError("odd"), "task", True, "odd"),
        (StorageError("full"), "infrastructure", False, "full"),
        (OSError(5, "broken"), "infrastructure", False, "OSError: [Errno 5] broken"),
        (ConnectionResetError("by the store"), "infrastructure", False, "ConnectionResetError: by the store"),
        (redis.RedisError("in the work"), "task", False, "defect in detect: RedisError: in the work"),
        (ZeroDivisionError("0"), "task", False, "defect in detect: ZeroDivisionError: 0"),
    ],
)
def test_who_is_to_blame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, cause: str, permanent: bool, reason: str
) -> None:
    _, failed = run(monkeypatch, tmp_path, raising(error))
    assert isinstance(failed, Failed)
    assert (failed.token, failed.cause, failed.permanent, failed.reason) == ("t", cause, permanent, reason)


def test_an_attempt_that_is_told_to_stop_is_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def work(report: Report) -> Result:
        report(3)
        return DONE

    assert run(monkeypatch, tmp_path, work)[2:] == [GivenBack(token="t", worker="w0", reason="the reason")]
    assert run(monkeypatch, tmp_path, raising(AttemptStopped("another")))[1:] == [
        GivenBack(token="t", worker="w0", reason="another")
    ]


@pytest.mark.parametrize("away", [Started, Completed])
def test_a_redis_that_is_away_is_no_failure_of_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, away: type[Message]
) -> None:
    done: list[int] = []

    def work(_: Report) -> Result:
        done.append(1)
        return DONE

    with caplog.at_level(logging.ERROR):
        sent = run(monkeypatch, tmp_path, work, Recorder(away))
    assert [type(m) for m in sent] == ([] if away is Started else [Started])
    assert len(done) == len(sent)
    assert [r.message for r in caplog.records] == ["Redis cannot be reached; attempt t was not reported: away"]
