"""Which worker gets which chunk: oldest first, two at most, only what it can do, not what it failed."""

from collections.abc import Callable

import pytest

from farm.coordinator.dispatch import dispatch
from farm.coordinator.outcomes import accept
from farm.database.models import Attempt, Chunk, Event, Job, Outgoing, Worker
from farm.database.statuses import move_job
from farm.domain.detectors import DetectOptions
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions
from farm.jobs.abilities import waiting_for
from farm.messages import Goodbye, queue_of
from tests.integration.coordinator.conftest import CHUNK_FRAMES, Bench
from tests.integration.coordinator.test_outcomes import fail

AddJob = Callable[..., Manifest]


def assigned(bench: Bench) -> list[tuple[int, str]]:
    """Dispatch; each chunk's index and worker."""
    return [(order.chunk, bench.worker_of(order)) for order in bench.orders()]


def redacting(bench: Bench, add_job: AddJob, encoder: str, job_id: str = "job", chunks: int = 1) -> None:
    """A job whose pending chunks are those of redact."""
    add_job(job_id, chunks=chunks, output=f"{job_id}.mp4")
    with bench.context.database.write() as session:
        job = session.get_one(Job, job_id)
        job.encoder = encoder
        session.query(Chunk).filter_by(job_id=job_id).update({"status": "done"})
        for count in (0, 0, chunks):  # linking, reviewing, redacting
            job.open_chunks = 0
            session.flush()
            assert move_job(session, job, JobEvent.STAGE_DONE, bench.clock(), open_chunks=count)
        for index in range(chunks):
            row = Chunk(job_id=job_id, stage="redact", index=index, frames=CHUNK_FRAMES, fingerprint="f", inputs=[])
            session.add(row)


def events(bench: Bench, job_id: str = "job") -> list[str]:
    with bench.context.database.read() as session:
        return [e.text for e in session.query(Event).filter_by(job_id=job_id).order_by(Event.id)]


def test_nothing_is_assigned_without_a_worker(bench: Bench, add_job: AddJob) -> None:
    add_job()
    assert bench.orders() == []


def test_two_orders_per_live_worker_in_order(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=5)
    bench.hello()
    first = bench.orders()
    assert [o.chunk for o in first] == [0, 1]
    assert bench.orders() == []
    bench.detect(first[0])
    assert [o.chunk for o in bench.orders()] == [2]


def test_oldest_job_first(bench: Bench, add_job: AddJob) -> None:
    add_job("young", chunks=1, output="a.mp4")
    bench.clock.pass_(-10)
    add_job("old", chunks=1, output="b.mp4")
    bench.hello()
    assert [o.job for o in bench.orders()] == ["old", "young"]


def test_the_worker_with_the_fewest_orders_gets_the_next(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=8)
    for worker in ("w0", "w1", "w2"):
        bench.hello(worker)
    orders = bench.orders()
    assert [bench.worker_of(o) for o in orders] == ["w0", "w1", "w2"] * 2
    bench.detect(orders[1])
    bench.detect(orders[4])
    bench.detect(orders[2])
    assert assigned(bench) == [(6, "w1"), (7, "w1")]


def test_attempt_queue_and_outbox_name_the_worker(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w7")
    assert dispatch(bench.context) == 1
    with bench.context.database.read() as session:
        attempt, row = session.query(Attempt).one(), session.query(Outgoing).one()
    assert (attempt.worker, attempt.status) == ("w7", "queued")
    assert (row.token, row.queue) == (attempt.token, queue_of("w7"))


def test_a_worker_that_failed_a_chunk_does_not_get_it_again(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    bench.hello("w1")
    fail(bench, bench.orders()[0].token)
    bench.clock.pass_(1)
    assert assigned(bench) == [(0, "w1")]


def test_a_failed_chunk_waits_for_another_worker_and_holds_up_no_other(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=6)
    bench.hello("w0")
    bench.hello("w1")
    orders = bench.orders()
    assert [bench.worker_of(o) for o in orders] == ["w0", "w1", "w0", "w1"]
    fail(bench, orders[0].token)
    bench.clock.pass_(1)
    assert assigned(bench) == [(4, "w0")]  # w1 is full
    bench.detect(orders[1])
    assert assigned(bench) == [(0, "w1")]


def test_the_only_worker_may_try_again(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    fail(bench, bench.orders()[0].token)
    bench.clock.pass_(1)
    assert assigned(bench) == [(0, "w0")]


def test_the_only_live_worker_may_try_again(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    bench.hello("w1")
    fail(bench, bench.orders()[0].token)
    accept(bench.context, Goodbye(worker="w1", incarnation="a"))
    bench.clock.pass_(1)
    assert assigned(bench) == [(0, "w0")]


def fail_all(bench: Bench) -> None:
    """Have the only worker fail all that it gets, twice: three failures block it for the job."""
    bench.hello("w0")
    for _ in range(2):
        for order in bench.orders():
            fail(bench, order.token)
    bench.clock.pass_(1)


def test_three_failures_block_a_worker_for_the_job_only(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=9)
    fail_all(bench)
    bench.hello("w0")
    bench.hello("w1")
    add_job("other", chunks=3, output="other.mp4")
    orders = bench.orders()
    assert {(o.job, bench.worker_of(o)) for o in orders} == {("job", "w1"), ("other", "w0")}
    assert len(orders) == 4


def test_a_blocked_worker_goes_on_where_there_is_no_other(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=9)
    fail_all(bench)
    assert [worker for _, worker in assigned(bench)] == ["w0", "w0"]


def test_hello_is_stored_with_its_capabilities(bench: Bench) -> None:
    bench.hello("w0", encoders=("libx264", "h264_nvenc"))
    with bench.context.database.read() as session:
        row = session.get_one(Worker, "w0")
    assert (row.encoders, row.runtimes) == (["libx264", "h264_nvenc"], ["openvino-f32"])
    bench.hello("w0", encoders=("libx264",))
    with bench.context.database.read() as session:
        assert session.get_one(Worker, "w0").encoders == ["libx264"]


def test_a_redact_order_goes_only_to_a_worker_with_the_encoder(bench: Bench, add_job: AddJob) -> None:
    redacting(bench, add_job, "h264_nvenc", chunks=4)
    bench.hello("w0", encoders=("libx264",))
    bench.hello("w1", encoders=("libx264", "h264_nvenc"))
    assert assigned(bench) == [(0, "w1"), (1, "w1")]
    assert bench.orders() == []
    assert not any("encoder" in text for text in events(bench))


def test_an_encoder_is_no_condition_for_other_stages(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    with bench.context.database.write() as session:
        session.get_one(Job, "job").encoder = "h264_nvenc"
    bench.hello("w0", encoders=("libx264",))
    assert assigned(bench) == [(0, "w0")]


def test_without_a_known_encoder_anyone_may_redact(bench: Bench, add_job: AddJob) -> None:
    redacting(bench, add_job, "")
    bench.hello("w0")
    assert assigned(bench) == [(0, "w0")]


@pytest.mark.parametrize("chunks", [1, 50])
def test_chunks_that_no_live_worker_can_do_wait_and_hold_up_no_others(
    bench: Bench, add_job: AddJob, chunks: int
) -> None:
    redacting(bench, add_job, "h264_nvenc", chunks=chunks)
    bench.clock.pass_(1)
    add_job("young", chunks=2, output="young.mp4")
    bench.hello("w0", encoders=("libx264",))
    said = "redact: no live worker has the encoder h264_nvenc; waiting for one that has"
    for _ in range(3):
        assert {order.job for order in bench.orders()} <= {"young"}
        bench.clock.pass_(1)
    assert bench.chunk(0, "detect", "young").status == "queued"
    assert bench.chunk(0, "redact").status == "pending"
    assert events(bench).count(said) == 1
    bench.hello("w1", encoders=("h264_nvenc",))
    assert {bench.worker_of(order) for order in bench.orders()} == {"w1"}


def test_an_encoder_of_a_full_worker_holds_up_no_others(bench: Bench, add_job: AddJob) -> None:
    redacting(bench, add_job, "h264_nvenc", chunks=5)
    bench.clock.pass_(1)
    add_job("young", chunks=2, output="young.mp4")
    bench.hello("w0", encoders=("libx264",))
    bench.hello("w1", encoders=("h264_nvenc",))
    assert [(o.job, bench.worker_of(o)) for o in bench.orders()] == [
        ("job", "w1"), ("job", "w1"), ("young", "w0"), ("young", "w0"),
    ]  # fmt: skip
    assert not any("encoder" in text for text in events(bench))


def test_a_detect_order_goes_only_to_a_worker_with_the_runtime(bench: Bench, add_job: AddJob) -> None:
    """Of two CPUs, one without bfloat16: a job never mixes what they find."""
    add_job(chunks=4, options=JobOptions(detect=DetectOptions(runtime="openvino-bf16")))
    bench.hello("w0", runtimes=("openvino-f32", "onnxruntime-f32"))
    assert bench.orders() == []
    assert "detect: no live worker has the runtime openvino-bf16; waiting for one that has" in events(bench)
    missing = "a worker with the runtime openvino-bf16: no live worker has it"
    assert waiting_for(bench.context, "job") == missing
    bench.hello("w1", runtimes=("openvino-bf16", "openvino-f32", "onnxruntime-f32"))
    assert waiting_for(bench.context, "job") is None
    assert assigned(bench) == [(0, "w1"), (1, "w1")]
    assert bench.orders() == []  # w0 is idle, and gets none


def test_on_a_mixed_farm_a_gpu_detects_and_those_with_the_encoder_redact(bench: Bench, add_job: AddJob) -> None:
    """A data-centre GPU computes and encodes nothing; a chunk that it fails never goes to a CPU, which finds others."""
    bench.hello("gpu", encoders=("libx264",), runtimes=("cuda-tf32", "torch-cuda-tf32"))
    bench.hello("cpu", encoders=("libx264", "libx265"), runtimes=("openvino-f32",))
    add_job("found", chunks=2, output="found.mp4", options=JobOptions(detect=DetectOptions(runtime="cuda-tf32")))
    redacting(bench, add_job, "libx265", "painted", chunks=2)
    orders = bench.orders()
    assert [(o.job, bench.worker_of(o)) for o in orders] == [("found", "gpu")] * 2 + [("painted", "cpu")] * 2
    fail(bench, orders[0].token, "gpu")
    bench.clock.pass_(1)
    (again,) = bench.orders()
    assert (again.chunk, bench.worker_of(again)) == (orders[0].chunk, "gpu")  # the cpu is idle, and gets none
    bench.hello("other", runtimes=("cuda-tf32",))
    fail(bench, again.token, "gpu")
    bench.clock.pass_(1)
    assert [(o.chunk, bench.worker_of(o)) for o in bench.orders()] == [(orders[0].chunk, "other")]


def test_a_job_without_a_worker_waits_for_any(bench: Bench, add_job: AddJob) -> None:
    add_job()
    assert waiting_for(bench.context, "job") == "a worker: start one with `farm up` or `farm worker`"
    assert waiting_for(bench.context, "none") is None


def test_without_any_worker_no_encoder_is_missed(bench: Bench, add_job: AddJob) -> None:
    redacting(bench, add_job, "h264_nvenc")
    assert bench.orders() == []
    assert not any("encoder" in text for text in events(bench))
