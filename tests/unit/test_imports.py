"""What processes import before they have something to do with it: modules are counted here, not seconds."""

import os
import subprocess
import sys

import pytest

#: Each takes between 20 and 400 ms.
HEAVY = {
    "PIL", "alembic", "av", "celery", "cv2", "kombu", "numpy", "onnxruntime", "openvino", "psycopg", "pydantic",
    "redis", "rich.console", "sqlalchemy",
}  # fmt: skip
OF_MESSAGES = {"celery", "kombu", "pydantic", "redis"}


def imported(code: str, **env: str) -> set[str]:
    """The modules that a fresh process has imported at the end of ``code``."""
    code = f"import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def heavy(code: str, **env: str) -> set[str]:
    return imported(code, **env) & HEAVY


def test_what_is_called_heavy_would_be_found() -> None:
    assert heavy("import farm.cli.batch") >= {"av", "numpy", "pydantic", "rich.console", "sqlalchemy"}


def of_farm(*words: str, **env: str) -> set[str]:
    return heavy(f"sys.argv = ['farm', *{words}]\nfrom farm.__main__ import main\nmain()", **env)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_the_list_of_commands_waits_for_nothing_heavy(word: str) -> None:
    assert of_farm(word) == set()


@pytest.mark.parametrize("words", ["submit", "preview", "edit add-box", "status", "models", "verify", "up"])
def test_help_of_a_command_waits_for_nothing_heavy(words: str) -> None:
    assert of_farm(*words.split(), "--help") <= {"pydantic"}  # which Typer converts values with


def test_completion_of_commands_and_options_waits_for_nothing_heavy() -> None:
    for line in ("farm sub", "farm submit --sty", "farm submit --style pix"):
        asked = {"_FARM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        assert of_farm(**asked) <= {"pydantic"}


def test_a_workers_parent_imports_only_what_passes_messages() -> None:
    assert heavy("import workers.process") == OF_MESSAGES


def test_what_lists_devices_imports_no_runtime() -> None:
    assert heavy("import workers.device, workers.supervisor") <= {"pydantic"}


def test_an_embedded_farm_is_started_before_what_plans_a_job_is_imported() -> None:
    assert heavy("import farm.local.attach") == {"pydantic", "sqlalchemy"}


def test_the_coordinator_begins_without_what_reads_videos() -> None:
    assert heavy("import farm.local.coordinator") == OF_MESSAGES | {"sqlalchemy"}


def test_what_asks_the_machine_needs_no_database() -> None:
    assert heavy("import farm.jobs.asked, farm.jobs.machine, farm.local.home") == {"pydantic"}
