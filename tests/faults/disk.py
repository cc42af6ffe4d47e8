"""What happens to the store's disk: artefacts are damaged, and a small file system becomes full."""

import contextlib
import subprocess
from pathlib import Path

_DISK = 8 * 2**20


def damage(store: Path, kind: str, choice: float) -> Path | None:
    """Damage one artefact, as a disk or a person might: not by writing into a file that a job has published.

    ``choice``: of 0 to 1, which one. Returns its path; None where there is none.
    """
    files = [path for path in sorted(store.glob("*/*/**/*")) if _is_artefact(path)]
    if not files:
        return None
    folders = sorted({path.relative_to(store).parts[0] for path in files})
    folder = folders[int(choice * len(folders))]
    files = [path for path in files if path.relative_to(store).parts[0] == folder]
    path = files[int(choice * 1000) % len(files)]
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        others = [other for other in files if other != path and other.suffix == path.suffix]
        content = {
            "truncated": data[: len(data) // 2],
            "emptied": b"",
            "flipped": _flipped(data, choice),
            "swapped": others[-1].read_bytes() if others else b"",
        }.get(kind)
        path.unlink()  # the output that a job has published may be the same file
        if content is not None:
            path.write_bytes(content)
        return path
    return None


def _is_artefact(path: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.parts)


def _flipped(data: bytes, choice: float) -> bytes:
    if not data:
        return b"?"
    at = int(choice * 7919) % len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def mount(folder: Path) -> bool:
    """Mount a small file system at ``folder``; False where that is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def unmount(folder: Path) -> None:
    """Undo :func:`mount`, also where a process still looks at it."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
