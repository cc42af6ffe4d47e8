"""The settings file and the ``FARM_*`` variables: which there are, what they say, and who misspelt one."""

import contextlib
import difflib
import os
import re
import stat
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, unquote_plus

from farm.errors import SettingsError

SETTINGS_FILE = "farm.toml"
_PREFIX = "FARM_"
#: Names another settings file than the one in the home. ``farm --config`` sets it, for its children too.
CONFIG = f"{_PREFIX}CONFIG"
#: Settings that are paths. Relative ones start at the current folder; in the file, at the file's.
PATHS = ("home", "store_dir", "models_dir", "key_file")
#: Settings that may hold a password.
SECRETS = ("broker_url", "database_url", "flower_basic_auth")
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|ncpfs|afs|fuse\.sshfs")
_KINDS = r"sqlite(?:\+(?:pysqlite|aiosqlite))?|unix|redis\+socket"
_SCHEMES = r"rediss?|postgres(?:ql)?(?:\+(?:psycopg2?|asyncpg|pg8000))?"
_SCHEME = re.compile(rf"(?:{_KINDS}|{_SCHEMES})://")
#: The addresses of databases and brokers: of a file, or of a server. They have no "@" but the one after the password:
#: a password that was not written as it has to be must not pass for another part.
_ADDRESS = re.compile(
    rf"(?:(?P<kind>{_KINDS})://(?P<path>(?:/[^@?#]*|/[^:?#]*)?)"
    rf"|(?P<scheme>{_SCHEMES})://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^/?#]*))?@)?"
    r"(?P<place>(?:(?:[\w.-]+|\[[\dA-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?)?(?:/(?P<database>[\w.~%+-]*))?))"
    r"(?P<options>\?[^@#]*)?"
)
#: What redis-py and kombu both understand in an address.
_REDIS_OPTIONS = {
    f"ssl_{name}" for name in ("ca_certs", "cert_reqs", "certfile", "check_hostname", "keyfile", "password")
}
_NEAR = 0.8  # of difflib's ratio: FARM_TRESHOLD is a misspelt setting, FARM_VIDEOS is somebody else's variable


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave, and where: in ``file``, in an environment ``variable``, or as an option."""

    value: object
    variable: str = ""
    file: Path | None = None

    def spelled(self, name: str) -> str:
        """The setting ``name`` as it was written where it was given."""
        return self.variable or (f"{self.file}: {name}" if self.file else f"--{name.replace('_', '-')}")

    @property
    def origin(self) -> str:
        """The file, the variable, or "option"."""
        return self.variable or str(self.file or "option")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.upper()


def default_home() -> Path:
    """``$FARM_HOME``, else ``blurfarm`` in the user's data directory (XDG Base Directory Specification).

    Raises SettingsError for a user without a home directory.
    """
    try:
        if home := os.environ.get(variable("home")):
            return Path(home).expanduser().absolute()
        data = os.environ.get("XDG_DATA_HOME", "")  # the specification has relative ones ignored
        return (Path(data) if data.startswith("/") else Path.home() / ".local" / "share") / "blurfarm"
    except RuntimeError as e:
        raise SettingsError(
            "this user has no home directory", hint="set FARM_HOME to a folder that the farm can write to"
        ) from e


def settings_file() -> Path:
    """The file that ``farm --config`` or ``FARM_CONFIG`` names, else ``farm.toml`` in the home; it need not exist.

    Raises SettingsError for one below a home directory that cannot be determined.
    """
    if not (named := os.environ.get(CONFIG)):
        return default_home() / SETTINGS_FILE
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as e:
        raise SettingsError(
            f'{CONFIG}: "{named}" is below a home directory that cannot be determined', hint="give an absolute path"
        ) from e


def given_in_file(names: Collection[str]) -> dict[str, Given]:
    """What the settings file says. ``names``: those of all settings.

    Raises SettingsError for a file that is named and missing, that cannot be read, or that has an unknown setting.
    """
    file = settings_file()
    try:
        values = tomllib.loads(file.read_text("utf-8-sig"))  # Windows' editors write a BOM
    except (FileNotFoundError, NotADirectoryError) as e:
        if os.environ.get(CONFIG):
            raise SettingsError(f"there is no settings file {file}", hint=f"correct --config or {CONFIG}") from e
        return {}
    except OSError as e:
        hint = f"correct --config or {CONFIG}" if os.environ.get(CONFIG) else "set FARM_HOME to a folder of your own"
        raise SettingsError(f"the settings file {file} cannot be read: {e.strerror}", hint=hint) from e
    except ValueError as e:  # not TOML, or not UTF-8
        raise SettingsError(f"{file}: {e}", hint="correct the file; its format is TOML") from e
    for name in values:
        if name not in names:
            raise SettingsError(f'{file}: unknown setting "{name}"', hint=_suggestion(name, names))
    if not os.environ.get(CONFIG) and "home" in values:
        raise SettingsError(
            f'{file}: "home" cannot be set in the home\'s own file', hint="remove it, and set FARM_HOME instead"
        )
    for name in values.keys() & {*PATHS}:
        if isinstance(values[name], str) and not values[name].startswith("~"):
            values[name] = file.parent / values[name]
    return {name: Given(value, file=file) for name, value in values.items()}


def open_secrets(given: Mapping[str, Given]) -> str | None:
    """A line about the settings file if it holds a password and other users can read it. ``given``: all settings."""
    for name in SECRETS:
        value, file = (given[name].value, given[name].file) if name in given else (None, None)
        if file is None or masked(str(value)) == value:
            continue
        with contextlib.suppress(OSError):
            if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                what = f"the settings file {file} holds a password ({name})"
                return f"{what}, and other users can read it: chmod 600 '{file}'"
    return None


def given_in_environment(names: Collection[str]) -> dict[str, Given]:
    """What the ``FARM_*`` variables say; an empty one counts as absent. ``names``: those of all settings.

    Raises SettingsError for a variable that resembles a setting's. Others are not the farm's and mean nothing.
    """
    for found, value in os.environ.items():
        name = found.removeprefix(_PREFIX).lower()
        if not value or not found.startswith(_PREFIX) or name in names or found == CONFIG:
            continue
        if near := difflib.get_close_matches(name, names, 1, _NEAR):
            hint = f"did you mean {variable(near[0])}? If not, unset it"
            raise SettingsError(f"{found}: there is no such setting", hint=hint)
    return {n: Given(os.environ[variable(n)], variable(n)) for n in names if os.environ.get(variable(n))}


def parsed(address: str) -> re.Match[str] | None:
    """The parts of an address of a database or a broker; None if it is none."""
    found = _ADDRESS.fullmatch(address)
    if found and (found["scheme"] or "").startswith("redis") and not (found["database"] or "0").isdecimal():
        return None
    return found


def redis_address(url: str) -> str:
    """The address itself. Raises ValueError if it is none of a Redis server."""
    found = parsed(url)
    if found and found["scheme"] in ("redis", "rediss") and 1 <= int(found["port"] or 1) <= 65535:
        options = parse_qsl((found["options"] or "?")[1:], keep_blank_values=True)
        if {name for name, _ in options} <= _REDIS_OPTIONS:
            return url
    raise ValueError("is not a Redis address: redis://[:password@]host:port/0; of options, it may have TLS's (ssl_...)")


def masked(address: str) -> str:
    """An address without what may be secret in it: password and options; of one that cannot be read, its scheme."""
    if found := parsed(address):
        user = f"{found['user']}{'' if found['password'] is None else ':***'}@" if found["user"] is not None else ""
        options = "?***" if found["options"] else ""
        return f"{found['scheme'] or found['kind']}://{user}{found['place'] or found['path'] or ''}{options}"
    scheme = _SCHEME.match(address)
    return f"{scheme[0] if scheme else ''}***"


def told(error: object, address: str) -> str:
    """The first line of what an error says about the server at ``address``, without what may be secret in that."""
    if isinstance(error, (ValueError, TypeError)):  # of a parser, which may cut the address elsewhere than this does
        return "it cannot be parsed"
    found = parsed(address)
    if found is None:
        return type(error).__name__
    text = (str(error).splitlines() or [""])[0]
    secrets = {found["password"], found["options"], *re.split(r"[?&=;+]", found["options"] or "")} - {None, ""}
    for secret in sorted(secrets | {unquote(s) for s in secrets} | {unquote_plus(s) for s in secrets}, key=len)[::-1]:
        text = text.replace(secret, "***")
    return text


_USER_IN_TEXT = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@]*):\S*@")
_PARAMETER = re.compile(r"(?i)([?&;]\w*passw\w*=)[^&\s'\"]*")


def masked_in(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    return _PARAMETER.sub(r"\1***", _USER_IN_TEXT.sub(r"\1:***@", text))


def network_filesystem(folder: Path) -> str | None:
    """The type of the file system that ``folder`` is on or will be on, if its locks cannot be trusted; else None."""
    try:
        mounts = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return None
    place, kinds = folder.resolve(), {}
    for line in mounts:  # proc(5); of two file systems at the same point, the later one is seen
        mounted, _, described = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mounted.split()[4])
        kinds[Path(point)] = described.split()[0]
    kind = next((kinds[p] for p in (place, *place.parents) if p in kinds), "")
    return kind if _NETWORK.fullmatch(kind) else None


def _suggestion(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f'did you mean "{near[0]}"?' if near else "see `farm config` for all settings"
