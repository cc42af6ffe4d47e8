"""The last step: a verified output gets its final name by one atomic step, and what led to it is removed."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from sqlalchemy import select

from farm.coordinator.context import Context
from farm.database.models import Chunk, Job
from farm.digests import file_digest
from farm.domain.lifecycle import JobStatus
from farm.errors import OutputError, VerificationError
from farm.messages import Artefact
from farm.storage.local import LocalStorage, storage_error


def publish_output(store: LocalStorage, job: Job, output: Artefact) -> None:
    """Give the composed video its final name. Done twice, the second changes nothing.

    Raises OutputError when something else took the name, StorageError when the disk refuses.
    """
    final = Path(job.output)
    if final.is_file() and final.stat().st_size == output.size and file_digest(final) == output.sha256:
        return
    if not store.exists(output.key):
        raise VerificationError(f"{output.key} is missing from the store", hint="retry the job: it is made again")
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        _bring(store.local_path(output.key), temporary, output)
        if job.overwrite:
            temporary.replace(final)
        else:
            os.link(temporary, final)
    except FileExistsError as e:
        raise OutputError(f"{final} exists by now", hint="submit again with --overwrite, or another name") from e
    except OSError as e:
        raise storage_error(e, final) from e
    finally:
        with contextlib.suppress(OSError):  # the error above says more
            temporary.unlink()


def _bring(made: Path, temporary: Path, output: Artefact) -> None:
    """The composed video beside its final name: a second name where the disk is the same, else a checked copy."""
    try:
        os.link(made, temporary)
    except OSError:
        shutil.copyfile(made, temporary)
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        if file_digest(temporary) != output.sha256:
            raise VerificationError(f"the copy of the output in {temporary.parent} is not what was verified") from None


def remove_intermediates(context: Context, job_id: str) -> None:
    """Delete a finished job's segments and composed video, unless another unfinished job shares them."""
    with context.database.read() as session:
        made = select(Chunk.fingerprint).where(Chunk.stage.in_(("redact", "compose"))).distinct()
        mine = set(session.scalars(made.where(Chunk.job_id == job_id)))
        over = [s.value for s in JobStatus if s is JobStatus.DONE]
        others = made.join(Job).where(Chunk.job_id != job_id, Job.status.not_in(over))
        mine -= set(session.scalars(others))
    for name in sorted(mine):
        context.store.delete(f"segments/{name}")
        context.store.delete(f"outputs/{name}")
