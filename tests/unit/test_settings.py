"""Where a setting comes from, and what a person reads who got one wrong."""

import os
import pickle
from pathlib import Path

import pytest

from farm.broker import check_broker
from farm.errors import BrokerError, SettingsError
from farm.settings import Settings, load_settings

SOURCES = ["argument", "environment", "file", "default"]


@pytest.mark.parametrize("winner", SOURCES)
def test_the_nearest_source_wins(home: Path, monkeypatch: pytest.MonkeyPatch, winner: str) -> None:
    given = SOURCES[SOURCES.index(winner) :]
    if "environment" in given:
        monkeypatch.setenv("FARM_DEVICES", "environment")
    Path("farm.toml").write_text('devices = "here"\n')
    if "file" in given:
        (home / "farm.toml").write_text('devices = "file"\n')
    settings = load_settings(**({"devices": "argument"} if "argument" in given else {}))
    assert settings.devices == ("auto" if winner == "default" else winner)


def test_sources_are_joined_setting_by_setting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "farm.toml").write_text('devices = "cpu:9"\ncrf = 30\nstyle = "solid"\n')
    monkeypatch.setenv("FARM_STYLE", "pixelate")
    loaded = load_settings(crf=20)
    settings = loaded.model_dump()
    assert (settings["devices"], settings["crf"], settings["style"]) == ("cpu:9", 20, "pixelate")
    origins = [loaded.origin(name) for name in ("devices", "crf", "style", "keep_segments")]
    assert origins == [str(home / "farm.toml"), "option", "FARM_STYLE", "default"]


def test_an_empty_variable_is_none_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_BROKER_URL", "")
    monkeypatch.setenv("FARM_CRF", "")
    settings = load_settings()
    assert settings.embedded
    assert settings.model_dump()["crf"] is None


def test_without_a_home_the_data_folder_of_the_user_is_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FARM_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert load_settings().home == tmp_path / "xdg" / "blurfarm"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings().home == tmp_path / ".local" / "share" / "blurfarm"


def test_paths_become_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_STORE_DIR", "store")
    monkeypatch.setenv("FARM_MODELS_DIR", "~/models")
    monkeypatch.setenv("HOME", "/somebody")
    settings = load_settings()
    assert settings.store_root == Path.cwd() / "store"
    assert settings.models_root == Path("/somebody/models")


def test_everything_hangs_on_the_home(home: Path) -> None:
    settings = load_settings()
    assert settings.store_root == home / "store"
    assert settings.models_root == home / "models"
    assert settings.sql_url == f"sqlite:///{home}/farm.db"
    assert settings.redis_socket.name == "redis.sock"


@pytest.mark.parametrize(
    ("name", "value"), [("crf", "fine"), ("lease_seconds", "soon"), ("cpu_runtime", "gpu"), ("keep_segments", "maybe")]
)
def test_a_wrong_value_in_the_environment_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"FARM_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f'FARM_{name.upper()}: "{value}" ')
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_of_several_wrong_values_one_is_said_with_its_file(home: Path) -> None:
    (home / "farm.toml").write_text('crf = "fine"\nlease_seconds = "soon"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{home}/farm.toml: ")
    assert ("fine" in str(caught.value)) != ("soon" in str(caught.value))


@pytest.mark.parametrize("name", ["50%20", "a?b", "a#b", "a;b", "a\nb", "a\u202eb"])
def test_a_home_that_an_address_cannot_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / name))
    with pytest.raises(SettingsError, match=r"^FARM_HOME: .* cannot be the farm's folder: its name has .* choose") as e:
        load_settings()
    assert str(e.value).isprintable()


def test_a_settings_file_may_begin_with_a_byte_order_mark(home: Path) -> None:
    (home / "farm.toml").write_text('style = "solid"', encoding="utf-8-sig")
    assert load_settings().model_dump()["style"] == "solid"


NUMBERS = [name for name, f in Settings.model_fields.items() if type(f.default) in (int, float)]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FARM_{name.upper()}", value)
    with pytest.raises(
        SettingsError, match=rf'^FARM_{name.upper()}: "{value}" (is not valid; it should be |is not a time)'
    ):
        load_settings()


@pytest.mark.parametrize(
    "name", [n for n in NUMBERS if n not in ("progress_seconds", "retain_artefacts", "retain_rows")]
)
def test_zero_is_no_number_of_attempts_messages_or_seconds(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (home / "farm.toml").write_text(f"{name} = 0\n")
    with pytest.raises(
        SettingsError, match=rf'^{home}/farm\.toml: {name}: "0" is not valid; it should be greater than'
    ):
        load_settings()


def test_times_that_contradict_each_other_are_named_with_their_origins(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "farm.toml").write_text("lease_seconds = 5\n")
    monkeypatch.setenv("FARM_PROGRESS_SECONDS", "6s")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    expected = (
        f"lease_seconds = 5 ({home}/farm.toml) has to be larger than progress_seconds = 6 (FARM_PROGRESS_SECONDS)"
    )
    assert str(caught.value) == expected


@pytest.mark.parametrize("url", ["sqlite:///farm.db", "sqlite://", "sqlite:///../farm.db"])
def test_a_database_is_the_same_whatever_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FARM_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=rf'^FARM_DATABASE_URL: "{url}" .*sqlite:////path/farm\.db'):
        load_settings()


def test_a_user_without_a_home_directory_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(SettingsError, match=r"no home directory \(set FARM_HOME"):
        load_settings()
    monkeypatch.setenv("FARM_HOME", "/srv/farm")
    monkeypatch.setenv("FARM_STORE_DIR", "~/store")
    with pytest.raises(SettingsError, match=r'^FARM_STORE_DIR: "~/store" begins with ~'):
        load_settings()


def test_a_short_home_has_its_socket_inside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", "/srv/farm")
    settings = load_settings()
    assert settings.redis_socket == Path("/srv/farm/redis/redis.sock")
    assert settings.celery_url == "redis+socket:///srv/farm/redis/redis.sock"
    assert settings.redis_url == "unix:///srv/farm/redis/redis.sock"


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_long_home_has_a_short_socket_of_its_own(letter: str) -> None:
    homes = [Path("/srv") / (letter * 90 + str(n)) for n in (1, 2)]
    sockets = [load_settings(home=home).redis_socket for home in homes]
    assert all(len(os.fsencode(s)) <= 100 for s in sockets)
    assert len(set(sockets)) == 2
    assert load_settings(home=homes[0]).redis_socket == sockets[0]
    assert str(os.getuid()) in sockets[0].parent.name


@pytest.mark.parametrize("length", range(80, 90))
def test_no_socket_is_longer_than_the_system_allows(length: int) -> None:
    assert len(os.fsencode(load_settings(home=Path("/" + "x" * length)).redis_socket)) <= 100


def test_a_broker_elsewhere_is_taken_as_it_is() -> None:
    settings = load_settings(broker_url="rediss://:word@queue:6380/1")
    assert not settings.embedded
    assert settings.celery_url == settings.redis_url == "rediss://:word@queue:6380/1"


@pytest.mark.parametrize(
    "url", ["amqp://user:s3cret@queue/", "redis:s3cret@queue", "redis://:s3cret@queue:port/0", "queue:6379"]
)
def test_an_address_that_is_none_is_said_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="--broker-url") as caught:
        load_settings(broker_url=url)
    assert "s3cret" not in str(caught.value)
    assert "redis://[:password@]host:port/0" in str(caught.value)


@pytest.mark.parametrize("address", [":s3cret@127.0.0.1:1/0", "user:s3@cret@127.0.0.1:1/0"])
def test_a_broker_that_is_away_is_named_without_its_password(address: str) -> None:
    with pytest.raises(
        BrokerError, match=r"Redis at redis://(user)?:\*\*\*@127\.0\.0\.1:1/0 does not answer"
    ) as caught:
        check_broker(load_settings(broker_url=f"redis://{address}"))
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "FARM_BROKER_URL" in str(caught.value)


def test_an_embedded_broker_that_is_away_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="farm up"):
        check_broker(load_settings(home=tmp_path / "h"))


def test_settings_go_to_another_process_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(home=tmp_path, cpu_runtime="onnxruntime", style="solid")
    body = pickle.dumps(settings)
    monkeypatch.setenv("FARM_CPU_RUNTIME", "openvino")  # the other process does not read its environment again
    restored = pickle.loads(body)
    assert {name: getattr(restored, name) for name in Settings.model_fields} == {
        name: getattr(settings, name) for name in Settings.model_fields
    }


@pytest.mark.parametrize(("given", "read"), [("auto", "auto"), ("23", 23), (23, 23)])
def test_crf_is_a_number_or_auto(given: object, read: object) -> None:
    assert load_settings(crf=given).model_dump()["crf"] == read


@pytest.mark.parametrize("given", ["automatic", "18.5", 18.5, True])
def test_other_words_for_crf_are_refused(given: object) -> None:
    with pytest.raises(
        SettingsError, match=f'^--crf: "{given}" is not valid; use a whole number from 0 to 51, or auto$'
    ):
        load_settings(crf=given)


@pytest.mark.parametrize("line", ["detect_size = true", "detect_size = 640.5", "margin = false", "gap = [1]"])
def test_a_file_with_another_kind_of_value_than_a_number_is_one_line(home: Path, line: str) -> None:
    (home / "farm.toml").write_text(line)
    name = line.partition(" ")[0]
    with pytest.raises(SettingsError, match=rf'^{home}/farm\.toml: {name}: ".*" is not valid; use a ') as caught:
        load_settings()
    assert len(str(caught.value).splitlines()) == 1
