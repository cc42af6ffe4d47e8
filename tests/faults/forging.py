"""Artefacts and orders that are changed but stay well formed: only a digest, a fingerprint or a signature tells.

Each is changed once, at the first moment that it can be, so that whatever reads it afterwards reads the wrong one.
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from farm.domain.artefacts import key_of, name_of
from tests.faults.reference import Reference, rows
from tests.faults.rig import Rig

#: The job that is disturbed, and one whose artefacts have the same frames and options but other pixels.
JOB, OTHER = "blurred", "solid"
#: The chunk whose order is changed.
_CHUNK = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Artefacts to change: those that match ``pattern`` in the store, once there are ``count``; the last one of them.

    ``change``: called with the path and the undisturbed jobs, returns the new content.
    """

    pattern: str
    count: int
    change: Callable[[Path, Reference], bytes]


def _fewer_frames(path: Path, _: Reference) -> bytes:
    manifest = json.loads(path.read_text())
    manifest["chunks"][_CHUNK]["frames"] -= 1
    return json.dumps(manifest).encode()


def _other_times(path: Path, _: Reference) -> bytes:
    pts = json.loads(path.read_text())
    return json.dumps([*pts[:-1], pts[-1] + 1]).encode()


def moved(tracks: str) -> bytes:
    """Tracks whose boxes are all in the corner. As many frames are covered."""
    lines = [json.loads(line) for line in tracks.splitlines()]
    for line in lines:
        line[1] = [[track, 0.0, 0.0, 4.0, 4.0, kind] for track, *_, kind in line[1]]
    return _dumped(lines)


def _dumped(lines: list[Any]) -> bytes:
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


def _moved(path: Path, _: Reference) -> bytes:
    return moved(path.read_text())


def _nothing_found(path: Path, _: Reference) -> bytes:
    """Detections of the same frames, without a face."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if isinstance(line, list):
            line[2] = []
        else:
            line["beyond"] = []
    return _dumped(lines)


def _of_the_other_job(path: Path, reference: Reference) -> bytes:
    """The segment of the same frames."""
    frames = path.name.partition(".")[0]
    return reference.kept("segments", OTHER, frames).read_bytes()


def _other_output(_: Path, reference: Reference) -> bytes:
    return reference.kept("outputs", OTHER, "output").read_bytes()


TARGETS: dict[str, Target] = {
    "manifest": Target("plans/*/manifest.*.json", 1, _fewer_frames),
    "pts": Target("plans/*/pts/*.json", 5, _other_times),
    "detections": Target("detections/*/*.jsonl", 1, _nothing_found),
    "tracks": Target("tracks/*/*.jsonl", 5, _moved),
    "segment": Target("segments/*/*.mp4", 1, _of_the_other_job),
    "output": Target("outputs/*/*.mp4", 1, _other_output),
}


def alter(what: str, rig: Rig, reference: Reference, until: Callable[[], bool]) -> Path | None:
    """Wait for an artefact and change it: a key of :data:`TARGETS`. None if ``until`` holds before it is there."""
    target, stopped = TARGETS[what], list[psutil.Process]()
    try:
        while not until():
            if what == "output" and not stopped and list(rig.store.glob("outputs/.writing-*")):
                stopped = rig.victims("coordinator", 0.0)  # it would publish at once
                for process in stopped:
                    process.suspend()
            found = [path for path in rig.store.glob(target.pattern) if not path.name.startswith(".")]
            if len(found) >= target.count:
                path = max(found, key=_order)
                content = target.change(path, reference)
                assert hashlib.sha256(content).hexdigest() not in path.name, "nothing was changed"
                path.unlink()  # it may have other names
                path.write_bytes(content)
                return path
            time.sleep(0.002)
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.Error):
                process.resume()
    return None


def _order(path: Path) -> int:
    parts = path.name.partition(".")[0].split("_")
    return int(parts[1]) if len(parts) == 3 else 0


def rewrite_order(what: str, rig: Rig, reference: Reference) -> Path | None:
    """Have the database change the first order for one chunk: ``threshold`` of a detection, or ``masks`` to paint.

    Whoever signs it later signs the wrong one. Returns the tracks that the wrong order names, if it does.
    """
    made = None
    if what == "threshold":
        stage, change = "detect", "'$.options.detect.threshold', 0.999"
    else:
        stage = "redact"
        true = reference.kept("tracks", JOB, "", _CHUNK)
        content = moved(true.read_text())
        sha256 = hashlib.sha256(content).hexdigest()
        key = key_of(name_of(str(true.relative_to(reference.store))), sha256)
        made = rig.store / key
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content)
        words = {"key": f"'{key}'", "sha256": f"'{sha256}'", "size": len(content)}
        change = ", ".join(f"'$.inputs[0].{name}', {value}" for name, value in words.items())
    with closing(sqlite3.connect(rig.home / "farm.db", timeout=10)) as database, database:
        database.execute(
            "CREATE TRIGGER forged AFTER INSERT ON outbox WHEN json_extract(NEW.body, '$.attempt') = 1"
            f" AND json_extract(NEW.body, '$.stage') = '{stage}' AND json_extract(NEW.body, '$.chunk') = {_CHUNK}"
            f" BEGIN UPDATE outbox SET body = json_set(NEW.body, {change}) WHERE id = NEW.id; END"
        )
    return made


def refusals(rig: Rig) -> list[str]:
    """Why attempts failed by what a worker or the coordinator found wrong."""
    return [row["reason"] for row in rows(rig.home, "SELECT reason FROM attempts WHERE cause = 'task' ORDER BY id")]
