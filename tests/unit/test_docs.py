"""The documentation names what there is."""

import re
from pathlib import Path

import click
import pytest
import typer

from farm.cli.main import app
from farm.configuration import CONFIG
from farm.settings import settings_class
from tests.option_table import option_table, with_table

PROJECT = Path(__file__).parent.parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


def commands() -> dict[str, click.Command]:
    group = typer.main.get_command(app)
    return dict(getattr(group, "commands", {}))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_every_option_of_submit_is_documented_and_real() -> None:
    real = {name for p in commands()["submit"].params for name in p.opts if name.startswith("--")}
    rows = re.findall(r"^\| (`-.*?) \|", README, flags=re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"--[a-z-]+", row)}
    assert documented == real - {"--help"}


def test_the_table_of_options_is_the_one_that_is_generated() -> None:
    assert option_table() in README
    assert with_table(README) == README, "make docs"


def test_every_command_is_documented() -> None:
    for name in commands():
        assert re.search(rf"farm ([a-z|]+\|)?{name}\b", README), name


def test_every_setting_is_real() -> None:
    real = {f"FARM_{name.upper()}" for name in settings_class().model_fields}
    assert set(re.findall(r"FARM_[A-Z_]+[A-Z]", README)) <= real | {CONFIG}


def test_no_path_of_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(home|root|work|Users)/", page.read_text(encoding="utf-8")), page
