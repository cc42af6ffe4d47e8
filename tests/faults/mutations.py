"""The mutation check: takes one defence out of a copy of the farm, and sees that the harness notices.

``make mutations`` runs all, ``python -m tests.faults.mutations fencing lease`` some. A mutation whose text is not in
the file any more is an error.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_PROJECT = Path(__file__).parent.parent.parent
_COPIED = ("farm", "workers", "migrations", "tests", "pyproject.toml", "README.md")


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is taken out: in ``file``, the text ``old`` becomes ``new``. ``caught_by``: a test of this folder."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str


MUTATIONS = (
    Mutation(
        "fencing: an attempt that has ended is ended again",
        "farm/database/statuses.py",
        "return _move_attempt(session, attempt, OPEN_ATTEMPTS, status",
        "return _move_attempt(session, attempt, list(AttemptStatus), status",
        "test_directed.py::test_directed[stale]",
    ),
    Mutation(
        "lease: no lease ends, and no stall is seen",
        "farm/coordinator/sweep.py",
        "for attempt in leased:\n",
        "for attempt in leased[:0]:\n",
        "test_directed.py::test_directed[hung]",
    ),
    Mutation(
        "outbox: an order is forgotten, whether or not it could be sent",
        "farm/coordinator/dispatch.py",
        "            broker.publish(",
        '            with __import__("contextlib").suppress(Exception): broker.publish(',
        "test_directed.py::test_directed[refused]",
    ),
    Mutation(
        "verify: no output is verified",
        "workers/stages/compose.py",
        "frames = verify_output(",
        "frames = (lambda *_, **__: manifest.frames)(",
        "test_directed.py::test_directed[lies]",
    ),
    Mutation(
        "verify: no segment is verified",
        "workers/stages/redact.py",
        "verified = verify_segment(",
        "verified = (lambda *_, **__: chunk.frames)(",
        "test_directed.py::test_directed[bad-write]",
    ),
)


def mutated(mutation: Mutation | None, folder: Path) -> None:
    """Copy the project into ``folder`` and take the defence out. Raises LookupError."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in _COPIED:
        source = _PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    (folder / ".cache").symlink_to(_PROJECT / ".cache")
    if mutation is not None:
        path = folder / mutation.file
        text = path.read_text()
        if text.count(mutation.old) != 1:
            raise LookupError(f"{mutation.name}: {mutation.file} has {text.count(mutation.old)} × {mutation.old!r}")
        path.write_text(text.replace(mutation.old, mutation.new))


def run(mutation: Mutation | None, tests: list[str]) -> tuple[bool, str]:
    """Whether the tests pass with the mutation, and what pytest says of the first one that does not."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        mutated(mutation, folder)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"]
        done = subprocess.run(
            [*command, *(f"tests/faults/{test}" for test in tests)],
            cwd=folder, env={**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stdout[-4000:] + done.stderr[-4000:])
        seed = re.search(r"^seed (\d+)", done.stdout, re.MULTILINE)
        why = re.search(r"^E +(.*)", done.stdout, re.MULTILINE)
        return done.returncode == 0, f"seed {seed[1] if seed else '?'}: {why[1][:160] if why else ''}"


def main(names: list[str]) -> int:
    """Run the mutations whose names begin with one of ``names``, or all; returns how many were not caught."""
    chosen = [m for m in MUTATIONS if not names or m.name.startswith(tuple(names))]
    passes, why = run(None, sorted({mutation.caught_by for mutation in chosen}))
    if not passes:
        print(f"without a mutation: {why}")
        return 1
    missed = 0
    for mutation in chosen:
        passes, why = run(mutation, [mutation.caught_by])
        missed += passes
        print(
            f"{'MISSED' if passes else 'caught'}  {mutation.name}  ({mutation.caught_by if passes else why})",
            flush=True,
        )
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
