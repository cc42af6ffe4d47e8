"""The mutation check: defences that are taken out of a copy of the farm. The harness must notice each.

A mutation whose text is not in the file any more is an error.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

_PROJECT = Path(__file__).parent.parent.parent
_COPIED = ("farm", "workers", "migrations", "pyproject.toml", "README.md")


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``file``, the text ``old`` becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A defence that ``edits`` take out. ``caught_by``: the name of a directed schedule."""

    name: str
    caught_by: str
    edits: tuple[Edit, ...]


def _digest(what: str, keys: str) -> Mutation:
    """No read of the artefacts whose keys begin with ``keys`` checks their digest."""
    edit = Edit(
        "farm/storage/base.py",
        "        if not is_content(path, key):\n            raise DamagedArtefact(key)",
        f"        if not (re.match({keys!r}, key) or is_content(path, key)):\n            raise DamagedArtefact(key)",
    )
    return Mutation(f"digest-{what}: that of no {what} is checked", f"altered-{what}", (edit,))


_NO_SIGNATURE = Edit("farm/signing.py", "if hmac.compare_digest(self._mac(signed, purpose).hex(), mac):", "if True:")
_NO_FINGERPRINT = Edit(
    "workers/stages/orders.py", "if order.fingerprint != self.fingerprint(order.stage):", "if False:"
)
MUTATIONS = (
    Mutation(
        "fencing: an attempt that has ended is ended again",
        "stale",
        (
            Edit(
                "farm/database/statuses.py",
                "return _move_attempt(session, attempt, OPEN_ATTEMPTS, now, status",
                "return _move_attempt(session, attempt, list(AttemptStatus), now, status",
            ),
        ),
    ),
    Mutation(
        "lease: no lease ends, and no worker is silent",
        "frozen",
        (
            Edit("farm/coordinator/sweep.py", "for attempt in leased:\n", "for attempt in leased[:0]:\n"),
            Edit(
                "farm/coordinator/sweep.py",
                "return list(session.scalars(select(Worker)",
                "return [] and list(session.scalars(select(Worker)",
            ),
        ),
    ),
    Mutation(
        "liveness: no hung child is killed",
        "hung",
        (Edit("workers/child.py", "if end := self._why_to_end(pid, sign, idle):", "if end := None:"),),
    ),
    Mutation(
        "outbox: an order is forgotten, whether or not it could be sent",
        "refused",
        (
            Edit(
                "farm/coordinator/dispatch.py",
                "            broker.publish(",
                '            with __import__("contextlib").suppress(Exception): broker.publish(',
            ),
        ),
    ),
    Mutation(
        "verify-output: no output is verified",
        "lies",
        (
            Edit(
                "workers/stages/compose.py",
                "frames = verify_output(",
                "frames = (lambda *_, **__: manifest.frames)(",
            ),
        ),
    ),
    Mutation(
        "verify-segment: no segment is verified",
        "bad-write",
        (
            Edit(
                "workers/stages/redact.py", "verified = verify_segment(", "verified = (lambda *_, **__: chunk.frames)("
            ),
        ),
    ),
    Mutation(
        "verified: what was verified may change until it is stored",
        "bad-sync",
        (Edit("farm/storage/base.py", "if self.verified and self.verified != sha256:", "if False:"),),
    ),
    _digest("manifest", "plans/[^/]*/manifest"),
    _digest("pts", "plans/[^/]*/pts/"),
    _digest("detections", "detections/"),
    _digest("tracks", "tracks/"),
    _digest("segment", "segments/"),
    Mutation(
        "digest-output: that of no output is checked",
        "altered-output",
        (Edit("farm/coordinator/publishing.py", "if not _is_output(temporary, output):", "if False:"),),
    ),
    Mutation("fingerprint: a worker believes that of the order", "rewritten-threshold", (_NO_FINGERPRINT,)),
    Mutation("signature: no message needs one", "forged", (_NO_SIGNATURE,)),
    Mutation("signature and fingerprint: neither is checked", "forged", (_NO_SIGNATURE, _NO_FINGERPRINT)),
    Mutation(
        "acceptance: the coordinator takes whatever artefact is reported",
        "rewritten-masks",
        (Edit("farm/coordinator/outcomes.py", "if wrong := _wrong(chunk, outcome.artefact):", "if wrong := None:"),),
    ),
)


def mutated(mutation: Mutation, folder: Path) -> None:
    """Copy the farm into ``folder`` and take the defence out. Raises LookupError where its text is not there."""
    folder.mkdir()
    for name in _COPIED:
        source = _PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for edit in mutation.edits:
        path = folder / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise LookupError(f"{edit.file} has {text.count(edit.old)} × {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new))
