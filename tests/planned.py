"""The plan of a source as ``farm submit`` makes it, in one call, and encoder settings for manifests of nothing."""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Manifest, VideoStream
from farm.domain.options import RedactOptions, SourceOptions
from farm.media.encoding.choice import encoder_settings
from farm.media.encoding.encoders import ENCODERS
from farm.media.reading.index import index_source, plan_manifest
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source


def settings_of(video: VideoStream, redact: RedactOptions) -> EncoderSettings:
    """The settings where workers have every encoder."""
    return encoder_settings(video, redact, frozenset(ENCODERS))[0]


def plan_of(
    path: Path,
    chunk_seconds: float | None,
    options: SourceOptions | None = None,
    limits: Limits | None = None,
    redact: RedactOptions | None = None,
    workers: int = 1,
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The manifest of a source and each chunk's pts."""
    limits = limits or Limits()
    indexed = index_source(probe_source(path, limits), options or SourceOptions(), limits)
    encoder = settings_of(indexed.source.video, redact or RedactOptions())
    return plan_manifest(indexed, encoder, chunk_seconds, workers)


#: H.264 in 64 x 48, for manifests that nothing is encoded for.
ENCODER = settings_of(
    VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2), RedactOptions()
)
