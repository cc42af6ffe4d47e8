"""The README's table of the options of ``farm submit``, generated from the command: ``make docs`` writes it."""

import re
from pathlib import Path

import click
import typer

from farm.cli.main import app

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- options of farm submit: written by make docs -->\n"
END = "<!-- end of options -->\n"


def option_table() -> str:
    """A row for each option but ``--help``, in the order of the help."""
    command = getattr(typer.main.get_command(app), "commands", {})["submit"]
    rows = ["| option of `submit` | default | |", "|---|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option) or option.param_type_name == "option":
            names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len))
            text, _, default = (option.help or "").removesuffix(".").partition(". Default: ")
            rows.append(f"| {names} | {default} | {text} |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    """The page with the table between its two markers."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{option_table()}\n{END}", page, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
