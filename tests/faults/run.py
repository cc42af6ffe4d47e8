"""Runs the schedule of one seed and checks what must hold afterwards, against the source and the undisturbed run."""

import re
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disk import mount, unmount
from tests.faults.forging import refusals, rewrite_order
from tests.faults.reference import WORKS, Reference, digest, digests, output_in, read, rows, tracks, wait_until, words
from tests.faults.rig import Rig
from tests.faults.schedule import DAMAGE, FOR_GOOD, Schedule
from tests.faults.shim import wrong_clock, wrong_disk
from tests.faults.storm import OVER, POISONED, Storm

#: All jobs are over so many seconds after the last fault.
PATIENCE = 40.0
#: A chunk that hangs is noticed three times more.
_HUNG = 25.0
#: To start a farm or a command takes long on a busy machine; it says nothing of the farm.
_STARTING = 150.0
_LIMITS = {"task": 3, "infrastructure": 5, "farm": 20}
#: Faults that no order is lost to. A full Redis takes no reports: an order that was done then counts as not taken.
_LOSES_NO_ORDER = {"refused", "tripled", "kill child", "kill ffmpeg", "disk full", "ffmpeg lies"}
_LOST_ORDER = "reason LIKE '%message was lost%' OR reason LIKE 'no worker took%'"
#: What the farm says of an order that was rewritten.
_REFUSED = {"threshold": "the order's fingerprint is not that of its options", "masks": "not an artefact of this chunk"}
_NO_SPACE = "free some space there"
_PLACE = rf"detect, chunk {POISONED + 1} \(frames \d+–\d+, [\d.]+–[\d.]+ s, pts \d+–\d+\): "
#: Why a job with a poisoned chunk fails.
_POISONED = {
    "kills": _PLACE + r"its process was killed: .*SIGKILL.*; 3 attempts ended like this",
    "hangs": _PLACE + r"hung at frame \d+: no progress for \d+ s; 3 attempts ended like this",
}


@dataclass(slots=True)
class Outcome:
    """What became of a seed: ``error`` is None if all held. ``lines``: its schedule and what happened.

    ``recoveries``: kind of fault and seconds from its end until a chunk was done or a job came further; None where
    nothing was left to recover.
    """

    schedule: Schedule
    lines: list[str] = field(default_factory=list)
    error: BaseException | None = None
    seconds: float = 0.0
    recoveries: list[tuple[str, float | None]] = field(default_factory=list)
    retried: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all seeds share. ``tools``: a folder for the compiled clock."""

    reference: Reference
    weights: Path
    redis_server: Path
    tools: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rig(self, kind: str, folder: Path, clock: int = 0, code: Path | None = None) -> Rig:
        """A farm that is not started yet. ``code``: where its packages are, if it is not the project's."""
        with self.lock:
            env = wrong_clock(self.tools, clock) if clock else {}
        return Rig(kind, folder, self.weights, self.redis_server, env, code)


def learn(bench: Bench, folder: Path) -> None:
    """Run all jobs in peace."""
    rig = bench.rig("embedded", folder)
    rig.env["FARM_KEEP_SEGMENTS"] = "true"
    try:
        rig.start()
        wait_until(lambda: rig.workers() == 2, _STARTING, "two workers")
        outputs = submit(rig, bench.reference, tuple(WORKS))
        storm = Storm(rig, Schedule(0, "embedded", tuple(WORKS), ()))
        wait_until(lambda: _all_over(storm, len(WORKS)), 2 * _STARTING, "the undisturbed jobs")
        rig.stop()
        bench.reference.learn(rig.home, rig.store, outputs)
    finally:
        rig.close()


def submit(rig: Rig, reference: Reference, jobs: tuple[str, ...]) -> Path:
    """Submit the jobs, all at once; returns the folder of their outputs."""
    outputs = rig.folder / "outputs"
    outputs.mkdir()
    with ThreadPoolExecutor(len(jobs)) as pool:
        commands = [words(name, reference.clips, outputs) for name in jobs]
        for done in pool.map(lambda command: rig.run(*command), commands):
            assert done.returncode == 0, done.stdout + done.stderr
    return outputs


def run(schedule: Schedule, bench: Bench, folder: Path, code: Path | None = None) -> Outcome:
    """Run a schedule. Never raises: the outcome holds the error. The folder is removed unless there is one."""
    outcome = Outcome(schedule, schedule.lines())
    began = time.monotonic()
    folder.mkdir(parents=True)
    rig = bench.rig(schedule.farm, folder, schedule.clock, code)
    if schedule.small_disk:
        mount(rig.store)
    if schedule.lies:
        rig.lie_once()
    if schedule.bad_write:
        with bench.lock:
            rig.env |= wrong_disk(bench.tools, schedule.bad_write, rig.folder / "bad-write")
    storm = Storm(rig, schedule)
    try:
        _run(schedule, bench, rig, storm, outcome)
    except BaseException as e:  # noqa: BLE001 - given to whoever asked for this seed
        outcome.error = e
        _keep_evidence(rig, storm, outcome)
    finally:
        rig.close()
        if schedule.small_disk:
            unmount(rig.store)
    outcome.lines += storm.said
    outcome.seconds = time.monotonic() - began
    if outcome.error is None:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _run(schedule: Schedule, bench: Bench, rig: Rig, storm: Storm, outcome: Outcome) -> None:
    rig.start()
    if schedule.rewritten:
        wait_until(lambda: rig.workers() == 2, _STARTING, "two workers")
        if made := rewrite_order(schedule.rewritten, rig, bench.reference):
            storm.damaged.add(made)
    if schedule.farm == "networked":  # else `farm submit` refuses: nobody knows what the workers can do
        wait_until(lambda: rig.workers() == 2, _STARTING, "two workers")
    storm.watch()
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(submit, rig, bench.reference, schedule.jobs)
        if schedule.farm == "networked":  # it talks to Redis until then
            wait_until(
                lambda: submitted.done() or len(storm.statuses()) == len(schedule.jobs), _STARTING, "the jobs' rows"
            )
        if schedule.altered:
            storm.alter(bench.reference)
        storm.blow()
        outputs = submitted.result()
    calm = storm.now
    patience = PATIENCE + _HUNG * (schedule.poison == "hangs")
    while not _all_over(storm, len(schedule.jobs)):
        assert storm.now < calm + patience, f"stuck: {storm.statuses()} {patience:.0f} s after the last fault"
        rig.start()
        time.sleep(0.05)
    storm.said.append(f"  {storm.now:5.2f} s: {', '.join(storm.statuses())}")
    _retry_where_the_disk_was_full(schedule, rig, storm, outcome)
    storm.close()
    rig.stop()
    assert not schedule.lies or (rig.folder / "lied").is_dir(), "ffmpeg did not lie"
    if schedule.bad_write and "LD_PRELOAD" in rig.env:
        assert (rig.folder / "bad-write").exists(), "no write went wrong"
    outcome.recoveries = _recoveries(storm)
    for hit in storm.hits:
        if hit.kind.startswith("stop") and hit.ended - hit.began >= FOR_GOOD - 1:
            assert (storm.over or hit.ended) < hit.ended - 5, f"{hit.kind} held up the jobs"
    check(schedule, bench.reference, rig, storm, outputs, outcome)
    if schedule.rewritten:
        assert any(_REFUSED[schedule.rewritten] in reason for reason in refusals(rig)), "no refusal of the order"


def _all_over(storm: Storm, jobs: int) -> bool:
    statuses = storm.statuses()
    return len(statuses) == jobs and all(status in OVER for status in statuses)


def _retry_where_the_disk_was_full(schedule: Schedule, rig: Rig, storm: Storm, outcome: Outcome) -> None:
    """A disk that was full fails a job with that reason; the space is free again, and `farm retry` is the advice."""
    for row in rows(rig.home, "SELECT id, status, reason FROM jobs"):
        if row["status"] == "failed" and schedule.small_disk and _NO_SPACE in row["reason"].lower():
            done = rig.run("retry", row["id"])
            assert done.returncode == 0, done.stderr
            outcome.retried += 1
            storm.said.append(f"  {storm.now:5.2f} s: retried, as the disk was full: {row['reason']}")
            wait_until(lambda: _all_over(storm, len(schedule.jobs)), PATIENCE, "a retried job")


def _recoveries(storm: Storm) -> list[tuple[str, float | None]]:
    found: list[tuple[str, float | None]] = []
    for hit in storm.hits:
        later = [at for at in storm.progress if at > hit.ended]
        found.append((hit.kind, later[0] - hit.ended if later else None))
    return found


def _keep_evidence(rig: Rig, storm: Storm, outcome: Outcome) -> None:
    storm.said.append(f"  {storm.now:5.2f} s: {outcome.error}")
    for row in rows(rig.home, "SELECT at, job_id, text FROM events ORDER BY id"):
        storm.said.append(f"    event {row['at']:.2f} {row['job_id']}: {row['text']}")


def check(schedule: Schedule, reference: Reference, rig: Rig, storm: Storm, outputs: Path, outcome: Outcome) -> None:
    """Everything that must hold after a schedule. Raises AssertionError."""
    jobs = rows(rig.home, "SELECT id, status, reason, output FROM jobs")
    published = set()
    for job in jobs:
        name = Path(job["output"]).stem
        if job["status"] == "done":
            path = output_in(outputs, name)
            published.add(path.name)
            _check_output(path, reference, name)
            _check_masks(job["id"], reference, rig, storm, name)
            _check_books(job["id"], rig, again=bool(schedule.altered or DAMAGE & set(schedule.kinds)))
        else:
            outcome.failed += 1
            assert schedule.poison, f"{name} is {job['status']}: {job['reason']}"
            assert name == schedule.jobs[0], f"{name}, which has no poison, is {job['status']}: {job['reason']}"
            assert re.match(_POISONED[schedule.poison], job["reason"]), job["reason"]
    assert {path.name for path in outputs.iterdir()} == published
    assert [digest(clip) for clip in reference.clips] == reference.digests, "a source was changed"
    assert rows(rig.home, "SELECT id FROM attempts WHERE status IN ('queued', 'leased')") == []
    assert rows(rig.home, "SELECT id FROM outbox") == []
    if set(schedule.kinds) <= _LOSES_NO_ORDER:
        lost = rows(rig.home, f"SELECT reason FROM attempts WHERE {_LOST_ORDER}")
        assert lost == [], "an order was lost, but no fault lost one"
    assert "Traceback" not in rig.said(), rig.said()[-4000:]
    log = rig.home / "logs" / "coordinator.log"
    said = log.read_text(errors="replace") if log.exists() else ""
    assert "a defect" not in said, said[-4000:]


def _check_output(path: Path, reference: Reference, name: str) -> None:
    wanted = reference.jobs[name]
    if path.is_dir():
        assert digests(path) == wanted.pictures, f"{name}: pictures that differ"
        return
    found = read(path)
    assert found.times == wanted.source.times, f"{name}: frames at other times than the source's"
    assert found.sound == wanted.source.sound, f"{name}: another sound than the source's"
    assert wanted.uncovered(found.pictures) == [], f"{name}: uncovered faces"
    pairs = enumerate(zip(found.pictures, wanted.output.pictures, strict=True))
    assert [n for n, (one, other) in pairs if (one != other).any()] == [], f"{name}: frames that differ"


def _check_masks(job: str, reference: Reference, rig: Rig, storm: Storm, name: str) -> None:
    wanted, found = reference.jobs[name].masks, tracks(rig.home, rig.store, job)
    assert found.keys() == wanted.keys()
    for chunk, (key, masks) in found.items():
        if masks is None:  # damaged after it was used: nothing reads it any more
            assert rig.store / key in storm.damaged, f"{key} is damaged, but not by a fault"
        else:
            assert masks == wanted[chunk], f"{name}, chunk {chunk + 1}: other masks"


def _check_books(job: str, rig: Rig, *, again: bool) -> None:
    """``again``: a chunk may have been done more than once, as its artefact was damaged."""
    query = (
        'SELECT c.stage, c."index", c.status AS chunk, a.status, a.cause FROM chunks c'
        " LEFT JOIN attempts a ON a.chunk_id = c.id WHERE c.job_id = ?"
    )
    causes: Counter[tuple[str, int, str]] = Counter()
    done: Counter[tuple[str, int]] = Counter()
    for row in rows(rig.home, query, job):
        where = row["stage"], row["index"]
        assert row["chunk"] == "done", row
        causes[(*where, row["cause"])] += 1
        done[where] += row["status"] == "done"
    for (stage, index, cause), times in causes.items():
        assert times < _LIMITS.get(cause, times + 1), f"{stage} {index}: {times} × {cause}"
    for (stage, index), times in done.items():
        assert times == (stage not in ("link", "edit")) or (again and times), f"{stage} {index} is done {times} times"
