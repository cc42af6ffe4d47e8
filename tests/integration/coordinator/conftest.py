"""A coordinator over a real SQLite file and a real store, with a clock that tests advance."""

import hashlib
import os
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import redis

from farm.broker import Broker, redis_client
from farm.coordinator.dispatch import dispatch, publish
from farm.coordinator.outcomes import Reply, accept
from farm.coordinator.sweep import Sweeper
from farm.database.models import Attempt, Chunk, Job, Outgoing, Plan
from farm.database.session import Database
from farm.domain.artefacts import key_of, plan_key
from farm.domain.detection import (
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
)
from farm.domain.geometry import Box
from farm.domain.manifest import Chunk as PlannedChunk
from farm.domain.manifest import Manifest, OtherStream, Source, VideoStream, dump_manifest, dump_pts
from farm.domain.options import JobOptions
from farm.jobs.beginning import begin_stage
from farm.jobs.context import Context
from farm.jobs.plans import store_plan
from farm.local.redis import EmbeddedRedis
from farm.messages import Artefact, Completed, Held, Hello, Order, Started
from farm.settings import Settings, load_settings
from farm.storage.inputs import with_inputs
from farm.storage.local import LocalStorage
from farm.supervision import Supervisor
from tests.planned import ENCODER, MODEL

CHUNK_FRAMES = 5
AddJob = Callable[..., Manifest]


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """What a test needs to act as the workers."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.context, self.clock = context, clock

    def hello(
        self,
        worker: str = "w0",
        incarnation: str = "a",
        encoders: tuple[str, ...] = (),
        runtimes: tuple[str, ...] = ("openvino-f32",),
        holds: tuple[str, ...] | None = None,
        idle: float = 0.0,
    ) -> Reply:
        """A worker's heartbeat. ``holds``: by default, what it has started and not ended; it did not move for ``idle``
        seconds.
        """
        if holds is None:
            with self.context.database.read() as session:
                holds = tuple(a.token for a in session.query(Attempt).filter_by(worker=worker, status="leased"))
        able = {
            "encoders": encoders,
            "runtimes": runtimes,
            "holds": tuple(Held(token=token, idle=idle) for token in holds),
        }
        hello = Hello(worker=worker, incarnation=incarnation, host="h", device="cpu0", pid=1, **able)
        return accept(self.context, hello)

    def orders(self) -> list[Order]:
        """Dispatch, and take what the outbox holds, as a publisher would."""
        dispatch(self.context)
        with self.context.database.write() as session:
            rows = session.query(Outgoing).order_by(Outgoing.id).all()
            found = [with_inputs(Order.model_validate(r.body), self.context.store) for r in rows]
            for row in rows:
                session.delete(row)
        return found

    def worker_of(self, order: Order) -> str:
        """The worker that an order was assigned to."""
        with self.context.database.read() as session:
            name = session.query(Attempt.worker).filter_by(token=order.token).scalar()
        assert isinstance(name, str)
        return name

    def start(self, order: Order, worker: str | None = None) -> Reply:
        """A worker, by default the assigned one, takes an order."""
        return accept(self.context, Started(token=order.token, worker=worker or self.worker_of(order)))

    def complete(
        self,
        order: Order,
        worker: str | None = None,
        frames: int = CHUNK_FRAMES,
        artefact: Artefact | None = None,
    ) -> Reply:
        """A worker reports a result, without having made one unless it is given."""
        if artefact is None:
            key = key_of(self.name_of(order), "0" * 64)
            artefact = Artefact(key=key, size=1, sha256="0" * 64, frames=frames, **painted(order))
        return accept(
            self.context, Completed(token=order.token, worker=worker or self.worker_of(order), artefact=artefact)
        )

    def name_of(self, order: Order) -> str:
        """The name of an order's artefact, as its chunk's row has it."""
        return self.chunk(order.chunk, order.stage, order.job).name

    def made(self, order: Order, content: bytes, frames: int = CHUNK_FRAMES) -> Artefact:
        """An artefact of this order in the store."""
        with self.context.store.put(self.name_of(order)) as draft:
            draft.path.write_bytes(content)
        return draft.artefact(frames).model_copy(update=painted(order))

    def detect(self, order: Order, *, face: bool = True) -> None:
        """Do a detect order: one face that stands still, or none, and report it."""
        with self.context.store.put(self.name_of(order)) as draft, draft.path.open("w") as out:
            for n in range(CHUNK_FRAMES):
                found = (Detection(Box(10, 10, 20, 20), 0.9),) if face else ()
                out.write(dump_frame(FrameDetections(order.chunk * CHUNK_FRAMES + n, False, found)) + "\n")
            out.write(dump_chunk(ChunkDetections(CHUNK_FRAMES)) + "\n")
        self.start(order)
        self.complete(order, artefact=draft.artefact(CHUNK_FRAMES))

    def job(self, job_id: str = "job") -> Job:
        """The job's row."""
        with self.context.database.read() as session:
            return session.get_one(Job, job_id)

    def chunk(self, index: int = 0, stage: str = "detect", job: str = "job") -> Chunk:
        """A chunk's row, with its attempts."""
        with self.context.database.read() as session:
            found = session.query(Chunk).filter_by(job_id=job, stage=stage, index=index).one()
            assert found.attempts is not None
            return found


def painted(order: Order) -> dict[str, Any]:
    """What a segment's artefact says of its masks; nothing for other stages."""
    if order.stage != "redact":
        return {}
    return {"masks": order.inputs[0].sha256, "covered": order.inputs[0].covered}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", worker_silence_seconds=30, lease_seconds=45, stall_seconds=120)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    settings.home.mkdir(parents=True)
    clock = Clock()
    database = Database(settings.sql_url)
    database.migrate()
    yield Bench(Context(settings, database, LocalStorage(settings.store_root), clock), clock)
    database.close()


@pytest.fixture
def add_job(bench: Bench, tmp_path: Path) -> Callable[..., Manifest]:
    """Write a job of some chunks down, as ``submit`` does; its source is a file, but no video."""

    def add(
        job_id: str = "job", chunks: int = 2, output: str = "out.mp4", options: JobOptions | None = None,
        others: tuple[OtherStream, ...] = (),
    ) -> Manifest:  # fmt: skip
        video = VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
        source = Source(str(tmp_path / "in.mp4"), 1, 1, "0" * 64, "mp4", video, others)
        Path(source.path).write_bytes(b"-")
        os.utime(source.path, ns=(source.mtime_ns, source.mtime_ns))
        n = CHUNK_FRAMES
        pts = [array("q", range(i * n, i * n + n)) for i in range(chunks)]
        digests = [hashlib.sha256(dump_pts(part).encode()).hexdigest() for part in pts]
        cut = tuple(
            PlannedChunk(i, 0, i * n, i * n + n, n, i * n, pts_sha256=digest) for i, digest in enumerate(digests)
        )
        manifest = Manifest(source, cut, ENCODER)
        context = bench.context
        plan = plan_key(manifest)
        store_plan(context.store, plan, manifest, pts)
        now = context.clock()
        with context.database.write() as session:
            job = Job(
                id=job_id, fingerprint=job_id, status="planning", source=source.path, output=str(tmp_path / output),
                container="mp4", options=asdict(options or JobOptions()), plan=plan, model_sha256=MODEL,
                frames=manifest.frames, seconds=manifest.seconds, created_at=now,
            )  # fmt: skip
            session.add(job)
            session.flush()
            session.add(Plan(job_id=job_id, manifest=dump_manifest(manifest)))
            begin_stage(session, context.store, job, manifest, now)
        return manifest

    return add


@pytest.fixture
def server(bench: Bench, redis_server: object) -> Iterator[EmbeddedRedis]:
    """An embedded Redis for the settings of ``bench``."""
    server = EmbeddedRedis(bench.context.settings, Supervisor(print))
    server.start()
    yield server
    server.stop()


def wait_until(holds: Callable[[], object]) -> None:
    """Wait up to 15 s for a condition."""
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def tokens(bench: Bench, index: int = 0) -> list[str]:
    return [a.token for a in bench.chunk(index).attempts]


def ends(bench: Bench, index: int = 0) -> list[tuple[str, str | None]]:
    return [(a.status, a.cause) for a in bench.chunk(index).attempts]


@pytest.fixture
def client(bench: Bench, server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis_client(bench.context.settings) as client:
        yield client


@pytest.fixture
def broker(bench: Bench, server: EmbeddedRedis) -> Iterator[Broker]:
    broker = Broker(bench.context.settings)
    yield broker
    broker.close()


@pytest.fixture
def sweeper(bench: Bench, broker: Broker) -> Sweeper:
    """The leader's: it has seen this Redis before."""
    sweeper = Sweeper(bench.context, broker)
    sweeper.sweep()
    bench.clock.pass_(1)
    return sweeper


def later(bench: Bench, sweeper: Sweeper, seconds: float, *workers: str) -> None:
    """Time passes: the coordinator sweeps, and ``workers`` say that they are alive."""
    until = bench.clock.now + seconds
    while bench.clock.now < until:
        bench.clock.pass_(min(5, until - bench.clock.now))
        for worker in workers:
            bench.hello(worker)
        sweeper.sweep()


def send_out(bench: Bench, broker: Broker, add_job: AddJob, chunks: int = 1) -> None:
    add_job(chunks=chunks)
    bench.hello()
    dispatch(bench.context)
    publish(bench.context, broker)
