"""The record of a job: what was redacted, how, on whose word, and what an audit still found, as JSON.

The log of exemptions, a row per track with the reasons of its edits, is the same as CSV.
"""

import csv
import io
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from farm import __version__
from farm.database.edits import job_edits
from farm.digests import file_digest
from farm.domain.artefacts import FORMAT_VERSION
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detectors import DetectOptions
from farm.domain.edits import effective
from farm.domain.options import load_options
from farm.domain.quality import resolved
from farm.domain.track import number_text
from farm.errors import OutputError, SettingsError
from farm.files import whole_file
from farm.jobs.beginning import stage_rows
from farm.jobs.context import Context
from farm.jobs.queries import iso_time, job_events
from farm.jobs.tracks import JobTracks, TrackFacts

#: What a record says that it is, with the version of its form.
KIND = "blurfarm.record/1"
#: Ends the name of the record that lies beside an output.
SUFFIX = ".audit.json"


def record(context: Context, job_id: str, published: str | None = None) -> dict[str, Any]:
    """The record of a job. ``published``: the SHA-256 of its output, where the job's row does not say it yet.

    Raises NotFound, JobFailed for a job of another version, StorageError, OutputError where there is no output.
    """
    tracks = JobTracks(context, job_id, masked=True)
    job, manifest = tracks.job, tracks.manifest
    with context.database.read() as session:
        edits = job_edits(session, job.id)
        again = [
            (manifest.chunks[row.index], cast("DetectOptions", DetectOptions.load(row.request["detect"])))
            for row in stage_rows(session, job.id, "detect")
            if row.request.get("detect")
        ]
    counted, source = {edit.number for edit in effective(edits)}, manifest.source
    return {
        "kind": KIND,
        "farm": {"version": __version__, "format": FORMAT_VERSION},
        "written": iso_time(context.clock()),
        "job": job.id,
        "source": {"path": source.path, "sha256": source.digest, "size": source.size}
        | ({"repaired_from": source.original} if source.original else {}),
        "output": _output(Path(job.output), job.container, published or job.published) | {"encoder": job.encoder},
        "video": {"frames": manifest.frames, "seconds": manifest.seconds, "found": job.found},
        "model": {"sha256": job.model_sha256, "networks": _networks(load_options(job.options).detect)},
        "looked_at_again": [
            {"from": tracks.seconds(chunk.pts_start), "to": tracks.seconds(chunk.pts_end), "detect": asdict(detect)}
            | {"networks": _networks(detect)}
            for chunk, detect in again
        ],
        "options": job.options,
        "edits": [
            {"number": e.number, "at": iso_time(e.at), "author": e.author, "reason": e.reason, **e.body()}
            | {"in_effect": e.number in counted, "in_output": e.number <= job.masked}
            for e in edits
        ],
        "tracks": [facts.row() for facts in tracks.facts()],
        "audit": job.audited and {"strict": job.strict, **job.audited},
        "events": [{"at": iso_time(at), "text": text} for at, text in job_events(context, job.id)],
    }


def _output(path: Path, container: str, sha256: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {"path": str(path), "container": container}
    if container == PICTURES_CONTAINER:
        return said | {"pictures": {one.name: file_digest(one) for one in sorted(path.iterdir())}}
    try:
        return said | {"sha256": sha256, "size": path.stat().st_size}
    except OSError as e:
        raise OutputError(f"{path}: {e.strerror}", hint="its record is written of an output that is there") from e


def _networks(detect: DetectOptions) -> list[dict[str, str | None]]:
    """The networks that looked for faces, with the SHA-256 of their weights."""
    weights = [(one.written, one.network.weights) for one in resolved(detect).networks]
    return [{"name": name, "weights_sha256": found.sha256 if found else None} for name, found in weights]


def dumped(said: dict[str, Any]) -> bytes:
    """A record as a file holds it."""
    return json.dumps(said, indent=1, ensure_ascii=False).encode() + b"\n"


def write_beside(context: Context, job_id: str, published: str) -> str | None:
    """Write the record of a job that is about to be done beside its output. Returns why it was not written, if so.

    An earlier record of the same output is replaced, no other file. Raises as :func:`record`.
    """
    said = record(context, job_id, published)
    output = Path(said["output"]["path"])
    path = output.with_name(output.name + SUFFIX)
    if path.exists() and not _is_of(path, str(output)):
        return f"its record was not written: {path} is another file; farm audit {said['job']} -o NAME.json writes it"
    try:
        with whole_file(path) as file:
            file.write_bytes(dumped(said))
    except OutputError as e:
        return f"its record was not written: {e.message}; farm audit {said['job']} -o NAME.json writes it"
    return None


def _is_of(path: Path, output: str) -> bool:
    """Whether a file is a record of an output."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(path.read_bytes())
        return bool(said["kind"] == KIND and said["output"]["path"] == output)
    return False


def exemptions(context: Context, job_id: str) -> str:
    """CSV: a row per track, with the edits that are about it, who made them, and why. Raises as :func:`record`."""
    tracks = JobTracks(context, job_id, masked=True)
    by_number = {edit.number: edit for edit in tracks.edits}
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["track", "kind", "from", "to", "frames", "covered", "score", "edits", "authors", "reasons"])
    for facts in tracks.facts():
        rows.writerow([*_cells(facts), *_said(facts, by_number)])
    return out.getvalue()


def _cells(facts: TrackFacts) -> list[object]:
    return [number_text(facts.track), facts.kind, facts.begins, facts.ends, facts.frames, facts.covered, facts.score]


def _said(facts: TrackFacts, edits: dict[int, Any]) -> list[str]:
    """What edits say of a track. A text that a spreadsheet would compute is quoted (OWASP, "CSV injection")."""
    about = [edits[number] for number in facts.edits]
    cells = (f"{e.action.value} {e.number}" for e in about), (e.author for e in about), (e.reason for e in about)
    texts = ["; ".join(filter(None, cell)) for cell in cells]
    return [f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text for text in texts]


def signature(content: bytes, key: Path) -> bytes:
    """The Ed25519 signature (RFC 8032) of a record's bytes, by a private key in a PEM file, 64 bytes.

    ``openssl pkeyutl -verify -pubin -inkey PUBLIC -rawin -in RECORD -sigfile SIGNATURE`` checks it. Raises
    SettingsError for a key that is none, and where the extra ``sign`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - an extra
    except ImportError as e:
        raise SettingsError("records are signed with a library that is not installed", hint=_INSTALL) from e
    try:
        found = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as e:
        raise SettingsError(f"{key}: {e.strerror}") from e
    except (ValueError, TypeError) as e:  # no PEM, or one that is encrypted
        raise SettingsError(f"{key} is no private key in PEM without a password", hint=_KEY) from e
    if not isinstance(found, Ed25519PrivateKey):
        raise SettingsError(f"{key} is a key of another kind than Ed25519", hint=_KEY)
    return found.sign(content)


_INSTALL = 'pip install "blurfarm[sign]"'
_KEY = "make one: openssl genpkey -algorithm ed25519 -out key.pem"
