"""The checker's results, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One property: whether it holds (None: not applicable to this source), and what was found."""

    name: str
    holds: bool | None
    seen: str = ""


def failures(rows: Sequence[Row]) -> list[str]:
    """Return one line per property that does not hold."""
    return [f"{row.name}: {row.seen}" for row in rows if row.holds is False]


def table(cases: dict[str, list[Row] | str]) -> str:
    """Return cases and properties as a Markdown table: the rows of a verified output, or the line of a refusal."""
    names = next(([row.name for row in rows] for rows in cases.values() if not isinstance(rows, str)), [])
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, rows in cases.items():
        if isinstance(rows, str):
            lines.append(f"| {name} | {rows.replace('|', '/')} |" + " |" * (len(names) - 1))
        else:
            marks = ({True: "✓", False: f"**{row.seen[:60]}**", None: "·"}[row.holds] for row in rows)
            lines.append(f"| {name} | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"
