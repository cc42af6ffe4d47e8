"""The last step: a verified output gets its final name by one atomic step, and what led to it is removed."""

import contextlib
import errno
import os
import secrets
import shutil
import zipfile
from pathlib import Path

from sqlalchemy import select

from farm.database.models import Chunk, Job
from farm.digests import file_digest
from farm.domain.artefacts import PICTURE_ARCHIVE, artefact_folder
from farm.domain.stages import STAGES, JobStatus
from farm.errors import OutputError, VerificationError
from farm.jobs.context import Context
from farm.messages import Artefact
from farm.storage.local import LocalStorage, storage_error


def publish_output(store: LocalStorage, job: Job, output: Artefact) -> None:
    """Give the composed video its final name. Done twice, the second changes nothing.

    Raises OutputError when something else took the name, StorageError when the disk refuses.
    """
    final = Path(job.output)
    if output.key.endswith(PICTURE_ARCHIVE):
        publish_pictures(store, final, output)
        return
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


def publish_pictures(store: LocalStorage, final: Path, output: Artefact) -> None:
    """Give a folder of pictures its final name. Done twice, the second changes nothing.

    Raises OutputError when something else took the name, StorageError when the disk refuses.
    """
    if not store.exists(output.key):
        raise VerificationError(f"{output.key} is missing from the store", hint="retry the job: it is made again")
    made = store.local_path(output.key)
    if file_digest(made) != output.sha256:
        raise VerificationError(f"{output.key} in the store is not what was verified", hint="retry the job")
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        with zipfile.ZipFile(made) as archive:
            if final.is_dir() and _holds(final, archive):
                return
            if any(Path(name).name != name for name in archive.namelist()):
                raise VerificationError(f"{output.key}: names a file outside its folder")
            temporary.mkdir()
            for name in archive.namelist():
                (temporary / name).write_bytes(archive.read(name))
        temporary.rename(final)  # over an empty folder, never over one that holds something
    except OSError as e:
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise OutputError(f"{final} exists and is not empty", hint="choose another folder with --frames") from e
        raise storage_error(e, final) from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _holds(folder: Path, archive: zipfile.ZipFile) -> bool:
    """Whether a folder holds exactly what is in an archive, by names and sizes."""
    there = {path.name: path.stat().st_size for path in folder.iterdir()}
    return there == {row.filename: row.file_size for row in archive.infolist()}


def remove_intermediates(context: Context, job_id: str) -> None:
    """Delete the intermediate artefacts of a job that is done, unless another unfinished job shares them."""
    names = [stage.name for stage in STAGES if stage.intermediate]
    with context.database.read() as session:
        made = select(Chunk.stage, Chunk.fingerprint).where(Chunk.stage.in_(names)).distinct()
        mine = {(row.stage, row.fingerprint) for row in session.execute(made.where(Chunk.job_id == job_id))}
        others = made.join(Job).where(Chunk.job_id != job_id, Job.status != JobStatus.DONE)
        mine -= {(row.stage, row.fingerprint) for row in session.execute(others)}
    for stage, name in sorted(mine):
        context.store.delete(artefact_folder(stage, name))
