"""The names and keys of a job's artefacts in the store, and the fingerprints that they contain.

An artefact's *name* says what it was made of: its stage, what the stage's fingerprint covers, its chunk, and the digest
of its inputs. Its *key* is the name with the SHA-256 of its own content before the suffix. Equal inputs give equal
names, so that a finished chunk is found again. Several artefacts may have one name; the database says which is valid.
The table of the stages says what a fingerprint covers and what a name looks like.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from farm.domain.manifest import Chunk, Manifest, dump_manifest
from farm.domain.options import JobOptions
from farm.domain.stages import work_named

#: Raised whenever a change of the code changes what a stage writes for the same inputs.
FORMAT_VERSION = 11

#: Suffix of a composed output that is an archive of pictures.
PICTURE_ARCHIVE = ".zip"

#: Ends the name, without its suffix, of an output that the user gave no name.
OUTPUT_MARK = ".blurred"
#: Ends the name, without its suffix, of every output that shows faces, with boxes drawn over them.
DEBUG_MARK = ".debug"

#: First part of the keys of masks that were imported.
IMPORTS = "imports"
#: First part of the keys of repaired copies of sources.
REPAIRED = "repaired"


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
    """Names the results of a stage or errand: covers its facts and all that went into its inputs. Raises KeyError."""
    stage = work_named(name)
    inputs = [stage_fingerprint(stage.inputs, facts)] if stage.inputs else []
    return fingerprint(name, *inputs, *(facts[fact] for fact in stage.covers))


def job_fingerprint(source_digest: str, model_sha256: str, options: JobOptions, container: str, edits: str = "") -> str:
    """Names a job's result; covers neither the chunk boundaries nor the encoder. ``edits``: the digest of those that
    it was submitted with.
    """
    with_edits = [edits] if edits else []
    return fingerprint("job", source_digest, model_sha256, asdict(options), container, *with_edits)


def artefact_name(
    stage: str,
    fingerprint: str,
    chunk: str = "",
    inputs: Iterable[str] = (),
    suffix: str = "",
    request: Mapping[str, object] | None = None,
) -> str:
    """Name of what a stage or an errand writes.

    ``chunk``: the chunk's name; ``inputs``: the SHA-256 of each artefact that was read, in order; ``suffix``: of a
    composed output, with its dot; ``request``: what its order says beside the job's options.
    """
    read, key = [*inputs, *([_digest(request)] if request else [])], work_named(stage).key
    if request and "{inputs}" not in key:
        raise ValueError(f"what is asked of {stage} is not in its names")
    digest = hashlib.sha256("".join(read).encode()).hexdigest()[:16]
    return key.format(fingerprint=fingerprint, chunk=chunk, inputs=digest, suffix=suffix)


def _digest(request: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_of(name: str, sha256: str) -> str:
    """Key of the artefact of this name whose content has this SHA-256."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{sha256}.{suffix}"


def name_of(key: str) -> str:
    """The name in a key; empty if ``key`` is none."""
    stem, _, suffix = key.rpartition(".")
    return f"{stem.rpartition('.')[0]}.{suffix}" if digest_in(key) else ""


def digest_in(key: str) -> str:
    """The SHA-256 that a key names; empty if ``key`` is none."""
    parts = key.rsplit(".", 2)
    return parts[1] if len(parts) == 3 and len(parts[1]) == 64 else ""


def artefact_folder(stage: str, fingerprint: str) -> str:
    """Prefix of the keys of everything that a stage wrote for a fingerprint."""
    return artefact_name(stage, fingerprint).rpartition("/")[0]


def is_of_chunk(stage: str, fingerprint: str, key: str, chunk: Chunk) -> bool:
    """Whether ``key`` names what a stage wrote for this fingerprint and chunk, whatever it read."""
    return key.startswith(f"{artefact_folder(stage, fingerprint)}/{chunk.name}.")


def import_name(source_digest: str) -> str:
    """Name of masks that were imported for a source. They belong to the jobs whose edits name them."""
    return f"{IMPORTS}/{fingerprint(IMPORTS, source_digest)}/masks.jsonl"


def plan_key(manifest: Manifest) -> str:
    """Key of a manifest."""
    return key_of_plan(dump_manifest(manifest))


def key_of_plan(text: str) -> str:
    """Key of a manifest's JSON. Another version of the farm gives it another key, as it does all that follows."""
    name = artefact_name("plan", stage_fingerprint("plan", {"manifest": text}))
    return key_of(name, hashlib.sha256(text.encode()).hexdigest())


def image_name(sha256: str) -> str:
    """Name of a picture with this content."""
    return f"images/{sha256[:32]}/image.png"


def is_image(key: str) -> bool:
    """Whether a key is one of a picture."""
    return name_of(key) == image_name(digest_in(key))


def is_image_folder(prefix: str) -> bool:
    """Whether this is the prefix of a picture's key."""
    return re.fullmatch("images/[0-9a-f]{32}", prefix) is not None


def repaired_name(suffix: str, source_digest: str) -> str:
    """Name of the repaired copy of a source. It belongs to the jobs whose options name it."""
    return f"{REPAIRED}/{fingerprint(REPAIRED, source_digest)}/source{suffix}"


def references_name(plan: str) -> str:
    """Name of the faces on the photos of a job. ``plan``: the key of its manifest, whose group they belong to."""
    return f"{plan.rpartition('/')[0]}/people/photos.json"


def pts_key(plan: str, chunk: Chunk) -> str:
    """Key of the list of a chunk's pts. ``plan``: the manifest's key."""
    return key_of(pts_name(plan, chunk), chunk.pts_sha256)


def pts_name(plan: str, chunk: Chunk) -> str:
    """Name of the list of a chunk's pts. ``plan``: the manifest's key."""
    return f"{plan.rpartition('/')[0]}/pts/{chunk.name}.json"
