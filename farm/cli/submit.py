"""``farm submit``: videos in, redacted videos out."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.job_options import job_options
from farm.errors import FarmError, OutputError, SettingsError
from farm.settings import Settings, load_settings

SourceArgument = Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="The videos. They are never changed.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="The redacted video, or a folder. Default: beside the source.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Leave the job to a running farm and return.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON, one line a job.")]
DevicesOption = Annotated[str | None, typer.Option(help="For an embedded farm: auto, cpu:N or cuda:0,cuda:1.")]
StyleOption = Annotated[str | None, typer.Option(help="blur, pixelate or solid. Default: blur.")]
ShapeOption = Annotated[str | None, typer.Option(help="ellipse or rectangle. Default: ellipse.")]
MarginOption = Annotated[float | None, typer.Option(help="Share of a face's box added on each side. Default: 0.3.")]
SizeOption = Annotated[int | None, typer.Option(help="Long side in pixels that faces are sought at. Default: 640.")]
ThresholdOption = Annotated[float | None, typer.Option(help="Lowest score of a detection that counts.")]
GapOption = Annotated[float | None, typer.Option(help="Seconds without detection filled inside a track. Default: 1.")]
HoldOption = Annotated[float | None, typer.Option(help="Seconds covered before and after a track. Default: 0.25.")]
CrfOption = Annotated[int | None, typer.Option(help="Quality of the encoder, 0 (best) to 51. Default: 18.")]
PresetOption = Annotated[str | None, typer.Option(help="Preset of the encoder. Default: veryfast.")]
ModelOption = Annotated[str | None, typer.Option(help="The detector's model. Default: centerface.")]
CodecOption = Annotated[str | None, typer.Option(help="h264, hevc, av1, vp9, prores, ffv1, ... Default: the source's.")]
EncoderOption = Annotated[str | None, typer.Option(help="FFmpeg's name of an encoder, as hevc_nvenc.")]
ScaleOption = Annotated[int | None, typer.Option(metavar="WIDTH", help="Shrink the picture to this width.")]
StartOption = Annotated[str | None, typer.Option(metavar="TIME", help="Begin here: 90, 5s, 1:02:03.5.")]
EndOption = Annotated[str | None, typer.Option(metavar="TIME", help="End before this time of the source.")]
FpsOption = Annotated[float | None, typer.Option(help="Keep at most so many frames a second.")]
EveryOption = Annotated[str | None, typer.Option(metavar="TIME", help="Keep one frame in each such interval, as 5s.")]
UndetectableOption = Annotated[
    str | None, typer.Option(help="Frames that cannot be decoded: fail, or blackout. Default: fail.")
]
MetadataOption = Annotated[
    str | None, typer.Option(help="keep, strip-private (no places, no names) or strip. Default: strip-private.")
]
AudioOption = Annotated[str | None, typer.Option(help="keep or drop. Default: keep.")]
FramesOption = Annotated[
    Path | None, typer.Option("--frames", metavar="FOLDER", help="Write the frames as pictures, and no video.")
]
FramesAsOption = Annotated[str | None, typer.Option(help="png or jpeg. Default: png.")]
ChunkOption = Annotated[
    float | None, typer.Option(help="Length of a chunk in seconds. Default: fitted to the workers.")
]


@dataclass(frozen=True, slots=True)
class How:
    """How a command shows and runs what it submits."""

    overwrite: bool = False
    detach: bool = False
    as_json: bool = False
    pictures: bool = False


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("submit")
    def submit(
        videos: SourceArgument,
        output: OutputOption = None,
        overwrite: OverwriteOption = False,
        detach: DetachOption = False,
        as_json: JsonOption = False,
        devices: DevicesOption = None,
        style: StyleOption = None,
        shape: ShapeOption = None,
        margin: MarginOption = None,
        detect_size: SizeOption = None,
        threshold: ThresholdOption = None,
        gap: GapOption = None,
        hold: HoldOption = None,
        crf: CrfOption = None,
        preset: PresetOption = None,
        codec: CodecOption = None,
        encoder: EncoderOption = None,
        scale: ScaleOption = None,
        start: StartOption = None,
        end: EndOption = None,
        fps: FpsOption = None,
        every: EveryOption = None,
        on_undetectable: UndetectableOption = None,
        metadata: MetadataOption = None,
        audio: AudioOption = None,
        frames: FramesOption = None,
        frames_as: FramesAsOption = None,
        model: ModelOption = None,
        chunk_seconds: ChunkOption = None,
    ) -> None:
        """Redact every face in VIDEO and write the result beside it (or to -o)."""
        given = {
            "devices": devices, "style": style, "shape": shape, "margin": margin, "detect_size": detect_size,
            "threshold": threshold, "gap": gap, "hold": hold, "crf": crf, "preset": preset, "codec": codec,
            "encoder": encoder, "scale": scale, "start": start, "end": end, "fps": fps, "every": every,
            "on_undetectable": on_undetectable, "metadata": metadata, "audio": audio, "frames_as": frames_as,
            "model": model, "chunk_seconds": chunk_seconds,
        }  # fmt: skip
        settings = load_settings(**{k: v for k, v in given.items() if v is not None})
        if frames is not None and output is not None:
            raise SettingsError("--frames and -o: one of them", hint="frames are pictures in a folder, not a video")
        how = How(overwrite, detach, as_json, pictures=frames is not None)
        run_submit(settings, videos, output if frames is None else frames, how)


def run_submit(settings: Settings, videos: list[Path], output: Path | None, how: How) -> None:
    """Submit all videos, one after the other; the first error decides the exit code, the others still run."""
    from farm.cli.attach import FarmAtHand  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.cli.model_progress import model_digest  # noqa: PLC0415
    from farm.coordinator.placing import Request, place_output  # noqa: PLC0415
    from farm.media.limits import Limits  # noqa: PLC0415

    options = job_options(settings, pictures=how.pictures)
    if len(videos) > 1 and how.pictures:
        raise OutputError(f"{output}: one folder for the frames of {len(videos)} videos", hint="submit one at a time")
    if len(videos) > 1 and output is not None and not output.is_dir():
        raise OutputError(f"{output} is not a folder", hint="several videos need an existing folder after -o")
    limits = Limits(settings.max_pixels, settings.max_hours * 3600)
    requests, first = [], None
    for video in videos:  # all are looked at before the first is begun
        try:
            request = Request(video, output, how.overwrite, options, settings.chunk_seconds, limits)
            place_output(request)
            requests.append(request)
        except FarmError as e:
            first = first or e
            if len(videos) > 1:
                print(f"error: {e}", file=sys.stderr)
    if requests:
        model = model_digest(settings, options.detect.model, quiet=how.as_json)
        with FarmAtHand(settings, start=not how.detach) as farm:
            for request in requests:
                try:
                    _one(farm, settings, request, model, how)
                except FarmError as e:
                    first = first or e
                    if len(videos) > 1:
                        print(f"error: {e}", file=sys.stderr)
    if first is not None:
        if len(videos) > 1:
            raise typer.Exit(first.exit_code)
        raise first


def _one(farm: Any, settings: Settings, request: Any, model: str, how: How) -> None:  # noqa: ANN401 - imported late
    from farm.cli import display  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.coordinator.queries import job_facts, live_workers  # noqa: PLC0415
    from farm.coordinator.submit import submit  # noqa: PLC0415
    from farm.embedded import is_running  # noqa: PLC0415

    began = time.monotonic()
    workers = live_workers(farm.context) or expected_workers(settings.devices)
    submitted = submit(farm.context, request, model, workers)
    say = not how.as_json
    if how.detach:
        facts = job_facts(farm.context, submitted.job)
        if how.as_json:
            display.print_json_line(json.dumps(facts.row()))
        else:
            display.output.print(f"job {submitted.job}: farm watch {submitted.job}", soft_wrap=True)
        if settings.embedded and not is_running(settings):
            display.errors.print("no farm is running here: the job begins with `farm up`", soft_wrap=True)
        return
    if say and submitted.resumed:
        display.errors.print(f"job {submitted.job} goes on where it stopped")
    try:
        facts = display.Watcher(farm.context, submitted.job, farm.tend, quiet=how.as_json).follow()
    except KeyboardInterrupt:
        display.errors.print(
            f"stopped. Finished chunks are kept: the same command goes on with job {submitted.job}", soft_wrap=True
        )
        raise
    if how.as_json:
        display.print_json_line(json.dumps({**facts.row(), "wall_seconds": round(time.monotonic() - began, 3)}))
    display.check_done(facts)
    if say:
        display.output.print(display.summary(facts, time.monotonic() - began), soft_wrap=True)


def expected_workers(devices: str) -> int:
    """How many workers a farm will have that has none yet: what the number of chunks is fitted to."""
    import psutil  # noqa: PLC0415 - needed here only

    first = devices.split(",")
    if devices.startswith("cpu:") and devices[4:].isdigit():
        return max(1, int(devices[4:]))
    if devices.startswith("cuda"):
        return len(first)
    return psutil.cpu_count(logical=False) or 1
