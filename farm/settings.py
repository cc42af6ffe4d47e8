"""Settings: ``FARM_*`` in the environment, else ``farm.toml`` here, else the one in ``FARM_HOME``, else defaults."""

import hashlib
import os
import tempfile
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from farm.domain.options import submit_options
from farm.domain.time import seconds_of
from farm.errors import SettingsError

SETTINGS_FILE = "farm.toml"
_LONGEST_SOCKET_PATH = 100  # unix(7): 108 bytes, 104 on macOS


def default_home() -> Path:
    """``$FARM_HOME``, else ``blurfarm`` in the user's data directory (XDG Base Directory Specification)."""
    if home := os.environ.get("FARM_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "blurfarm"


#: Seconds, also written as ``5s``, ``250ms``, ``2m``, ``7d`` or ``1:02:03.5``.
Seconds = Annotated[float, BeforeValidator(lambda v: seconds_of(v) if isinstance(v, str) else v)]
AbsolutePath = Annotated[Path, AfterValidator(lambda p: p.expanduser().absolute())]


def _above_zero(seconds: float) -> float:
    if not 0 < seconds < inf:
        raise ValueError(f'"{seconds:g}" is not valid; use a time such as 5s or 1:30, above 0')
    return seconds


class Settings(BaseSettings):
    """All settings of a farm. Those that :func:`load_settings` returns hold the options of ``farm submit``, too."""

    model_config = SettingsConfigDict(env_prefix="FARM_", extra="ignore", env_ignore_empty=True)

    home: AbsolutePath = Field(default_factory=default_home)
    broker_url: str | None = None
    database_url: str | None = None
    store_dir: AbsolutePath | None = None
    models_dir: AbsolutePath | None = None
    devices: str = "auto"
    cpu_runtime: Literal["auto", "openvino", "onnxruntime"] = "auto"
    flower_address: str = "127.0.0.1"
    flower_port: int = 5555
    flower_basic_auth: str | None = None
    keep_segments: bool = False
    testing: bool = False
    #: With ``testing`` only: encoders, comma separated, that a worker started with this does not report.
    hidden_encoders: str = ""

    # a source that claims more is refused before anything is allocated for it
    max_pixels: int = Field(default=2 * 8192 * 8192, gt=0)
    max_hours: float = Field(default=48, gt=0)

    # in seconds by the coordinator's clock
    lease_seconds: float = 45
    progress_seconds: float = 2
    stall_seconds: float = 120
    heartbeat_seconds: float = 3
    worker_silence_seconds: float = 30
    queue_seconds: float = 600

    # how long what is left of a job is kept after its end: artefacts in the store, and rows in the database
    retain_artefacts: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 7 * 86400
    retain_rows: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 90 * 86400
    #: A log that is larger is begun anew; one older part of it is kept.
    log_megabytes: float = Field(default=10, gt=0)

    task_errors: int = 3
    infrastructure_losses: int = 5
    worker_failures: int = 3
    messages_per_worker: int = 2

    #: The length of a chunk; None fits it to the workers.
    chunk_seconds: Annotated[Seconds, AfterValidator(_above_zero)] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is without the options of ``farm submit``: their class is built anew in each process."""
        return _restored, ({name: getattr(self, name) for name in Settings.model_fields},)

    def make_home(self) -> None:
        """Create the home directory if necessary, and check that it is writable. Raises SettingsError."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            (self.home / "farm.lock").open("a").close()
        except OSError as e:
            raise SettingsError(
                f"cannot write into the folder {self.home}: {e.strerror}",
                hint="set FARM_HOME to one that can be written",
            ) from e

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
    def store_root(self) -> Path:
        """The directory of the store."""
        return self.store_dir or self.home / "store"

    @property
    def models_root(self) -> Path:
        """The directory that weights are downloaded to."""
        return self.models_dir or self.home / "models"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``farm.toml`` in the current directory, then the one in the home."""
        files = (Path(SETTINGS_FILE), default_home() / SETTINGS_FILE)
        tomls = (TomlConfigSettingsSource(settings_cls, toml_file=f) for f in files if f.is_file())
        return (init_settings, env_settings, *tomls)


def _restored(values: dict[str, Any]) -> Settings:
    return Settings.model_construct(**values)


def _names_redis(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("redis", "rediss") and "://" in url and urlsplit(url).port != 0
    except ValueError:  # a port that is not a number
        return False


def settings_class() -> type[Settings]:
    """The settings of a farm and, None where they are not given, the options of ``farm submit``."""
    fields: dict[str, Any] = {
        o.setting: (Annotated[o.kind | None, BeforeValidator(o.parse)], None) for o in submit_options()
    }
    return create_model("Settings", __base__=Settings, **fields)


def load_settings(**overrides: object) -> Settings:
    """The settings in force. Raises SettingsError, which names the setting and its value."""
    try:
        settings = settings_class()(**overrides)  # type: ignore[arg-type]  # pydantic checks each value
    except ValidationError as e:
        first = e.errors()[0]
        name, why = "_".join(str(p) for p in first["loc"]), first["msg"].removeprefix("Value error, ")
        if name in overrides:  # an option of a command: it has the setting's name
            raise SettingsError(f"--{name.replace('_', '-')}: {why}") from e
        raise SettingsError(
            f"setting {name} = {first.get('input')!r}: {why}",
            hint=f"correct FARM_{name.upper()} or {name} in {SETTINGS_FILE}",
        ) from e
    except ValueError as e:  # a farm.toml that is not TOML
        raise SettingsError(f"{SETTINGS_FILE}: {e}", hint="correct the file") from e
    if settings.broker_url is not None and not _names_redis(settings.broker_url):
        shown = settings.broker_url.rpartition("@")[2]  # no password in a message
        raise SettingsError(f"broker_url {shown!r} is not a Redis address", hint="use redis://[:password@]host:port/0")
    return settings
