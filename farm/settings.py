"""Settings: ``FARM_*`` in the environment, else ``farm.toml`` here, else the one in ``FARM_HOME``, else defaults."""

import hashlib
import os
import re
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
from farm.errors import SettingsError

SETTINGS_FILE = "farm.toml"
_LONGEST_SOCKET_PATH = 100  # unix(7): 108 bytes, 104 on macOS
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(?P<number>\d+(\.\d+)?|\.\d+)\s*(?P<unit>ms|s|m|min|h)?")
_CLOCK = re.compile(r"((?P<hours>\d+):)?(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d(\.\d+)?)")


def default_home() -> Path:
    """``$FARM_HOME``, else ``blurfarm`` in the user's data directory (XDG Base Directory Specification)."""
    if home := os.environ.get("FARM_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "blurfarm"


def seconds_of(text: str) -> float:
    """A duration, or a position in a video, in seconds. Raises ValueError with a message for the user."""
    text = text.strip().lower()
    if match := _NUMBER.fullmatch(text):
        return float(match["number"]) * _UNITS[match["unit"] or "s"]
    if match := _CLOCK.fullmatch(text):
        return int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + float(match["seconds"])
    raise ValueError(f"{text!r} is not a time: write 90, 5s, 250ms, 2m or 1:02:03.5")


#: Seconds, also written as ``5s``, ``250ms``, ``2m`` or ``1:02:03.5``.
Seconds = Annotated[float, BeforeValidator(lambda v: seconds_of(v) if isinstance(v, str) else v)]
AbsolutePath = Annotated[Path, AfterValidator(lambda p: p.expanduser().absolute())]


def _above_zero(seconds: float) -> float:
    if not 0 < seconds < inf:
        raise ValueError("not a usable value (use seconds above 0)")
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

    task_errors: int = 3
    infrastructure_losses: int = 5
    farm_losses: int = 20
    worker_failures: int = 3
    messages_per_worker: int = 2

    #: The length of a chunk; None fits it to the workers.
    chunk_seconds: Annotated[float, AfterValidator(_above_zero)] | None = None

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
    fields: dict[str, Any] = {o.setting: ((Seconds if o.time else o.kind) | None, None) for o in submit_options()}
    return create_model("Settings", __base__=Settings, **fields)


def load_settings(**overrides: object) -> Settings:
    """The settings in force. Raises SettingsError, which names the setting and its value."""
    try:
        settings = settings_class()(**overrides)  # type: ignore[arg-type]  # pydantic checks each value
    except ValidationError as e:
        first = e.errors()[0]
        name, why = "_".join(str(p) for p in first["loc"]), first["msg"].removeprefix("Value error, ")
        if name in overrides:  # an option of a command: it has the setting's name
            raise SettingsError(f"--{name.replace('_', '-')} {first.get('input')}: {why}") from e
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
