"""The keys of a job's artefacts in the store, and the fingerprints that they contain.

Equal inputs give equal keys, so that a finished chunk is found again, whoever made it. What a fingerprint covers and
what a key looks like is said by the table of the stages.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from farm.domain.manifest import Chunk, Manifest, dump_manifest
from farm.domain.options import JobOptions
from farm.domain.stages import stage_named

#: Raised whenever a change of the code changes what a stage writes for the same inputs.
FORMAT_VERSION = 4

#: Suffix of a composed output that is an archive of pictures.
PICTURE_ARCHIVE = ".zip"

#: Ends the name, without its suffix, of an output that the user gave no name.
OUTPUT_MARK = ".blurred"


def fingerprint(*parts: object) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the parts' canonical JSON and the format version."""
    text = json.dumps([FORMAT_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def fingerprint_facts(
    manifest: Manifest, model_sha256: str, options: JobOptions, container: str, plan: str = ""
) -> dict[str, object]:
    """The facts of a job that fingerprints cover, as JSON values, by the names in ``Stage.covers``.

    ``plan``: the manifest's key.
    """
    return {
        "source": manifest.source.digest,
        "model": model_sha256,
        "encoder": manifest.encoder.row(),
        "plan": plan,
        "container": container,
        **{f"options.{part}": values for part, values in asdict(options).items()},
    }


def stage_fingerprint(name: str, facts: Mapping[str, object]) -> str:
    """Names a stage's results: covers the stage's facts and all that went into its inputs. Raises KeyError."""
    stage = stage_named(name)
    inputs = [stage_fingerprint(stage.inputs, facts)] if stage.inputs else []
    return fingerprint(name, *inputs, *(facts[fact] for fact in stage.covers))


def job_fingerprint(source_digest: str, model_sha256: str, options: JobOptions, container: str) -> str:
    """Names a job's result; covers neither the chunk boundaries nor the encoder."""
    return fingerprint("job", source_digest, model_sha256, asdict(options), container)


def artefact_key(stage: str, fingerprint: str, chunk: str = "", suffix: str = "") -> str:
    """Key of what a stage writes. ``chunk``: the chunk's name; ``suffix``: of a composed output, with its dot."""
    return stage_named(stage).key.format(fingerprint=fingerprint, chunk=chunk, suffix=suffix)


def artefact_folder(stage: str, fingerprint: str) -> str:
    """Prefix of the keys of everything that a stage wrote for a fingerprint."""
    return artefact_key(stage, fingerprint).rpartition("/")[0]


def is_of_chunk(stage: str, key: str, chunk: Chunk) -> bool:
    """Whether ``key`` names what a stage wrote for this chunk, with whichever fingerprint."""
    return key.endswith(artefact_key(stage, "", chunk.name).partition("/")[2])


def plan_key(manifest: Manifest) -> str:
    """Key of a manifest: named by its content."""
    return artefact_key("plan", stage_fingerprint("plan", {"manifest": dump_manifest(manifest)}))


def pts_key(plan: str, chunk: Chunk) -> str:
    """Key of the list of a chunk's pts. ``plan``: the manifest's key."""
    return f"{plan.rpartition('/')[0]}/pts/{chunk.name}.json"


def receipt_key(key: str) -> str:
    """Key of the receipt that lies beside an artefact."""
    return f"{key}.receipt.json"
