"""SHA-256 of files."""

import hashlib
from pathlib import Path

from farm.liveness import beat

_BLOCK = 1 << 20


def has_digest(path: Path, sha256: str | None) -> bool:
    """Whether this is a file with this content; False where no digest is known. Raises OSError."""
    return sha256 is not None and path.is_file() and file_digest(path) == sha256


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal, read in blocks. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            beat()  # a large one takes minutes
    return digest.hexdigest()
