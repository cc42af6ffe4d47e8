"""Signatures of the messages that pass through Redis, whose writers are not trusted.

All processes of a farm share a key that Redis does not hold: a file, ``FARM_KEY_FILE`` or ``farm.key`` in the home.
"""

import base64
import binascii
import contextlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Self

from farm.errors import SettingsError

_BYTES = 32
_LONGEST = 4096  # a key file is short; another file named by mistake may be large
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAKE = "make one with `farm key`; all hosts of a farm need a copy of the same file"


class Forged(ValueError):
    """A message that is not signed with this farm's key, or for another purpose."""


class Signer:
    """Signs with HMAC-SHA256 and the key of one farm."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Self:
        """The signer with the key in the file ``path``. Raises SettingsError where it cannot be used."""
        return cls(_key(path))

    @property
    def name(self) -> str:
        """Eight hexadecimal digits that tell one key from another, and nothing about it."""
        return self._mac(b"name", "").hex()[:8]

    def sign(self, body: object, purpose: str) -> dict[str, str]:
        """An envelope with a JSON value. ``purpose``: the queue that it is sent to; in another one it is worth nothing.

        What is signed is the text that is sent: nothing depends on how a number or a letter can be written otherwise.
        """
        text = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
        return {"signed": text, "mac": self._mac(text.encode(), purpose).hex()}

    def open(self, envelope: object, purpose: str) -> object:
        """The JSON value in an envelope that was signed for ``purpose``. Raises Forged."""
        match envelope:
            case {"signed": str(text), "mac": str(mac)} if mac.isascii():
                signed = text.encode(errors="surrogatepass")
                if hmac.compare_digest(self._mac(signed, purpose).hex(), mac):
                    return json.loads(text)
        raise Forged("it is not signed with this farm's key for this queue")

    def _mac(self, text: bytes, purpose: str) -> bytes:
        # the length keeps purpose and text apart
        head = f"blurfarm 1 {len(purpose)} {purpose} ".encode(errors="surrogatepass")
        return hmac.digest(self._key, head + text, "sha256")


def make_key(path: Path) -> bool:
    """Make a key file of mode 0600 if there is no file ``path``; whether one was made. Raises SettingsError.

    Another process that makes it at the same time makes no other key.
    """
    temporary = None
    try:
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # mode 0600
            temporary = Path(file.name)
            file.write(base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as e:
        raise SettingsError(
            f"the key file {path} cannot be made: {e.strerror}", hint="correct FARM_KEY_FILE or FARM_HOME"
        ) from e
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return True


def own_key(path: Path) -> str | None:
    """Make the key file of a farm whose messages stay on this machine, or replace one that cannot be used.

    To be called while no other process of the farm runs. Returns what is to be told about it, if anything. Raises
    SettingsError.
    """
    if make_key(path):
        return None
    try:
        Signer.load(path)
    except SettingsError as e:
        try:
            path.unlink()
        except OSError:
            raise e from None
        make_key(path)
        return f"{e.message}: it was replaced by a new key"
    return None


def _key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor: what is checked is what is read
            found = os.fstat(file.fileno())
            content = file.read(_LONGEST + 1) if stat.S_ISREG(found.st_mode) else b""
    except FileNotFoundError as e:
        raise SettingsError(f"there is no key file {path}, which signs the farm's messages", hint=_MAKE) from e
    except OSError as e:
        raise SettingsError(f"the key file {path} cannot be read: {e.strerror}", hint=_MAKE) from e
    if found.st_mode & _OTHERS:
        raise SettingsError(
            f"the key file {path} can be read or written by other users (mode {stat.S_IMODE(found.st_mode):04o})",
            hint=f"chmod 600 '{path}'; if others may have read it, delete it and make a new one with `farm key`",
        )
    with contextlib.suppress(binascii.Error):
        key = base64.b64decode(content.strip(), validate=True)
        if len(key) >= _BYTES and len(content) <= _LONGEST:
            return key
    raise SettingsError(
        f"the key file {path} holds no key: {_BYTES} bytes or more in base64 are expected",
        hint=f"delete it and {_MAKE}",
    )
