"""The last step: a verified output gets its final name in one atomic step."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import zipfile
from pathlib import Path

from farm.database.models import Job
from farm.digests import has_digest
from farm.domain.artefacts import PICTURE_ARCHIVE
from farm.errors import DamagedArtefact, OutputError, StorageError, VerificationError
from farm.messages import Artefact
from farm.processes import users_umask
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
    mode = _permitted(Path(job.source))
    with store.fetch(output.key) as made:
        if pictures:
            _publish_pictures(made, temporary, final, output, mode)
        else:
            ours = has_digest(final, job.published)  # a revision replaces what it made
            _publish_video(made, temporary, final, output, mode, overwrite=job.overwrite or ours)


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


def _permitted(source: Path) -> int:
    """The permissions of an output: those of its source that the umask allows. Its owner can always read it."""
    try:
        mode = source.stat().st_mode
    except OSError:  # a source that is gone cannot be asked
        mode = 0
    return mode & 0o666 & ~users_umask() | stat.S_IRUSR


def _publish_video(made: Path, temporary: Path, final: Path, output: Artefact, mode: int, *, overwrite: bool) -> None:
    try:
        _bring(made, temporary, mode)
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
        raise _disk_error(e, final) from e
    finally:
        with contextlib.suppress(OSError):  # the error above says more
            temporary.unlink()


def _disk_error(e: OSError, final: Path) -> StorageError:
    if not final.parent.is_dir():
        return StorageError(f"{final.parent} is not there any more", hint="create the folder again")
    return storage_error(e, final)


def _bring(made: Path, temporary: Path, mode: int) -> None:
    """Place the composed video beside its final name, with permissions ``mode``: a hard link where possible."""
    if _linked(made, temporary, mode):
        return
    shutil.copyfile(made, temporary)
    with contextlib.suppress(PermissionError):  # a file system without permissions
        temporary.chmod(mode)
    with temporary.open("rb") as f:
        os.fsync(f.fileno())


def _linked(made: Path, temporary: Path, mode: int) -> bool:
    """Link a video; not one that is the output of another job, too, or another user's: links share permissions."""
    try:
        if made.stat().st_nlink == 1:
            os.link(made, temporary)
            temporary.chmod(mode)
            return True
    except OSError:
        temporary.unlink(missing_ok=True)
    return False


def _is_output(path: Path, output: Artefact) -> bool:
    """Whether a file is ``output``, by size and digest: reads all of it where the size is right."""
    return path.is_file() and path.stat().st_size == output.size and has_digest(path, output.sha256)


def _publish_pictures(made: Path, temporary: Path, final: Path, output: Artefact, mode: int) -> None:
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
                with contextlib.suppress(PermissionError):  # a file system without permissions
                    (temporary / name).chmod(mode)
            with contextlib.suppress(PermissionError):
                temporary.chmod(mode | stat.S_IRWXU | (mode & 0o044) >> 2)  # who may read a folder may enter it
            try:
                temporary.rename(final)  # replaces an empty folder, never one that holds something
            except OSError:
                if not _holds(final, archive):  # else another coordinator has just published it
                    raise
    except OSError as e:
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise OutputError(f"{final} exists and is not empty", hint="choose another folder with --frames") from e
        raise _disk_error(e, final) from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # the error above says more


def _holds(folder: Path, archive: zipfile.ZipFile) -> bool:
    """Whether a folder holds exactly what is in an archive, by names and sizes."""
    there = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else None
    return there == {row.filename: row.file_size for row in archive.infolist()}
