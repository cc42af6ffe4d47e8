"""A password in an address is in nothing that the farm prints, however the address was mistyped."""

import contextlib
import json
import logging
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.broker import check_broker
from farm.cli.config import values
from farm.configuration import masked, told
from farm.database.session import Database
from farm.doctor import check_database, check_redis
from farm.errors import FarmError
from farm.settings import Settings, load_settings
from tests.unit.cli.conftest import Run

SECRET = "s3creTpw"
JUNK = st.text("@:/?#%[]&=;+ .,\\0ab\u00e9", max_size=4)
SCHEMES = st.sampled_from(
    ["redis", "rediss", "postgresql", "postgresql+psycopg", "unix", "redis+socket", "amqp", "mysql", "http", ""]
)
OPTIONS = st.sampled_from(
    ["password", "passwd", "ssl_keyfile_password", "ssl_password", "sslpassword", "options", "db", "%70assword", ""]
)
PASSWORDS = st.builds("{}{}{}".format, JUNK, st.sampled_from([SECRET, "s3cre%54pw"]), JUNK)


def spelled(scheme: str, user: str, password: str, host: str, option: str, how: int) -> str:
    """A password where somebody may write one."""
    begin = f"{scheme}://" if scheme else ""
    return [
        f"{begin}{user}:{password}@{host}", f"{begin}:{password}@", f"{begin}{user}:{password}@/0",
        f"{begin}{host}/0?{option}={password}", f"{begin}{user}@{host}?x=1&{option}={password}&y=2",
        f"{scheme}:{user}:{password}@{host}", f"{user}:{password}@{host}", f"{begin}{user}:{password}",
        f"{begin}{host}/0#{password}", f"{begin}{host}:{password}/0",
    ][how]  # fmt: skip


ADDRESSES = st.builds(
    spelled,
    SCHEMES,
    st.sampled_from(["", "user", "us%40er"]),
    PASSWORDS,
    st.sampled_from(["", "host", "host:6379", "127.0.0.1:1", "host:port", "[::1]", "a b", "host:99999"]),
    OPTIONS,
    st.integers(0, 9),
)


def leaks(text: str) -> bool:
    return any(part in text.lower() for part in ("s3cre", "%54pw"))


def everything_said(address: str) -> str:
    """What a person reads who gave this address for the broker, and for the database."""
    said = [masked(address)]
    for name in ("broker_url", "database_url"):
        try:
            settings = load_settings(**{name: address})
        except FarmError as e:
            said += [str(e), repr(e), str(e.__cause__)]
            continue
        said.append(json.dumps(values(settings), default=str))
    try:
        Database(address).close()
    except FarmError as e:
        said.append(str(e))
    said.append(told(f"cannot connect with {address}", address))
    return "\n".join(said)


@hypothesis.settings(deadline=None)
@hypothesis.example("redis://:@:s3creTpw@")  # SQLAlchemy takes the end for a port, and says so
@given(ADDRESSES)
def test_a_password_that_is_anywhere_in_an_address_is_never_shown(address: str) -> None:
    assert not leaks(everything_said(address)), address


@given(st.text("@:/?#&=", max_size=6), st.text("@:/?#&=", max_size=6), st.sampled_from(["redis", "postgresql"]))
def test_what_cannot_be_read_shows_its_scheme_only(before: str, after: str, scheme: str) -> None:
    address = f"{scheme}://user:{before}{SECRET}{after}@host/0"
    assert masked(address) in (f"{scheme}://user:***@host/0", f"{scheme}://***")


@pytest.mark.parametrize(
    "address",
    ["redis://user:s3creTpw@127.0.0.1:1/0", "redis://:s3cre%54pw@127.0.0.1:1", "rediss://:s3creTpw@127.0.0.1:1/0"],
)
def test_a_broker_that_is_away(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = load_settings(broker_url=address)
    with pytest.raises(FarmError) as caught:
        check_broker(settings)
    check = check_redis(settings)
    assert not leaks(f"{caught.value}{check}{caplog.text}")
    assert ":***@127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://farm:s3creTpw@127.0.0.1:1/farm", "postgresql+psycopg://127.0.0.1:1/farm?password=s3creTpw",
        "postgresql+psycopg://127.0.0.1:1/farm?s3creTpw=1", "postgresql+psycopg://127.0.0.1:1/farm?sslmode=s3creTpw",
        "postgresql+psycopg://farm:s3cre/Tpw@127.0.0.1:1/farm", "postgresql+psycopg://u:s3creTpw", "s3creTpw", "",
        "postgresql+s3creTpw://host/x", "postgresql+psycopg://h:s3creTpw/x", "mysql://u:s3creTpw@h/x",
    ],
)  # fmt: skip
def test_a_database_that_is_away(address: str) -> None:
    settings = Settings.model_construct(**{**Settings().model_dump(), "database_url": address})
    check = check_database(settings)
    assert check.ok is False or not address
    with pytest.raises(FarmError) as caught, contextlib.closing(Database(address)) as database:
        database.migrate()
    assert not leaks(f"{check}{caught.value}")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('broker_url = "redis://:s3creTpw@127.0.0.1:1/0"', "broker_url"),
        ('database_url = "postgresql+psycopg://u:s3creTpw@h/x"', "database_url"),
        ('flower_basic_auth = "a:s3creTpw"', "flower_basic_auth"),
    ],
)
def test_a_settings_file_with_a_password_that_others_can_read(run: Run, tmp_path: Path, line: str, name: str) -> None:
    file = tmp_path / "home" / "farm.toml"
    file.parent.mkdir()
    file.write_text(f"{line}\n")
    file.chmod(0o640)
    expected = f"the settings file {file} holds a password ({name}), and other users can read it"
    assert f"BAD  settings: {expected} → chmod 600 '{file}'" in run("doctor", code=1).stdout
    if name == "broker_url":
        for command in ("worker", "coordinator"):
            assert run(command, code=6).stderr.splitlines()[0] == f"warning: {expected}: chmod 600 '{file}'"
        assert f"warning: {expected}" in run("up", code=6).stdout
    file.chmod(0o600)
    assert "ok   settings" in run("doctor", code=0 if name == "flower_basic_auth" else 1).stdout


@pytest.mark.parametrize("auth", ["admin:s3creTpw", "s3creTpw"])
def test_the_password_of_flower(run: Run, auth: str) -> None:
    assert not leaks(run("config", FARM_FLOWER_BASIC_AUTH=auth).stdout)


@pytest.mark.parametrize(
    "address", ["redis://h/0?password=s3creTpw", "redis://h/0?db=s3creTpw", "redis://:s3creTpw", "redis://h/s3creTpw"]
)
@pytest.mark.parametrize("words", [("doctor",), ("config",)])
def test_commands_refuse_an_address_that_is_none_in_one_line(run: Run, words: tuple[str, ...], address: str) -> None:
    done = run(*words, code=2, FARM_BROKER_URL=address)
    assert not leaks(done.stdout + done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: FARM_BROKER_URL: ")
    assert "redis://[:password@]host:port/0" in line
