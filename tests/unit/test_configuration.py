"""The settings file and the variables: which file counts, and what a person reads who misspelt a name."""

from pathlib import Path

import pytest

from farm.configuration import masked
from farm.errors import SettingsError
from farm.settings import load_settings


def test_a_named_file_replaces_the_one_in_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "farm.toml").write_text("crf = 30\nkeep_segments = false\n")
    Path("other.toml").write_text('crf = 20\nstore_dir = "store"\nhome = "/srv/farm"\n')
    monkeypatch.setenv("FARM_CONFIG", "other.toml")
    settings = load_settings()
    assert (settings.model_dump()["crf"], settings.keep_segments) == (20, True)
    assert settings.store_root == Path.cwd() / "store"  # a path in a file starts at the file
    assert settings.home == home  # FARM_HOME
    monkeypatch.delenv("FARM_HOME")
    assert load_settings().home == Path("/srv/farm")


def test_a_named_file_that_is_missing_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_CONFIG", "other.toml")
    with pytest.raises(SettingsError, match=rf"no settings file {Path.cwd()}/other\.toml .*FARM_CONFIG"):
        load_settings()
    monkeypatch.setenv("FARM_CONFIG", ".")
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings()


def test_the_file_in_the_home_does_not_set_the_home(home: Path) -> None:
    (home / "farm.toml").write_text('home = "/srv/farm"\n')
    with pytest.raises(SettingsError, match=r'farm\.toml: "home" cannot be set .*FARM_HOME'):
        load_settings()


@pytest.mark.parametrize("content", [b"crf: 20\n", b"style = '\xff'\n"])
def test_a_file_that_is_not_toml_is_said(home: Path, content: bytes) -> None:
    (home / "farm.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^{home}/farm\.toml: "):
        load_settings()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("treshold = 0.2", 'did you mean "threshold"?'),
        ("detect-size = 320", 'did you mean "detect_size"?'),
        ("xyzzy = 1", "farm config"),
        ("[redact]\ncrf = 20", "farm config"),
    ],
)
def test_an_unknown_name_in_the_file_is_an_error_with_the_nearest_one(home: Path, line: str, advice: str) -> None:
    (home / "farm.toml").write_text(line + "\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{home}/farm.toml: unknown setting ")
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("name", "nearest"), [("FARM_TRESHOLD", "FARM_THRESHOLD"), ("FARM_MODEL_DIR", "FARM_MODELS_DIR")]
)
def test_a_misspelt_variable_is_an_error_with_the_nearest_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"^{name}: .*did you mean {nearest}"):
        load_settings()


def test_variables_that_resemble_no_setting_are_of_somebody_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        *map("FARM_{}".format, ("TEST_DATA", "FUZZ_SEED", "FUZZ_COUNT", "FUZZ_DIR", "MATRIX_REPORT", "MATRIX_MODEL"))
    ]
    others += [*map("FARM_{}".format, ("CLIPS", "REDIS_PASSWORD", "POSTGRES_PASSWORD", "FROM_THE_PAST", "ID"))]
    for name in others:
        monkeypatch.setenv(name, "1")
    load_settings()


@pytest.mark.parametrize(
    "address",
    [
        "redis://:s3cret@queue:6379/0", "redis://user:s3cret@queue/0", "redis://user:s3@c/r#e?t@queue/0",
        "redis:s3cret@queue", "postgresql+psycopg://farm:s3cret@db/farm", "postgresql+psycopg://db/farm?password=s3cret",
        "redis://queue/0?db=1&password=s3cret&ssl=1", "user:s3cret@queue",
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(address: str) -> None:
    shown = masked(address)
    assert "s3" not in shown
    assert "e?t" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "address", ["redis://queue:6379/0", "sqlite:////srv/farm.db", "postgresql+psycopg://farm@db/x"]
)
def test_an_address_without_a_password_is_shown_as_it_is(address: str) -> None:
    assert masked(address) == address
