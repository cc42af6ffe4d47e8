"""The last step: a verified output gets its final name in one atomic step."""

import contextlib
import errno
import os
import secrets
import shutil
import zipfile
from pathlib import Path

from farm.database.models import Job
from farm.digests import file_digest
from farm.domain.artefacts import PICTURE_ARCHIVE
from farm.errors import DamagedArtefact, OutputError, VerificationError
from farm.messages import Artefact
from farm.storage.base import Storage, storage_error


def publish_output(store: Storage, job: Job, output: Artefact) -> None:
    """Give the composed video, or the folder of pictures, its final name. Publishing twice changes nothing.

    Raises DamagedArtefact unless the store holds exactly ``output``, OutputError when something else took the name,
    StorageError when the disk refuses.
    """
    final = Path(job.output)
    pictures = output.key.endswith(PICTURE_ARCHIVE)
    if not pictures and _is_output(final, output):
        return
    temporary = final.with_name(f".blurfarm-{job.id}-{secrets.token_hex(4)}.part")  # short: the name may be the longest
    with store.fetch(output.key) as made:
        if pictures:
            _publish_pictures(made, temporary, final, output)
        else:
            _publish_video(made, temporary, final, output, overwrite=job.overwrite)


def remove_leftovers(job: Job) -> None:
    """Remove what coordinators that were killed while they published a job left beside its output.

    To be called in the transaction that ends the job, whose row it has locked: another coordinator that publishes the
    same output at this moment then fails, which changes nothing any more.
    """
    for path in Path(job.output).parent.glob(f".blurfarm-{job.id}-*.part"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _publish_video(made: Path, temporary: Path, final: Path, output: Artefact, *, overwrite: bool) -> None:
    try:
        _bring(made, temporary)
        if not _is_output(temporary, output):
            raise DamagedArtefact(output.key)
        if overwrite:
            temporary.replace(final)
        else:
            os.link(temporary, final)
    except FileExistsError as e:
        if not _is_output(final, output):  # else another coordinator has just published it
            raise OutputError(f"{final} already exists", hint="submit again with --overwrite, or another name") from e
    except OSError as e:
        raise storage_error(e, final) from e
    finally:
        with contextlib.suppress(OSError):  # the error above says more
            temporary.unlink()


def _bring(made: Path, temporary: Path) -> None:
    """Place the composed video beside its final name: a hard link on the same disk, else a copy."""
    try:
        os.link(made, temporary)
    except OSError:
        shutil.copyfile(made, temporary)
        with temporary.open("rb") as f:
            os.fsync(f.fileno())


def _is_output(path: Path, output: Artefact) -> bool:
    """Whether a file is ``output``, by size and digest: reads all of it where the size is right."""
    return path.is_file() and path.stat().st_size == output.size and file_digest(path) == output.sha256


def _publish_pictures(made: Path, temporary: Path, final: Path, output: Artefact) -> None:
    if not _is_output(made, output):
        raise DamagedArtefact(output.key)
    try:
        with zipfile.ZipFile(made) as archive:
            if _holds(final, archive):
                return
            if any(Path(name).name != name for name in archive.namelist()):
                raise VerificationError(f"{output.key}: names a file outside its folder")
            temporary.mkdir()
            for name in archive.namelist():
                (temporary / name).write_bytes(archive.read(name))
            try:
                temporary.rename(final)  # replaces an empty folder, never one that holds something
            except OSError:
                if not _holds(final, archive):  # else another coordinator has just published it
                    raise
    except OSError as e:
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise OutputError(f"{final} exists and is not empty", hint="choose another folder with --frames") from e
        raise storage_error(e, final) from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # the error above says more


def _holds(folder: Path, archive: zipfile.ZipFile) -> bool:
    """Whether a folder holds exactly what is in an archive, by names and sizes."""
    there = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else None
    return there == {row.filename: row.file_size for row in archive.infolist()}
