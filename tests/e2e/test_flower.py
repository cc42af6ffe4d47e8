"""Flower on a running farm shows workers by device name, and tasks with readable names and arguments."""

import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Farm

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=8000",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except OSError:
        return False


def page(url: str, profile: Path) -> str:
    """Return a page's DOM after its scripts have run in a real browser."""
    assert CHROMIUM is not None
    words = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--dump-dom", url]
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=True).stdout


def test_flower_shows_workers_and_tasks(farm: Farm, clip: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    port = free_port()
    farm.env["FARM_FLOWER_PORT"] = str(port)
    address = f"http://127.0.0.1:{port}"
    up = farm.spawn("up")
    farm.wait_until(lambda: sum(w["alive"] for w in farm.json("status")["workers"]) == 2, "two workers", up)
    farm.wait_until(lambda: answers(address), "Flower", up)
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 1)
    host = socket.gethostname()
    workers = page(f"{address}/workers", tmp_path / "profile")
    assert f"cpu0@{host}" in workers
    assert f"cpu1@{host}" in workers
    tasks = page(f"{address}/tasks", tmp_path / "profile")
    job = farm.json("list")[0]["id"]
    for shown in (f"job={job}, stage=detect, chunk=1/2", f"job={job}, stage=compose, chunk=1/1"):
        assert shown in tasks
    request = urllib.request.Request(f"{address}/api/worker/shutdown/cpu0@{host}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:  # Flower is read-only
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code in (401, 403)
    refused.value.close()
