"""Files of the user's that the farm writes: whole or not at all, and for their owner only."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from farm.errors import OutputError

_HINT = "choose another name with -o"


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError where a file cannot be written, or exists and is not to be replaced."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists", hint="--overwrite replaces it")
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint=_HINT)
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} is no folder", hint=f"create it, or {_HINT}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write, which gets its name when the block ends without an error. Raises OutputError."""
    temporary = path.with_name(f".blurfarm-{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        temporary.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: {e.strerror or e}", hint=_HINT) from e
    finally:
        with suppress(OSError):
            temporary.unlink()
