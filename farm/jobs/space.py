"""Whether the disks have room for a job: an estimate before it begins."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from farm.domain.manifest import Manifest
from farm.errors import StorageError

if TYPE_CHECKING:
    from farm.jobs.placing import Prepared

#: At its largest, while the output is put together, the store holds the segments, their video joined, and the output.
_COPIES = 3
#: Estimates are off by a factor of a few. With less room than this share of one, no job can be done.
_HOPELESS = 0.05
_LOSSLESS = frozenset({"ffv1"})
_LOSSLESS_RATE = 0.5  # bytes of a lossless segment per byte of its frames


def check_space(store: Path, prepared: "Prepared", manifest: Manifest) -> str | None:
    """A line for the user where the disk of the store or of the output may be too small for a job.

    Raises StorageError where one is nearly full.
    """
    size = _estimate(prepared, manifest)
    places = [(existing(store), _COPIES * size)]
    folder = existing(prepared.output.parent)
    if folder.stat().st_dev != places[0][0].stat().st_dev:
        places.append((folder, size))
    for place, need in places:
        free = shutil.disk_usage(place).free
        text = f"{place}: {decimal(free)} are free, and the job needs about {decimal(need)}"
        if free < need * _HOPELESS:
            raise StorageError(text, hint="free some space there; `farm clean` deletes what ended jobs left")
        if free < need:
            return text
    return None


def _estimate(prepared: "Prepared", manifest: Manifest) -> int:
    """The size of the output in bytes: about that of its source, unless it is lossless."""
    video = manifest.source.video
    if manifest.encoder.codec not in _LOSSLESS:
        return prepared.probe.size
    return int(manifest.frames * video.width * video.height * 1.5 * _LOSSLESS_RATE)


def existing(path: Path) -> Path:
    """``path``, or its closest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
