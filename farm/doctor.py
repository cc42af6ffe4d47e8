"""The checks of ``farm doctor``: each reports what it found and, if something is wrong, what to do."""

import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import av.codec
from rich.filesize import decimal
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from farm.broker import check_broker
from farm.configuration import told
from farm.database.session import Database
from farm.domain.quality import default_models
from farm.errors import FarmError
from farm.executables import Program, find_ffmpeg, find_redis_server
from farm.jobs.space import existing
from farm.models.store import ModelStore
from farm.processes import ask
from farm.settings import Settings
from farm.signing import Signer
from farm.storage.base import NOTHING
from farm.storage.opening import open_storage

#: All distributions that provide a package called ``cv2``: each overwrites the others.
CV2_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
WANTED_CV2 = "opencv-contrib-python-headless"
_ENCODERS = ("libx264", "libx265")
_ENOUGH_DISK = 5 << 30
_NEARLY_FULL = 0.05  # share of the disk that is free
_PATIENCE = 20  # seconds for a program to print its version


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. ``ok`` is None if the finding limits nothing but is worth knowing."""

    name: str
    ok: bool | None
    found: str
    advice: str = ""


def diagnose(settings: Settings) -> Iterator[Check]:
    """Run all checks and yield each result as soon as it is known."""
    yield check_settings(settings)
    yield check_ffmpeg(settings)
    yield check_encoders()
    yield check_redis(settings)
    yield check_key(settings)
    yield from check_models(settings)
    yield check_gpu()
    yield check_home(settings)
    yield check_disk(settings)
    yield check_database(settings)
    yield check_cv2()


def check_settings(settings: Settings) -> Check:
    """Check that no other user can read a password in the settings file."""
    found, _, advice = (settings.warning() or "").partition(": ")
    return Check("settings", ok=not found, found=found or "no password that other users can read", advice=advice)


def check_ffmpeg(settings: Settings) -> Check:
    """Check the program that copies the streams that are not redacted."""
    return _program("ffmpeg", lambda: find_ffmpeg(settings.ffmpeg))


def check_encoders() -> Check:
    """Check that PyAV contains the encoders for redacted video."""
    lacking = [e for e in _ENCODERS if e not in av.codec.codecs_available]
    version = metadata.version("av")
    if lacking:
        advice = "install PyAV's own wheel: pip install --force-reinstall av"
        return Check("encoders", ok=False, found=f"PyAV {version} without {', '.join(lacking)}", advice=advice)
    return Check("encoders", ok=True, found=f"PyAV {version} with {', '.join(_ENCODERS)}")


def check_redis(settings: Settings) -> Check:
    """Check that the configured Redis answers or, without one, that the embedded Redis can be started."""
    if not settings.embedded:
        return _tried("redis", lambda: check_broker(settings), found="FARM_BROKER_URL answers")
    return _program("redis", lambda: find_redis_server(settings.redis_server))


def check_key(settings: Settings) -> Check:
    """Check the key that signs the farm's messages. All hosts have to show the same name of it."""
    if settings.embedded and not settings.key_path.exists():
        return Check("key", ok=None, found=f"{settings.key_path} will be made at the first start")
    try:
        name = Signer.load(settings.key_path).name
    except FarmError as e:
        return Check("key", ok=False, found=e.message, advice=e.hint or "")
    return Check("key", ok=True, found=f"{settings.key_path} holds key {name}")


def check_models(settings: Settings) -> Iterator[Check]:
    """Check that the weights that jobs need by default are present, and that all that are have the expected digest."""
    for status in ModelStore(settings).status():
        if status.state == "absent" and status.model.name not in default_models():
            continue
        name = f"model {status.model.name}"
        if status.state == "ready":
            yield Check(name, ok=True, found=f"{status.path}, SHA-256 as expected")
        elif status.state == "absent":
            advice = f"downloaded at first use; to do it now: farm models pull {status.model.name}"
            yield Check(name, ok=None, found="not downloaded yet", advice=advice)
        else:
            advice = f"farm models pull {status.model.name}"
            yield Check(name, ok=False, found=status.problem or "damaged", advice=advice)


def check_gpu() -> Check:
    """Look for NVIDIA GPUs; a machine without one is fine."""
    listing = _output(["nvidia-smi", "-L"])
    gpus = [line.split(" (UUID")[0] for line in (listing or "").splitlines() if line.startswith("GPU ")]
    if not gpus:
        return Check("gpu", ok=None, found="none: workers use the CPU")
    if not _installed("onnxruntime-gpu"):
        advice = "to use it, install onnxruntime-gpu in place of onnxruntime"
        if _installed("torch"):
            advice += ", or name it: --devices cuda:0 uses PyTorch, if that has CUDA"
        return Check("gpu", ok=None, found=f"{'; '.join(gpus)}, but this onnxruntime has no CUDA", advice=advice)
    return Check("gpu", ok=True, found="; ".join(gpus))


def check_home(settings: Settings) -> Check:
    """Check that files can be created in the farm's home."""
    place = existing(settings.home)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as e:
        advice = "make it writable, or set FARM_HOME to another folder"
        return Check("home", ok=False, found=f"{settings.home} cannot be written: {e.strerror}", advice=advice)
    if place == settings.home and stat.S_IMODE(place.stat().st_mode) & 0o077:
        found = f"{place} can be read by other users: it was not created by this version of the farm"
        return Check("home", ok=None, found=found, advice=f"chmod 700 {place}")
    return Check(
        "home", ok=True, found=f"{settings.home} {'is writable' if place == settings.home else 'can be created'}"
    )


def check_disk(settings: Settings) -> Check:
    """Check the free space for detections and segments, and measure the store."""
    disk = shutil.disk_usage(existing(settings.store_root))
    try:
        groups = [group.extent for group in open_storage(settings).groups()]
    except FarmError as e:
        return Check("disk", ok=False, found=e.message, advice=e.hint or "")
    held = sum(groups, NOTHING)
    found = f"{disk.free / (1 << 30):.1f} GiB free for {settings.store_root}, which holds {decimal(held.size)}"
    advice = "free some space (`farm clean` deletes what ended jobs left), or set FARM_STORE_DIR to a larger disk"
    if disk.free < _ENOUGH_DISK:
        return Check(
            "disk", ok=False, found=found, advice=f"{advice}: a job needs about three times the size of its output"
        )
    if disk.free < disk.total * _NEARLY_FULL:
        return Check("disk", ok=None, found=f"nearly full: {found}", advice=advice)
    return Check("disk", ok=True, found=found)


def check_database(settings: Settings) -> Check:
    """Check that the database answers, or will be created at first use."""
    embedded = settings.home / "farm.db"
    if settings.database_url is None and not embedded.exists():
        return Check("database", ok=None, found=f"{embedded} will be created at first use")

    def ask() -> None:
        database = Database(settings.sql_url)
        try:
            with database.read() as session:
                session.execute(text("SELECT 1"))
        finally:
            database.close()

    return _tried(
        "database",
        ask,
        found="FARM_DATABASE_URL answers" if settings.database_url else f"{embedded} answers",
        address=settings.sql_url,
    )


def check_cv2() -> Check:
    """Check that exactly one distribution provides ``cv2``: the headless contrib build."""
    here = [d for d in CV2_DISTRIBUTIONS if _installed(d)]
    if here == [WANTED_CV2]:
        return Check("opencv", ok=True, found=f"{WANTED_CV2} {metadata.version(WANTED_CV2)}")
    found = f"{' and '.join(here)} share one cv2 folder" if len(here) > 1 else f"{(*here, 'none')[0]}"
    others = " ".join(here)
    advice = f"pip uninstall -y {others}; " if here else ""
    return Check("opencv", ok=False, found=found, advice=f"{advice}pip install --force-reinstall {WANTED_CV2}")


def _tried(name: str, attempt: Callable[[], None], *, found: str, address: str = "") -> Check:
    try:
        attempt()
    except FarmError as e:
        return Check(name, ok=False, found=e.message, advice=e.hint or "")
    except SQLAlchemyError as e:
        return Check(name, ok=False, found=told(e, address), advice="move the file away, or restore a backup")
    return Check(name, ok=True, found=found)


def _program(name: str, find: Callable[[], Program]) -> Check:
    try:
        program = find()
    except FarmError as e:
        return Check(name, ok=False, found=e.message, advice=e.hint or "")
    return Check(name, ok=True, found=f"{program.path}: {program.version}")


def _output(command: list[str]) -> str | None:
    """Return the output of a program, or None if it does not run successfully."""
    try:
        done = ask(command, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
