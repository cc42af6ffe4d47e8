"""What the artefacts of a job are called, and the fingerprints that name them.

Equal inputs give equal names, so that a finished chunk is found again whoever made it.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Chunk, Manifest, dump_manifest
from farm.domain.options import JobOptions

#: Raised whenever a change of the code changes what a stage writes for the same inputs.
FORMAT_VERSION = 4


def fingerprint(*parts: object) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the parts' canonical JSON and the format version."""
    text = json.dumps([FORMAT_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def detect_fingerprint(source_digest: str, model_sha256: str, options: JobOptions) -> str:
    """Names the detections of a source."""
    return fingerprint("detect", source_digest, model_sha256, asdict(options.detect), asdict(options.source))


def link_fingerprint(detect: str, options: JobOptions) -> str:
    """Names the tracks of a source."""
    return fingerprint("link", detect, asdict(options.link))


def redact_fingerprint(link: str, options: JobOptions, encoder: EncoderSettings) -> str:
    """Names the segments of a source."""
    return fingerprint("redact", link, asdict(options.redact), encoder.row())


def compose_fingerprint(redact: str, plan: str, container: str, options: JobOptions) -> str:
    """Names a composed output: it depends on where the chunks were cut, too."""
    return fingerprint("compose", redact, plan, container, asdict(options.compose))


def job_fingerprint(source_digest: str, model_sha256: str, options: JobOptions, container: str) -> str:
    """Names the result of a job, however it is cut into chunks: source, options, model, format version."""
    return fingerprint("job", source_digest, model_sha256, asdict(options), container)


def plan_key(manifest: Manifest) -> str:
    """Where a manifest lies: named by its content."""
    return f"plans/{fingerprint('plan', dump_manifest(manifest))}/manifest.json"


def tracks_key(link: str, chunk: Chunk) -> str:
    """Where a chunk's tracks lie."""
    return f"tracks/{link}/{chunk.name}.jsonl"


def options_row(options: JobOptions) -> dict[str, Any]:
    """Options as JSON; ``domain.options.load_options`` is the inverse."""
    return asdict(options)


def pts_key(plan: str, chunk: Chunk) -> str:
    """Where in the store the pts of a chunk's frames lie. ``plan``: the manifest's key."""
    return f"{plan.rpartition('/')[0]}/pts/{chunk.name}.json"
