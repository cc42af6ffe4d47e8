"""What ``farm bench`` measures: a job with a farm of its own, and plain ffmpeg at the same work."""

import os
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from farm.api import Farm
from farm.domain.encoding import EncoderSettings
from farm.errors import SettingsError
from farm.jobs.plans import job_manifest
from farm.jobs.story import story
from farm.local.temporary import temporary_home
from farm.media.ffmpeg import run_ffmpeg
from farm.media.progress import no_progress
from farm.media.reading.probe import Probe
from farm.processes import scratch_prefix
from farm.settings import Settings

#: Options with which the farm does not decode and encode each frame of a video once.
_OTHERWISE = ("fps", "every", "resize_to", "repair")


@dataclass(frozen=True, slots=True)
class Run:
    """What a whole run took, from its start to its end, in seconds: ``wall`` time, and ``cpu`` time.

    Of a farm ``cpu`` is that of its ``workers``, ``spent`` the same by stage and step, and ``stages`` the wall time of
    each part of the job, by the job's status. ``starting`` and ``stopping``: what comes before and after.
    """

    frames: int
    wall: float
    cpu: float
    workers: int = 0
    starting: float = 0.0
    stopping: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    spent: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        """Frames per second."""
        return self.frames / self.wall

    @property
    def at_work(self) -> float:
        """Frames per second from when the job was planned until it was done."""
        return self.frames / max(self.wall - self.starting - self.stopping, 0.001)

    def core_ms(self, seconds: float) -> float:
        """CPU seconds of the run as milliseconds per frame."""
        return 1000 * seconds / self.frames

    def row(self) -> dict[str, Any]:
        """All that is known as JSON."""
        row: dict[str, Any] = {
            "frames": self.frames, "wall_seconds": round(self.wall, 3), "cpu_seconds": round(self.cpu, 3),
            "frames_per_second": round(self.speed, 3), "core_ms_per_frame": round(self.core_ms(self.cpu), 3),
        }  # fmt: skip
        if self.workers:
            row |= {"workers": self.workers, "frames_per_second_at_work": round(self.at_work, 3)}
            row |= {"starting_seconds": round(self.starting, 3), "stopping_seconds": round(self.stopping, 3)}
            row["stages_wall_seconds"] = {name: round(seconds, 3) for name, seconds in self.stages.items()}
            row["steps_core_ms_per_frame"] = {
                stage: {step: round(self.core_ms(value), 3) for step, value in steps.items()}
                for stage, steps in self.spent.items()
            }
        return row


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was measured: its run, how it encoded, and the options of its source, as in its JSON."""

    run: Run
    encoder: EncoderSettings
    source: Mapping[str, Any]


def measure_job(settings: Settings, given: Mapping[str, Any], video: Path) -> Job:
    """One job with a farm of its own, from its start to its end. ``given``: options before those of ``settings``.

    Raises FarmError as ``farm submit``.
    """
    with temporary_home(settings) as folder:
        output = folder / "output"
        output.mkdir()
        begun, at = time.monotonic(), time.time()
        with Farm(**given) as farm:
            job = farm.submit(video.absolute(), output)
            facts = farm.wait(job)
            workers = farm.workers()
            with farm.context.database.read() as session:
                encoder = job_manifest(session, job).encoder
            moments = [(str(each.after), each.at) for each in story(farm.context, job) if each.kind == "job"]
        wall = time.monotonic() - begun
    stages = {status: after - before for (status, before), (_, after) in pairwise(moments)}
    starting, stopping = max(0.0, moments[0][1] - at), max(0.0, at + wall - moments[-1][1])
    spent = {stage.stage: dict(stage.spent) for stage in facts.stages if stage.spent}
    cpu = sum(sum(steps.values()) for steps in spent.values())
    return Job(
        Run(facts.frames, wall, cpu, workers, starting, stopping, stages, spent), encoder, facts.options["source"]
    )


def measure_ffmpeg(program: Path, probe: Probe, job: Job) -> Run:
    """Plain ffmpeg at the same work: it decodes the same part of the video and encodes it with the same settings.

    It uses all cores, as it does by default. Raises FarmError where it cannot do that.
    """
    if any(job.source.get(name) for name in _OTHERWISE):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in _OTHERWISE)
        raise SettingsError(f"plain ffmpeg does not the same with {flags}")
    encoder, (start, end) = job.encoder, (job.source.get(name) for name in ("start", "end"))
    before = ["-ss", f"{start}"] if start else []
    before += ["-t", f"{end - (start or 0)}"] if end else []
    options = [word for name, value in encoder.options.items() for word in (f"-{name}", value)]
    scale = ["-vf", f"scale={encoder.width}:{encoder.height}"] if encoder.width != probe.video.width else []
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getpid())) as folder:
        out = Path(folder) / "plain"
        words = [
            "-v", "error", "-y", "-nostdin", *before, "-protocol_whitelist", "file",
            "-i", f"file:{probe.path.absolute()}", "-map", f"0:{probe.video.index}", "-fps_mode", "passthrough", *scale,
            "-c:v", encoder.encoder, *options, "-pix_fmt", encoder.layout,
            "-g", str(encoder.gop), "-f", encoder.muxer, str(out),
        ]  # fmt: skip
        begun, used = time.monotonic(), _cpu()
        run_ffmpeg(program, words, out, probe.size, job.run.frames, no_progress)
        return Run(job.run.frames, time.monotonic() - begun, _cpu() - used)


def _cpu() -> float:
    """CPU seconds of the children of this process that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
