"""Settings, and where each comes from: an option, ``FARM_*`` in the environment, the settings file, or the default."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    create_model,
)

from farm.configuration import (
    SECRETS,
    Given,
    default_home,
    given_in_environment,
    given_in_file,
    masked,
    network_filesystem,
    open_secrets,
    redis_address,
    variable,
)
from farm.domain.options import submit_options
from farm.domain.time import seconds_of
from farm.errors import SettingsError

_LONGEST_SOCKET_PATH = 100  # unix(7): 108 bytes, 104 on macOS
#: Pairs of settings; the first has to be the smaller one.
_IN_ORDER = (
    ("progress_seconds", "lease_seconds"),
    ("progress_seconds", "stall_seconds"),
    ("heartbeat_seconds", "worker_silence_seconds"),
)

#: Seconds, also written as ``5s``, ``250ms``, ``2m``, ``7d`` or ``1:02:03.5``.
Seconds = Annotated[float, BeforeValidator(lambda v: seconds_of(v) if isinstance(v, str) else v)]


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as e:  # pydantic reports a ValueError only
        raise ValueError("begins with ~, but there is no such home directory") from e


def _home(path: Path) -> Path:
    """Refuse a folder whose name an address of the database or of Redis in it would not hold."""
    path = _absolute(path)
    if found := next((c for c in str(path) if c in "%?#;" or not c.isprintable()), None):
        raise ValueError(f"cannot be the farm's folder: its name has {found!r} in it; choose another")
    return path


def _program(path: Path) -> Path:
    if not path.is_absolute() and not path.parts[:1] == ("~",):
        raise ValueError("is not an absolute path; a program is not looked up on PATH")
    return _absolute(path)


def _named_sqlite(url: str) -> str:
    """Refuse an SQLite database whose file depends on the folder that a process runs in."""
    if url.startswith("sqlite") and not url.startswith("sqlite:////"):
        raise ValueError("has no absolute path; use sqlite:////path/farm.db")
    return url


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
ProgramPath = Annotated[Path, AfterValidator(_program)]
#: A time that the farm waits, in seconds.
Wait = Annotated[Seconds, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """All settings of a farm. Those that :func:`load_settings` returns hold the options of ``farm submit``, too."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # an input may be a password

    home: Annotated[Path, AfterValidator(_home)] = Field(default_factory=default_home)
    broker_url: Annotated[str, AfterValidator(redis_address)] | None = None
    database_url: Annotated[str, AfterValidator(_named_sqlite)] | None = None
    store_dir: AbsolutePath | None = None
    models_dir: AbsolutePath | None = None
    #: The key that signs the farm's messages; see :mod:`farm.signing`.
    key_file: AbsolutePath | None = None
    #: Other programs than those in the wheels; see :mod:`farm.executables`.
    ffmpeg: ProgramPath | None = None
    redis_server: ProgramPath | None = None
    devices: str = "auto"
    cpu_runtime: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
    flower_address: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    #: Other names, comma separated, that browsers may know Flower by.
    flower_hosts: str = ""
    flower_port: int = Field(default=5555, ge=1, le=65535)
    flower_basic_auth: str | None = None
    #: Of a job that is done: then a correction encodes only what it changes. They are as large as the output.
    keep_segments: bool = True
    testing: bool = False
    #: With ``testing`` only: encoders, comma separated, that a worker started with this does not report.
    hidden_encoders: str = ""

    # a source that claims more is refused before anything is allocated for it
    max_pixels: Count = 2 * 8192 * 8192
    max_hours: float = Field(default=48, gt=0, allow_inf_nan=False)

    # in seconds by the coordinator's clock
    lease_seconds: Wait = 45
    progress_seconds: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 2
    stall_seconds: Wait = 120
    heartbeat_seconds: Wait = 3
    worker_silence_seconds: Wait = 20
    queue_seconds: Wait = 600
    #: A worker that is told to stop gives its chunk back after this time; None: it finishes the chunk.
    drain_seconds: Wait | None = None

    # how long what is left of a job is kept after its end: artefacts in the store, and rows in the database
    retain_artefacts: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 7 * 86400
    retain_rows: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 90 * 86400
    #: Memory of a worker's child process and all that it starts; None: 80 % of what the machine has.
    worker_gigabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    #: A log that grows larger is rotated; one older part of it is kept.
    log_megabytes: float = Field(default=10, gt=0, allow_inf_nan=False)
    #: How `farm coordinator` and `farm worker` log on the console; auto: text on a terminal, else JSON.
    log_console: Literal["auto", "text", "json"] = "auto"

    task_errors: Count = 3
    infrastructure_losses: Count = 5
    farm_losses: Count = 20
    #: Attempts of a chunk whose process died or hung at the same frame.
    poison_deaths: Count = 3
    worker_failures: Count = 3
    #: Of all chunks of a job together: errors, and processes that died or hung.
    job_errors: Count = 100
    messages_per_worker: Count = 2

    #: The length of a chunk; None fits it to the workers.
    chunk_seconds: Wait | None = None

    _given: dict[str, Given] = PrivateAttr(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is without the options of ``farm submit``: their class is built anew in each process."""
        return _restored, ({name: getattr(self, name) for name in Settings.model_fields},)

    def origin(self, name: str) -> str:
        """Where a setting's value comes from: a file, an environment variable, "option" or "default"."""
        return self._given[name].origin if name in self._given else "default"

    def spelled(self, name: str) -> str:
        """A setting as it was written where it was given, for an error about its value."""
        return self._given.get(name, Given(None)).spelled(name)

    def warning(self) -> str | None:
        """A line about a settings file with a password that other users can read."""
        return open_secrets(self._given)

    def make_home(self) -> None:
        """Create the home directory if necessary, for its user only, and check that the farm can work there.

        Raises SettingsError.
        """
        database = Path(self.sql_url.removeprefix("sqlite:///"))
        if self.sql_url.startswith("sqlite:") and (kind := network_filesystem(database.parent)):
            raise SettingsError(
                f"{database.parent} is on a network file system ({kind}), where SQLite's locks do not hold",
                hint="set FARM_HOME to a folder on a local disk, or FARM_DATABASE_URL to a PostgreSQL database",
            )
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock_file.open("a").close()
            for name in ("logs", "run"):
                (self.home / name).mkdir(exist_ok=True)
        except OSError as e:
            where = "" if e.filename == str(self.home) else f"{e.filename}: "
            raise SettingsError(
                f"cannot write into the folder {self.home}: {where}{e.strerror}",
                hint="make it writable, or set FARM_HOME to another one",
            ) from e

    def for_children(self, *, database: bool = False) -> dict[str, str]:
        """Variables for a child process, see :func:`farm.processes.environment`. ``database``: it needs the address."""
        found = {variable("home"): str(self.home)}
        if database and self.database_url is not None:
            found[variable("database_url")] = self.database_url
        return found

    @property
    def lock_file(self) -> Path:
        """The file that the farm of this home locks for as long as it runs."""
        return self.home / "farm.lock"

    @property
    def logs(self) -> Path:
        """The folder of the logs of this host's processes."""
        return self.home / "logs"

    @property
    def sql_url(self) -> str:
        """The database: ``database_url``, else SQLite in the home."""
        return self.database_url or f"sqlite:///{self.home / 'farm.db'}"

    @property
    def redis_socket(self) -> Path:
        """The unix socket of the embedded Redis: in the home, or in the temporary directory if that is too long."""
        usual = self.home / "redis" / "redis.sock"
        if len(os.fsencode(usual)) <= _LONGEST_SOCKET_PATH:
            return usual
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"blurfarm-{os.getuid()}-{digest}" / "redis.sock"

    @property
    def celery_url(self) -> str:
        """The broker's address for Celery: ``broker_url``, else the embedded Redis."""
        return self.broker_url or f"redis+socket://{self.redis_socket}"

    @property
    def redis_url(self) -> str:
        """The broker's address for redis-py."""
        return self.broker_url or f"unix://{self.redis_socket}"

    @property
    def embedded(self) -> bool:
        """Whether this farm starts its own Redis."""
        return self.broker_url is None

    @property
    def key_path(self) -> Path:
        """The file with the key that signs the farm's messages."""
        return self.key_file or self.home / "farm.key"

    @property
    def store_root(self) -> Path:
        """The directory of the store."""
        return self.store_dir or self.home / "store"

    @property
    def models_root(self) -> Path:
        """The directory that weights are downloaded to."""
        return self.models_dir or self.home / "models"


def _restored(values: dict[str, Any]) -> Settings:
    return Settings.model_construct(**values)


def settings_class() -> type[Settings]:
    """The settings of a farm and, None where they are not given, the options of ``farm submit``."""
    fields: dict[str, Any] = {
        o.setting: (Annotated[o.kind | (str if o.words else None) | None, BeforeValidator(o.parse)], None)
        for o in submit_options()
    }
    return create_model("Settings", __base__=Settings, **fields)


def load_settings(**options: object) -> Settings:
    """The settings in force; ``options`` come before what the environment and the settings file say.

    Raises SettingsError, which names the setting, its value, and where that was given.
    """
    kind = settings_class()
    names = kind.model_fields
    given = given_in_file(names) | given_in_environment(names) | {n: Given(v) for n, v in options.items()}
    try:
        settings = kind(**{name: g.value for name, g in given.items()})
    except ValidationError as e:
        first = e.errors()[0]
        name, why = (
            str(first["loc"][0]),
            first["msg"].removeprefix("Value error, ").replace("Input should", "is not valid; it should"),
        )
        shown = masked(str(given[name].value)) if name in SECRETS else str(given[name].value)
        shown = shown if shown.isprintable() else repr(shown)
        why = why if why.startswith('"') else f'"{shown}" {why}'
        raise SettingsError(f"{given[name].spelled(name)}: {why}") from e
    settings._given = given  # noqa: SLF001 - a private attribute of pydantic's is no parameter of the class
    for lower, upper in _IN_ORDER:
        if getattr(settings, lower) >= getattr(settings, upper):
            low, high = (f"{n} = {getattr(settings, n):g} ({settings.origin(n)})" for n in (lower, upper))
            raise SettingsError(f"{high} has to be larger than {low}")
    return settings
