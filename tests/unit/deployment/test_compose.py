"""docker-compose.yml is valid, and keeps the promises that a first look would break."""

import re
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.conftest import PROJECT

TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES = {"key", "redis", "postgres", "coordinator", "worker", "flower"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(TEXT)
    assert isinstance(loaded, dict)
    return loaded


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(get_builtin_schema("vendor.compose-spec"))


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    assert [e.message for e in validator().iter_errors(compose)] == []
    assert set(compose["services"]) == SERVICES


def test_the_validator_sees_mistakes(compose: dict[str, Any]) -> None:
    wrong = {**compose, "services": {"redis": {"imag": "redis"}}}
    assert list(validator().iter_errors(wrong))


def test_only_flower_is_published_and_only_on_loopback(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"flower": ["127.0.0.1:5555:5555"]}
    environment = compose["services"]["flower"]["environment"]
    assert environment["FLOWER_READ_ONLY"] == "true"
    assert "FARM_FLOWER_BASIC_AUTH" in environment


def test_only_the_coordinator_reaches_the_database(compose: dict[str, Any]) -> None:
    with_address = [n for n, s in compose["services"].items() if "FARM_DATABASE_URL" in s.get("environment", {})]
    assert with_address == ["coordinator"]
    in_network = [n for n, s in compose["services"].items() if "database" in s.get("networks", [])]
    assert in_network == ["postgres", "coordinator"]


def test_workers_cannot_change_sources(compose: dict[str, Any]) -> None:
    mounts = [v for v in compose["services"]["worker"]["volumes"] if ":/videos" in v]
    assert len(mounts) == 1
    assert mounts[0].endswith(":ro")


def test_coordinator_and_workers_share_broker_store_and_sources(compose: dict[str, Any]) -> None:
    coordinator, worker = compose["services"]["coordinator"], compose["services"]["worker"]
    for name in ("FARM_BROKER_URL", "FARM_STORE_DIR"):
        assert coordinator["environment"][name] == worker["environment"][name]
    assert "store:/store" in coordinator["volumes"]
    assert "store:/store" in worker["volumes"]


def test_only_coordinator_and_workers_have_the_key_and_only_its_maker_writes_it(compose: dict[str, Any]) -> None:
    mounts = {n: [v for v in s.get("volumes", []) if v.startswith("key:")] for n, s in compose["services"].items()}
    readers = ("coordinator", "worker")
    assert {n: v for n, v in mounts.items() if v} == {
        "key": ["key:/key"],
        **{name: ["key:/key:ro"] for name in readers},
    }
    for name in readers:
        service = compose["services"][name]
        assert service["environment"]["FARM_KEY_FILE"] == "/key/farm.key"
        assert service["depends_on"]["key"] == {"condition": "service_completed_successfully"}
    assert compose["services"]["key"]["restart"] == "no"
    assert "/key" in (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def test_redis_keeps_what_it_is_given(compose: dict[str, Any]) -> None:
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
    assert "--requirepass" in command


def test_every_network_and_volume_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service["networks"]) <= set(compose["networks"])
        named = {v.split(":")[0] for v in service.get("volumes", []) if not v.startswith(("$", ".", "/"))}
        assert named <= set(compose["volumes"])


def test_the_example_of_the_environment_names_every_variable() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", example, flags=re.MULTILINE))
    assert set(given) == used
    assert all(not value for name, value in given.items() if name != "FARM_VIDEOS"), "no password in the example"
