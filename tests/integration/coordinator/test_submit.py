"""From a request to a job: the source is probed once, and the encoder chosen once, from what workers have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from farm.cli.submit_options import error_text
from farm.database.models import Job, Plan, Worker
from farm.domain.artefacts import fingerprint_facts, stage_fingerprint
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detectors import DetectOptions
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest, load_manifest
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions
from farm.errors import JobFailed, OutputError, SettingsError, SourceError
from farm.jobs.abilities import reported, usable, with_runtime
from farm.jobs.asked import job_options
from farm.jobs.control import control
from farm.jobs.machine import Abilities
from farm.jobs.placing import Prepared, Request, prepare
from farm.jobs.submit import submit
from farm.media.encoding.encoders import ENCODERS
from farm.settings import load_settings
from tests.integration.coordinator.conftest import Bench
from tests.integration.trips import X264, Rendered, with_sound

ALL = frozenset(ENCODERS)
SOFTWARE = frozenset(name for name, encoder in ENCODERS.items() if not encoder.hardware)


@pytest.fixture
def source(render: Rendered) -> Path:
    return render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)


def asked(source: Path, output: Path | None = None, **redact: object) -> Request:
    options = JobOptions(redact=RedactOptions(**redact))  # type: ignore[arg-type]  # checked where it is made
    return Request(source, output, overwrite=False, options=options)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that libavformat opens for reading."""
    names: list[str] = []
    opener: Callable[..., object] = av.open

    def count(file: str, mode: str = "r", **rest: object) -> object:
        names.extend([Path(file).name] if mode == "r" else [])
        return opener(file, mode, **rest)

    monkeypatch.setattr(av, "open", count)
    return names


def add_worker(bench: Bench, name: str, *encoders: str, alive: bool = True, runtime: str = "openvino-f32") -> None:
    bench.hello(name, encoders=encoders, runtimes=(runtime,))
    with bench.context.database.write() as session:
        session.get_one(Worker, name).alive = alive


def submitted(bench: Bench, prepared: Prepared) -> tuple[Job, Manifest]:
    job = bench.job(submit(bench.context, prepared, "1" * 64, 1).job)
    with bench.context.store.fetch(job.plan) as path:
        return job, load_manifest(path.read_text())


def test_a_source_is_probed_once_and_demuxed_once(
    bench: Bench, source: Path, tmp_path: Path, opened: list[str]
) -> None:
    prepared = prepare(asked(source, tmp_path / "out.mkv"), ALL)
    assert opened == [source.name]
    submit(bench.context, prepared, "1" * 64, 1)
    assert opened == [source.name] * 3  # once more its first packets, for what may be copied


def test_an_output_that_shows_faces_says_so_in_its_name_and_notes(bench: Bench, source: Path, tmp_path: Path) -> None:
    options = job_options(load_settings(), debug=True)
    request = replace(asked(source, tmp_path), options=options, folder=True)
    prepared = prepare(request, SOFTWARE)
    assert prepared.output == tmp_path / "submitted.debug.mkv"
    assert any("faces are not redacted" in note for note in prepared.notes)
    named = replace(request, folder=False, output=tmp_path / "out.debug.mkv")
    assert prepare(named, SOFTWARE).output == named.output
    with pytest.raises(OutputError, match=r"out\.mkv: the name says nothing of the faces.*write -o .*out\.debug\.mkv"):
        prepare(replace(named, output=tmp_path / "out.mkv"), SOFTWARE)
    pictures = replace(options, compose=ComposeOptions(pictures="png"), redact=replace(options.redact, codec="ffv1"))
    with pytest.raises(SettingsError, match="--debug makes a video, no pictures"):
        prepare(replace(named, options=pictures, output=tmp_path / "frames"), SOFTWARE)
    assert "debug" not in load_settings().model_dump()  # no variable and no file may uncover faces


def test_the_manifest_and_the_job_name_the_encoder(bench: Bench, source: Path, tmp_path: Path) -> None:
    prepared = prepare(asked(source, tmp_path / "out.mkv", codec="ffv1"), ALL)
    job, manifest = submitted(bench, prepared)
    assert (job.encoder, manifest.encoder.encoder) == ("ffv1", "ffv1")
    assert {chunk.stream for chunk in manifest.chunks} == {manifest.source.video.index} == {1}
    assert all(chunk.name.startswith("1_") for chunk in manifest.chunks)


def test_equal_options_with_other_encoders_give_other_segments(source: Path, tmp_path: Path) -> None:
    one, other = (prepare(asked(source, tmp_path / "o.mkv", codec=c), ALL).plan(1)[0] for c in ("h264", "ffv1"))
    assert one.encoder != other.encoder
    facts = [fingerprint_facts(manifest, "1" * 64, JobOptions(), "matroska") for manifest in (one, one, other)]
    names = [stage_fingerprint("redact", fact) for fact in facts]
    assert names[0] == names[1] != names[2]


def test_a_source_that_changed_since_it_was_probed_is_refused(bench: Bench, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(source.read_bytes())
    prepared = prepare(asked(copy, tmp_path / "out.mkv"), ALL)
    with copy.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceError, match="changed while it was read"):
        submit(bench.context, prepared, "1" * 64, 1)


def test_an_output_that_appeared_since_is_refused(bench: Bench, source: Path, tmp_path: Path) -> None:
    prepared = prepare(asked(source, tmp_path / "out.mkv"), ALL)
    prepared.output.write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="exists"):
        submit(bench.context, prepared, "1" * 64, 1)


def test_pictures_are_placed_without_a_note_on_the_encoder(source: Path, tmp_path: Path) -> None:
    options = JobOptions(redact=RedactOptions(codec="ffv1"), compose=ComposeOptions(pictures="png"))
    folder = tmp_path / "frames"
    prepared = prepare(Request(source, folder, overwrite=False, options=options), ALL)
    assert (prepared.container, prepared.output, prepared.notes) == (PICTURES_CONTAINER, folder, ())


def test_live_workers_decide_what_jobs_may_be_given(bench: Bench) -> None:
    assert reported(bench.context, alive=True) == Abilities(frozenset(), frozenset())
    add_worker(bench, "one", "libx264", "ffv1")
    add_worker(bench, "two", "libx264", "h264_nvenc", runtime="cuda-f32")
    add_worker(bench, "gone", "libsvtav1", alive=False, runtime="cuda-tf32")
    alive = Abilities(frozenset({"libx264", "ffv1", "h264_nvenc"}), frozenset({"openvino-f32", "cuda-f32"}))
    assert reported(bench.context, alive=True) == alive
    assert reported(bench.context, alive=False) == Abilities(frozenset({"libsvtav1"}), frozenset({"cuda-tf32"}))
    assert usable(bench.context.settings, running=True) == alive


def test_without_live_workers_a_job_waits_for_one_that_can(bench: Bench, source: Path, tmp_path: Path) -> None:
    """With Redis elsewhere, any worker may come; the runtime is one that workers had before."""
    home = bench.context.settings.home
    shared = load_settings(home=home, broker_url="redis://localhost:1/0")
    assert usable(shared, running=False) == Abilities(ALL, frozenset())
    add_worker(bench, "one", "libx264")
    assert usable(shared, running=False) == Abilities(frozenset({"libx264"}), frozenset({"openvino-f32"}))
    add_worker(bench, "one", "libx264", alive=False)
    assert usable(shared, running=False) == Abilities(ALL, frozenset({"openvino-f32"}))
    job, _ = submitted(bench, prepare(asked(source, tmp_path / "out.mkv", encoder="h264_nvenc"), ALL))
    assert (job.status, job.encoder) == ("detecting", "h264_nvenc")


def test_an_embedded_farm_has_what_its_workers_will_report(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the workers is asked: it opens the encoders with their devices, as the workers will."""
    monkeypatch.setenv("FARM_TESTING", "true")
    monkeypatch.setenv("FARM_HIDDEN_ENCODERS", "libx265")
    monkeypatch.setenv("FARM_CPU_RUNTIME", "onnxruntime")
    settings = load_settings(home=bench.context.settings.home, devices="cpu:2")
    here = usable(settings, running=False)
    assert {"libx264", "ffv1"} <= here.encoders <= ALL - {"libx265"}
    assert here.runtimes == {"onnxruntime-f32"}
    assert usable(settings, running=True) == here  # no worker has reported yet
    add_worker(bench, "one", "libx264")
    assert usable(settings, running=True).encoders == {"libx264"}
    assert usable(settings, running=False) == here  # its rows are of an earlier farm
    with pytest.raises(SettingsError, match="--devices"):
        usable(load_settings(home=bench.context.settings.home, devices="gpu"), running=False)


def test_a_job_has_the_fastest_runtime_unless_told_otherwise() -> None:
    def runtime(asked: str | None, *offered: str) -> str | None:
        options = JobOptions(detect=DetectOptions(runtime=asked))
        return with_runtime(options, Abilities(ALL, frozenset(offered))).detect.runtime

    mixed = ("onnxruntime-f32", "openvino-f32", "openvino-bf16")
    assert runtime(None, *mixed) == runtime("openvino", *mixed) == "openvino-bf16"
    assert runtime(None, *mixed, "cuda-f32") == "cuda-f32"
    assert runtime("openvino-f32", *mixed) == "openvino-f32"
    assert runtime("onnxruntime", *mixed) == "onnxruntime-f32"
    assert runtime("cuda-tf32") == "cuda-tf32"  # no worker has reported: it may come
    with pytest.raises(SettingsError) as refused:
        runtime("cuda", *mixed)
    choices = "openvino-bf16, openvino-f32 or onnxruntime-f32"
    assert (
        error_text(refused.value)
        == f'--runtime: no worker can use "cuda"; choose {choices}, or start a worker that can'
    )
    with pytest.raises(
        SettingsError, match="no worker has reported its runtimes yet; start a worker, or choose cuda-tf32"
    ):
        runtime(None)


def test_each_runtime_has_detections_of_its_own(bench: Bench, source: Path, tmp_path: Path) -> None:
    made: list[tuple[str, str]] = []
    for runtime in ("openvino-f32", "onnxruntime-f32", "openvino-f32"):
        options = JobOptions(detect=DetectOptions(runtime=runtime))
        output = tmp_path / f"{len(made)}.mkv"
        job, _ = submitted(bench, prepare(Request(source, output, overwrite=False, options=options), ALL))
        made.append((bench.chunk(0, "detect", job.id).fingerprint, job.fingerprint))
    assert made[0] == made[2]
    assert made[0][0] != made[1][0]
    assert made[0][1] != made[1][1]


def test_what_no_live_worker_has_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"submitted\.mkv: redact.encoder: no worker has \"h264_nvenc\"; "):
        prepare(asked(source, tmp_path / "out.mkv", encoder="h264_nvenc"), SOFTWARE)


def test_a_job_does_not_go_on_while_another_one_has_its_output(
    bench: Bench, source: Path, tmp_path: Path, add_job: Callable[..., Manifest]
) -> None:
    prepared = prepare(asked(source, tmp_path / "out.mkv"), ALL)
    first, _ = submitted(bench, prepared)
    control(bench.context, first.id, JobEvent.CANCEL)
    add_job("other", output="out.mkv")
    with pytest.raises(OutputError, match="is the output of job other"):
        submitted(bench, prepared)
    assert bench.job(first.id).status == "cancelled"
    control(bench.context, "other", JobEvent.CANCEL)
    assert submitted(bench, prepared)[0].id == first.id
    assert bench.job(first.id).status == "detecting"


def test_a_job_whose_plan_is_of_another_version_is_planned_anew(bench: Bench, source: Path, tmp_path: Path) -> None:
    prepared = prepare(asked(source, tmp_path / "out.mkv"), ALL)
    older, _ = submitted(bench, prepared)
    control(bench.context, older.id, JobEvent.CANCEL)
    with bench.context.database.write() as session:
        job = session.get_one(Job, older.id)
        job.plan = f"plans/{'9' * 32}/manifest.json"  # as the versions before stored them
        session.delete(session.get_one(Plan, older.id))
    newer, _ = submitted(bench, prepared)
    assert (newer.id == older.id, newer.fingerprint, newer.status) == (False, older.fingerprint, "detecting")
    with pytest.raises(JobFailed, match=r"planned by another version .*submit the video again"):
        control(bench.context, older.id, JobEvent.RETRY)


def test_two_jobs_of_the_same_video_never_work_on_one_output(bench: Bench, source: Path, tmp_path: Path) -> None:
    """With chunks of another length, or submitted at the same moment, the same video is another job."""
    request = asked(source, tmp_path / "out.mkv")
    first, _ = submitted(bench, prepare(request, ALL))
    with pytest.raises(OutputError, match=f"is the output of job {first.id}, .*farm watch {first.id}"):
        submitted(bench, prepare(replace(request, chunk_seconds=0.1), ALL))
    control(bench.context, first.id, JobEvent.CANCEL)
    second, manifest = submitted(bench, prepare(replace(request, chunk_seconds=0.1), ALL))
    assert (second.id == first.id, len(manifest.chunks) > 1) == (False, True)
