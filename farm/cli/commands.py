"""How the commands look to their users: help for a narrow terminal, errors in one line, completion."""

import contextlib
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

_UsageError: Any = typer.BadParameter.__base__
#: The commands in ``farm --help``, by what they are for; others are listed last.
_SECTIONS = {
    "Redact videos": ("submit", "verify", "demo", "bench"),
    "Look and correct": ("preview", "tracks", "detections", "edit", "approve", "redact", "redo", "audit"),
    "Jobs": ("list", "status", "watch", "pause", "resume", "cancel", "retry", "logs", "clean"),
    "The farm": ("up", "down", "worker", "workers", "coordinator", "key", "models", "config", "doctor"),
}
_KINDS = {"integer": "a whole number", "number": "a number"}


class FarmCommand(TyperCommand):
    """A command whose help lists options by group, the groups in the order of the options.

    A group is the option's ``rich_help_panel``. Typer's own grouped help draws frames around the groups; this is plain
    text, for pipes and narrow terminals.
    """

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - TyperCommand's own
        super().__init__(*args, **{**more, "rich_markup_mode": None})

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperCommand."""
        groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
        parameters: list[Any] = self.get_params(ctx)
        panels = [getattr(parameter, "rich_help_panel", None) for parameter in parameters]
        for parameter, panel in zip(parameters, panels, strict=True):
            if parameter.param_type_name == "argument":
                groups["Arguments"].append((parameter.metavar, parameter.help))
            elif record := parameter.get_help_record(ctx):
                groups[panel or ("Help" if any(panels) else "Options")].append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperCommand."""
        arguments: list[Any] = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(p.metavar.removesuffix("...") + ("..." if p.nargs == -1 else "") for p in arguments)]


class RedactCommand(FarmCommand):
    """``farm redact``, which is ``farm submit`` where masks are given: it takes the same options then."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperCommand."""
        if any(word.partition("=")[0] == "--detections" for word in args):
            return parent.command.commands["submit"].make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


class FarmGroup(TyperGroup):
    """Commands whose summaries are never cut, and whose errors are one line that names what was meant."""

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - TyperGroup's own
        super().__init__(*args, **more)
        for parameter in self.params:
            if parameter.param_type_name == "argument":  # Typer would write {JOB}, also in the usage of its commands
                parameter._usage_display_name = partial(str, parameter.metavar)  # type: ignore[attr-defined]  # noqa: SLF001

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperGroup."""
        left = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        sections = {title: [name for name in names if name in left] for title, names in _SECTIONS.items()}
        if ctx.parent is not None:  # of models or workers
            sections = {}
        other = [name for name in left if not any(name in names for names in sections.values())]
        for title, names in {**sections, "Commands": other}.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, self.commands[name].get_short_help_str(1000)) for name in names])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperGroup."""
        word, known = args[0], self.list_commands(ctx)
        if word not in known and not word.startswith("-"):
            near = get_close_matches(word, known, 1)
            if "submit" in known and not near and (Path(word).suffix or Path(word).exists()):
                near = [f"submit {shlex.quote(word)}"]
            meant = f"; did you mean `{ctx.command_path} {near[0]}`?" if near else f"; see `{ctx.command_path} --help`"
            raise _UsageError(f'"{word}": no such command{meant}', ctx)
        return super().resolve_command(ctx, args)

    def main(self, args: Any = None, *, standalone_mode: bool = True, **more: Any) -> Any:  # type: ignore[override]  # noqa: ANN401 - all of TyperGroup's
        """See TyperGroup."""
        try:
            code = super().main(args, standalone_mode=False, **more)
        except _UsageError as e:
            if not standalone_mode:
                raise
            _refuse(e)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def in_one_style(app: typer.Typer) -> typer.Typer:
    """Give all commands of ``app`` the help and the errors of this module."""
    app.info.cls = FarmGroup
    for command in app.registered_commands:
        command.cls = command.cls if issubclass(command.cls or TyperCommand, FarmCommand) else FarmCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            in_one_style(group.typer_instance)
    return app


def named_path(text: str) -> Path:
    """The path that an argument names. ``Path`` alone takes an empty one, as of an unset variable, for this folder."""
    if not text:
        raise typer.BadParameter("the name is empty; is a variable unset?")
    return Path(text)


def _refuse(error: Any) -> NoReturn:  # noqa: ANN401 - Typer's own copies of click's classes
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        print(f"error: {usage_error(error)}", file=sys.stderr)
    sys.exit(error.exit_code)


def usage_error(error: Any) -> str:  # noqa: ANN401 - Typer's own copies of click's classes
    """A wrong command line in one line that names the option as it was written."""
    path = error.ctx.command_path if error.ctx else "farm"
    option, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    said = error.message.rstrip(".").removeprefix("Value error, ")
    name = option or (parameter and (parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar))
    match type(error).__name__:
        case "NoSuchOption":
            return f"{name}: no such option; {_meant(error.ctx, str(name)) or f'see `{path} --help`'}"
        case "BadOptionUsage":
            return f"{name}: {'a value is missing' if 'requires' in said else 'takes no value'}"
        case "MissingParameter":
            return f"{name} is missing; see `{path} --help`"
        case "BadParameter" if found := re.search(r"valid (integer|number)\b", said):
            return f"{name}: not valid; use {_KINDS[found[1]]}"
        case "BadParameter":
            return f"{name}: {said}"
    if found := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", said):
        return f"{found[1]}: unexpected; see `{path} --help`"
    return said if "; " in said else f"{said}; see `{path} --help`"


def _meant(ctx: Any, name: str) -> str:  # noqa: ANN401 - Typer's own copies of click's classes
    """Which option was meant, as text; empty if none is like it."""
    near = get_close_matches(name, _options(ctx.command), 1)
    if near:
        return f"did you mean {near[0]}?"
    for command, made in getattr(ctx.command, "commands", {}).items():
        if name in _options(made):
            return f"did you mean `{ctx.command_path} {command} {name}`?"
    return ""


def _options(command: Any) -> list[str]:  # noqa: ANN401 - Typer's own copies of click's classes
    return [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")]


def job_ids(incomplete: str) -> Iterator[tuple[str, str]]:
    """For completion: the ids of jobs that begin so, each with its status and source."""
    from farm.jobs.context import open_context
    from farm.jobs.queries import list_jobs
    from farm.settings import load_settings

    with contextlib.suppress(Exception):  # the shell shows whatever is printed
        settings = load_settings()
        if settings.database_url or (settings.home / "farm.db").exists():  # completion makes no farm
            for job in list_jobs(open_context(settings)):
                if job.id.startswith(incomplete):
                    yield job.id, f"{job.status} {Path(job.source).name}"
