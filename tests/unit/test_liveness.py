"""A process's signs of life outlive it: another process reads them after it was stopped or killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farm import liveness
from farm.digests import file_digest
from farm.liveness import Sign, last_sign

CHILD = """
import sys, time
from pathlib import Path
from farm import liveness
liveness.share(Path(sys.argv[1]))
liveness.begin("t" * 24)
liveness.done(7)
print("done", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_memory", liveness._Memory())


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_what_a_process_did_last_is_read_after_it_was_stopped_or_killed(tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "life"
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(how)
        assert last_sign(path) == Sign("t" * 24, 7, 2)
        child.kill()
    assert last_sign(path) == Sign("t" * 24, 7, 2)


def test_an_order_has_begun_with_its_first_report_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "life"
    assert last_sign(path) is None
    liveness.share(path)
    assert last_sign(path) == Sign("", None, 0)
    liveness.begin("a")
    assert last_sign(path) == Sign("a", None, 1)
    liveness.done(0)
    assert last_sign(path) == Sign("a", 0, 2)
    liveness.done(0)
    assert last_sign(path) == Sign("a", 0, 3)
    liveness.begin("b")
    assert last_sign(path) == Sign("b", None, 4)
    liveness.end()
    assert last_sign(path) == Sign("", None, 5)
    path.write_bytes(b"torn")
    assert last_sign(path) is None


def test_reading_a_large_file_gives_signs_of_life(tmp_path: Path) -> None:
    liveness.share(tmp_path / "life")
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    file_digest(tmp_path / "large")
    found = last_sign(tmp_path / "life")
    assert found is not None
    assert found.beats >= 5
