"""The plan of a source as ``farm submit`` makes it, in one call, its orders, and encoder settings for no source."""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

from farm.coordinator.editing import edit_job
from farm.coordinator.linking import link_job
from farm.domain.artefacts import fingerprint_facts, plan_key, stage_fingerprint
from farm.domain.edits import Edit
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Manifest, VideoStream
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions, SourceOptions
from farm.media.encoding.choice import encoder_settings
from farm.media.encoding.copying import copying
from farm.media.encoding.encoders import ENCODERS
from farm.media.reading.index import index_source, plan_manifest
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source
from farm.messages import Artefact, Order
from farm.storage.base import Storage

#: The model of jobs that tests make up.
MODEL = "1" * 64


def settings_of(video: VideoStream, redact: RedactOptions, tried: tuple[str, ...] = ()) -> EncoderSettings:
    """The settings where workers have every encoder."""
    return encoder_settings(video, redact, frozenset(ENCODERS), tried)[0]


def plan_of(
    path: Path,
    chunk_seconds: float | None,
    options: SourceOptions | None = None,
    limits: Limits | None = None,
    redact: RedactOptions | None = None,
    workers: int = 1,
    index: int | None = None,
    container: str = "",
    metadata: str = "strip-private",
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The manifest of a source and each chunk's pts. ``index``: of a further video or a cover, without the rest.

    ``container``: of the output; groups may be copied into it, else all is encoded. ``metadata``: of it.
    """
    limits = limits or Limits()
    probe = probe_source(path, limits, index)
    probe = probe if index is None else replace(probe, others=())
    indexed = index_source(probe, options or SourceOptions(), limits)
    still = index is not None and probe.video.timing == "counted"
    encoder = settings_of(indexed.source.video, redact or RedactOptions(), ("mjpeg", "png") if still else ())
    if container:
        asked = JobOptions(redact=redact or RedactOptions(), compose=ComposeOptions(metadata=metadata))
        encoder = copying(path, indexed.source.video, encoder, asked, container)
    return plan_manifest(indexed, encoder, chunk_seconds, workers)


#: H.264 in 64 x 48, for manifests that nothing is encoded for.
ENCODER = settings_of(
    VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2), RedactOptions()
)


def order_of(
    manifest: Manifest,
    options: JobOptions,
    stage: str,
    chunk: int = 0,
    inputs: tuple[Artefact, ...] = (),
    container: str = "",
    source: Path | None = None,
    known: Artefact | None = None,
) -> Order:
    """The order that a coordinator gives for one chunk of a job with this plan."""
    plan = plan_key(manifest)
    facts = fingerprint_facts(manifest, MODEL, options, container, plan)
    return Order(
        job="job",
        stage=stage,
        chunk=chunk,
        chunks=len(manifest.chunks),
        attempt=1,
        token="token",
        fingerprint=stage_fingerprint(stage, facts),
        plan=plan,
        source=str(source or manifest.source.path),
        inputs=inputs,
        known=known,
        model_sha256=MODEL,
        options=asdict(options),
        container=container,
    )


def fingerprint_of(stage: str, manifest: Manifest, options: JobOptions, container: str = "") -> str:
    """The fingerprint of a stage of a job with this plan."""
    return stage_fingerprint(stage, fingerprint_facts(manifest, MODEL, options, container, plan_key(manifest)))


def masked(
    store: Storage,
    manifest: Manifest,
    options: JobOptions,
    found: Sequence[Artefact],
    container: str = "",
    edits: Sequence[Edit] = (),
) -> tuple[Artefact, ...]:
    """The masks of a job, made of its detections and edits as the coordinator makes them."""
    of = fingerprint_of("link", manifest, options, container)
    tracks = link_job(store, manifest, found, of, options).artefacts
    return edit_job(store, manifest, tracks, fingerprint_of("edit", manifest, options, container), edits)[0].artefacts
