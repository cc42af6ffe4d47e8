"""A job's options on the command line: their parameters and values, and how errors and summaries name them."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import typer

from farm.domain.option import GROUPS, Option
from farm.domain.options import PICTURE_FORMATS, sections, submit_options
from farm.errors import FarmError

if TYPE_CHECKING:
    from farm.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
#: The codec of the segments whose frames become pictures.
_LOSSLESS = "ffv1"


def with_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Declare a parameter of ``command`` for every job option, in place of its ``**options``; sorted by group."""
    rows: list[tuple[int, bool, Parameter]] = []
    for own in signature(command).parameters.values():
        if own.kind is not Parameter.VAR_KEYWORD:
            group = own.default.rich_help_panel
            rows.append((GROUPS.index(group) if group else -1, False, own.replace(kind=Parameter.KEYWORD_ONLY)))
    for o in submit_options():
        names = (f"{o.flag}/--no-{o.flag[2:]}",) if o.kind is bool else ()
        declared = typer.Option(
            None, *names, help=o.text, metavar=o.metavar or None, rich_help_panel=o.group, autocompletion=_choices(o)
        )
        kind = bool if o.kind is bool else str  # what a person wrote, which Option.parse reads
        parameter = Parameter(o.setting, Parameter.KEYWORD_ONLY, default=declared, annotation=kind | None)
        rows.append((GROUPS.index(str(o.group)), o.last, parameter))
    rows.sort(key=lambda row: row[:2])
    command.__signature__ = Signature([p for *_, p in rows])  # type: ignore[attr-defined]  # PEP 362
    return command


def _choices(option: Option) -> Callable[[str], list[str]] | None:
    """Completes an option's choices."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in option.choices if choice.startswith(incomplete.lower())]

    return complete if option.choices else None


def error_text(error: FarmError, settings: "Settings | None" = None) -> str:
    """An error's line. Where the error is about an option, options are spelled as on the command line.

    The one that it is about is spelled as where it was given, if ``settings`` know: ``FARM_CRF``, ``farm.toml: crf``.
    """
    text = str(error)
    for option in submit_options() if error.field else ():
        spelled = settings.spelled(option.setting) if settings and option.name == error.field else option.flag
        text = re.sub(rf"(?<![\w.-]){re.escape(option.name)}(?![\w.-])", spelled.replace("\\", r"\\"), text)
    return text


def naming_origins(run: Callable[Concatenate["Settings", P], R]) -> Callable[Concatenate["Settings", P], R]:
    """Decorate a function of settings: its errors about an option name it as where it was given."""

    @wraps(run)
    def wrapped(settings: "Settings", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return run(settings, *args, **kwargs)
        except FarmError as e:
            e.message, e.hint, e.field = error_text(e, settings), None, None
            raise

    return wrapped


def options_line(options: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Names a job's options that are not the defaults, as on the command line; None if all are.

    ``options``: those of a job in its JSON; of another version's job, unknown ones are left out.
    """
    named, pictures = [], options.get("compose", {}).get("pictures")
    for part, section in sections().items():
        given = options.get(part, {})
        for name, option in section.options().items():
            value = given.get(name, option.default)
            implied = pictures and (name == "codec" or (name, value) == ("pictures", PICTURE_FORMATS[0]))
            implied = implied or name in ("runtime", "image")  # every job has one; the style says that there is one
            if option.group and value != option.default and not implied:
                named.append(option.flag if value is True else f"{option.flag} {value}")
    return f"options that are not the defaults: {', '.join(named)}" if named else None
