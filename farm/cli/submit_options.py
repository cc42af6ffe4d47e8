"""A job's options on the command line: their parameters, their help, their values, and how errors name them."""

import re
from collections import defaultdict
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

import typer
from typer.core import TyperCommand

from farm.domain.option import GROUPS
from farm.domain.options import PICTURE_FORMATS, JobOptions, load_options, submit_options
from farm.errors import FarmError, SettingsError
from farm.settings import Settings

#: The codec of the segments whose frames become pictures.
_LOSSLESS = "ffv1"


class GroupedHelp(TyperCommand):
    """Lists each option under the group that its ``rich_help_panel`` names, the groups in the order of the options.

    Typer's own grouped help draws frames around the groups; this is plain text, for pipes and narrow terminals.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's own copies of click's classes
        """See TyperCommand."""
        groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                usual = "Arguments" if parameter.param_type_name == "argument" else "Help"
                groups[getattr(parameter, "rich_help_panel", None) or usual].append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def with_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Declare a parameter of ``command`` for every job option, in place of its ``**options``; sorted by group."""
    rows: list[tuple[int, bool, Parameter]] = []
    for own in signature(command).parameters.values():
        if own.kind is not Parameter.VAR_KEYWORD:
            group = own.default.rich_help_panel
            rows.append((GROUPS.index(group) if group else -1, False, own.replace(kind=Parameter.KEYWORD_ONLY)))
    for o in submit_options():
        names = (o.flag,) if o.kind is bool else ()  # no --no-NAME beside it
        declared = typer.Option(None, *names, help=o.text, metavar=o.metavar or None, rich_help_panel=o.group)
        kind = (str if o.time or o.words else o.kind) | None
        parameter = Parameter(o.setting, Parameter.KEYWORD_ONLY, default=declared, annotation=kind)
        rows.append((GROUPS.index(str(o.group)), o.last, parameter))
    rows.sort(key=lambda row: row[:2])
    command.__signature__ = Signature([p for *_, p in rows])  # type: ignore[attr-defined]  # PEP 362
    return command


def job_options(settings: Settings, *, pictures: bool = False) -> JobOptions:
    """A job's options, from settings that :func:`load_settings` returned.

    ``pictures``: its frames are written as pictures instead of a video. Raises SettingsError for a value that cannot
    be used, and for an option that the chosen detector or style does not have.
    """
    row: dict[str, dict[str, Any]] = defaultdict(dict)
    for option in submit_options():
        section, _, field = option.name.partition(".")
        if (value := getattr(settings, option.setting)) is not None:
            row[section][field] = value
    pictures_as = row["compose"].pop("pictures", PICTURE_FORMATS[0])
    if pictures:
        if row["redact"].keys() & {"codec", "encoder"}:
            raise SettingsError("--codec and --encoder are for videos", hint="leave them away beside --frames")
        row["redact"]["codec"] = _LOSSLESS
        row["redact"].pop("crf", None)
        row["compose"]["pictures"] = pictures_as
    return load_options(row)


def error_text(error: FarmError) -> str:
    """An error's line. Where the error is about an option, options are spelled as on the command line."""
    text = str(error)
    for option in submit_options() if error.field else ():
        text = re.sub(rf"(?<![\w.-]){re.escape(option.name)}(?![\w.-])", option.flag, text)
    return text
