"""``farm config``: every setting and option, its value, and where that comes from."""

from typing import TYPE_CHECKING, Any

import typer

from farm.cli.jobs import JsonOption
from farm.cli.submit_options import naming_origins
from farm.configuration import masked, settings_file
from farm.domain.options import submit_options

if TYPE_CHECKING:
    from farm.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config")(config)


def config(as_json: JsonOption = False) -> None:
    """Show every setting and option of submit, its value, and where that comes from."""
    from farm.cli import display
    from farm.settings import load_settings

    settings = load_settings()
    rows = [(name, value, settings.origin(name)) for name, value in values(settings).items()]
    file = settings_file()
    if as_json:
        entries = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        display.print_json({"file": str(file) if file.exists() else None, "settings": entries})
        return
    display.output.print(f"settings file: {file}{'' if file.exists() else ' (does not exist)'}", soft_wrap=True)
    for name, value, origin in rows:
        shown = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        display.output.print(f"{name:24} {shown:24} {origin}", soft_wrap=True)


@naming_origins
def values(settings: "Settings") -> dict[str, Any]:
    """The value in force of each setting, for JSON and without passwords. Raises SettingsError for a wrong option."""
    from farm.jobs.asked import job_options
    from farm.settings import Settings

    job_options(settings)
    found = {name: getattr(settings, name) for name in Settings.model_fields}
    found |= {
        "home": str(settings.home),
        "store_dir": str(settings.store_root),
        "models_dir": str(settings.models_root),
    }
    found["database_url"] = masked(settings.sql_url)
    if settings.broker_url:
        found["broker_url"] = masked(settings.broker_url)
    if settings.flower_basic_auth:
        user, colon, _ = settings.flower_basic_auth.partition(":")
        found["flower_basic_auth"] = f"{user}:***" if colon else "***"
    for option in submit_options():
        given = getattr(settings, option.setting)
        found[option.setting] = option.default if given is None else given
    return found
