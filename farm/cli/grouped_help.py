"""Help for a command with many options: in groups, as plain text."""

from collections import defaultdict
from typing import Any

from typer.core import TyperCommand


class GroupedHelp(TyperCommand):
    """Shows each option under the group that its ``rich_help_panel`` names, the groups in the order of the options.

    Typer itself does so only with frames drawn around the groups; ours is plain text, for pipes and narrow terminals.
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
